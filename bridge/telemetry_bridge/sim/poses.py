"""A simulated board that somebody calibrates: it rests, is turned into another direction, rests; and its errors."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np

from telemetry_bridge.sim.motion import GRAVITY, Array

REST_S: Final = 3.2
TURN_S: Final = 1.3


class Rest:
    """Lying flat."""

    def at(self, time_s: Array) -> Array:
        """As :meth:`telemetry_bridge.sim.motion.HandMotion.at`."""
        felt = np.zeros((6, time_s.size))
        felt[2] = GRAVITY
        return felt


class Poses:
    """All faces and edges up in turn, in an order and with inaccuracies that the seed decides, over and over."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng((seed, 0x706F7365))
        directions = [place for place in product((-1.0, 0.0, 1.0), repeat=3) if 1 <= np.count_nonzero(place) <= 2]
        up = rng.permutation(np.array(directions)) + rng.normal(scale=0.08, size=(len(directions), 3))
        self._up = up / np.linalg.norm(up, axis=1, keepdims=True)
        following = np.roll(self._up, -1, axis=0)
        # the turn that carries `following` to where up was, with as much of a twist as turns it about its own direction
        bisector = self._up + following
        across = np.cross(following, self._up)
        axes = across + rng.uniform(-0.5, 0.5, (len(directions), 1)) * bisector
        self._axes = axes / np.linalg.norm(axes, axis=1, keepdims=True)
        self._angles = _angles(following, self._up, self._axes)

    def at(self, time_s: Array) -> Array:
        """As :meth:`telemetry_bridge.sim.motion.HandMotion.at`."""
        whole, within = np.divmod(time_s, REST_S + TURN_S)
        pose = whole.astype(int) % len(self._up)
        s = np.clip((within - REST_S) / TURN_S, 0.0, 1.0)
        axis, up = self._axes[pose].T, self._up[pose].T
        # minimum jerk (Flash and Hogan, 1985)
        angle = self._angles[pose] * (10 * s**3 - 15 * s**4 + 6 * s**5)
        speed = self._angles[pose] * (30 * s**2 - 60 * s**3 + 30 * s**4) / TURN_S
        # Rodrigues' formula: in the board's axes the world turns the other way
        along = np.sum(axis * up, axis=0) * axis
        felt = along + (up - along) * np.cos(angle) - np.cross(axis.T, up.T).T * np.sin(angle)
        return np.concatenate([GRAVITY * felt, axis * speed])


def _angles(first: Array, last: Array, axes: Array) -> Array:
    """About each axis, from `first` to `last`, both of which make the same angle with it."""
    a = first - np.sum(first * axes, axis=1, keepdims=True) * axes
    b = last - np.sum(last * axes, axis=1, keepdims=True) * axes
    return np.asarray(np.arctan2(np.sum(np.cross(a, b) * axes, axis=1), np.sum(a * b, axis=1)))


@dataclass(frozen=True, eq=False)
class Errors:
    """What an uncalibrated IMU does wrong; its calibration would be y = M (x - b).

    Attributes:
        matrices: M of accelerometer and gyroscope.
        biases: b of both, m/s^2 and rad/s.
    """

    matrices: tuple[Array, Array]
    biases: tuple[Array, Array]

    @classmethod
    def draw(cls, seed: int) -> Errors:
        """Those of one specimen: up to 2 %, 1 deg, 40 mg and 2 deg/s."""
        rng = np.random.default_rng((seed, 0x6572726F))
        accel, gyro = (np.eye(3) + np.radians(rng.uniform(-1, 1, (3, 3))) * (1 - np.eye(3)) for _ in range(2))
        accel = np.triu(accel)  # what it senses as z, and the plane of y and z, are what the rest is measured against
        accel[np.diag_indices(3)] = 1 + rng.uniform(-0.02, 0.02, 3)
        gyro[np.diag_indices(3)] = 1 + rng.uniform(-0.02, 0.02, 3)
        return cls((accel, gyro), (rng.uniform(-0.04, 0.04, 3) * GRAVITY, np.radians(rng.uniform(-2, 2, 3))))

    def spoil(self, felt: Array) -> Array:
        """What the sensor reads where an ideal one would feel this, shape ``(6, n)``."""
        return np.concatenate(
            [
                np.linalg.inv(matrix) @ part + bias[:, np.newaxis]
                for matrix, bias, part in zip(self.matrices, self.biases, (felt[:3], felt[3:]), strict=True)
            ]
        )
