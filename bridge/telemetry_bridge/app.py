"""The composition root: builds links, lines, hub and server, and keeps them running."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from telemetry_bridge.calibration import Calibration, Calibrations, Store
from telemetry_bridge.config import Config
from telemetry_bridge.derived import Deriver, installed
from telemetry_bridge.errors import LinkError
from telemetry_bridge.finder import Finder
from telemetry_bridge.hub import Hub
from telemetry_bridge.line import Line, Stage, cancelled
from telemetry_bridge.link import Link, PortLister, SourceFactory, create, port_watch
from telemetry_bridge.server import Server
from telemetry_bridge.sim import SimulatedDevice

SOURCES: Mapping[str, SourceFactory] = {"sim": SimulatedDevice.from_parameters}
"""Links whose bytes are made in this process, by scheme."""

_log = logging.getLogger(__name__)


def stages(config: Config, calibrations: Calibrations) -> Sequence[Stage]:
    """What a new line's events pass through on their way to the hub, in this order."""
    return (
        calibrations.stage(),
        Deriver(installed(config.derived.streams)),
    )


class Bridge:
    """Everything that runs in one process; an async context manager.

    Args:
        config: which lines, and everything else.
        serve: whether there is a server for page and WebSocket.
        ports: lists the serial ports at which boards may be found; None: those of this machine.
    """

    def __init__(self, config: Config, *, serve: bool = True, ports: PortLister | None = None) -> None:
        self.hub = Hub()
        self._config = config
        folder = config.calibration.folder
        self._calibrations = Calibrations(Store(None if folder is None else Path(folder)))
        self._owners: dict[str, Line] = {}
        self._lines = [self._line(create(line.uri, sources=SOURCES), line.baud or config.baud) for line in config.lines]
        self._failures: dict[Line, LinkError] = {}
        self._failed = {line: asyncio.Event() for line in self._lines}  # set: nobody waits for it any more
        self._finder = Finder(self._followed, self.hub, ports or port_watch(), self._lines) if config.auto else None
        for line in self._lines:
            self.hub.ports.add(line)
        if self._finder is not None:
            self.hub.ports.add(self._finder, expected=False)
        self._server = Server(self.hub, config.server, config.limits) if serve else None
        self._tasks: list[asyncio.Task[None]] = []

    def _line(self, link: Link, baud: int | None, lost: Callable[[], None] | None = None) -> Line:
        passed = stages(self._config, self._calibrations)
        return Line(link, self.hub, self._owners, baud, passed, lost=lost)

    def _followed(self, link: Link, lost: Callable[[], None]) -> Line:
        return self._line(link, self._config.baud, lost)

    def calibration(self, identifier: str) -> Calibration | None:
        """The calibration with this id, in force or not."""
        return self._calibrations.get(identifier)

    @property
    def url(self) -> str:
        """Where the page is; empty without a server."""
        return self._server.url if self._server is not None else ""

    async def __aenter__(self) -> Self:
        """Start, and wait until the board of each line has answered, or cannot.

        Raises:
            BridgeError: every line has failed, or the HTTP port is taken.
        """
        await self.start()
        try:
            await self.wait_ready()
        except BaseException:
            await self.stop()
            raise
        return self

    async def start(self) -> None:
        """Start the server and the lines; whoever calls this calls :meth:`stop`.

        Raises:
            BridgeError: the HTTP port is taken.
        """
        if self._server is not None:
            await self._server.start()
        works = [self._keep(line) for line in self._lines]
        self._tasks = [asyncio.create_task(work, name="line") for work in works]
        if self._finder is not None:
            self._tasks.append(asyncio.create_task(self._finder.run(), name="finder"))
        self._tasks.append(asyncio.create_task(self._calibrations.watch(), name="calibrations"))

    async def wait_ready(self) -> None:
        """Wait until the board of each line has answered, or cannot.

        Boards that are looked for at every port are not waited for, nor are those of lines that have failed while
        others work: they are tried again for as long as the bridge runs.

        Raises:
            BridgeError: every line has failed.
        """
        ready = [
            asyncio.create_task(waiting)
            for line, failed in self._failed.items()
            for waiting in (line.wait_online(), failed.wait())
        ]
        try:
            for online, failed in zip(ready[::2], ready[1::2], strict=True):
                await asyncio.wait({online, failed, *self._tasks}, return_when=asyncio.FIRST_COMPLETED)
                self._raise_failed()
        finally:
            await cancelled(ready)

    @property
    def awaited(self) -> list[str]:
        """URIs of the lines that :meth:`wait_ready` waits for."""
        return [line.uri for line, failed in self._failed.items() if not (line.was_online or failed.is_set())]

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _keep(self, line: Line) -> None:
        """Run a line; when it fails at the start, go on trying, unless nobody else has a board or will have one.

        Raises:
            LinkError: every line has failed.
        """
        try:
            await line.run()
        except LinkError as error:
            self._failures[line] = error
            if self._finder is None and all(one in self._failures and not one.was_online for one in self._lines):
                raise LinkError("; ".join(dict.fromkeys(map(str, self._failures.values())))) from None
            _log.warning("%s; it is tried again and again", error, extra={"link": line.uri})
            self._failed[line].set()
            await line.run(patient=True)

    async def wait_failed(self) -> None:
        """Wait until no line can go on any more.

        Raises:
            BridgeError: what happened to them.
        """
        await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        self._raise_failed()

    def _raise_failed(self) -> None:
        for task in self._tasks:
            if task.done():
                task.result()

    async def stop(self) -> None:
        """End the server and the lines; harmless if they were never started."""
        if self._server is not None:  # first, so that nobody is told that the boards went
            await self._server.close()
        await cancelled(self._tasks)
