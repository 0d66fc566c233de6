"""A bridge that runs on this machine: asked to let go of a port, and to take it back (docs/websocket-api.md)."""

from __future__ import annotations

import contextlib
import json
from types import TracebackType
from typing import Any, Self

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from telemetry_bridge.errors import BridgeError

ANSWER_S = 10.0


class RunningBridge:
    """A connection to it; a context manager."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._last_id = 0

    @classmethod
    def find(cls, http_port: int) -> Self | None:
        """The bridge that serves this port of the loopback; None if none does."""
        try:
            connection = connect(
                f"ws://localhost:{http_port}/ws", subprotocols=[Subprotocol("telemetry-bridge.v1")], max_size=None
            )
        except (OSError, WebSocketException):
            return None
        return cls(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError, WebSocketException):
            self._connection.close()

    def release(self, target: str | None, *, lease: bool = False) -> list[str]:
        """Let it close a port; with ``lease`` it takes it back when this connection ends, however that happens.

        Returns:
            URIs of the ports.

        Raises:
            BridgeError: it has no such port or device, or does not answer.
        """
        return self._ask({"op": "release", "target": target, "lease": lease})

    def resume(self, target: str | None) -> list[str]:
        """Let it take a port back; see :meth:`release`."""
        return self._ask({"op": "resume", "target": target})

    def _ask(self, request: dict[str, Any]) -> list[str]:
        self._last_id += 1
        try:
            self._connection.send(json.dumps({"id": self._last_id, **request}))
            while True:
                message = json.loads(self._connection.recv(ANSWER_S))
                if message.get("id") == self._last_id:
                    break
        except (OSError, WebSocketException, TimeoutError) as error:
            raise BridgeError(f"the running bridge does not answer: {error}") from None
        if message["op"] == "error":
            raise BridgeError(message["message"])
        return [port["link"] for port in message["ports"]]
