"""What a band concludes from its corners, held against all points and against the truth."""

from __future__ import annotations

import random
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telemetry_bridge.clock.band import AGE_MAX_S, CORNERS_MAX, Band

BEND = 50.0
STEEP = 1e7


Points: TypeAlias = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]


def fill(band: Band, points: int, seed: int, *, bend: float = 0.0, step_s: float = 1.0) -> Points:
    """Points around an offset of 200 ppm whose drift changes by ``bend``; their times, floors and roofs."""
    rng = random.Random(seed)
    times = np.cumsum([rng.random() * 2 * step_s for _ in range(points)])
    offsets = 2e5 * times + bend / 2 * times**2
    floors = offsets - np.array([rng.random() * 1e6 for _ in range(points)])
    roofs = offsets + np.array([rng.random() * 1e6 for _ in range(points)])
    for t, low, high in zip(times, floors, roofs, strict=True):
        band.at_least(float(t), float(low))
        band.at_most(float(t), float(high))
    return times, floors, roofs


def extremes(points: Points, bend: float) -> tuple[float, float, float, float]:
    """The same as Band.solve by trying every pair of a floor and a roof."""
    times, floors, roofs = points
    age = times[-1] - times
    floor, roof = floors - bend / 2 * age**2, roofs + bend / 2 * age**2
    with np.errstate(divide="ignore", invalid="ignore"):
        slopes = (floor[:, None] - roof[None, :]) / (age[None, :] - age[:, None])
    earlier = age[None, :] < age[:, None]  # the roof is newer than the floor: too steep a line leaves no room
    high, low = float(np.min(slopes[earlier])), float(np.max(slopes[earlier.T]))
    return float(np.max(floor + low * age)), float(np.min(roof + high * age)), low, high


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("bend", [1.0, 10.0, BEND])
def test_the_corners_say_as_much_as_all_points(seed: int, bend: float) -> None:
    band = Band(BEND)
    everything = fill(band, 150, seed)
    found = band.solve(float(everything[0][-1]), bend, -STEEP, STEEP)
    assert found is not None
    assert tuple(found) == pytest.approx(extremes(everything, bend), rel=1e-6, abs=2.0)


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    points=st.integers(1, 200),
    step_s=st.sampled_from([0.01, 0.1, 1.0, 20.0]),
    bend=st.floats(-BEND, BEND),
)
def test_the_truth_is_never_outside(seed: int, points: int, step_s: float, bend: float) -> None:
    band = Band(BEND)
    times, _, _ = fill(band, points, seed, bend=bend, step_s=step_s)
    t = float(times[-1])
    found = band.solve(t, BEND, -STEEP, STEEP)
    assert found is not None
    assert found.low - 1 <= 2e5 * t + bend / 2 * t * t <= found.high + 1
    assert found.slope_low - 1 <= 2e5 + bend * t <= found.slope_high + 1


def test_a_bend_that_was_not_allowed_for_is_a_contradiction() -> None:
    band = Band(BEND)
    times, _, _ = fill(band, 600, 1, bend=BEND)
    assert band.solve(float(times[-1]), 1.0, -STEEP, STEEP) is None


def test_a_slope_that_is_not_believed_is_a_contradiction() -> None:
    band = Band(BEND)
    times, _, _ = fill(band, 100, 1)
    assert band.solve(float(times[-1]), BEND, -1e5, 1e5) is None


def test_a_point_bounds_the_moment_and_the_slope_is_open() -> None:
    band = Band(BEND)
    band.at_least(1.0, 10.0)
    band.at_most(1.0, 30.0)
    assert band.solve(1.0, BEND, -STEEP, STEEP) == (10.0, 30.0, -STEEP, STEEP)


def test_of_two_points_at_a_time_the_tighter_counts() -> None:
    band = Band(BEND)
    for low, high in ((10.0, 30.0), (12.0, 40.0), (8.0, 25.0)):
        band.at_least(1.0, low)
        band.at_most(1.0, high)
    found = band.solve(1.0, BEND, -STEEP, STEEP)
    assert found is not None
    assert (found.low, found.high) == (12.0, 25.0)


def test_corners_are_few_and_old_ones_go() -> None:
    band = Band(1e9)  # every point is a corner
    fill(band, 10 * CORNERS_MAX, 1)
    assert len(band._floor) == len(band._roof) == CORNERS_MAX
    band.at_least(1e5, 0.0)
    for k in range(2 * CORNERS_MAX):
        band.at_least(1e5 + k, 0.0)
    assert band._floor[0][0] > 1e5 + 2 * CORNERS_MAX - 1 - AGE_MAX_S


def test_what_contradicts_can_be_forgotten() -> None:
    band = Band(BEND)
    times, _, _ = fill(band, 50, 1)
    newest = float(times[-1])
    band.at_least(newest + 1, 9e8)  # the clock was stepped
    band.at_most(newest + 1, 9e8 + 1e5)
    assert band.solve(newest + 1, BEND, -STEEP, STEEP) is None
    while band.forget_oldest():
        pass
    assert len(band._floor) == len(band._roof) == 2
    band.clear()
    band.at_least(1.0, 9e8)
    band.at_most(1.0, 9e8 + 1e5)
    assert band.solve(1.0, BEND, -STEEP, STEEP) == (9e8, 9e8 + 1e5, -STEEP, STEEP)
