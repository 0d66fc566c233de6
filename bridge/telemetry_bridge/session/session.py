"""The session with whatever is at the other end of a link: bytes and times in, events and bytes out.

opened ──> WAITING_SILENT ──bytes──> WAITING_GARBAGE ──HELLO──> ONLINE ──3 s without a frame──> WAITING_SILENT
           (describe each second)                      └─other protocol──> REFUSED
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from enum import Enum
from typing import Final

from telemetry_bridge.events import CommandDone, Event, LinkStats, WireArgs
from telemetry_bridge.session.board import Board
from telemetry_bridge.session.commands import Commands, Ended
from telemetry_bridge.session.line import Receiver, Transmitter
from telemetry_bridge.session.pings import Pings
from telemetry_bridge.session.rate import LineRate
from telemetry_bridge.session.run import Tally
from telemetry_protocol import Decoder, Frame, Refused, messages

DESCRIBE_NS: Final = 1_000_000_000
"""Descriptors are asked for at most this often."""
DESCRIBES_KEPT: Final = 8
"""Requests for descriptors whose answers are still recognised."""
SILENCE_NS: Final = 3_000_000_000
"""A board without a good frame for this long is offline: HEALTH comes each second."""
DEFAULT_BAUD: Final = 921_600
"""Of every board (SPEC.md)."""
IDLE_NS: Final = 1_000_000_000
"""Pause between two polls while the link is closed."""
_U64: Final = 0xFFFF_FFFF_FFFF_FFFF
_PING: Final = messages.COMMANDS["ping"]


class Handshake(Enum):
    """How far the session has come since the link was opened, or since the board fell silent."""

    WAITING_SILENT = "waiting_silent"
    """Not a byte came."""
    WAITING_GARBAGE = "waiting_garbage"
    """Bytes come, but no HELLO."""
    ONLINE = "online"
    REFUSED = "refused"
    """The board speaks a protocol version that the bridge does not know; see :attr:`Session.refusal`."""


class Session:
    """One link's session, for as long as the link is wanted: it may be closed and opened again any number of times.

    Call :meth:`poll` at :attr:`next_poll_ns`, and write :meth:`take_output` after every call. Only :meth:`command`
    raises.
    """

    def __init__(
        self,
        link_uri: str,
        *,
        wall_ns: int,
        monotonic_ns: int,
        new_epoch: Callable[[], int] | None = None,
        is_taken: Callable[[str], bool] | None = None,
        baud: int = DEFAULT_BAUD,
        wanted_baud: int | None = None,
    ) -> None:
        """Begin, with the link just opened.

        Args:
            wall_ns: Unix time, read together with ``monotonic_ns``: the two anchor the time axis.
            new_epoch: gives the number of a new epoch, never the same one twice; None: counts from 1.
            baud: rate at which the link was opened, the board's default.
            wanted_baud: rate that the board is asked for when it is there; None: the one it has.
            is_taken: whether another link has a device of this id; then the id is derived from the link. If none has,
                it is this link's from now on.
        """
        self._uri = link_uri
        self._transmitter = Transmitter()
        self._receiver = Receiver()
        self._commands = Commands(self._transmitter)
        self._pings = Pings()
        self._rate = LineRate(baud, wanted_baud)
        self._own: set[int] = set()  # commands that nobody else waits for
        self._tally = Tally()
        self._describes: dict[int, None] = {}
        self._is_open = False
        self._board = Board(
            link_uri,
            self._receiver,
            self._tally,
            stats=lambda: self.stats,
            anchor_ns=wall_ns - monotonic_ns,
            new_epoch=new_epoch if new_epoch is not None else itertools.count(1).__next__,
            is_taken=is_taken if is_taken is not None else lambda _: False,
        )
        self._start(monotonic_ns)

    # ------------------------------------------------------------- the link

    def opened(self, now_ns: int) -> list[Event]:
        """The link was opened (again): ask who is there. A run of samples goes on if it is still the same boot."""
        events = self.closed(now_ns)
        self._start(now_ns)
        return events

    def moved(self, link_uri: str, baud: int) -> None:
        """While the link is closed: the same board is now at another one, and was heard there at this rate."""
        self._uri = link_uri
        self._rate.baud = baud
        self._board.moved(link_uri)

    def link_warning(self, text: str) -> None:
        """Something about the link itself that a human should know with the device; empty: no longer."""
        self._board.link_warning = text

    def closed(self, now_ns: int) -> list[Event]:
        """The link is gone: deliver what can be, end every command, report the device offline. Twice does no harm."""
        if self._is_open:
            self._is_open = False
            if not self._board.doubt:
                self._board.release(now_ns, at_once=True)
            self._end(self._commands.abandon())
            self._lost(now_ns)
        return self._take_events()

    def _start(self, now_ns: int) -> None:
        self._is_open = True
        self._bytes_came = False
        self._decoder = Decoder()
        self._receiver.reopen()
        self._tally.clear()
        self._board.reopen()
        self._describes.clear()
        self._next_describe_ns = now_ns
        self._last_frame_ns = now_ns
        self._rate.opened(now_ns)
        self._own.clear()
        self.refusal = ""
        """Why the board was refused, in one line for a human; empty if it was not."""

    def _lost(self, now_ns: int) -> None:
        """Nobody is heard any more: start asking again."""
        self._board.go_offline(now_ns)
        self._pings.stop()
        self._bytes_came = False
        self._next_describe_ns = now_ns

    def take_output(self) -> bytes:
        """Bytes to write to the link; empty if there are none."""
        return self._transmitter.take()

    @property
    def baud(self) -> int:
        """The rate that the link must have before it is written to or read from again, where it has one."""
        return self._rate.baud

    @property
    def handshake(self) -> Handshake:
        """How far the session has come."""
        if self._board.online:
            return Handshake.ONLINE
        if self.refusal:
            return Handshake.REFUSED
        return Handshake.WAITING_GARBAGE if self._bytes_came else Handshake.WAITING_SILENT

    @property
    def stats(self) -> LinkStats:
        """What the line has done since it was opened."""
        seen, tally = self._decoder.counters, self._tally
        return LinkStats(
            bytes=seen.bytes,
            frames=seen.frames,
            damaged_cobs=seen.cobs,
            damaged_crc=seen.crc,
            damaged_short=seen.short,
            damaged_long=seen.long,
            partial=seen.partial,
            refused_type=tally.refused_type,
            refused_length=tally.refused_length,
            missing_frames=self._receiver.missing,
            duplicates=tally.duplicates,
            held_dropped=tally.held_dropped,
            unknown_answers=tally.unknown_answers,
        )

    # ------------------------------------------------------------ bytes come

    def receive(self, data: bytes, now_ns: int) -> list[Event]:
        """Take bytes that were read at ``now_ns``; what they tell, in order."""
        if self._is_open and data:
            self._bytes_came = True
            self._rate.noticed(now_ns)
            for item in self._decoder.feed(data):
                if type(item) is Frame:
                    self._last_frame_ns = now_ns
                    if self._rate.heard(now_ns):
                        self._describe()
                    self._frame(item, now_ns)
            self._board.tell_changes(now_ns)
        return self._take_events()

    def _frame(self, frame: Frame, now_ns: int) -> None:
        message = messages.unpack(frame.type, frame.payload)
        match message:
            case messages.Samples():
                self._board.samples(message, frame.sequence, now_ns)
            case messages.Hello():
                self._hello(message, frame.sequence, now_ns)
            case messages.Response():
                self._receiver.saw(frame.sequence)
                self._response(message, len(frame.raw) + 1, now_ns)
            case Refused():
                self._receiver.saw(frame.sequence)
                if message.kind == "type":
                    self._tally.refused_type += 1
                else:
                    self._tally.refused_length += 1
            case _:
                self._receiver.saw(frame.sequence)
                self._board.other(message, now_ns)

    def _hello(self, hello: messages.Hello, sequence: int, now_ns: int) -> None:
        if hello.protocol == messages.PROTOCOL:
            self.refusal = ""
            if self._board.hello(hello, sequence, now_ns):
                self._pings.start(now_ns)
            self._ask_for_rate(hello, now_ns)
            return
        self._receiver.saw(sequence)
        self.refusal = (
            f"{self._uri}: {hello.board} (firmware {hello.firmware}) speaks protocol {hello.protocol}, this bridge "
            f"{messages.PROTOCOL}: flash firmware of this version, or run the bridge of the firmware's version"
        )
        self._board.go_offline(now_ns)
        self._pings.stop()

    def _response(self, response: messages.Response, size: int, now_ns: int) -> None:
        if response.request in self._describes:
            del self._describes[response.request]
            return
        ping = self._pings.answered(response.request)
        if ping is not None:
            stamps = _PING.unpack_result(response.data)
            if not isinstance(stamps, Refused):
                times = stamps["received_us"], stamps["sent_us"]
                if self._board.exchange(ping.sent_ns, ping.size, times, size, now_ns):
                    self._pings.start(now_ns)
            return
        ended = self._commands.answered(response)
        if ended is None:
            self._tally.unknown_answers += 1
        else:
            if ended.name == "set_baud" and ended.status == "ok":
                self._follow(int(ended.args["baud"]), ended.data["baud"], now_ns)
            self._end([ended])

    # ------------------------------------------------------------ line's rate

    def _ask_for_rate(self, hello: messages.Hello, now_ns: int) -> None:
        """Ask the board for the rate that is wanted of it, once."""
        baud = self._rate.to_ask
        if baud is None or self._own:
            return
        if hello.capabilities & messages.Capabilities.BAUD_CHANGE:
            self._own.add(self._commands.send("set_baud", {"baud": baud}, now_ns))
        else:
            self._rate.refused()
            self._board.warn("rate", f"this firmware cannot change the line's rate: it stays at {hello.baud:,} baud")

    def _follow(self, baud: int, actual: int, now_ns: int) -> None:
        """The board changes now: prove the new rate with pings before it goes back."""
        if baud == self._rate.baud:
            return
        self._rate.changed(baud, now_ns)
        self._board.line_changed(actual)
        self._board.warn("rate", "")
        self._pings.start(now_ns)

    def _poll_rate(self, now_ns: int) -> None:
        before = self._rate.baud
        failed = self._rate.poll(now_ns)
        if failed is not None:
            self._board.warn("rate", f"nothing comes at {failed:,} baud: back to {self._rate.baud:,}")
        if self._rate.baud != before:
            self._board.line_changed(self._rate.baud)
            self._next_describe_ns = now_ns

    # ---------------------------------------------------------- commands

    def command(self, name: str, args: WireArgs, now_ns: int) -> int:
        """Send a command to the board.

        Returns:
            request id; exactly one :class:`~telemetry_bridge.events.CommandDone` with it will come.

        Raises:
            ValueError: no such command, or arguments that do not fit it. One line.
            CommandError: ``too_many`` commands wait.
        """
        return self._commands.send(name, args, now_ns)

    def _end(self, ended: list[Ended]) -> None:
        device = self._board.device
        for end in ended:
            if end.request in self._own:
                self._own.discard(end.request)
                if end.status not in ("ok", "timeout", "busy"):  # those are asked again with the next HELLO
                    self._rate.refused()
                    self._board.warn("rate", end.message)
                continue
            done = CommandDone(device, end.request, end.name, end.status, end.data, end.message, end.args)
            self._board.events.append(done)

    # -------------------------------------------------------- time passes

    def poll(self, now_ns: int) -> list[Event]:
        """Do what is due: ask for descriptors, ping, repeat commands, give up waiting."""
        if not self._is_open:
            return self._take_events()
        board = self._board
        if board.online and now_ns - self._last_frame_ns >= SILENCE_NS:
            self._lost(now_ns)
        self._poll_rate(now_ns)
        if board.wants_description and now_ns >= self._next_describe_ns:
            self._next_describe_ns = now_ns + DESCRIBE_NS
            self._describe()
        if self._pings.due_ns is not None and now_ns >= self._pings.due_ns:
            request, _, size = self._commands.send_once("ping", {"host_ns": now_ns & _U64})
            self._pings.sent(request, size, now_ns)
        self._end(self._commands.poll(now_ns))
        if not board.doubt:
            board.release(now_ns)
        board.tell_changes(now_ns)
        return self._take_events()

    @property
    def next_poll_ns(self) -> int:
        """When :meth:`poll` has something to do; any other call may bring it nearer."""
        if not self._is_open:
            return self._last_frame_ns + IDLE_NS
        board = self._board
        times = [self._last_frame_ns + SILENCE_NS] if board.online else []
        times.append(self._rate.next_ns)
        if board.wants_description:
            times.append(self._next_describe_ns)
        times += [due for due in (self._pings.due_ns, self._commands.next_ns(), board.deadline_ns) if due is not None]
        return min(times)

    def _describe(self) -> None:
        request, _, _ = self._commands.send_once("describe", {})
        self._describes[request] = None
        if len(self._describes) > DESCRIBES_KEPT:
            del self._describes[next(iter(self._describes))]

    def _take_events(self) -> list[Event]:
        events, self._board.events = self._board.events, []
        return events
