"""`calibrate accel` and `calibrate gyro`: poses, and the turns between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from telemetry_bridge.calibrate.outcome import (
    DEG,
    MG,
    Outcome,
    Step,
    Table,
    parameter_table,
    rms,
    temperature_of,
    triad,
)
from telemetry_bridge.calibration import Calibration, Residuals, Triad
from telemetry_bridge.calibration.coverage import FACES, POSES, TILTED_POSES, TURNED_DEG, coverage
from telemetry_bridge.calibration.figure import Series, figure
from telemetry_bridge.calibration.model import IDENTITY
from telemetry_bridge.calibration.multi_position import Fit, fit_accel, fit_gyro, gyro_bias
from telemetry_bridge.calibration.poses import HOLD_S, Pose, PoseFinder, Turn
from telemetry_bridge.calibration.recording import Array, Chunk, Origin
from telemetry_bridge.calibration.stage import bias_at
from telemetry_bridge.errors import CalibrationError

LARGEST_AFTER_MG = 10.0
"""Held-out residual of a good calibration is below 5 mg; at twice that something else is wrong."""
LARGEST_AFTER_DEG = 2.0
PAPER = "multi-position (Tedaldi, Pretto, Menegatti, ICRA 2014)"


class PoseGuide:
    """Collects poses until every direction is covered; for the gyroscope also the turns between them.

    Attributes:
        complaints: what was wrong with the data so far.
    """

    def __init__(
        self, origin: Origin, base: Calibration | None, gravity: float, *, gyro: bool, poses: int = POSES
    ) -> None:
        """Begin.

        Args:
            base: the calibration in force: what it knows of the accelerometer serves for the gyroscope.
            gravity: at this place, m/s^2.
            gyro: whether the gyroscope is to be calibrated too.
            poses: how many there are to be at least.
        """
        self._origin, self._base, self._gravity, self._gyro, self._wanted = origin, base, gravity, gyro, poses
        self._finder = PoseFinder(origin)
        self._known: tuple[int, bool] = (-1, False)
        self._done = False
        self.complaints = self._finder.complaints

    def feed(self, chunk: Chunk) -> None:
        """Take samples that follow the last ones."""
        self._finder.feed(chunk)

    def _poses(self) -> list[Pose]:
        current = self._finder.current()
        return [*self._finder.poses, *([] if current is None else [current])]

    def _missing(self) -> list[str]:
        return coverage(self._poses(), self._finder.turns).missing(poses=self._wanted, turns=self._gyro)

    @property
    def is_done(self) -> bool:
        """Whether every direction is covered."""
        key = len(self._finder.poses), self._finder.is_held
        if key != self._known:  # looked at once for each pose, not for each chunk
            self._known, self._done = key, not self._missing()
        return self._done

    def prompt(self) -> str:
        """What to do now."""
        finder = self._finder
        if finder.held_s > 0 and not finder.is_held:
            return "hold still …"
        missing = self._missing()
        if not missing:
            return "done"
        return f"good; now {missing[0]}" if finder.is_held else f"{missing[0]}, and let it rest"

    def steps(self) -> Sequence[Step]:
        """Faces, tilted poses, turns."""
        covered = coverage(self._poses(), self._finder.turns)
        faces = ", ".join(face for face in FACES if covered.faces[face])
        steps = [Step("faces", faces or "–", all(covered.faces.values()))]
        steps += [
            Step(f"tilted between {a} and {b}", f"{count} of {TILTED_POSES}", count >= TILTED_POSES)
            for (a, b), count in covered.tilted.items()
        ]
        if self._gyro:
            steps += [
                Step(f"turned about {axis}", f"{turned:.0f} of {TURNED_DEG:.0f} deg", turned >= TURNED_DEG)
                for axis, turned in covered.turned_deg.items()
            ]
        rest = "no: it moves" if self._finder.is_moving else f"{self._finder.held_s:.1f} of {HOLD_S:.0f} s"
        steps.append(Step("at rest", rest, self._finder.is_held))
        return [*steps, Step("poses", f"{covered.poses} of {self._wanted}", covered.poses >= self._wanted)]

    def finish(self) -> Outcome:
        """Fit, and look whether the result is good."""
        self._finder.finish()
        poses = self._finder.poses
        if not poses:
            raise CalibrationError(f"the board never lay still for {HOLD_S:.0f} s: a hand is not still, a table is")
        base = self._base
        known = base.accel if base is not None and self._gyro else None
        if known is not None and known.matrix == IDENTITY:
            known = None  # it has been in a temperature sweep only
        parts: dict[str, Triad] = {}
        residuals: list[Sequence[str]] = []
        tables: list[Table] = []
        turns = self._finder.turns
        notes: list[str] = []
        drawn: list[Series] = []
        if known is None:
            fit = fit_accel(poses, self._gravity)
            parts["accel"] = self._accel(fit, poses, base.accel if base is not None else None)
            residuals += _rows("gravity", fit, MG, "mg")
            tables.append(parameter_table("accel", fit))
            notes += _left_out(fit, "poses")
            drawn = _series(fit, MG)
            matrix, bias = fit.matrix, fit.bias
            turns = [turn if _fits(turn, fit) else replace(turn, flaw="a pose of it was left out") for turn in turns]
        else:
            warmth = temperature_of(poses)
            matrix, bias = np.array(known.matrix), bias_at(known, np.nan if warmth is None else warmth)
            notes.append(f"the accelerometer's part of calibration {base.id if base else ''} was taken as it is")
        title, unit, x_label = "Error of the magnitude of gravity", "mg", "pose"
        if self._gyro:
            turned = fit_gyro(poses, turns, matrix, bias)
            parts["gyro"] = self._gyro_part(turned, poses, base.gyro if base is not None else None)
            residuals += _rows("direction after a turn", turned, DEG, "deg")
            tables.append(parameter_table("gyro", turned))
            notes += _left_out(turned, "turns")
            drawn = _series(turned, DEG)
            title, unit, x_label = "Error of the direction of gravity after a turn", "deg", "turn"
        notes += _notes(turns if self._gyro else (), self._missing())
        head = Table("Residuals", ("", "before", "after"), residuals)
        drawing = figure(f"{title}: {self._origin.sensor}", x_label, f"error, {unit}", drawn, log_y=True)
        return Outcome(parts, (head, *tables), drawing, notes)

    def _accel(self, fit: Fit, poses: Sequence[Pose], old: Triad | None) -> Triad:
        after = rms(fit.after[fit.used])
        if after > LARGEST_AFTER_MG * MG:
            raise CalibrationError(
                f"the poses do not fit together: {after / MG:.1f} mg are left of {rms(fit.before) / MG:.1f}; "
                "was the board really at rest in each?"
            )
        residuals = Residuals(rms(fit.before), after, "m/s^2", "magnitude of gravity in each pose", fit.held_out)
        return triad(
            "accel",
            self._origin,
            fit,
            old,
            method=f"{PAPER}, gravity {self._gravity:.5f} m/s^2",
            residuals=residuals,
            counts={
                "poses": len(poses),
                "poses_used": int(fit.used.sum()),
                "samples": sum(pose.samples for pose in poses),
            },
            temperature_c=temperature_of(poses),
        )

    def _gyro_part(self, fit: Fit, poses: Sequence[Pose], old: Triad | None) -> Triad:
        after = rms(fit.after[fit.used])
        if after > LARGEST_AFTER_DEG * DEG:
            raise CalibrationError(
                f"the turns do not fit the poses: {after / DEG:.1f} deg are left of {rms(fit.before) / DEG:.1f}; "
                "turn more slowly, and lay the board down gently"
            )
        residuals = Residuals(rms(fit.before), after, "rad", "direction of gravity after each turn", fit.held_out)
        return triad(
            "gyro",
            self._origin,
            fit,
            old,
            method=PAPER,
            residuals=residuals,
            counts={
                "turns": len(self._finder.turns),
                "turns_used": int(fit.used.sum()),
                "samples": sum(turn.time_s.size for turn in self._finder.turns),
            },
            temperature_c=temperature_of(poses),
        )


def _rows(what: str, fit: Fit, unit: float, name: str) -> list[Sequence[str]]:
    kind = "held out" if fit.held_out else "as fitted"
    after = fit.after[fit.used]
    return [
        (f"{what}, RMS, {kind}", f"{rms(fit.before) / unit:.3f} {name}", f"{rms(after) / unit:.3f} {name}"),
        (f"{what}, largest", f"{fit.before.max() / unit:.3f} {name}", f"{after.max() / unit:.3f} {name}"),
    ]


def _series(fit: Fit, unit: float) -> list[Series]:
    numbers = np.arange(1, fit.before.size + 1, dtype=np.float64)
    return [
        Series("before", numbers, fit.before / unit, colour=1),
        Series("after, held out" if fit.held_out else "after", numbers, fit.after / unit, colour=0),
    ]


def _left_out(fit: Fit, name: str) -> list[str]:
    numbers = [str(number + 1) for number in np.flatnonzero(~fit.used)]
    return [f"left out as they do not fit the others: {name} {', '.join(numbers)}"] if numbers else []


def _fits(turn: Turn, fit: Fit) -> bool:
    """Whether the poses at both ends of a turn could be used."""
    return bool(fit.used[turn.before : turn.before + 2].all())


def _notes(turns: Sequence[Turn], missing: Sequence[str]) -> list[str]:
    flawed = sum(1 for turn in turns if turn.flaw)
    notes = [f"{flawed} of {len(turns)} turns could not be used"] if flawed else []
    return notes + [f"missing: {what}" for what in missing]


class RestGuide:
    """`calibrate gyro --bias`: a few seconds of rest give the gyroscope's bias of today.

    Attributes:
        complaints: what was wrong with the data so far.
    """

    def __init__(self, origin: Origin, base: Calibration | None, seconds: float) -> None:
        self._origin, self._base, self._seconds = origin, base, seconds
        self._finder = PoseFinder(origin, hold_s=seconds, longest_s=seconds)
        self.complaints = self._finder.complaints

    def feed(self, chunk: Chunk) -> None:
        """Take samples that follow the last ones."""
        if not self._finder.poses:
            self._finder.feed(chunk)

    @property
    def is_done(self) -> bool:
        """Whether the board has rested long enough."""
        return bool(self._finder.poses)

    def prompt(self) -> str:
        """What to do now."""
        return "lay the board down and do not touch it"

    def steps(self) -> Sequence[Step]:
        """How long it has rested."""
        return [Step("at rest", f"{self._finder.held_s:.1f} of {self._seconds:g} s", self.is_done)]

    def finish(self) -> Outcome:
        """The mean rate at rest is the bias."""
        if not self._finder.poses:
            raise CalibrationError(f"the board did not rest for {self._seconds:g} s")
        pose = self._finder.poses[0]
        bias, error = gyro_bias([pose])
        old = self._base.gyro if self._base is not None else None
        matrix: Array = np.array(IDENTITY if old is None else old.matrix)
        before = pose.gyro if old is None else matrix @ (pose.gyro - np.array(old.bias))
        nothing = np.zeros(0)
        fit = Fit(matrix, bias, nothing, nothing, np.zeros(0, bool), True, np.zeros((3, 3)), error)
        made = triad(
            "gyro",
            self._origin,
            fit,
            old,
            method="bias at rest"
            if old is None
            else f"bias at rest; matrix: {old.method.removeprefix('bias at rest; matrix: ')}",
            residuals=Residuals(rms(before), rms(error), "rad/s", "rate at rest; after: standard error"),
            counts={"samples": pose.samples},
            temperature_c=temperature_of([pose]),
        )
        rows = [
            (f"rate {axis} at rest", f"{before[row] / DEG:+.4f} deg/s", f"0 ± {error[row] / DEG:.4f} deg/s")
            for row, axis in enumerate("xyz")
        ]
        drawn = [
            Series("before", np.arange(1.0, 4), np.abs(before) / DEG, colour=1),
            Series("after (standard error)", np.arange(1.0, 4), error / DEG),
        ]
        drawing = figure("Rate at rest", "axis (1 x, 2 y, 3 z)", "deg/s", drawn, log_y=True)
        return Outcome({"gyro": made}, [Table("Residuals", ("", "before", "after"), rows)], drawing)
