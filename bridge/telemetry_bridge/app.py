"""The composition root: builds links, lines, hub and server, and keeps them running."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from telemetry_bridge.calibration import Calibrator, Store
from telemetry_bridge.config import Config
from telemetry_bridge.derived import Deriver, installed
from telemetry_bridge.errors import LinkError
from telemetry_bridge.hub import Hub
from telemetry_bridge.line import Line, Stage, cancelled
from telemetry_bridge.link import SourceFactory, create, list_ports
from telemetry_bridge.server import Server
from telemetry_bridge.sim import SimulatedDevice

SOURCES: Mapping[str, SourceFactory] = {"sim": SimulatedDevice.from_parameters}
"""Links whose bytes are made in this process, by scheme."""

_log = logging.getLogger(__name__)


def stages(config: Config, calibrations: Store) -> Sequence[Stage]:
    """What a new line's events pass through on their way to the hub, in this order."""
    return (
        Calibrator(calibrations),
        Deriver(installed(config.derived.streams)),
    )


class Bridge:
    """Everything that runs in one process; an async context manager.

    Args:
        config: which lines, and everything else.
        serve: whether there is a server for page and WebSocket.
    """

    def __init__(self, config: Config, *, serve: bool = True) -> None:
        self.hub = Hub()
        owners: dict[str, Line] = {}
        folder = config.calibration.folder
        calibrations = Store(None if folder is None else Path(folder))
        self._lines = [
            Line(
                create(line.uri, sources=SOURCES),
                self.hub,
                owners,
                line.baud or config.baud,
                stages(config, calibrations),
            )
            for line in config.lines
        ]
        for line in self._lines:
            self.hub.ports.add(line)
        self._server = Server(self.hub, config.server, config.limits) if serve else None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def url(self) -> str:
        """Where the page is; empty without a server."""
        return f"http://localhost:{self._server.port}" if self._server is not None else ""

    async def __aenter__(self) -> Self:
        """Start the server and the lines, and wait until every board has answered.

        Raises:
            BridgeError: a port cannot be opened or is no board, or the HTTP port is taken.
        """
        if self._server is not None:
            await self._server.start()
        self._tasks = [asyncio.create_task(line.run(), name="line") for line in self._lines]
        ready = [asyncio.create_task(line.wait_online()) for line in self._lines]
        try:
            for online in ready:
                await asyncio.wait({online, *self._tasks}, return_when=asyncio.FIRST_COMPLETED)
                self._raise_failed()
        except BaseException:
            await self._stop()
            raise
        finally:
            await cancelled(ready)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def wait_failed(self) -> None:
        """Wait until a line can go on no more.

        Raises:
            BridgeError: what happened to it.
        """
        await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        self._raise_failed()

    def _raise_failed(self) -> None:
        for task in self._tasks:
            if task.done():
                task.result()

    async def _stop(self) -> None:
        if self._server is not None:  # first, so that nobody is told that the boards went
            await self._server.close()
        await cancelled(self._tasks)


async def find_board() -> str:
    """Ask every serial port who is there and take the first board that answers.

    Returns:
        URI of its port.

    Raises:
        LinkError: no port has a board; names each and why not.
    """
    candidates = list_ports()
    if not candidates:
        raise LinkError("auto: there are no serial ports: is the board plugged in, with a cable that carries data?")
    reasons = []
    for candidate in candidates:
        _log.info("asking %s (%s)", candidate.device, candidate.description)
        line = Line(create(candidate.uri), Hub(), {})
        task = asyncio.create_task(line.run())
        online = asyncio.create_task(line.wait_online())
        try:
            await asyncio.wait({task, online}, return_when=asyncio.FIRST_COMPLETED)
            if online.done():
                return candidate.uri
            task.result()
        except LinkError as error:
            reasons.append(str(error))
        finally:
            await cancelled([task, online])
    raise LinkError("auto: no board found. " + "; ".join(reasons))
