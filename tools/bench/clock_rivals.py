"""Other ways to put device time on the host's axis, fed with the same exchanges.

Each has ``exchange(exchange)``, ``read(read)`` and ``host_ns(device_ns)``, which is None until it knows.
"""

from __future__ import annotations

import math
from typing import Final

from bench.clock_line import ANSWER_BYTES, BYTE_NS, COMMAND_BYTES, Read
from telemetry_bridge.clock import DeviceClock, Exchange


class Ours:
    """The bridge's clock."""

    def __init__(self) -> None:
        self.clock = DeviceClock(round(10e9 / BYTE_NS))
        self.uncertainty_ns = 0

    def exchange(self, exchange: Exchange) -> None:
        """Learn."""
        self.clock.add(exchange)

    def read(self, read: Read) -> None:
        """Samples do not matter."""

    def host_ns(self, device_ns: int) -> float | None:
        """Host's time; leaves the stated bound in ``uncertainty_ns``."""
        if not self.clock.known:
            return None
        host_ns, _, self.uncertainty_ns = self.clock.stamp(device_ns)
        return host_ns


class ReceiveTime:
    """The newest sample was taken when its frame was read, which is what a script without time stamps does."""

    def __init__(self) -> None:
        self._arrived_ns: int | None = None

    def exchange(self, exchange: Exchange) -> None:
        """Pings do not matter."""

    def read(self, read: Read) -> None:
        """Take the time."""
        self._arrived_ns = read.arrived_ns

    def host_ns(self, device_ns: int) -> float | None:  # noqa: ARG002
        """Host's time of the frame read last."""
        return self._arrived_ns


class Klipper:
    """How Klipper's host follows a micro-controller's clock, by what its clocksync.py does (Klipper3d/klipper).

    - Only the device's time of receipt is used. Its clock is regressed on the time of *sending*: exponentially
      decayed means, variance and covariance, a new exchange weighing 1/30.
    - The line so found is moved later by half the least round trip seen, a minimum that ages by 10 us an hour.
    - An exchange more than five standard deviations (decayed mean of squares) and 0.5 ms off the prediction is dropped
      if the device received late, unless none was good for 10 s; else the deviation starts anew at 1 ms.
    - Klipper asks once in 0.98 s, after eight times at the start. Here it gets every exchange that the bridge gets.

    Klipper takes no account of serialisation and of the answer's wait for the line; in its favour both are taken out
    of the times that it is given.
    """

    DECAY: Final = 1 / 30
    RTT_AGE: Final = 10e-6 / 3600

    def __init__(self) -> None:
        self._known = False
        self._mean_sent = self._mean_clock = 0.0
        self._variance = self._covariance = 0.0
        self._frequency = 1.0
        self._deviation2 = 1e-6
        self._half_trip = math.inf
        self._half_trip_at = self._good_at = 0.0

    def exchange(self, exchange: Exchange) -> None:
        """Learn."""
        turn_round = (exchange.sent_us - exchange.received_us) * 1e-6
        sent = exchange.sent_ns * 1e-9 + COMMAND_BYTES * BYTE_NS * 1e-9
        arrived = exchange.arrived_ns * 1e-9 - ANSWER_BYTES * BYTE_NS * 1e-9 - turn_round
        clock = exchange.received_us * 1e-6
        half = (arrived - sent) / 2
        if half < self._half_trip + (sent - self._half_trip_at) * self.RTT_AGE:
            self._half_trip, self._half_trip_at = half, sent
        if not self._known:
            self._known = True
            self._mean_sent, self._mean_clock, self._good_at = sent, clock, sent
            return
        off = clock - self._mean_clock - (sent - self._mean_sent) * self._frequency
        if off * off > max(25 * self._deviation2, 0.0005**2):
            if off > 0 and sent < self._good_at + 10:
                return
            self._deviation2 = 1e-6
        else:
            self._good_at = sent
            self._deviation2 = (1 - self.DECAY) * (self._deviation2 + off * off * self.DECAY)
        step = sent - self._mean_sent
        self._mean_sent += self.DECAY * step
        self._variance = (1 - self.DECAY) * (self._variance + step * step * self.DECAY)
        rise = clock - self._mean_clock
        self._mean_clock += self.DECAY * rise
        self._covariance = (1 - self.DECAY) * (self._covariance + step * rise * self.DECAY)
        self._frequency = self._covariance / self._variance

    def read(self, read: Read) -> None:
        """Samples do not matter."""

    def host_ns(self, device_ns: int) -> float | None:
        """Host's time."""
        if not self._known:
            return None
        seconds = self._mean_sent + self._half_trip + (device_ns * 1e-9 - self._mean_clock) / self._frequency
        return seconds * 1e9


class Regression:
    """Offset and drift by a decayed regression of the exchanges' middles, the narrower the heavier."""

    def __init__(self, memory_s: float) -> None:
        self._memory_s = memory_s
        self._n = self._sx = self._sy = self._sxx = self._sxy = 0.0
        self._at_ns = 0
        self._middle = 0.0

    def exchange(self, exchange: Exchange) -> None:
        """Learn."""
        low = exchange.sent_ns + COMMAND_BYTES * BYTE_NS - exchange.received_us * 1000
        high = exchange.arrived_ns - ANSWER_BYTES * BYTE_NS - exchange.sent_us * 1000
        middle = (low + high) / 2
        at_ns = (exchange.received_us + exchange.sent_us) * 500
        dx, dy = (at_ns - self._at_ns) * 1e-9, middle - self._middle
        n, sx, sy = self._n, self._sx, self._sy
        fade = math.exp(-dx / self._memory_s) if n else 1.0
        self._sxx = (self._sxx - 2 * dx * sx + n * dx * dx) * fade
        self._sxy = (self._sxy - dx * sy - dy * sx + n * dx * dy) * fade
        self._sx, self._sy = (sx - n * dx) * fade, (sy - n * dy) * fade
        self._n = n * fade + 1 / (max(high - low, 0.0) + 20e3) ** 2
        self._at_ns, self._middle = at_ns, middle

    def read(self, read: Read) -> None:
        """Samples do not matter."""

    def host_ns(self, device_ns: int) -> float | None:
        """Host's time."""
        if not self._n:
            return None
        spread = self._n * self._sxx - self._sx**2
        slope = (self._n * self._sxy - self._sx * self._sy) / spread if spread > 1e-9 * self._n * self._sxx else 0.0
        offset = self._middle + (self._sy - slope * self._sx) / self._n
        return device_ns + offset + slope * (device_ns - self._at_ns) * 1e-9
