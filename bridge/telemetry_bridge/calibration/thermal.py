"""How the biases move with temperature, from a board that lies still while it warms up or cools down.

At rest the sensor feels the same all the time, so what changes in its nominal values is the bias (strictly M^-1 of
what it feels, plus the bias: a scale that moves with temperature shows too, in the axis that is up). The board may be
moved in between: each stretch without movement has an accelerometer level of its own; the gyroscope's is zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from numpy.polynomial import Polynomial

from telemetry_bridge.calibration.model import MAX_ORDER, Thermal
from telemetry_bridge.calibration.poses import Pose
from telemetry_bridge.calibration.recording import Array
from telemetry_bridge.errors import CalibrationError

STRETCH_S: Final = 4.0
"""Rest is cut into stretches of this length, each with one temperature."""
SMALLEST_SPAN_K: Final = 3.0
MIN_STRETCHES: Final = 12
FOLDS: Final = 5
GAIN: Final = 0.9
"""A higher order is taken when it brings the held-out residual below this share."""


@dataclass(frozen=True, slots=True, eq=False)
class Sweep:
    """The fit for three axes.

    Attributes:
        coefficients: c1 … of (T - T0), shape ``(order, 3)``; none if temperature does nothing.
        level: value at T0 and rest, shape ``(3,)``: the bias of a gyroscope.
        temperature_c: of each stretch, shape ``(n,)``.
        before: deviation of each stretch from its value at T0, shape ``(n, 3)``.
        after: the same with the polynomial taken off, fitted to other stretches, shape ``(n, 3)``.
        drift: the polynomial alone, shape ``(n, 3)``.
    """

    coefficients: Array
    level: Array
    temperature_c: Array
    before: Array
    after: Array
    drift: Array

    @property
    def span(self) -> Array:
        """How far each axis drifts without compensation."""
        return np.asarray(np.ptp(self.drift, axis=0))


def fit_sweep(poses: Sequence[Pose], first_axis: int, reference_c: float, *, levels: bool) -> Sweep:
    """Fit a polynomial of the order that its held-out residual asks for.

    Args:
        poses: stretches of rest with a temperature.
        first_axis: 0 for the accelerometer, 3 for the gyroscope.
        reference_c: T0.
        levels: whether each pose of the board has a level of its own.

    Raises:
        CalibrationError: too few stretches, or too small a span.
    """
    warmth = np.array([pose.temperature_c for pose in poses])
    if not np.all(np.isfinite(warmth)):
        raise CalibrationError("there is no temperature of the sensor")
    if len(poses) < MIN_STRETCHES:
        raise CalibrationError(f"{len(poses) * STRETCH_S:.0f} s of rest are too short: {MIN_STRETCHES * STRETCH_S:.0f}")
    if np.ptp(warmth) < SMALLEST_SPAN_K:
        raise CalibrationError(f"the temperature moved by {np.ptp(warmth):.1f} K only: {SMALLEST_SPAN_K:.0f} at least")
    values = np.array([pose.mean[first_axis : first_axis + 3] for pose in poses])
    group = np.cumsum([0, *(not pose.follows for pose in poses[1:])]) if levels else np.zeros(len(poses), int)
    designs = [_design(warmth - reference_c, group, order) for order in range(MAX_ORDER + 1)]
    held_out = [_held_out(design, values) for design in designs]
    order = _chosen(held_out)
    found = _solve(designs[order], values)
    base = designs[0] @ found[order:]
    return Sweep(found[:order], found[order], warmth, values - base, held_out[order], designs[order] @ found - base)


def fit_curve(nominal_c: Array, reference_c: Array) -> tuple[Array, Array]:
    """The polynomial that makes a thermometer say what a better one says, of the order that its residual asks for.

    Returns:
        p0, p1 …, at least two, and the held-out residual of each pair, degC.

    Raises:
        CalibrationError: too few pairs, or too small a span.
    """
    if nominal_c.size < MIN_STRETCHES:
        raise CalibrationError(f"{nominal_c.size} pairs of temperatures are too few: {MIN_STRETCHES} at least")
    if np.ptp(nominal_c) < SMALLEST_SPAN_K:
        raise CalibrationError(
            f"the temperature moved by {np.ptp(nominal_c):.1f} K only: {SMALLEST_SPAN_K:.0f} at least"
        )
    middle = float(nominal_c.mean())
    correction = (reference_c - nominal_c)[:, np.newaxis]
    designs = [_design(nominal_c - middle, np.zeros(nominal_c.size, int), order) for order in range(MAX_ORDER + 1)]
    held_out = [_held_out(design, correction) for design in designs]
    order = _chosen(held_out)
    found = _solve(designs[order], correction)[:, 0]
    about_middle = Polynomial([found[order], *found[:order]])
    whole = about_middle(Polynomial([-middle, 1.0])) + Polynomial([0.0, 1.0])
    return np.asarray(whole.coef), held_out[order][:, 0]


def _chosen(held_out: Sequence[Array]) -> int:
    """The order from which on a higher one does not bring the residual down by much."""
    order = 0
    for candidate in range(1, MAX_ORDER + 1):
        if _rms(held_out[candidate]) < GAIN * _rms(held_out[order]):
            order = candidate
    return order


def _design(rise: Array, group: npt.NDArray[np.int_], order: int) -> Array:
    """Powers of the rise, then a column for the level of each pose."""
    powers = [rise**power for power in range(1, order + 1)]
    return np.column_stack([*powers, *(group == number for number in range(group[-1] + 1))]).astype(np.float64)


def _solve(design: Array, values: Array) -> Array:
    scale = np.maximum(np.abs(design).max(axis=0), 1e-12)  # powers of kelvins differ by orders of magnitude
    return np.asarray(np.linalg.lstsq(design / scale, values, rcond=None)[0] / scale[:, np.newaxis])


def _held_out(design: Array, values: Array) -> Array:
    """Residual of each stretch by the fit to the stretches of the other folds."""
    fold = np.arange(len(values)) % FOLDS
    residual = np.empty_like(values)
    for number in range(FOLDS):
        mine = fold == number
        residual[mine] = values[mine] - design[mine] @ _solve(design[~mine], values[~mine])
    return residual


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(values**2)))


def rebased(thermal: Thermal, old_c: float, new_c: float) -> Thermal:
    """The same drift about another T0."""
    coefficients = np.zeros((len(thermal.coefficients), 3))
    for axis in range(3):
        about_old = Polynomial([0.0, *(row[axis] for row in thermal.coefficients)])
        about_new = about_old(Polynomial([new_c - old_c, 1.0])).coef
        coefficients[: about_new.size - 1, axis] = about_new[1:]  # its constant is in the new bias
    rows = tuple((float(x), float(y), float(z)) for x, y, z in coefficients)
    return Thermal(rows, thermal.range_c, thermal.date, thermal.method, thermal.residuals, thermal.counts)
