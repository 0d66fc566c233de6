"""A microcontroller: core, memories, bus and peripherals, put together (RM0383 and RM0090, section 2.3; clocks: 6.3,
7.3)."""

from __future__ import annotations

import struct
from functools import partial

from .bus import Bus, Peripheral
from .cpu import Cpu
from .exceptions import Exceptions
from .memory import Memory, Region
from .mpu import Mpu
from .nvic import Nvic
from .parts import Part
from .peripherals.adc import VREFINT_V, Adc, AdcCommon, temperature_v
from .peripherals.dma import Dma, DmaRequest
from .peripherals.dwt import CoreDebug, DbgMcu, Dwt
from .peripherals.exti import Exti, SysCfg
from .peripherals.flash_ctrl import FlashController
from .peripherals.gpio import Gpio
from .peripherals.i2c import I2c
from .peripherals.iwdg import Iwdg
from .peripherals.pwr import Pwr
from .peripherals.rcc import HSI_HZ, Rcc
from .peripherals.services import Services
from .peripherals.spi import Spi
from .peripherals.systick import SysTick
from .peripherals.tim import Timer
from .peripherals.usart import Usart
from .scb import Fpu, Scb
from .timebase import Timebase

FLASH_BASE, SRAM_BASE, CCM_BASE, SYSTEM_BASE = 0x0800_0000, 0x2000_0000, 0x1000_0000, 0x1FFF_0000
_BIT_BAND, _RAM_BIT_BAND = 0x4200_0000, 0x2200_0000
_SYSTEM_BYTES = 0x8000
_ROM_ENTRY = 0x100
"""Of the ROM, whose vectors are at its start (AN2606); where it is on a chip does not matter."""
AHB1ENR, APB1ENR, APB2ENR = 0x30, 0x40, 0x44
_USARTS = {
    "USART1": (0x4001_1000, 37, APB2ENR, 4),
    "USART2": (0x4000_4400, 38, APB1ENR, 17),
    "USART3": (0x4000_4800, 39, APB1ENR, 18),
    "UART4": (0x4000_4C00, 52, APB1ENR, 19),
    "UART5": (0x4000_5000, 53, APB1ENR, 20),
    "USART6": (0x4001_1400, 71, APB2ENR, 5),
}
_I2CS = {
    "I2C1": (0x4000_5400, (31, 32), 21),
    "I2C2": (0x4000_5800, (33, 34), 22),
    "I2C3": (0x4000_5C00, (72, 73), 23),
}
_SPIS = {
    "SPI1": (0x4001_3000, 35, APB2ENR, 12),
    "SPI2": (0x4000_3800, 36, APB1ENR, 14),
}
_TIMERS = {
    "TIM2": (0x4000_0000, 28, 0, 32),
    "TIM3": (0x4000_0400, 29, 1, 16),
    "TIM4": (0x4000_0800, 30, 2, 16),
    "TIM5": (0x4000_0C00, 50, 3, 32),
}


class Chip:
    """One STM32F4, not running by itself."""

    def __init__(self, part: Part, *, hse_hz: int | None, seed: int, uid: bytes) -> None:
        self.part = part
        self.seed = seed
        self.time = Timebase(HSI_HZ)
        self.cpu = Cpu()
        self.bus = Bus()
        self.memory = Memory()
        self._build_memory(uid)
        self._build_core()
        self._build_system(hse_hz)
        self._build_peripherals()
        self._place()

    def _build_memory(self, uid: bytes) -> None:
        part, add = self.part, self.memory.add
        self.flash = bytearray(b"\xff" * (part.flash_kib << 10))
        self.sram = bytearray(part.sram_kib << 10)
        self.ccm = bytearray(part.ccm_kib << 10)
        system = bytearray(b"\xff" * _SYSTEM_BYTES)
        system[0x7A10:0x7A1C] = uid
        struct.pack_into("<H", system, 0x7A22, part.flash_kib)
        calibration = [VREFINT_V] + [temperature_v(celsius) for celsius in (30.0, 110.0)]
        struct.pack_into("<2I", system, 0, SRAM_BASE + 0x3000, SYSTEM_BASE + _ROM_ENTRY | 1)
        struct.pack_into("<2H", system, _ROM_ENTRY, 0xBE00, 0xE7FE)  # bkpt; b .
        struct.pack_into("<3H", system, 0x7A2A, *(round(volts / 3.3 * 4095) for volts in calibration))
        add(Region("flash", FLASH_BASE, self.flash, writable=False))
        add(Region("flash alias", 0, self.flash, writable=False))
        add(Region("sram", SRAM_BASE, self.sram, writable=True))
        self.system = system
        add(Region("system", SYSTEM_BASE, system, writable=False))
        if self.ccm:
            add(Region("ccm", CCM_BASE, self.ccm, writable=True, dma=False))
        for region in self.memory.regions:
            self.cpu.map_memory(region.start, region.data, writable=region.writable)
        bus, registers = self.bus, self.cpu.map_registers
        for base, size in ((0x4000_0000, 0x8_0000), (0x5000_0000, 0x6_1000), (0xE000_0000, 0x10_0000)):
            registers(base, size, bus.read, bus.write)
        registers(_BIT_BAND, 0x100_0000, self._read_bit, self._write_bit)
        registers(_RAM_BIT_BAND, part.sram_kib << 15, self._read_ram_bit, self._write_ram_bit)

    def _read_bit(self, address: int, _size: int) -> int:
        """Bit-band alias of the peripherals (PM0214, 2.2.5)."""
        offset = address - _BIT_BAND
        return self.bus.read(0x4000_0000 + (offset >> 7 << 2), 4) >> (offset >> 2 & 31) & 1

    def _write_bit(self, address: int, _size: int, value: int) -> None:
        offset = address - _BIT_BAND
        word, bit = 0x4000_0000 + (offset >> 7 << 2), offset >> 2 & 31
        self.bus.write(word, 4, self.bus.read(word, 4) & ~(1 << bit) | (value & 1) << bit)

    def _read_ram_bit(self, address: int, _size: int) -> int:
        offset = address - _RAM_BIT_BAND
        return self.sram[offset >> 5] >> (offset >> 2 & 7) & 1

    def _write_ram_bit(self, address: int, _size: int, value: int) -> None:
        offset = address - _RAM_BIT_BAND
        index, bit = offset >> 5, offset >> 2 & 7
        self.sram[index] = self.sram[index] & ~(1 << bit) | (value & 1) << bit

    def _build_core(self) -> None:
        self.nvic = Nvic(self.time, self.part.interrupts)
        self.scb = Scb(self.nvic)
        self.fpu = Fpu(self.nvic)
        self.mpu = Mpu(self.bus)
        self.exceptions = Exceptions(self.cpu, self.memory, self.nvic, self.scb, self.fpu, mpu=self.mpu)
        self.systick = SysTick(self.time, self.nvic)
        self.core_debug = CoreDebug()
        self.dwt = Dwt(self.core_debug, self.core_cycles)
        self.nvic.changed = self.mpu.changed = self.cpu.end_slice
        self.time.shorten = self.cpu.end_slice
        self.scb.current_exception = self.exceptions.ipsr

    def _build_system(self, hse_hz: int | None) -> None:
        self.rcc = rcc = Rcc(self.time, self.bus, self.part, hse_hz)
        services = Services(self.time, self.bus, self.nvic)
        self.flash_controller = FlashController(services, self.flash, seed=self.seed)
        self.pwr = Pwr(self.part)
        self.dbgmcu = DbgMcu(self.part.idcode)
        self.syscfg = SysCfg()
        self.exti = Exti(self.nvic, self.syscfg, self.bus)
        self.iwdg = Iwdg(self.time, self.bus)
        self.pwr.scale_ready = lambda: rcc.scale_ready
        rcc.voltage_scale = lambda: self.pwr.voltage_scale
        rcc.wait_states = lambda: self.flash_controller.wait_states
        rcc.gate(self.pwr, APB1ENR, 28)
        rcc.gate(self.syscfg, APB2ENR, 14)
        self.gpio: dict[str, Gpio] = {}
        for letter in self.part.ports:
            port = self.gpio[letter] = Gpio(letter)
            port.on_input = partial(self.exti.pin_changed, letter)
            rcc.gate(port, AHB1ENR, ord(letter) - ord("A"))

    def _build_peripherals(self) -> None:
        rcc, services = self.rcc, Services(self.time, self.bus, self.nvic)
        self.adc_common = AdcCommon()
        self.adc = Adc(
            self.adc_common,
            services,
            clock_hz=lambda: rcc.pclk2_hz,
            temperature_channel=self.part.temperature_channel,
            seed=self.seed,
        )
        rcc.gate(self.adc, APB2ENR, 8)
        rcc.gate(self.adc_common, APB2ENR, 8)
        requests: dict[str, DmaRequest] = {self.adc.dma.name: self.adc.dma}
        self.usarts: dict[str, Usart] = {}
        for name in self.part.usarts:
            base, irq, enable, bit = _USARTS[name]
            clock = (lambda: rcc.pclk2_hz) if enable == APB2ENR else (lambda: rcc.pclk1_hz)
            usart = self.usarts[name] = Usart(name, base, irq, services, clock_hz=clock)
            requests |= {usart.tx_dma.name: usart.tx_dma, usart.rx_dma.name: usart.rx_dma}
            rcc.gate(usart, enable, bit)
        self.i2cs: dict[str, I2c] = {}
        for name, (base, irqs, bit) in _I2CS.items():
            i2c = self.i2cs[name] = I2c(name, base, irqs, services, clock_hz=lambda: rcc.pclk1_hz)
            requests |= {i2c.tx_dma.name: i2c.tx_dma, i2c.rx_dma.name: i2c.rx_dma}
            rcc.gate(i2c, APB1ENR, bit)
        self.spis: dict[str, Spi] = {}
        for name, (base, irq, enable, bit) in _SPIS.items():
            clock = (lambda: rcc.pclk2_hz) if enable == APB2ENR else (lambda: rcc.pclk1_hz)
            spi = self.spis[name] = Spi(name, base, irq, services, clock_hz=clock)
            requests |= {spi.tx_dma.name: spi.tx_dma, spi.rx_dma.name: spi.rx_dma}
            rcc.gate(spi, enable, bit)
        self.timers: dict[str, Timer] = {}
        for name, (base, irq, bit, width) in _TIMERS.items():
            timer = self.timers[name] = Timer(name, base, irq, services, width=width, clock_hz=lambda: rcc.timer_hz(1))
            rcc.gate(timer, APB1ENR, bit)
        self.dmas = [Dma(index, services, self.memory, requests) for index in (1, 2)]
        for dma in self.dmas:
            rcc.gate(dma, AHB1ENR, 20 + dma.index)
        rcc.on_change = [self.systick.clock_changed, *(timer.clock_changed for timer in self.timers.values())]

    def _place(self) -> None:
        """Put everything on the bus."""
        private: list[tuple[Peripheral, int, int]] = [
            (self.systick, self.systick.base, 0x20),
            (self.nvic, 0xE000_E100, 0x400),
            (self.scb, self.scb.base, 0x90),
            (self.mpu, self.mpu.base, 0x30),
            (self.core_debug, self.core_debug.base, 0x10),
            (self.fpu, self.fpu.base, 0x100),
            (self.dwt, self.dwt.base, 0x400),
            (self.dbgmcu, self.dbgmcu.base, 0x400),
            (self.adc, self.adc.base, 0x50),
            (self.adc_common, self.adc_common.base, 0x10),
        ]
        plain: list[Peripheral] = [self.flash_controller, self.pwr, self.syscfg, self.exti, self.iwdg]
        plain += [
            *self.gpio.values(),
            *self.usarts.values(),
            *self.i2cs.values(),
            *self.spis.values(),
            *self.timers.values(),
            *self.dmas,
        ]
        for peripheral, start, size in private:
            self.bus.add_range(peripheral, start, size)
        for peripheral in (*plain, self.rcc):
            self.bus.add(peripheral)
        self.debug_blocks: tuple[Peripheral, ...] = (self.core_debug, self.dbgmcu, self.dwt)
        """Reset by power-on only."""
        self.resettable: tuple[Peripheral, ...] = (
            *(peripheral for peripheral, _, _ in private if peripheral not in self.debug_blocks),
            *plain,
        )
        """Reset by every reset; RCC goes last and by itself."""

    def core_cycles(self) -> int:
        """HCLK cycles that the core's own counter sees."""
        return self.time.now_cycle
