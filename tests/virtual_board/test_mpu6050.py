"""The MPU-6050 model as a host sees it, against RM-MPU-6000A (RM) and PS-MPU-6000A (PS)."""

from __future__ import annotations

import itertools
import math
import statistics
import struct

import pytest

from sensor_host import MpuHost
from virtual_board.motion import STANDARD_GRAVITY, Hand, Motion, Rotation, Still
from virtual_board.sensors.i2c_bus import I2cBus
from virtual_board.sensors.mpu6050 import Mpu6050
from virtual_board.timebase import Timebase

SMPLRT_DIV, CONFIG, GYRO_CONFIG, ACCEL_CONFIG, FIFO_EN = 0x19, 0x1A, 0x1B, 0x1C, 0x23
INT_PIN_CFG, INT_ENABLE, INT_STATUS, DATA = 0x37, 0x38, 0x3A, 0x3B
USER_CTRL, PWR_MGMT_1, FIFO_COUNT, FIFO_R_W, WHO_AM_I = 0x6A, 0x6B, 0x72, 0x74, 0x75


class Host(MpuHost[Mpu6050]):
    """An MPU-6050 at 0x68."""

    def __init__(
        self,
        *,
        awake: bool = True,
        motion: Motion | None = None,
        noise: bool = False,
        seed: int = 0,
        odr_error_ppm: float = 0,
    ) -> None:
        super().__init__(Mpu6050, awake=awake, motion=motion, noise=noise, seed=seed, odr_error_ppm=odr_error_ppm)


def test_it_is_deaf_for_the_start_up_time_then_asleep() -> None:
    host = Host(awake=False)
    host.pass_ms(19)
    assert not host.write(PWR_MGMT_1, 0)
    host.pass_ms(2)
    assert host.read(WHO_AM_I) == b"\x68"
    assert host.read(PWR_MGMT_1) == b"\x40", "RM 4.28: SLEEP after power-up"
    host.pass_ms(100)
    assert host.imu.samples == 0


@pytest.mark.parametrize("setting", range(4))
def test_acceleration_scales_by_the_chosen_range(setting: int) -> None:
    """RM 4.5 and 4.17: 16384, 8192, 4096, 2048 LSB/g."""
    host = Host(motion=Still(up=(1, -2, 2)))
    host.write(ACCEL_CONFIG, setting << 3)
    host.pass_ms(5)
    x, y, z = host.sample()[:3]
    lsb = 16384 >> setting
    assert [x, y, z] == [round(lsb * part) for part in (1 / 3, -2 / 3, 2 / 3)]


@pytest.mark.parametrize("setting", range(4))
def test_rates_scale_by_the_chosen_range(setting: int) -> None:
    """RM 4.4 and 4.19: 131, 65.5, 32.8, 16.4 LSB/(deg/s)."""
    host = Host(motion=Rotation(axis=(1, 2, -2), rate=math.radians(90)))
    host.write(GYRO_CONFIG, setting << 3)
    host.pass_ms(5)
    lsb = (131, 65.5, 32.8, 16.4)[setting]
    assert list(host.sample()[4:]) == [round(part * lsb) for part in (30, 60, -60)]


def test_values_beyond_the_range_saturate() -> None:
    host = Host(motion=Rotation(axis=(0, 0, -1), rate=math.radians(300)))
    host.pass_ms(5)
    assert host.sample()[6] == -32768


@pytest.mark.parametrize("celsius", [-10.0, 25.0, 36.53, 60.0])
def test_temperature(celsius: float) -> None:
    """RM 4.18: raw / 340 + 36.53."""
    host = Host(motion=Still(temperature_c=celsius))
    host.pass_ms(5)
    assert host.sample()[3] / 340 + 36.53 == pytest.approx(celsius, abs=0.5 / 340)


@pytest.mark.parametrize(
    ("dlpf", "divider", "hz"), [(0, 7, 1000), (1, 0, 1000), (3, 4, 200), (0, 0, 8000), (6, 255, 3.90625), (7, 79, 100)]
)
def test_the_sample_rate(dlpf: int, divider: int, hz: float) -> None:
    """RM 4.2 and 4.3: 8 kHz without the filter, else 1 kHz, over 1 + SMPLRT_DIV."""
    host = Host()
    host.write(SMPLRT_DIV, divider)
    host.write(CONFIG, dlpf)
    before = host.imu.samples
    host.pass_ms(10_000 / hz + 0.01)
    assert host.imu.rate_hz == hz
    assert host.imu.samples - before == 10


@pytest.mark.parametrize("ppm", [-50_000, 12_000, 50_000])
def test_the_sample_clock_may_be_off(ppm: int) -> None:
    """PS 6.2: 5 % on the internal oscillator."""
    host = Host(odr_error_ppm=ppm)
    host.write(CONFIG, 1)
    before = host.imu.samples
    host.pass_ms(10_000)
    assert host.imu.samples - before == pytest.approx(10_000 + ppm / 100, abs=1)


def test_a_sample_is_the_motion_one_filter_delay_ago() -> None:
    """RM 4.3: 4.8 ms for the gyroscope, 4.9 ms for the accelerometer with DLPF_CFG 3."""
    motion = Hand(seed=5)
    host = Host(motion=motion)
    host.write(CONFIG, 3)
    host.pass_ms(500)
    raw, t = host.sample(), host.imu.sample_ps / 1e12
    gyro, accel = motion.at(t - 0.0048), motion.at(t - 0.0049)
    assert raw[4:] == tuple(round(math.degrees(value) * 131) for value in gyro.rate)
    assert raw[:3] == tuple(round(value / STANDARD_GRAVITY * 16384) for value in accel.acceleration)


def test_noise_has_the_specified_density() -> None:
    """PS 6.1 and 6.2: 0.005 (deg/s)/rtHz and 400 ug/rtHz; DLPF_CFG 2 has 98 and 94 Hz (RM 4.3)."""
    host = Host(noise=True)
    host.write(CONFIG, 2)
    samples = []
    for _ in range(2000):
        host.pass_ms(1)
        samples.append(host.sample())
    columns = list(zip(*samples, strict=True))
    assert statistics.stdev(columns[0]) / 16384 == pytest.approx(400e-6 * math.sqrt(94), rel=0.08)
    assert statistics.stdev(columns[4]) / 131 == pytest.approx(0.005 * math.sqrt(98), rel=0.08)
    assert statistics.mean(columns[2]) / 16384 == pytest.approx(1, abs=5e-4)


def test_the_same_seed_gives_the_same_noise_and_another_does_not() -> None:
    def series(seed: int) -> list[tuple[int, ...]]:
        host = Host(noise=True, seed=seed)
        values = []
        for _ in range(20):
            host.pass_ms(1)
            values.append(host.sample())
        return values

    assert series(1) == series(1)
    assert series(1) != series(2)


def test_a_pulse_of_50_us_for_every_sample() -> None:
    """RM 4.15: active high, not latched, after reset."""
    host = Host()
    host.write(CONFIG, 1)
    host.write(INT_ENABLE, 1)
    host.pass_ms(3.5)
    rises = [at for at, level in host.edges if level]
    falls = [at for at, level in host.edges if not level]
    assert len(rises) == 3
    assert [later - earlier for earlier, later in itertools.pairwise(rises)] == [1000, 1000]
    assert [fall - rise for rise, fall in zip(rises, falls, strict=True)] == [50, 50, 50]


def test_without_the_enable_bit_nothing_rises() -> None:
    host = Host()
    host.pass_ms(5)
    assert host.edges == []
    assert host.read(INT_STATUS) == b"\x00"


def test_a_latched_interrupt_stays_until_its_status_is_read() -> None:
    host = Host()
    host.write(CONFIG, 1)
    host.write(INT_PIN_CFG, 0x20)
    host.write(INT_ENABLE, 1)
    host.pass_ms(2.5)
    assert host.imu.interrupt.level
    host.sample()
    assert host.imu.interrupt.level, "reading data does not clear it without INT_RD_CLEAR"
    assert host.read(INT_STATUS) == b"\x01"
    assert not host.imu.interrupt.level
    assert host.read(INT_STATUS) == b"\x00"


def test_any_read_clears_with_int_rd_clear() -> None:
    host = Host()
    host.write(CONFIG, 1)
    host.write(INT_PIN_CFG, 0x30)
    host.write(INT_ENABLE, 1)
    host.pass_ms(1.5)
    host.read(WHO_AM_I)
    assert not host.imu.interrupt.level


def test_active_low_turns_the_pin_over() -> None:
    host = Host()
    host.write(CONFIG, 1)
    host.write(INT_PIN_CFG, 0xA0)
    assert host.imu.interrupt.level
    host.write(INT_ENABLE, 1)
    host.pass_ms(1.5)
    assert not host.imu.interrupt.level
    host.read(INT_STATUS)
    assert host.imu.interrupt.level


def test_a_burst_shows_one_sampling_instant() -> None:
    """RM 4.17."""
    host = Host(motion=Rotation(axis=(0, 1, 0), rate=4.0))
    host.pass_ms(5)
    before = host.sample()
    host.imu.start(read=False)
    host.imu.write(DATA)
    host.imu.start(read=True)
    first = bytes(host.imu.read() for _ in range(7))
    host.pass_ms(3)
    rest = bytes(host.imu.read() for _ in range(7))
    assert struct.unpack(">7h", first + rest) == before
    assert host.sample() != before


def test_device_reset_takes_a_moment_and_forgets_everything() -> None:
    host = Host()
    host.write(GYRO_CONFIG, 0x18)
    host.write(PWR_MGMT_1, 0x80)
    assert host.read(PWR_MGMT_1) == b"\xc0"
    host.write(GYRO_CONFIG, 0x08)
    host.pass_ms(2)
    assert host.read(PWR_MGMT_1) == b"\x40"
    assert host.read(GYRO_CONFIG) == b"\x00", "written while resetting"


def test_sleep_stops_the_samples() -> None:
    host = Host()
    host.pass_ms(5)
    before = host.imu.samples
    host.write(PWR_MGMT_1, 0x40)
    host.pass_ms(5)
    assert host.imu.samples == before


def fifo_host(enabled: int = 0x78, *, motion: Motion | None = None) -> Host:
    host = Host(motion=motion)
    host.write(CONFIG, 1)
    host.write(FIFO_EN, enabled)
    host.write(USER_CTRL, 0x40)
    return host


def fifo_count(host: Host) -> int:
    return int.from_bytes(host.read(FIFO_COUNT, 2), "big")


@pytest.mark.parametrize(
    ("enabled", "words"),
    [(0x08, (0, 1, 2)), (0x10, (6,)), (0x78, (0, 1, 2, 4, 5, 6)), (0xF8, (0, 1, 2, 3, 4, 5, 6)), (0xA0, (3, 5))],
)
def test_the_fifo_collects_what_is_enabled_in_register_order(enabled: int, words: tuple[int, ...]) -> None:
    """RM 4.6, 4.31."""
    host = fifo_host(enabled, motion=Rotation(axis=(1, 2, 3), rate=2.0, temperature_c=20.0))
    host.pass_ms(1.01)
    first = host.sample()
    host.pass_ms(2)
    size = 2 * len(words)
    assert fifo_count(host) == 3 * size
    assert struct.unpack(f">{len(words)}h", host.read(FIFO_R_W, size)) == tuple(first[word] for word in words)
    assert fifo_count(host) == 2 * size


def test_the_fifo_reset_needs_the_fifo_disabled_and_clears_itself() -> None:
    """RM 4.27: "resets the FIFO buffer when set to 1 while FIFO_EN equals 0"."""
    host = fifo_host()
    host.pass_ms(3.01)
    host.write(USER_CTRL, 0x44)
    assert fifo_count(host) == 36
    assert host.read(USER_CTRL) == b"\x40"
    host.write(USER_CTRL, 0x04)
    assert fifo_count(host) == 0
    assert host.read(USER_CTRL) == b"\x00"
    host.pass_ms(3)
    assert fifo_count(host) == 0, "disabled, nothing is written to it"


def test_a_disabled_fifo_keeps_its_bytes_and_cannot_be_read() -> None:
    """RM 4.27: no write, no read, no change of state."""
    host = fifo_host(motion=Still(up=(0, 0, 1)))
    host.pass_ms(2.01)
    host.write(USER_CTRL, 0x00)
    host.read(FIFO_R_W, 12)
    assert fifo_count(host) == 24
    host.write(USER_CTRL, 0x40)
    assert struct.unpack(">3h", host.read(FIFO_R_W, 6)) == (0, 0, 16384)


def test_the_count_is_latched_by_its_high_byte() -> None:
    """RM 4.30."""
    host = fifo_host()
    host.pass_ms(2.01)
    assert host.read(FIFO_COUNT, 2) == b"\x00\x18"
    host.pass_ms(1)
    assert host.read(FIFO_COUNT + 1) == b"\x18", "the low byte alone shows what was latched"
    host.read(FIFO_COUNT)
    assert host.read(FIFO_COUNT + 1) == b"\x24"


def test_an_empty_fifo_repeats_the_last_byte_that_was_read() -> None:
    """RM 4.31."""
    host = fifo_host(0x10, motion=Rotation(rate=math.radians(100)))
    host.pass_ms(1.01)
    assert host.read(FIFO_R_W, 5) == (13100).to_bytes(2, "big") + bytes((13100 & 0xFF,)) * 3


def test_one_burst_may_read_the_count_and_the_fifo_behind_it() -> None:
    """RM 4.30, 4.31: the pointer goes from 0x72 to 0x74 and stays there."""
    host = fifo_host(0x08, motion=Still(up=(1, 0, 0)))
    host.pass_ms(2.01)
    data = host.read(FIFO_COUNT, 2 + 12)
    assert data[:2] == b"\x00\x0c"
    assert struct.unpack(">6h", data[2:]) == (16384, 0, 0) * 2


def test_a_full_fifo_drops_the_oldest_and_says_so() -> None:
    """RM 4.31: 1,024 bytes; the last sample is whole, the first is what is left of one."""
    host = fifo_host(motion=Rotation(axis=(0, 1, 0), rate=3.0))
    host.pass_ms(85.1)
    assert host.read(INT_STATUS) == b"\x00"
    host.pass_ms(5)
    assert fifo_count(host) == 1024
    assert host.imu.overruns == 90 * 12 - 1024
    assert host.read(INT_STATUS) == b"\x10", "set although the interrupt is not enabled"
    assert host.read(INT_STATUS) == b"\x00"
    data = host.read(FIFO_R_W, 1024)
    assert struct.unpack(">6h", data[-12:]) == tuple(host.sample()[word] for word in (0, 1, 2, 4, 5, 6))
    assert host.edges == []


def test_an_overflow_pulses_the_pin_when_it_is_enabled() -> None:
    """RM 4.15."""
    host = fifo_host()
    host.write(INT_ENABLE, 0x10)
    host.pass_ms(85.5)
    assert host.edges == []
    host.pass_ms(1)
    assert [level for _, level in host.edges] == [True, False]


def test_samples_in_the_fifo_keep_the_range_they_were_taken_with() -> None:
    host = fifo_host(0x08, motion=Still(up=(0, 0, 1)))
    host.pass_ms(1.01)
    host.write(ACCEL_CONFIG, 0x18)
    host.pass_ms(1)
    assert struct.unpack(">6h", host.read(FIFO_R_W, 12)) == (0, 0, 16384, 0, 0, 2048)


def test_a_host_may_write_the_fifo() -> None:
    host = fifo_host(0)
    host.write(FIFO_R_W, 1, 2, 3)
    assert fifo_count(host) == 3
    assert host.read(FIFO_R_W, 3) == b"\x01\x02\x03"


def accel_trim(code: int) -> float:
    """RM 4.1: factory trim in g."""
    return 0.34 * math.pow(0.92 / 0.34, (code - 1) / (2**5 - 2))


def gyro_trim(code: int) -> float:
    """RM 4.1: factory trim in deg/s."""
    return 25 * math.pow(1.046, code - 1)


def self_test(host: Host) -> list[float]:
    """RM 4.1: output with self-test less output without, at +-8 g and +-250 deg/s, over the factory trim, less 1."""
    codes = host.read(0x0D, 4)
    accel = [codes[axis] >> 5 << 2 | codes[3] >> (4 - 2 * axis) & 3 for axis in range(3)]
    gyro = [codes[axis] & 0x1F for axis in range(3)]
    trims = [accel_trim(code) * 4096 for code in accel] + [
        sign * 131 * gyro_trim(code) for sign, code in zip((1, -1, 1), gyro, strict=True)
    ]
    outputs = []
    for test in (0, 0xE0):
        host.write(GYRO_CONFIG, test, test | 0x10)
        host.pass_ms(250)
        sample = host.sample()
        outputs.append(sample[:3] + sample[4:])
    return [(on - off) / trim - 1 for off, on, trim in zip(*outputs, trims, strict=True)]


@pytest.mark.parametrize("seed", range(3))
def test_the_self_test_answers_with_the_factory_trim(seed: int) -> None:
    """RM 4.1, PS 6.1, 6.2: within +-14 %."""
    host = Host(seed=seed, motion=Still(up=(1, 1, 1)))
    assert self_test(host) == pytest.approx([0] * 6, abs=2e-3)


def test_the_self_test_of_a_bad_part_deviates() -> None:
    host = Host()
    host.imu.self_test_deviation = (0.2, 0.0, -0.3, 0.0, 0.5, -1.0)
    assert self_test(host) == pytest.approx(host.imu.self_test_deviation, abs=2e-3)


def test_each_axis_is_tested_by_its_own_bit() -> None:
    """RM 4.4, 4.5: XG_ST, YG_ST, ZG_ST and XA_ST, YA_ST, ZA_ST are bits 7, 6, 5."""
    host = Host(motion=Still(up=(0, 0, 1)))
    host.write(GYRO_CONFIG, 0x40, 0x20)
    host.pass_ms(5)
    x, y, z, _, gx, gy, gz = host.sample()
    assert (x, y, gx, gz) == (0, 0, 0, 0)
    assert z > 16384
    assert gy < 0


def test_two_of_them_share_a_bus_by_ad0() -> None:
    """PS 9.2: 0x68, 0x69 with AD0 high."""
    bus = I2cBus("bus")
    time = Timebase(100_000_000)
    devices = [Mpu6050(time, Still(), address=address) for address in (0x68, 0x69)]
    devices[1].who_am_i = 0x42
    for device in devices:
        bus.attach(device)
    time.cycle = time.cycle_at(10**11)
    answers = []
    for address in (0x68, 0x69):
        assert bus.start(address, read=False)
        bus.write(WHO_AM_I)
        assert bus.start(address, read=True)
        answers.append(bus.read(acknowledge=False))
    assert answers == [0x68, 0x42]


def test_read_only_registers_ignore_writes() -> None:
    host = Host()
    host.write(WHO_AM_I, 0)
    assert host.read(WHO_AM_I) == b"\x68"


def test_faults() -> None:
    host = Host()
    host.imu.who_am_i = 0x70
    assert host.read(WHO_AM_I) == b"\x70"
    host.imu.nack = True
    assert not host.write(CONFIG, 0)
    host.imu.nack = False
    host.imu.present = False
    assert not host.write(CONFIG, 0)
