"""What the MPU-6500 model does otherwise than the MPU-6050, against RM-MPU-6500A (RM) and PS-MPU-6500A (PS)."""

from __future__ import annotations

import math
import struct

import pytest

from sensor_host import MpuHost
from virtual_board.motion import STANDARD_GRAVITY, Hand, Motion, Rotation, Still
from virtual_board.sensors.mpu6500 import Mpu6500

SMPLRT_DIV, CONFIG, GYRO_CONFIG, ACCEL_CONFIG, ACCEL_CONFIG_2, FIFO_EN = 0x19, 0x1A, 0x1B, 0x1C, 0x1D, 0x23
INT_STATUS, USER_CTRL, PWR_MGMT_1, FIFO_COUNT, FIFO_R_W, WHO_AM_I = 0x3A, 0x6A, 0x6B, 0x72, 0x74, 0x75


def make(*, motion: Motion | None = None, noise: bool = False, seed: int = 0, awake: bool = True) -> MpuHost[Mpu6500]:
    return MpuHost(Mpu6500, motion=motion, noise=noise, seed=seed, awake=awake)


def fifo_host(fifo_mode: int = 0) -> MpuHost[Mpu6500]:
    host = make(motion=Rotation(axis=(0, 1, 0), rate=3.0))
    host.write(CONFIG, 1 | fifo_mode)
    host.write(FIFO_EN, 0x78)
    host.write(USER_CTRL, 0x40)
    return host


def fifo_count(host: MpuHost[Mpu6500]) -> int:
    return int.from_bytes(host.read(FIFO_COUNT, 2), "big")


def test_it_wakes_by_itself_and_says_who_it_is() -> None:
    """RM section 3: reset values 0x01 of register 107 and 0x70 of register 117; PS 3.3: 11 ms to register access."""
    host = make(awake=False)
    host.pass_ms(10.9)
    assert not host.write(CONFIG, 0)
    host.pass_ms(20)
    assert host.read(WHO_AM_I) == b"\x70"
    assert host.read(PWR_MGMT_1) == b"\x01"
    assert host.imu.samples > 0


@pytest.mark.parametrize("celsius", [-10.0, 21.0, 60.0])
def test_temperature(celsius: float) -> None:
    """RM registers 65, 66: raw / 333.87 + 21."""
    host = make(motion=Still(temperature_c=celsius))
    host.pass_ms(5)
    assert host.sample()[3] / 333.87 + 21 == pytest.approx(celsius, abs=0.5 / 333.87)


@pytest.mark.parametrize(
    ("choice", "dlpf", "divider", "hz"),
    [(0, 1, 0, 1000), (0, 6, 4, 200), (0, 0, 4, 8000), (0, 7, 9, 8000), (1, 3, 9, 32000), (2, 3, 9, 32000)],
)
def test_the_divider_acts_only_behind_the_filter(choice: int, dlpf: int, divider: int, hz: float) -> None:
    """RM register 25."""
    host = make()
    host.write(SMPLRT_DIV, divider, dlpf, choice)
    before = host.imu.samples
    host.pass_ms(20_000 / hz + 0.001)
    assert host.imu.samples - before == 20


@pytest.mark.parametrize(("dlpf", "delay_ms"), [(0, 1.94), (1, 5.8), (3, 11.8), (6, 66.96), (8, 0.75)])
def test_the_accelerometer_has_a_filter_of_its_own(dlpf: int, delay_ms: float) -> None:
    """RM register 29: A_DLPF_CFG, ACCEL_FCHOICE_B; register 26: the gyroscope's 3.9 ms with DLPF_CFG 2."""
    motion = Hand(seed=5)
    host = make(motion=motion)
    host.write(CONFIG, 2)
    host.write(ACCEL_CONFIG_2, dlpf)
    host.pass_ms(500)
    raw, t = host.sample(), host.imu.sample_ps / 1e12
    accel, gyro = motion.at(t - delay_ms / 1e3), motion.at(t - 3.9e-3)
    assert raw[:3] == tuple(round(value / STANDARD_GRAVITY * 16384) for value in accel.acceleration)
    assert raw[4:] == tuple(round(math.degrees(value) * 131) for value in gyro.rate)


def test_its_fifo_has_512_bytes_and_drops_the_oldest() -> None:
    """PS 4.16; RM register 116."""
    host = fifo_host()
    host.pass_ms(42.1)
    assert fifo_count(host) == 42 * 12
    assert host.read(INT_STATUS) == b"\x00"
    host.pass_ms(8)
    assert fifo_count(host) == 512
    assert host.read(INT_STATUS) == b"\x10"
    data = host.read(FIFO_R_W, 512)
    assert struct.unpack(">6h", data[-12:]) == tuple(host.sample()[word] for word in (0, 1, 2, 4, 5, 6))


def test_with_fifo_mode_a_full_fifo_keeps_the_oldest() -> None:
    """RM register 26, FIFO_MODE."""
    host = fifo_host(0x40)
    host.pass_ms(1.1)
    first = host.sample()
    host.pass_ms(60)
    assert fifo_count(host) == 512
    assert host.read(INT_STATUS) == b"\x10"
    assert struct.unpack(">6h", host.read(FIFO_R_W, 12)) == tuple(first[word] for word in (0, 1, 2, 4, 5, 6))


def test_its_fifo_can_be_reset_while_enabled() -> None:
    """RM register 106: FIFO_RST has no condition."""
    host = fifo_host()
    host.pass_ms(3.1)
    host.write(USER_CTRL, 0x44)
    assert fifo_count(host) == 0
    assert host.read(USER_CTRL) == b"\x40"
    host.pass_ms(1)
    assert fifo_count(host) == 12


def self_test(host: MpuHost[Mpu6500]) -> list[float]:
    """Response over 2620 * 1.01^(code - 1) LSB, accelerometer at +-2 g, gyroscope at +-250 deg/s."""
    codes = host.read(0x0D, 3) + host.read(0x00, 3)
    outputs = []
    for test in (0, 0xE0):
        host.write(GYRO_CONFIG, test, test)
        host.pass_ms(250)
        sample = host.sample()
        outputs.append(sample[:3] + sample[4:])
    return [(on - off) / (2620 * math.pow(1.01, code - 1)) for off, on, code in zip(*outputs, codes, strict=True)]


@pytest.mark.parametrize("seed", range(3))
def test_the_self_test_answers_with_the_factory_trim(seed: int) -> None:
    assert self_test(make(seed=seed, motion=Still(up=(1, 1, 1)))) == pytest.approx([1] * 6, abs=1e-3)


def test_the_self_test_of_a_bad_part_deviates() -> None:
    host = make()
    host.imu.self_test_deviation = (-0.6, 0, 0, -0.7, 0, 0)
    assert self_test(host) == pytest.approx([0.4, 1, 1, 0.3, 1, 1], abs=1e-3)


def test_the_ranges_are_those_of_the_family() -> None:
    """RM registers 27, 28."""
    host = make(motion=Rotation(axis=(0, 0, 1), rate=math.radians(90)))
    host.write(GYRO_CONFIG, 0x18, 0x10)
    host.pass_ms(20)
    sample = host.sample()
    assert sample[2] == 4096
    assert sample[6] == round(90 * 16.4)
