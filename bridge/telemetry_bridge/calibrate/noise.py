"""`calibrate noise`: Allan deviation of a board at rest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from telemetry_bridge.calibrate.outcome import DEG, MG, Outcome, Step, Table
from telemetry_bridge.calibration.allan import LEAST_CLUSTERS, Noise, noise
from telemetry_bridge.calibration.figure import Series, figure
from telemetry_bridge.calibration.poses import PoseFinder
from telemetry_bridge.calibration.recording import GAP_PERIODS, IMU_FIELDS, Array, Chunk, Origin
from telemetry_bridge.errors import CalibrationError

MINUTES = 30.0


class NoiseGuide:
    """Collects one long rest.

    Attributes:
        complaints: what was wrong with the data so far.
    """

    def __init__(self, origin: Origin, minutes: float = MINUTES) -> None:
        """Begin; ``minutes`` is how long the board is to rest."""
        self._origin, self._wanted_s = origin, 60 * minutes
        self._rows = origin.rows(IMU_FIELDS)
        self.complaints: list[str] = []
        self._begin()

    def _begin(self) -> None:
        self._finder = PoseFinder(self._origin)
        self._times: list[Array] = []
        self._values: list[npt.NDArray[np.float32]] = []

    def feed(self, chunk: Chunk) -> None:
        """Take samples that follow the last ones; a movement or a hole in them starts the rest anew."""
        self._finder.feed(chunk)
        moved = self._finder.is_moving or self._finder.poses or self._finder.complaints
        if moved and self._values:
            rested_s = self._rested_s
            why = self._finder.complaints[0] if self._finder.complaints else "the board was moved"
            if rested_s > 5:
                self.complaints.append(f"after {rested_s:.0f} s of rest: {why}; the rest starts anew")
            self._begin()
        if self._finder.held_s > 0 or self._values:
            self._times.append(chunk.time_s)
            self._values.append(chunk.values[self._rows].astype(np.float32))  # as they came; half an hour is long

    @property
    def _rested_s(self) -> float:
        return float(self._times[-1][-1] - self._times[0][0]) if self._times else 0.0

    @property
    def is_done(self) -> bool:
        """Whether the rest was long enough."""
        return self._rested_s >= self._wanted_s

    def prompt(self) -> str:
        """What to do now."""
        return "lay the board down where nothing shakes it, and leave it alone"

    def steps(self) -> Sequence[Step]:
        """How long it has rested."""
        shown = f"{self._rested_s / 60:.1f} of {self._wanted_s / 60:g} min"
        return [Step("at rest", shown, self.is_done)]

    def finish(self) -> Outcome:
        """Allan deviation of each axis."""
        if not self._times:
            raise CalibrationError("the board never rested")
        time_s = np.concatenate(self._times)
        steps = np.diff(time_s)
        if np.any(steps > GAP_PERIODS * np.median(steps)):
            raise CalibrationError("samples are missing: the Allan deviation needs them all")
        rate_hz = (time_s.size - 1) / (time_s[-1] - time_s[0])
        values = np.concatenate(self._values, axis=1)
        found = {name: noise(row.astype(np.float64), rate_hz) for name, row in zip(IMU_FIELDS, values, strict=True)}
        axes = found.items()
        tables = [
            Table(
                f"Noise over {self._rested_s / 60:.1f} min at {rate_hz:.1f} Hz",
                ("", "noise density", "random walk (N)", "bias instability (B)"),
                [_short_term(name, one) for name, one in axes],
            ),
            Table("Over long times", ("", "lowest point", "rate random walk (K)"), [_long_term(*one) for one in axes]),
        ]
        notes = [
            "noise density is one-sided, as in datasheets; N, B and K are those of IEEE Std 952, with a two-sided "
            "spectrum: density = sqrt(2) N",
            f"averaging times up to {time_s[-1] / LEAST_CLUSTERS:.0f} s; a – means that it does not stand out",
        ]
        return Outcome({}, tables, _drawing(found, self._origin.sensor), notes)


def _short_term(name: str, one: Noise) -> Sequence[str]:
    if name.startswith("accel"):
        return (
            name,
            f"{one.density / MG * 1000:.1f} ug/sqrt(Hz)",
            f"{one.white * 60:.4f} m/s/sqrt(h)",
            f"{one.instability / MG * 1000:.1f} ug" if one.instability else "–",
        )
    return (
        name,
        f"{one.density / DEG * 1000:.2f} mdps/sqrt(Hz)",
        f"{one.white / DEG * 60:.3f} deg/sqrt(h)",
        f"{one.instability / DEG * 3600:.2f} deg/h" if one.instability else "–",
    )


def _long_term(name: str, one: Noise) -> Sequence[str]:
    tau_s, lowest = one.lowest
    if name.startswith("accel"):
        return (
            name,
            f"{lowest / MG * 1000:.1f} ug at {tau_s:.0f} s",
            f"{one.random_walk * 60:.3g} m/s^2/sqrt(h)" if one.random_walk else "–",
        )
    return (
        name,
        f"{lowest / DEG * 3600:.2f} deg/h at {tau_s:.0f} s",
        f"{one.random_walk / DEG * 3600 * 60:.3g} deg/h/sqrt(h)" if one.random_walk else "–",
    )


def _drawing(found: dict[str, Noise], sensor: str) -> str:
    """Both kinds in one diagram: m/s^2 and rad/s."""
    drawn = []
    for colour, (name, one) in enumerate(found.items()):
        drawn.append(Series(name, one.tau_s, one.deviation, colour=colour))
        drawn.append(Series("", one.tau_s, one.model(one.tau_s), "line", colour=colour))
    return figure(f"Allan deviation: {sensor}", "averaging time, s", "m/s^2 and rad/s", drawn, log_x=True, log_y=True)
