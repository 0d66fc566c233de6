"""Integrates turn rates into rotations, many turns at once. Quaternions are scalar first, Hamilton's product."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from telemetry_bridge.calibration.recording import Array


class Turns:
    """Turns of different length, laid side by side so that all are integrated in a few array operations.

    With q' = q * (0, w) / 2 a Runge-Kutta step multiplies q from the right by a quaternion that depends on the rates of
    that step alone (between samples w is taken as linear). So the steps are computed all together, and then multiplied
    pairwise, halving their number each time.
    """

    def __init__(self, times_s: Sequence[Array], rates: Sequence[Array]) -> None:
        """Prepare.

        Args:
            times_s: of each turn, shape ``(n,)``.
            rates: of each turn, shape ``(3, n)``, uncalibrated.
        """
        steps = [time_s.size - 1 for time_s in times_s]
        longest = 1 << max(max(steps) - 1, 0).bit_length()
        self._step_s = np.zeros((len(steps), longest, 1))
        self._rates = np.zeros((len(steps), longest + 1, 3))
        for number, (time_s, rate, count) in enumerate(zip(times_s, rates, steps, strict=True)):
            self._step_s[number, :count, 0] = np.diff(time_s)  # steps of no length behind: they turn nothing
            self._rates[number, : count + 1] = rate.T

    def rotations(self, matrix: Array, biases: Array) -> Array:
        """Rotation of each turn, from the axes at its end to those at its start.

        Args:
            matrix: M, shape ``(3, 3)``.
            biases: b of each turn, shape ``(turns, 3)``.

        Returns:
            Unit quaternions, shape ``(turns, 4)``.
        """
        rates = (self._rates - biases[:, np.newaxis, :]) @ matrix.T
        steps = _runge_kutta(rates[:, :-1], rates[:, 1:], self._step_s)
        while steps.shape[1] > 1:
            steps = multiply(steps[:, 0::2], steps[:, 1::2])
        whole = steps[:, 0]
        return np.asarray(whole / np.linalg.norm(whole, axis=-1, keepdims=True))


def _runge_kutta(first: Array, last: Array, step_s: Array) -> Array:
    """Classical fourth order (Tedaldi, Pretto, Menegatti 2014, section IV.C) for one step from q = 1."""
    half = [_pure(rates) / 2 for rates in (first, (first + last) / 2, last)]
    one = np.zeros_like(half[0])
    one[..., 0] = 1
    k1 = half[0]
    k2 = multiply(one + step_s / 2 * k1, half[1])
    k3 = multiply(one + step_s / 2 * k2, half[1])
    k4 = multiply(one + step_s * k3, half[2])
    return np.asarray(one + step_s / 6 * (k1 + 2 * k2 + 2 * k3 + k4))


def _pure(vectors: Array) -> Array:
    return np.concatenate([np.zeros_like(vectors[..., :1]), vectors], axis=-1)


def multiply(p: Array, q: Array) -> Array:
    """Hamilton's product, shape ``(..., 4)``."""
    pw, px, py, pz = np.moveaxis(p, -1, 0)
    qw, qx, qy, qz = np.moveaxis(q, -1, 0)
    return np.stack(
        (
            pw * qw - px * qx - py * qy - pz * qz,
            pw * qx + px * qw + py * qz - pz * qy,
            pw * qy - px * qz + py * qw + pz * qx,
            pw * qz + px * qy - py * qx + pz * qw,
        ),
        axis=-1,
    )


def into_end_axes(rotations: Array, vectors: Array) -> Array:
    """Vectors given in the axes at the start of turns, in those at their end: conj(q) * v * q, shape ``(turns, 3)``."""
    conjugate = rotations * np.array([1.0, -1.0, -1.0, -1.0])
    return np.asarray(multiply(multiply(conjugate, _pure(vectors)), rotations)[..., 1:])
