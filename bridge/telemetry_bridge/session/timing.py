"""The measured rate of a stream, by the board's clock."""

from __future__ import annotations

from typing import Final

MEMORY: Final = 0.98
"""Weight that a batch keeps when the next one comes: about 50 batches count, one second of a 1 kHz stream."""
PAUSE_US: Final = 10_000
"""A batch that comes later than its index says, by more than this and by more than its samples take, ends a pause."""
PAUSES_MAX: Final = 5
"""So many pauses in a row are none: the stream is slower than was thought."""


class RateFit:
    """Running straight line of device time over index: least squares with exponentially fading weights.

    Sums are kept relative to the newest point, so that they stay small however long the stream runs.
    """

    __slots__ = ("_index", "_n", "_nominal_us", "_pauses", "_sx", "_sxx", "_sxy", "_sy", "_time_us", "period_us")

    def __init__(self, nominal_us: float | None = None) -> None:
        """``nominal_us``, where it is known, tells a pause after the very first batch from the rate."""
        self._nominal_us = nominal_us
        self._pauses = 0
        self._n = 0.0
        self._sx = self._sy = self._sxx = self._sxy = 0.0
        self._index = 0
        self._time_us = 0
        self.period_us: float | None = None
        """Microseconds of the board's clock between two samples; None until there are two batches."""

    def add(self, index: int, time_us: int) -> None:
        """Take the time of a batch's first sample.

        Times that do not rise with the index start the fit anew. While the sensor pauses the index stands still and
        time goes on: that is no period, so that after a pause the sums start anew and the period stays.
        """
        n = self._n
        if not n:
            self._index, self._time_us, self._n = index, time_us, 1.0
            return
        dx = index - self._index
        dy = time_us - self._time_us
        self._index, self._time_us = index, time_us
        if dx <= 0 or dy <= 0:
            self._restart()
            self.period_us = None
            return
        period_us = self.period_us or self._nominal_us
        if period_us and dy - dx * period_us > max(dx * period_us, PAUSE_US) and self._pauses < PAUSES_MAX:
            self._pauses += 1
            self._restart()
            return
        self._pauses = 0
        sx, sy = self._sx, self._sy
        sxx = (self._sxx - 2 * dx * sx + n * dx * dx) * MEMORY
        sxy = (self._sxy - dx * sy - dy * sx + n * dx * dy) * MEMORY
        sx = (sx - n * dx) * MEMORY
        sy = (sy - n * dy) * MEMORY
        n = n * MEMORY + 1.0
        self._n, self._sx, self._sy, self._sxx, self._sxy = n, sx, sy, sxx, sxy
        slope = (n * sxy - sx * sy) / (n * sxx - sx * sx)
        self.period_us = slope if slope > 0 else dy / dx

    def _restart(self) -> None:
        self._n = 1.0
        self._sx = self._sy = self._sxx = self._sxy = 0.0
