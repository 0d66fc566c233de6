"""A bridge that says what a test tells it to: the page's test double.

It serves the built page under a strict content security policy and speaks the contract of docs/websocket-api.md to
it, over a real socket. Nothing happens by itself: a test pushes devices, samples, gaps and epochs, so every state of
the page can be reproduced without waiting for it.
"""

from __future__ import annotations

import asyncio
import http
import json
import math
import struct
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

STATIC = Path(__file__).parents[2] / "bridge" / "telemetry_bridge" / "server" / "static"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
NOTES = {"health", "log", "fault"}
WAIT_S = 20.0

T = TypeVar("T")
Json = dict[str, Any]

GRAVITY = 9.80665

IMU_FIELDS: list[Json] = [
    *({"name": f"accel_{axis}", "unit": "m/s^2", "full_scale": 4 * GRAVITY} for axis in "xyz"),
    *({"name": f"gyro_{axis}", "unit": "rad/s", "full_scale": math.radians(500)} for axis in "xyz"),
]


def stream(
    name: str,
    sensor: str,
    rate_hz: float,
    fields: list[Json],
    state: str = "streaming",
    *,
    enabled: bool = True,
) -> Json:
    """A stream as a ``device`` message lists it."""
    return {
        "name": name,
        "sensor": sensor,
        "rate_hz": rate_hz,
        "measured_rate_hz": rate_hz,
        "fields": fields,
        "calibration": None,
        "state": state,
        "enabled": enabled,
        "latency_ms": 20.0,
    }


def device(identity: str = "3a0042001951363139343337", **changes: Any) -> Json:
    """A board with an MPU-6050 and two temperatures; ``changes`` replace keys of the message."""
    temperature = [{"name": "temperature", "unit": "degC"}]
    return {
        "id": identity,
        "state": "online",
        "board": "nucleo_f411re",
        "firmware": "0.1.0",
        "uid": identity,
        "boot_id": "7f3a11c2",
        "link": "serial:/dev/ttyACM0",
        "clock": {"state": "locked", "offset_ns": 0, "drift_ppm": 12.4, "uncertainty_ns": 84_000},
        "line": {"frames": 1200, "damaged_crc": 0, "damaged_cobs": 0},
        "warning": "",
        "streams": [
            stream("imu", "mpu6050", 1000.0, IMU_FIELDS),
            stream("imu_temp", "mpu6050", 10.0, temperature),
            stream("mcu_temp", "stm32f411", 10.0, temperature),
        ],
        **changes,
    }


def health(**changes: Any) -> Json:
    """The values of a health message."""
    return {
        "uptime_s": 4384,
        "cpu": 0.072,
        "supply_v": 3.294,
        "bus": {"nack": 0, "error": 0, "timeout": 0},
        "streams": {},
        **changes,
    }


class FakeBridge:
    """Server in a thread of its own. Methods may be called from the test's thread; they return when it is done.

    Args:
        accepts_since: whether a subscription may be resumed; a bridge that cannot answers ``unsupported``.

    Attributes:
        requests: every ``subscribe`` so far.
        commands: every ``command`` so far.
        results: what a command is answered with, by its name; without an entry it goes unanswered.
    """

    def __init__(self, *, accepts_since: bool = True) -> None:
        self.accepts_since = accepts_since
        self.port = 0
        self.devices: dict[str, Json] = {}
        self.requests: list[Json] = []
        self.commands: list[Json] = []
        self.results: dict[str, Json] = {}
        self.epochs: dict[tuple[str, str], int] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fake bridge", daemon=True)
        self._server: Server | None = None
        self._clients: set[ServerConnection] = set()
        self._subs: dict[tuple[str, str], int] = {}
        self._wildcards: list[Json] = []
        self._last_sub = 0
        self._sequence: dict[int, int] = {}
        self._changed = threading.Condition()

    @property
    def url(self) -> str:
        """Address of the page."""
        return f"http://127.0.0.1:{self.port}/"

    # ---------------------------------------------------------------- life

    def __enter__(self) -> FakeBridge:
        self._thread.start()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WAIT_S)
        self._loop.close()

    def start(self) -> None:
        """Listen, the second time on the same port."""

        async def listen() -> Server:
            return await serve(
                self._talk,
                "127.0.0.1",
                self.port,
                process_request=self._serve_file,
                subprotocols=[Subprotocol("telemetry-bridge.v1")],
                compression=None,
            )

        self._server = self._do(listen())
        self.port = int(next(iter(self._server.sockets)).getsockname()[1])

    def stop(self) -> None:
        """Close every connection and the port."""
        server, self._server = self._server, None
        if server is None:
            return

        async def close() -> None:
            server.close()
            await server.wait_closed()

        self._do(close())

    # ---------------------------------------------------------- what it says

    def show(self, description: Json) -> None:
        """A device appears or changes."""
        self.devices[description["id"]] = description
        self.say({"op": "device", "device": description})
        for request in self._wildcards:
            if (description["id"], request["stream"]) not in self._subs:
                added = self._subscribe(description["id"], request["stream"])
                self.say({"op": "subscription_added", "request": request["id"], "subscription": added})

    def say(self, message: Json) -> None:
        """Any text message, to every client."""
        self._send(json.dumps(message))

    def note(self, identity: str, kind: str, body: Json) -> None:
        """A health, log or fault message."""
        self.say({"op": kind, "sub": self.sub(identity, kind), "seq": 0, "device": identity, "data": body})

    def samples(  # noqa: PLR0917
        self,
        identity: str,
        name: str,
        index: int,
        start_s: float,
        rate_hz: float,
        values: npt.ArrayLike,
        batch: int = 20,
    ) -> int:
        """Push samples in batches.

        Args:
            start_s: Unix time of the first sample.
            values: shape ``(fields, samples)``.

        Returns:
            Index that comes next.
        """
        columns = np.asarray(values, dtype="<f4")
        sub, period = self.sub(identity, name), round(1e9 / rate_hz)
        for first in range(0, columns.shape[1], batch):
            part = np.ascontiguousarray(columns[:, first : first + batch])
            seq = self._sequence[sub] = self._sequence.get(sub, -1) + 1
            time_ns = round(start_s * 1e9) + first * period
            header = struct.pack(
                "<BBHIQQIHH", 1, 1, sub, seq, index + first, time_ns, period, part.shape[1], part.shape[0]
            )
            self._send(header + part.tobytes())
        return index + int(columns.shape[1])

    def gap(self, identity: str, name: str, index: int, count: int | None, cause: str) -> None:
        """Samples that will not come."""
        self.say(
            {
                "op": "gap",
                "sub": self.sub(identity, name),
                "index": index,
                "count": count,
                "estimated": False,
                "cause": cause,
            }
        )

    def epoch(self, identity: str, name: str, epoch: int, fields: list[Json]) -> None:
        """The stream's index starts anew."""
        self.epochs[(identity, name)] = epoch
        sub = self.sub(identity, name)
        self.say({"op": "epoch", "sub": sub, "epoch": epoch, "boot_id": "x", "fields": fields, "next_index": 0})

    def command(self, name: str) -> Json:
        """Arguments of the newest command of that name; waits until there is one."""
        self.wait(lambda: any(one["name"] == name for one in self.commands), f"the command {name}")
        args: Json = next(one["args"] for one in reversed(self.commands) if one["name"] == name)
        return args

    def raw(self, message: str | bytes) -> None:
        """Any message at all."""
        self._send(message)

    # ------------------------------------------------------- what it is asked

    def sub(self, identity: str, name: str) -> int:
        """Number of the page's subscription to a stream; waits until there is one."""
        self.wait(lambda: (identity, name) in self._subs, f"a subscription to {name} of {identity}")
        return self._subs[(identity, name)]

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for something that a client's message makes true."""
        with self._changed:
            if not self._changed.wait_for(condition, WAIT_S):
                raise TimeoutError(f"the page did not send {what}")

    # ------------------------------------------------------------- internals

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(WAIT_S)

    def _send(self, message: str | bytes) -> None:
        async def send() -> None:
            for client in tuple(self._clients):
                await client.send(message)

        self._do(send())

    async def _talk(self, client: ServerConnection) -> None:
        welcome = {"op": "welcome", "api": 1, "server": {"name": "fake", "version": "0"}, "role": "operator"}
        await client.send(json.dumps(welcome | {"time_ns": time.time_ns()}))
        self._clients.add(client)
        for description in self.devices.values():
            await client.send(json.dumps({"op": "device", "device": description}))
        try:
            async for message in client:
                for answer in self._answers(json.loads(message)):
                    await client.send(json.dumps(answer))
        except ConnectionClosed:
            pass
        finally:
            self._clients.discard(client)
            with self._changed:
                self._subs.clear()
                self._wildcards.clear()

    def _answers(self, request: Json) -> Sequence[Json]:
        """What a request is answered with; a subscription counts from here on."""
        if request["op"] == "command":
            result = self.results.get(request["name"])
            with self._changed:
                self.commands.append(request)
                self._changed.notify_all()
            return [] if result is None else [{"op": "result", "id": request["id"], **result}]
        if request["op"] == "history":  # as a bridge that keeps nothing
            return [{"op": "error", "id": request["id"], "code": "unknown_op", "message": "no history here"}]
        if "since" in request and not self.accepts_since:
            answers: list[Json] = [
                {"op": "error", "id": request["id"], "code": "unsupported", "message": "no since here"}
            ]
        else:
            if request["device"] == "*":
                self._wildcards.append(request)
            names = list(self.devices) if request["device"] == "*" else [request["device"]]
            subscriptions = [self._subscribe(name, request["stream"]) for name in names]
            answers = [{"op": "subscribed", "id": request["id"], "subscriptions": subscriptions}]
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()
        return answers

    def _subscribe(self, identity: str, name: str) -> Json:
        with self._changed:
            self._last_sub += 1
            sub = self._subs[(identity, name)] = self._last_sub
            self._changed.notify_all()
        fields: list[Json] = next(
            (one["fields"] for one in self.devices[identity]["streams"] if one["name"] == name), []
        )
        epoch = self.epochs.get((identity, name), 7)
        return {"sub": sub, "device": identity, "stream": name, "epoch": epoch, "fields": fields}

    def _serve_file(self, _: ServerConnection, request: Request) -> Response | None:
        if request.path == "/ws":
            return None
        if request.path == "/ticket":
            body = b'{"ticket":null,"role":"operator","expires_s":30}'
            return Response(200, "OK", Headers([("Content-Length", str(len(body))), ("Connection", "close")]), body)
        name = "index.html" if request.path == "/" else request.path.removeprefix("/")
        file = (STATIC / name).resolve()
        if not file.is_relative_to(STATIC) or not file.is_file():
            return Response(404, "Not Found", Headers([("Content-Length", "0"), ("Connection", "close")]))
        body = file.read_bytes()
        headers = Headers(
            [
                ("Content-Type", TYPES.get(file.suffix, "application/octet-stream")),
                ("Content-Length", str(len(body))),
                ("Content-Security-Policy", POLICY),
                ("X-Content-Type-Options", "nosniff"),
                ("Connection", "close"),
            ]
        )
        return Response(http.HTTPStatus.OK.value, "OK", headers, body)
