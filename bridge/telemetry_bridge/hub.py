"""The hub: one place where every event passes, from the sessions to the sinks.

    session --publish--> Hub --handle--> server, terminal status, recorder …

It runs in one asyncio thread and never waits: a sink that has to wait keeps a bounded queue of its own. The hub also
holds what a sink that comes late must know (devices, epochs, the last health and fault), counts what passed, and
keeps the promise that a sample is delivered once or a gap names it: what a session delivers out of order is put right
here, counted and logged.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from telemetry_bridge.clock import UnixClock
from telemetry_bridge.errors import BridgeError, CommandError
from telemetry_bridge.events import (
    Batch,
    CommandDone,
    DeviceChanged,
    DeviceInfo,
    EpochStarted,
    Event,
    Gap,
    GapCause,
    JsonMessage,
    JsonStream,
    WireArgs,
)
from telemetry_bridge.link import monotonic_ns
from telemetry_bridge.ports import Ports

DeviceHandler: TypeAlias = Callable[[str, WireArgs], Awaitable[CommandDone]]
"""Carries out one command: name and wire arguments in, the end of the command out."""

_log = logging.getLogger(__name__)


class Sink(Protocol):
    """Whoever wants the events."""

    def handle(self, event: Event) -> None:
        """Take one event. Must not block; what it raises is logged, counted, and kept from the others."""


@dataclass(slots=True)
class StreamCounters:
    """What has passed of one stream since the hub was made.

    Attributes:
        produced: samples the board is known to have taken since the first of each epoch: how far the index has come.
        batches: batches passed on.
        samples: samples passed on.
        lost: samples that gaps named, by cause; gaps without a count are not in it.
        gaps: gaps passed on.
        uncounted_gaps: those among them whose length nobody knows.
    """

    produced: int = 0
    batches: int = 0
    samples: int = 0
    lost: dict[GapCause, int] = field(default_factory=dict)
    gaps: int = 0
    uncounted_gaps: int = 0

    @property
    def unaccounted(self) -> int:
        """Samples that were neither passed on nor named by a gap, or more than once (below zero): always 0."""
        return self.produced - self.samples - sum(self.lost.values())


@dataclass(slots=True)
class StreamState:
    """Where one stream stands.

    Attributes:
        epoch: how the epoch that goes on now was announced.
        next_index: index that the next sample gets.
        seen: how far the index has come in what was published, whatever became of it.
    """

    epoch: EpochStarted
    next_index: int
    counters: StreamCounters
    seen: int

    def see(self, end: int) -> None:
        """Samples below ``end`` were taken by the board."""
        if end > self.seen:
            self.counters.produced += end - self.seen
            self.seen = end


class Hub:
    """Device table, sinks, and the way of a command to its board.

    Args:
        clock: of everything that passes; None: the host's, anchored now.

    Attributes:
        clock: the one of the bridge.
        devices: every device ever seen, by id; those that went are ``offline``.
        sink_errors: how often a sink raised.
    """

    def __init__(self, clock: UnixClock | None = None) -> None:
        self.clock = clock or UnixClock(time.time_ns, monotonic_ns)
        self.devices: dict[str, DeviceInfo] = {}
        self.sink_errors = 0
        self._streams: dict[tuple[str, str], StreamState] = {}
        self._latest: dict[tuple[str, JsonStream], JsonMessage] = {}
        self._out_of_order: dict[tuple[str, str], int] = {}
        self._sinks: list[Sink] = []
        self._failing: set[int] = set()
        self._handlers: dict[str, DeviceHandler] = {}
        self._epochs = itertools.count(1 + secrets.randbits(52))
        self.ports = Ports()
        """The lines that bring the events, to be released and resumed."""

    # ------------------------------------------------------------------ sinks

    def attach(self, sink: Sink) -> None:
        """Add a sink. It is told at once of every device and of the epoch of each stream, as of now.

        The epochs it is told have ``next_index`` where the stream stands, not where the epoch began.
        """
        self._sinks.append(sink)
        for device in self.devices.values():
            self._deliver(sink, DeviceChanged(device))
        for state in self._streams.values():
            self._deliver(sink, dataclasses.replace(state.epoch, next_index=state.next_index))

    def detach(self, sink: Sink) -> None:
        """Remove a sink; nothing happens if it is not attached."""
        self._sinks = [other for other in self._sinks if other is not sink]
        self._failing.discard(id(sink))

    def publish(self, event: Event) -> None:
        """Hand an event to every sink, in the order in which they were attached. Never blocks and never raises.

        A batch or gap that skips indexes is preceded by a gap of cause ``host``; one that repeats indexes or belongs
        to no announced epoch is refused. Both are defects of the session: counted as ``out_of_order`` and logged.
        """
        match event:
            case Batch() | Gap():
                if not self._admit(event):
                    return
            case DeviceChanged(device=device):
                self.devices[device.id] = device
            case EpochStarted():
                self._start_epoch(event)
            case JsonMessage(stream="health" | "fault"):
                self._latest[event.device, event.stream] = event
            case CommandDone(name="acknowledge_fault", status="ok"):
                self._forget_fault(event)
            case _:
                pass
        self._spread(event)

    def _spread(self, event: Event) -> None:
        for sink in self._sinks:
            self._deliver(sink, event)

    def _deliver(self, sink: Sink, event: Event) -> None:
        try:
            sink.handle(event)
        except Exception:  # noqa: BLE001 - whatever a sink does, the others get their events; logged and counted
            self.sink_errors += 1
            if id(sink) not in self._failing:
                self._failing.add(id(sink))
                _log.exception("%s failed on %s; further failures are only counted", sink, type(event).__name__)

    # ---------------------------------------------------------------- streams

    def stream(self, device: str, stream: str) -> StreamState | None:
        """Where a stream stands; None before its first epoch was announced."""
        return self._streams.get((device, stream))

    def streams(self) -> dict[tuple[str, str], StreamState]:
        """Every stream that had an epoch, by device id and stream name."""
        return dict(self._streams)

    def latest(self, device: str, stream: JsonStream) -> JsonMessage | None:
        """The newest ``health`` or ``fault`` of a device; None if there was none. A ``log`` is not kept."""
        return self._latest.get((device, stream))

    def _forget_fault(self, done: CommandDone) -> None:
        """The board has forgotten the record of a boot: nobody who comes later is told of it."""
        kept = self._latest.get((done.device, "fault"))
        if kept is not None and kept.body.get("boot_id") == f"{int(done.args.get('boot_id', -1)):08x}":
            del self._latest[done.device, "fault"]

    def new_epoch(self) -> int:
        """A number that no epoch has: not of this process, nor, by chance alone, of an earlier one.

        Counted from a random start, not from the time: a host without a battery may begin at the same time again. Below
        2**53, so that JavaScript has it exactly.
        """
        return next(self._epochs)

    def _start_epoch(self, event: EpochStarted) -> None:
        key = event.device, event.stream
        known = self._streams.get(key)
        counters = StreamCounters() if known is None else known.counters
        self._streams[key] = StreamState(event, event.next_index, counters, event.next_index)

    def _admit(self, event: Batch | Gap) -> bool:
        state = self._streams.get((event.device, event.stream))
        if state is None or event.epoch != state.epoch.epoch:
            self._complain(event, state, "refused")
            return False
        count = event.samples if isinstance(event, Batch) else event.count or 0
        state.see(event.index + count)
        if event.index < state.next_index:
            self._complain(event, state, "refused")
            return False
        if event.index > state.next_index:
            self._complain(event, state, "went without a gap")
            missing = event.index - state.next_index
            gap = Gap(event.device, event.stream, event.epoch, state.next_index, missing, "host")
            self._count_gap(gap, state)
            self._spread(gap)
        if isinstance(event, Gap):
            self._count_gap(event, state)
            return True
        state.next_index = event.index + count
        state.counters.batches += 1
        state.counters.samples += count
        return True

    def _complain(self, event: Batch | Gap, state: StreamState | None, what: str) -> None:
        stands = "no epoch" if state is None else f"index {state.next_index} of epoch {state.epoch.epoch}"
        count = self._out_of_order[event.device, event.stream] = self.out_of_order(event.device, event.stream) + 1
        if count == 1:
            _log.error(
                "%s %s: %s at index %d of epoch %d %s: the stream stands at %s; further ones are only counted",
                event.device,
                event.stream,
                type(event).__name__.lower(),
                event.index,
                event.epoch,
                what,
                stands,
                extra={"device": event.device, "stream": event.stream},
            )

    def out_of_order(self, device: str, stream: str) -> int:
        """How many batches and gaps did not start where their stream stood; see :meth:`publish`."""
        return self._out_of_order.get((device, stream), 0)

    @staticmethod
    def _count_gap(gap: Gap, state: StreamState) -> None:
        counters = state.counters
        counters.gaps += 1
        if gap.count is None:
            counters.uncounted_gaps += 1
            return
        counters.lost[gap.cause] = counters.lost.get(gap.cause, 0) + gap.count
        state.next_index = gap.index + gap.count

    # --------------------------------------------------------------- commands

    def register_device(self, device: str, handler: DeviceHandler) -> None:
        """Say who carries out the commands for a device.

        Raises:
            BridgeError: if another handler has it: two boards with the same id.
        """
        if self._handlers.get(device, handler) != handler:
            raise BridgeError(f"device {device} is already served by another link")
        self._handlers[device] = handler

    def unregister_device(self, device: str, handler: DeviceHandler | None = None) -> None:
        """Forget the handler of a device; if one is named, only if it is that one. Its commands fail as ``offline``."""
        if handler is None or self._handlers.get(device) == handler:
            self._handlers.pop(device, None)

    async def command(self, device: str, name: str, args: WireArgs) -> CommandDone:
        """Send one command to a board and wait for its end.

        Args:
            device: id of the device.
            name: of the wire's command table.
            args: the fields of that command, in the wire's units.

        Raises:
            CommandError: ``unknown_device``, ``offline``, or what the handler raises.
        """
        if device not in self.devices and device not in self._handlers:
            raise CommandError("unknown_device", f"there is no device {device!r}")
        handler = self._handlers.get(device)
        if handler is None:
            raise CommandError("offline", f"device {device} is not connected now")
        return await handler(name, args)
