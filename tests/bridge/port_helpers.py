"""Serial ports that come and go, with simulated boards at them, and a sink that one can wait on."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import os
import time
import tty
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from telemetry_bridge.events import DeviceChanged, Event
from telemetry_bridge.link import PortInfo
from telemetry_bridge.sim import SimulatedDevice

LIMIT_S = 60


class Watcher:
    """A sink that one can wait on."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._changed = asyncio.Event()

    def handle(self, event: Event) -> None:
        self.events.append(event)
        self._changed.set()

    async def until(self, kind: type[Event], since: int = 0, **what: object) -> int:
        """Wait for an event of that kind; returns its place."""
        async with asyncio.timeout(LIMIT_S):
            while True:
                for place, event in enumerate(self.events[since:], since):
                    subject = event.device if isinstance(event, DeviceChanged) else event
                    if isinstance(event, kind) and all(getattr(subject, name) == value for name, value in what.items()):
                        return place
                self._changed.clear()
                await self._changed.wait()


def a_board(seed: int = 1) -> SimulatedDevice:
    """A board whose id follows from the seed."""
    return SimulatedDevice.from_parameters({"seed": str(seed)})


@dataclass
class Socket:
    """A serial port as the machine has it: a pseudo-terminal, and what is plugged in at its far end.

    Attributes:
        device: the board; None: nobody.
        chatter: what is said again and again instead.
        heard: bytes that came from the host.
    """

    info: PortInfo
    master: int
    slave: int
    device: SimulatedDevice | None
    chatter: bytes
    heard: bytearray = field(default_factory=bytearray)
    playing: asyncio.Task[None] | None = None

    @property
    def path(self) -> str:
        return self.info.device

    async def play(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(self.master, self._listen)
        try:
            while True:
                data = self.chatter if self.device is None else self.device.advance(time.monotonic_ns())
                with contextlib.suppress(BlockingIOError):
                    os.write(self.master, data)
                await asyncio.sleep(0.005)  # the board's own pace
        finally:
            loop.remove_reader(self.master)

    def _listen(self) -> None:
        data = os.read(self.master, 4096)
        self.heard += data
        if self.device is not None:
            self.device.receive(data, time.monotonic_ns())


class Machine:
    """The serial ports of a machine; :meth:`ports` lists them as the finder wants it."""

    def __init__(self) -> None:
        self.sockets: list[Socket] = []
        self._plugged = 0
        self._names: set[str] = set()

    def _fresh(self) -> tuple[int, int]:
        """A terminal of a name that no port of this machine has had."""
        rejected = []
        while os.ttyname((pair := os.openpty())[1]) in self._names:
            rejected.append(pair)
        for number in itertools.chain(*rejected):
            os.close(number)
        self._names.add(os.ttyname(pair[1]))
        return pair

    def ports(self) -> list[PortInfo]:
        return [socket.info for socket in self.sockets]

    def plug(self, device: SimulatedDevice | None = None, *, chatter: bytes = b"", **info: object) -> Socket:
        """A port appears."""
        master, slave = self._fresh()
        tty.setraw(slave)
        os.set_blocking(master, False)
        self._plugged += 1
        port = PortInfo(os.ttyname(slave), "a port", True, plugged=self._plugged)
        port = dataclasses.replace(port, **info)  # type: ignore[arg-type]
        socket = Socket(port, master, slave, device, chatter)
        socket.playing = asyncio.create_task(socket.play())
        self.sockets.append(socket)
        return socket

    async def unplug(self, socket: Socket) -> None:
        """A port goes: whoever has it open sees a hang-up."""
        self.sockets.remove(socket)
        assert socket.playing is not None
        socket.playing.cancel()
        await asyncio.gather(socket.playing, return_exceptions=True)
        os.close(socket.master)
        os.close(socket.slave)


@contextlib.asynccontextmanager
async def a_machine() -> AsyncIterator[Machine]:
    machine = Machine()
    try:
        yield machine
    finally:
        for socket in tuple(machine.sockets):
            await machine.unplug(socket)


async def until(happened: Callable[[], object]) -> None:
    """Wait for something that nobody tells."""
    async with asyncio.timeout(LIMIT_S):
        while not happened():  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.01)
