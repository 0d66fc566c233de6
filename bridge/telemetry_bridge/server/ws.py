"""One WebSocket connection: its requests, its queue, and what happens when it does not read."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Iterable
from typing import Any, Final

from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.protocol import State

from telemetry_bridge.config import Limits
from telemetry_bridge.errors import BridgeError, CommandError
from telemetry_bridge.events import DeviceInfo, Mark, WireArgs
from telemetry_bridge.hub import Hub
from telemetry_bridge.ports import Holder
from telemetry_bridge.server.commands import refusal_text, result_data, to_wire
from telemetry_bridge.server.connection import Connection
from telemetry_bridge.server.requests import (
    Command,
    History,
    Release,
    RequestError,
    Resume,
    Subscribe,
    Unsubscribe,
    parse_request,
)
from telemetry_bridge.server.requests import Mark as MarkRequest
from telemetry_bridge.server.roles import Identity, require_operator
from telemetry_bridge.server.router import Router
from telemetry_bridge.server.subscriber_queue import Feed, SubscriberQueue
from telemetry_bridge.server.wire_format import (
    API_VERSION,
    Part,
    answer,
    encode_json,
    error_message,
    frame_head,
    result_message,
)

SUBPROTOCOL: Final = "telemetry-bridge.v1"

_SUB_MAX: Final = 2**16 - 1
_REQUESTS_AT_ONCE: Final = 16
"""Requests of one client before the others have their turn."""
_log = logging.getLogger(__name__)


class Client:
    """A subscriber: one WebSocket connection after its handshake.

    Nothing here waits for the client. What goes to it passes through its queue, from which it is written for as long
    as the transport takes it; the transport says when it takes more.

    Args:
        connection: open connection.
        hub: where commands go.
        router: where subscriptions are kept.
        limits: of the server.
        server_info: ``name`` and ``version`` for the welcome.
    """

    def __init__(
        self, connection: Connection, hub: Hub, router: Router, limits: Limits, server_info: dict[str, str]
    ) -> None:
        self.queue = SubscriberQueue(limits.queue_bytes, limits.queue_messages)
        self.sent_messages = 0
        self._connection = connection
        self._hub = hub
        self._router = router
        self._limits = limits
        self._last_sub = 0
        self._closing: asyncio.Task[None] | None = None
        self._commands: set[asyncio.Task[None]] = set()
        self._leased: list[Holder] = []
        self._stall: asyncio.TimerHandle | None = None
        self._stall_size = 0
        self._catching_up: asyncio.Handle | None = None
        self.identity: Identity = connection.identity
        connection.client = self
        welcome = {
            "op": "welcome",
            "api": API_VERSION,
            "server": server_info,
            "role": self.identity.role,
            "time_ns": hub.clock.now_ns(),
        }
        self.queue.put_control(encode_json(welcome))
        router.add(self)
        self.flush()

    @property
    def address(self) -> str:
        """IP address of the client."""
        return self._connection.address

    @property
    def too_slow(self) -> bool:
        """Whether it was closed because it read too slowly."""
        return self._closing is not None

    async def serve(self) -> None:
        """Carry out what the client asks for until the connection ends."""
        try:
            received = 0
            async for message in self._connection:
                self.receive(message)
                received += 1
                if received % _REQUESTS_AT_ONCE == 0:  # what has come already is handed out without any pause
                    await asyncio.sleep(0)
        except ConnectionClosed:
            pass
        finally:
            self.gone()
            if self._commands:
                await asyncio.wait(self._commands)
            if self._closing is not None:
                await self._closing

    def gone(self) -> None:
        """The connection has ended: let go of everything. May be called again."""
        self._router.remove(self)
        if self._stall is not None:
            self._stall.cancel()
        if self._catching_up is not None:
            self._catching_up.cancel()
        for task in self._commands:
            task.cancel()
        for holder in self._leased:
            holder.resume()
        self._leased = []

    # ---------------------------------------------------------------- sending

    def flush(self) -> None:
        """Write what waits, as far as the transport takes it now; close a client that is hopelessly behind."""
        connection, queue = self._connection, self.queue
        if not self._is_open:
            return
        while not connection.paused:
            message = queue.pop()
            if message is None:
                return
            self._write(message.data, text=message.text)
        if queue.hopeless:
            self.close_slow("the answers alone fill the queue")

    def deliver(self, feed: Feed, parts: Iterable[Part]) -> None:
        """Send samples of a subscription: at once if nothing waits, else by way of the queue."""
        connection, queue = self._connection, self.queue
        for part in parts:
            if connection.paused or queue or not self._is_open:
                queue.put_data(feed, part)
            else:
                self._write(feed.message(part), text=feed.text)
        if queue:
            self.flush()

    @property
    def _is_open(self) -> bool:
        """Whether anything may still be sent."""
        return self._closing is None and self._connection.protocol.state is State.OPEN

    def _write(self, data: bytes, *, text: bool) -> None:
        # Straight to the transport, as websockets.broadcast() does; its Frame costs more than all else here. There are
        # no extensions and no fragments, so nothing of the protocol's state changes.
        self.sent_messages += 1
        self._connection.transport.write(frame_head(len(data), text=text) + data)

    def paused(self) -> None:
        """The transport takes no more: take no more either (pongs pass the queue); watch whether the client reads."""
        self._connection.transport.pause_reading()
        self._stall_size = self._connection.transport.get_write_buffer_size()
        self._watch()

    def resumed(self) -> None:
        """The transport takes more."""
        self._connection.transport.resume_reading()
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
        self.flush()
        self._catch_up()

    def takes_more(self) -> bool:
        """Whether what is delivered now goes out at once."""
        return self._is_open and not self._connection.paused and not self.queue

    def _catch_up(self) -> None:
        """Go on with what resumed subscriptions missed, a little at a time, so that the others have their turn."""
        if self._catching_up is not None:
            self._catching_up.cancel()
            self._catching_up = None
        if self._router.catch_up(self):
            self._catching_up = self._connection.loop.call_soon(self._catch_up)

    def _watch(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
        self._stall = self._connection.loop.call_later(self._limits.stall_s, self._check_progress)

    def _check_progress(self) -> None:
        size = self._connection.transport.get_write_buffer_size()
        if size < self._stall_size:
            self._stall_size = size
            self._watch()
        else:
            self.close_slow(f"nothing was read for {self._limits.stall_s:g} s")

    def close_slow(self, reason: str) -> None:
        """Close with 1013 (try again later); cut the connection if that cannot be delivered in time."""
        if not self._is_open:
            return
        fields = {"subscriber": self.identity.name, "address": self.address}
        _log.warning("subscriber %s is hopelessly behind and was closed: %s", self.address, reason, extra=fields)
        self.gone()
        self.queue = SubscriberQueue(0, 0)
        self._connection.cut_after(self._limits.abort_s)
        self._closing = self._connection.loop.create_task(
            self._connection.close(CloseCode.TRY_AGAIN_LATER, f"too slow: {reason}")
        )

    # --------------------------------------------------------------- requests

    def room(self) -> bool:
        """Whether the connection may have one more subscription."""
        return self._router.load(self) < self._limits.subscriptions

    def new_sub(self) -> int:
        """A number for a new subscription, 1 … 65535; none is used twice.

        Raises:
            RequestError: ``too_many`` when all are used.
        """
        if self._last_sub == _SUB_MAX:
            raise RequestError("too_many", "this connection has used all subscription numbers; open a new one")
        self._last_sub += 1
        return self._last_sub

    def receive(self, message: str | bytes) -> None:
        """Carry out one message of the client; what is wrong with it is answered with ``error``.

        Whoever is being closed (its token is gone, it is too slow) is not obeyed any more, whatever it sent before.
        """
        if self._connection.ending or self._closing is not None:
            return
        try:
            if isinstance(message, bytes):
                raise RequestError("bad_request", "binary messages are not understood; send JSON text")
            request = parse_request(message)
            match request:
                case Subscribe():
                    self._subscribe(request)
                case Unsubscribe():
                    self._unsubscribe(request)
                case Command():
                    require_operator(self, request)
                    self._command(request)
                case Release():
                    require_operator(self, request)
                    self._check_busy(request)
                    self._start(self._release(request, self._holders(request)))
                case Resume():
                    require_operator(self, request)
                    self._resume(request, self._holders(request))
                case MarkRequest():
                    require_operator(self, request)
                    self._mark(request)
                case History():
                    self._history(request)
        except RequestError as error:
            self._say(error_message(error.request, error.code, str(error)))

    def _say(self, message: bytes) -> None:
        self.queue.put_control(message)
        self.flush()

    def _subscribe(self, request: Subscribe) -> None:
        made = self._router.subscribe(self, request)
        self._say(answer("subscribed", request.id, subscriptions=[item.describe() for item in made]))
        for subscription in made:
            self._router.send_latest(subscription)
        self.flush()
        self._catch_up()

    def _unsubscribe(self, request: Unsubscribe) -> None:
        if (request.sub is None) == (request.request is None):
            raise RequestError("bad_request", "unsubscribe: either sub or request is needed", request.id)
        ended = [
            item
            for item in self._router.subscriptions(self)
            if (item.feed.sub == request.sub if request.request is None else item.request == request.request)
        ]
        wildcards = [
            item
            for item in self._router.wildcards(self)
            if request.request is not None and item.request.id == request.request
        ]
        if not ended and not wildcards:
            what = f"subscription {request.sub}" if request.request is None else f"request {request.request!r}"
            raise RequestError("unknown_subscription", f"this connection has no {what}", request.id)
        for subscription in ended:
            self._router.unsubscribe(subscription)
        for wildcard in wildcards:
            self._router.end_wildcard(wildcard)
        self._say(answer("ok", request.id))

    def _mark(self, request: MarkRequest) -> None:
        if request.device != "*" and request.device not in self._hub.devices:
            raise RequestError("unknown_device", f"there is no device {request.device[:80]!r}", request.id)
        mark = Mark(request.device, self._hub.clock.now_ns(), request.text)
        self._hub.publish(mark)
        self._say(answer("ok", request.id, time_ns=mark.time_ns))

    def _history(self, request: History) -> None:
        self._say(answer("history", request.id, **self._router.history(request)))

    def _command(self, request: Command) -> None:
        self._check_busy(request)
        device = self._hub.devices.get(request.device)
        if device is None:
            raise RequestError("unknown_device", f"there is no device {request.device[:80]!r}", request.id)
        try:
            args = to_wire(device, request.name, request.args, time.monotonic_ns())
        except CommandError as error:
            raise RequestError(error.code, str(error), request.id) from None
        self._start(self._run(request, device, args))

    def _check_busy(self, request: Command | Release) -> None:
        if len(self._commands) >= self._limits.commands:
            raise RequestError("too_many", "too many commands wait for their board; wait for answers", request.id)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._connection.loop.create_task(work)
        self._commands.add(task)
        task.add_done_callback(self._commands.discard)

    def _holders(self, request: Release | Resume) -> list[Holder]:
        try:
            return self._hub.ports.find(request.target)
        except CommandError as error:
            raise RequestError(error.code, str(error), request.id) from None

    async def _release(self, request: Release, holders: list[Holder]) -> None:
        if request.lease:
            self._leased += holders
        for holder in holders:
            await holder.release()
        self._say(answer("released", request.id, ports=_ports(holders)))

    def _resume(self, request: Resume, holders: list[Holder]) -> None:
        for holder in holders:
            holder.resume()
        self._leased = [holder for holder in self._leased if holder not in holders]
        self._say(answer("resumed", request.id, ports=_ports(holders)))

    async def _run(self, request: Command, device: DeviceInfo, args: WireArgs) -> None:
        self._say(await self._outcome(request, device, args))

    async def _outcome(self, request: Command, device: DeviceInfo, args: WireArgs) -> bytes:
        try:
            async with asyncio.timeout(self._limits.command_s):
                done = await self._hub.command(request.device, request.name, args)
        except TimeoutError:
            text = f"{request.name}: no answer within {self._limits.command_s:g} s"
            return result_message(request.id, {}, code="timeout", text=text)
        except CommandError as error:
            if error.code == "timeout":
                return result_message(request.id, {}, code="timeout", text=str(error))
            return error_message(request.id, error.code, str(error))
        except BridgeError as error:
            return error_message(request.id, "offline", str(error))
        except Exception:  # noqa: BLE001 - a handler is foreign code, and each request gets exactly one answer
            _log.exception("command %s failed", request.name)
            return error_message(request.id, "internal", f"{request.name}: the bridge failed; its log says more")
        data = result_data(done, device, request.args)
        if done.ok:
            return result_message(request.id, data)
        text = refusal_text(done, device, request.args)
        return result_message(request.id, data, code=done.status, text=text)


def _ports(holders: Iterable[Holder]) -> list[dict[str, str | None]]:
    return [{"link": holder.uri, "device": holder.device} for holder in holders]
