"""Registers and numbers that the MPU-6050 and the MPU-6500 share, and the shape of what differs (sources: mpu.py)."""

from __future__ import annotations

from dataclasses import dataclass

SMPLRT_DIV, CONFIG, GYRO_CONFIG, ACCEL_CONFIG, ACCEL_CONFIG_2 = 0x19, 0x1A, 0x1B, 0x1C, 0x1D
FIFO_EN, INT_PIN_CFG, INT_ENABLE, INT_STATUS = 0x23, 0x37, 0x38, 0x3A
ACCEL_XOUT_H, GYRO_ZOUT_L = 0x3B, 0x48
SIGNAL_PATH_RESET, USER_CTRL, PWR_MGMT_1, PWR_MGMT_2 = 0x68, 0x6A, 0x6B, 0x6C
FIFO_COUNTH, FIFO_COUNTL, FIFO_R_W, WHO_AM_I = 0x72, 0x73, 0x74, 0x75
READ_ONLY = frozenset({INT_STATUS, *range(ACCEL_XOUT_H, 0x68), FIFO_COUNTH, FIFO_COUNTL, WHO_AM_I})
ACCEL_LSB_PER_G = (16384.0, 8192.0, 4096.0, 2048.0)
GYRO_LSB_PER_DPS = (131.0, 65.5, 32.8, 16.4)

Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Chip:
    """What differs between the parts, apart from filters and self-test."""

    name: str
    who_am_i: int
    fifo_bytes: int
    power_management_1: int
    """Reset value of PWR_MGMT_1."""
    accel_noise_g: float
    gyro_noise_dps: float
    """Noise densities per root hertz."""
    temperature_lsb_per_c: float
    temperature_offset_c: float
    """Temperature of raw 0."""
    start_up_ps: int
    """Supply to register access."""
    fifo_reset_needs_disable: bool
    """FIFO_RESET acts only while FIFO_EN of USER_CTRL is 0."""
    has_fifo_mode: bool


@dataclass(frozen=True, slots=True)
class Filter:
    """A low-pass filter of one of the sensors."""

    bandwidth_hz: float
    delay_s: float


@dataclass(frozen=True, slots=True)
class Settings:
    """How a sample is made; a new object whenever a register changes it."""

    gyro_delay_s: float
    accel_delay_s: float
    per_rad: float
    per_ms2: float
    gyro_sigma: float
    accel_sigma: float
    gyro_test: Triple
    """Self-test response in LSB, 0 where the axis is not under test."""
    accel_test: Triple
