"""The recent past of one stream, for subscribers that come back: bounded in bytes and in seconds.

Entries are numbered from 0 for the life of the stream, so that whoever reads them needs to keep nothing but a number::

    0 … first - 1 (have left)   first … end - 1 (here)   end (the next one)
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Final, TypeAlias

from telemetry_bridge.events import Batch, EpochStarted, Gap

StreamEvent: TypeAlias = Batch | Gap | EpochStarted

OVERHEAD_BYTES: Final = 576
"""What a batch takes besides its samples: objects, array heads, the entry itself (tracemalloc, CPython 3.11). A gap
takes a third of it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One event of the stream.

    Attributes:
        epoch: epoch that it belongs to.
        time_ns: Unix time by which it is over.
        bytes: memory that it takes.
    """

    event: StreamEvent
    epoch: EpochStarted
    time_ns: int
    bytes: int

    @property
    def index(self) -> int:
        """First index that it says something about."""
        return self.event.next_index if isinstance(self.event, EpochStarted) else self.event.index

    @property
    def next_index(self) -> int | None:
        """First index that it says nothing about any more; None where nobody knows."""
        match self.event:
            case Batch(index=index, samples=samples):
                return index + samples
            case Gap(index=index, count=count):
                return None if count is None else index + count
            case EpochStarted(next_index=index):
                return index


class RecentSamples:
    """The ring of one stream. An event is kept whole or not at all.

    Args:
        max_bytes: memory for all entries.
        max_s: how long a batch is kept, by the time of the samples.

    Attributes:
        first: number of the oldest entry that is here.
        bytes: memory that all entries take.
    """

    def __init__(self, max_bytes: int, max_s: float) -> None:
        self._max_bytes = max_bytes
        self._max_ns = int(max_s * 1e9)
        self._entries: deque[Entry] = deque()
        self._epoch: EpochStarted | None = None
        self._newest_ns = 0
        self.first = 0
        self.bytes = 0

    @property
    def end(self) -> int:
        """Number of the entry that comes next."""
        return self.first + len(self._entries)

    def __getitem__(self, number: int) -> Entry:
        """The entry of this number, ``first … end - 1``."""
        return self._entries[number - self.first]

    def add(self, event: StreamEvent) -> None:
        """Take what the hub has let through; what belongs to no announced epoch is not kept."""
        size = OVERHEAD_BYTES
        if isinstance(event, EpochStarted):
            self._epoch = event
        elif isinstance(event, Batch):
            size += event.values.nbytes + len(event.raw) + (0 if event.nominal is None else event.nominal.nbytes)
            self._newest_ns = event.time_ns + event.samples * event.period_ns
        if self._epoch is None or event.epoch != self._epoch.epoch:
            return
        self._entries.append(Entry(event, self._epoch, self._newest_ns, size))
        self.bytes += size
        while self._entries and (self.bytes > self._max_bytes or self._age_ns() > self._max_ns):
            self._forget_oldest()

    def clear(self) -> None:
        """Keep nothing of what was; its numbers stay used."""
        while self._entries:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        self.bytes -= self._entries.popleft().bytes
        self.first += 1

    def find(self, epoch: int, index: int) -> int | None:
        """Number of the entry at which a subscriber goes on that has everything of ``epoch`` before ``index``.

        It may be ``end``, or an entry that begins behind ``index`` (then what is between has left the ring), or within.
        None if the epoch is not known any more.
        """
        number, known = self.end, self._epoch is not None and self._epoch.epoch == epoch
        for entry in reversed(self._entries):
            if entry.epoch.epoch == epoch:
                known = True
                if entry.next_index is not None and entry.next_index <= index:
                    break
            elif known:
                break
            number -= 1
        return number if known else None

    def epoch(self, number: int) -> EpochStarted | None:
        """The start of an epoch of which something is here."""
        return next((entry.epoch for entry in self._entries if entry.epoch.epoch == number), None)

    def oldest(self, seconds: float) -> Batch | None:
        """The oldest samples, one batch, of the newest epoch's last ``seconds``; None if there are none."""
        time_ns = self._newest_ns - int(seconds * 1e9)
        found: Batch | None = None
        newer: Batch | None = None
        for entry in reversed(self._entries):
            if self._epoch is None or entry.epoch.epoch != self._epoch.epoch or entry.time_ns <= time_ns:
                break
            if isinstance(entry.event, Batch):
                found, newer = entry.event, found
        if found is None or found.time_ns >= time_ns or not found.period_ns:
            return found
        older = -(-(time_ns - found.time_ns) // found.period_ns)
        return found.part(older, found.samples) if older < found.samples else newer

    def _age_ns(self) -> int:
        return self._newest_ns - self._entries[0].time_ns


class RecentStreams:
    """The ring of each stream that there has been. Of boards that come and go by the hundred the latest are kept.

    Args:
        max_bytes: of one ring.
        max_s: of one ring.
        total_bytes: of all rings; above it the ring that has got nothing for the longest time is emptied.
    """

    def __init__(self, max_bytes: int, max_s: float, total_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._max_s = max_s
        self._total_bytes = total_bytes
        self._rings: dict[tuple[str, str], RecentSamples] = {}
        self._filled: OrderedDict[tuple[str, str], None] = OrderedDict()  # those that hold anything, stalest first
        self.bytes = 0

    def ring(self, device: str, stream: str) -> RecentSamples:
        """The ring of a stream."""
        ring = self._rings.get((device, stream))
        if ring is None:
            ring = self._rings[device, stream] = RecentSamples(self._max_bytes, self._max_s)
        return ring

    def add(self, event: StreamEvent) -> None:
        """Keep an event in the ring of its stream."""
        key = event.device, event.stream
        ring = self.ring(*key)
        before = ring.bytes
        ring.add(event)
        self.bytes += ring.bytes - before
        self._filled[key] = None
        self._filled.move_to_end(key)
        while self.bytes > self._total_bytes:
            stalest = self._rings[self._filled.popitem(last=False)[0]]
            self.bytes -= stalest.bytes
            stalest.clear()
