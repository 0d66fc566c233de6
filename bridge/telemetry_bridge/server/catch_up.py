"""A subscriber that comes back: what it missed, read from the ring of recent samples, until it is where the stream is.

It reads as fast as its connection takes it and holds nothing but a place in the ring. What leaves the ring before it is
read is a gap of cause ``subscriber``. The live events of the stream meanwhile go to the ring alone, so that there is no
seam: the last entry read is the last event published.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from telemetry_bridge.events import Batch, EpochStarted, Gap
from telemetry_bridge.server.ring import RecentSamples, StreamEvent


class CatchUp:
    """The way from ``since`` to the present.

    Args:
        device, stream: whose ring it is.
        ring: of the stream.
        epoch: that the subscriber was in.
        index: that the subscriber wants next.

    Attributes:
        known: whether the ring or the stream knows that epoch.
    """

    def __init__(self, device: str, stream: str, ring: RecentSamples, epoch: int, index: int) -> None:
        self._device = device
        self._stream = stream
        self._ring = ring
        self._epoch = epoch
        self._next_index = index
        self._certain = True  # False behind a gap of unknown length: what comes next comes next
        number = ring.find(epoch, index)
        self.known = number is not None
        self._number = ring.first if number is None else number
        self._unsaid = [] if self.known else [Gap(device, stream, epoch, index, None, "subscriber")]

    @property
    def done(self) -> bool:
        """Whether nothing is left: what comes next is the stream's next event."""
        return not self._unsaid and self._number == self._ring.end

    def step(self) -> Iterator[StreamEvent]:
        """The events of one step, in order; an epoch that has begun meanwhile is among them."""
        if self._unsaid:
            yield self._unsaid.pop()
            self._certain = False
        if self._number < self._ring.first:
            yield from self._left_behind()
        if self._number == self._ring.end:
            return
        entry = self._ring[self._number]
        self._number += 1
        if entry.epoch.epoch != self._epoch:
            self._epoch, self._next_index, self._certain = entry.epoch.epoch, entry.index, True
            yield dataclasses.replace(entry.epoch, next_index=entry.index)
        if isinstance(entry.event, EpochStarted):
            return
        if self._certain and entry.index > self._next_index:
            yield self._gap(entry.index - self._next_index)
        yield self._behind(entry.event)
        self._certain = entry.next_index is not None
        self._next_index = entry.index if entry.next_index is None else entry.next_index

    def rest(self, epoch: int, next_index: int) -> Gap | None:
        """What was missed without a trace in the ring, because that was emptied: up to where the stream stands."""
        missed = next_index - self._next_index
        return self._gap(missed) if self._certain and epoch == self._epoch and missed > 0 else None

    def _left_behind(self) -> Iterator[Gap]:
        """The ring has dropped what came next; how much is seen by its oldest entry, if that is of the same epoch."""
        ring = self._ring
        self._number = ring.first
        if ring.first == ring.end or ring[ring.first].epoch.epoch != self._epoch:
            yield self._gap(None)
            self._certain = False

    def _behind(self, event: Batch | Gap) -> Batch | Gap:
        """The part of an event that the subscriber does not have."""
        skip = self._next_index - event.index if self._certain else 0
        if skip <= 0:
            return event
        if isinstance(event, Batch):
            return event.part(skip, event.samples)
        return dataclasses.replace(
            event, index=event.index + skip, count=None if event.count is None else event.count - skip
        )

    def _gap(self, count: int | None) -> Gap:
        return Gap(self._device, self._stream, self._epoch, self._next_index, count, "subscriber")
