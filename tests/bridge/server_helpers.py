"""What the tests of the hub and the server share: events by hand, a client, and a loop that must end tidily."""

from __future__ import annotations

import asyncio
import functools
import json
import socket
import struct
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from telemetry_bridge.events import (
    Batch,
    ClockInfo,
    DeviceInfo,
    DeviceState,
    EpochStarted,
    FieldInfo,
    JsonMessage,
    JsonStream,
    LinkStats,
    StreamInfo,
)
from telemetry_bridge.server import Server

ACCEL = tuple(FieldInfo(f"accel_{axis}", "m/s^2", 39.2266) for axis in "xyz")
GYRO = tuple(FieldInfo(f"gyro_{axis}", "rad/s", 4.3633) for axis in "xyz")
IMU_FIELDS = ACCEL + GYRO
TIME_NS = 1_800_000_000_000_000_000
BATCH_HEADER = struct.Struct("<BBHIQQIHH")


def stream_info(name: str = "imu", number: int = 0, epoch: int = 7, rate_hz: float = 1000.0) -> StreamInfo:
    """A stream of six axes, or of one temperature where the name says so."""
    fields = IMU_FIELDS if name == "imu" else (FieldInfo("temperature", "degC"),)
    return StreamInfo(number, name, "mpu6050", fields, rate_hz, None, 1, epoch, 2900, "streaming", 20_000, True)


def device_info(
    name: str = "dev-a", *streams: StreamInfo, state: DeviceState = "online", warning: str = ""
) -> DeviceInfo:
    """A board; with ``imu`` unless streams are given."""
    return DeviceInfo(
        name, state, "nucleo_f411re", "0.1.0", "abc1234", name, "17", "power_on", 921600, "tcp:test", ClockInfo(),
        streams or (stream_info(),), LinkStats(), warning,
    )  # fmt: skip


def epoch_started(
    device: str = "dev-a", stream: str = "imu", epoch: int = 7, next_index: int = 0, boot_id: str = "17"
) -> EpochStarted:
    """The start of an epoch of :func:`stream_info`."""
    return EpochStarted(device, stream, epoch, boot_id, stream_info(stream).fields, next_index)


def batch(
    index: int,
    samples: int = 20,
    *,
    device: str = "dev-a",
    stream: str = "imu",
    epoch: int = 7,
    period_ns: int = 1_000_000,
    values: npt.NDArray[np.float32] | None = None,
) -> Batch:
    """A batch whose values are told by its indexes: field f of sample i is ``i + f / 8``."""
    if values is None:
        fields = 6 if stream == "imu" else 1
        columns = np.arange(fields, dtype=np.float32)[:, None] / 8
        values = (np.arange(index, index + samples, dtype=np.float32)[None, :] + columns).astype(np.float32)
    time_ns = TIME_NS + index * (period_ns or 1_000_000)
    return Batch(device, stream, epoch, index, time_ns, period_ns, 1000, values, 1, b"", 0)


def json_message(
    stream: JsonStream = "health", device: str = "dev-a", body: dict[str, object] | None = None
) -> JsonMessage:
    """A message of a JSON stream."""
    return JsonMessage(device, stream, TIME_NS, body or {"uptime_s": 1})


@dataclass(frozen=True)
class Samples:
    """A decoded binary batch."""

    kind: int
    version: int
    sub: int
    seq: int
    index: int
    time_ns: int
    period_ns: int
    samples: int
    fields: int
    values: npt.NDArray[np.float32]


def decode(message: bytes) -> Samples:
    """Decode a binary batch by the contract's words alone."""
    kind, version, sub, seq, index, time_ns, period_ns, samples, fields = BATCH_HEADER.unpack_from(message)
    columns = fields * (3 if kind == 2 else 1)
    values = np.frombuffer(message, "<f4", offset=BATCH_HEADER.size).reshape(columns, samples)
    return Samples(kind, version, sub, seq, index, time_ns, period_ns, samples, fields, values)


@dataclass
class Client:
    """A subscriber on a real socket."""

    ws: ClientConnection

    async def send(self, **message: object) -> None:
        """Send one request."""
        await self.ws.send(json.dumps(message))

    async def next(self) -> Any:
        """The next message: a dict, or Samples."""
        message = await self.ws.recv()
        return json.loads(message) if isinstance(message, str) else decode(message)

    async def until(self, op: str) -> dict[str, Any]:
        """Skip to the next JSON message with this op."""
        while True:
            message = await self.next()
            if isinstance(message, dict) and message["op"] == op:
                return message

    async def ask(self, **message: object) -> dict[str, Any]:
        """Send a request and skip to its answer."""
        await self.send(**message)
        while True:
            got = await self.next()
            if isinstance(got, dict) and got.get("id", self) == message["id"]:
                return got

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.ws.close()


async def join(server: Server, *, origin: str | None = None, **options: Any) -> Client:
    """Connect to a server as the contract says."""
    options.setdefault("subprotocols", [Subprotocol("telemetry-bridge.v1")])
    ws = await connect(
        f"ws://127.0.0.1:{server.port}/ws", origin=Origin(origin) if origin else None, compression=None, **options
    )
    return Client(ws)


HANDSHAKE = (
    "GET /ws HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Protocol: telemetry-bridge.v1\r\n{more}\r\n"
)


class RawClient:
    """A socket that sends what it is told and reads only when asked: for attacks, and for clients that stall."""

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.setblocking(False)
        self._received = b""

    async def connect(self, server: Server, source: str = "127.0.0.1") -> RawClient:
        """Open the TCP connection, from any address of the loopback."""
        self._socket.bind((source, 0))
        await asyncio.get_running_loop().sock_connect(self._socket, ("127.0.0.1", server.port))
        return self

    async def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        await asyncio.get_running_loop().sock_sendall(self._socket, data)

    async def send_text(self, **message: object) -> None:
        """Send a short text message in a frame masked with zeros."""
        data = json.dumps(message).encode()
        assert len(data) < 126
        await self.send(bytes([0x81, 0x80 | len(data), 0, 0, 0, 0]) + data)

    async def read(self, count: int) -> bytes:
        """Exactly so many bytes; EOFError if the connection ends before."""
        while len(self._received) < count:
            await self._fill()
        data, self._received = self._received[:count], self._received[count:]
        return data

    async def read_to_end(self) -> bytes:
        """All bytes until the connection ends."""
        try:
            while True:
                await self._fill()
        except EOFError:
            data, self._received = self._received, b""
            return data

    async def _fill(self) -> None:
        try:
            data = await asyncio.get_running_loop().sock_recv(self._socket, 65536)
        except ConnectionResetError:
            data = b""
        if not data:
            raise EOFError
        self._received += data

    async def head(self) -> str:
        """Status line and headers of an HTTP response."""
        while b"\r\n\r\n" not in self._received:
            await self._fill()
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        return head.decode()

    async def head_or_end(self) -> str:
        """The same; empty if the connection ends before."""
        try:
            return await self.head()
        except EOFError:
            return ""

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    async def upgrade(self, server: Server) -> None:
        """Perform the opening handshake."""
        await self.send(HANDSHAKE.format(host=f"127.0.0.1:{server.port}", more="").encode())
        assert (await self.head()).startswith("HTTP/1.1 101 ")

    async def frame(self) -> tuple[int, bytes]:
        """Opcode and payload of the next WebSocket frame."""
        opcode, length = await self.read(2)
        if length == 126:
            length = int.from_bytes(await self.read(2), "big")
        return opcode & 0x0F, await self.read(length)

    async def message(self) -> Any:
        """The next message: a dict, Samples, or the close code as a number."""
        opcode, data = await self.frame()
        if opcode == 8:
            return int.from_bytes(data[:2], "big")
        return json.loads(data) if opcode == 1 else decode(data)

    async def __aenter__(self) -> RawClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()


async def http_get(
    server: Server, path: str = "/", *, method: str = "GET", host: str | None = None, more: str = ""
) -> tuple[int, dict[str, str], bytes]:
    """One plain HTTP request: status, headers with lower-case names, body."""
    async with await RawClient().connect(server) as raw:
        host = f"127.0.0.1:{server.port}" if host is None else host
        await raw.send(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n".encode())
        head = await raw.head()
        body = await raw.read_to_end()
    status, *lines = head.split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(status.split()[1]), headers, body


async def until(condition: Callable[[], object]) -> None:
    """Let everybody else run until something is so."""
    while not condition():  # noqa: ASYNC110 (nobody tells; the test has a deadline)
        await asyncio.sleep(0)


def in_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an async test in a loop of its own, with a deadline, and see that it leaves no task behind."""

    async def bounded(*args: Any, **kwargs: Any) -> None:
        async with asyncio.timeout(20):
            await test(*args, **kwargs)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, f"tasks left behind: {left}"

    @functools.wraps(test)
    def wrapper(*args: Any, **kwargs: Any) -> None:
        asyncio.run(bounded(*args, **kwargs))

    return wrapper
