"""InvenSense MPU-6050: RM-MPU-6000A-00 rev. 4.2 (RM), PS-MPU-6000A-00 rev. 3.4 (PS). What it shares is in mpu.py."""

from __future__ import annotations

import random

from ..timebase import PS_PER_US
from .mpu import Mpu
from .mpu_registers import CONFIG, SMPLRT_DIV, Chip, Filter, Triple

ACCEL_FILTERS = tuple(
    Filter(*row)
    for row in (
        (260.0, 0.0),
        (184.0, 0.0020),
        (94.0, 0.0030),
        (44.0, 0.0049),
        (21.0, 0.0085),
        (10.0, 0.0138),
        (5.0, 0.0190),
        (260.0, 0.0),
    )
)
GYRO_FILTERS = tuple(
    Filter(*row)
    for row in (
        (256.0, 0.00098),
        (188.0, 0.0019),
        (98.0, 0.0028),
        (42.0, 0.0048),
        (20.0, 0.0083),
        (10.0, 0.0134),
        (5.0, 0.0186),
        (3600.0, 0.00017),
    )
)
"""RM 4.3 by DLPF_CFG; 7 is reserved there, PS gives 3,600 Hz and 0.17 ms for the unfiltered gyroscope of the family."""
_SELF_TEST_X, _SELF_TEST_A = 0x0D, 0x10


class Mpu6050(Mpu):
    """FIFO of 1,024 bytes; accelerometer and gyroscope share one filter setting."""

    chip = Chip(
        name="mpu6050",
        who_am_i=0x68,
        fifo_bytes=1024,  # PS 7.13
        power_management_1=0x40,
        accel_noise_g=400e-6,  # PS 6.2
        gyro_noise_dps=0.005,  # PS 6.1
        temperature_lsb_per_c=340.0,
        temperature_offset_c=36.53,  # RM 4.18
        start_up_ps=20_000 * PS_PER_US,  # PS 6.3, typical
        fifo_reset_needs_disable=True,  # RM 4.27
        has_fifo_mode=False,
    )

    def sample_rate_hz(self, registers: bytes | bytearray) -> float:
        """Gyroscope output rate / (1 + SMPLRT_DIV), RM 4.2."""
        return (8000.0 if registers[CONFIG] & 7 in (0, 7) else 1000.0) / (1 + registers[SMPLRT_DIV])

    def filters(self, registers: bytes | bytearray) -> tuple[Filter, Filter]:
        """RM 4.3."""
        setting = registers[CONFIG] & 7
        return ACCEL_FILTERS[setting], GYRO_FILTERS[setting]

    def draw_trim_code(self, source: random.Random) -> int:
        """5 bits (RM 4.1); parts that are sold lie in the middle."""
        return source.randint(8, 24)

    def trim_registers(self, codes: tuple[int, ...]) -> dict[int, int]:
        """RM 4.1: upper bits of the accelerometer's code above the gyroscope's, the lower ones all in SELF_TEST_A."""
        registers = {_SELF_TEST_X + axis: codes[axis] >> 2 << 5 | codes[3 + axis] for axis in range(3)}
        return {**registers, _SELF_TEST_A: (codes[0] & 3) << 4 | (codes[1] & 3) << 2 | codes[2] & 3}

    def trim_response(self, codes: tuple[int, ...]) -> tuple[Triple, Triple]:
        """RM 4.1: FT = 4096 * 0.34 * (0.92 / 0.34)^((code - 1) / 30) LSB at +-8 g and +-25 * 131 * 1.046^(code - 1) LSB
        at +-250 deg/s, negative for the y axis."""
        ax, ay, az = (0.34 * (0.92 / 0.34) ** ((code - 1) / 30) if code else 0.0 for code in codes[:3])
        gx, gy, gz = (
            sign * 25 * 1.046 ** (code - 1) if code else 0.0 for sign, code in zip((1, -1, 1), codes[3:], strict=True)
        )
        return (ax, ay, az), (gx, gy, gz)
