"""InvenSense MPU-6500: RM-MPU-6500A-00 rev. 2.1 (RM), PS-MPU-6500A-01 rev. 1.1 (PS). What it shares is in mpu.py."""

from __future__ import annotations

import random

from ..timebase import PS_PER_US
from .mpu import Mpu
from .mpu_registers import (
    ACCEL_CONFIG_2,
    ACCEL_LSB_PER_G,
    CONFIG,
    GYRO_CONFIG,
    GYRO_LSB_PER_DPS,
    SMPLRT_DIV,
    Chip,
    Filter,
    Triple,
)

GYRO_FILTERS = tuple(
    Filter(*row)
    for row in (
        (250.0, 0.00097),
        (184.0, 0.0029),
        (92.0, 0.0039),
        (41.0, 0.0059),
        (20.0, 0.0099),
        (10.0, 0.01785),
        (5.0, 0.03348),
        (3600.0, 0.00017),
    )
)
"""RM register 26, by DLPF_CFG with FCHOICE_B = 0."""
GYRO_UNFILTERED = {1: Filter(8800.0, 0.000064), 3: Filter(8800.0, 0.000064), 2: Filter(3600.0, 0.00011)}
"""By FCHOICE_B; both run at 32 kHz."""
ACCEL_FILTERS = tuple(
    Filter(*row)
    for row in (
        (460.0, 0.00194),
        (184.0, 0.0058),
        (92.0, 0.0078),
        (41.0, 0.0118),
        (20.0, 0.0198),
        (10.0, 0.0357),
        (5.0, 0.06696),
        (460.0, 0.00194),
    )
)
"""RM register 29, by A_DLPF_CFG with ACCEL_FCHOICE_B = 0."""
ACCEL_UNFILTERED = Filter(1130.0, 0.00075)
_ACCEL_FCHOICE_B = 0x08
_GYRO_SELF_TEST, _ACCEL_SELF_TEST = 0x00, 0x0D


class Mpu6500(Mpu):
    """FIFO of 512 bytes, a filter for each of the two sensors."""

    chip = Chip(
        name="mpu6500",
        who_am_i=0x70,
        fifo_bytes=512,  # PS 4.16
        power_management_1=0x01,  # RM section 3: awake, clock chosen by itself
        accel_noise_g=300e-6,  # PS 3.2
        gyro_noise_dps=0.01,  # PS 3.1
        temperature_lsb_per_c=333.87,
        temperature_offset_c=21.0,  # RM registers 65 and 66, PS 3.3
        start_up_ps=11_000 * PS_PER_US,  # PS 3.3, register access, typical
        fifo_reset_needs_disable=False,
        has_fifo_mode=True,
    )

    def sample_rate_hz(self, registers: bytes | bytearray) -> float:
        """RM register 25: the divider acts only on the 1 kHz behind DLPF_CFG 1 to 6."""
        if registers[GYRO_CONFIG] & 3:
            return 32_000.0
        return 8_000.0 if registers[CONFIG] & 7 in (0, 7) else 1_000.0 / (1 + registers[SMPLRT_DIV])

    def filters(self, registers: bytes | bytearray) -> tuple[Filter, Filter]:
        """RM registers 26 and 29."""
        choice, accel = registers[GYRO_CONFIG] & 3, registers[ACCEL_CONFIG_2]
        return (
            ACCEL_UNFILTERED if accel & _ACCEL_FCHOICE_B else ACCEL_FILTERS[accel & 7],
            GYRO_UNFILTERED[choice] if choice else GYRO_FILTERS[registers[CONFIG] & 7],
        )

    def draw_trim_code(self, source: random.Random) -> int:
        """8 bits; responses of about 0.4 g and 50 deg/s (2,620 LSB times 1.01^90)."""
        return source.randint(80, 110)

    def trim_registers(self, codes: tuple[int, ...]) -> dict[int, int]:
        """RM registers 0 to 2 and 13 to 15."""
        return {
            **{_ACCEL_SELF_TEST + axis: codes[axis] for axis in range(3)},
            **{_GYRO_SELF_TEST + axis: codes[3 + axis] for axis in range(3)},
        }

    def trim_response(self, codes: tuple[int, ...]) -> tuple[Triple, Triple]:
        """2620 * 1.01^(code - 1) LSB at +-2 g and +-250 deg/s (InvenSense's self-test procedure, "ST_OTP").
        A part without code answers in the middle of the absolute limits: 0.45 g and more than 60 deg/s."""

        def response(code: int, lsb: float, without: float) -> float:
            return 2620 * 1.01 ** (code - 1) / lsb if code else without

        ax, ay, az = (response(code, ACCEL_LSB_PER_G[0], 0.45) for code in codes[:3])
        gx, gy, gz = (response(code, GYRO_LSB_PER_DPS[0], 80.0) for code in codes[3:])
        return (ax, ay, az), (gx, gy, gz)
