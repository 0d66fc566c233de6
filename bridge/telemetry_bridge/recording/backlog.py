"""What waits for the disk: bounded; when it is full the oldest batches go and a gap says exactly which."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final, TypeAlias

from telemetry_bridge.events import Batch, Event

_EVENT_BYTES: Final = 1024
"""What an event costs that is no batch, about; a descriptor of a device is more, most are less."""
_BATCH_BYTES: Final = 512
_GAP_BYTES: Final = 256


@dataclass(slots=True)
class Dropped:
    """Consecutive samples of one stream that were dropped here."""

    device: str
    stream: str
    epoch: int
    index: int
    count: int


Item: TypeAlias = Event | Dropped


class Backlog:
    """Events in their order. Policy: beyond the limit the oldest batch is dropped; everything else is kept.

    Attributes:
        dropped: samples, in all.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.dropped = 0
        self._limit = limit_bytes
        self._bytes = 0
        self._kept: deque[tuple[Item, int]] = deque()  # older than the queue, and not to be dropped
        self._queue: deque[tuple[Event, int]] = deque()
        self._open: dict[tuple[str, str], Dropped] = {}  # the last of its stream in _kept

    def __len__(self) -> int:
        return len(self._kept) + len(self._queue)

    def put(self, event: Event) -> bool:
        """Add an event; False if even without a single batch there is no room."""
        size = _EVENT_BYTES
        if isinstance(event, Batch):
            size = _BATCH_BYTES + event.values.nbytes + len(event.raw)
            size += 0 if event.nominal is None else event.nominal.nbytes
        self._queue.append((event, size))
        self._bytes += size
        while self._bytes > self._limit and self._queue:
            self._make_room()
        return self._bytes <= self._limit

    def take(self, limit_bytes: int) -> list[Item]:
        """The oldest, about as much as this."""
        taken: list[Item] = []
        while limit_bytes > 0 and (self._kept or self._queue):
            item, size = self._kept.popleft() if self._kept else self._queue.popleft()
            if isinstance(item, Dropped) and self._open.get((item.device, item.stream)) is item:
                del self._open[item.device, item.stream]
            self._bytes -= size
            limit_bytes -= size
            taken.append(item)
        return taken

    def _make_room(self) -> None:
        event, size = self._queue.popleft()
        if not isinstance(event, Batch):
            self._kept.append((event, size))
            return
        self._bytes -= size
        self.dropped += event.samples
        key = event.device, event.stream
        gap = self._open.get(key)
        if gap is not None and (gap.epoch, gap.index + gap.count) == (event.epoch, event.index):
            gap.count += event.samples
            return
        gap = self._open[key] = Dropped(event.device, event.stream, event.epoch, event.index, event.samples)
        self._kept.append((gap, _GAP_BYTES))
        self._bytes += _GAP_BYTES
