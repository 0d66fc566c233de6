"""`calibrate temperature`: the board rests while it warms up or cools down."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from telemetry_bridge.calibrate.outcome import DEG, MG, Outcome, Step, Table, as_vector, now, rms
from telemetry_bridge.calibration import Calibration, Residuals, Thermal, Triad
from telemetry_bridge.calibration.figure import Series, figure
from telemetry_bridge.calibration.model import IDENTITY, UNITS, ZERO
from telemetry_bridge.calibration.poses import PoseFinder
from telemetry_bridge.calibration.recording import Chunk, Origin
from telemetry_bridge.calibration.thermal import STRETCH_S, Sweep, fit_sweep
from telemetry_bridge.errors import CalibrationError

SPAN_K = 15.0
OUTSIDE_K = 2.0
"""How far T0 of a calibration may lie outside the sweep."""
LARGEST_SHARE = 0.1
"""Of the drift, what a good compensation leaves."""


class SweepGuide:
    """Collects stretches of rest at different temperatures.

    Attributes:
        complaints: what was wrong with the data so far.
    """

    def __init__(self, origin: Origin, base: Calibration | None, span_k: float = SPAN_K) -> None:
        """Begin.

        Args:
            span_k: how far the temperature is to move.
        """
        self._origin, self._base, self._span_k = origin, base, span_k
        self._finder = PoseFinder(origin, hold_s=STRETCH_S / 2, longest_s=STRETCH_S)
        self.complaints = self._finder.complaints

    def feed(self, chunk: Chunk) -> None:
        """Take samples that follow the last ones."""
        self._finder.feed(chunk)

    def _warmth(self) -> list[float]:
        return [pose.temperature_c for pose in self._finder.poses]

    @property
    def _reached_k(self) -> float:
        return float(np.ptp(self._warmth())) if self._finder.poses else 0.0

    @property
    def is_done(self) -> bool:
        """Whether the temperature has moved far enough."""
        return self._reached_k >= self._span_k

    def prompt(self) -> str:
        """What to do now."""
        if self._finder.poses and not np.isfinite(self._warmth()[-1]):
            return "the sensor's temperature does not come: is the stream of its thermometer enabled?"
        return "let the board rest while it slowly warms up or cools down"

    def steps(self) -> Sequence[Step]:
        """Temperature and how far it has moved."""
        warmth = self._warmth()
        state = f"{self._reached_k:.1f} of {self._span_k:g} K, now {warmth[-1]:.1f} degC" if warmth else "–"
        return [
            Step("temperature moved", state, self.is_done),
            Step("stretches of rest", str(len(warmth)), bool(warmth)),
        ]

    def finish(self) -> Outcome:
        """Fit both triads."""
        self._finder.finish()
        poses = self._finder.poses
        if not poses:
            raise CalibrationError("the board never rested")
        parts: dict[str, Triad] = {}
        rows: list[Sequence[str]] = []
        notes: list[str] = []
        drawn: list[Series] = []
        for first, kind, unit, name in ((0, "accel", MG, "mg"), (3, "gyro", DEG, "deg/s")):
            old = self._base.triads().get(kind) if self._base is not None else None
            reference_c = self._reference(kind, old)
            sweep = fit_sweep(poses, first, reference_c, levels=kind == "accel")
            rows.append(_row(kind, sweep, unit, name))
            if not len(sweep.coefficients):
                notes.append(f"{kind}: no dependence on temperature stands out of the noise")
                continue
            parts[kind] = self._part(kind, sweep, old, reference_c)
            share = rms(sweep.after) / float(sweep.span.max())
            if share > LARGEST_SHARE:
                notes.append(f"{kind}: {share:.0%} of the drift is left: hysteresis? A slower sweep may do better")
            if kind == "gyro" or not drawn:
                drawn = _series(sweep, unit)
                label, title = (
                    f"bias minus bias at {reference_c:.1f} degC, {name}",
                    f"Drift of the {kind} with temperature",
                )
        if not parts:
            raise CalibrationError("no dependence on temperature stands out of the noise: nothing to compensate")
        head = Table("Drift with temperature", ("", "order", "span", "RMS before", "RMS after, held out", "left"), rows)
        return Outcome(parts, [head], figure(title, "temperature, degC", label, drawn), notes)

    def _reference(self, kind: str, old: Triad | None) -> float:
        """T0: that of the calibration in force if there is one, else the middle of the sweep."""
        low, high = float(np.min(self._warmth())), float(np.max(self._warmth()))
        if old is None:
            return (low + high) / 2
        if old.temperature_c is None:
            raise CalibrationError(f"the {kind} was calibrated without its temperature: do that again first")
        if not low - OUTSIDE_K <= old.temperature_c <= high + OUTSIDE_K:
            raise CalibrationError(
                f"the {kind} was calibrated at {old.temperature_c:.1f} degC, which is not in this sweep from "
                f"{low:.1f} to {high:.1f} degC"
            )
        return old.temperature_c

    def _part(self, kind: str, sweep: Sweep, old: Triad | None, reference_c: float) -> Triad:
        residuals = Residuals(
            rms(sweep.before), rms(sweep.after), UNITS[kind], f"bias minus bias at {reference_c:.2f} degC", True
        )
        thermal = Thermal(
            coefficients=tuple(as_vector(row) for row in sweep.coefficients),
            # as far as T0, which may lie a little outside: from there the polynomial is counted
            range_c=(
                min(float(sweep.temperature_c.min()), reference_c),
                max(float(sweep.temperature_c.max()), reference_c),
            ),
            date=now(),
            method=f"polynomial of order {len(sweep.coefficients)} over a sweep at rest",
            residuals=residuals,
            counts={"stretches": len(sweep.temperature_c), "samples": sum(pose.samples for pose in self._finder.poses)},
        )
        if old is not None:
            return msgspec.structs.replace(old, thermal=thermal)
        return Triad(
            unit=UNITS[kind],
            matrix=IDENTITY,
            bias=as_vector(sweep.level) if kind == "gyro" else ZERO,
            date=now(),
            method="temperature sweep only",
            residuals=residuals,
            counts=thermal.counts,
            temperature_c=reference_c,
            full_scale=self._origin.full_scale(f"{kind}_x"),
            thermal=thermal,
        )


def _row(kind: str, sweep: Sweep, unit: float, name: str) -> Sequence[str]:
    span = float(sweep.span.max())
    return (
        kind,
        str(len(sweep.coefficients)),
        f"{span / unit:.3f} {name}",
        f"{rms(sweep.before) / unit:.3f} {name}",
        f"{rms(sweep.after) / unit:.3f} {name}",
        f"{rms(sweep.after) / span:.1%}" if span > 0 else "–",
    )


def _series(sweep: Sweep, unit: float) -> list[Series]:
    order = np.argsort(sweep.temperature_c)
    warmth = sweep.temperature_c[order]
    drawn = []
    for axis, name in enumerate("xyz"):
        drawn.append(Series(name, warmth, sweep.before[order, axis] / unit, colour=axis))
        drawn.append(Series("", warmth, sweep.drift[order, axis] / unit, "line", colour=axis))
    drawn.append(Series("after", warmth, np.ravel(sweep.after[order, 0]) / unit, colour=6))
    return drawn
