"""A board: a microcontroller, its sensors, their wires and its serial line."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from .boards import BOARDS, BoardSpec
from .elf import ImageError, load_segments
from .machine import Counters, Machine
from .memory import BusError
from .motion import Motion, Still
from .net import Net
from .rom_bootloader import RomBootloader
from .sensors.catalogue import Part, Surroundings, parse
from .sensors.i2c_bus import I2cBus
from .sensors.lsm6dso import Lsm6dso
from .sensors.mpu import Mpu
from .sensors.spi_bus import SpiBus
from .timebase import PS_PER_S, PS_PER_US
from .uart_line import UartLine

SPI_PARTS = ("lsm6dso",)


class VirtualBoard:
    """Runs a firmware image. See docs/architecture.md for the short version of this interface.

    Args:
        elf: the image.
        board: a name of `boards.BOARDS`.
        motion: what the sensors feel.
        parts: what is on the I2C bus, each `NAME` or `NAME@0xADDRESS` of `sensors.catalogue.I2C_PARTS`.
        seed: contents of SRAM at power-on and all noise; the same seed gives the same run, byte for byte.
        unit: which specimen of the board this is; gives the unique id.
        odr_error_ppm: deviation of the IMU's sample clock.
        noise: whether the sensors have their specified noise.
        flash: content of the flash before the image is put there (see `flash`); erased without.
        spi: what is on the SPI bus; `SPI_PARTS` has the names.

    Raises:
        ImageError: the file is no image for this board.
        ValueError: there is no such part.
    """

    def __init__(
        self,
        elf: str | os.PathLike[str],
        *,
        board: str = "nucleo_f411re",
        motion: Motion | None = None,
        parts: Sequence[str] = ("mpu6050",),
        seed: int = 0,
        unit: int = 0,
        odr_error_ppm: float = 0.0,
        noise: bool = True,
        flash: bytes | None = None,
        spi: Sequence[str] = (),
    ) -> None:
        self.spec: BoardSpec = BOARDS[board]
        self.uid = hashlib.sha256(f"{board}/{unit}".encode()).digest()[:12]
        self.machine = machine = Machine(self.spec.part, hse_hz=self.spec.hse_hz, seed=seed, uid=self.uid)
        if flash is not None:
            if len(flash) != len(machine.flash):
                raise ImageError(f"{len(flash)} bytes are not the flash of {board}: that has {len(machine.flash)}")
            machine.flash[:] = flash
        machine.flash_controller.on_power_cut = lambda: self.reset("power")
        segments = load_segments(Path(elf))
        try:
            machine.load(segments)
        except BusError as error:
            raise ImageError(f"{elf}: not linked for {board} ({error})") from error
        self.uart = UartLine(machine.time, machine.usarts[self.spec.uart], seed=seed)
        self.uart.tx_connected = lambda: self._alternate(self.spec.uart_tx) == self.spec.uart_alternate
        self.uart.rx_connected = lambda: self._alternate(self.spec.uart_rx) == self.spec.uart_alternate
        self._motion = motion or Still()
        self.ambient_c: float | None = None
        """Temperature of the air; None: that of the motion."""
        self.parts: dict[str, Part] = {}
        """What is on the I2C bus, by the text it was asked for with."""
        around = Surroundings(machine.time, self._motion, seed, odr_error_ppm, noise, self._ambient)
        for text in parts:
            entry, address = parse(text)
            if any(part.address == address for part in self.parts.values()):
                raise ValueError(f"{text!r}: address {address:#x} is taken; another one is written NAME@0xADDRESS")
            self.parts[text] = entry.make(around, address)
        self._wire_i2c()
        self._build_spi()
        self.lsm6dso: Lsm6dso | None = None
        """The one on the SPI bus."""
        if "lsm6dso" in spi:
            self.lsm6dso = Lsm6dso(machine.time, self._motion, seed=seed, odr_error_ppm=odr_error_ppm, noise=noise)
            self._attach_spi(self.lsm6dso)
        self._die_temperature_c = 31.0
        self._sensor_supply = True
        self._unplugged: set[str] = set()
        machine.adc.temperature_c = lambda: self._die_temperature_c
        if self.spec.sensor_power is not None:
            supply = Net("sensor supply", pull=False)
            self._wire(self.spec.sensor_power, supply)
            supply.watchers.append(self._power_sensors)
            self._sensor_supply = supply.level
            for part in self.parts.values():
                part.present = supply.level
            if self.lsm6dso is not None:
                self.lsm6dso.present = supply.level
        self.rom = RomBootloader(
            machine, self.uart, listens=(self.spec.uart_tx, self.spec.uart_rx) in self.spec.part.bootloader_pins
        )
        machine.reset("power")

    # ------------------------------------------------------------------------ wires

    def _pin(self, name: str) -> tuple[str, int]:
        return name[1], int(name[2:])

    def _wire(self, pin: str, net: Net) -> None:
        letter, number = self._pin(pin)
        self.machine.gpio[letter].connect(number, net)

    def _alternate(self, pin: str) -> int | None:
        letter, number = self._pin(pin)
        return self.machine.gpio[letter].alternate(number)

    def _i2c_connected(self) -> bool:
        for pin in (self.spec.scl, self.spec.sda):
            letter, number = self._pin(pin)
            port = self.machine.gpio[letter]
            if port.alternate(number) != self.spec.i2c_alternate:
                return False
            if not port.open_drain(number):
                self.machine.bus.violations[f"{pin}: an I2C pin that is not open-drain"] += 1
        return True

    def _build_spi(self) -> None:
        controller = self.machine.spis[self.spec.spi]
        self.spi_bus = controller.wires = SpiBus(self.spec.spi, self.machine.bus.violations)
        self.spi_bus.catch_up = controller.catch_up
        pins = (self.spec.sck, self.spec.miso, self.spec.mosi)
        controller.connected = lambda: all(self._alternate(pin) == self.spec.spi_alternate for pin in pins)
        letter, number = self._pin(self.spec.miso)
        self.spi_bus.idle = lambda: 0xFF if self.machine.gpio[letter].pulled_up(number) else 0x00

    def _attach_spi(self, device: Lsm6dso) -> None:
        chip_select = Net(f"{device.name}_CS", pull=True)
        self._wire(self.spec.chip_select, chip_select)
        self._wire(self.spec.data_ready_spi, device.interrupt)
        self.spi_bus.attach(device, chip_select)
        device.synchronise = self.machine.spis[self.spec.spi].catch_up
        device.notes = self.machine.bus.unmodelled

    def _wire_i2c(self) -> None:
        self.i2c_bus = I2cBus(self.spec.i2c)
        self._wire(self.spec.scl, self.i2c_bus.scl)
        self._wire(self.spec.sda, self.i2c_bus.sda)
        controller = self.machine.i2cs[self.spec.i2c]
        controller.wires = self.i2c_bus
        controller.connected = self._i2c_connected
        for part in self.parts.values():
            self.i2c_bus.attach(part)
        imus = self._imus()
        for imu in imus:
            imu.synchronise = controller.catch_up
            if isinstance(imu, Lsm6dso):
                imu.notes = self.machine.bus.unmodelled
        if imus:  # the bus has one data-ready line
            self._wire(self.spec.data_ready, imus[0].interrupt)

    def _imus(self) -> list[Mpu | Lsm6dso]:
        """Those on the I2C bus."""
        return [part for part in self.parts.values() if isinstance(part, Mpu | Lsm6dso)]

    @property
    def imu(self) -> Mpu:
        """The first MPU-6050 or MPU-6500 on the I2C bus.

        Raises:
            LookupError: there is none.
        """
        for part in self.parts.values():
            if isinstance(part, Mpu):
                return part
        raise LookupError("this board has no MPU on its I2C bus")

    def _power_sensors(self, level: bool) -> None:
        self._sensor_supply = level
        for name in self.parts:
            self._update(name)
        if self.lsm6dso is not None and self.lsm6dso.present != level:
            self.lsm6dso.set_present(present=level)

    def connect(self, name: str, *, connected: bool) -> None:
        """Take a part off the board or put it back; with its supply on it then powers up.

        Raises:
            KeyError: the board has no such part.
        """
        self.parts[name]
        (self._unplugged.discard if connected else self._unplugged.add)(name)
        self._update(name)

    def connect_imu(self, *, connected: bool) -> None:
        """`connect` for the IMU."""
        self.connect(next(name for name, part in self.parts.items() if part is self.imu), connected=connected)

    def _update(self, name: str) -> None:
        part, present = self.parts[name], self._sensor_supply and name not in self._unplugged
        if present and not part.present:
            part.present = True
            part.power_on()
        elif part.present and not present:
            part.power_off()
            part.present = False

    # ------------------------------------------------------------------------- scene

    @property
    def motion(self) -> Motion:
        """What the sensors feel."""
        return self._motion

    @motion.setter
    def motion(self, motion: Motion) -> None:
        self._motion = motion
        for imu in self._imus():
            imu.motion = motion
        if self.lsm6dso is not None:
            self.lsm6dso.motion = motion

    def _ambient(self, t: float) -> float:
        return self._motion.at(t).temperature_c if self.ambient_c is None else self.ambient_c

    # -------------------------------------------------------------------------- time

    @property
    def now_us(self) -> int:
        """Virtual time since power-on in microseconds."""
        return self.machine.time.now_ps // PS_PER_US

    def run(self, seconds: float) -> None:
        """Let virtual time pass."""
        self.machine.run_until_ps(self.machine.time.now_ps + round(seconds * PS_PER_S))

    def run_until(self, predicate: Callable[[], bool], limit_s: float, step_s: float = 0.001) -> bool:
        """Let virtual time pass until the predicate holds; it is asked every `step_s`. False: it did not within
        `limit_s`."""
        end = self.machine.time.now_ps + round(limit_s * PS_PER_S)
        while not predicate():
            if self.machine.time.now_ps >= end:
                return False
            self.run(step_s)
        return True

    def reset(self, cause: str = "pin") -> None:
        """Reset the microcontroller (not the sensors, unless the cause is `power`). Causes: see `rcc.RESET_FLAGS`."""
        if cause == "power":
            for part in self.parts.values():
                part.power_on()
            if self.lsm6dso is not None:
                self.lsm6dso.power_on()
        self.machine.reset(cause)

    def cut_power_at_flash_operation(self, number: int) -> None:
        """Let the supply fail, and return, in the middle of the operation with this number: a word programmed or a
        sector erased, from 1 for the next one."""
        self.machine.flash_controller.cut_at = self.machine.flash_controller.operations + number

    # ----------------------------------------------------------------------- figures

    @property
    def flash(self) -> bytes:
        """A copy of the flash, which outlives every reset."""
        return bytes(self.machine.flash)

    @property
    def instructions(self) -> int:
        """Instructions retired since power-on; none are retired asleep."""
        return self.machine.cpu.instructions

    @property
    def counters(self) -> Counters:
        """What the run has cost so far."""
        return self.machine.counters

    @property
    def unmodelled(self) -> Counter[str]:
        """Accesses that no model answers."""
        return self.machine.bus.unmodelled

    @property
    def unclocked(self) -> Counter[str]:
        """Accesses to peripherals whose clock was off."""
        return self.machine.bus.unclocked

    @property
    def violations(self) -> Counter[str]:
        """What the firmware did that the manuals forbid."""
        return self.machine.bus.violations

    @property
    def mcu_temperature_c(self) -> float:
        """Die temperature of the microcontroller."""
        return self._die_temperature_c

    @mcu_temperature_c.setter
    def mcu_temperature_c(self, value: float) -> None:
        self._die_temperature_c = value
