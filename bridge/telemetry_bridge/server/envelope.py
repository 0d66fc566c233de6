"""Minimum, maximum and mean of each interval of time: a plot of any width loses no spike. Sans-I/O, vectorised.

    intervals   |  k     |  k+1   |  k+2   |        boundaries at multiples of the interval in Unix ns
    samples      . . . .  . . . .  . .              interval k+2 is *open*: more of it may come

An interval goes out with the first sample behind it, or when it is cut: by a gap, an epoch, a change of rate or range,
a pause. What comes of the same interval after the cut is a row of its own, so that no row stands for samples on both
sides of a cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from telemetry_bridge.server.wire_format import PERIOD_NS_MAX, SAMPLES_MAX, Values

EMPTY_MAX: Final = 1024
"""Of more empty intervals than these in a row only the last ones are sent: a sensor that was off for a day, or a rate
a thousand times that of the sensor, must not fill queues with NaN."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Consecutive intervals, as one message says them.

    Attributes:
        index: of the first sample in them; if there is none, of the next one.
        samples: number of samples in them.
        time_ns: start of the first interval.
        values: float32[3 * fields, intervals]: minimum, maximum and mean of the first field, then of the second …
    """

    index: int
    samples: int
    time_ns: int
    values: Values


@dataclass(slots=True)
class _Segments:
    """Intervals with samples, one a column.

    Attributes:
        interval: number of each interval, rising.
        index: of the first sample of each.
        samples: of each.
        low, high: float32[fields, intervals]; NaN where a field has nothing else.
        total: float64[fields, intervals], sum of what is not NaN.
        count: int64[fields, intervals], how many are not NaN.
    """

    interval: npt.NDArray[np.int64]
    index: npt.NDArray[np.int64]
    samples: npt.NDArray[np.int64]
    low: Values
    high: Values
    total: npt.NDArray[np.float64]
    count: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.interval)

    def part(self, start: int, stop: int) -> _Segments:
        """Some of the intervals."""
        return _Segments(
            self.interval[start:stop],
            self.index[start:stop],
            self.samples[start:stop],
            self.low[:, start:stop],
            self.high[:, start:stop],
            self.total[:, start:stop],
            self.count[:, start:stop],
        )

    def after(self, before: _Segments) -> _Segments:
        """Both; the last interval of ``before`` and the first of these are one if they are the same."""
        if before.interval[-1] == self.interval[0]:
            self.index[0] = before.index[-1]
            self.samples[0] += before.samples[-1]
            self.low[:, 0] = np.fmin(before.low[:, -1], self.low[:, 0])
            self.high[:, 0] = np.fmax(before.high[:, -1], self.high[:, 0])
            self.total[:, 0] += before.total[:, -1]
            self.count[:, 0] += before.count[:, -1]
            return self
        return _Segments(
            np.concatenate((before.interval, self.interval)),
            np.concatenate((before.index, self.index)),
            np.concatenate((before.samples, self.samples)),
            np.concatenate((before.low, self.low), axis=1),
            np.concatenate((before.high, self.high), axis=1),
            np.concatenate((before.total, self.total), axis=1),
            np.concatenate((before.count, self.count), axis=1),
        )

    def rows(self) -> Values:
        """float32[3 * fields, intervals]."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            mean = (self.total / self.count).astype(np.float32)
        return np.stack((self.low, self.high, mean), axis=1).reshape(3 * len(mean), len(self))


class Envelope:
    """The envelope of one stream at one rate.

    Args:
        interval_ns: length of an interval.

    Attributes:
        samples: samples in the open interval.
        index: index of the first of them; None if there is none.
    """

    def __init__(self, interval_ns: int) -> None:
        self._interval_ns = interval_ns
        self._open: _Segments | None = None
        self._next: int | None = None  # the interval behind the last one that went out
        self.samples = 0
        self.index: int | None = None

    def add(self, index: int, time_ns: int, period_ns: int, values: Values) -> list[Rows]:
        """Take samples that go on where the last ones ended.

        Args:
            index: of the first sample.
            time_ns: of the first sample.
            period_ns: between samples.
            values: float32[fields, samples].

        Returns:
            the intervals that are over by this.
        """
        whole = self._segments(index, time_ns, period_ns, values)
        if self._open is not None:
            whole = whole.after(self._open)
        self._hold(whole.part(len(whole) - 1, len(whole)))
        return self._out(whole.part(0, len(whole) - 1))

    def cut(self) -> list[Rows]:
        """The open interval ends here, as far as it has come."""
        held, self._open, self.samples, self.index = self._open, None, 0, None
        return [] if held is None else self._out(held)

    def restart(self) -> list[Rows]:
        """As :meth:`cut`, and what follows is another epoch: its time need not go on, no interval between is empty."""
        rows = self.cut()
        self._next = None
        return rows

    def _hold(self, last: _Segments) -> None:
        self._open = last
        self.samples, self.index = int(last.samples[0]), int(last.index[0])

    def _segments(self, index: int, time_ns: int, period_ns: int, values: Values) -> _Segments:
        interval = (time_ns + np.arange(values.shape[1], dtype=np.int64) * period_ns) // self._interval_ns
        if self._open is not None:  # slewed clocks: no sample goes back into an interval before the open one
            np.maximum(interval, self._open.interval[0], out=interval)
        elif self._next is not None:
            np.maximum(interval, self._next - 1, out=interval)
        starts = np.flatnonzero(np.diff(interval, prepend=interval[0] - 1))
        there = ~np.isnan(values)
        with np.errstate(invalid="ignore"):
            return _Segments(
                interval[starts],
                starts + index,
                np.diff(starts, append=len(interval)),
                np.fmin.reduceat(values, starts, axis=1),
                np.fmax.reduceat(values, starts, axis=1),
                np.add.reduceat(np.where(there, values, np.float32(0)), starts, axis=1, dtype=np.float64),
                np.add.reduceat(there, starts, axis=1, dtype=np.int64),
            )

    def _out(self, done: _Segments) -> list[Rows]:
        if not len(done):
            return []
        first = int(done.interval[0])
        start = first if self._next is None else max(min(self._next, first), first - EMPTY_MAX)
        self._next = int(done.interval[-1]) + 1
        spans = self._next - start
        if spans == len(done) <= self._rows_max:
            return [self._say(start, int(done.index[0]), int(done.samples.sum()), done.rows())]
        return list(self._with_empty_ones(start, done))

    @property
    def _rows_max(self) -> int:
        return SAMPLES_MAX if self._interval_ns <= PERIOD_NS_MAX else 1

    def _with_empty_ones(self, start: int, done: _Segments) -> Iterator[Rows]:
        """The same where intervals are empty, or too many for a message."""
        begin, place = start, start  # the first interval of the message, and the next one
        first = 0
        for column, number in enumerate(done.interval.tolist()):
            if number - place > EMPTY_MAX:
                if place > begin:
                    yield self._spread(begin, place, int(done.index[first]), done.part(first, column))
                begin = place = number - EMPTY_MAX
                first = column
            while number + 1 - begin > self._rows_max:
                stop = min(begin + self._rows_max, number)
                yield self._spread(begin, stop, int(done.index[first]), done.part(first, column))
                begin, first = stop, column
            place = number + 1
        yield self._spread(begin, place, int(done.index[first]), done.part(first, len(done)))

    def _spread(self, begin: int, stop: int, index: int, there: _Segments) -> Rows:
        """The intervals ``begin … stop - 1``, of which only some have samples."""
        values = np.full((3 * len(there.low), stop - begin), np.nan, np.float32)
        values[:, there.interval - begin] = there.rows()
        return self._say(begin, index, int(there.samples.sum()), values)

    def _say(self, interval: int, index: int, samples: int, values: Values) -> Rows:
        return Rows(index, samples, interval * self._interval_ns, values)
