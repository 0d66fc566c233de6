"""Scale, misalignment and bias from poses and the turns between them: no turntable, no level surface.

D. Tedaldi, A. Pretto, E. Menegatti, "A robust and easy to implement method for IMU calibration without external
equipments", ICRA 2014. Wherever the board rests, the accelerometer must feel gravity, whatever the direction; and the
gyroscope, integrated from one pose to the next, must turn the gravity of the first into that of the second.

M of the accelerometer is upper triangular, as in the paper, and so is its inverse: the axis z is the direction that
the accelerometer's z senses, y lies in the plane of what its y and z sense. (The paper, section III, calls x the axis
that is kept: it takes what a sensor reads for components along its axes, where it is projections on them.) The
gyroscope is put on the same axes, so its M is full.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from telemetry_bridge.calibration.poses import Pose, Turn
from telemetry_bridge.calibration.recording import Array
from telemetry_bridge.calibration.rotation import Turns, into_end_axes
from telemetry_bridge.errors import CalibrationError

FOLDS: Final = 5
"""A held-out residual is that of the parameters fitted to the other four fifths."""
OUTLIER: Final = 6.0
"""A pose or turn that is off by this many times the typical residual is left out."""
HARMLESS_POSE: Final = 0.02
HARMLESS_TURN: Final = 0.005
"""And by this at least: 2 mg, 0.3 deg. With few items the typical residual of a fit is far below the noise."""
ROBUST_ROUNDS: Final = 2
LARGEST_OUTLIERS: Final = 0.2
MIN_POSES: Final = 9
"""Unknowns of the accelerometer: three scales, three angles, three biases."""
MIN_TURNS: Final = 6
"""Each turn tells two angles; the gyroscope has nine unknowns beside its bias."""
STEP_S: Final = 0.005
"""Step of the integration, where the sensor is faster than that."""
UNCERTAIN: Final = 0.002
"""A standard error of an element of M from which on the poses do not determine it: 0.2 %, 0.1 deg."""

Residual: TypeAlias = Callable[[Array, npt.NDArray[np.intp]], Array]
"""Parameters and numbers of items to residuals, shape ``(items, k)``."""


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """What came out.

    Attributes:
        matrix: M, shape ``(3, 3)``.
        bias: b, shape ``(3,)``, nominal SI.
        before: error of each item with nominal values: m/s^2 a pose, rad a turn.
        after: the same with parameters to which the item was not fitted.
        used: whether each item was used.
        held_out: whether there were enough items to leave each out in turn; else ``after`` is of what was fitted to.
        matrix_error: standard error of M, shape ``(3, 3)``; 0 where an element is fixed.
        bias_error: standard error of the bias.
    """

    matrix: Array
    bias: Array
    before: Array
    after: Array
    used: npt.NDArray[np.bool_]
    held_out: bool
    matrix_error: Array
    bias_error: Array


def fit_accel(poses: Sequence[Pose], gravity: float) -> Fit:
    """Calibrate the accelerometer.

    Args:
        gravity: at this place, m/s^2.

    Raises:
        CalibrationError: too few poses, or they do not determine it.
    """
    if len(poses) < MIN_POSES:
        raise CalibrationError(f"{len(poses)} poses are too few: {MIN_POSES} at least, 15 or more are better")
    felt = np.array([pose.accel for pose in poses])

    def residual(parameters: Array, chosen: npt.NDArray[np.intp]) -> Array:
        """(g^2 - |h(a)|^2) / 2 g: the paper's cost, scaled so that it is the error of the magnitude in m/s^2."""
        made = (felt[chosen] - parameters[6:]) @ _triangular(parameters).T
        return np.asarray((np.sum(made**2, axis=1, keepdims=True) - gravity**2) / (2 * gravity))

    start = np.array([1.0, 0, 0, 1, 0, 1, 0, 0, 0])
    solved = _solve_robustly(residual, start, len(poses), "poses", least=MIN_POSES, harmless=HARMLESS_POSE)
    matrix_error = _triangular(solved.errors)
    _refuse_uncertain(matrix_error, "tilted between these axes", "poses")
    before = np.abs(np.linalg.norm(felt, axis=1) - gravity)
    after = np.abs(np.ravel(solved.held_out))
    return Fit(
        _triangular(solved.parameters),
        solved.parameters[6:],
        before,
        after,
        solved.used,
        solved.is_held_out,
        matrix_error,
        solved.errors[6:],
    )


def gyro_bias(poses: Sequence[Pose]) -> tuple[Array, Array]:
    """Bias of the gyroscope from rest, and its standard error from how the poses differ, rad/s.

    With a single pose the error is that of white noise.
    """
    weights = np.array([pose.samples for pose in poses], np.float64)
    means = np.array([pose.gyro for pose in poses])
    bias = np.average(means, axis=0, weights=weights)
    if len(poses) == 1:
        return bias, poses[0].deviation[3:] / np.sqrt(poses[0].samples)
    spread = np.average((means - bias) ** 2, axis=0, weights=weights)
    return bias, np.sqrt(spread / (len(poses) - 1))


def fit_gyro(poses: Sequence[Pose], turns: Sequence[Turn], accel_matrix: Array, accel_bias: Array) -> Fit:
    """Calibrate the gyroscope against a calibrated accelerometer.

    Each turn is integrated with the bias that its own two poses show, so a slow drift does no harm.

    Raises:
        CalibrationError: too few turns, or they do not determine it.
    """
    good = [turn for turn in turns if not turn.flaw and turn.time_s.size > 8]
    if len(good) < MIN_TURNS:
        raise CalibrationError(f"{len(good)} usable turns between poses are too few: {MIN_TURNS} at least")
    up = (np.array([pose.accel for pose in poses]) - accel_bias) @ accel_matrix.T
    up /= np.linalg.norm(up, axis=1, keepdims=True)
    first = np.array([turn.before for turn in good])
    starts, ends = up[first], up[first + 1]
    biases = np.array([gyro_bias(poses[number : number + 2])[0] for number in first])
    thinned = [_thinned(turn) for turn in good]
    whole = Turns([time_s for time_s, _ in thinned], [rates for _, rates in thinned])

    def residual(parameters: Array, chosen: npt.NDArray[np.intp]) -> Array:
        """Gravity as the gyroscope brings it along, minus gravity as the accelerometer feels it: rad."""
        rotations = whole.rotations(parameters.reshape(3, 3), biases)
        return np.asarray((into_end_axes(rotations, starts) - ends)[chosen])

    solved = _solve_robustly(residual, np.eye(3).ravel(), len(good), "turns", least=MIN_TURNS, harmless=HARMLESS_TURN)
    matrix_error = solved.errors.reshape(3, 3)
    _refuse_uncertain(matrix_error, "turned about these axes while they lie flat", "turns")
    bias, bias_error = gyro_bias(poses)
    nominal = into_end_axes(whole.rotations(np.eye(3), np.zeros((len(good), 3))), starts) - ends
    return Fit(
        solved.parameters.reshape(3, 3),
        bias,
        np.linalg.norm(nominal, axis=1),
        np.linalg.norm(solved.held_out, axis=1),
        solved.used,
        solved.is_held_out,
        matrix_error,
        bias_error,
    )


def _thinned(turn: Turn) -> tuple[Array, Array]:
    """Means over :data:`STEP_S`: a hand moves below 10 Hz, and the fit integrates each turn hundreds of times."""
    size = max(1, round(STEP_S * (turn.time_s.size - 1) / (turn.time_s[-1] - turn.time_s[0])))
    end = turn.time_s.size // size * size
    return turn.time_s[:end].reshape(-1, size).mean(axis=1), turn.rates[:, :end].reshape(3, -1, size).mean(axis=2)


# ------------------------------------------------------------------- solver


@dataclass(frozen=True, slots=True, eq=False)
class _Solved:
    parameters: Array
    errors: Array
    held_out: Array  # (items, k)
    is_held_out: bool
    used: npt.NDArray[np.bool_]


def _solve_robustly(residual: Residual, start: Array, count: int, name: str, *, least: int, harmless: float) -> _Solved:
    """Levenberg-Marquardt without the items that do not belong, and once for each fold."""
    every = np.arange(count)
    parameters, _ = _solve(residual, start, every)
    for _ in range(ROBUST_ROUNDS):  # least squares bends towards an item that is wrong; a robust cost much less
        typical = _typical(residual(parameters, every))
        parameters, _ = _solve(residual, parameters, every, robust_beyond=typical)
    used = np.ones(count, bool)
    for _ in range(ROBUST_ROUNDS):  # what was left out with a wrong one may come back
        off = residual(parameters, every)
        used = np.linalg.norm(off, axis=1) <= max(OUTLIER * _typical(off[used]), harmless)
        if np.mean(~used) > LARGEST_OUTLIERS or used.sum() < least:
            raise CalibrationError(f"{(~used).sum()} of {count} {name} do not fit: was the board moved in them?")
        parameters, jacobian = _solve(residual, parameters, every[used])
    held_out = residual(parameters, every)
    is_held_out = True
    for fold in range(FOLDS):
        mine = used & (every % FOLDS == fold)
        others = used & ~mine
        if others.sum() < least:
            is_held_out = False
        elif mine.any():
            fitted, _ = _solve(residual, parameters, every[others])
            held_out[mine] = residual(fitted, every[mine])
    rest = residual(parameters, every[used])
    freedom = max(rest.size - parameters.size, 1)
    try:
        covariance = np.linalg.inv(jacobian.T @ jacobian) * float(np.sum(rest**2)) / freedom
    except np.linalg.LinAlgError:
        raise CalibrationError(f"the {name} do not determine the calibration: more directions are needed") from None
    return _Solved(parameters, np.sqrt(np.maximum(np.diag(covariance), 0)), held_out, is_held_out, used)


def _typical(residuals: Array) -> float:
    return max(float(np.median(np.linalg.norm(residuals, axis=1))), 1e-12)


def _solve(
    residual: Residual, start: Array, chosen: npt.NDArray[np.intp], robust_beyond: float | None = None
) -> tuple[Array, Array]:
    """Least squares, or its robust kin that counts residuals beyond a size linearly; parameters and Jacobian."""
    try:
        from scipy.optimize import least_squares
    except ImportError:
        raise CalibrationError("the fit needs scipy: pip install 'stm32-telemetry-bridge[calibration]'") from None

    def flat(parameters: Array) -> Array:
        return np.ravel(residual(parameters, chosen))

    if robust_beyond is None:
        found = least_squares(flat, start, method="lm", x_scale="jac")
    else:
        found = least_squares(flat, start, method="trf", loss="soft_l1", f_scale=robust_beyond, x_scale="jac")
    return np.asarray(found.x), np.asarray(found.jac)


def _triangular(parameters: Array) -> Array:
    xx, xy, xz, yy, yz, zz = parameters[:6]
    return np.array([[xx, xy, xz], [0, yy, yz], [0, 0, zz]])


def _refuse_uncertain(error: Array, wanted: str, name: str) -> None:
    if np.max(error) > UNCERTAIN:
        row, column = np.unravel_index(np.argmax(error), error.shape)
        axes = "".join(sorted({"xyz"[row], "xyz"[column]}))
        raise CalibrationError(
            f"the {name} leave the calibration open by {np.max(error):.1%} in {axes}: more {name} are needed, {wanted}"
        )
