"""Finds where a board lay still, and what happened in between: the static detector of the multi-position method.

    samples    ~~~~~~~~~______________~~~~~~~~_________~~~~~~~~~~______________
    windows    m m m m  s s s s s s s m m m m s s s s  m m m m m s s s s s s s     m moving, s still
    result              pose 0        turn 0   pose 1    turn 1   pose 2

A window is still when its standard deviation is close to that of the quietest rest so far and within what a board on a
table can have (Tedaldi, Pretto, Menegatti, ICRA 2014, section IV.B, take the variance of an initial rest as the
measure). A run of still windows that is long enough and does not drift is a pose.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from telemetry_bridge.calibration.recording import GAP_PERIODS, IMU_FIELDS, Array, Chunk, Origin

WINDOW_S: Final = 0.2
HOLD_S: Final = 2.0
"""How long a pose is at least, without the window at each of its ends."""
WINDOW_SAMPLES: Final = 20
"""A window has at least so many, however slow the sensor."""
QUIET_FACTOR: Final = 3.0
"""A window is still up to this many times the standard deviation of the quietest one."""
LARGEST_STILL: Final = np.array([0.15] * 3 + [0.0175] * 3)
"""Standard deviation that no resting sensor has: 15 mg and 1 deg/s; an MPU-6050 at 1 kHz has 9 mg and 0.16 deg/s
(400 ug/sqrt(Hz), 0.005 deg/s/sqrt(Hz); product specification 3.4, tables 6.1 and 6.2)."""
LARGEST_RATE: Final = np.radians(25)
"""Mean rate that no resting sensor has: a turntable is not still. An MPU-6050 is off by up to 20 deg/s (product
specification 3.4, table 6.1), an LSM6DSO by 1."""
LARGEST_DRIFT: Final = np.array([0.03] * 3 + [0.005] * 3)
"""How far the mean of a window may be from that of its pose, beside the noise: 3 mg and 0.3 deg/s."""
SATURATED: Final = 0.99
"""A value is taken for saturated from this share of the full scale on."""
LONGEST_TURN_S: Final = 20.0
"""A turn that takes longer is not used: the gyroscope's noise and the error of its bias grow in its integral."""


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """A stretch of rest.

    Attributes:
        mean: of accel_x … gyro_z over it, nominal SI, shape ``(6,)``.
        deviation: standard deviation within its windows, shape ``(6,)``.
        samples: how many.
        temperature_c: mean; nan if unknown.
        follows: whether the board has not been moved since the pose before.
    """

    start_s: float
    end_s: float
    mean: Array
    deviation: Array
    samples: int
    temperature_c: float
    follows: bool = False

    @property
    def accel(self) -> Array:
        """Mean specific force, shape ``(3,)``."""
        return self.mean[:3]

    @property
    def gyro(self) -> Array:
        """Mean turn rate, which is the gyroscope's bias, shape ``(3,)``."""
        return self.mean[3:]


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """What the gyroscope saw from the end of one pose to the start of the next.

    Attributes:
        before: number of the pose that it starts from; it ends at the next one.
        time_s: shape ``(n,)``.
        rates: nominal rad/s, shape ``(3, n)``.
        flaw: why it cannot be used; empty if it can.
    """

    before: int
    time_s: Array
    rates: Array
    flaw: str = ""


@dataclass(slots=True)
class _Window:
    time_s: Array
    values: Array  # accel_x … gyro_z; dropped when no turn can need it any more
    mean: Array
    deviation: Array
    temperature_c: float


@dataclass(slots=True)
class _Run:
    """Still windows one after the other."""

    windows: list[_Window] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Without the window at each end, in which the board may still be moving a little."""
        return float(self.windows[-1].time_s[0] - self.windows[1].time_s[0]) if len(self.windows) > 2 else 0.0

    def accepts(self, window: _Window) -> bool:
        """Whether a window is of the same pose."""
        mean = np.mean([one.mean for one in self.windows[-10:]], axis=0)
        noise = 6 * window.deviation / np.sqrt(window.time_s.size)
        return bool(np.all(np.abs(window.mean - mean) < LARGEST_DRIFT + noise))

    def noise(self) -> Array | None:
        """Standard deviation over the last windows; None if there are too few for a good estimate."""
        last = self.windows[-10:]
        return None if len(last) < 5 else np.sqrt(np.mean([one.deviation**2 for one in last], axis=0))


class PoseFinder:
    """Takes the samples of an IMU as they come; reads no clock.

    Attributes:
        poses: those that have ended, in order.
        turns: between them; the last may lead to the pose that goes on now.
        complaints: what was wrong with the data, for a human, in order.
        is_moving: whether the newest window was not still.
    """

    def __init__(self, origin: Origin, hold_s: float = HOLD_S, longest_s: float = np.inf) -> None:
        """Prepare for a stream.

        Args:
            hold_s: how long a pose is at least.
            longest_s: where it ends, and the next one follows.

        Raises:
            CalibrationError: it is no IMU.
        """
        self.poses: list[Pose] = []
        self.turns: list[Turn] = []
        self.complaints: list[str] = []
        self.is_moving = True
        self._hold_s = hold_s
        self._longest_s = longest_s
        self._rows = origin.rows(IMU_FIELDS)
        scales = np.array([[origin.full_scale(name)] for name in IMU_FIELDS])
        self._limits = np.where(scales > 0, SATURATED * scales, np.inf)
        self._still_below = LARGEST_STILL
        self._last_s: float | None = None
        self._period_s = 0.0
        self._pending: list[Chunk] = []
        self._run = _Run()
        self._turn: list[_Window] = []
        self._flaw = ""
        self._follows = False
        self._is_turned = False  # the turn before the pose that goes on now is in `turns`

    @property
    def held_s(self) -> float:
        """How long the board has been lying still now."""
        return self._run.seconds

    @property
    def is_held(self) -> bool:
        """Whether the pose that the board is in now is long enough."""
        return self._run.seconds >= self._hold_s

    def current(self) -> Pose | None:
        """The pose that the board is in now, if it is long enough."""
        return _pose(self._run.windows[1:-1], self._follows) if self.is_held else None

    def feed(self, chunk: Chunk) -> None:
        """Take samples that follow the last ones."""
        steps = np.diff(chunk.time_s, prepend=chunk.time_s[0] if self._last_s is None else self._last_s)
        self._last_s = float(chunk.time_s[-1])
        if steps.size > 2 or (self._period_s == 0 and steps[-1] > 0):
            self._period_s = float(np.median(steps[1:])) if steps.size > 2 else float(steps[-1])
        holes = np.flatnonzero(steps > GAP_PERIODS * self._period_s) if self._period_s > 0 else np.zeros(0, np.intp)
        values = chunk.values[self._rows]
        start = 0
        for hole in holes:
            self._append(chunk, values, start, int(hole))
            self._break()
            start = int(hole)
        self._append(chunk, values, start, chunk.time_s.size)
        self._cut()

    def finish(self) -> None:
        """No more samples come: the pose that the board is in ends."""
        self._end_run()

    # --------------------------------------------------------------- windows

    def _append(self, chunk: Chunk, values: Array, start: int, end: int) -> None:
        if end > start:
            piece = Chunk(chunk.time_s[start:end], values[:, start:end], chunk.temperature_c[start:end])
            self._pending.append(piece)

    def _break(self) -> None:
        """Samples are missing behind the pending ones."""
        self._cut()
        self._pending.clear()
        self._end_run()
        self._follows = False
        self._spoil("samples are missing: the gyroscope cannot use this turn")

    def _cut(self) -> None:
        """Make windows of what is pending; the rest stays."""
        window_s = max(WINDOW_S, WINDOW_SAMPLES * self._period_s)
        if not self._pending or self._pending[-1].time_s[-1] - self._pending[0].time_s[0] < window_s:
            return
        time_s = np.concatenate([chunk.time_s for chunk in self._pending])
        values = np.concatenate([chunk.values for chunk in self._pending], axis=1)
        warmth = np.concatenate([chunk.temperature_c for chunk in self._pending])
        start = 0
        while time_s[-1] - time_s[start] >= window_s:
            end = int(np.searchsorted(time_s, time_s[start] + window_s))
            self._judge(time_s[start:end], values[:, start:end], warmth[start:end])
            start = end
        self._pending = [Chunk(time_s[start:], values[:, start:], warmth[start:])]

    def _judge(self, time_s: Array, values: Array, warmth: Array) -> None:
        deviation = np.std(values, axis=1, ddof=1)
        saturated = bool(np.any(np.abs(values) >= self._limits))
        window = _Window(time_s, values, np.mean(values, axis=1), deviation, float(np.mean(warmth)))
        turns = bool(np.any(np.abs(window.mean[3:]) > LARGEST_RATE))
        still = not (saturated or turns) and bool(np.all(deviation <= self._still_below))
        self.is_moving = not still
        if still and (not self._run.windows or self._run.accepts(window)):
            self._lengthen_run(window)
            return
        self._end_run()
        self._follows = False
        if still:
            self._run.windows.append(window)
            return
        if saturated:
            self._spoil("the sensor reached its full scale: the gyroscope cannot use this turn, turn more slowly")
        elif self._turn and time_s[-1] - self._turn[0].time_s[0] > LONGEST_TURN_S:
            self._spoil(f"the gyroscope cannot use a turn that takes longer than {LONGEST_TURN_S:.0f} s")
        self._lengthen_turn(window)

    def _lengthen_run(self, window: _Window) -> None:
        self._run.windows.append(window)
        noise = self._run.noise()
        if noise is not None:
            # some room is left for a sensor so quiet or so coarse that it repeats a value
            self._still_below = np.clip(QUIET_FACTOR * noise, LARGEST_STILL / 50, self._still_below)
        if self.is_held:  # a pose by now, so what is inside it is no part of a turn
            self._end_turn()
            for inner in self._run.windows[-3:-1]:
                inner.values = inner.values[:, :0]
        if self._run.seconds >= self._longest_s:
            self._end_run()
            self._follows = True

    # ------------------------------------------------------- poses and turns

    def _spoil(self, why: str) -> None:
        """The turn that goes on now cannot be used."""
        if not self._flaw:
            self._flaw = why
            self.complaints.append(why)
            self._turn.clear()

    def _lengthen_turn(self, *windows: _Window) -> None:
        if self.poses and not self._flaw:
            self._turn += windows

    def _end_run(self) -> None:
        """The board is lifted: what it lay in is a pose, or part of the turn."""
        run, held, self._run = self._run, self.is_held, _Run()
        if not held:
            if run.seconds > self._hold_s / 3:
                self.complaints.append(f"moved after {run.seconds:.1f} s: {self._hold_s:g} s of rest are needed")
            self._lengthen_turn(*run.windows)
            return
        self.poses.append(_pose(run.windows[1:-1], self._follows))
        self._turn, self._flaw, self._follows, self._is_turned = [run.windows[-1]], "", False, False

    def _end_turn(self) -> None:
        """The board has come to rest: what was between the last pose and this one is a turn."""
        if self.poses and not self._is_turned:
            self._lengthen_turn(self._run.windows[0])
            time_s = np.concatenate([window.time_s for window in self._turn]) if self._turn else np.zeros(0)
            rates = [window.values[3:] for window in self._turn] or [np.zeros((3, 0))]
            self.turns.append(Turn(len(self.poses) - 1, time_s, np.concatenate(rates, axis=1), self._flaw))
            self._turn = []
        self._is_turned = True


def _pose(windows: list[_Window], follows: bool) -> Pose:
    counts = np.array([window.time_s.size for window in windows])
    means = np.array([window.mean for window in windows])
    return Pose(
        float(windows[0].time_s[0]),
        float(windows[-1].time_s[-1]),
        np.average(means, axis=0, weights=counts),
        np.sqrt(np.mean([window.deviation**2 for window in windows], axis=0)),
        int(counts.sum()),
        float(np.average([window.temperature_c for window in windows], weights=counts)),
        follows,
    )
