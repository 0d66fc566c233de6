"""What an MPU measures: the motion, its filters' delays, noise and self-test as register values. Sources: see `mpu`."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Protocol

from ..motion import STANDARD_GRAVITY, Motion
from ..timebase import PS_PER_S
from .mpu_registers import ACCEL_CONFIG, ACCEL_LSB_PER_G, GYRO_CONFIG, GYRO_LSB_PER_DPS, Chip, Filter, Settings, Triple

Sample = tuple[int, int, int, int, int, int, int]
"""accel x y z, temperature, gyro x y z: the order of the registers."""
NO_RESPONSE: Triple = (0.0, 0.0, 0.0)


class Quantiser(Protocol):
    """What makes samples."""

    def quantise(self, t: float, settings: Settings) -> Sample:
        """Motion at a time to register values."""


class Measurement:
    """A sample that is worked out when somebody reads it, with the settings that held when it was taken."""

    __slots__ = ("_bytes", "_ps", "_sensor", "_settings")

    def __init__(self, sensor: Quantiser, ps: int, settings: Settings) -> None:
        self._sensor, self._ps, self._settings = sensor, ps, settings
        self._bytes: bytes | None = None

    def data(self) -> bytes:
        """Seven big-endian words."""
        if self._bytes is None:
            self._bytes = struct.pack(">7h", *self._sensor.quantise(self._ps / PS_PER_S, self._settings))
        return self._bytes


def _int16(value: float) -> int:
    return max(-32768, min(32767, round(value)))


def settings_of(
    chip: Chip,
    registers: bytes | bytearray,
    filters: tuple[Filter, Filter],
    responses: tuple[Triple, Triple],
    deviation: tuple[float, ...],
) -> Settings:
    """How samples are made; filters and self-test responses: accelerometer (g), then gyroscope (deg/s)."""
    accel_filter, gyro_filter = filters
    gyro_lsb = GYRO_LSB_PER_DPS[registers[GYRO_CONFIG] >> 3 & 3]
    accel_lsb = ACCEL_LSB_PER_G[registers[ACCEL_CONFIG] >> 3 & 3]

    def test(axes: int, response: Triple, deviated: tuple[float, ...], lsb: float) -> Triple:
        x, y, z = (
            value * (1 + wrong) * lsb if axes & bit else 0.0
            for value, wrong, bit in zip(response, deviated, (0x80, 0x40, 0x20), strict=True)
        )
        return (x, y, z)

    return Settings(
        gyro_delay_s=gyro_filter.delay_s,
        accel_delay_s=accel_filter.delay_s,
        per_rad=gyro_lsb * 180 / math.pi,
        per_ms2=accel_lsb / STANDARD_GRAVITY,
        gyro_sigma=chip.gyro_noise_dps * math.sqrt(gyro_filter.bandwidth_hz) * gyro_lsb,
        accel_sigma=chip.accel_noise_g * math.sqrt(accel_filter.bandwidth_hz) * accel_lsb,
        gyro_test=test(registers[GYRO_CONFIG], responses[1], deviation[3:], gyro_lsb),
        accel_test=test(registers[ACCEL_CONFIG], responses[0], deviation[:3], accel_lsb),
    )


def quantise(
    motion: Motion, t: float, settings: Settings, chip: Chip, gauss: Callable[[float, float], float] | None
) -> Sample:
    """Motion at a time to register values: RM 4.17 to 4.19. Beyond the range they saturate; `gauss` makes the noise."""
    gyro = motion.at(t - settings.gyro_delay_s)
    same = settings.accel_delay_s == settings.gyro_delay_s
    accel = gyro if same else motion.at(t - settings.accel_delay_s)

    def noise(sigma: float) -> float:
        return 0.0 if gauss is None else gauss(0.0, sigma)

    ax, ay, az = (
        _int16(value * settings.per_ms2 + test + noise(settings.accel_sigma))
        for value, test in zip(accel.acceleration, settings.accel_test, strict=True)
    )
    gx, gy, gz = (
        _int16(value * settings.per_rad + test + noise(settings.gyro_sigma))
        for value, test in zip(gyro.rate, settings.gyro_test, strict=True)
    )
    temperature = _int16((accel.temperature_c - chip.temperature_offset_c) * chip.temperature_lsb_per_c)
    return (ax, ay, az, temperature, gx, gy, gz)
