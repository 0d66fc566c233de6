"""End-to-end latency: last byte of a frame on the serial port to the subscriber that has its samples."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import statistics
import struct
import sys
import time
import tty
from collections.abc import AsyncIterator
from pathlib import Path

import websockets.asyncio.client as ws_client
import websockets.asyncio.server as ws_server
from websockets.typing import Subprotocol

from bench.report import Row
from telemetry_bridge.sim import SimulatedDevice
from telemetry_protocol import Decoder, Frame, messages

SECONDS = 10.0
WARM_UP_S = 2.0
ROUNDS = 3
BATCH = struct.Struct("<BBHIQQIHH")
BRIDGE = Path(sys.executable).with_name("telemetry-bridge")


class Line:
    """A pseudo-terminal whose far end a simulated board writes to, frame by frame in real time.

    Attributes:
        written_ns: when the last byte of the frame that starts with an index was handed to the system.
    """

    def __init__(self) -> None:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        self.written_ns: dict[int, int] = {}
        self._board = SimulatedDevice.from_parameters({"rate": "1000", "seed": "1"})
        self._frames = Decoder()
        self._tail = b""

    async def run(self) -> None:
        """Play the board until cancelled."""
        os.set_blocking(self._master, False)
        asyncio.get_running_loop().add_reader(self._master, self._from_host)
        try:
            while True:
                now_ns = time.monotonic_ns()
                self._to_host(self._board.advance(now_ns))
                await asyncio.sleep(max((self._board.next_ns() - time.monotonic_ns()) / 1e9, 0.0002))
        finally:
            asyncio.get_running_loop().remove_reader(self._master)
            os.close(self._master)
            os.close(self._slave)

    def _from_host(self) -> None:
        with contextlib.suppress(OSError):
            self._board.receive(os.read(self._master, 4096), time.monotonic_ns())

    def _to_host(self, data: bytes) -> None:
        *whole, self._tail = (self._tail + data).split(b"\0")
        for encoded in whole:
            with contextlib.suppress(BlockingIOError):
                os.write(self._master, encoded + b"\0")
            now_ns = time.monotonic_ns()
            for frame in self._frames.feed(encoded + b"\0"):
                if isinstance(frame, Frame) and frame.type == messages.Samples.TYPE and frame.payload[0] & 0x1F == 0:
                    self.written_ns[struct.unpack_from("<I", frame.payload, 1)[0]] = now_ns


@contextlib.asynccontextmanager
async def bridge(port: str) -> AsyncIterator[str]:
    """`telemetry-bridge run` in a process of its own; yields the address of its WebSocket."""
    process = await asyncio.create_subprocess_exec(
        str(BRIDGE), "run", "--port", port, "--http-port", "0", stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(15):
            while not (found := re.search(rb"page http://localhost:(\d+)", await process.stderr.readline())):
                pass
        drain = asyncio.create_task(process.stderr.read())
        yield f"ws://localhost:{int(found[1])}/ws"
    finally:
        process.terminate()
        await process.wait()
        drain.cancel()


@contextlib.asynccontextmanager
async def echo(port: str) -> AsyncIterator[str]:
    """The least there can be, in a process of its own: frames of the port, broadcast as they are."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.latency", "--echo", port, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.terminate()
        await process.wait()


async def echo_server(port: str) -> None:
    """What `echo` runs."""
    clients: set[ws_server.ServerConnection] = set()
    number = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    decoder = Decoder()

    async def serve(client: ws_server.ServerConnection) -> None:
        clients.add(client)
        await client.wait_closed()
        clients.discard(client)

    def readable() -> None:
        for frame in decoder.feed(os.read(number, 65536)):
            if isinstance(frame, Frame) and frame.type == messages.Samples.TYPE and frame.payload[0] & 0x1F == 0:
                ws_server.broadcast(clients, frame.payload)

    async with ws_server.serve(serve, "127.0.0.1", 0, compression=None) as server:
        asyncio.get_running_loop().add_reader(number, readable)
        print(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/", flush=True)
        await server.wait_closed()


async def measure_bridge() -> list[float]:
    """Latencies through the bridge, microseconds."""
    line = Line()
    board = asyncio.create_task(line.run())
    latencies = []
    try:
        async with (
            bridge(line.path) as address,
            ws_client.connect(address, subprotocols=[Subprotocol("telemetry-bridge.v1")]) as client,
        ):
            await client.send(
                json.dumps({"op": "subscribe", "id": 1, "device": "*", "stream": "imu", "format": "binary"})
            )
            end = time.monotonic() + WARM_UP_S + SECONDS
            while time.monotonic() < end:
                message = await client.recv()
                now_ns = time.monotonic_ns()
                if isinstance(message, bytes) and time.monotonic() > end - SECONDS:
                    index = BATCH.unpack_from(message)[4]
                    if index in line.written_ns:
                        latencies.append((now_ns - line.written_ns[index]) / 1000)
    finally:
        board.cancel()
        await asyncio.gather(board, return_exceptions=True)
    return latencies


async def measure_echo() -> list[float]:
    """Latencies through the bare echo, microseconds."""
    line = Line()
    latencies = []
    async with echo(line.path) as address, ws_client.connect(address, compression=None) as client:
        board = asyncio.create_task(line.run())
        try:
            end = time.monotonic() + WARM_UP_S + SECONDS
            while time.monotonic() < end:
                message = await client.recv()
                now_ns = time.monotonic_ns()
                assert isinstance(message, bytes)
                index = struct.unpack_from("<I", message, 1)[0]
                if time.monotonic() > end - SECONDS and index in line.written_ns:
                    latencies.append((now_ns - line.written_ns[index]) / 1000)
        finally:
            board.cancel()
            await asyncio.gather(board, return_exceptions=True)
    return latencies


def percentile(values: list[float], percent: int) -> float:
    """The given percentile, by linear interpolation."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def run() -> tuple[str, str, list[Row]]:
    """Measure bridge and echo in turn."""
    rounds = [(asyncio.run(measure_bridge()), asyncio.run(measure_echo())) for _ in range(ROUNDS)]
    rows = []
    for percent in (50, 99):
        ours = statistics.median(percentile(bridge_us, percent) for bridge_us, _ in rounds)
        bare = statistics.median(percentile(echo_us, percent) for _, echo_us in rounds)
        ratio = statistics.median(percentile(a, percent) / percentile(b, percent) for a, b in rounds)
        rows += [
            Row(f"bridge, p{percent}", ours, "us"),
            Row(f"bare pty-to-WebSocket echo, p{percent}", bare, "us"),
            Row(f"bridge against echo, p{percent}", ratio, "x", "<= 2" if percent == 99 else ""),
        ]
    counted = sum(len(a) for a, _ in rounds)
    about = (
        "From the return of the write of a frame's last byte to a pseudo-terminal until one subscriber has the message "
        f"with its samples: 1 kHz, 20 samples a frame, {counted:,} frames, median of {ROUNDS} rounds taken in turn. "
        "Beside it, a process that only cuts the same bytes into frames and broadcasts them with websockets. The "
        "line's own time (2.8 ms for a frame at 921,600 baud) and the 19 ms a frame waits to be full are not in it."
    )
    return "Latency, one subscriber", about, rows


if __name__ == "__main__":
    asyncio.run(echo_server(sys.argv[2]))
