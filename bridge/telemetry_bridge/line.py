"""One link and its session, for as long as the bridge lives: opened, kept moving, and opened again when it was lost.

What comes out of the session passes through the line's stages (calibration, derived streams) and on to the hub.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any, Protocol

from telemetry_bridge.errors import BridgeError, CommandError, LinkError, LinkLost, NoBoard
from telemetry_bridge.events import CommandDone, DeviceChanged, DeviceState, Event, LinkStats, WireArgs
from telemetry_bridge.hub import Hub
from telemetry_bridge.link import Link, RatedLink, WarningLink, monotonic_ns
from telemetry_bridge.session import DEFAULT_BAUD, Handshake, Session

HELLO_TIMEOUT_S = 3.0
"""How long a port may stay open without a HELLO before it is said not to be a board."""
GARBAGE_TIMEOUT_S = 7.0
"""The same where bytes come: a board that another bridge left at a high rate is back at its default after 5 s."""
RETRY_FIRST_S = 0.1
RETRY_LONGEST_S = 2.0

_log = logging.getLogger(__name__)


class Stage(Protocol):
    """A step on the way from the session to the hub, one of a line's own. It reads no clock and never raises."""

    def process(self, event: Event) -> Iterable[Event]:
        """What becomes of one event: itself, changed, with others before or behind it, or nothing."""


class _Interrupted(Exception):
    """The port is to be let go of."""


class Line:
    """One link and its session: opened, kept moving, and opened again whenever it was lost.

    A line that is *followed* does not open its port again by itself: its board may be at another one. It tells that it
    has lost it, and waits until it is moved to where the board is.
    """

    def __init__(
        self,
        link: Link,
        hub: Hub,
        owners: dict[str, Line],
        baud: int | None = None,
        stages: Sequence[Stage] = (),
        *,
        lost: Callable[[], None] | None = None,
        quiet: bool = False,
    ) -> None:
        """Prepare.

        Args:
            baud: rate that the board is asked for when it is there; None: the one that the link is opened at.
            owners: which line has which device; shared by the lines of a bridge.
            stages: what its events pass through on their way to the hub, in this order; not shared.
            lost: for a line that is followed: called whenever it waits to be moved.
            quiet: log nothing.
        """
        self._link = link
        self._next: Link | None = None  # where the board is now
        self._hub = hub
        self._owners = owners
        self._stages = tuple(stages)
        self._lost = lost
        self._quiet = quiet
        now_ns = monotonic_ns()
        self._session = Session(
            link.uri,
            wall_ns=now_ns + hub.clock.anchor_ns,
            monotonic_ns=now_ns,
            is_taken=self._is_taken,
            new_epoch=hub.new_epoch,
            baud=link.baud if isinstance(link, RatedLink) else DEFAULT_BAUD,
            wanted_baud=baud,
        )
        self._wake = asyncio.Event()
        self._answers: dict[int, asyncio.Future[CommandDone]] = {}
        self._device: str | None = None
        self._greeted = False  # a HELLO came since the link was opened
        self._is_online = False
        self._explained = ""
        self._warned = ""
        self._online = asyncio.Event()
        self._may_hold = asyncio.Event()
        self._may_hold.set()
        self._has_port = asyncio.Event()
        self._has_port.set()
        self._let_go = asyncio.Event()  # the port is closed
        self._let_go.set()
        self._interrupt = asyncio.Event()

    @property
    def uri(self) -> str:
        """URI of the link."""
        return (self._next or self._link).uri

    @property
    def device(self) -> str | None:
        """Id of the board; None until it has said who it is, and while another line has it."""
        return self._device if self._owners.get(self._device or "", self) is self else None

    @property
    def stats(self) -> LinkStats:
        """What it has counted since it was opened, as of now."""
        return self._session.stats

    @property
    def is_online(self) -> bool:
        """The board is heard."""
        return self._is_online

    @property
    def is_lost(self) -> bool:
        """A line that is followed waits to be moved, now or when it may hold a port again."""
        return not self._has_port.is_set()

    @property
    def claims_port(self) -> bool:
        """Nobody else of this bridge is to open the port."""
        return not self.is_lost or not self._may_hold.is_set()

    @property
    def was_online(self) -> bool:
        """A board has said who it is, at any time."""
        return self._online.is_set()

    def _is_taken(self, device: str) -> bool:
        """Whether another line hears a board of this id; if none does, it is this line's."""
        owner = self._owners.get(device)
        if owner is not None and owner is not self and owner.is_online:
            return True
        self._owners[device] = self
        return False

    async def run(self, *, patient: bool = False) -> None:
        """Serve the board until cancelled.

        Args:
            patient: go on when the port cannot be opened the first time, or no board is there yet.

        Raises:
            LinkError: that is so, and nobody was to be patient.
        """
        patient = patient or self._lost is not None
        retry_s = RETRY_FIRST_S
        try:
            while True:
                await self._until_it_may_open()
                try:
                    await self._link.open()
                    await self._serve_until_lost()
                    retry_s = RETRY_FIRST_S if self._greeted else min(2 * retry_s, RETRY_LONGEST_S)
                except LinkError as error:
                    if not (patient or self.was_online):
                        self._explained = str(error)  # by whoever takes it
                        raise
                    self._explain(str(error))
                    retry_s = min(2 * retry_s, RETRY_LONGEST_S)
                finally:
                    self._let_go.set()
                if self._lost is not None:
                    self._lose()
                elif self._may_hold.is_set():
                    await asyncio.sleep(retry_s)
        finally:
            self._closed()
            await self._link.close()

    async def _until_it_may_open(self) -> None:
        """Wait until the port is known and not released, and take it."""
        while not (self._may_hold.is_set() and self._has_port.is_set()):
            await self._may_hold.wait()
            await self._has_port.wait()
        self._interrupt.clear()
        if self._next is not None:
            self._link, self._next = self._next, None
            self._session.moved(self._link.uri, self._link.baud if isinstance(self._link, RatedLink) else DEFAULT_BAUD)
        self._let_go.clear()

    def _lose(self) -> None:
        """The port is gone, unless the line has been moved already."""
        if self._next is None:
            self._has_port.clear()
            self._ask_to_be_moved()

    def _ask_to_be_moved(self) -> None:
        if self._lost is not None and self._may_hold.is_set() and self.is_lost:
            self._lost()

    def _explain(self, why: str) -> None:
        """Log why the board is not back, each reason once."""
        if why != self._explained:
            self._explained = why
            self._warn(why)

    def _warn(self, text: str) -> None:
        if not self._quiet:
            _log.warning("%s", text, extra={"link": self.uri, "device": self._device})

    async def release(self) -> None:
        """Close the port and leave it closed until :meth:`resume`; returns when it is closed."""
        self._may_hold.clear()
        self._interrupt.set()
        await self._let_go.wait()
        self._tell("released")

    def resume(self) -> None:
        """Take the port back; the same device goes on, with a new boot if it has rebooted."""
        if not self._may_hold.is_set():
            self._tell("offline")
            self._may_hold.set()
            self._ask_to_be_moved()

    def move(self, link: Link) -> None:
        """The board of this followed line is there now: serve it there, as soon as the line may hold a port."""
        self._next = link
        self._has_port.set()
        self._interrupt.set()
        if not self._may_hold.is_set():
            self._tell("released")

    def _tell(self, state: DeviceState) -> None:
        known = self._hub.devices.get(self.device or "")
        if known is not None:
            self._hub.publish(DeviceChanged(dataclasses.replace(known, state=state, link=self.uri)))

    async def _until_interrupted(self) -> None:
        await self._interrupt.wait()
        raise _Interrupted

    async def wait_online(self) -> None:
        """Wait until the board has said who it is."""
        await self._online.wait()

    async def command(self, name: str, args: WireArgs) -> CommandDone:
        """Send a command to the board and wait for its end; the hub calls this.

        Raises:
            CommandError: the arguments do not fit, or the board went away meanwhile.
        """
        try:
            request = self._session.command(name, args, monotonic_ns())
        except ValueError as error:
            raise CommandError("bad_request", str(error)) from error
        answer: asyncio.Future[CommandDone] = asyncio.get_running_loop().create_future()
        self._answers[request] = answer
        self._wake.set()
        try:
            return await answer
        finally:
            self._answers.pop(request, None)

    async def _serve_until_lost(self) -> None:
        """Move bytes both ways until the link hangs up."""
        self._greeted = False
        self._pass_on_warning()
        self._publish(self._session.opened(monotonic_ns()))
        works = (self._receive(), self._keep_time(), self._expect_hello(), self._until_interrupted())
        tasks = [asyncio.create_task(work) for work in works]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        except LinkLost as error:
            if not self.was_online:
                raise LinkError(f"{error}, before a board said who it is") from error
            self._explain(str(error))
        except _Interrupted:
            pass
        finally:
            await cancelled(tasks)
            self._closed()
            await self._link.close()

    def _pass_on_warning(self) -> None:
        """Let the device carry what the link has found out about its port."""
        if isinstance(self._link, WarningLink):
            warning = self._link.warning
            if warning and warning != self._warned:
                self._warn(warning)
            self._warned = warning
            self._session.link_warning(warning)

    async def _receive(self) -> None:
        while True:
            data, now_ns = await self._link.read()
            self._publish(self._session.receive(data, now_ns))
            await self._send()
            self._wake.set()

    async def _keep_time(self) -> None:
        while True:
            self._wake.clear()
            now_ns = monotonic_ns()
            self._publish(self._session.poll(now_ns))
            await self._send()
            wait_s = (self._session.next_poll_ns - monotonic_ns()) / 1e9
            # not asyncio.wait_for: before Python 3.12 it swallows a cancellation that comes together with the event
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(wait_s, 0.001)):
                    await self._wake.wait()

    async def _send(self) -> None:
        link, baud = self._link, self._session.baud
        if isinstance(link, RatedLink) and link.baud != baud:
            try:
                await link.set_baud(baud)
            except LinkError as error:  # the board goes back by itself, and the session with it
                self._explain(str(error))
        data = self._session.take_output()
        if data:
            await self._link.write(data)

    async def _expect_hello(self) -> None:
        await asyncio.sleep(HELLO_TIMEOUT_S)
        if (
            not self._greeted
            and self._session.handshake is Handshake.WAITING_GARBAGE
            and not self._session.stats.frames
        ):
            await asyncio.sleep(GARBAGE_TIMEOUT_S - HELLO_TIMEOUT_S)
        if not self._greeted:
            if not self.was_online:
                raise NoBoard(self._why_no_hello())
            self._explain(self._why_no_hello())

    def _why_no_hello(self) -> str:
        uri, session = self._link.uri, self._session
        if session.refusal:
            return session.refusal
        if session.stats.frames:
            return f"{uri}: telemetry comes, but no answer: is the adapter's TX wired to the board's RX?"
        if session.handshake is Handshake.WAITING_GARBAGE:
            rate = ", or another baud rate (try ?baud=115200)" if uri.startswith("serial:") else ""
            return f"{uri}: bytes come, but no telemetry frames: another device, or another firmware{rate}"
        return (
            f"{uri}: no answer within {HELLO_TIMEOUT_S:.0f} s: is the board powered, flashed with this "
            "firmware, and its TX wired to the adapter's RX? `telemetry-bridge ports` lists the other ports"
        )

    def _publish(self, events: Sequence[Event]) -> None:
        for event in events:
            match event:
                case DeviceChanged(device=device):
                    self._follow(device.id, online=device.state == "online")
                case CommandDone(request=request):
                    answer = self._answers.pop(request, None)
                    if answer is not None and not answer.done():
                        answer.set_result(event)
                case _:
                    pass
            for passed in self._through_stages(event):
                self._hub.publish(passed)

    def _through_stages(self, event: Event) -> Iterable[Event]:
        # one by one: a batch is on its way to the subscribers before anything is derived from it
        events: Iterable[Event] = (event,)
        for stage in self._stages:
            events = chain.from_iterable(map(stage.process, events))
        return events

    def _follow(self, device: str, *, online: bool) -> None:
        """Let the hub know who carries out the device's commands."""
        if self._device not in {None, device}:
            self._hub.unregister_device(self._device, self.command)
        self._device = device
        self._is_online = online
        if online:
            try:
                self._hub.register_device(device, self.command)
            except BridgeError as error:  # two of one id: it is heard all the same, and asked for with each news of it
                self._explain(str(error))
            else:
                self._explained = ""
            self._greeted = True
            self._online.set()
        else:
            self._hub.unregister_device(device, self.command)

    def _closed(self) -> None:
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(CommandError("offline", "the board went away before it answered"))
        self._answers.clear()
        self._publish(self._session.closed(monotonic_ns()))
        for device in [device for device, owner in self._owners.items() if owner is self]:
            del self._owners[device]


async def cancelled(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until they are over, however they end."""
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
