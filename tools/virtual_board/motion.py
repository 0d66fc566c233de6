"""How the board moves: what an ideal sensor on it would feel, in SI units.

Axes are those of the board, z up when it lies on the table. An accelerometer feels specific force: at rest it reads +g
on the axis that points up. Angular rates are in the body frame and fit the attitude exactly, so integrating one gives
the other.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

STANDARD_GRAVITY = 9.80665
Vector = tuple[float, float, float]
Array: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Feeling:
    """What acts on the board at one moment."""

    acceleration: Vector
    """Specific force in m/s^2."""
    rate: Vector
    """Angular rate in rad/s."""
    temperature_c: float
    """Temperature of the sensor's die in degC."""


class Motion(Protocol):
    """A motion is a pure function of time."""

    def at(self, t: float) -> Feeling:
        """What is felt `t` seconds after power-on."""


def over(motion: Motion, times: Array) -> tuple[Array, Array, Array]:
    """What is felt at many times (s): specific force in m/s^2 and rate in rad/s, both (3, times), and degC, (times,).
    A motion may have a quick way of its own, `over(times)`; one that has not is asked time by time."""
    quick = getattr(motion, "over", None)
    if quick is not None:
        result: tuple[Array, Array, Array] = quick(times)
        return result
    felt = [motion.at(float(t)) for t in times]
    acceleration = np.array([f.acceleration for f in felt], dtype=np.float64).reshape(-1, 3).T
    rate = np.array([f.rate for f in felt], dtype=np.float64).reshape(-1, 3).T
    return acceleration, rate, np.array([f.temperature_c for f in felt], dtype=np.float64)


@dataclass(frozen=True)
class Still:
    """Lying still. `up` is the direction of up in the board's axes (any length)."""

    up: Vector = (0.0, 0.0, 1.0)
    temperature_c: float = 25.0

    def at(self, t: float) -> Feeling:  # noqa: ARG002
        """Gravity and nothing else."""
        scale = STANDARD_GRAVITY / math.hypot(*self.up)
        x, y, z = self.up
        return Feeling((x * scale, y * scale, z * scale), (0.0, 0.0, 0.0), self.temperature_c)

    def over(self, times: Array) -> tuple[Array, Array, Array]:
        """As `at`, for many times."""
        felt, count = self.at(0.0), len(times)
        acceleration = np.repeat(np.array(felt.acceleration)[:, None], count, axis=1)
        return acceleration, np.zeros((3, count)), np.full(count, self.temperature_c)


@dataclass(frozen=True)
class Rotation:
    """Turning at a constant rate (rad/s) about an axis of the board, which at t = 0 lies flat; gravity turns the other
    way."""

    axis: Vector = (0.0, 0.0, 1.0)
    rate: float = 1.0
    temperature_c: float = 25.0

    def at(self, t: float) -> Feeling:
        """Up, seen from the board, is rotated by minus the angle turned so far (Rodrigues' rotation formula)."""
        length = math.hypot(*self.axis)
        kx, ky, kz = (component / length for component in self.axis)
        angle = -self.rate * t
        c, s = math.cos(angle), math.sin(angle)
        # v = (0, 0, 1): v cos + (k x v) sin + k (k.v)(1 - cos)
        ux, uy, uz = ky * s + kx * kz * (1 - c), -kx * s + ky * kz * (1 - c), c + kz * kz * (1 - c)
        g = STANDARD_GRAVITY
        return Feeling((g * ux, g * uy, g * uz), (kx * self.rate, ky * self.rate, kz * self.rate), self.temperature_c)


@dataclass(frozen=True, slots=True)
class _Wave:
    amplitude: float
    omega: float
    phase: float

    def value(self, t: float) -> float:
        return self.amplitude * math.sin(self.omega * t + self.phase)

    def slope(self, t: float) -> float:
        return self.amplitude * self.omega * math.cos(self.omega * t + self.phase)


class _Waves:
    """Sums of waves, several at once."""

    def __init__(self, sums: tuple[tuple[_Wave, ...], ...]) -> None:
        def table(name: str) -> Array:
            return np.array([[getattr(wave, name) for wave in waves] for waves in sums])[:, :, None]

        self._amplitude, self._omega, self._phase = table("amplitude"), table("omega"), table("phase")

    def values(self, times: Array) -> Array:
        """(sums, times)"""
        total: Array = np.sum(self._amplitude * np.sin(self._omega * times + self._phase), axis=1)
        return total

    def slopes(self, times: Array) -> Array:
        """(sums, times)"""
        total: Array = np.sum(self._amplitude * self._omega * np.cos(self._omega * times + self._phase), axis=1)
        return total


def _waves(rng: random.Random, shape: tuple[tuple[float, float, float], ...]) -> tuple[_Wave, ...]:
    """Waves of (amplitude, lowest Hz, highest Hz), frequency and phase drawn."""
    return tuple(
        _Wave(amplitude, 2 * math.pi * rng.uniform(low, high), rng.uniform(0, 2 * math.pi))
        for amplitude, low, high in shape
    )


@dataclass(frozen=True)
class Hand:
    """A board in a hand: slow turns of roll, pitch and yaw, a tremor near 9 Hz, shifts of a few cm, a motor's hum, a
    warming die."""

    seed: int = 0
    temperature_c: float = 27.0
    _angles: tuple[tuple[_Wave, ...], ...] = field(init=False, repr=False)
    _shifts: tuple[tuple[_Wave, ...], ...] = field(init=False, repr=False)
    _angle_table: _Waves = field(init=False, repr=False, compare=False)
    _shift_table: _Waves = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        rng = random.Random(self.seed)
        turn = ((0.55, 0.10, 0.25), (0.25, 0.4, 0.8), (0.004, 7.0, 10.0))
        shift = ((1.2, 0.5, 1.2), (0.35, 2.0, 4.0), (0.25, 7.0, 10.0), (0.15, 60.0, 90.0))
        object.__setattr__(self, "_angles", tuple(_waves(rng, turn) for _ in range(3)))
        object.__setattr__(self, "_shifts", tuple(_waves(rng, shift) for _ in range(3)))
        object.__setattr__(self, "_angle_table", _Waves(self._angles))
        object.__setattr__(self, "_shift_table", _Waves(self._shifts))

    def at(self, t: float) -> Feeling:
        """Body rates from Euler angles (z-y-x): p = r' - y' sin(pitch), and so on; gravity by the same angles."""
        roll, pitch, _yaw = (sum(wave.value(t) for wave in waves) for waves in self._angles)
        roll_rate, pitch_rate, yaw_rate = (sum(wave.slope(t) for wave in waves) for waves in self._angles)
        sr, cr, sp, cp = math.sin(roll), math.cos(roll), math.sin(pitch), math.cos(pitch)
        rate = (roll_rate - yaw_rate * sp, pitch_rate * cr + yaw_rate * sr * cp, yaw_rate * cr * cp - pitch_rate * sr)
        ax, ay, az = (sum(wave.value(t) for wave in waves) for waves in self._shifts)
        g = STANDARD_GRAVITY
        acceleration = (ax - g * sp, ay + g * sr * cp, az + g * cr * cp)
        warm = self.temperature_c + 4.0 * (1 - math.exp(-t / 60.0)) + 0.15 * math.sin(0.35 * t)
        return Feeling(acceleration, rate, warm)

    def over(self, times: Array) -> tuple[Array, Array, Array]:
        """As `at`, for many times."""
        angles = self._angle_table
        roll, pitch, _yaw = angles.values(times)
        roll_rate, pitch_rate, yaw_rate = angles.slopes(times)
        sr, cr, sp, cp = np.sin(roll), np.cos(roll), np.sin(pitch), np.cos(pitch)
        rate = (roll_rate - yaw_rate * sp, pitch_rate * cr + yaw_rate * sr * cp, yaw_rate * cr * cp - pitch_rate * sr)
        gravity = STANDARD_GRAVITY * np.stack((-sp, sr * cp, cr * cp))
        warm = self.temperature_c + 4.0 * (1 - np.exp(-times / 60.0)) + 0.15 * np.sin(0.35 * times)
        return self._shift_table.values(times) + gravity, np.stack(rate), warm


def by_name(name: str, seed: int) -> Motion:
    """`still`, `rotate` or `hand`, for command lines."""
    motions: dict[str, Motion] = {
        "still": Still(),
        "rotate": Rotation(axis=(0.3, 0.2, 1.0), rate=1.5),
        "hand": Hand(seed=seed),
    }
    return motions[name]
