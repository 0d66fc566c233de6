"""The ``tcp:HOST:PORT`` link: the virtual board, or a serial port shared over a network."""

from __future__ import annotations

import asyncio
import socket

from telemetry_bridge.errors import LinkError, LinkLost
from telemetry_bridge.link.base import Clock, monotonic_ns
from telemetry_bridge.link.inbox import Inbox
from telemetry_bridge.link.uri import LinkUri

CONNECT_TIMEOUT_S = 5.0
WRITE_TIMEOUT_S = 5.0


def _address(uri: LinkUri) -> tuple[str, int]:
    """Host and port of ``HOST:PORT``, ``//HOST:PORT`` or ``[IPv6]:PORT``."""
    host, separator, port = uri.target.removeprefix("//").rstrip("/").rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not separator or not host or not port.isascii() or not port.isdigit() or not 0 < int(port[:6]) < 65536:
        raise LinkError(f"{uri.text}: not an address; write tcp:HOST:PORT, e.g. tcp:localhost:5000")
    return host, int(port)


class TcpLink:
    """A TCP client. Bytes are stamped in the event loop's receive callback."""

    def __init__(self, uri: LinkUri, *, clock: Clock = monotonic_ns) -> None:
        uri.only()
        self._uri = uri
        self._host, self._port = _address(uri)
        self._clock = clock
        self._connection: _Connection | None = None

    @property
    def uri(self) -> str:
        """The URI that names this link."""
        return self._uri.text

    async def open(self) -> None:
        """Connect.

        Raises:
            LinkError: refused, unknown host, no answer.
        """
        await self.close()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, connection = await loop.create_connection(
                    lambda: _Connection(self.uri, self._clock), self._host, self._port
                )
        except TimeoutError:
            raise LinkError(f"{self.uri}: no answer within {CONNECT_TIMEOUT_S:.0f} s; is the host up?") from None
        except ConnectionRefusedError:
            raise LinkError(f"{self.uri}: refused; nothing listens there. Start the board's server first") from None
        except socket.gaierror:
            raise LinkError(f"{self.uri}: there is no host named {self._host!r}; check the spelling") from None
        except (OSError, UnicodeError) as error:
            raise LinkError(f"{self.uri}: cannot connect: {error}") from None
        self._connection = connection

    async def read(self) -> tuple[bytes, int]:
        """Wait for bytes and their stamp.

        Raises:
            LinkLost: closed by the other end or by :meth:`close`.
        """
        return await self._open_connection().inbox.get()

    async def write(self, data: bytes) -> None:
        """Send ``data``.

        Raises:
            LinkLost: closed, or the other end takes nothing for :data:`WRITE_TIMEOUT_S`.
        """
        await self._open_connection().write(data)

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    def _open_connection(self) -> _Connection:
        if self._connection is None:
            raise LinkLost(f"{self.uri}: not open")
        return self._connection


class _Connection(asyncio.Protocol):
    """One connection, from made to lost."""

    def __init__(self, uri: str, clock: Clock) -> None:
        self._uri = uri
        self.inbox = Inbox(clock, pause=self._pause, resume=self._resume)
        self._transport: asyncio.Transport | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self.inbox.put(data)

    def connection_lost(self, exc: Exception | None) -> None:
        why = "closed by the other end" if exc is None else f"lost: {exc}"
        self.inbox.end(f"{self._uri}: {why}")
        self._lost.set()
        self._writable.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    async def write(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            raise LinkLost(f"{self._uri}: closed by the other end")
        self._transport.write(data)
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                await self._writable.wait()
        except TimeoutError:
            raise LinkLost(f"{self._uri}: takes no bytes for {WRITE_TIMEOUT_S:.0f} s") from None

    async def close(self) -> None:
        self.inbox.end(f"{self._uri}: closed")
        if self._transport is not None:
            self._transport.abort()
            await self._lost.wait()

    def _pause(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
