"""The LSM6DSO's FIFO: 512 words of a tag and six bytes (DS12140 6.5; AN5192, FIFO).

Filled in blocks: nothing happens between two looks at it. A time slot holds, in this order, gyroscope, accelerometer
and temperature, as far as they are due; TAG_CNT counts slots. Left out: compression, timestamps, sensor hub and
configuration-change words, and the modes that an event triggers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .lsm6dso_signal import Ticks, Words, tag

WORD = 7
DEPTH = 512
BYPASS, FIFO, CONTINUOUS = 0, 1, 6
"""FIFO_MODE (DS 9.7)."""
GYRO, ACCEL, TEMPERATURE = 1, 2, 3
"""TAG_SENSOR (DS table 169)."""
_TAGS: Mapping[int, npt.NDArray[np.uint8]] = {
    sensor: np.array([tag(sensor, count) for count in range(4)], dtype=np.uint8)
    for sensor in (GYRO, ACCEL, TEMPERATURE)
}


@dataclass(frozen=True)
class Source:
    """Something that is batched."""

    sensor: int
    every: int
    """Ticks between words."""
    measure: Callable[[Ticks], Words]
    """(ticks, 1 to 3) values."""


class Fifo:
    """Words in time order. Everything is in ticks of the sample clock."""

    def __init__(self) -> None:
        self.clear()
        self.lost = 0
        """Words that were overwritten, or not stored because it was full."""

    def clear(self) -> None:
        """Empty; TAG_CNT starts again."""
        self._words = bytearray()
        self._head = 0
        self.overrun = False
        """FIFO_OVR_LATCHED."""
        self._slots = 0

    @property
    def level(self) -> int:
        """Words that are there: DIFF_FIFO."""
        return (len(self._words) - self._head) // WORD

    @staticmethod
    def words_between(sources: Sequence[Source], first: int, last: int) -> int:
        """Words that fall due behind tick `first` up to `last`."""
        return sum(last // source.every - first // source.every for source in sources)

    @staticmethod
    def slot(sources: Sequence[Source]) -> int:
        """Ticks a time slot: all periods are powers of two."""
        return min(source.every for source in sources)

    def tick_of_word(self, sources: Sequence[Source], now: int, words: int) -> int:
        """The tick at which so many further words will be due."""
        slot = self.slot(sources)
        low, high = 0, words  # slots; at least one word a slot
        base = now // slot
        while low + 1 < high:
            middle = (low + high) // 2
            if self.words_between(sources, now, (base + middle) * slot) >= words:
                high = middle
            else:
                low = middle
        return (base + high) * slot

    def fill(self, sources: Sequence[Source], first: int, last: int, *, mode: int, depth: int) -> None:
        """Store what falls due behind tick `first` up to `last`."""
        if mode == BYPASS or not sources or last <= first:
            return
        slot = self.slot(sources)
        begin, end = first // slot + 1, last // slot
        if begin > end:
            return
        count = end - begin + 1
        total = self.words_between(sources, first, last)
        if mode == FIFO:
            room = max(0, depth - self.level)
            self.lost += max(0, total - room)
            kept = self._make(sources, range(begin, min(end, begin + room) + 1), slot, self._slots)[: room * WORD]
        else:
            seen = max(begin, end - depth)  # what comes before would be overwritten at once
            kept = self._make(sources, range(seen, end + 1), slot, self._slots + seen - begin)[-depth * WORD :]
        self._slots += count
        self._words += kept
        if mode != FIFO:
            excess = self.level + (total - len(kept) // WORD) - depth
            if excess > 0:
                self.lost += excess
                self._drop(max(0, self.level - depth))
        if self.level >= depth:
            self.overrun = True

    def _make(self, sources: Sequence[Source], slots: range, slot: int, first_count: int) -> bytes:
        """Words of slots that follow one another; TAG_CNT of the first."""
        numbers = np.arange(slots.start, slots.stop, dtype=np.int64)
        counts = (np.arange(len(numbers)) + first_count) & 3
        table = np.zeros((len(numbers), len(sources), WORD), dtype=np.uint8)
        due = np.zeros((len(numbers), len(sources)), dtype=bool)
        for column, source in enumerate(sources):
            ratio = source.every // slot
            chosen = numbers % ratio == 0
            due[:, column] = chosen
            values = source.measure(numbers[chosen] * slot)
            raw = np.ascontiguousarray(values, dtype="<i2").view(np.uint8).reshape(len(values), -1)
            table[chosen, column, 0] = _TAGS[source.sensor][counts[chosen]]
            table[chosen, column, 1 : 1 + raw.shape[1]] = raw
        return table[due].tobytes()

    def _drop(self, words: int) -> None:
        self._head += words * WORD
        if self._head >= 1 << 16:
            del self._words[: self._head]
            self._head = 0

    # ---------------------------------------------------------------------------- reading

    def peek(self) -> bytes:
        """The oldest word; zeros when there is none (no document says)."""
        word = bytes(self._words[self._head : self._head + WORD])
        return word or bytes(WORD)

    def pop(self) -> None:
        """Away with the oldest word."""
        if self.level:
            self._drop(1)

    def take(self, words: int) -> bytes:
        """Several words at once, zeros behind the last."""
        data = bytes(self._words[self._head : self._head + words * WORD])
        self._drop(len(data) // WORD)
        return data.ljust(words * WORD, b"\0")
