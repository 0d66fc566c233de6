"""What InvenSense's MPU-6050 and MPU-6500 have in common, as their host sees it.

Sources: RM = RM-MPU-6000A-00 rev. 4.2, RM6500 = RM-MPU-6500A-00 rev. 2.1 (register maps), PS = PS-MPU-6000A-00
rev. 3.4. A sample is the motion one filter delay before its tick, plus white noise of the specified density over the
filter's bandwidth. What the filter would take off a vibration's amplitude is not modelled, nor are the auxiliary I2C
bus, motion detection, the low-power modes and the standby bits.
"""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Callable

from ..motion import Motion
from ..net import Net
from ..timebase import PS_PER_S, PS_PER_US, Event, Timebase
from .byte_fifo import ByteFifo
from .i2c_bus import I2cTarget
from .mpu_registers import (
    ACCEL_CONFIG,
    ACCEL_CONFIG_2,
    ACCEL_XOUT_H,
    CONFIG,
    FIFO_COUNTH,
    FIFO_COUNTL,
    FIFO_EN,
    FIFO_R_W,
    GYRO_CONFIG,
    GYRO_ZOUT_L,
    INT_ENABLE,
    INT_PIN_CFG,
    INT_STATUS,
    PWR_MGMT_1,
    READ_ONLY,
    SIGNAL_PATH_RESET,
    SMPLRT_DIV,
    USER_CTRL,
    WHO_AM_I,
    Chip,
    Filter,
    Settings,
    Triple,
)
from .mpu_signal import NO_RESPONSE, Measurement, Sample, quantise, settings_of

_SETTINGS = frozenset({SMPLRT_DIV, CONFIG, GYRO_CONFIG, ACCEL_CONFIG, ACCEL_CONFIG_2, PWR_MGMT_1})
_DEVICE_RESET, _SLEEP = 0x80, 0x40
_FIFO_ENABLE, _FIFO_RESET, _SIG_COND_RESET = 0x40, 0x04, 0x01
_FIFO_MODE = 0x40
_DATA_RDY, _FIFO_OFLOW = 0x01, 0x10
_INT_LEVEL, _LATCH, _RD_CLEAR = 0x80, 0x20, 0x10
_FIFO_FIELDS = (0x08, 0x08, 0x08, 0x80, 0x40, 0x20, 0x10)
"""Bit of FIFO_EN for accel x y z, temperature, gyro x y z: the order of the registers (RM 4.6, 4.31)."""

RESET_PS = 1_000 * PS_PER_US
"""DEVICE_RESET until the bit clears; no document gives it."""
PULSE_PS = 50 * PS_PER_US
"""Width of an interrupt pulse that is not latched (RM 4.14)."""


class Mpu(I2cTarget):
    """One device with its interrupt pin. Faults: `nack`, `present`, `who_am_i`, `self_test_deviation`."""

    chip: Chip

    def __init__(
        self,
        time: Timebase,
        motion: Motion,
        *,
        seed: int = 0,
        address: int = 0x68,
        odr_error_ppm: float = 0.0,
        noise: bool = True,
    ) -> None:
        self.name = self.chip.name
        self.address = address
        """0x68, or 0x69 with AD0 high (PS 9.2)."""
        self.motion = motion
        self.odr_error_ppm = odr_error_ppm
        """Deviation of the sample clock; PS 6.2 allows 5 % on the internal oscillator, 1 % on the gyroscope's."""
        self.noise = noise
        self.nack = False
        """Answers nothing while set."""
        self.present = True
        """Unplugged while False: no answers, no interrupts. `VirtualBoard.connect_imu` also powers it down and up."""
        self.who_am_i = self.chip.who_am_i
        self.interrupt = Net(f"{self.name}_INT", pull=False)
        self.synchronise: Callable[[], None] = lambda: None
        """Called before a sample enters the FIFO that is being read: a controller that is behind catches up."""
        self.samples = 0
        """Samples taken since power-on."""
        self.sample_ps = 0
        """When the latest was taken."""
        self.overruns = 0
        """Bytes lost because the FIFO was full."""
        self._self_test_deviation: tuple[float, ...] = (0.0,) * 6
        self._time = time
        self._random = random.Random(f"{self.name}/{seed}")
        self._tick: Event | None = None
        self._due_ps = 0
        self._rate_hz = 0.0
        self._pointer = 0
        self._first = False
        self._reading = False
        self._count_latch = 0
        self._fifo = ByteFifo(self.chip.fifo_bytes)
        self._ready_at = 0
        trim_source = random.Random(f"{self.name}/trim/{seed}")
        self.trim_codes: tuple[int, ...] = tuple(self.draw_trim_code(trim_source) for _ in range(6))
        """Factory trim codes of the self-test, accel x y z, gyro x y z; 0: the factory wrote none."""
        self.power_on()

    # ------------------------------------------------------- what a part has to say

    @abstractmethod
    def sample_rate_hz(self, registers: bytes | bytearray) -> float:
        """Nominal sample rate."""

    @abstractmethod
    def filters(self, registers: bytes | bytearray) -> tuple[Filter, Filter]:
        """Low-pass filters of the accelerometer and the gyroscope."""

    @abstractmethod
    def draw_trim_code(self, source: random.Random) -> int:
        """A trim code that a factory might write."""

    @abstractmethod
    def trim_registers(self, codes: tuple[int, ...]) -> dict[int, int]:
        """Registers that hold the trim codes."""

    @abstractmethod
    def trim_response(self, codes: tuple[int, ...]) -> tuple[Triple, Triple]:
        """Self-test response of the factory: accelerometer in g, gyroscope in deg/s."""

    # ------------------------------------------------------------------------- power

    def power_on(self) -> None:
        """Supply comes up: registers at their reset values, deaf for the start-up time."""
        self._ready_at = self._time.now_ps + self.chip.start_up_ps
        self._reset_registers()

    def power_off(self) -> None:
        """Supply is gone."""
        self._reset_registers()
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None
        self.interrupt.drive(self.name, None)

    def _reset_registers(self) -> None:
        self._registers = bytearray(128)
        self._registers[PWR_MGMT_1] = self.chip.power_management_1
        for register, value in self.trim_registers(self.trim_codes).items():
            self._registers[register] = value
        self._status = 0
        self._fifo.clear()
        self._fifo_record: tuple[int, Callable[[Measurement], Callable[[], bytes]]] | None = None
        self._latest = self._shadow = self._blank()
        self._resetting_until = 0
        self._reading = False
        self._drive(active=False)
        self._apply_settings()
        self._schedule()

    def _blank(self) -> Measurement:
        """The data registers before the first sample."""
        blank = Measurement(self, 0, Settings(0, 0, 0, 0, 0, 0, NO_RESPONSE, NO_RESPONSE))
        blank._bytes = bytes(14)
        return blank

    # ---------------------------------------------------------------------- settings

    @property
    def self_test_deviation(self) -> tuple[float, ...]:
        """Relative deviation of the self-test response from the factory's, accel x y z, gyro x y z."""
        return self._self_test_deviation

    @self_test_deviation.setter
    def self_test_deviation(self, value: tuple[float, ...]) -> None:
        self._self_test_deviation = value
        self._apply_settings()

    def _apply_settings(self) -> None:
        responses = self.trim_response(self.trim_codes)
        deviation = self._self_test_deviation
        filters = self.filters(self._registers)
        self._settings = settings_of(self.chip, self._registers, filters, responses, deviation)

    # ---------------------------------------------------------------------- sampling

    @property
    def rate_hz(self) -> float:
        """Nominal sample rate."""
        return self.sample_rate_hz(self._registers)

    @property
    def period_ps(self) -> int:
        """True sample period, deviation included."""
        return round(PS_PER_S / (self._rate_hz * (1 + self.odr_error_ppm * 1e-6)))

    def _schedule(self) -> None:
        self._rate_hz = self.rate_hz
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None
        if not self._registers[PWR_MGMT_1] & _SLEEP:
            self._due_ps = self._time.now_ps + self.period_ps
            self._tick = self._time.at(self._due_ps, self._on_tick)

    def _on_tick(self) -> None:
        due = self._due_ps
        self._due_ps = due + self.period_ps
        self._tick = self._time.at(self._due_ps, self._on_tick)
        if not self.present:
            return
        self.samples += 1
        self.sample_ps = due
        self._latest = Measurement(self, due, self._settings)
        if self._fifo_record is not None:
            self._fill_fifo()
        if self._registers[INT_ENABLE] & _DATA_RDY:
            self._raise(_DATA_RDY)

    def quantise(self, t: float, settings: Settings) -> Sample:
        """Motion at a time to register values."""
        return quantise(self.motion, t, settings, self.chip, self._random.gauss if self.noise else None)

    # -------------------------------------------------------------------------- FIFO

    def _choose_fifo_record(self) -> None:
        """RM 4.6, 4.31: what is enabled, in the order of the registers."""
        enabled = self._registers[FIFO_EN]
        places = [slice(2 * word, 2 * word + 2) for word, bit in enumerate(_FIFO_FIELDS) if enabled & bit]
        if not self._registers[USER_CTRL] & _FIFO_ENABLE or not places:
            self._fifo_record = None
            return

        def record(measurement: Measurement) -> Callable[[], bytes]:
            if len(places) == len(_FIFO_FIELDS):
                return measurement.data
            return lambda: b"".join(map(measurement.data().__getitem__, places))

        self._fifo_record = 2 * len(places), record

    def _fill_fifo(self) -> None:
        """RM 4.31: full, the oldest bytes go; on the MPU-6500 with FIFO_MODE the new ones do (RM6500 register 26)."""
        assert self._fifo_record is not None
        if self._reading and self._pointer == FIFO_R_W:
            self.synchronise()
        size, record = self._fifo_record
        keep_old = self.chip.has_fifo_mode and bool(self._registers[CONFIG] & _FIFO_MODE)
        lost = self._fifo.push(size, record(self._latest), keep_old=keep_old)
        if lost:
            self.overruns += lost
            self._raise(_FIFO_OFLOW)

    # --------------------------------------------------------------------- interrupt

    def _raise(self, bit: int) -> None:
        """RM 4.15, 4.16: an enabled interrupt sets its status and the pin pulses or latches. FIFO_OFLOW_INT is set
        in any case (RM 4.31, "automatically")."""
        enabled = self._registers[INT_ENABLE] & bit
        if enabled or bit == _FIFO_OFLOW:
            self._status |= bit
        if enabled:
            self._drive(active=True)
            if not self._registers[INT_PIN_CFG] & _LATCH:
                self._time.after(PULSE_PS, self._end_pulse)

    def _end_pulse(self) -> None:
        self._drive(active=False)

    def _drive(self, *, active: bool) -> None:
        if self.present:
            low = bool(self._registers[INT_PIN_CFG] & _INT_LEVEL)
            self.interrupt.drive(self.name, active != low)

    def _clear_status(self) -> None:
        self._status = 0
        self._drive(active=False)

    # --------------------------------------------------------------------- I2C target

    def start(self, *, read: bool) -> bool:
        """Addressed. A read freezes the data registers for the burst (RM 4.17: one sampling instant)."""
        if self.nack or not self.present or self._time.now_ps < self._ready_at:
            return False
        self._reading = read
        if read:
            self._shadow = self._latest
        else:
            self._first = True
        return True

    def write(self, byte: int) -> bool:
        """The register address, then data to consecutive registers (PS 9.3)."""
        if self._first:
            self._pointer, self._first = byte & 0x7F, False
        else:
            self._store(self._pointer, byte)
            self._advance()
        return True

    def read(self) -> int:
        """The register the pointer is at; the pointer moves on, except over the FIFO (RM 4.31)."""
        return self.read_block(1)[0]

    def read_block(self, count: int) -> bytes:
        """The next bytes of a burst."""
        out = bytearray()
        while len(out) < count and self._pointer != FIFO_R_W:
            out.append(self._load(self._pointer))
            self._advance()
        if len(out) < count:
            out += self._read_fifo(count - len(out))
        return bytes(out)

    def stop(self) -> None:
        """The transfer is over."""
        self._reading = False

    def _advance(self) -> None:
        if self._pointer != FIFO_R_W:
            self._pointer = self._pointer + 1 & 0x7F

    def _read_fifo(self, count: int) -> bytes:
        """RM 4.27: disabled, it cannot be read."""
        if self._registers[INT_PIN_CFG] & _RD_CLEAR:
            self._clear_status()
        return self._fifo.read(count) if self._registers[USER_CTRL] & _FIFO_ENABLE else bytes(count)

    def _load(self, register: int) -> int:
        value = self._registers[register]
        if ACCEL_XOUT_H <= register <= GYRO_ZOUT_L:
            value = self._shadow.data()[register - ACCEL_XOUT_H]
        elif register == INT_STATUS:
            value = self._status
        elif register == FIFO_COUNTH:
            # RM 4.30: reading the high byte loads both
            self._count_latch = len(self._fifo)
            value = self._count_latch >> 8
        elif register == FIFO_COUNTL:
            value = self._count_latch & 0xFF
        elif register == WHO_AM_I:
            value = self.who_am_i
        elif register == PWR_MGMT_1 and self._time.now_ps < self._resetting_until:
            value |= _DEVICE_RESET
        if register == INT_STATUS or self._registers[INT_PIN_CFG] & _RD_CLEAR:
            self._clear_status()
        return value

    def _store(self, register: int, value: int) -> None:
        if register in READ_ONLY or self._time.now_ps < self._resetting_until:
            return
        if register == PWR_MGMT_1 and value & _DEVICE_RESET:
            self._reset_registers()
            self._resetting_until = self._time.now_ps + RESET_PS
            return
        if register == USER_CTRL:
            value = self._control(value)
        elif register == FIFO_R_W:
            if self._registers[USER_CTRL] & _FIFO_ENABLE:
                self._fifo.push(1, lambda: bytes((value,)))
            return
        elif register == SIGNAL_PATH_RESET:
            return
        changed = self._registers[register] != value
        self._registers[register] = value
        if register in (USER_CTRL, FIFO_EN):
            self._choose_fifo_record()
        elif register == INT_PIN_CFG:
            self._drive(active=bool(self._status and value & _LATCH))
        elif changed and register in _SETTINGS:
            self._apply_settings()
            if register == PWR_MGMT_1 or self._rate_hz != self.rate_hz:
                self._schedule()

    def _control(self, value: int) -> int:
        """USER_CTRL: resets clear themselves (RM 4.27)."""
        if value & _FIFO_RESET and not (self.chip.fifo_reset_needs_disable and value & _FIFO_ENABLE):
            self._fifo.clear()
        if value & _SIG_COND_RESET:
            self._latest = self._blank()
        return value & ~0x07
