"""InvenSense MPU-6050 as its host sees it.

Sources: RM = RM-MPU-6000A-00 rev. 4.2 (register map), PS = PS-MPU-6000A-00 rev. 3.4 (product specification). A sample
is the motion one filter delay before the sample's tick (RM 4.3, table of DLPF_CFG), plus white noise of the specified
density over the filter's bandwidth (PS 6.1, 6.2). What the filter would take off a vibration's amplitude is not
modelled, nor are the auxiliary I2C bus, motion detection and the self-test actuators.
"""

from __future__ import annotations

import math
import random
import struct
from collections import deque
from collections.abc import Callable

from ..motion import STANDARD_GRAVITY, Motion
from ..net import Net
from ..timebase import PS_PER_S, PS_PER_US, Event, Timebase

SMPLRT_DIV, CONFIG, GYRO_CONFIG, ACCEL_CONFIG = 0x19, 0x1A, 0x1B, 0x1C
FIFO_EN, INT_PIN_CFG, INT_ENABLE, INT_STATUS = 0x23, 0x37, 0x38, 0x3A
ACCEL_XOUT_H, GYRO_ZOUT_L = 0x3B, 0x48
SIGNAL_PATH_RESET, USER_CTRL, PWR_MGMT_1, PWR_MGMT_2 = 0x68, 0x6A, 0x6B, 0x6C
FIFO_COUNTH, FIFO_COUNTL, FIFO_R_W, WHO_AM_I = 0x72, 0x73, 0x74, 0x75
READ_ONLY = frozenset({INT_STATUS, *range(ACCEL_XOUT_H, 0x68), FIFO_COUNTH, FIFO_COUNTL, WHO_AM_I})
_DEVICE_RESET, _SLEEP = 0x80, 0x40
_DATA_RDY, _FIFO_OFLOW = 0x01, 0x10
_INT_LEVEL, _LATCH, _RD_CLEAR = 0x80, 0x20, 0x10
FIFO_BYTES = 1024

ACCEL_DELAY_S = (0.0, 0.0020, 0.0030, 0.0049, 0.0085, 0.0138, 0.0190, 0.0)
ACCEL_BANDWIDTH_HZ = (260.0, 184.0, 94.0, 44.0, 21.0, 10.0, 5.0, 260.0)
GYRO_DELAY_S = (0.00098, 0.0019, 0.0028, 0.0048, 0.0083, 0.0134, 0.0186, 0.00017)
GYRO_BANDWIDTH_HZ = (256.0, 188.0, 98.0, 42.0, 20.0, 10.0, 5.0, 3600.0)
"""RM 4.3 by DLPF_CFG; 7 is reserved there, PS gives 3,600 Hz and 0.17 ms for the unfiltered gyroscope of the family."""
ACCEL_LSB_PER_G = (16384.0, 8192.0, 4096.0, 2048.0)
GYRO_LSB_PER_DPS = (131.0, 65.5, 32.8, 16.4)
TEMPERATURE_LSB_PER_C, TEMPERATURE_OFFSET_C = 340.0, 36.53
ACCEL_NOISE_G = 400e-6
GYRO_NOISE_DPS = 0.005
"""Noise densities per root hertz (PS 6.1, 6.2)."""
START_UP_PS = 20_000 * PS_PER_US
"""Supply to register access (PS 6.3, typical)."""
RESET_PS = 1_000 * PS_PER_US
"""DEVICE_RESET until the bit clears; no document gives it."""
PULSE_PS = 50 * PS_PER_US
"""Width of an interrupt pulse that is not latched (RM 4.15)."""

Sample = tuple[int, int, int, int, int, int, int]
"""accel x y z, temperature, gyro x y z: the order of the registers."""


def _int16(value: float) -> int:
    return max(-32768, min(32767, round(value)))


class Mpu6050:
    """One device with its interrupt pin. Faults: `nack`, `present`, `who_am_i`."""

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
        self.address = address
        self.motion = motion
        self.odr_error_ppm = odr_error_ppm
        """Deviation of the sample clock; PS 6.2 allows 5 % on the internal oscillator, 1 % on the gyroscope's."""
        self.noise = noise
        self.nack = False
        """Answers nothing while set."""
        self.present = True
        """Unplugged while False: no answers, no interrupts. `VirtualBoard.connect_imu` also powers it down and up."""
        self.who_am_i = 0x68
        self.interrupt = Net("MPU6050_INT", pull=False)
        self.synchronise: Callable[[], None] = lambda: None
        """Called before a sample is taken: a controller that is behind with a burst catches up."""
        self.samples = 0
        """Samples taken since power-on."""
        self.sample_ps = 0
        """When the latest was taken."""
        self.overruns = 0
        """Bytes lost because the FIFO was full."""
        self._time = time
        self._random = random.Random(f"mpu6050/{seed}")
        self._tick: Event | None = None
        self._pointer: int | None = None
        self._first = False
        self._shadow: Sample = (0,) * 7
        self._latest: Callable[[], Sample] = lambda: (0,) * 7
        self._ready_at = 0
        self.power_on()

    # ------------------------------------------------------------------------- power

    def power_on(self) -> None:
        """Supply comes up: registers at their reset values, deaf for the start-up time."""
        self._ready_at = self._time.now_ps + START_UP_PS
        self._reset_registers()

    def power_off(self) -> None:
        """Supply is gone."""
        self._reset_registers()
        self.interrupt.drive("mpu6050", None)

    def _reset_registers(self) -> None:
        self._registers = bytearray(128)
        self._registers[PWR_MGMT_1] = _SLEEP
        self._status = 0
        self._fifo: deque[int] = deque()
        self._latest = lambda: (0,) * 7
        self._resetting_until = 0
        self._drive(active=False)
        self._schedule()

    # ---------------------------------------------------------------------- sampling

    @property
    def rate_hz(self) -> float:
        """Nominal sample rate: gyroscope output rate / (1 + SMPLRT_DIV), RM 4.2."""
        return (8000.0 if self._registers[CONFIG] & 7 in (0, 7) else 1000.0) / (1 + self._registers[SMPLRT_DIV])

    @property
    def period_ps(self) -> int:
        """True sample period, deviation included."""
        return round(PS_PER_S / (self.rate_hz * (1 + self.odr_error_ppm * 1e-6)))

    def _schedule(self) -> None:
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None
        if not self._registers[PWR_MGMT_1] & _SLEEP:
            self._tick = self._time.after(self.period_ps, self._on_tick)

    def _on_tick(self) -> None:
        due = self._time.now_ps if self._tick is None else self._tick.ps
        self._tick = self._time.at(due + self.period_ps, self._on_tick)
        if not self.present:
            return
        self.synchronise()
        self.samples += 1
        self.sample_ps = due
        self._latest = self._measure_later(due)
        if self._registers[USER_CTRL] & 0x40:
            self._fill_fifo()
        self._raise(_DATA_RDY)

    def _measure_later(self, ps: int) -> Callable[[], Sample]:
        """The sample is worked out when somebody reads it, with the ranges that held when it was taken."""
        dlpf, gyro_range, accel_range = (
            self._registers[CONFIG] & 7,
            self._registers[GYRO_CONFIG] >> 3 & 3,
            self._registers[ACCEL_CONFIG] >> 3 & 3,
        )
        result: list[Sample] = []

        def measure() -> Sample:
            if not result:
                result.append(self.quantise(ps / PS_PER_S, dlpf, gyro_range, accel_range))
            return result[0]

        return measure

    def quantise(self, t: float, dlpf: int, gyro_range: int, accel_range: int) -> Sample:
        """Motion at a time to register values: RM 4.17 to 4.19."""
        gyro = self.motion.at(t - GYRO_DELAY_S[dlpf])
        accel = gyro if ACCEL_DELAY_S[dlpf] == GYRO_DELAY_S[dlpf] else self.motion.at(t - ACCEL_DELAY_S[dlpf])
        per_ms2 = ACCEL_LSB_PER_G[accel_range] / STANDARD_GRAVITY
        per_rad = GYRO_LSB_PER_DPS[gyro_range] * 180 / math.pi
        accel_sigma = gyro_sigma = 0.0
        if self.noise:
            accel_sigma = ACCEL_NOISE_G * math.sqrt(ACCEL_BANDWIDTH_HZ[dlpf]) * ACCEL_LSB_PER_G[accel_range]
            gyro_sigma = GYRO_NOISE_DPS * math.sqrt(GYRO_BANDWIDTH_HZ[dlpf]) * GYRO_LSB_PER_DPS[gyro_range]
        gauss = self._random.gauss
        ax, ay, az = (_int16(value * per_ms2 + gauss(0.0, accel_sigma)) for value in accel.acceleration)
        gx, gy, gz = (_int16(value * per_rad + gauss(0.0, gyro_sigma)) for value in gyro.rate)
        temperature = _int16((accel.temperature_c - TEMPERATURE_OFFSET_C) * TEMPERATURE_LSB_PER_C)
        return (ax, ay, az, temperature, gx, gy, gz)

    def _fill_fifo(self) -> None:
        """RM 4.6 and 4.33: in register order, the oldest bytes go first when it is full."""
        enabled = self._registers[FIFO_EN]
        wanted = [bool(enabled & bit) for bit in (0x08, 0x08, 0x08, 0x80, 0x40, 0x20, 0x10)]
        for value, use in zip(self._latest(), wanted, strict=True):
            if use:
                self._fifo.extend(struct.pack(">h", value))
        lost = len(self._fifo) - FIFO_BYTES
        if lost > 0:
            for _ in range(lost):
                self._fifo.popleft()
            self.overruns += lost
            self._raise(_FIFO_OFLOW)

    # --------------------------------------------------------------------- interrupt

    def _raise(self, bit: int) -> None:
        """RM 4.15 to 4.16: the status bit sets when its enable does; the pin pulses or latches."""
        if not self._registers[INT_ENABLE] & bit:
            return
        self._status |= bit
        self._drive(active=True)
        if not self._registers[INT_PIN_CFG] & _LATCH:
            self._time.after(PULSE_PS, lambda: self._drive(active=False))

    def _drive(self, *, active: bool) -> None:
        if self.present:
            low = bool(self._registers[INT_PIN_CFG] & _INT_LEVEL)
            self.interrupt.drive("mpu6050", active != low)

    def _clear_status(self) -> None:
        self._status = 0
        self._drive(active=False)

    # --------------------------------------------------------------------- I2C target

    def start(self, *, read: bool) -> bool:
        """Addressed. A read freezes the data registers for the burst (RM 4.17: one sampling instant)."""
        if self.nack or not self.present or self._time.now_ps < self._ready_at:
            return False
        if read:
            self._shadow = self._latest()
        else:
            self._first = True
        return True

    def write(self, byte: int) -> bool:
        """The register address, then data to consecutive registers (PS 9.3)."""
        if self._first:
            self._pointer, self._first = byte, False
        elif self._pointer is not None:
            self._store(self._pointer & 0x7F, byte)
            self._advance()
        return True

    def read(self) -> int:
        """The register the pointer is at; the pointer moves on, except over the FIFO (RM 4.35)."""
        register = (self._pointer or 0) & 0x7F
        value = self._load(register)
        self._advance()
        return value

    def stop(self) -> None:
        """Nothing is left open."""

    def _advance(self) -> None:
        if self._pointer is not None and self._pointer != FIFO_R_W:
            self._pointer = (self._pointer + 1) & 0x7F

    def _load(self, register: int) -> int:
        value = self._registers[register]
        if ACCEL_XOUT_H <= register <= GYRO_ZOUT_L:
            value = struct.pack(">7h", *self._shadow)[register - ACCEL_XOUT_H]
        elif register == INT_STATUS:
            value = self._status
        elif register == FIFO_COUNTH:
            value = len(self._fifo) >> 8
        elif register == FIFO_COUNTL:
            value = len(self._fifo) & 0xFF
        elif register == FIFO_R_W:
            value = self._fifo.popleft() if self._fifo else 0
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
            if value & 0x04:
                self._fifo.clear()
            value &= ~0x07
        if register == FIFO_R_W:
            self._fifo.append(value)
            return
        if register == SIGNAL_PATH_RESET:
            return
        changed = self._registers[register] != value
        self._registers[register] = value
        if changed and register in (SMPLRT_DIV, CONFIG, PWR_MGMT_1):
            self._schedule()
        elif register == INT_PIN_CFG:
            self._drive(active=bool(self._status and value & _LATCH))
