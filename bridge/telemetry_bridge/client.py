"""A bridge that runs on this machine, asked from outside: commands, and ports to let go of (docs/websocket-api.md)."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from telemetry_bridge.errors import BridgeError

ANSWER_S = 10.0


def url_of(where: int | str) -> str:
    """The WebSocket's address from a TCP port, or from what a person writes: with or without scheme and path."""
    text = f"localhost:{where}" if isinstance(where, int) else where.removeprefix("http://").removeprefix("ws://")
    return f"ws://{text}" if urlsplit(f"//{text}").path.strip("/") else f"ws://{text.rstrip('/')}/ws"


class RunningBridge:
    """A connection to it; a context manager.

    Attributes:
        devices: its devices by id, as it has told them so far.
    """

    def __init__(self, connection: ClientConnection) -> None:
        self.devices: dict[str, dict[str, Any]] = {}
        self._connection = connection
        self._last_id = 0

    @classmethod
    def find(cls, where: int | str) -> Self | None:
        """The bridge at this TCP port of the loopback, or at this address; None if none serves there."""
        try:
            connection = connect(url_of(where), subprotocols=[Subprotocol("telemetry-bridge.v1")], max_size=None)
        except (OSError, WebSocketException, ValueError):
            return None
        return cls(connection)

    def __enter__(self) -> Self:
        self._connection.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError, WebSocketException):
            self._connection.__exit__(kind, error, trace)

    def release(self, target: str | None, *, lease: bool = False) -> list[str]:
        """Let it close a port; with ``lease`` it takes it back when this connection ends, however that happens.

        Returns:
            URIs of the ports.

        Raises:
            BridgeError: it has no such port or device, or does not answer.
        """
        return [port["link"] for port in self._ask(op="release", target=target, lease=lease)["ports"]]

    def resume(self, target: str | None) -> list[str]:
        """Let it take a port back; see :meth:`release`."""
        return [port["link"] for port in self._ask(op="resume", target=target)["ports"]]

    def command(self, device: str | None, name: str, args: Mapping[str, object]) -> dict[str, Any]:
        """Let a device carry out a command.

        Args:
            device: its id; None: the only one that is online.

        Returns:
            ``ok`` and ``data``; where the board refused also ``code`` and ``message``.

        Raises:
            BridgeError: there is no such device, the command never reached it, or the bridge does not answer.
        """
        message = self._ask(op="command", device=device or self._only_device(), name=name, args=args)
        return {key: value for key, value in message.items() if key not in {"op", "id"}}

    def online(self) -> list[dict[str, Any]]:
        """Its devices that are online now.

        Raises:
            BridgeError: it does not answer.
        """
        self._ask(op="subscribe", device="*", stream="fault")  # every device has been told before the answer
        return [device for device in self.devices.values() if device["state"] == "online"]

    def _only_device(self) -> str:
        online = self.online()
        if len(online) != 1:
            names = ", ".join(
                f"{device['id']} ({device['board']}, {device['state']})" for device in (online or self.devices.values())
            )
            raise BridgeError(
                f"more than one device is online, say which (--device): {names}"
                if online
                else f"no device is online; the bridge knows: {names or 'none'}"
            )
        return str(online[0]["id"])

    def _ask(self, **request: object) -> dict[str, Any]:
        self._last_id += 1
        try:
            self._connection.send(json.dumps({"id": self._last_id, **request}))
            while True:
                message: dict[str, Any] = json.loads(self._connection.recv(ANSWER_S))
                if message.get("op") == "device":
                    self.devices[message["device"]["id"]] = message["device"]
                if message.get("id") == self._last_id:
                    break
        except (OSError, WebSocketException, TimeoutError) as error:
            raise BridgeError(f"the running bridge does not answer: {error}") from None
        if message["op"] == "error":
            raise BridgeError(message["message"])
        return message
