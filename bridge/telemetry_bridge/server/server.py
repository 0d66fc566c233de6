"""The server: one port for the page and the WebSocket; who may come in, and how all of it ends."""

from __future__ import annotations

import errno
import http
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, cast

from websockets.asyncio.server import Server as WebSocketServer
from websockets.asyncio.server import ServerConnection, serve
from websockets.frames import CloseCode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.typing import Subprotocol

from telemetry_bridge import __version__
from telemetry_bridge.config import Limits, ServerConfig
from telemetry_bridge.errors import BridgeError
from telemetry_bridge.hub import Hub
from telemetry_bridge.server.http import health_response, respond, serve_file
from telemetry_bridge.server.router import Router
from telemetry_bridge.server.security import Gatekeeper, loopback_address
from telemetry_bridge.server.static_files import StaticFiles
from telemetry_bridge.server.ws import SUBPROTOCOL, Client, Connection

STATIC_DIR: Final = Path(__file__).parent / "static"
"""Where the page's build puts the page."""

_NAME: Final = "telemetry-bridge"


class Server:
    """Serves a hub on one loopback port.

    Use it as ``async with Server(hub) as server`` or call :meth:`start` and :meth:`close`.

    Args:
        hub: whose events subscribers get, and where their commands go.
        config: where to serve, and to whom.
        limits: what one client may take.
        static_dir: folder of the built page.

    Raises:
        BridgeError: if the host is not loopback or an origin is malformed.
    """

    def __init__(
        self,
        hub: Hub,
        config: ServerConfig | None = None,
        limits: Limits | None = None,
        *,
        static_dir: Path = STATIC_DIR,
    ) -> None:
        config = config or ServerConfig()
        self._hub = hub
        self._host = loopback_address(config.host)
        self._port = config.port
        self._files = StaticFiles(static_dir)
        self._allowed_origins = config.allowed_origins
        self._limits = limits or Limits()
        self._gatekeeper = Gatekeeper(self._host, config.port, self._allowed_origins)
        self._router = Router(hub, self._limits)
        self._connections: set[Connection] = set()
        self._server: WebSocketServer | None = None
        self._started_ns = 0
        self._closed_slow = 0
        self._refused = 0

    @property
    def port(self) -> int:
        """The bound port."""
        return self._port

    @property
    def url(self) -> str:
        """Address of the page."""
        name = "localhost" if self._host == "127.0.0.1" else f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{name}:{self._port}"

    @property
    def page_built(self) -> bool:
        """Whether there is a page to serve."""
        return self._files.built

    @property
    def clients(self) -> int:
        """How many WebSocket connections there are."""
        return sum(connection.client is not None for connection in self._connections)

    def connections(self) -> tuple[Connection, ...]:
        """Every TCP connection there is now."""
        return tuple(self._connections)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Bind the port and serve.

        Raises:
            BridgeError: if the port cannot be had.
        """
        limits = self._limits
        try:
            self._server = await serve(
                self._handle,
                self._host,
                self._port,
                subprotocols=[Subprotocol(SUBPROTOCOL)],
                compression=None,
                process_request=self._process_request,
                server_header=None,
                open_timeout=limits.open_s,
                ping_interval=None,  # the stall timer finds those who read nothing
                max_size=limits.message_bytes,
                write_limit=limits.write_buffer_bytes,
                create_connection=cast(type[ServerConnection], self._connection),
            )
        except OSError as error:
            raise BridgeError(_bind_failure(self._host, self._port, error)) from error
        self._port = self._server.sockets[0].getsockname()[1]
        self._gatekeeper = Gatekeeper(self._host, self._port, self._allowed_origins)
        self._started_ns = time.monotonic_ns()
        self._hub.attach(self._router)

    async def close(self) -> None:
        """Close every connection (WebSockets with 1001, going away) and free the port; takes about a second at most."""
        server = self._server
        if server is None:
            return
        self._server = None
        self._hub.detach(self._router)
        for connection in tuple(self._connections):
            if connection.protocol.state is State.OPEN:
                connection.cut_after(self._limits.abort_s)
            elif connection.client is None:
                connection.transport.abort()
        server.close(code=CloseCode.GOING_AWAY, reason="the bridge ends")
        await server.wait_closed()

    # ------------------------------------------------------------ connections

    def _connection(self, *args: Any, **kwargs: Any) -> Connection:
        return Connection(self, self._limits, *args, **kwargs)

    def opened(self, connection: Connection) -> bool:
        """A TCP connection came; False if too many have not finished their request."""
        self._connections.add(connection)
        return sum(not other.admitted for other in self._connections) <= self._limits.pending

    def lost(self, connection: Connection) -> None:
        """A TCP connection is gone."""
        self._connections.discard(connection)

    async def _handle(self, connection: ServerConnection) -> None:
        assert isinstance(connection, Connection)
        client = Client(connection, self._hub, self._router, self._limits, {"name": _NAME, "version": __version__})
        await client.serve()
        self._closed_slow += client.too_slow

    # --------------------------------------------------------------- requests

    def _process_request(self, connection: ServerConnection, request: Request) -> Response | None:
        assert isinstance(connection, Connection)
        response = self._answer(connection, request)
        if response is not None and response.status_code >= 400:
            self._refused += 1
        if response is not None and request.method == "HEAD":
            response.body = b""
        return response

    def _answer(self, connection: Connection, request: Request) -> Response | None:
        headers = request.headers
        refusal = self._gatekeeper.refusal(headers.get_all("Host"), headers.get_all("Origin"))
        if refusal is not None:
            return respond(http.HTTPStatus.FORBIDDEN, f"{refusal}\n")
        path = request.path.partition("?")[0]
        if path == "/ws":
            return self._admit(connection, request)
        if path == "/healthz":
            return health_response(self._hub, self._state())
        return serve_file(self._files, request)

    def _admit(self, connection: Connection, request: Request) -> Response | None:
        if request.method != "GET" or "websocket" not in request.headers.get("Upgrade", "").lower():
            return respond(
                http.HTTPStatus.UPGRADE_REQUIRED,
                f"This is a WebSocket: connect with a WebSocket client and the subprotocol {SUBPROTOCOL}.\n",
                Upgrade="websocket",
            )
        offered = {
            name.strip() for line in request.headers.get_all("Sec-WebSocket-Protocol") for name in line.split(",")
        }
        if SUBPROTOCOL not in offered:
            return respond(
                http.HTTPStatus.BAD_REQUEST,
                f"Offer the subprotocol {SUBPROTOCOL} (Sec-WebSocket-Protocol); it names the version of this API.\n",
            )
        limits = self._limits
        admitted = [other for other in self._connections if other.admitted]
        if len(admitted) >= limits.connections:
            return respond(
                http.HTTPStatus.SERVICE_UNAVAILABLE,
                f"Too many connections: {limits.connections} are open, which is the limit.\n",
                Retry_After="5",
            )
        if sum(other.address == connection.address for other in admitted) >= limits.connections_per_address:
            return respond(
                http.HTTPStatus.TOO_MANY_REQUESTS,
                f"Too many connections from {connection.address}: the limit is {limits.connections_per_address}.\n",
                Retry_After="5",
            )
        connection.admitted = True
        return None

    def _state(self) -> dict[str, object]:
        clients = [connection.client for connection in self._connections if connection.client is not None]
        return {
            "server": {"name": _NAME, "version": __version__, "page_built": self._files.built},
            "uptime_s": (time.monotonic_ns() - self._started_ns) / 1e9,
            "refused_requests": self._refused,
            "closed_too_slow": self._closed_slow,
            "clients": [
                {
                    "address": client.address,
                    "sent_messages": client.sent_messages,
                    "waiting_messages": len(client.queue),
                    "waiting_bytes": client.queue.bytes,
                    "subscriptions": [
                        {
                            "sub": item.feed.sub,
                            "device": item.device,
                            "stream": item.stream,
                            "sent_samples": item.feed.sent,
                            "dropped_samples": item.feed.dropped,
                        }
                        for item in self._router.subscriptions(client)
                    ],
                }
                for client in clients
            ],
        }


def _bind_failure(host: str, port: int, error: OSError) -> str:
    where = f"port {port} on {host}"
    if error.errno == errno.EADDRINUSE:
        return f"{where} is already in use, perhaps by another bridge: stop it, or choose another with --http-port"
    if error.errno == errno.EACCES:
        return f"{where} is not permitted to this user: choose one above 1023 with --http-port"
    return f"cannot serve on {where}: {error.strerror or error}"
