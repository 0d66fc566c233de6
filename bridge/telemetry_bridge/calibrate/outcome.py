"""What a calibration session ends with: new parts of a calibration, and the report about them."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from telemetry_bridge.calibration import Calibration, Curve, Residuals, Triad
from telemetry_bridge.calibration.model import UNITS, Matrix, Vector
from telemetry_bridge.calibration.multi_position import Fit
from telemetry_bridge.calibration.poses import Pose
from telemetry_bridge.calibration.recording import GRAVITY, Array, Chunk, Origin
from telemetry_bridge.calibration.thermal import rebased

DEG = np.pi / 180
MG = GRAVITY / 1000


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a report; cells are text."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a session.

    Attributes:
        parts: what the calibration gets, by ``accel``, ``gyro``, ``temperature``; empty if there is nothing to keep.
        notes: sentences for a human.
        figure: SVG.
    """

    parts: Mapping[str, Triad | Curve]
    tables: Sequence[Table]
    figure: str
    notes: Sequence[str] = field(default=())


@dataclass(frozen=True, slots=True)
class Step:
    """One thing of a session that is done or not."""

    name: str
    state: str
    done: bool


class Guide(Protocol):
    """A session: takes samples as they come, says what to do next, and ends with an outcome. It reads no clock.

    Attributes:
        complaints: what was wrong with the data so far, in order.
    """

    complaints: list[str]

    def feed(self, chunk: Chunk) -> None:
        """Take samples that follow the last ones."""

    @property
    def is_done(self) -> bool:
        """Whether there is enough."""

    def prompt(self) -> str:
        """What to do now, one sentence."""

    def steps(self) -> Sequence[Step]:
        """What is done and what is missing."""

    def finish(self) -> Outcome:
        """Compute.

        Raises:
            CalibrationError: the samples do not allow it.
        """


def now() -> datetime.datetime:
    """The date of a part, UTC."""
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0)


def rms(values: Array) -> float:
    """Root of the mean square."""
    return float(np.sqrt(np.mean(np.square(values))))


def temperature_of(poses: Sequence[Pose]) -> float | None:
    """Mean over poses, by samples; None if it is not known."""
    warmth = float(np.average([pose.temperature_c for pose in poses], weights=[pose.samples for pose in poses]))
    return warmth if np.isfinite(warmth) else None


def triad(
    kind: str,
    origin: Origin,
    fit: Fit,
    old: Triad | None,
    *,
    method: str,
    residuals: Residuals,
    counts: dict[str, int],
    temperature_c: float | None,
) -> Triad:
    """A part with the numbers of a fit; what is known of its drift with temperature is taken over."""
    thermal = old.thermal if old is not None else None
    if thermal is not None and old is not None:
        known = old.temperature_c is not None and temperature_c is not None
        thermal = rebased(thermal, old.temperature_c or 0.0, temperature_c or 0.0) if known else None
    return Triad(
        unit=UNITS[kind],
        matrix=as_matrix(fit.matrix),
        bias=as_vector(fit.bias),
        date=now(),
        method=method,
        residuals=residuals,
        counts=counts,
        temperature_c=temperature_c,
        full_scale=origin.full_scale(f"{kind}_x"),
        thermal=thermal,
    )


def as_vector(values: Array) -> Vector:
    """Three numbers for a file."""
    x, y, z = (float(value) for value in values)
    return x, y, z


def as_matrix(rows: Array) -> Matrix:
    """Three rows for a file."""
    x, y, z = (as_vector(row) for row in rows)
    return x, y, z


def parameter_table(kind: str, fit: Fit) -> Table:
    """Scale, misalignment and bias with their standard errors, in the units that people use.

    M is shown as scale and shear, M = T diag(scale): so misalignment xy is an angle whatever the scales are. Scale and
    misalignment are what is corrected (minus what the sensor does wrong), the bias is what the sensor adds.
    """
    scale = np.diag(fit.matrix)
    unit, name, digits = (MG, "mg", 3) if kind == "accel" else (DEG, "deg/s", 4)
    rows = [
        (
            f"scale correction {axis}",
            f"{(fit.matrix[row, row] - 1) * 100:+.3f} %",
            f"{fit.matrix_error[row, row] * 100:.3f} %",
        )
        for row, axis in enumerate("xyz")
    ]
    rows += [
        (
            f"misalignment {'xyz'[row]}{'xyz'[column]}",
            f"{np.degrees(np.arctan(fit.matrix[row, column] / scale[column])):+.3f} deg",
            f"{np.degrees(fit.matrix_error[row, column] / scale[column]):.3f} deg",
        )
        for row in range(3)
        for column in range(3)
        if row != column and fit.matrix_error[row, column] > 0
    ]
    rows += [
        (
            f"bias {axis}",
            f"{fit.bias[row] / unit:+.{digits}f} {name}",
            f"{fit.bias_error[row] / unit:.{digits}f} {name}",
        )
        for row, axis in enumerate("xyz")
    ]
    title = "Accelerometer" if kind == "accel" else "Gyroscope"
    return Table(f"{title}: calibrated = M (nominal - bias)", ("", "value", "standard error"), rows)


def merged(base: Calibration | None, origin: Origin, parts: Mapping[str, Triad | Curve]) -> Calibration:
    """The calibration in force with new parts, from now on: newer than it, even if the clock was set back meanwhile."""
    kept = {} if base is None else {"accel": base.accel, "gyro": base.gyro, "temperature": base.temperature}
    return Calibration(
        device=origin.device,
        stream=origin.stream,
        sensor=origin.sensor,
        date=now() if base is None else max(now(), base.date + datetime.timedelta(seconds=1)),
        **{**kept, **parts},  # type: ignore[arg-type]
    )
