"""Device time on the host's time axis, with a bound on the error. Sans-I/O: every time is handed in.

An exchange (``ping``) bounds the offset between the two clocks from both sides, whatever the delays were: the command
cannot have been received before it was sent and serialised, nor the answer sent after it had arrived less its
serialisation. The true offset lies in an interval as wide as what is left of the round trip; its middle is the estimate
and half its width the bound (D. L. Mills, RFC 5905, section 8, with the serialisation of a UART taken out). Between
exchanges the bound grows with the drift that the exchanges of the window still leave possible.

    host send ──ser──> delimiter received ··· first byte of answer ──ser──> host read
       sent_ns             received_us             sent_us                  arrived_ns
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from telemetry_bridge.events import ClockInfo, ClockState

DRIFT_PRIOR: Final = 0.01
"""Largest drift assumed until exchanges say more: what an STM32F4 without a crystal may have (HSI, 1 % at 25 degC)."""
DRIFT_WANDER: Final = 0.5e-6
"""Added to the bound on the drift: a crystal that warms up changes it within the window."""
WINDOW: Final = 64
"""Exchanges kept."""
LOCK_POINTS: Final = 5
LOCK_SPAN_US: Final = 3_000_000
"""Exchanges, and the time that they must span, before the drift is fitted."""
STALE_NS: Final = 10_000_000_000
"""Without an exchange for this long the clock is no longer locked."""
QUANTUM_NS: Final = 1_000
"""Device time stamps are whole microseconds, rounded down."""
ASSUMED_DELAY_NS: Final = 500_000_000
"""Age that a sample is assumed not to exceed when it arrives, where the board answers no ping."""
SLEW_NS: Final = 2_000_000_000
"""Time over which a correction is spread."""
SLEW_MAX: Final = 0.5
"""Steepest slew, as a share of the rate: time always goes on."""
BELIEVED_US: Final = 60_000_000
"""A device time further ahead of the newest exchange than this is nonsense and fixes nothing."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One ping and its answer.

    Attributes:
        sent_ns: host's monotonic time at which the command was handed to the link, or earlier.
        received_us: device time at the command's delimiter.
        sent_us: device time at the answer's first byte.
        arrived_ns: host's monotonic time at which the answer's delimiter was read.
        command_bytes: encoded size of the command, delimiter included.
        answer_bytes: likewise of the answer.
    """

    sent_ns: int
    received_us: int
    sent_us: int
    arrived_ns: int
    command_bytes: int
    answer_bytes: int


@dataclass(frozen=True, slots=True)
class _Point:
    """Bounds on ``host - device`` at device time ``device_us``, both in ns."""

    device_us: int
    host_ns: int
    low: int
    high: int

    @property
    def middle(self) -> int:
        return (self.low + self.high) // 2

    @property
    def half(self) -> int:
        return (self.high - self.low + 1) // 2


def _ns_per_byte(baud: int) -> float:
    """8N1: ten bits a byte."""
    return 10e9 / baud if baud > 0 else 0.0


class DeviceClock:
    """Maps the time of one run of a device to the host's monotonic axis; the result never goes back and never jumps."""

    def __init__(self, baud: int) -> None:
        self._baud = baud
        self._ns_per_byte = _ns_per_byte(baud)
        self._points: deque[_Point] = deque(maxlen=WINDOW)
        self._best: _Point | None = None
        self._drift = 0.0  # d(host - device) / d(device)
        self._drift_bound = DRIFT_PRIOR
        self._fitted = False
        self._axis = _Axis()
        self.rejected = 0
        """Exchanges that contradicted themselves."""

    def line_changed(self, baud: int) -> None:
        """From now on the line has another rate, if it is one."""
        if baud != self._baud:
            self._baud = baud
            self._ns_per_byte = _ns_per_byte(baud) if self._ns_per_byte else 0.0

    @property
    def known(self) -> bool:
        """Whether :meth:`to_host_ns` can be asked."""
        return self._best is not None

    def add(self, exchange: Exchange) -> bool:
        """Learn from an exchange; False if it contradicts itself."""
        if exchange.sent_us < exchange.received_us or exchange.arrived_ns < exchange.sent_ns:
            self.rejected += 1
            return False
        point = self._bound(exchange)
        if point is None and self._ns_per_byte:
            # Quicker than the line could be: there is no UART in between (an emulator). Again, without serialisation.
            self._ns_per_byte = 0.0
            self._points.clear()
            point = self._bound(exchange)
        if point is None:
            self.rejected += 1
            return False
        self._keep(point)
        self._fit()
        self._choose(point)
        self._retarget(exchange.sent_us)
        return True

    def assume(self, device_us: int, arrived_ns: int) -> None:
        """Without any exchange: take what was at ``device_us`` to have arrived at once, give or take half a second."""
        if self.known:
            return
        offset = arrived_ns - device_us * 1000
        self._best = _Point(device_us, arrived_ns, offset - ASSUMED_DELAY_NS, offset + ASSUMED_DELAY_NS)
        self._retarget(device_us)

    def to_host_ns(self, device_us: int) -> int:
        """Host's monotonic time of a device time. Only while :attr:`known`."""
        return self._axis.read(device_us)

    def peek_host_ns(self, device_us: int) -> int:
        """The same for something that is no sample: it need not keep its place if the clock is corrected."""
        return self._axis.peek(device_us)

    def ns_per_us(self, device_us: int) -> float:
        """Slope of :meth:`to_host_ns` there: 1000 but for drift and slew."""
        return self._axis.slope(device_us) * 1000.0

    def uncertainty_ns(self, device_us: int) -> int:
        """Bound on the error of :meth:`to_host_ns`: half the residual round trip, drift since, slew left, rounding."""
        best = self._best
        if best is None:
            return ASSUMED_DELAY_NS
        bound = best.half + QUANTUM_NS + abs(device_us - best.device_us) * 1000 * self._drift_bound
        return int(bound) + abs(self._axis.peek(device_us) - self._estimate(device_us)) + 1

    def state(self, now_ns: int) -> ClockState:
        """How far the clock is known at host's monotonic time ``now_ns``."""
        if not self._points:
            return "unsynced"
        return "locked" if self._fitted and now_ns - self._points[-1].host_ns < STALE_NS else "converging"

    def info(self, unix_minus_monotonic_ns: int, now_ns: int) -> ClockInfo:
        """What subscribers are told, at host's monotonic time ``now_ns``."""
        best = self._best
        if best is None or not self._points:
            return ClockInfo()
        device_us = best.device_us + (now_ns - best.host_ns) // 1000  # the error of this step is drift x age: no matter
        return ClockInfo(
            state=self.state(now_ns),
            offset_ns=self._axis.peek(device_us) + unix_minus_monotonic_ns - device_us * 1000,
            drift_ppm=round(-self._drift / (1.0 + self._drift) * 1e6, 3) if self._fitted else None,
            uncertainty_ns=self.uncertainty_ns(device_us),
        )

    def _bound(self, exchange: Exchange) -> _Point | None:
        sent = exchange.sent_ns + int(exchange.command_bytes * self._ns_per_byte)
        arrived = exchange.arrived_ns - int(exchange.answer_bytes * self._ns_per_byte)
        # The two bounds hold at the two ends of the turn-round; the clocks drift apart meanwhile.
        slack = int((exchange.sent_us - exchange.received_us) * 1000 * (abs(self._drift) + self._drift_bound))
        low = sent - exchange.received_us * 1000 - QUANTUM_NS - slack
        high = arrived - exchange.sent_us * 1000 + slack
        if low > high:
            return None
        device_us = (exchange.received_us + exchange.sent_us) // 2
        return _Point(device_us, device_us * 1000 + (low + high) // 2, low, high)

    def _keep(self, point: _Point) -> None:
        if self._points and point.device_us <= self._points[-1].device_us:
            self._points.clear()  # device time went back: what was before does not count
        self._points.append(point)

    def _fit(self) -> None:
        """The drift, and the range of drifts that all intervals of the window allow."""
        while True:
            bounds = _slope_bounds(list(self._points))
            if bounds is not None or len(self._points) < 2:
                break
            for _ in range(max(1, len(self._points) // 2)):  # the drift has changed: forget the older half
                self._points.popleft()
        low, high = bounds if bounds is not None else (-DRIFT_PRIOR, DRIFT_PRIOR)
        if max(low, -DRIFT_PRIOR) <= min(high, DRIFT_PRIOR):
            low, high = max(low, -DRIFT_PRIOR), min(high, DRIFT_PRIOR)
        span_us = self._points[-1].device_us - self._points[0].device_us
        self._fitted = len(self._points) >= LOCK_POINTS and span_us >= LOCK_SPAN_US
        wanted = _theil_sen(list(self._points)) if self._fitted else 0.0
        self._drift = min(max(wanted, low), high)
        self._drift_bound = max(high - self._drift, self._drift - low) + DRIFT_WANDER

    def _choose(self, newest: _Point) -> None:
        """The exchange that bounds the offset best now: narrow, and not too long ago."""
        self._best = min(
            self._points,
            key=lambda point: point.half + (newest.device_us - point.device_us) * 1000 * self._drift_bound,
        )

    def _estimate(self, device_us: int) -> int:
        best = self._best
        assert best is not None
        return device_us * 1000 + best.middle + int((device_us - best.device_us) * 1000 * self._drift)

    def _retarget(self, device_us: int) -> None:
        self._axis.retarget(device_us, self._estimate, 1.0 + self._drift)


class _Axis:
    """A continuous, rising line of straight pieces. What has been read from it is never changed."""

    def __init__(self) -> None:
        self._pieces: deque[tuple[int, int, float]] = deque(maxlen=32)  # from device us, host ns there, slope
        self._newest_read: int | None = None
        self._believed_until = 0

    def read(self, device_us: int) -> int:
        """Host ns at a device time; from now on the line is fixed up to there."""
        if (self._newest_read is None or device_us > self._newest_read) and device_us <= self._believed_until:
            self._newest_read = device_us
        return self.peek(device_us)

    def peek(self, device_us: int) -> int:
        """Host ns at a device time as the line is now."""
        start, host, slope = self._piece(device_us)
        return host + int((device_us - start) * 1000 * slope)

    def slope(self, device_us: int) -> float:
        """Host time per device time there."""
        return self._piece(device_us)[2]

    def _piece(self, device_us: int) -> tuple[int, int, float]:
        for piece in reversed(self._pieces):
            if piece[0] <= device_us:
                return piece
        return self._pieces[0]

    def retarget(self, device_us: int, estimate: Callable[[int], int], slope: float) -> None:
        """Head for ``estimate`` from ``device_us`` on, or from the newest time that was read, and arrive in SLEW_NS."""
        self._believed_until = device_us + BELIEVED_US
        if self._newest_read is None:
            self._pieces.clear()
            self._pieces.append((device_us, estimate(device_us), slope))
            return
        start = max(device_us, self._newest_read)
        here = self.peek(start)
        while len(self._pieces) > 1 and self._pieces[-1][0] >= start:
            self._pieces.pop()
        correction = min(max((estimate(start) - here) / SLEW_NS, -SLEW_MAX), SLEW_MAX)
        slewing = max(slope + correction, slope * (1.0 - SLEW_MAX))
        self._pieces.append((start, here, slewing))
        self._pieces.append((start + SLEW_NS // 1000, here + int(SLEW_NS * slewing), slope))


def _slope_bounds(points: list[_Point]) -> tuple[float, float] | None:
    """Least and greatest slope of a straight line through every point's interval; None if there is no such line."""
    if len(points) < 2:
        return -np.inf, np.inf
    time, low, high = _arrays(points)
    first, second = np.triu_indices(len(points), 1)
    span = time[second] - time[first]
    least = float(np.max((low[second] - high[first]) / span))
    greatest = float(np.min((high[second] - low[first]) / span))
    return (least, greatest) if least <= greatest else None


def _theil_sen(points: list[_Point]) -> float:
    """Median slope between the middles (P. K. Sen, J. American Statistical Association 63, 1968)."""
    time, low, high = _arrays(points)
    middle = (low + high) / 2
    first, second = np.triu_indices(len(points), 1)
    return float(np.median((middle[second] - middle[first]) / (time[second] - time[first])))


def _arrays(points: list[_Point]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Device time, low and high in ns, each from the first point: small enough for float64."""
    first = points[0]
    rows = [
        ((point.device_us - first.device_us) * 1000, point.low - first.low, point.high - first.low) for point in points
    ]
    time, low, high = np.array(rows, np.float64).T
    return time, low, high
