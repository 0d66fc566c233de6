"""One link and its session, for as long as the bridge lives: opened, kept moving, and opened again when it was lost.

What comes out of the session passes through the line's stages (calibration, derived streams) and on to the hub.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import time
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from telemetry_bridge.errors import CommandError, LinkError, LinkLost
from telemetry_bridge.events import CommandDone, DeviceChanged, DeviceState, Event, WireArgs
from telemetry_bridge.hub import Hub
from telemetry_bridge.link import Link, RatedLink
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


class _Released(Exception):
    """The port is to be let go of."""


class Line:
    """One link and its session: opened, kept moving, and opened again whenever it was lost."""

    def __init__(
        self,
        link: Link,
        hub: Hub,
        owners: dict[str, Line],
        baud: int | None = None,
        stages: Sequence[Stage] = (),
    ) -> None:
        """Prepare.

        Args:
            baud: rate that the board is asked for when it is there; None: the one that the link is opened at.
            owners: which line has which device; shared by the lines of a bridge.
            stages: what its events pass through on their way to the hub, in this order; not shared.
        """
        self._link = link
        self._hub = hub
        self._owners = owners
        self._stages = tuple(stages)
        self._session = Session(
            link.uri,
            wall_ns=time.time_ns(),
            monotonic_ns=time.monotonic_ns(),
            unix_anchor=lambda: time.time_ns() - time.monotonic_ns(),
            is_taken=lambda device: owners.setdefault(device, self) is not self,
            first_epoch=int(time.time()),  # no epoch of this process has the number of an earlier one's
            baud=link.baud if isinstance(link, RatedLink) else DEFAULT_BAUD,
            wanted_baud=baud,
        )
        self._wake = asyncio.Event()
        self._answers: dict[int, asyncio.Future[CommandDone]] = {}
        self._device: str | None = None
        self._greeted = False  # a HELLO came since the link was opened
        self._explained = ""
        self._online = asyncio.Event()
        self._may_hold = asyncio.Event()
        self._may_hold.set()
        self._let_go = asyncio.Event()  # the port is closed
        self._let_go.set()
        self._release_wanted = asyncio.Event()

    @property
    def uri(self) -> str:
        """URI of the link."""
        return self._link.uri

    @property
    def device(self) -> str | None:
        """Id of the board, None until it has said who it is."""
        return self._device

    async def run(self) -> None:
        """Serve the board until cancelled.

        Raises:
            LinkError: the port cannot be opened the first time, or what is at its other end is no board.
        """
        retry_s = RETRY_FIRST_S
        self._let_go.clear()
        await self._link.open()
        try:
            while True:
                await self._serve_until_lost()
                retry_s = RETRY_FIRST_S if self._greeted else min(2 * retry_s, RETRY_LONGEST_S)
                if self._may_hold.is_set():
                    await asyncio.sleep(retry_s)
                retry_s = await self._open_again(retry_s)
        finally:
            self._closed()
            await self._link.close()

    async def _open_again(self, retry_s: float) -> float:
        """Open the link, however long that takes; returns the pause that was used last."""
        while True:
            await self._may_hold.wait()
            self._let_go.clear()
            try:
                await self._link.open()
            except LinkError as error:
                self._let_go.set()
                self._explain(str(error))
                retry_s = min(2 * retry_s, RETRY_LONGEST_S)
                await asyncio.sleep(retry_s)
            else:
                return retry_s

    def _explain(self, why: str) -> None:
        """Log why the board is not back, each reason once."""
        if why != self._explained:
            self._explained = why
            _log.warning("%s", why)

    async def release(self) -> None:
        """Close the port and leave it closed until :meth:`resume`; returns when it is closed."""
        self._may_hold.clear()
        self._release_wanted.set()
        await self._let_go.wait()
        self._tell("released")

    def resume(self) -> None:
        """Take the port back; the same device goes on, with a new boot if it has rebooted."""
        if not self._may_hold.is_set():
            self._release_wanted.clear()
            self._tell("offline")
            self._may_hold.set()

    def _tell(self, state: DeviceState) -> None:
        known = self._hub.devices.get(self._device or "")
        if known is not None:
            self._hub.publish(DeviceChanged(dataclasses.replace(known, state=state)))

    async def _until_released(self) -> None:
        await self._release_wanted.wait()
        raise _Released

    async def wait_online(self) -> None:
        """Wait until the board has said who it is."""
        await self._online.wait()

    async def command(self, name: str, args: WireArgs) -> CommandDone:
        """Send a command to the board and wait for its end; the hub calls this.

        Raises:
            CommandError: the arguments do not fit, or the board went away meanwhile.
        """
        try:
            request = self._session.command(name, args, time.monotonic_ns())
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
        self._publish(self._session.opened(time.monotonic_ns()))
        works = (self._receive(), self._keep_time(), self._expect_hello(), self._until_released())
        tasks = [asyncio.create_task(work) for work in works]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        except LinkLost as error:
            if not self._online.is_set():
                raise LinkError(f"{error}, before a board said who it is") from error
            self._explain(str(error))
        except _Released:
            pass
        finally:
            await cancelled(tasks)
            self._closed()
            await self._link.close()
            self._let_go.set()

    async def _receive(self) -> None:
        while True:
            data, now_ns = await self._link.read()
            self._publish(self._session.receive(data, now_ns))
            await self._send()
            self._wake.set()

    async def _keep_time(self) -> None:
        while True:
            self._wake.clear()
            now_ns = time.monotonic_ns()
            self._publish(self._session.poll(now_ns))
            await self._send()
            wait_s = (self._session.next_poll_ns - time.monotonic_ns()) / 1e9
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
            if not self._online.is_set():
                raise LinkError(self._why_no_hello())
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
        events: Iterable[Event] = (event,)
        for stage in self._stages:
            events = [made for given in events for made in stage.process(given)]
        return events

    def _follow(self, device: str, *, online: bool) -> None:
        """Let the hub know who carries out the device's commands."""
        if self._device not in {None, device}:
            self._hub.unregister_device(self._device, self.command)
        self._device = device
        if online:
            self._hub.register_device(device, self.command)
            self._greeted = True
            self._explained = ""
            self._online.set()
        else:
            self._hub.unregister_device(device, self.command)

    def _closed(self) -> None:
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(CommandError("offline", "the board went away before it answered"))
        self._answers.clear()
        self._publish(self._session.closed(time.monotonic_ns()))
        for device in [device for device, owner in self._owners.items() if owner is self]:
            del self._owners[device]


async def cancelled(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until they are over, however they end."""
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
