"""`calibrate temperature --reference`: a thermometer against a better one, while both warm up or cool down together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from telemetry_bridge.calibrate.outcome import Outcome, Step, Table, now, rms
from telemetry_bridge.calibration import Curve, Residuals
from telemetry_bridge.calibration.figure import Series, figure
from telemetry_bridge.calibration.recording import Array, Chunk, Origin
from telemetry_bridge.calibration.thermal import fit_curve
from telemetry_bridge.errors import CalibrationError

MEAN_S = 5.0
"""Both are averaged over this time."""


class ThermometerGuide:
    """Collects pairs of temperatures.

    Attributes:
        complaints: what was wrong with the data so far.
    """

    def __init__(self, origin: Origin, span_k: float, reference: str) -> None:
        """Begin.

        Args:
            span_k: how far the temperature is to move.
            reference: what the better thermometer is called.

        Raises:
            CalibrationError: the stream is no thermometer.
        """
        (self._row,) = origin.rows(("temperature",))
        self._origin, self._span_k, self._reference = origin, span_k, reference
        self._open: list[tuple[float, float, float]] = []  # time, nominal, reference
        self._pairs: list[tuple[float, float]] = []
        self.complaints: list[str] = []

    def feed(self, chunk: Chunk) -> None:
        """Take samples that follow the last ones."""
        for time_s, nominal, reference in zip(chunk.time_s, chunk.values[self._row], chunk.temperature_c, strict=True):
            if np.isfinite(reference):
                self._open.append((float(time_s), float(nominal), float(reference)))
            if self._open and self._open[-1][0] - self._open[0][0] >= MEAN_S:
                _, mean, better = np.mean(self._open, axis=0)
                self._pairs.append((float(mean), float(better)))
                self._open.clear()

    @property
    def _reached_k(self) -> float:
        return float(np.ptp([better for _, better in self._pairs])) if self._pairs else 0.0

    @property
    def is_done(self) -> bool:
        """Whether the temperature has moved far enough."""
        return self._reached_k >= self._span_k

    def prompt(self) -> str:
        """What to do now."""
        return "let both thermometers slowly warm up or cool down together"

    def steps(self) -> Sequence[Step]:
        """How far it has moved."""
        state = f"{self._reached_k:.1f} of {self._span_k:g} K"
        if self._pairs:
            state += f", now {self._pairs[-1][0]:.2f} degC, {self._reference} {self._pairs[-1][1]:.2f} degC"
        return [Step("temperature moved", state, self.is_done)]

    def finish(self) -> Outcome:
        """Fit the polynomial."""
        if not self._pairs:
            raise CalibrationError(f"no temperature of {self._reference} came")
        nominal, reference = np.array(self._pairs).T
        coefficients, after = fit_curve(nominal, reference)
        before = reference - nominal
        residuals = Residuals(rms(before), rms(after), "degC", f"difference to {self._reference}", True)
        curve = Curve(
            coefficients=tuple(float(value) for value in coefficients),
            range_c=(float(nominal.min()), float(nominal.max())),
            date=now(),
            method=f"polynomial of order {len(coefficients) - 1} against {self._reference}",
            residuals=residuals,
            counts={"means": len(self._pairs)},
        )
        rows = [
            ("difference, RMS, held out", f"{rms(before):.4f} K", f"{rms(after):.4f} K"),
            ("difference, largest", f"{np.abs(before).max():.4f} K", f"{np.abs(after).max():.4f} K"),
        ]
        drawing = figure(
            f"{self._origin.stream} against {self._reference}",
            "nominal temperature, degC",
            "difference, K",
            _series(nominal, before, after),
        )
        return Outcome({"temperature": curve}, [Table("Residuals", ("", "before", "after"), rows)], drawing)


def _series(nominal: Array, before: Array, after: Array) -> list[Series]:
    return [Series("before", nominal, before, colour=1), Series("after, held out", nominal, after)]
