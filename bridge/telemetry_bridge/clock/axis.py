"""The line from which host times are read: continuous and rising, corrected by slewing, never by a step."""

from __future__ import annotations

from collections import deque
from typing import Final

SLEW_NS: Final = 2_000_000_000
"""Time over which a correction is spread."""
SLEW_MAX: Final = 0.5
"""Steepest slew, as a share of the rate: time always goes on. A correction of a millisecond is slewed at 0.0005."""
BELIEVED_NS: Final = 60_000_000_000
"""A device time further ahead of the newest exchange than this is nonsense and fixes nothing."""


class Axis:
    """Straight pieces, each from a device time on. What has been read is never changed.

    host │            ／ new piece, at the slope of the drift
         │        ／┘  <- correction arrives, SLEW_NS later
         │     ／ slewing
         │  ／┘ <- newest time that was read: fixed up to here
         └──────────────────── device
    """

    __slots__ = ("_believed_until", "_newest_read", "_pieces")

    def __init__(self) -> None:
        self._pieces: deque[tuple[int, int, float]] = deque(maxlen=32)  # from device ns, host ns there, slope
        self._newest_read: int | None = None
        self._believed_until = 0

    @property
    def was_read(self) -> bool:
        """Whether anything is fixed."""
        return self._newest_read is not None

    def read(self, device_ns: int) -> tuple[int, float]:
        """Host ns at a device time, and host time per device time there; from now on the line is fixed up to there."""
        if (self._newest_read is None or device_ns > self._newest_read) and device_ns <= self._believed_until:
            self._newest_read = device_ns
        return self.peek(device_ns)

    def peek(self, device_ns: int) -> tuple[int, float]:
        """The same as the line is now, fixing nothing."""
        for start, host, slope in reversed(self._pieces):
            if start <= device_ns:
                return host + int((device_ns - start) * slope), slope
        start, host, slope = self._pieces[0]
        return host + int((device_ns - start) * slope), slope

    def retarget(self, device_ns: int, host_ns: int, slope: float) -> None:
        """Head for the line through ``host_ns`` at ``device_ns``, from there or from the newest time that was read."""
        self._believed_until = device_ns + BELIEVED_NS
        if self._newest_read is None:
            self._pieces.clear()
            self._pieces.append((device_ns, host_ns, slope))
            return
        start = max(device_ns, self._newest_read)
        here, _ = self.peek(start)
        while len(self._pieces) > 1 and self._pieces[-1][0] >= start:
            self._pieces.pop()
        error = host_ns + int((start - device_ns) * slope) - here
        correction = min(max(error / SLEW_NS, -SLEW_MAX), SLEW_MAX)
        slewing = max(slope + correction, slope * (1.0 - SLEW_MAX))
        self._pieces.append((start, here, slewing))
        self._pieces.append((start + SLEW_NS, here + int(SLEW_NS * slewing), slope))
