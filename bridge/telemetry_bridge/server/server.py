"""The server: one port for the page and the WebSocket; who may come in, and how all of it ends."""

from __future__ import annotations

import asyncio
import errno
import http
import itertools
import logging
import re
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
from telemetry_bridge.server import health, metrics, tls
from telemetry_bridge.server.access import Access
from telemetry_bridge.server.admission import Admission, Refusal
from telemetry_bridge.server.connection import Connection
from telemetry_bridge.server.exposition import CONTENT_TYPE, Exposition
from telemetry_bridge.server.http import refuse, respond, serve_file
from telemetry_bridge.server.router import Router
from telemetry_bridge.server.security import Gatekeeper, address_to_bind, shown_name
from telemetry_bridge.server.static_files import StaticFiles
from telemetry_bridge.server.tokens import Tokens
from telemetry_bridge.server.wire_format import encode_json
from telemetry_bridge.server.ws import SUBPROTOCOL, Client

STATIC_DIR: Final = Path(__file__).parent / "static"
"""Where the page's build puts the page."""

_NAME: Final = "telemetry-bridge"
_TOKENS_LOOKED_AT_S: Final = 2.0
_SILENCE_LOOKED_AT_S: Final = 0.5
_SECRET_IN_URL: Final = re.compile(r"(?:^|[&;])[^=&;]*(?:token|ticket|auth|secret|bearer)[^=&;]*=", re.IGNORECASE)
_SECRET_REFUSED: Final = Refusal(
    http.HTTPStatus.BAD_REQUEST,
    "Never put a token or ticket into an address, where logs and histories keep it: take that token out of use, and "
    "send its successor as `Authorization: Bearer TOKEN`.",
)
_log = logging.getLogger(__name__)
# What this library says when it debugs are the headers of requests, with the tokens and tickets in them.
_protocol_log = logging.getLogger(f"{__name__}.websockets")
_protocol_log.addFilter(lambda record: record.levelno > logging.DEBUG)


class Server:
    """Serves a hub on one port: of loopback, or with tokens and TLS of any address.

    Use it as ``async with Server(hub) as server`` or call :meth:`start` and :meth:`close`.

    Args:
        hub: whose events subscribers get, and where their commands go.
        config: where to serve, and to whom. Tokens may also come from the environment.
        limits: what one client may take.
        static_dir: folder of the built page.

    Raises:
        BridgeError: the tokens or the certificate cannot be used, others could reach what nothing protects, or an
            origin is malformed.
    """

    def __init__(
        self,
        hub: Hub,
        config: ServerConfig | None = None,
        limits: Limits | None = None,
        *,
        static_dir: Path = STATIC_DIR,
    ) -> None:
        self._config = config = config or ServerConfig()
        self._hub = hub
        self._limits = limits or Limits()
        tokens = Tokens(Path(config.tokens_file) if config.tokens_file is not None else None)
        self._access = Access(tokens, self._limits)
        self._host = address_to_bind(config, has_tokens=bool(tokens))
        self._tls = tls.context_of(config)
        self._port = config.port
        self._gatekeeper = self._new_gatekeeper()
        self._admission = Admission(self._limits)
        self._files = StaticFiles(static_dir)
        self._router = Router(hub, self._limits)
        self._server: WebSocketServer | None = None
        self._token_watch: asyncio.TimerHandle | None = None
        self._silence_watch: asyncio.TimerHandle | None = None
        self._watch = health.Watch(hub)
        self._started_ns = 0
        self._clients: dict[int, Client] = {}  # by a number that is used again
        self._closed_slow = 0
        self._refused = 0

    def _new_gatekeeper(self) -> Gatekeeper:
        return Gatekeeper(self._config, self._host, self._port, has_tokens=bool(self._access.tokens))

    @property
    def port(self) -> int:
        """The bound port."""
        return self._port

    @property
    def url(self) -> str:
        """Address of the page."""
        return f"{'http' if self._tls is None else 'https'}://{shown_name(self._config, self._host)}:{self._port}"

    @property
    def page_built(self) -> bool:
        """Whether there is a page to serve."""
        return self._files.built

    @property
    def clients(self) -> int:
        """How many WebSocket connections there are."""
        return sum(connection.client is not None for connection in self.connections())

    def connections(self) -> tuple[Connection, ...]:
        """Every TCP connection there is now whose TLS, if any, stands."""
        return tuple(guest for guest in self._admission.guests if isinstance(guest, Connection))

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
                open_timeout=limits.open_s + limits.abort_s,  # the connection itself is stricter, and answers
                ping_interval=None,  # the stall timer finds those who read nothing
                max_size=limits.message_bytes,
                write_limit=limits.write_buffer_bytes,
                create_connection=cast(type[ServerConnection], self._connection),
                logger=_protocol_log,
            )
        except OSError as error:
            raise BridgeError(_bind_failure(self._host, self._port, error)) from error
        self._admission.open = True
        self._port = self._server.sockets[0].getsockname()[1]
        self._gatekeeper = self._new_gatekeeper()
        self._started_ns = time.monotonic_ns()
        self._hub.attach(self._router)
        self._hub.attach(self._watch)
        self._watch.lag.start()
        self._watch_tokens()
        self._watch_silence()

    async def close(self) -> None:
        """Close every connection (WebSockets with 1001, going away) and free the port; takes about a second at most."""
        server = self._server
        if server is None:
            return
        self._server = None
        self._hub.detach(self._router)
        self._hub.detach(self._watch)
        self._watch.lag.stop()
        for timer in (self._token_watch, self._silence_watch):
            if timer is not None:
                timer.cancel()
        self._admission.open = False  # also for those who are accepted already and not heard of
        guests = self._admission.guests
        for guest in guests:
            if isinstance(guest, Connection) and guest.protocol.state is State.OPEN:
                guest.cut_after(self._limits.abort_s)
            elif not isinstance(guest, Connection) or guest.client is None:
                guest.abort()
        server.close(code=CloseCode.GOING_AWAY, reason="the bridge ends")
        await server.wait_closed()
        for guest in guests:
            if isinstance(guest, tls.TlsHandshake):
                await guest.ended()

    # ------------------------------------------------------------ connections

    def _connection(self, *args: Any, **kwargs: Any) -> asyncio.Protocol:
        connection = Connection(self._admission, self._limits, *args, **kwargs)
        if self._tls is None:
            return connection
        return tls.TlsHandshake(self._admission, connection, self._tls, self._limits.open_s)

    def _watch_tokens(self) -> None:
        self._token_watch = asyncio.get_running_loop().call_later(_TOKENS_LOOKED_AT_S, self._watch_tokens)
        self.refresh_tokens()

    def _watch_silence(self) -> None:
        loop = asyncio.get_running_loop()
        self._silence_watch = loop.call_later(_SILENCE_LOOKED_AT_S, self._watch_silence)
        self._router.pass_time(_SILENCE_LOOKED_AT_S)

    def refresh_tokens(self) -> None:
        """Read the file of tokens again if it has changed; who is here with one that is gone has to leave."""
        self._access.tokens.refresh()
        for connection in self.connections():
            if connection.client is not None and not self._access.still_valid(connection.identity):
                connection.end(CloseCode.POLICY_VIOLATION, "your token is not valid any more")

    async def _handle(self, connection: ServerConnection) -> None:
        assert isinstance(connection, Connection)
        who, address = connection.identity, connection.address
        fields = {"subscriber": who.name, "role": who.role, "address": address}
        _log.info("%s (%s) is here from %s", who.name, who.role, address, extra=fields)
        client = Client(connection, self._hub, self._router, self._limits, {"name": _NAME, "version": __version__})
        number = next(number for number in itertools.count() if number not in self._clients)
        self._clients[number] = client
        try:
            await client.serve()
        finally:
            del self._clients[number]
        _log.info("%s (%s) from %s has left", who.name, who.role, address, extra=fields)
        self._closed_slow += client.too_slow

    # --------------------------------------------------------------- requests

    def _process_request(self, connection: ServerConnection, request: Request) -> Response | None:
        assert isinstance(connection, Connection)
        response = self._answer(connection, request)
        if response is not None and response.status_code >= 400:
            self._refused += 1
        if response is not None and self._gatekeeper.pins(request.headers.get_all("Host")):
            response.headers["Strict-Transport-Security"] = "max-age=31536000"
        if response is not None and request.method == "HEAD":
            response.body = b""
        return response

    def _answer(self, connection: Connection, request: Request) -> Response | None:
        headers, address, now = request.headers, connection.address, time.monotonic()
        refusal = self._gatekeeper.refusal(headers.get_all("Host"), headers.get_all("Origin"))
        if refusal is not None:
            return respond(http.HTTPStatus.FORBIDDEN, f"{refusal}\n")
        path, _, query = request.path.partition("?")
        if _SECRET_IN_URL.search(query):
            return refuse(_SECRET_REFUSED)
        match path:
            case "/ws":
                return self._admit(connection, request)
            case "/ticket":
                ticket = self._access.ticket(headers, address, now)
                if isinstance(ticket, Refusal):
                    return refuse(ticket)
                return respond(http.HTTPStatus.OK, encode_json(ticket), "application/json")
            case "/healthz":
                if self._access.tokens and "Authorization" not in headers:  # whether it is well is no secret
                    return health.response(self._hub, self._watch.problems(), None)
                identity = self._access.bearer(headers, address, now)
                if isinstance(identity, Refusal):
                    return refuse(identity)
                return health.response(self._hub, self._watch.problems(), self._state())
            case "/metrics":
                identity = self._access.bearer(headers, address, now)
                if isinstance(identity, Refusal):
                    return refuse(identity)
                return respond(http.HTTPStatus.OK, self._metrics(), CONTENT_TYPE)
        return serve_file(self._files, request)

    def _admit(self, connection: Connection, request: Request) -> Response | None:
        if request.method != "GET" or "websocket" not in request.headers.get("Upgrade", "").lower():
            return respond(
                http.HTTPStatus.UPGRADE_REQUIRED,
                f"This is a WebSocket: connect with a WebSocket client and the subprotocol {SUBPROTOCOL}.\n",
                Upgrade="websocket",
            )
        lines = request.headers.get_all("Sec-WebSocket-Protocol")
        offered = [name.strip() for line in lines for name in line.split(",")]
        if SUBPROTOCOL not in offered:
            return respond(
                http.HTTPStatus.BAD_REQUEST,
                f"Offer the subprotocol {SUBPROTOCOL} (Sec-WebSocket-Protocol); it names the version of this API.\n",
            )
        identity = self._access.subscriber(request.headers, offered, connection.address, time.monotonic())
        if isinstance(identity, Refusal):
            return refuse(identity)
        refusal = self._admission.admit(connection)
        if refusal is not None:
            return refuse(refusal)
        connection.identity = identity
        return None

    def _metrics(self) -> str:
        uptime_s = (time.monotonic_ns() - self._started_ns) / 1e9
        own, bridge = Exposition(), Exposition(metrics.PREFIX)
        metrics.of_process(own, round(time.time() - uptime_s, 1))
        metrics.of_server(bridge, self._watch.lag.worst_s(), self._refused, self._closed_slow)
        metrics.of_hub(bridge, self._hub)
        metrics.of_subscribers(bridge, self._hub, self._router, self._clients)
        return own.text() + bridge.text()

    def _state(self) -> dict[str, object]:
        clients = [connection.client for connection in self.connections() if connection.client is not None]
        return {
            "server": {"name": _NAME, "version": __version__, "page_built": self._files.built},
            "uptime_s": (time.monotonic_ns() - self._started_ns) / 1e9,
            "refused_requests": self._refused,
            "closed_too_slow": self._closed_slow,
            "clients": [
                {
                    "address": client.address,
                    "name": client.identity.name,
                    "role": client.identity.role,
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
