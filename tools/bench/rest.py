"""CPU time that a bridge takes while little or nothing happens: nothing plugged in, a board away, a board streaming."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
import tempfile
import time
import tty
from collections.abc import AsyncIterator
from pathlib import Path

from bench.latency import BRIDGE
from bench.report import Row
from telemetry_bridge.app import Bridge
from telemetry_bridge.config import Config, ServerConfig
from telemetry_bridge.line import cancelled
from telemetry_bridge.link import PortInfo
from telemetry_bridge.sim import SimulatedDevice
from telemetry_bridge.terminal import StatusLine

SECONDS = 40.0
SETTLE_S = 6.0
LIMIT_S = 30.0


async def found(path: str) -> None:
    """What the measured process runs: `run --port auto` on a machine whose only serial port is `path`."""

    def ports() -> list[PortInfo]:
        return [PortInfo(path, "a pseudo-terminal", True)] if Path(path).exists() else []

    async with (
        Bridge(Config(auto=True, server=ServerConfig(port=0)), ports=ports) as bridge,
        StatusLine(bridge.hub, bridge.url),
    ):
        await bridge.wait_failed()


async def play(master: int) -> None:
    """Be a board at the far end of a terminal, until cancelled; then pull the cable."""
    board = SimulatedDevice.from_parameters({"rate": "1000", "seed": "1"})
    os.set_blocking(master, False)
    try:
        while True:
            with contextlib.suppress(OSError):  # nobody there, or nothing
                os.write(master, board.advance(time.monotonic_ns()))
            with contextlib.suppress(OSError):
                board.receive(os.read(master, 4096), time.monotonic_ns())
            await asyncio.sleep(0.005)
    finally:
        os.close(master)


@contextlib.asynccontextmanager
async def measured(*command: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process of its own, until the end of the block; begins when it serves."""
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    assert process.stderr is not None
    drain: asyncio.Task[bytes] | None = None
    try:
        async with asyncio.timeout(LIMIT_S):
            while not re.search(rb"page http://localhost:(\d+)", await process.stderr.readline()):
                if process.returncode is not None:
                    raise RuntimeError(f"{command} has ended")
        drain = asyncio.create_task(process.stderr.read())
        await asyncio.sleep(SETTLE_S)
        yield process
    finally:
        process.terminate()
        await process.wait()
        if drain is not None:
            drain.cancel()


def cpu_s(pid: int) -> float:
    """User and system time of a process and its threads so far (proc(5), stat: fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def per_minute(process: asyncio.subprocess.Process) -> float:
    """CPU seconds in a minute, from now on."""
    before = cpu_s(process.pid)
    await asyncio.sleep(SECONDS)
    return round((cpu_s(process.pid) - before) * 60 / SECONDS, 3)


async def nothing() -> float:
    """No board, and the real list of ports."""
    async with measured(str(BRIDGE), "run", "--port", "auto", "--http-port", "0") as process:
        return await per_minute(process)


async def streaming_and_away(*command: str) -> tuple[float, float]:
    """A board that streams, and the same after its port has gone."""
    master, slave = os.openpty()
    board = asyncio.create_task(play(master))
    with tempfile.TemporaryDirectory() as folder:
        port = Path(folder) / "port"  # the terminal's own name may be another's when it is gone
        port.symlink_to(os.ttyname(slave))
        tty.setraw(slave)
        os.close(slave)  # else this process would be one that has the port open
        try:
            async with measured(*(word.replace("PORT", str(port)) for word in command)) as process:
                streaming = await per_minute(process)
                port.unlink()
                await cancelled([board])
                await asyncio.sleep(SETTLE_S)
                return streaming, await per_minute(process)
        finally:
            await cancelled([board])


async def measure() -> list[Row]:
    """All of them, one after the other."""
    target, unit = "<= 0.6", "s/min"
    streaming, away = await streaming_and_away(sys.executable, "-m", "bench.rest", "PORT")
    _, named_away = await streaming_and_away(str(BRIDGE), "run", "--port", "PORT", "--http-port", "0")
    thread, _ = await streaming_and_away(str(BRIDGE), "run", "--port", "serial:PORT?reader=thread", "--http-port", "0")
    return [
        Row("--port auto, no board", await nothing(), unit, target),
        Row("--port auto, one board unplugged", away, unit, target),
        Row("--port PATH, its board unplugged", named_away, unit, target),
        Row("one board at 1 kHz, nobody subscribed", streaming, unit),
        Row("the same, its port read by a thread", thread, unit),
    ]


def run() -> tuple[str, str, list[Row]]:
    """Measure."""
    about = (
        f"CPU seconds, user and system, that `telemetry-bridge run` takes in a minute, page and WebSocket served but "
        f"nobody connected; over {SECONDS:.0f} s each, {SETTLE_S:.0f} s after the start or the loss of the board. The "
        "target is one per cent of a core."
    )
    return "CPU at rest", about, asyncio.run(measure())


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(found(sys.argv[1]))
