"""Many WebSocket clients in one process, as cheap as Python allows: they count messages, and read when each was made.

`python -m bench.drain URL …` prints ``ready`` when every client is subscribed, counts between two lines on its standard
input, then prints one line of JSON. Some of its clients can be told never to read.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import socket
import struct
import sys
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_BATCH = struct.Struct("<BBHIQQIHH")
_OURS = {"op": "subscribe", "id": 1, "device": "*", "stream": "imu", "format": "binary"}
SUBPROTOCOLS = {"ours": "telemetry-bridge.v1", "foxglove": "foxglove.sdk.v1", "plain": ""}


@dataclass
class Count:
    """What has come since :meth:`reset`.

    Attributes:
        messages: binary messages, to all clients.
        samples: samples in them; only for ours.
        gaps: gap messages; only for ours.
        latencies_us: from the time in the batch (monotonic clock) to its arrival here; only for ours, where asked for.
        lost: clients that were disconnected.
    """

    messages: int = 0
    samples: int = 0
    gaps: int = 0
    lost: int = 0
    latencies_us: list[float] = field(default_factory=list)

    def reset(self) -> None:
        """Start to count."""
        self.messages = self.samples = self.gaps = self.lost = 0
        self.latencies_us = []


def masked(text: str) -> bytes:
    """A text message from a client (RFC 6455 5.2), with a mask of zeros."""
    data = text.encode()
    length = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
    return b"\x81" + length + b"\0\0\0\0" + data


class Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, url: str, kind: str, count: Count, timed: bool, stream: str) -> None:
        self._url, self._kind, self._count, self._timed = urlsplit(url), kind, count, timed
        self._request = {**_OURS, "stream": stream}
        self._buffer = b""
        self._open = False
        self.ready = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        protocol = SUBPROTOCOLS[self._kind]
        lines = [
            f"GET {self._url.path or '/'} HTTP/1.1",
            f"Host: {self._url.netloc}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
            *([f"Sec-WebSocket-Protocol: {protocol}"] if protocol else []),
        ]
        transport.write(("\r\n".join(lines) + "\r\n\r\n").encode())

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it."""
        self._count.lost += 1
        if not self.ready.done():
            self.ready.set_exception(exc or ConnectionError(f"refused: {self._buffer[:200]!r}"))

    def data_received(self, data: bytes) -> None:
        """Cut the bytes into messages."""
        buffer = self._buffer + data if self._buffer else data
        position = 0
        if not self._open:
            head, found, rest = buffer.partition(b"\r\n\r\n")
            if not found:
                self._buffer = buffer
                return
            if b" 101 " not in head[:20]:
                self._buffer = head
                self._transport.abort()
                return
            self._open = True
            buffer = rest
            if self._kind == "ours":
                self._transport.write(masked(json.dumps(self._request)))
            elif self._kind == "plain":
                self.ready.set_result(None)
        end = len(buffer)
        while position + 2 <= end:
            kind, size = buffer[position], buffer[position + 1]
            start = position + 2
            if size == 126:
                if start + 2 > end:
                    break
                size = buffer[start] << 8 | buffer[start + 1]
                start += 2
            elif size == 127:
                if start + 8 > end:
                    break
                size = int.from_bytes(buffer[start : start + 8], "big")
                start += 8
            if start + size > end:
                break
            if kind == 0x82:
                self._binary(buffer, start)
            elif kind == 0x81:
                self._text(buffer[start : start + size])
            position = start + size
        self._buffer = buffer[position:]

    def _binary(self, buffer: bytes, start: int) -> None:
        count = self._count
        count.messages += 1
        if self._kind == "ours":
            _, _, _, _, _, time_ns, _, samples, _ = _BATCH.unpack_from(buffer, start)
            count.samples += samples
            if self._timed:
                count.latencies_us.append((time.monotonic_ns() - time_ns) / 1000)
            if not self.ready.done():
                self.ready.set_result(None)

    def _text(self, text: bytes) -> None:
        if self._kind == "ours":
            if text.startswith(b'{"op":"gap"'):
                self._count.gaps += 1
            if text.startswith(b'{"op":"error"'):
                raise RuntimeError(text.decode())
        elif self._kind == "foxglove":
            message = json.loads(text)
            if message["op"] == "advertise":
                channels = [{"id": 1, "channelId": one["id"]} for one in message["channels"]]
                self._transport.write(masked(json.dumps({"op": "subscribe", "subscriptions": channels})))
                if not self.ready.done():
                    self.ready.set_result(None)


async def stalled(url: str) -> socket.socket:
    """A client that subscribes and then never reads again."""
    parts = urlsplit(url)
    sock = socket.create_connection((parts.hostname or "", parts.port or 0))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    key = base64.b64encode(os.urandom(16)).decode()
    sock.sendall(
        f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
        f"Sec-WebSocket-Protocol: {SUBPROTOCOLS['ours']}\r\n\r\n".encode()
    )
    sock.sendall(masked(json.dumps(_OURS)))
    return sock


async def drain(arguments: argparse.Namespace) -> None:
    """Connect, count, report."""
    count = Count()
    loop = asyncio.get_running_loop()
    parts = urlsplit(arguments.url)
    clients = []
    for number in range(arguments.clients):
        client = Client(arguments.url, arguments.kind, count, arguments.timed, arguments.stream)
        await loop.create_connection(lambda client=client: client, parts.hostname, parts.port)  # type: ignore[misc]
        clients.append(client)
        if number % 50 == 49:
            await asyncio.gather(*(one.ready for one in clients[-50:]))
    await asyncio.gather(*(client.ready for client in clients))
    idle = [await stalled(arguments.url) for _ in range(arguments.stalled)]
    print("ready", flush=True)
    for line in ("go", "stop"):
        await loop.run_in_executor(None, sys.stdin.readline)
        if line == "go":
            count.reset()
    print(json.dumps(vars(count)), flush=True)
    for sock in idle:
        sock.close()
    os._exit(0)  # thousands of connections are not worth a farewell


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--kind", choices=SUBPROTOCOLS, default="ours")
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--stalled", type=int, default=0, help="further clients that never read")
    parser.add_argument("--timed", action="store_true", help="also measure latencies")
    parser.add_argument("--stream", default="imu")
    asyncio.run(drain(parser.parse_args()))


if __name__ == "__main__":
    main()
