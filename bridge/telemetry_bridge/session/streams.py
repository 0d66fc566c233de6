"""One stream: its descriptors, what is held back until they are known, and the batches that come of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec
import numpy as np

from telemetry_bridge.events import Batch, EpochStarted, Event, FieldInfo, Gap, GapCause, StreamInfo
from telemetry_bridge.session.loss import Ledger, Share, Snapshot
from telemetry_bridge.session.run import Run, widen
from telemetry_bridge.session.timing import SampleTimes
from telemetry_protocol import LayoutError, SampleLayout, messages

HELD_MAX: Final = 512
"""SAMPLES frames held back for one stream; policy: the oldest is dropped, counted, and becomes a gap (``host``)."""
RECENT: Final = 16
"""SAMPLES frames remembered to know one that comes twice."""
IRREGULAR_US: Final = 4_000_000
"""A stream that is slower, or whose rate nobody knows, goes out sample by sample without a period."""
_U32: Final = 1 << 32
_HOPELESS: Final = -1
"""Generation of a held frame whose descriptor has been replaced before it was ever seen."""


class Arrival(NamedTuple):
    """A SAMPLES frame and the circumstances in which it came."""

    low_index: int
    """Index of the first sample, its low 32 bits as on the wire."""
    time_us: int
    """64 bits."""
    data: bytes
    generation: int
    mark: int
    """The receiver's mark: frames with the same mark have no loss between them."""
    now_ns: int


class Descriptor:
    """A STREAM message, ready for use."""

    __slots__ = ("error", "fields", "generation", "group_delay_us", "layout", "message", "period_us")

    def __init__(self, message: messages.Stream) -> None:
        self.message = message
        self.generation = message.generation
        self.group_delay_us = message.group_delay_us
        self.period_us = 1e9 / message.rate_mhz if message.rate_mhz else None
        self.fields = tuple(FieldInfo(field.name, field.unit, field.full_scale) for field in message.fields)
        self.layout: SampleLayout | None = None
        self.error = ""
        try:
            self.layout = SampleLayout(message)
        except LayoutError as error:
            self.error = str(error)

    @property
    def names(self) -> tuple[tuple[str, str], ...]:
        """What an epoch is made of: names and units of the fields."""
        return tuple((field.name, field.unit) for field in self.fields)


class StreamTrack:
    """One stream of one boot. Frames go in, in the order in which they came; events come out."""

    def __init__(self, number: int, run: Run) -> None:
        self.number = number
        self.name = f"stream{number}"
        self.run = run
        self.held: deque[Arrival] = deque()
        self.state = "streaming"  # until HEALTH says otherwise
        self.board_rate_hz: float | None = None  # as HEALTH says
        self.received = 0
        self.lost: dict[GapCause, int] = {"device": 0, "wire": 0, "host": 0}
        self._descriptors: dict[int, Descriptor] = {}
        self._newest: Descriptor | None = None  # what the board described last
        self._current: Descriptor | None = None  # what the last batch was made with
        self._epoch: int | None = None
        self._next_index = 0
        self._mark = run.start_mark
        self._dropped: Arrival | None = None  # the first of those that were held and dropped
        self._recent: deque[tuple[int, int]] = deque(maxlen=RECENT)
        self._newest_arrived: int | None = None
        self._ledger = Ledger(since_boot=run.since_boot)
        self._times = SampleTimes()
        self._last_ns = 0

    # ---------------------------------------------------------- what arrives

    def follows(self, index: int, time_us: int) -> bool | None:
        """Whether a frame goes on where the stream is: True; None: it repeats a recent frame; False: neither."""
        newest = self._newest_arrived
        if newest is None or 0 < (index - newest) % _U32 < _U32 // 2:
            return True
        return None if (index, time_us) in self._recent else False

    def arrived(self, index: int, time_us: int) -> None:
        """Remember a frame, to know it should it come again."""
        self._newest_arrived = index
        self._recent.append((index, time_us))

    def knows(self, generation: int) -> bool:
        """Whether samples of ``generation`` can be dealt with: in SI units, or as lost."""
        return generation in self._descriptors or generation == _HOPELESS

    @property
    def waits_for_descriptor(self) -> bool:
        """Something is held whose descriptor the board must be asked for."""
        return any(not self.knows(arrival.generation) for arrival in self.held)

    def hold(self, arrival: Arrival) -> None:
        """Keep a frame for later; see :data:`HELD_MAX`."""
        self.held.append(arrival)
        if len(self.held) > HELD_MAX:
            self._drop(self.held.popleft())

    def keep(self, wanted: Callable[[Arrival], bool]) -> None:
        """Drop what is held and not ``wanted``."""
        for arrival in self.take_where(lambda held: not wanted(held)):
            self._drop(arrival)

    def take_where(self, wanted: Callable[[Arrival], bool]) -> list[Arrival]:
        """Take back what is held and ``wanted``."""
        taken = [arrival for arrival in self.held if wanted(arrival)]
        if taken:
            self.held = deque(arrival for arrival in self.held if not wanted(arrival))
        return taken

    def describe(self, message: messages.Stream) -> str:
        """Take a descriptor; what is wrong with it, or nothing.

        Only this one and the one before it are kept: generations come round again after eight.
        """
        if self._newest is not None and self._newest.message == message:
            return self._newest.error
        descriptor = Descriptor(message)
        before = self._newest
        if before is not None and not before.message.enabled and message.enabled:
            self.state = "streaming"  # what HEALTH has said is of before
        if before is None or before.message.rate_mhz != message.rate_mhz:
            self.board_rate_hz = None
        self._descriptors = {descriptor.generation: descriptor}
        if before is not None and before.generation != descriptor.generation:
            self._descriptors[before.generation] = before
        self._newest = descriptor
        self.name = self.run.name_stream(self.number, message.name)
        # The board describes what is in force: frames that came before and are of neither can never be read.
        self.held = deque(
            held if self.knows(held.generation) else held._replace(generation=_HOPELESS) for held in self.held
        )
        return descriptor.error

    def forget_descriptors(self) -> None:
        """The board was out of sight: what it described before may not hold any more."""
        self._descriptors.clear()
        self._newest = None

    def break_line(self) -> None:
        """The link was down: what is missing from here on was lost on the wire."""
        self._mark = -1

    # --------------------------------------------------------- what comes out

    def process(self, arrival: Arrival) -> list[Event]:
        """Turn a frame into events. The clock must be known, and :meth:`knows` true."""
        descriptor = self._descriptors.get(arrival.generation)
        if descriptor is None or descriptor.layout is None:
            self._drop(arrival)
            return []
        size = descriptor.layout.size
        samples, rest = divmod(len(arrival.data), size)
        if rest or not samples:
            self.run.tally.refused_length += 1
            return []
        events: list[Event] = []
        index = self._widen(arrival.low_index)
        if descriptor is not self._current or index != self._next_index or self._dropped is not None:
            self._meet(descriptor, index, arrival, events)
        self._mark = arrival.mark
        skip = self._next_index - index
        if skip >= samples:
            self.run.tally.duplicates += 1
            return events
        self._next_index = index + samples
        self._ledger.account(self._next_index)
        self.received += samples - skip
        self._times.add(index, arrival.time_us, samples)
        if skip:
            self.run.tally.duplicates += 1
        events += self._batches(descriptor, descriptor.layout, arrival, index, skip)
        return events

    def health(self, entry: messages.StreamHealth, time_us: int, mark: int) -> list[Event]:
        """Take the board's counters; gaps for samples that will not come any more."""
        self.state = messages.StreamState.label(entry.state)
        if self._epoch is None:
            return []
        lost = (entry.lost_fifo + entry.lost_ring + entry.lost_bus) % _U32
        snapshot = Snapshot(self._widen(entry.next_index), lost, time_us, mark)
        whole = not self.held and self._dropped is None
        events: list[Event] = []
        self._gaps(self._ledger.health(self._next_index, self._mark, snapshot, conclude=whole), events)
        return events

    def abandon(self, *, missed_end: bool) -> list[Event]:
        """The boot is over: what is still held becomes a gap, and so does its end if nobody listened then."""
        while self.held:
            self._drop(self.held.popleft())
        dropped, self._dropped = self._dropped, None
        events: list[Event] = []
        if self._epoch is None:
            return events
        if dropped is not None:
            self._close_hole(self._widen(dropped.low_index), dropped.mark, events)
        if dropped is not None or missed_end:
            cause: GapCause = "wire" if dropped is None else "host"
            events.append(Gap(self.run.device, self.name, self._epoch, self._next_index, None, cause))
        return events

    def info(self) -> StreamInfo | None:
        """What subscribers are told; None before the first descriptor."""
        descriptor = self._current or self._newest
        if descriptor is None:
            return None
        newest = self._newest or descriptor
        enabled = bool(newest.message.enabled)
        return StreamInfo(
            number=self.number,
            name=self.name,
            sensor=newest.message.sensor,
            fields=newest.fields,
            rate_hz=newest.message.rate_mhz / 1000,
            measured_rate_hz=self._measured_hz(newest) if enabled else None,
            generation=newest.generation,
            epoch=0 if self._epoch is None else self._epoch,
            group_delay_us=newest.group_delay_us,
            state=self._state_beside(newest.message),
            latency_us=newest.message.latency_us,
            enabled=enabled,
        )

    def _measured_hz(self, newest: Descriptor) -> float | None:
        """The rate by the board's clock: as its samples show it, else as the board says."""
        period_us = self._times.period_us
        if period_us is None or self._current is None or self._current.period_us != newest.period_us:
            return self.board_rate_hz  # no samples yet, or only of another rate
        return round(1e6 / period_us, 4)

    def _state_beside(self, message: messages.Stream) -> str:
        """What HEALTH said last; the descriptor knows more of an absence, it names the part or none, and is told
        at once when the stream is disabled."""
        if not message.sensor:
            return "absent"
        if not message.enabled:
            return "stopped"
        return "streaming" if self.state == "absent" else self.state

    def _widen(self, index: int) -> int:
        return index if self._epoch is None and not self.run.since_boot else widen(index, self._next_index, _U32)

    def _drop(self, arrival: Arrival) -> None:
        self.run.tally.held_dropped += 1
        if self._dropped is None:
            self._dropped = arrival

    def _meet(self, descriptor: Descriptor, index: int, arrival: Arrival, events: list[Event]) -> None:
        """What lies between the last batch and this one: a hole, other fields, another rate, frames dropped here."""
        dropped, self._dropped = self._dropped, None
        first, first_mark = index, arrival.mark
        if dropped is not None and self._widen(dropped.low_index) < index:
            first, first_mark = self._widen(dropped.low_index), dropped.mark
        current = self._current
        if current is None:
            self._start_epoch(descriptor, 0 if self.run.since_boot else first, events)
        elif current.names != descriptor.names:
            self._close_hole(first, first_mark, events)
            self._start_epoch(descriptor, first, events)
        if current is not descriptor:
            self._current = descriptor
            self.run.changed = True
            if current is None or current.period_us != descriptor.period_us:
                self._times = SampleTimes(descriptor.period_us)
        self._close_hole(first, first_mark, events)
        if index > self._next_index:
            self._gaps([Share(index - self._next_index, "host", False)], events)
            self._ledger.hide()

    def _start_epoch(self, descriptor: Descriptor, index: int, events: list[Event]) -> None:
        self._epoch = self.run.new_epoch()
        self._next_index = index
        run = self.run
        events.append(EpochStarted(run.device, self.name, self._epoch, run.boot, descriptor.fields, index))
        run.changed = True

    def _close_hole(self, index: int, mark: int, events: list[Event]) -> None:
        if index > self._next_index:
            unbroken = mark == self._mark
            self._gaps(self._ledger.share_out(self._next_index, index, mark=mark, unbroken=unbroken), events)

    def _gaps(self, shares: list[Share], events: list[Event]) -> None:
        assert self._epoch is not None
        for samples, cause, estimated in shares:
            events.append(Gap(self.run.device, self.name, self._epoch, self._next_index, samples, cause, estimated))
            self._next_index += samples
            self.lost[cause] += samples

    def _batches(
        self, descriptor: Descriptor, layout: SampleLayout, arrival: Arrival, index: int, skip: int
    ) -> list[Batch]:
        """The samples of the frame whose stamp came last, without the first ``skip``; ``index``: of its first."""
        data = arrival.data[skip * layout.size :] if skip else arrival.data
        values = layout.si(data)
        values.setflags(write=False)
        run, epoch = self.run, self._epoch
        assert epoch is not None
        period_us = self._times.period_us or descriptor.period_us
        device_ns = int((self._times.time_us - descriptor.group_delay_us + skip * (period_us or 0.0)) * 1000)
        host_ns, rate, uncertainty_ns = run.clock.stamp(device_ns)
        time_ns = host_ns + run.anchor_ns
        uncertainty_ns += int(self._times.error_us * 1000)
        period_ns = 0 if period_us is None else int(period_us * rate * 1000 + 0.5)
        regular = descriptor.period_us is not None and period_us is not None and period_us <= IRREGULAR_US
        if time_ns <= self._last_ns:  # stamps of the board that overlap: later by as little as keeps the order
            uncertainty_ns += self._last_ns + 1 - time_ns
            time_ns = self._last_ns + 1
        samples = values.shape[1]
        self._last_ns = time_ns + (samples - 1) * period_ns
        batch = Batch(
            run.device,
            self.name,
            epoch,
            index + skip,
            time_ns,
            period_ns if regular else 0,
            uncertainty_ns,
            values,
            descriptor.generation,
            data,
            arrival.now_ns,
            descriptor=descriptor.message,
        )
        if samples > 1 and not regular:
            return self._singly(batch, max(period_ns, 1))
        return [batch]

    def _singly(self, batch: Batch, step_ns: int) -> list[Batch]:
        """A batch without a period that the API could state, sample by sample."""
        size = len(batch.raw) // batch.samples
        self._last_ns = batch.time_ns + (batch.samples - 1) * step_ns
        singles = []
        for k in range(batch.samples):
            values = np.ascontiguousarray(batch.values[:, k : k + 1])
            values.flags.writeable = False
            singles.append(
                msgspec.structs.replace(
                    batch,
                    index=batch.index + k,
                    time_ns=batch.time_ns + k * step_ns,
                    period_ns=0,
                    values=values,
                    raw=batch.raw[k * size : (k + 1) * size],
                )
            )
        return singles
