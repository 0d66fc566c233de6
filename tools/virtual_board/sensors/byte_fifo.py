"""A FIFO of bytes whose records are worked out when they leave it: a sample that nobody reads costs next to nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable


class ByteFifo:
    """Holds `capacity` bytes. Full, it drops its oldest bytes, or with `keep_old` the new ones."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._records: deque[tuple[int, Callable[[], bytes]]] = deque()
        self._taken = 0
        """Bytes of the first record that have left."""
        self._size = 0
        self._last = 0

    def __len__(self) -> int:
        return self._size

    def clear(self) -> None:
        """Forget everything."""
        self._records.clear()
        self._taken = self._size = 0

    def push(self, size: int, record: Callable[[], bytes], *, keep_old: bool = False) -> int:
        """Append a record of `size` bytes; returns how many bytes found no room or were overwritten."""
        lost = max(0, self._size + size - self.capacity)
        if lost and keep_old:
            size -= lost
            if size == 0:
                return lost
        self._records.append((size, record))
        self._size += size
        if lost and not keep_old:
            self._drop(lost)
        return lost

    def _drop(self, count: int) -> None:
        self._size -= count
        self._taken += count
        while self._records and self._taken >= self._records[0][0]:
            self._taken -= self._records.popleft()[0]

    def read(self, count: int) -> bytes:
        """The next bytes; the last one that left again and again where there are none."""
        out = bytearray()
        while self._records and len(out) < count:
            size, record = self._records[0]
            part = record()[self._taken : min(size, self._taken + count - len(out))]
            out += part
            self._drop(len(part))
        if out:
            self._last = out[-1]
        return bytes(out.ljust(count, bytes((self._last,))))
