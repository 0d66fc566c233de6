"""Rest is found whatever the rate and the chunks, and what spoils a pose or a turn is said."""

from __future__ import annotations

import numpy as np
import pytest

from bridge.imu_synthesis import DEG, DIRECTIONS, GRAVITY, MG, ORIGIN, Imperfect, recording
from telemetry_bridge.calibration.coverage import coverage
from telemetry_bridge.calibration.poses import PoseFinder
from telemetry_bridge.calibration.recording import Chunk, Recording
from telemetry_bridge.errors import CalibrationError
from telemetry_bridge.events import FieldInfo

SENSOR = Imperfect.draw(11)


def found(given: Recording, chunk_s: float = 0.1, hold_s: float = 2.0, longest_s: float = np.inf) -> PoseFinder:
    finder = PoseFinder(given.origin, hold_s, longest_s)
    for chunk in given.chunks(chunk_s):
        finder.feed(chunk)
    finder.finish()
    return finder


def part(given: Recording, first: int, end: int) -> Chunk:
    samples = given.samples
    return Chunk(samples.time_s[first:end], samples.values[:, first:end], samples.temperature_c[first:end])


@pytest.mark.parametrize("rate_hz", [26.0, 104.0, 1660.0])
def test_every_pose_is_found_at_any_rate(rate_hz: float) -> None:
    walk = found(recording(SENSOR, seed=1, rate_hz=rate_hz, still_s=6.0 if rate_hz < 50 else 3.0))
    assert len(walk.poses) == len(DIRECTIONS)
    assert len(walk.turns) == len(DIRECTIONS) - 1
    assert walk.complaints == []
    assert [turn.before for turn in walk.turns] == list(range(len(DIRECTIONS) - 1))
    for pose, turn in zip(walk.poses, walk.turns, strict=False):
        assert pose.end_s <= turn.time_s[0] + 0.8  # 20 samples at 26 Hz
        assert np.all(np.diff(turn.time_s) < 1.5 / rate_hz)


@pytest.mark.parametrize("chunk_s", [0.003, 0.02, 0.5, 100.0])
def test_how_the_samples_are_cut_does_not_matter(chunk_s: float) -> None:
    given = recording(SENSOR, DIRECTIONS[:5], seed=2)
    one, other = found(given, 0.1), found(given, chunk_s)
    assert [pose.samples for pose in one.poses] == [pose.samples for pose in other.poses]
    np.testing.assert_array_equal([pose.mean for pose in one.poses], [pose.mean for pose in other.poses])
    for turn, same in zip(one.turns, other.turns, strict=True):
        np.testing.assert_array_equal(turn.rates, same.rates)


def test_a_pose_that_is_left_too_early_is_said_and_belongs_to_the_turn() -> None:
    walk = found(recording(SENSOR, DIRECTIONS[:3], seed=3, still_s=1.9), hold_s=2.0)
    assert walk.poses == []
    assert [text.split(" s:")[0].split()[:2] for text in walk.complaints] == [["moved", "after"]] * 3


def test_a_slow_turn_is_no_pose() -> None:
    """Two degrees a second about a horizontal axis: quiet in every window, but it drifts."""
    rate_hz, speed = 416.0, 2 * DEG
    time_s = np.arange(int(20 * rate_hz)) / rate_hz
    force = GRAVITY * np.array([np.sin(speed * time_s), np.zeros(time_s.size), np.cos(speed * time_s)])
    rate = np.array([np.zeros(time_s.size), np.full(time_s.size, -speed), np.zeros(time_s.size)])
    warmth = np.full(time_s.size, 25.0)
    values = SENSOR.read(force, rate, warmth, rate_hz, np.random.default_rng(1))
    assert found(Recording(ORIGIN, Chunk(time_s, values, warmth))).poses == []


def test_a_hand_that_holds_the_board_is_not_still() -> None:
    given = recording(SENSOR, DIRECTIONS[:1], seed=4, still_s=6.0)
    time_s, values = given.samples.time_s, given.samples.values.copy()
    values[3:] += 1.5 * DEG * np.sin(2 * np.pi * 9 * time_s)  # tremor
    values[:3] += 30 * MG * np.sin(2 * np.pi * 9 * time_s)
    assert found(Recording(ORIGIN, Chunk(time_s, values, given.samples.temperature_c))).poses == []


def test_missing_samples_end_a_pose_and_spoil_the_turn() -> None:
    given = recording(SENSOR, DIRECTIONS[:3], seed=5, still_s=5.0)
    finder = PoseFinder(given.origin)
    hole = int(2.6 * 416)
    finder.feed(part(given, 0, hole))
    finder.feed(part(given, hole + 1, given.samples.time_s.size))
    finder.finish()
    assert len(finder.poses) == 4  # the first is two now
    assert [bool(turn.flaw) for turn in finder.turns] == [True, False, False]
    assert len(finder.complaints) == 1


def test_a_turn_that_takes_too_long_is_not_used_nor_kept() -> None:
    given = recording(SENSOR, DIRECTIONS[:2], seed=6)
    rng = np.random.default_rng(1)
    time_s = np.arange(30 * 416) / 416 + given.samples.time_s[int(3.7 * 416)]
    shaking = Chunk(time_s, rng.normal(size=(6, time_s.size)), np.full(time_s.size, 25.0))
    rest = part(given, int(3.7 * 416), given.samples.time_s.size)
    finder = PoseFinder(given.origin)
    finder.feed(part(given, 0, int(3.7 * 416)))
    for first in range(0, time_s.size, 100):
        piece = slice(first, first + 100)
        finder.feed(Chunk(time_s[piece], shaking.values[:, piece], shaking.temperature_c[piece]))
        assert sum(window.values.nbytes for window in finder._turn) < 22 * 416 * 6 * 8
    finder.feed(Chunk(rest.time_s - rest.time_s[0] + time_s[-1] + 1 / 416, rest.values, rest.temperature_c))
    finder.finish()
    assert "longer than 20 s" in finder.turns[0].flaw
    assert finder.turns[0].time_s.size == 0
    assert len(finder.complaints) == 1


def test_a_long_rest_is_cut_and_takes_no_memory() -> None:
    given = recording(SENSOR, DIRECTIONS[:2], seed=7, still_s=21.0)
    walk = found(given, longest_s=4.0)
    assert [pose.follows for pose in walk.poses] == [False, *[True] * 4, False, *[True] * 4]
    finder = PoseFinder(given.origin)
    for chunk in Recording(ORIGIN, part(given, 0, 20 * 416)).chunks():
        finder.feed(chunk)
    assert sum(window.values.nbytes for window in finder._run.windows) < 3 * 416 * 6 * 8
    assert finder.is_held
    current = finder.current()
    assert current is not None
    assert current.samples > 19 * 416


def test_an_early_stir_does_not_make_the_finder_blind() -> None:
    """What counts as still is set by the quietest rest, not by the first."""
    given = recording(SENSOR, DIRECTIONS[:4], seed=8)
    values = given.samples.values.copy()
    first = slice(0, 3 * 416)
    values[:, first] += np.random.default_rng(2).normal(size=values[:, first].shape) * np.array(
        [[0.05]] * 3 + [[0.004]] * 3
    )
    walk = found(Recording(ORIGIN, Chunk(given.samples.time_s, values, given.samples.temperature_c)))
    assert len(walk.poses) == 4


def test_a_stream_without_a_gyroscope_is_refused() -> None:
    origin = type(ORIGIN)("d", "imu", "p", tuple(FieldInfo(f"accel_{axis}", "m/s^2") for axis in "xyz"))
    with pytest.raises(CalibrationError, match="no gyro_x"):
        PoseFinder(origin)


def test_coverage_says_what_is_missing_and_ends_with_nothing() -> None:
    seen = []
    for count in (1, 6, 12, len(DIRECTIONS)):
        walk = found(recording(SENSOR, DIRECTIONS[:count], seed=9))
        seen.append(coverage(walk.poses, walk.turns).missing(turns=True))
    assert [len(missing) for missing in seen] == sorted((len(missing) for missing in seen), reverse=True)
    assert "put the board down with x up" in seen[0]
    assert not any("z up" in text for text in seen[0])
    assert sum("turn the board" in text for text in seen[0]) == 3
    assert seen[-1] == []
    walk = found(recording(SENSOR, DIRECTIONS, seed=9))
    assert coverage(walk.poses, walk.turns).missing(poses=30) == [
        f"put the board down in any new direction ({len(DIRECTIONS)} of 30 poses)"
    ]
