"""The LSM6DSO against its datasheet (DS12140) and application note (AN5192), register by register."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable

import pytest

from virtual_board.motion import STANDARD_GRAVITY, Hand, Motion, Rotation, Still, over
from virtual_board.sensors import lsm6dso_fifo, lsm6dso_signal
from virtual_board.sensors.lsm6dso import Lsm6dso
from virtual_board.timebase import PS_PER_S, Timebase

CONTINUOUS, FIFO_MODE, BYPASS = 6, 1, 0
GYRO, ACCEL, TEMPERATURE = 1, 2, 3


class Bench:
    """One device on a bench: virtual time, and register access over SPI."""

    def __init__(self, motion: Motion | None = None, *, noise: bool = False, odr_error_ppm: float = 0.0) -> None:
        self.time = Timebase(100_000_000)
        self.device = Lsm6dso(self.time, motion or Still(), noise=noise, odr_error_ppm=odr_error_ppm)
        self.edges: list[float] = []
        self.device.interrupt.watchers.append(self._edge)
        self.wait(0.011)

    def _edge(self, level: bool) -> None:
        if level:
            self.edges.append(self.time.now_ps / PS_PER_S)

    def wait(self, seconds: float) -> None:
        end = self.time.now_cycle + round(seconds * self.time.hclk_hz)
        while self.time.due_cycle <= end:
            self.time.cycle = max(self.time.cycle, self.time.due_cycle)
            self.time.run_due()
        self.time.cycle = end

    def read(self, register: int, count: int = 1) -> bytes:
        self.device.select()
        answer = self.device.transfer(bytes((0x80 | register, *bytes(count))))
        self.device.deselect()
        assert answer is not None
        return answer[1:]

    def write(self, register: int, *values: int) -> None:
        self.device.select()
        self.device.transfer(bytes((register, *values)))
        self.device.deselect()

    def level(self) -> int:
        low, high = self.read(0x3A, 2)
        return low | (high & 3) << 8

    def fifo(self, odr: int = 0xA, *, watermark: int = 0, mode: int = CONTINUOUS, batch: int | None = None) -> None:
        """Both sensors at one rate, into the FIFO."""
        self.write(0x07, watermark & 0xFF, watermark >> 8)
        self.write(0x09, odr << 4 | odr if batch is None else batch)
        self.write(0x0D, 0x08)
        self.write(0x0A, mode)
        self.write(0x10, odr << 4, odr << 4)

    def words(self, count: int) -> list[tuple[int, int, tuple[int, int, int]]]:
        """(sensor, TAG_CNT, x y z) of the next words."""
        data = self.read(0x78, 7 * count)
        found = []
        for at in range(0, len(data), 7):
            tag = data[at]
            assert tag.bit_count() % 2 == 0, "parity"
            found.append((tag >> 3, tag >> 1 & 3, struct.unpack_from("<3h", data, at + 1)))
        return found


@pytest.fixture
def bench() -> Bench:
    return Bench()


# --------------------------------------------------------------------------- registers


def test_registers_after_power_on(bench: Bench) -> None:
    """Table 19."""
    assert bench.read(0x0F) == b"\x6c"
    assert bench.read(0x12) == b"\x04", "CTRL3_C: IF_INC"
    assert bench.read(0x18) == b"\xe0", "CTRL9_XL"
    assert bench.read(0x10, 2) == bytes(2), "power-down"


def test_it_is_deaf_for_its_boot_time() -> None:
    device = Lsm6dso(Timebase(100_000_000), Still())
    device.select()
    assert device.transfer(b"\x8f\0") is None
    assert not device.start(read=False)


def test_a_software_reset_clears_itself_and_everything_else(bench: Bench) -> None:
    bench.fifo()
    bench.write(0x12, 0x05)
    assert bench.read(0x12)[0] & 1
    bench.write(0x10, 0xA0)
    bench.wait(60e-6)
    assert bench.read(0x12) == b"\x04"
    assert bench.read(0x10) == b"\0", "writes during the reset are lost"
    bench.wait(0.01)
    assert bench.level() == 0


def test_auto_increment_can_be_switched_off(bench: Bench) -> None:
    """9.14, IF_INC."""
    assert bench.read(0x0F, 2) == b"\x6c\x00"
    bench.write(0x12, 0x00)
    assert bench.read(0x0F, 2) == b"\x6c\x6c"


def test_read_only_registers_ignore_writes_and_what_is_left_out_is_noted(bench: Bench) -> None:
    bench.write(0x0F, 0x55)
    assert bench.read(0x0F) == b"\x6c"
    assert not bench.device.notes
    bench.write(0x5E, 0x20)
    bench.write(0x0A, 0x04)
    assert set(bench.device.notes) == {"LSM6DSO register 0x5E bits 0x20", "LSM6DSO FIFO mode 4"}


def test_i2c_reads_and_writes_like_spi(bench: Bench) -> None:
    device = bench.device
    assert device.start(read=False)
    assert device.write(0x10)
    assert device.write(0x38)
    assert device.write(0x5C)
    device.stop()
    assert device.start(read=False)
    assert device.write(0x0F)
    assert device.start(read=True)
    assert [device.read() for _ in range(3)] == [0x6C, 0x38, 0x5C]
    device.stop()
    bench.write(0x13, 0x04)
    assert not device.start(read=False), "I2C_disable (9.15)"


def test_faults(bench: Bench) -> None:
    bench.device.who_am_i = 0x6A
    assert bench.read(0x0F) == b"\x6a"
    bench.device.nack = True
    assert not bench.device.start(read=True)
    assert bench.device.transfer(b"\x8f\0") is None
    bench.device.nack = False
    bench.write(0x10, 0x50)
    bench.device.set_present(present=False)
    assert not bench.device.start(read=True)
    bench.device.set_present(present=True)
    bench.wait(0.011)
    assert bench.read(0x10) == b"\0", "it has powered up anew"


# ----------------------------------------------------------------------------- outputs


@pytest.mark.parametrize(("fs", "mg"), [(0, 0.061), (1, 0.488), (2, 0.122), (3, 0.244)])
def test_accelerometer_ranges(fs: int, mg: float) -> None:
    """Table 2 and 9.12."""
    bench = Bench(Still(up=(0.0, 0.6, 0.8)))
    bench.write(0x10, 0x50 | fs << 2)
    bench.wait(0.02)
    assert struct.unpack("<3h", bench.read(0x28, 6)) == pytest.approx((0, 600 / mg, 800 / mg), abs=0.51)


@pytest.mark.parametrize(("bits", "mdps"), [(0x0, 8.75), (0x4, 17.5), (0x8, 35), (0xC, 70), (0x2, 4.375)])
def test_gyroscope_ranges_and_turn_on(bits: int, mdps: float) -> None:
    """Table 2 and 9.13; Ton 35 ms."""
    bench = Bench(Rotation(axis=(1.0, 2.0, 2.0), rate=1.5))
    bench.write(0x11, 0x50 | bits)
    bench.wait(0.02)
    early = struct.unpack("<3h", bench.read(0x22, 6))
    assert 0 < early[1] < 0.6 * math.degrees(1.0) * 1000 / mdps
    bench.wait(0.03)
    expected = [math.degrees(rate) * 1000 / mdps for rate in (0.5, 1.0, 1.0)]
    assert struct.unpack("<3h", bench.read(0x22, 6)) == pytest.approx(expected, abs=0.51)


def test_outputs_saturate() -> None:
    bench = Bench(Rotation(axis=(0.0, 0.0, -1.0), rate=10.0))
    bench.write(0x11, 0x50)
    bench.wait(0.05)
    assert struct.unpack("<3h", bench.read(0x22, 6))[2] == -32768


def test_temperature() -> None:
    """Table 4: 256 LSB/degC, 0 at 25 degC."""
    bench = Bench(Still(temperature_c=31.5))
    bench.write(0x10, 0x50)
    bench.wait(0.03)
    assert struct.unpack("<h", bench.read(0x20, 2)) == (1664,)


def test_status_says_what_is_new(bench: Bench) -> None:
    """9.26: reset by reading a high byte."""
    assert bench.read(0x1E) == b"\0"
    bench.write(0x10, 0x40, 0x40)
    bench.wait(0.025)
    assert bench.read(0x1E) == b"\x07"
    bench.read(0x28, 6)
    assert bench.read(0x1E) == b"\x06"
    bench.read(0x20, 8)
    assert bench.read(0x1E) == b"\0"
    bench.wait(0.0101)
    assert bench.read(0x1E) == b"\x03", "a sample on; the temperature has 52 Hz"


@pytest.mark.parametrize(
    ("sensor", "register", "code", "sign"),
    [
        ("accel", 0x28, 0x01, 1),
        ("accel", 0x28, 0x02, -1),
        ("gyro", 0x22, 0x04, 1),
        ("gyro", 0x22, 0x0C, -1),
    ],
)
def test_self_test_moves_every_axis_within_the_limits(sensor: str, register: int, code: int, sign: int) -> None:
    """Table 2: 50 to 1700 mg; 150 to 700 dps at 2000 dps. 9.16: ST_XL, ST_G."""
    bench = Bench()
    bench.write(0x10, 0x38, 0x5C)
    bench.wait(0.1)
    before = struct.unpack("<3h", bench.read(register, 6))
    bench.write(0x14, code)
    bench.wait(0.1)
    after = struct.unpack("<3h", bench.read(register, 6))
    scale, low, high = (0.122, 50, 1700) if sensor == "accel" else (0.070, 150, 700)
    for old, new in zip(before, after, strict=True):
        assert low <= sign * (new - old) * scale <= high


def test_noise_is_as_dense_as_specified() -> None:
    """Table 2: 70 ug/sqrt(Hz) over half the rate; 3.8 mdps/sqrt(Hz) over LPF2's bandwidth."""
    bench = Bench(noise=True)
    bench.fifo(8)
    bench.wait(0.04)
    accel, gyro = [], []
    for _ in range(20):
        bench.wait(0.06)
        words = bench.words(bench.level())
        accel += [xyz[0] for sensor, _, xyz in words if sensor == ACCEL]
        gyro += [xyz[0] for sensor, _, xyz in words if sensor == GYRO]

    def deviation(values: list[int]) -> float:
        mean = sum(values) / len(values)
        return math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))

    assert len(accel) == len(gyro) > 1900
    assert deviation(accel) * 0.061 == pytest.approx(0.070 * math.sqrt(6667 / 8), rel=0.07)
    assert deviation(gyro) * 8.75 == pytest.approx(3.8 * math.sqrt(1108.1), rel=0.07)


def test_the_same_seed_gives_the_same_noise() -> None:
    def run() -> list[tuple[int, int, tuple[int, int, int]]]:
        bench = Bench(noise=True)
        bench.fifo()
        bench.wait(0.05)
        return bench.words(100)

    assert run() == run()


# -------------------------------------------------------------------------------- FIFO


def test_words_come_in_time_order_with_tags(bench: Bench) -> None:
    """9.75; AN: slots of one TAG_CNT."""
    bench.fifo(watermark=0)
    bench.wait(10.5 / 6667)
    assert bench.level() == 20
    words = bench.words(20)
    assert [sensor for sensor, _, _ in words] == [GYRO, ACCEL] * 10
    assert [count for _, count, _ in words] == [n // 2 % 4 for n in range(20)]
    assert words[1][2] == (0, 0, round(1000 / 0.061))
    assert bench.level() == 0


def test_a_word_in_pieces_and_the_wrap_behind_0x7e(bench: Bench) -> None:
    bench.fifo()
    bench.wait(2.5 / 6667)
    whole = Bench()
    whole.fifo()
    whole.wait(2.5 / 6667)
    expected = whole.read(0x78, 28)
    pieces = bench.read(0x78, 3)
    assert bench.level() == 4, "a word goes with its last byte"
    assert pieces == expected[:3]
    assert bench.read(0x7B, 4 + 21) == expected[3:]
    assert bench.read(0x78, 7) == bytes(7), "empty"


def test_sensors_at_different_rates_share_slots(bench: Bench) -> None:
    """BDR_GY 1667 Hz, BDR_XL 416 Hz, temperature 52 Hz (9.6, 9.7)."""
    bench.write(0x09, 0x86)
    bench.write(0x0A, 0x36)
    bench.write(0x10, 0xA0, 0xA0)
    bench.wait(128.5 / 6667)
    words = bench.words(bench.level())
    assert [sensor for sensor, _, _ in words[:5]] == [GYRO, GYRO, GYRO, GYRO, ACCEL]
    counts = [sum(sensor == wanted for sensor, _, _ in words) for wanted in (GYRO, ACCEL, TEMPERATURE)]
    assert counts == [32, 8, 1]
    assert words[4][1] == words[3][1] != words[2][1]


def test_nothing_is_batched_faster_than_it_is_sampled(bench: Bench) -> None:
    bench.fifo(5, batch=0xAA)
    bench.wait(0.1)
    assert bench.level() == 2 * 20


@pytest.mark.parametrize(("odr", "hz"), [(1, 12.5), (2, 26), (3, 52), (4, 104), (5, 208), (6, 416), (7, 833)])
def test_rates(bench: Bench, odr: int, hz: float) -> None:
    """9.12."""
    bench.write(0x10, odr << 4)
    bench.wait(10.0)
    assert bench.device.samples == pytest.approx(10 * hz, rel=0.05, abs=1)


@pytest.mark.parametrize("error_ppm", [-50_000, 0, 50_000])
def test_the_clock_is_off_by_its_error_and_says_so(error_ppm: int) -> None:
    """AN: ODR = 6667 Hz (1 + 0.0015 INTERNAL_FREQ_FINE) / coefficient."""
    bench = Bench(odr_error_ppm=error_ppm)
    bench.write(0x10, 0xA0)
    bench.wait(1.0)
    assert bench.device.samples == pytest.approx(6667 * (1 + error_ppm * 1e-6), abs=1)
    fine = struct.unpack("b", bench.read(0x63))[0]
    assert fine * 0.0015 == pytest.approx(error_ppm * 1e-6, abs=0.00075)


def test_the_error_may_change_on_the_way(bench: Bench) -> None:
    bench.write(0x10, 0xA0)
    bench.wait(0.5)
    bench.device.odr_error_ppm = 50_000
    bench.wait(0.5)
    assert bench.device.samples == pytest.approx(6667 * 1.025, abs=2)


def test_int1_follows_the_watermark(bench: Bench) -> None:
    """INT1_FIFO_TH: high while the level is at or above it (9.9, 9.39)."""
    bench.fifo(watermark=100)
    bench.wait(0.1)
    start = 0.011
    assert bench.edges == [pytest.approx(start + 50 / 6667, abs=1e-6)]
    assert bench.read(0x3B)[0] & 0x80
    bench.words(bench.level() - 99)
    assert not bench.device.interrupt.level
    bench.wait(1.5 / 6667)
    assert bench.device.interrupt.level
    assert len(bench.edges) == 2


def test_edges_do_not_drift(bench: Bench) -> None:
    """The n-th crossing is where the n-th block ends, when each is read at once."""
    bench.fifo(watermark=20)
    for _ in range(200):
        bench.wait(0.1)
        assert bench.device.interrupt.level
        bench.words(bench.level())
    gaps = [(b - a) * 6667 for a, b in zip(bench.edges, bench.edges[1:], strict=False)]
    assert all(abs(gap - round(gap)) < 0.01 for gap in gaps)
    assert len(bench.edges) == 200


def test_int1_can_be_inverted_open_drain_or_off(bench: Bench) -> None:
    """9.14: H_LACTIVE, PP_OD."""
    bench.write(0x12, 0x24)
    assert bench.device.interrupt.level
    bench.fifo(watermark=2)
    bench.wait(0.01)
    assert not bench.device.interrupt.level
    bench.device.int1_connected = False
    bench.write(0x12, 0x04)
    assert not bench.device.interrupt.level, "the wire rests at its pull"


def test_data_ready_on_int1(bench: Bench) -> None:
    """INT1_DRDY_XL: until it is read; with dataready_pulsed, 75 us (9.8, 9.9)."""
    bench.write(0x0D, 0x01)
    bench.write(0x10, 0x40)
    bench.wait(0.03)
    assert len(bench.edges) == 1
    assert bench.device.interrupt.level
    bench.read(0x28, 6)
    assert not bench.device.interrupt.level
    bench.read(0x28, 6)
    bench.write(0x0B, 0x80)
    bench.edges.clear()
    bench.wait(0.5)
    assert len(bench.edges) == pytest.approx(52, abs=1)


def test_continuous_mode_overwrites_the_oldest(bench: Bench) -> None:
    """9.7, 9.39. 512 words; TAG_CNT goes on."""
    bench.fifo(watermark=256)
    bench.wait(300.5 / 6667)
    assert bench.level() == 512
    assert bench.device.overruns == 88
    assert len(bench.edges) == 1
    _, status = bench.read(0x3A, 2)
    assert status & 0xFC == 0xE0, "WTM, OVR, FULL; OVR_LATCHED was read with the level"
    words = bench.words(512)
    assert words[0][1] == (300 - 256) % 4
    assert [count for _, count, _ in words] == [(words[0][1] + n // 2) % 4 for n in range(512)]
    assert bench.read(0x3A, 2)[1] & 0xF8 == 0


def test_a_long_silence_costs_nothing_and_loses_no_count(bench: Bench) -> None:
    bench.fifo(watermark=256)
    bench.wait(1000.0)
    assert bench.level() == 512
    assert bench.device.samples == pytest.approx(6_667_000, abs=1)
    assert bench.device.overruns == 2 * bench.device.samples - 512
    assert bench.words(1)[0][1] == (bench.device.samples - 256) % 4


def test_overrun_is_latched_until_read(bench: Bench) -> None:
    bench.fifo()
    bench.wait(0.1)
    bench.words(512)
    assert bench.read(0x3A, 2)[1] & 0x48 == 0x08
    assert bench.read(0x3A, 2)[1] & 0x48 == 0


def test_fifo_mode_stops_when_full_and_bypass_empties(bench: Bench) -> None:
    bench.fifo(mode=FIFO_MODE)
    bench.wait(0.2)
    assert bench.level() == 512
    assert bench.words(2)[0][1] == 0, "the oldest is still there"
    bench.write(0x0A, BYPASS)
    assert bench.level() == 0
    bench.wait(0.01)
    assert bench.level() == 0


def test_stop_on_watermark_limits_the_depth(bench: Bench) -> None:
    """9.5, STOP_ON_WTM."""
    bench.fifo(watermark=64)
    bench.write(0x08, 0x80)
    bench.wait(0.1)
    assert bench.level() == 64


def test_a_change_of_range_acts_from_the_next_sample_on(bench: Bench) -> None:
    bench.fifo()
    bench.wait(3.5 / 6667)
    bench.write(0x10, 0xA8)
    bench.wait(3 / 6667)
    heights = [xyz[2] for sensor, _, xyz in bench.words(12) if sensor == ACCEL]
    assert heights == [16393] * 3 + [8197] * 3


def test_the_timestamp_counts_25_us_with_the_clock_error() -> None:
    bench = Bench(odr_error_ppm=50_000)
    bench.write(0x19, 0x20)
    bench.wait(1.0)
    assert struct.unpack("<I", bench.read(0x40, 4))[0] == pytest.approx(42_000, abs=1)
    bench.write(0x42, 0xAA)
    assert struct.unpack("<I", bench.read(0x40, 4)) == (0,)


def test_samples_are_the_motion_one_filter_delay_ago() -> None:
    motion = Hand(seed=3)
    bench = Bench(motion)
    bench.fifo(8)
    bench.wait(0.1)
    words = [xyz for sensor, _, xyz in bench.words(bench.level()) if sensor == ACCEL]
    period = 4 / 6667
    for n, xyz in enumerate(words, start=1):
        t = 0.011 + n * period - lsm6dso_signal.delay_s(1 / period / 2)
        expected = [a / STANDARD_GRAVITY * 1000 / 0.061 for a in motion.at(t).acceleration]
        assert xyz == pytest.approx(expected, abs=1.0)


# ----------------------------------------------------------------------------- pieces


@pytest.mark.parametrize(("sensor", "count", "expected"), [(1, 0, 0x09), (1, 1, 0x0A), (2, 3, 0x17), (3, 2, 0x1D)])
def test_tags(sensor: int, count: int, expected: int) -> None:
    assert lsm6dso_signal.tag(sensor, count) == expected


def test_the_tick_of_a_word_is_the_first_that_has_it() -> None:
    nothing: Callable[..., lsm6dso_signal.Words] = lambda ticks: ticks  # noqa: E731
    sources = tuple(lsm6dso_fifo.Source(1, every, nothing) for every in (4, 16, 128))
    fifo = lsm6dso_fifo.Fifo()
    for now in (0, 3, 4, 127, 130):
        for words in (1, 2, 5, 40, 512):
            tick = fifo.tick_of_word(sources, now, words)
            assert fifo.words_between(sources, now, tick) >= words > fifo.words_between(sources, now, tick - 1)


@pytest.mark.parametrize("motion", [Still(up=(1, 2, 3)), Rotation(axis=(1, 2, 3), rate=2.0), Hand(seed=5)])
def test_many_times_at_once_are_the_same_motion(motion: Motion) -> None:
    import numpy as np

    times = np.linspace(0.0, 20.0, 57)
    acceleration, rate, temperature = over(motion, times)
    for n, t in enumerate(times):
        felt = motion.at(float(t))
        assert acceleration[:, n] == pytest.approx(felt.acceleration, abs=1e-9)
        assert rate[:, n] == pytest.approx(felt.rate, abs=1e-9)
        assert temperature[n] == pytest.approx(felt.temperature_c, abs=1e-9)
