"""A running bridge, asked from outside: commands, and ports to let go of (docs/websocket-api.md)."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import ssl
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.http11 import Response
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from telemetry_bridge.errors import BridgeError
from telemetry_bridge.private import is_local, open_private

ANSWER_S: Final = 10.0
_SCHEMES: Final = {"": "ws", "ws": "ws", "http": "ws", "wss": "wss", "https": "wss"}
_REFUSALS: Final = frozenset({401, 403, 429, 503})


TOKEN_VARIABLE: Final = "TELEMETRY_BRIDGE_TOKEN"
"""Where the token is looked for that no file holds."""

# What this library says when it debugs are the headers of its requests, with the token in them.
_log = logging.getLogger(__name__)
_log.addFilter(lambda record: record.levelno > logging.DEBUG)


_BATCH: Final = struct.Struct("<BBHIQQIHH")
"""Head of a binary batch (docs/websocket-api.md)."""


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """A batch of a stream without a hole.

    Attributes:
        index: of the first sample.
        time_ns: Unix time of the first sample.
        period_ns: time from one to the next; 0 for a single one.
        values: SI, shape ``(fields, samples)``.
    """

    stream: str
    index: int
    time_ns: int
    period_ns: int
    values: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Where:
    """How a running bridge is reached.

    Attributes:
        address: a TCP port of the loopback, or what a person writes: with or without scheme and path.
        token_file: file with the token in it and nothing else; None: :data:`TOKEN_VARIABLE` of the environment, if any.
        ca_file: certificates (PEM) that may sign the bridge's; None: those that this machine trusts.
    """

    address: int | str = 8765
    token_file: Path | None = None
    ca_file: Path | None = None

    @property
    def url(self) -> str:
        """Of its WebSocket.

        Raises:
            BridgeError: it is no address of one, or has a secret in it.
        """
        text = f"localhost:{self.address}" if isinstance(self.address, int) else self.address
        scheme, found, rest = text.rpartition("://")
        if found and scheme not in _SCHEMES:
            raise BridgeError(f"{scheme}:// is no address of a bridge; ws://HOST:PORT and wss://HOST:PORT are")
        parts = urlsplit(f"//{rest}")
        if "@" in parts.netloc or parts.query:
            raise BridgeError(f"an address shows whatever is in it: put the token into {TOKEN_VARIABLE} or a file")
        path = parts.path if parts.path.strip("/") else "/ws"
        return f"{_SCHEMES[scheme]}://{parts.netloc}{path}"

    def token(self) -> str | None:
        """The token to show, None for none.

        Raises:
            BridgeError: the file cannot be read, or others can read it too.
        """
        if self.token_file is None:
            return os.environ.get(TOKEN_VARIABLE, "").strip() or None
        with os.fdopen(open_private(self.token_file), encoding="utf-8", errors="replace") as file:
            text = file.read(1000).strip()
        if not text or not text.isprintable() or not text.isascii() or " " in text:
            raise BridgeError(f"{self.token_file}: has to hold one token and nothing else")
        return text

    def security(self) -> ssl.SSLContext | None:
        """How TLS is to be done; None without.

        Raises:
            BridgeError: the certificates cannot be read.
        """
        if not self.url.startswith("wss:"):
            return None
        try:
            return ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise BridgeError(f"{self.ca_file}: no certificates in it: {error}") from None


def _refusal(url: str, response: Response, token: str | None) -> str:
    said = response.body.decode(errors="replace").strip().partition("\n")[0][:300]
    if response.status_code == HTTPStatus.UNAUTHORIZED and token is None:
        return f"{url} wants a token: put it into the environment as {TOKEN_VARIABLE}, or into a file for --token-file"
    return f"{url} refuses: {said or response.reason_phrase}"


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
    def find(cls, where: Where) -> Self | None:
        """The bridge there; None if none serves there.

        Raises:
            BridgeError: there is one, and it does not let this program in; or it is not the one it says it is.
        """
        url, token = where.url, where.token()
        local = is_local(urlsplit(url).hostname or "")
        if token is not None and url.startswith("ws:") and not local:
            raise BridgeError(f"{url}: everybody on the way could read the token; use wss://, or ssh -L and localhost")
        try:
            connection = connect(
                url,
                ssl=where.security(),
                subprotocols=[Subprotocol("telemetry-bridge.v1")],
                additional_headers={} if token is None else {"Authorization": f"Bearer {token}"},
                compression=None,
                max_size=None,
                proxy=None if local else True,
                logger=_log,
            )
        except InvalidStatus as error:
            if error.response.status_code in _REFUSALS:
                raise BridgeError(_refusal(url, error.response, token)) from None
            return None
        except ssl.SSLCertVerificationError as error:
            reason = error.verify_message
            raise BridgeError(f"{url}: its certificate is not trusted: {reason}; --ca-file names who signs") from None
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

    def samples(self, device: str, streams: Sequence[str], *, calibrated: bool = True) -> Iterator[Samples]:
        """Every sample of some streams of a device, as they come; what is missing shows in index and time.

        Args:
            calibrated: whether its calibration is applied, where it has one.

        Raises:
            BridgeError: there is no such stream, nothing comes any more, or the bridge went away.
        """
        named: dict[int, str] = {}
        for stream in streams:
            self._last_id += 1
            request = {"op": "subscribe", "id": self._last_id, "device": device, "stream": stream}
            self._send(json.dumps({**request, "calibrated": calibrated}))
        while True:
            message = self._receive()
            if isinstance(message, bytes):
                kind, _, sub, _, index, time_ns, period_ns, count, fields = _BATCH.unpack_from(message)
                if kind == 1 and sub in named:
                    values = np.frombuffer(message, "<f4", offset=_BATCH.size).reshape(fields, count)
                    yield Samples(named[sub], index, time_ns, period_ns, values)
                continue
            told = _decode(message)
            if told.get("op") == "error":
                raise BridgeError(told["message"])
            for subscription in told.get("subscriptions", ()):
                named[subscription["sub"]] = subscription["stream"]

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
        self._send(json.dumps({"id": self._last_id, **request}))
        deadline_s = time.monotonic() + ANSWER_S
        while True:
            text = self._receive(deadline_s - time.monotonic())
            if isinstance(text, bytes):
                continue  # samples that were asked for before
            message = _decode(text)
            if message.get("op") == "device":
                self.devices[message["device"]["id"]] = message["device"]
            if message.get("id") == self._last_id:
                break
        if message["op"] == "error":
            raise BridgeError(message["message"])
        return message

    def _send(self, text: str) -> None:
        try:
            self._connection.send(text)
        except (OSError, WebSocketException) as error:
            raise BridgeError(f"the running bridge does not answer: {error}") from None

    def _receive(self, timeout_s: float = ANSWER_S) -> str | bytes:
        try:
            return self._connection.recv(max(timeout_s, 0))
        except (OSError, WebSocketException, TimeoutError) as error:
            raise BridgeError(f"the running bridge does not answer: {str(error) or 'nothing comes'}") from None


def _decode(text: str) -> dict[str, Any]:
    try:
        message = json.loads(text)
    except ValueError:
        message = None
    if not isinstance(message, dict):
        raise BridgeError(f"this is no message of a bridge: {text[:80]!r}")
    return message
