"""The microcontroller: core, memories, bus and peripherals put together, and the loop that runs them."""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass, field

from unicorn import arm_const as arm

from .bus import Bus, Peripheral
from .cpu import Cpu, FaultKind, RegisterBatch, Stop
from .exceptions import Exceptions, Lockup
from .memory import Memory, Region
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
from .peripherals.systick import SysTick
from .peripherals.tim import Timer
from .peripherals.usart import Usart
from .scb import Fpu, Scb
from .thumb import unmask_distance
from .timebase import PS_PER_S, Timebase

FLASH_BASE, SRAM_BASE, CCM_BASE, SYSTEM_BASE = 0x0800_0000, 0x2000_0000, 0x1000_0000, 0x1FFF_0000
_BIT_BAND, _RAM_BIT_BAND = 0x4200_0000, 0x2200_0000
_SYSTEM_BYTES = 0x8000
_LONGEST_SLICE = 20_000_000
_AHB1ENR, _APB1ENR, _APB2ENR = 0x30, 0x40, 0x44
_USARTS = {
    "USART1": (0x4001_1000, 37, _APB2ENR, 4),
    "USART2": (0x4000_4400, 38, _APB1ENR, 17),
    "USART3": (0x4000_4800, 39, _APB1ENR, 18),
    "UART4": (0x4000_4C00, 52, _APB1ENR, 19),
    "UART5": (0x4000_5000, 53, _APB1ENR, 20),
    "USART6": (0x4001_1400, 71, _APB2ENR, 5),
}
_I2CS = {
    "I2C1": (0x4000_5400, (31, 32), 21),
    "I2C2": (0x4000_5800, (33, 34), 22),
    "I2C3": (0x4000_5C00, (72, 73), 23),
}
_TIMERS = {
    "TIM2": (0x4000_0000, 28, 0, 32),
    "TIM3": (0x4000_0400, 29, 1, 16),
    "TIM4": (0x4000_0800, 30, 2, 16),
    "TIM5": (0x4000_0C00, 50, 3, 32),
}


@dataclass
class Counters:
    """What a run has cost."""

    instructions: int = 0
    """Retired instructions; the core retires none while it sleeps."""
    asleep_ps: int = 0
    """Time spent in WFI and WFE."""
    exceptions: dict[str, int] = field(default_factory=dict)
    """Entries by exception."""
    max_latency_cycles: dict[str, int] = field(default_factory=dict)
    """Longest wait from pending to entry by exception."""
    lockups: int = 0
    resets: int = 0


class Machine:
    """One STM32F4 with its own virtual time."""

    def __init__(self, part: Part, *, hse_hz: int | None, seed: int, uid: bytes) -> None:
        self.part = part
        self.seed = seed
        self.time = Timebase(HSI_HZ)
        self.cpu = Cpu()
        self.bus = Bus()
        self.memory = Memory()
        self._asleep = False
        self._asleep_ps = 0
        self._asleep_cycles = 0
        self._locked_up = False
        self._lockups = 0
        self._resets = 0
        self._reset_wanted: str | None = None
        self._distances: dict[int, int] = {}
        self._build_memory(uid)
        self._build_peripherals(hse_hz)
        self._all_registers = RegisterBatch(
            self.cpu.core, [arm.UC_ARM_REG_R0 + n for n in range(13)] + [arm.UC_ARM_REG_LR, arm.UC_ARM_REG_SP]
        )
        self._special = RegisterBatch(
            self.cpu.core,
            [
                arm.UC_ARM_REG_IPSR,
                arm.UC_ARM_REG_CONTROL,
                arm.UC_ARM_REG_PRIMASK,
                arm.UC_ARM_REG_FAULTMASK,
                arm.UC_ARM_REG_BASEPRI,
                arm.UC_ARM_REG_PSP,
            ],
        )

    # ------------------------------------------------------------------ construction

    def _build_memory(self, uid: bytes) -> None:
        part, add = self.part, self.memory.add
        self.flash = bytearray(b"\xff" * (part.flash_kib << 10))
        self.sram = bytearray(part.sram_kib << 10)
        self.ccm = bytearray(part.ccm_kib << 10)
        system = bytearray(b"\xff" * _SYSTEM_BYTES)
        system[0x7A10:0x7A1C] = uid
        struct.pack_into("<H", system, 0x7A22, part.flash_kib)
        calibration = [VREFINT_V] + [temperature_v(celsius) for celsius in (30.0, 110.0)]
        struct.pack_into("<3H", system, 0x7A2A, *(round(volts / 3.3 * 4095) for volts in calibration))
        add(Region("flash", FLASH_BASE, self.flash, writable=False))
        add(Region("flash alias", 0, self.flash, writable=False))
        add(Region("sram", SRAM_BASE, self.sram, writable=True))
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

    def _build_peripherals(self, hse_hz: int | None) -> None:
        part, time, bus = self.part, self.time, self.bus
        self.nvic = nvic = Nvic(time, part.interrupts)
        self.scb = Scb(nvic)
        self.fpu = Fpu(nvic)
        self.exceptions = Exceptions(self.cpu, self.memory, nvic, self.scb, self.fpu)
        self.rcc = rcc = Rcc(time, bus, part, hse_hz)
        self.systick = SysTick(time, nvic)
        self.flash_controller = FlashController(bus)
        self.pwr = Pwr(part)
        self.core_debug = CoreDebug()
        self.dbgmcu = DbgMcu(part.idcode)
        self.dwt = Dwt(self.core_debug, self._core_cycles)
        self.syscfg = SysCfg()
        self.exti = Exti(nvic, self.syscfg, bus)
        self.gpio = {letter: Gpio(letter) for letter in part.ports}
        self.adc_common = AdcCommon()
        self.adc = Adc(self.adc_common, time, bus, nvic, lambda: rcc.pclk2_hz, part.temperature_channel, self.seed)
        self.iwdg = Iwdg(time, bus)
        self.usarts: dict[str, Usart] = {}
        self.i2cs: dict[str, I2c] = {}
        self.timers: dict[str, Timer] = {}
        requests: dict[str, DmaRequest] = {self.adc.dma.name: self.adc.dma}
        self.dmas = [Dma(index, bus, self.memory, nvic, requests) for index in (1, 2)]
        resettable: list[Peripheral] = [
            *(nvic, self.scb, self.fpu, self.systick, self.flash_controller, self.pwr),
            *(self.syscfg, self.exti, *self.gpio.values(), self.adc, self.adc_common, self.iwdg, *self.dmas),
        ]
        for name in part.usarts:
            base, irq, enable, bit = _USARTS[name]
            clock = (lambda: rcc.pclk2_hz) if enable == _APB2ENR else (lambda: rcc.pclk1_hz)
            usart = self.usarts[name] = Usart(name, base, irq, time, bus, nvic, clock)
            requests |= {usart.tx_dma.name: usart.tx_dma, usart.rx_dma.name: usart.rx_dma}
            rcc.gate(usart, enable, bit)
            resettable.append(usart)
        for name, (base, irqs, bit) in _I2CS.items():
            i2c = self.i2cs[name] = I2c(name, base, irqs, time, bus, nvic, lambda: rcc.pclk1_hz)
            requests |= {i2c.tx_dma.name: i2c.tx_dma, i2c.rx_dma.name: i2c.rx_dma}
            rcc.gate(i2c, _APB1ENR, bit)
            resettable.append(i2c)
        for name, (base, irq, bit, width) in _TIMERS.items():
            timer = self.timers[name] = Timer(name, base, irq, width, time, bus, nvic, lambda: rcc.timer_hz(1))
            rcc.gate(timer, _APB1ENR, bit)
            resettable.append(timer)
        for dma in self.dmas:
            dma.requests.update(requests)
            rcc.gate(dma, _AHB1ENR, 20 + dma.index)
        for letter, port in self.gpio.items():
            rcc.gate(port, _AHB1ENR, ord(letter) - ord("A"))
            port.on_input = lambda pin, level, letter=letter: self.exti.pin_changed(letter, pin, level)
        for peripheral, enable, bit in (
            (self.pwr, _APB1ENR, 28),
            (self.adc, _APB2ENR, 8),
            (self.adc_common, _APB2ENR, 8),
            (self.syscfg, _APB2ENR, 14),
        ):
            rcc.gate(peripheral, enable, bit)
        self._resettable = resettable
        for peripheral in (*resettable, rcc, self.dbgmcu, self.dwt):
            if peripheral not in (nvic, self.scb, self.systick, self.adc, self.adc_common):
                bus.add(peripheral)
        bus.add_range(nvic, 0xE000_E100, 0x400)
        for peripheral, size in ((self.systick, 0x20), (self.scb, 0x90), (self.core_debug, 0x10)):
            bus.add(peripheral, size)
        for peripheral, size in ((self.adc, 0x50), (self.adc_common, 0x10)):
            bus.add(peripheral, size)
        rcc.voltage_scale = lambda: self.pwr.voltage_scale
        rcc.wait_states = lambda: self.flash_controller.wait_states
        rcc.on_change = [self.systick.clock_changed, *(timer.clock_changed for timer in self.timers.values())]
        nvic.changed = self.cpu.end_slice
        self.time.shorten = self.cpu.end_slice
        self.scb.on_reset_request = lambda: self.request_reset("software")
        self.scb.current_exception = self.exceptions.ipsr
        self.iwdg.on_timeout = lambda: self.request_reset("watchdog")

    def _core_cycles(self) -> int:
        """HCLK cycles of the core; its clock stands in Sleep mode (RM0383 23.16.1)."""
        return self.time.now_cycle - (0 if self.dbgmcu.clock_in_sleep else self._asleep_cycles)

    # ----------------------------------------------------------------------- program

    def load(self, segments: list[tuple[int, bytes]]) -> None:
        """Put an image into flash. Raises BusError for a segment outside it."""
        for address, data in segments:
            region = self.memory.find(address, len(data))
            offset = address - region.start
            region.data[offset : offset + len(data)] = data
        self.cpu.forget_code()
        self._distances.clear()

    # ------------------------------------------------------------------------- resets

    def request_reset(self, cause: str) -> None:
        """Reset as soon as the instruction in progress is over."""
        self._reset_wanted = cause
        self.cpu.end_slice()

    def reset(self, cause: str) -> None:
        """Reset now. `power` loses memory; every other cause keeps SRAM. Causes: see `rcc.RESET_FLAGS`."""
        self._reset_wanted = None
        self._resets += 1
        if cause == "power":
            rng = random.Random(f"sram/{self.seed}/{self._resets}")
            self.sram[:] = rng.randbytes(len(self.sram))
            self.ccm[:] = rng.randbytes(len(self.ccm))
            for peripheral in (self.core_debug, self.dbgmcu, self.dwt):
                peripheral.reset()
        for peripheral in self._resettable:
            peripheral.reset()
        self.rcc.reset_by(cause)
        self._special.write([3, 0, 0, 0, 0, 0])  # privileged while the others are written
        self._special.write([0, 0, 0, 0, 0, 0])
        self.cpu.primask = self.cpu.faultmask = self.cpu.basepri = 0
        stack, entry = struct.unpack_from("<2I", self.flash)
        self._all_registers.write([0] * 13 + [0xFFFF_FFFF, stack & ~3])
        self.cpu.pc = entry & ~1
        self._asleep = self._locked_up = False

    # --------------------------------------------------------------------------- loop

    def run_until_ps(self, end_ps: int) -> None:
        """Let virtual time pass until `end_ps`; the core may be a few cycles past it."""
        time, nvic = self.time, self.nvic
        if time.now_ps >= end_ps:
            return
        reached: list[bool] = []
        time.at(end_ps, lambda: reached.append(True))
        while True:
            if time.cycle >= time.due_cycle:
                time.run_due()
                if self._reset_wanted is not None:
                    self.reset(self._reset_wanted)
                if reached:
                    return
            elif self._locked_up:
                time.cycle = time.due_cycle
            elif self._asleep:
                if nvic.pending & nvic.enabled and self.exceptions.wakes():
                    self._asleep = False
                else:
                    self._sleep()
            else:
                try:
                    self._execute()
                except Lockup:
                    self._locked_up = True
                    self._lockups += 1
                if self._reset_wanted is not None:
                    self.reset(self._reset_wanted)

    def _sleep(self) -> None:
        time = self.time
        cycles = time.due_cycle - time.cycle
        time.cycle = time.due_cycle
        self._asleep_cycles += cycles
        self._asleep_ps += cycles * PS_PER_S // time.hclk_hz

    def _execute(self) -> None:
        """One slice, up to the next event, and whatever ended it."""
        time, cpu, nvic = self.time, self.cpu, self.nvic
        limit = min(_LONGEST_SLICE, time.due_cycle - time.cycle)
        if nvic.pending & nvic.enabled:
            exception = self.exceptions.ready()
            if exception is not None:
                self.exceptions.enter(exception)
                if nvic.pending & nvic.enabled:
                    return
            elif self.exceptions.masked():
                limit = min(limit, self._distance())
        time.in_slice = cpu.retired_in_slice
        try:
            stop, retired = cpu.run(limit)
        finally:
            time.in_slice = None
        time.cycle += retired
        if stop is not Stop.LIMIT:
            self._handle(stop)

    def _handle(self, stop: Stop) -> None:
        exceptions = self.exceptions
        if stop in (Stop.WFI, Stop.WFE):
            self._asleep = not exceptions.wakes()
        elif stop is Stop.EXCEPTION_RETURN:
            if exceptions.leave() and self.scb.sleep_on_exit:
                self._asleep = not exceptions.wakes()
        elif stop is Stop.SVC:
            exceptions.supervisor_call()
        elif stop is Stop.BREAKPOINT:
            exceptions.breakpoint()
        else:
            fault = self.cpu.fault
            assert fault is not None
            if fault.kind is FaultKind.WRITE_PROTECTED:
                self.flash_controller.memory_written()
                exceptions.skip_instruction()
                self.time.cycle += 1
                self.cpu.instructions += 1
            else:
                exceptions.fault(fault)

    def _distance(self) -> int:
        """Instructions that can run before something may lift the mask that holds an exception back."""
        pc = self.cpu.pc
        distance = self._distances.get(pc)
        if distance is None:
            distance = unmask_distance(self.memory, pc)
            if pc < SRAM_BASE:
                self._distances[pc] = distance
        return distance

    # -------------------------------------------------------------------------- figures

    @property
    def counters(self) -> Counters:
        """A snapshot."""
        nvic = self.nvic
        return Counters(
            instructions=self.cpu.instructions,
            asleep_ps=self._asleep_ps,
            exceptions={nvic.exception_name(number): count for number, count in sorted(nvic.entries.items())},
            max_latency_cycles={
                nvic.exception_name(number): cycles for number, cycles in sorted(nvic.max_latency.items())
            },
            lockups=self._lockups,
            resets=self._resets,
        )
