"""One TCP connection of the server, from its first byte on."""

from __future__ import annotations

import asyncio
import socket
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from websockets.asyncio.server import ServerConnection
from websockets.frames import CloseCode

from telemetry_bridge.config import Limits
from telemetry_bridge.server.admission import Admission, Refusal, peer_of
from telemetry_bridge.server.http import refuse
from telemetry_bridge.server.request_head import RequestHead
from telemetry_bridge.server.roles import LOCAL, Identity

if TYPE_CHECKING:
    from telemetry_bridge.server.ws import Client

_READ_BYTES: Final = 16 * 1024
_TOO_SLOW: Final = Refusal(HTTPStatus.REQUEST_TIMEOUT, "This request took too long to arrive.")


class Connection(ServerConnection):
    """Reads the request whole before the WebSocket library sees it; tells its client when it may write.

    Attributes:
        admitted: whether it counts as a WebSocket connection.
        identity: who is at the other end; stands when it is admitted.
        client: set once the handshake is done.
        ending: whether it is being closed: nothing that still comes in counts.
    """

    def __init__(self, admission: Admission, limits: Limits, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.admitted = False
        self.identity: Identity = LOCAL
        self.client: Client | None = None
        self._admission = admission
        self._limits = limits
        self._head: RequestHead | None = RequestHead(limits)
        self._opening: asyncio.TimerHandle | None = None
        self._cut: asyncio.TimerHandle | None = None
        self._refused = False
        self.ending = False
        self._ending: asyncio.Task[None] | None = None

    @property
    def address(self) -> str:
        """IP address of the other end."""
        return peer_of(self.transport)

    def abort(self) -> None:
        """Cut the connection."""
        self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it, bound what the kernel holds for it, and let the kernel see whether the other end is there."""
        super().connection_made(transport)
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # one who has vanished may have nothing to read
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._limits.socket_buffer_bytes)
        # asyncio's own transports read so much at a time (256 KiB otherwise: 0.1 s of small requests, parsed at once)
        transport.max_size = _READ_BYTES  # type: ignore[attr-defined]
        self._opening = self.loop.call_later(self._limits.open_s, self._too_slow)
        if not self._admission.opened(self):
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        super().connection_lost(exc)
        for timer in (self._opening, self._cut):
            if timer is not None:
                timer.cancel()
        if self.client is not None:
            self.client.gone()
        self._admission.lost(self)

    def data_received(self, data: bytes) -> None:
        """Collect the request; then everything is the WebSocket library's."""
        if self._refused:
            return
        if self._head is None:
            super().data_received(data)
            return
        head = self._head.feed(data)
        if isinstance(head, Refusal):
            self._refuse(head)
        elif head is not None:
            self._head = None
            if self._opening is not None:
                self._opening.cancel()
            super().data_received(head)

    def _too_slow(self) -> None:
        if self._head:  # a browser may open a connection and then have no use for it: nothing to answer
            self._refuse(_TOO_SLOW)
        else:
            self.transport.abort()

    def _refuse(self, refusal: Refusal) -> None:
        """Answer, and read on for a moment: what is unread when a connection closes takes the answer with it."""
        self._refused = True
        self.transport.write(refuse(refusal).serialize())
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self.cut_after(self._limits.abort_s)
        else:
            self.transport.close()

    def end(self, code: CloseCode, reason: str) -> None:
        """Close the WebSocket, whether or not the other end takes part."""
        if self.ending:
            return
        self.ending = True
        self.cut_after(self._limits.abort_s)
        self._ending = self.loop.create_task(self.close(code, reason))

    def pause_writing(self) -> None:
        """The write buffer is full."""
        super().pause_writing()
        if self.client is not None:
            self.client.paused()

    def resume_writing(self) -> None:
        """The write buffer has drained."""
        super().resume_writing()
        if self.client is not None:
            self.client.resumed()

    def cut_after(self, seconds: float) -> None:
        """Abort the connection unless it is gone by then."""
        if self._cut is None:
            self._cut = self.loop.call_later(seconds, self.transport.abort)
