"""``auto``: boards are found at whatever ports they are, and found again at the ports where they come back.

port appears ──> asked ──HELLO──> its line (a new one, or that of the same device) ──port lost──> asked, wherever
                   └─no board, busy, not permitted──> let go of; asked again after a pause, or when plugged in anew
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from telemetry_bridge.errors import LinkError, NoBoard, PortBusy
from telemetry_bridge.events import DeviceInfo, LinkStats
from telemetry_bridge.hub import Hub
from telemetry_bridge.line import Line, cancelled
from telemetry_bridge.link import Link, PortInfo, PortLister, create, holders
from telemetry_bridge.ports import path_of
from telemetry_bridge.session.session import SILENCE_NS

POLL_S = 1.0
"""How often it is looked whether ports have come."""
CANNOT_OPEN_S = (1.0, 60.0)
"""Pause after a port could not be opened, first and longest; udev takes a moment to set its group."""
BUSY_S = (5.0, 60.0)
"""The same for a port that another program holds."""
NO_BOARD_S = (30.0, 300.0)
"""The same for a port where no board answered: each time, another device gets bytes that it did not ask for."""
TWIN_S = SILENCE_NS / 1e9 + 0.5
"""A device that is heard at another port: after this time that one has noticed that it is not there any more."""

MakeLine = Callable[[Link, Callable[[], None]], Line]
"""Makes a followed line of a link and of what it calls when it has lost its port."""

_log = logging.getLogger(__name__)


async def ask(link: Link) -> DeviceInfo:
    """Ask who is at the other end of a link, and let go of it again.

    Raises:
        NoBoard: nobody who says HELLO, or of another protocol.
        LinkError: the link cannot be opened.
    """
    hub = Hub()
    line = Line(link, hub, {}, quiet=True)
    running = asyncio.create_task(line.run())
    online = asyncio.create_task(line.wait_online())
    try:
        await asyncio.wait({running, online}, return_when=asyncio.FIRST_COMPLETED)
        if not online.done():
            running.result()
        return next(iter(hub.devices.values()))
    finally:
        await cancelled([running, online])


async def find_board(ports: Sequence[PortInfo]) -> str:
    """Ask port after port and take the first board that answers.

    Returns:
        URI of its port.

    Raises:
        LinkError: no port has a board; names each and why not.
    """
    if not ports:
        raise LinkError("auto: there are no serial ports: is the board plugged in, with a cable that carries data?")
    reasons = []
    for port in ports:
        _log.info("asking %s (%s)", port.device, port.description)
        try:
            await ask(create(port.uri))
        except LinkError as error:
            reasons.append(str(error))
        else:
            return port.uri
    raise LinkError("auto: no board found. " + "; ".join(reasons))


@dataclass(slots=True)
class _Candidate:
    """A port that may have a board.

    Attributes:
        due_s: when it may be asked, by the loop's clock.
        pause_s: how long it was left alone before that; 0: it has not been asked in vain.
        said: what was said about it last.
    """

    port: PortInfo
    due_s: float = 0.0
    pause_s: float = 0.0
    said: str = ""
    asking: asyncio.Task[None] | None = None

    @property
    def is_asked(self) -> bool:
        """It is being asked now."""
        return self.asking is not None and not self.asking.done()


class Finder:
    """Asks each port once it appears, and gives each board its line.

    Among the lines of a bridge it is the one of all ports that nobody has: released, it opens none.
    """

    uri = "auto"
    device: str | None = None
    stats: LinkStats | None = None

    def __init__(self, make_line: MakeLine, hub: Hub, ports: PortLister, fixed: Sequence[Line] = ()) -> None:
        """Prepare.

        Args:
            ports: lists the ports; called in a thread.
            fixed: lines whose ports are not to be asked.
        """
        self.lines: list[Line] = []
        self._make_line = make_line
        self._hub = hub
        self._ports = ports
        self._fixed = fixed
        self._candidates: dict[str, _Candidate] = {}
        self._found_at: dict[Line, PortInfo] = {}
        self._meant_for: dict[Line, str] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._wake = asyncio.Event()
        self._released = False
        self._said = ""
        self._is_blind = False  # the ports could not be listed the last time

    async def run(self) -> None:
        """Look for boards until cancelled."""
        try:
            while True:
                self._wake.clear()
                for task in self._tasks:
                    if task.done():
                        task.result()  # a line of this kind never ends by itself
                await self._look()
                try:
                    async with asyncio.timeout(POLL_S):
                        await self._wake.wait()
                except TimeoutError:
                    continue
        finally:
            await cancelled([*self._asking(), *self._tasks])

    async def release(self) -> None:
        """Ask no more ports until :meth:`resume`; those being asked are let go of."""
        self._released = True
        await cancelled(self._asking())

    def resume(self) -> None:
        """Ask again, and at once those that had no board."""
        self._released = False
        for candidate in self._candidates.values():
            candidate.due_s = candidate.pause_s = 0.0
        self._wake.set()

    def _asking(self) -> list[asyncio.Task[None]]:
        asked = [candidate.asking for candidate in self._candidates.values() if candidate.is_asked]
        return [task for task in asked if task is not None]

    async def _look(self) -> None:
        try:
            ports = await asyncio.to_thread(self._ports)
        except Exception as error:  # noqa: BLE001 - the system's own lists: whatever is odd now may be well the next time
            if not self._is_blind:
                self._is_blind = True
                _log.warning("auto: the serial ports cannot be listed (%r): tried again and again", error)
            return
        self._is_blind = False
        if self._released:
            return
        now_s = asyncio.get_running_loop().time()
        known, self._candidates = self._candidates, {}
        claimed = {path_of(line.uri) for line in (*self._fixed, *self.lines) if line.claims_port}
        for port in ports:
            candidate = known.pop(port.device, None)
            if candidate is None or candidate.port.plugged != port.plugged:
                candidate = _Candidate(port, asking=candidate.asking if candidate is not None else None)
            self._candidates[port.device] = candidate
            if path_of(port.device) in claimed:
                candidate.pause_s, candidate.said = 0.0, ""
            elif not candidate.is_asked and candidate.due_s <= now_s and not self._is_spared(candidate):
                candidate.due_s = now_s + POLL_S
                candidate.asking = asyncio.create_task(self._try(candidate))
        for gone in known.values():  # kept until they are done: they hold a port
            if gone.is_asked:
                self._candidates[gone.port.device] = gone
        if not self.lines and not self._asking():
            names = [port.device for port in ports if not port.is_console]
            where = (
                f"none at {', '.join(names[:4])}{' …' if len(names) > 4 else ''}"
                if names
                else "no serial port is there"
            )
            self._say(f"auto: no board yet ({where}): waiting for one to be plugged in")

    def _say(self, text: str) -> None:
        if text != self._said:
            self._said = text
            _log.warning("%s", text)

    def _is_spared(self, candidate: _Candidate) -> bool:
        """Whether the port is one that needs no asking: the system's own, or a released board's that is known by it."""
        port = candidate.port
        if port.is_console:
            if not candidate.said:
                candidate.said = f"{port.device}: the console of this machine, not asked"
                _log.info("auto: %s", candidate.said)
            return True
        for line, known in self._found_at.items():
            if line.is_lost and line.claims_port and port.identity is not None and port.identity == known.identity:
                self._found_at[line] = port
                line.move(create(port.uri))
                return True
        return False

    async def _try(self, candidate: _Candidate) -> None:
        """Ask one port, and see to it that what it says is said once and that it is left alone for long enough."""
        port = candidate.port
        try:
            programs = await asyncio.to_thread(holders, port.device, others=True)
            if programs:
                raise PortBusy(port.device, programs)
            _log.info("auto: asking %s (%s)", port.device, port.description, extra={"link": port.uri})
            device = await ask(create(port.uri))
            await self._give_line(port, device)
        except PortBusy as error:
            who = ", ".join(error.programs) or "another program"
            self._leave(candidate, BUSY_S, f"{port.device}: held by {who}, left in peace", port.likely)
        except NoBoard as error:
            self._leave(candidate, NO_BOARD_S, str(error), port.likely)
        except LinkError as error:
            # the first time it may be about to go, or udev has not seen to it yet
            self._leave(candidate, CANNOT_OPEN_S, str(error), candidate.pause_s > 0)
        except Exception as error:  # noqa: BLE001 - a defect, or a driver's: one port must not cost the others
            why = f"{port.device}: asking failed: {error!r}"
            if why != candidate.said:
                _log.exception("auto: %s", why, extra={"link": port.uri})
                candidate.said = why
            self._leave(candidate, CANNOT_OPEN_S, why, aloud=True)
        finally:
            self._wake.set()

    def _leave(self, candidate: _Candidate, pauses_s: tuple[float, float], why: str, aloud: bool) -> None:
        first_s, longest_s = pauses_s
        candidate.pause_s = min(max(2 * candidate.pause_s, first_s), longest_s)
        candidate.due_s = asyncio.get_running_loop().time() + candidate.pause_s
        if why != candidate.said:
            _log.log(logging.WARNING if aloud else logging.INFO, "auto: %s", why)
            candidate.said = why if aloud else ""

    async def _give_line(self, port: PortInfo, device: DeviceInfo) -> None:
        """A board is at that port: to the line that has it, or to a new one."""
        line = next((line for line in self.lines if (line.device or self._meant_for[line]) == device.id), None)
        if self._is_online(device.id):
            await asyncio.sleep(TWIN_S)
            if self._is_online(device.id):  # there are two of that id
                lost = [line for line in self.lines if line.is_lost and line.uri == port.uri]
                line = next((line for line in lost if (line.device or "").startswith("link-")), None)
        link = create(port.uri)
        if line is not None:
            _log.info(
                "auto: device %s is at %s now", device.id, port.device, extra={"device": device.id, "link": port.uri}
            )
            line.move(link)
        else:
            line = self._make_line(link, self._wake.set)
            self.lines.append(line)
            self._hub.ports.add(line, expected=False)
            task = asyncio.create_task(line.run())
            task.add_done_callback(lambda _: self._wake.set())
            self._tasks.append(task)
            self._meant_for[line] = device.id
        self._found_at[line] = port

    def _is_online(self, device: str) -> bool:
        return any(line.device == device and line.is_online for line in (*self._fixed, *self.lines))
