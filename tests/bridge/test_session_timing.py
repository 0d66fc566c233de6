"""When samples were taken and at what rate, whatever the stamps do and the sensor does in between."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telemetry_bridge.session.timing import DOUBT_US, PAUSES_MAX, SampleTimes

BATCH = 20


class Sensor:
    """Batches of a sensor with even ticks, and what is made of their stamps."""

    def __init__(self, period_us: float, *, nominal_us: float = 1000.0, jitter_us: float = 0.0, seed: int = 1) -> None:
        self.times = SampleTimes(nominal_us)
        self.period_us = period_us
        self.jitter_us = jitter_us
        self.rng = random.Random(seed)
        self.index = 0
        self.at_us = 1e6
        self.errors: list[float] = []
        self.bounds: list[float] = []
        self.last_us: list[float] = []

    def batch(self, *, late_us: float = 0.0, samples: int = BATCH) -> float:
        """The next batch; error of its first sample's time."""
        stamp = self.at_us + late_us + (2 * self.rng.random() - 1) * self.jitter_us
        self.times.add(self.index, int(stamp), samples)
        found = self.times.time_us
        self.errors.append(found - self.at_us)
        self.bounds.append(self.times.error_us)
        self.last_us.append(found)
        self.index += samples
        self.at_us += samples * self.period_us
        return self.errors[-1]

    def run(self, batches: int) -> None:
        for _ in range(batches):
            self.batch()

    def pause(self, us: float) -> None:
        """The index stands still and time goes on."""
        self.at_us += us

    def lose(self, samples: int, *, counted: int | None = None) -> None:
        """A hole in the index, perhaps counted wrong."""
        self.index += samples if counted is None else counted
        self.at_us += samples * self.period_us


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("odr", [0.97, 1.03])
def test_times_follow_the_line_and_not_the_stamps_jitter(seed: int, odr: float) -> None:
    sensor = Sensor(1000 / odr, jitter_us=100, seed=seed)
    sensor.run(500)
    settled = sorted(abs(error) for error in sensor.errors[100:])
    assert settled[int(0.99 * len(settled))] < 35  # of stamps that are off by up to 100
    assert sensor.times.period_us == pytest.approx(1000 / odr, rel=1e-4)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    odr=st.floats(0.95, 1.05),
    jitter_us=st.floats(0, 150),
    happenings=st.lists(st.sampled_from(["batch", "batch", "batch", "pause", "lose", "late"]), max_size=60),
)
def test_the_error_is_stated_and_times_rise(seed: int, odr: float, jitter_us: float, happenings: list[str]) -> None:
    sensor = Sensor(1000 / odr, jitter_us=jitter_us, seed=seed)
    sensor.run(60)
    for happening in happenings:
        if happening == "pause":
            sensor.pause(50_000)
        elif happening == "lose":
            sensor.lose(37)
        sensor.batch(late_us=3_000 if happening == "late" else 0)
    outside = sum(abs(error) > bound for error, bound in zip(sensor.errors, sensor.bounds, strict=True))
    assert outside <= max(1, 0.01 * len(sensor.errors)) + happenings.count("late")
    assert all(later > earlier for earlier, later in itertools.pairwise(sensor.last_us))


@pytest.mark.parametrize("batches", [1, 2, 100])
def test_a_pause_is_no_period(batches: int) -> None:
    sensor = Sensor(1004)
    sensor.run(batches)
    before = sensor.times.period_us
    sensor.pause(3_000_000)
    assert abs(sensor.batch()) <= 1
    assert sensor.times.period_us == before
    sensor.run(5)
    assert sensor.times.period_us == pytest.approx(1004, rel=1e-4)


def test_a_pause_shorter_than_a_batch_is_followed_from_its_second_batch_on() -> None:
    sensor = Sensor(1000)
    sensor.run(50)
    sensor.pause(5_000)
    first = sensor.batch()
    assert abs(first) <= sensor.bounds[-1]
    assert abs(sensor.batch()) <= 1
    sensor.run(10)
    assert abs(sensor.errors[-1]) <= 1


def test_pause_after_pause_leaves_the_period_alone() -> None:
    sensor = Sensor(1004)
    sensor.run(10)
    for _ in range(3):
        sensor.pause(500_000)
        sensor.batch()
    assert sensor.times.period_us == pytest.approx(1004, rel=1e-4)


def test_a_stream_that_is_slower_than_described_is_measured_all_the_same() -> None:
    sensor = Sensor(2500)
    sensor.run(PAUSES_MAX + 2)
    assert sensor.times.period_us == pytest.approx(2500)


def test_a_stamp_that_errs_once_moves_nothing_and_is_in_the_bound() -> None:
    sensor = Sensor(1030, jitter_us=5)
    sensor.run(100)
    before = sensor.times.period_us
    assert abs(sensor.batch(late_us=4_000)) < 10
    assert sensor.bounds[-1] > 3_900
    assert sensor.times.period_us == before
    assert abs(sensor.batch()) < 10
    assert sensor.bounds[-1] < 100


def test_a_hole_of_known_length_leaves_the_line_as_it_is() -> None:
    sensor = Sensor(1030, jitter_us=50)
    sensor.run(200)
    for _ in range(20):
        sensor.lose(300)
        assert abs(sensor.batch()) < 45
        sensor.run(10)


def test_a_hole_that_was_counted_wrong_starts_the_line_anew_at_once() -> None:
    sensor = Sensor(1000)
    sensor.run(100)
    sensor.lose(500, counted=503)
    assert abs(sensor.batch()) <= 1


def test_a_rate_that_changes_without_notice_is_learnt() -> None:
    sensor = Sensor(1000)
    sensor.run(100)
    sensor.period_us = 1010.0
    sensor.run(40)
    assert abs(sensor.errors[-1]) <= 1
    assert sensor.times.period_us == pytest.approx(1010, rel=1e-5)


def test_a_rate_that_wanders_with_temperature_is_followed() -> None:
    sensor = Sensor(1000, jitter_us=20)
    for _ in range(3000):
        sensor.period_us *= 1 + 2e-6 / 60  # of each batch, 20 ms: 100 ppm a minute
        sensor.batch()
    assert max(abs(error) for error in sensor.errors[100:]) < 20 < DOUBT_US


def test_times_that_go_back_start_the_line_anew() -> None:
    sensor = Sensor(1000)
    sensor.run(10)
    sensor.at_us = 5e5
    assert abs(sensor.batch()) <= 1
    assert sensor.times.period_us is None
