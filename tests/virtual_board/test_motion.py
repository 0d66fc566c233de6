"""Motions are physical: rates and gravity belong to the same turning body."""

from __future__ import annotations

import math

import pytest

from virtual_board.motion import STANDARD_GRAVITY, Feeling, Hand, Motion, Rotation, Still, Vector, by_name

STEP = 1e-5


def cross(a: Vector, b: Vector) -> Vector:
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])


def gravity_only(motion: Hand, t: float) -> tuple[float, float, float]:
    """Specific force without the shifts of the hand."""
    felt = motion.at(t).acceleration
    shifts = [sum(wave.value(t) for wave in waves) for waves in motion._shifts]
    return tuple(a - s for a, s in zip(felt, shifts, strict=True))  # type: ignore[return-value]


@pytest.mark.parametrize("up", [(0, 0, 1), (1, 0, 0), (0.3, -2, 0.5)])
def test_still_feels_one_g_upwards(up: Vector) -> None:
    felt = Still(up=up).at(3.0)
    assert math.hypot(*felt.acceleration) == pytest.approx(STANDARD_GRAVITY)
    assert cross(felt.acceleration, up) == pytest.approx((0, 0, 0), abs=1e-12)
    assert felt.rate == (0, 0, 0)


@pytest.mark.parametrize("t", [0.0, 0.37, 2.0])
@pytest.mark.parametrize("motion", [Rotation(axis=(1, 2, 3), rate=2.0), Rotation(axis=(0, 1, 0), rate=-0.5)])
def test_gravity_turns_against_the_rotation(motion: Rotation, t: float) -> None:
    """A vector fixed in space changes in the body's frame by -omega x v."""
    v, omega = motion.at(t).acceleration, motion.at(t).rate
    later = motion.at(t + STEP).acceleration
    derivative = tuple((b - a) / STEP for a, b in zip(v, later, strict=True))
    assert derivative == pytest.approx(tuple(-x for x in cross(omega, v)), abs=1e-3)
    assert math.hypot(*v) == pytest.approx(STANDARD_GRAVITY)


def test_a_quarter_turn_about_y_puts_gravity_on_minus_x() -> None:
    felt = Rotation(axis=(0, 1, 0), rate=math.pi / 2).at(1.0)
    assert felt.acceleration == pytest.approx((-STANDARD_GRAVITY, 0, 0), abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("t", [0.0, 1.1, 17.3])
def test_a_hands_rates_fit_its_attitude(seed: int, t: float) -> None:
    motion = Hand(seed=seed)
    v, omega = gravity_only(motion, t), motion.at(t).rate
    later = gravity_only(motion, t + STEP)
    derivative = tuple((b - a) / STEP for a, b in zip(v, later, strict=True))
    assert derivative == pytest.approx(tuple(-x for x in cross(omega, v)), abs=2e-3)


@pytest.mark.parametrize("seed", range(3))
def test_a_hand_is_plausible(seed: int) -> None:
    felt: list[Feeling] = [Hand(seed=seed).at(n * 0.01) for n in range(3000)]
    magnitudes = [math.hypot(*feeling.acceleration) for feeling in felt]
    rates = [math.hypot(*feeling.rate) for feeling in felt]
    assert 5 < min(magnitudes) < 9.8 < max(magnitudes) < 2 * STANDARD_GRAVITY, "inside the 2 g range"
    assert 0.5 < max(rates) < math.radians(250), "inside the 250 deg/s range"
    assert felt[-1].temperature_c > felt[0].temperature_c + 1


def test_motions_are_functions_of_time_and_seed() -> None:
    assert Hand(seed=1).at(1.5) == Hand(seed=1).at(1.5)
    assert Hand(seed=1).at(1.5) != Hand(seed=2).at(1.5)


def test_names() -> None:
    motions: list[Motion] = [by_name(name, 3) for name in ("still", "rotate", "hand")]
    assert motions[2] == Hand(seed=3)
    with pytest.raises(KeyError):
        by_name("dance", 0)
