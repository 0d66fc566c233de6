"""When the samples of a stream were taken, and at what rate: sample index against the board's time stamps."""

from __future__ import annotations

from typing import Final

MEMORY: Final = 0.98
"""Weight that a batch keeps when the next one comes: about 50 batches count, one second of a 1 kHz stream."""
SETTLED: Final = 4.0
"""Weight of the batches from which on a stamp may be doubted."""
DOUBT_US: Final = 200.0
"""A stamp this near to the line is never doubted."""
DOUBT_SPREADS: Final = 6.0
"""Nor is one within so many standard deviations of the stamps before it."""
DOUBT_SHARE: Final = 0.001
"""Nor one within this share of the time since the last batch: a sensor's rate wanders while nothing comes."""
PAUSE_US: Final = 10_000
"""A batch that comes later than its index says, by more than this and by more than its samples take, ends a pause."""
PAUSES_MAX: Final = 5
"""So many pauses in a row are none: the stream is slower than was thought."""
ERROR_SPREADS: Final = 3.0
"""Standard deviations of the line that its stated error covers."""
STAMP_US: Final = 1.0
"""A time stamp is a whole number of microseconds."""
SPREAD_US: Final = 30.0
"""Standard deviation that stamps are assumed to have until they show their own."""


class SampleTimes:
    """Running straight line of device time over index: least squares with exponentially fading weights.

    A sensor's ticks come evenly, though at a rate that is per cents off; their stamps do not. So a sample is taken to
    have been made when the line says, not when its batch says. A stamp far off the line either errs, once, or the index
    stood still meanwhile (a pause), was counted wrong (a hole), or has another rate: then the line starts anew there.

    Sums are kept relative to the newest point, so that they stay small however long the stream runs.
    """

    __slots__ = (
        "_doubted",
        "_expected",
        "_index",
        "_line_us",
        "_n",
        "_nominal_us",
        "_pauses",
        "_stamp_us",
        "_sx",
        "_sxx",
        "_sxy",
        "_sy",
        "_variance",
        "error_us",
        "period_us",
        "time_us",
    )

    def __init__(self, nominal_us: float | None = None) -> None:
        """``nominal_us``, where it is known, tells a pause after the very first batch from the rate."""
        self._nominal_us = nominal_us
        self._pauses = 0
        self._doubted = False
        self._n = 0.0
        self._sx = self._sy = self._sxx = self._sxy = 0.0
        self._variance = SPREAD_US * SPREAD_US
        self._index = self._expected = 0
        self._stamp_us = 0  # the stamp that the sums are relative to
        self._line_us = 0.0  # the line there
        self.period_us: float | None = None
        """Microseconds of the board's clock between two samples; None until there are two batches."""
        self.time_us = 0.0
        """Device time of the first sample of the batch that came last, by the line."""
        self.error_us = 0.0
        """Bound on its error."""

    def add(self, index: int, time_us: int, samples: int) -> None:
        """Take the stamp of a batch's first sample.

        Times that do not rise with the index start the line anew.
        """
        n = self._n
        dx = index - self._index
        dy = time_us - self._stamp_us
        period_us = self.period_us or self._nominal_us
        whole = index == self._expected
        self._expected = index + samples
        if not n or dx <= 0 or dy <= 0:
            self._variance = SPREAD_US * SPREAD_US
            self.period_us = None
            self._start(index, time_us)
            return
        off_us = time_us - self._line_us - dx * period_us if period_us else 0.0
        if period_us and dy - dx * period_us > max(dx * period_us, PAUSE_US) and self._pauses < PAUSES_MAX:
            self._pauses += 1
            self._start(index, time_us)
            return
        self._pauses = 0
        square = off_us * off_us
        if n >= SETTLED and square > DOUBT_US * DOUBT_US:
            limit_us = DOUBT_US + DOUBT_SHARE * dx * (period_us or 0.0)
            if square > max(limit_us * limit_us, DOUBT_SPREADS * DOUBT_SPREADS * self._variance):
                if self._doubted or not whole:
                    self._start(index, time_us)
                    return
                self._doubted = True
                self.time_us = time_us - off_us
                self.error_us += abs(off_us)
                return
        self._doubted = False
        if n > 1.5:
            self._variance += (square - self._variance) * max(1.0 - MEMORY, 1.0 / n)
        sx, sy = self._sx, self._sy
        sxx = (self._sxx - 2 * dx * sx + n * dx * dx) * MEMORY
        sxy = (self._sxy - dx * sy - dy * sx + n * dx * dy) * MEMORY
        sx = (sx - n * dx) * MEMORY
        sy = (sy - n * dy) * MEMORY
        n = n * MEMORY + 1.0
        self._n, self._sx, self._sy, self._sxx, self._sxy = n, sx, sy, sxx, sxy
        self._index, self._stamp_us = index, time_us
        spread = n * sxx - sx * sx
        slope = (n * sxy - sx * sy) / spread
        self.period_us = slope if slope > 0 else dy / dx
        ahead_us = (sy - self.period_us * sx) / n  # of the line at this index, before the stamp
        self.time_us = self._line_us = time_us + ahead_us
        # How far the stamp is from the line, should the sensor's ticks be what is uneven; and the line's own error, at
        # the batch's last sample (variance of a fitted line: N. R. Draper, H. Smith, Applied Regression Analysis, 1.4).
        reach = (sxx - 2 * samples * sx + n * samples * samples) / spread
        self.error_us = STAMP_US + abs(ahead_us) + ERROR_SPREADS * (self._variance * reach) ** 0.5

    def _start(self, index: int, time_us: int) -> None:
        """The line begins here; what is known of the period stays."""
        self._index, self._stamp_us = index, time_us
        self.time_us = self._line_us = float(time_us)
        self._doubted = False
        self._n = 1.0
        self._sx = self._sy = self._sxx = self._sxy = 0.0
        self.error_us = STAMP_US + ERROR_SPREADS * self._variance**0.5
