"""The board at the other end: which boot of which device it is, its streams, and when its samples may go out.

Samples pass three gates before they become batches: the board must be known (HELLO, and no doubt whether it has
rebooted since), the descriptor of their generation must be known, and the clock, for which they wait half a second.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from telemetry_bridge.clock import DeviceClock, Exchange
from telemetry_bridge.events import ClockState, DeviceChanged, DeviceInfo, Event, JsonMessage, JsonStream, LinkStats
from telemetry_bridge.session import reports, warnings
from telemetry_bridge.session.line import Receiver
from telemetry_bridge.session.run import PLAUSIBLE_US, DeviceTime, Run, Tally
from telemetry_bridge.session.streams import Arrival, StreamTrack
from telemetry_protocol import Message, messages

CLOCK_WAIT_NS: Final = 500_000_000
"""Samples wait at most this long for the clock."""
INTRODUCTION_NS: Final = 1_000_000_000
"""A device that was known and has rebooted is told once its streams have been described, or this much later.

Told earlier, its streams would seem to vanish. One that was not known is told at once: that claims its id."""
UNCLAIMED_MAX: Final = 512
"""SAMPLES frames kept before the first HELLO; policy: the oldest is dropped and counted."""


class Board:
    """What is known of the board. Messages go in with the time they came; events collect in :attr:`events`."""

    def __init__(
        self,
        uri: str,
        receiver: Receiver,
        tally: Tally,
        *,
        stats: Callable[[], LinkStats],
        anchor_ns: int,
        new_epoch: Callable[[], int],
        is_taken: Callable[[str], bool],
    ) -> None:
        self._uri = uri
        self._receiver = receiver
        self._tally = tally
        self._stats = stats
        self._anchor_ns = anchor_ns
        self._is_taken = is_taken
        self._new_epoch = new_epoch
        self._run: Run | None = None
        self._tracks: dict[int, StreamTrack] = {}
        self._hello: messages.Hello | None = None
        self._warnings: dict[str, str] = {}
        self._faults: set[tuple[int, int]] = set()
        self._told_clock: ClockState = "unsynced"
        self._unclaimed: deque[tuple[int, Arrival]] = deque()  # came before the first HELLO
        self._clock_deadline_ns: int | None = None
        self._introduction_ns: int | None = None  # until when DeviceChanged waits for a reboot's descriptors
        self.online = False
        """The board has said who it is, and is heard."""
        self.doubt = False
        """Something does not fit this boot: samples wait until HELLO says whether it is still the same."""
        self.events: list[Event] = []
        self.link_warning = ""
        """Something about the link that belongs to the board's warnings, whichever boot it is."""

    @property
    def device(self) -> str:
        """Id of the device; derived from the link until the board has said who it is."""
        return self._id_from_link() if self._run is None else self._run.device

    def moved(self, uri: str) -> None:
        """It is at another link. A device that has its id from the link keeps it while it is the same."""
        self._uri = uri

    def reopen(self) -> None:
        """The link was opened. What was known of the board is kept until it answers, but for its descriptors."""
        self.online = self.doubt = False
        self._clock_deadline_ns = None
        self._unclaimed.clear()
        for track in self._tracks.values():
            track.forget_descriptors()
            track.break_line()

    def go_offline(self, now_ns: int) -> None:
        """The board is not heard any more."""
        if self.online and self._run is not None:
            self.online = False
            self.events.append(DeviceChanged(self._info(self._run, now_ns)))

    # ------------------------------------------------------- who is there

    def hello(self, hello: messages.Hello, sequence: int, now_ns: int) -> bool:
        """HELLO has come; True if the board was not online before, or has rebooted."""
        device = self._device_id(hello.uid)
        run = self._run
        if run is None or run.boot_id != hello.boot_id or run.device != device:
            run = self._start_run(hello, device, sequence, now_ns)
            is_news = True
        else:
            self._receiver.saw(sequence)
            hello_us = run.time.widen(hello.time_us)
            for track in self._tracks.values():
                track.keep(lambda arrival: _belongs(arrival, hello_us, now_ns))
            if not self._holds:
                self._clock_deadline_ns = None  # of frames that are gone; the next ones wait anew
            run.time.note(hello_us, now_ns)
            run.clock.line_changed(hello.baud)
            is_news = not self.online
        self._hello = hello
        self._warn("table", warnings.table(hello))
        self._warn("clock", warnings.clock(hello))
        self.doubt = False
        self.online = True
        run.changed = True
        self.tell_changes(now_ns)
        self.release(now_ns)
        return is_news

    def _start_run(self, hello: messages.Hello, device: str, sequence: int, now_ns: int) -> Run:
        """The board has booted, or is another one: close the old run's books and open new ones."""
        old = self._run
        claimed = [pair for pair in self._unclaimed if _belongs(pair[1], hello.time_us, now_ns)]
        self._tally.held_dropped += len(self._unclaimed) - len(claimed)
        self._unclaimed.clear()
        for number, track in self._tracks.items():
            mine = track.take_where(lambda held: _belongs(held, hello.time_us, now_ns))
            claimed += [(number, arrival) for arrival in mine]
        if old is not None:
            if self.online:
                self.release(now_ns, at_once=True)
            missed_end = old.device == device and not self.online
            for track in self._tracks.values():
                self._emit(track.abandon(missed_end=missed_end), now_ns)
            if old.device != device:
                self.go_offline(now_ns)
        self._receiver.restart(sequence)
        run = self._run = Run(
            device=device,
            boot_id=hello.boot_id,
            since_boot=old is not None and old.device == device,
            clock=DeviceClock(hello.baud),
            time=DeviceTime(hello.time_us, now_ns),
            anchor_ns=self._anchor_ns,
            tally=self._tally,
            new_epoch=self._new_epoch,
            start_mark=self._receiver.mark if self.online and not claimed else -1,
        )
        self._introduction_ns = now_ns + INTRODUCTION_NS if run.since_boot else None
        self._tracks = {}
        self._warnings.clear()
        self._clock_deadline_ns = None
        for number, arrival in claimed:
            track = self._track(number, run)
            track.arrived(arrival.low_index, arrival.time_us)
            track.hold(arrival)
        return run

    def _device_id(self, uid: bytes) -> str:
        device = uid.hex()
        return device if any(uid) and not self._is_taken(device) else self._id_from_link()

    def _id_from_link(self) -> str:
        return "link-" + hashlib.blake2s(self._uri.encode(), digest_size=8).hexdigest()

    # -------------------------------------------------------------- samples

    def samples(self, message: messages.Samples, sequence: int, now_ns: int) -> None:
        """SAMPLES have come: out with them, or keep them until they can be understood."""
        run, stream_gen = self._run, message.stream_gen
        number, generation = stream_gen & 0x1F, stream_gen >> 5
        if run is None:
            self._receiver.saw(sequence)
            arrival = Arrival(message.index, message.time_us, message.data, generation, self._receiver.mark, now_ns)
            self._unclaimed.append((number, arrival))
            if len(self._unclaimed) > UNCLAIMED_MAX:
                self._unclaimed.popleft()
                self._tally.held_dropped += 1
            return
        track = self._track(number, run)
        follows = track.follows(message.index, message.time_us)
        time_us = run.time.widen(message.time_us)
        # each boot begins with the same indexes and much the same times: one from long ago may be of the next boot
        if follows is None and not self.doubt and run.time.plausible(time_us, now_ns):
            self._tally.duplicates += 1
            return
        self._receiver.saw(sequence)
        track.arrived(message.index, message.time_us)
        arrival = Arrival(message.index, time_us, message.data, generation, self._receiver.mark, now_ns)
        if self.online and not self.doubt:
            if follows and run.time.plausible(time_us, now_ns):
                run.time.note(time_us, now_ns)
                if not track.held and track.knows(generation) and self._clock_ready(run, now_ns):
                    self._emit(track.process(arrival), now_ns)
                    return
            else:
                self.doubt = True
        track.hold(arrival)

    def release(self, now_ns: int, *, at_once: bool = False) -> None:
        """Process what is held and may go out now; ``at_once`` does not wait for the clock."""
        run = self._run
        if run is None or not self.online or not self._holds:
            return
        if at_once:
            self._clock_deadline_ns = now_ns
        if not self._clock_ready(run, now_ns):
            return
        for track in self._tracks.values():
            while track.held and track.knows(track.held[0].generation):
                self._emit(track.process(track.held.popleft()), now_ns)

    @property
    def _holds(self) -> bool:
        return any(track.held for track in self._tracks.values())

    def _track(self, number: int, run: Run) -> StreamTrack:
        track = self._tracks.get(number)
        if track is None:
            track = self._tracks[number] = StreamTrack(number, run)
        return track

    def _clock_ready(self, run: Run, now_ns: int) -> bool:
        """Whether samples may go out: the clock is known, or they have waited for it long enough."""
        if run.clock.ready:
            return True
        if self._clock_deadline_ns is None:
            self._clock_deadline_ns = now_ns + CLOCK_WAIT_NS
        if now_ns < self._clock_deadline_ns:
            return False
        held = [arrival for track in self._tracks.values() for arrival in track.held]
        if held:
            promptest = min(held, key=lambda arrival: arrival.now_ns - arrival.time_us * 1000)
            run.clock.assume(promptest.time_us * 1000, promptest.now_ns)
        run.clock.wait_no_longer()
        return run.clock.known

    # ------------------------------------------------ what else the board says

    def other(self, message: Message, now_ns: int) -> None:
        """STREAM, HEALTH, LOG or FAULT. Ignored until HELLO has said whose it is: the board repeats what matters."""
        run = self._run
        if run is None or not self.online or self.doubt:
            return
        match message:
            case messages.Stream():
                self._warn(f"stream {message.stream}", self._track(message.stream, run).describe(message))
                run.changed = True
                self.release(now_ns)
            case messages.Health():
                self._health(message, run, now_ns)
            case messages.Log():
                self._report("log", run.time.widen(message.time_us), reports.log(message), run, now_ns)
            case messages.Fault() if (message.boot_id, message.time_us) not in self._faults:
                self._faults = {(message.boot_id, message.time_us)}
                self._report("fault", None, reports.fault(message), run, now_ns)
            case _:
                pass  # a fault that was reported before, or a message of the host's direction

    def exchange(self, sent_ns: int, command_bytes: int, stamps: Sequence[int], answer_bytes: int, now_ns: int) -> bool:
        """A ping sent at ``sent_ns`` was answered with ``stamps`` received_us, sent_us.

        True if that upset what was known of the clock: learn it anew.
        """
        run = self._run
        if run is None or not self.online or self.doubt:
            return False
        received_us, sent_us = map(run.time.widen, stamps)
        if not run.time.plausible(sent_us, now_ns):
            self.doubt = True
            return False
        run.time.note(sent_us, now_ns)
        before = run.clock.state(now_ns)
        run.clock.add(Exchange(sent_ns, received_us, sent_us, now_ns, command_bytes, answer_bytes))
        self.release(now_ns)
        return before == "locked" and run.clock.state(now_ns) != "locked"

    def _health(self, message: messages.Health, run: Run, now_ns: int) -> None:
        time_us = run.time.widen(message.time_us)
        if not run.time.plausible(time_us, now_ns):
            self.doubt = True
            return
        run.time.note(time_us, now_ns)
        self.release(now_ns)
        for entry in message.streams:
            track = self._tracks.get(entry.stream)
            if track is not None:
                self._emit(track.health(entry, time_us, self._receiver.mark), now_ns)
        for sensor in message.sensors:
            track = self._tracks.get(sensor.stream)
            if track is not None:
                track.board_rate_hz = sensor.measured_mhz / 1000 if sensor.measured_mhz else None
        run.changed = True
        self._report("health", time_us, reports.health(message, self._tracks, self._stats()), run, now_ns)

    def _report(self, stream: JsonStream, time_us: int | None, body: dict[str, object], run: Run, now_ns: int) -> None:
        time_ns = None
        if time_us is not None and run.clock.known:
            time_ns = run.clock.peek_host_ns(time_us * 1000) + run.anchor_ns
        self._emit([JsonMessage(run.device, stream, time_ns, body)], now_ns)

    # ------------------------------------------------------ what is told

    @property
    def wants_description(self) -> bool:
        """There is something that only HELLO or STREAM can tell."""
        return not self.online or self.doubt or any(track.waits_for_descriptor for track in self._tracks.values())

    @property
    def deadline_ns(self) -> int | None:
        """When samples that wait for the clock go out without it, or the device is told without all its streams."""
        run = self._run
        if run is None or not self.online:
            return None
        clock_ns = None if run.clock.ready or self.doubt else self._clock_deadline_ns
        return min((due for due in (clock_ns, self._introduction_ns) if due is not None), default=None)

    def tell_changes(self, now_ns: int, *, at_once: bool = False) -> None:
        """Report the device if it has changed; after a reboot not before its streams are known, unless ``at_once``."""
        run = self._run
        if run is None or not self.online:
            return
        if self._introduction_ns is not None:
            if not at_once and now_ns < self._introduction_ns and not self._is_described():
                return
            self._introduction_ns = None
        clock_state = run.clock.state(now_ns)
        if run.changed or clock_state != self._told_clock:
            run.changed = False
            self._told_clock = clock_state
            self.events.append(DeviceChanged(self._info(run, now_ns)))

    def _is_described(self) -> bool:
        """Whether every stream that HELLO counts has a descriptor."""
        described = sum(track.info() is not None for track in self._tracks.values())
        return self._hello is not None and described >= self._hello.streams

    def _emit(self, events: Sequence[Event], now_ns: int) -> None:
        """Pass events on, the device's description before them if it has changed: reports can do without."""
        if events and self._run is not None and self._run.changed:
            self.tell_changes(now_ns, at_once=not all(isinstance(event, JsonMessage) for event in events))
        self.events += events

    def line_changed(self, baud: int) -> None:
        """The line has another rate."""
        if self._run is not None and self._hello is not None:
            self._hello = replace(self._hello, baud=baud)
            self._run.clock.line_changed(baud)
            self._run.changed = True

    def warn(self, about: str, text: str) -> None:
        """Let the board's information carry a warning, or no longer."""
        self._warn(about, text)
        if self._run is not None:
            self._run.changed = True

    def _warn(self, about: str, text: str) -> None:
        if text:
            self._warnings[about] = text
        else:
            self._warnings.pop(about, None)

    def _info(self, run: Run, now_ns: int) -> DeviceInfo:
        hello = self._hello
        assert hello is not None
        streams = [self._tracks[number].info() for number in sorted(self._tracks)]
        return DeviceInfo(
            id=run.device,
            state="online" if self.online else "offline",
            board=hello.board,
            firmware=hello.firmware,
            revision=hello.revision,
            uid=hello.uid.hex() if any(hello.uid) else "",
            boot_id=run.boot,
            reset_cause=messages.ResetCause.label(hello.reset_cause),
            baud=hello.baud,
            link=self._uri,
            clock=run.clock.info(run.anchor_ns, now_ns),
            streams=tuple(stream for stream in streams if stream is not None),
            stats=self._stats(),
            warning="; ".join(filter(None, (*self._warnings.values(), self.link_warning))),
        )


def _belongs(arrival: Arrival, hello_us: int, now_ns: int) -> bool:
    """Whether a held frame is of the boot whose HELLO, of device time ``hello_us``, came at ``now_ns``."""
    age_us = (now_ns - arrival.now_ns) // 1000
    return abs(hello_us - arrival.time_us - age_us) < PLAUSIBLE_US
