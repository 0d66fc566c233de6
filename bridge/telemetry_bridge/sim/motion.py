"""The motion of a board in a hand: slow turns, a little sway, tremor, and gravity. Rates are exact derivatives."""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

GRAVITY: Final = 9.80665
"""Standard gravity, m/s^2 (CGPM 1901)."""

_TURNS: Final = (
    # (amplitude rad, frequency Hz): roll, pitch, yaw; the last of each is tremor (8 to 12 Hz, physiological)
    ((0.45, 0.23), (0.18, 0.71), (0.004, 9.1)),
    ((0.35, 0.31), (0.12, 0.87), (0.003, 8.3)),
    ((0.80, 0.11), (0.25, 0.53), (0.003, 10.7)),
)
_SWAY: Final = (
    # (amplitude m, frequency Hz): x, y, z of the world
    ((0.04, 0.41), (0.008, 1.9)),
    ((0.05, 0.37), (0.007, 2.3)),
    ((0.03, 0.47), (0.006, 2.7)),
)


class Motion(Protocol):
    """A motion is a function of time."""

    def at(self, time_s: Array) -> Array:
        """What an ideal sensor feels: see :meth:`HandMotion.at`."""


class HandMotion:
    """Smooth motion as a function of time, different for each seed."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng((seed, 0x6D6F7469))
        self._turns = _with_phases(_TURNS, rng)
        self._sway = _with_phases(_SWAY, rng)

    def at(self, time_s: Array) -> Array:
        """What an ideal sensor feels.

        Args:
            time_s: seconds, shape ``(n,)``.

        Returns:
            Shape ``(6, n)``: specific force in m/s^2 and turn rate in rad/s, both on the board's axes x, y, z.
        """
        (roll, pitch, yaw) = (_sum(terms, time_s, 0) for terms in self._turns)
        (roll_rate, pitch_rate, yaw_rate) = (_sum(terms, time_s, 1) for terms in self._turns)
        force = [_sum(terms, time_s, 2) for terms in self._sway]
        force[2] = force[2] + GRAVITY  # an accelerometer at rest feels the support push upwards
        sr, cr = np.sin(roll), np.cos(roll)
        sp, cp = np.sin(pitch), np.cos(pitch)
        sy, cy = np.sin(yaw), np.cos(yaw)
        x, y, z = force
        # Transpose of Rz(yaw) Ry(pitch) Rx(roll), world to board (J. Diebel, "Representing Attitude", 2006, eq. 67 f.)
        east = cy * x + sy * y
        north = cy * y - sy * x
        forward = sp * east + cp * z
        return np.stack(
            (
                cp * east - sp * z,
                cr * north + sr * forward,
                cr * forward - sr * north,
                roll_rate - sp * yaw_rate,
                cr * pitch_rate + sr * cp * yaw_rate,
                cr * cp * yaw_rate - sr * pitch_rate,
            )
        )


def _with_phases(axes: tuple[tuple[tuple[float, float], ...], ...], rng: np.random.Generator) -> list[Array]:
    """Amplitude, angular frequency and phase of each term, one array an axis."""
    return [
        np.array([(amplitude, 2 * np.pi * hertz, rng.uniform(0, 2 * np.pi)) for amplitude, hertz in terms])
        for terms in axes
    ]


def _sum(terms: Array, time_s: Array, derivative: int) -> Array:
    """Sum of sines, or its first or second derivative."""
    amplitude, omega, phase = terms.T[:, :, np.newaxis]
    angle = omega * time_s + phase + derivative * np.pi / 2  # each derivative leads by a quarter turn
    return np.asarray((amplitude * omega**derivative * np.sin(angle)).sum(axis=0))
