"""A client of the push API, written from the words of docs/websocket-api.md alone: it imports nothing of the bridge.

:class:`Checker` judges every message of a connection: is it well-formed, is it about a subscription that there is, does
it go on where the last one ended, was what is missing said before. :class:`IndependentClient` is one on a socket.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

HEADER = struct.Struct("<BBHIQQIHH")
NOTES = {"health", "log", "fault", "mark"}
CAUSES = {"device", "wire", "host", "subscriber"}


@dataclass(frozen=True)
class Data:
    """One message of samples or of intervals."""

    sub: int
    seq: int
    epoch: int
    index: int
    time_ns: int
    period_ns: int
    columns: npt.NDArray[np.float64]

    @property
    def rows(self) -> int:
        """Samples or intervals."""
        return int(self.columns.shape[1])

    @property
    def times(self) -> list[int]:
        """Time of each, in ns."""
        return [self.time_ns + k * self.period_ns for k in range(self.rows)]


@dataclass(frozen=True)
class Gap:
    """Samples that do not come."""

    sub: int
    epoch: int
    index: int
    count: int | None
    cause: str


@dataclass(frozen=True)
class Begun:
    """A new epoch."""

    sub: int
    epoch: int
    index: int


@dataclass
class Subscription:
    """One subscription, as far as its messages tell.

    Attributes:
        start: epoch and index where it started.
        expected: index that comes next; None where nobody can know. In mode ``latest`` the least that may come.
        events: data, gaps and epochs, in order.
    """

    sub: int
    device: str
    stream: str
    mode: str
    format: str
    rate_hz: float
    calibrated: bool
    epoch: int
    fields: int
    expected: int | None
    start: tuple[int, int]
    events: list[Data | Gap | Begun] = field(default_factory=list)
    notes: list[dict[str, Any]] = field(default_factory=list)
    ended: bool = False
    _seq: int = -1
    _excused: bool = False  # a gap of cause subscriber explains why numbers are missing
    _last_ns: int = 0
    _open: bool = False  # envelope: the last message may stand for any number of samples

    @property
    def interval_ns(self) -> int:
        """Of an envelope."""
        return round(1e9 / self.rate_hz)

    @property
    def data(self) -> list[Data]:
        """What came."""
        return [event for event in self.events if isinstance(event, Data)]

    @property
    def gaps(self) -> list[Gap]:
        """What was said not to come."""
        return [event for event in self.events if isinstance(event, Gap)]

    def number(self, seq: int) -> None:
        """``seq`` counts, and leaves out only what was lost by this subscriber."""
        step = (seq - self._seq) % 2**32
        may_skip = self._excused or self.mode == "latest" or self.stream in NOTES
        assert step == 1 or (may_skip and 0 < step < 2**31), f"seq {seq} after {self._seq}"
        self._seq, self._excused = seq, False

    def take(self, data: Data) -> None:
        """Samples or intervals."""
        self.number(data.seq)
        assert data.rows >= 1
        assert data.period_ns > 0 or data.rows == 1
        assert data.columns.shape[0] == self.fields * (3 if self.mode == "envelope" else 1)
        if self.mode == "envelope":
            self._take_intervals(data)
        else:
            self._take_samples(data)
        self.events.append(data)

    def _take_samples(self, data: Data) -> None:
        if self.mode == "latest":
            assert data.rows == 1
            assert self.expected is None or data.index >= self.expected, f"{data.index} after {self.expected}"
        else:
            assert self.expected in {None, data.index}, f"{data.index} instead of {self.expected}, and no gap said so"
        assert data.time_ns > self._last_ns, "time goes on within an epoch"
        self._last_ns = data.times[-1]
        self.expected = data.index + data.rows

    def _take_intervals(self, data: Data) -> None:
        if self.expected is not None:
            assert data.index == self.expected or (self._open and data.index >= self.expected)
        assert data.time_ns % self.interval_ns == 0, "intervals begin at multiples of their length"
        assert data.period_ns == (self.interval_ns if self.interval_ns < 2**32 else 0)
        assert data.time_ns >= self._last_ns
        self._last_ns = data.times[-1]
        low, high, mean = data.columns[0::3], data.columns[1::3], data.columns[2::3]
        empty = np.isnan(mean)
        assert (np.isnan(low) == empty).all()
        assert (np.isnan(high) == empty).all()
        assert (empty | ((low <= mean) & (mean <= high))).all()
        # a message of empty intervals alone, as there is where each is a message of its own, stands for no sample
        self.expected, self._open = data.index + (0 if empty.all() else 1), True

    def lose(self, gap: Gap) -> None:
        """A gap comes before the data behind it, and where the last message ended."""
        assert gap.cause in CAUSES
        assert gap.count is None or gap.count > 0
        if self.expected is not None:
            loose = self.mode == "latest" or self._open
            assert gap.index == self.expected or (loose and gap.index >= self.expected), f"{gap} at {self.expected}"
        self._open = False
        self.expected = None if gap.count is None else gap.index + gap.count
        self._excused |= gap.cause == "subscriber"
        self.events.append(gap)

    def begin(self, epoch: int, fields: int, next_index: int) -> None:
        """A new run of the index."""
        assert epoch != self.epoch
        self.epoch, self.fields, self.expected, self._last_ns, self._open = epoch, fields, next_index, 0, False
        self.events.append(Begun(self.sub, epoch, next_index))


class Checker:
    """Everything that one connection says.

    Attributes:
        subscriptions: by number, also those that have ended.
        answers: by the id of the request.
        devices: newest description of each.
    """

    def __init__(self) -> None:
        self.subscriptions: dict[int, Subscription] = {}
        self.answers: dict[int | str | float, dict[str, Any]] = {}
        self.devices: dict[str, dict[str, Any]] = {}
        self._requests: dict[int | str | float, dict[str, Any]] = {}
        self._welcomed = False

    def asks(self, **request: Any) -> str:
        """A request on its way: its text."""
        assert request["id"] not in self._requests
        self._requests[request["id"]] = request
        return json.dumps(request)

    def receive(self, message: str | bytes) -> None:
        """Judge one message."""
        if isinstance(message, bytes):
            self._binary(message)
            return
        body = json.loads(message)
        assert self._welcomed == (body["op"] != "welcome"), "one welcome, first"
        self._welcomed = True
        if "id" in body:
            self._answer(body)
            return
        match body["op"]:
            case "device":
                self.devices[body["device"]["id"]] = body["device"]
            case "subscription_added":
                self._subscribed(self._requests[body["request"]], body["subscription"])
            case "epoch":
                subscription = self._of(body["sub"])
                subscription.begin(body["epoch"], len(body["fields"]), body["next_index"])
            case "gap":
                subscription = self._of(body["sub"])
                gap = Gap(body["sub"], subscription.epoch, body["index"], body["count"], body["cause"])
                assert isinstance(body["estimated"], bool)
                subscription.lose(gap)
            case "data":
                self._json(body)
            case op if op in NOTES:
                subscription = self._of(body["sub"])
                assert subscription.stream == op
                subscription.number(body["seq"])
                subscription.notes.append(body)
            case _:
                pass  # operations that a client does not know it ignores

    def _of(self, sub: int) -> Subscription:
        subscription = self.subscriptions[sub]
        assert not subscription.ended, f"subscription {sub} has ended"
        return subscription

    def _answer(self, body: dict[str, Any]) -> None:
        request = self._requests[body["id"]]
        assert body["id"] not in self.answers, "one answer"
        self.answers[body["id"]] = body
        if body["op"] == "subscribed":
            for item in body["subscriptions"]:
                self._subscribed(request, item)
        elif request["op"] == "unsubscribe" and body["op"] == "ok":
            self.subscriptions[request["sub"]].ended = True

    def _subscribed(self, request: dict[str, Any], item: dict[str, Any]) -> None:
        assert item["sub"] not in self.subscriptions
        assert item["stream"] == request["stream"]
        assert request["device"] in {"*", item["device"]}
        if (since := request.get("since")) is not None:
            assert (item["epoch"], item["next_index"]) == (since["epoch"], since["index"])
        self.subscriptions[item["sub"]] = Subscription(
            item["sub"], item["device"], item["stream"], request.get("mode", "every"),
            request.get("format", "binary"), request.get("rate_hz") or math.inf, request.get("calibrated", True),
            item["epoch"], len(item["fields"]), item["next_index"], (item["epoch"], item["next_index"]),
        )  # fmt: skip

    def _binary(self, message: bytes) -> None:
        kind, version, sub, seq, index, time_ns, period_ns, samples, fields = HEADER.unpack_from(message)
        subscription = self._of(sub)
        assert version == 1
        assert subscription.format == "binary"
        assert kind == (2 if subscription.mode == "envelope" else 1)
        assert fields == subscription.fields
        columns = fields * (3 if kind == 2 else 1)
        assert len(message) == HEADER.size + 4 * columns * samples
        values = np.frombuffer(message, "<f4", offset=HEADER.size).reshape(columns, samples).astype(np.float64)
        subscription.take(Data(sub, seq, subscription.epoch, index, time_ns, period_ns, values))

    def _json(self, body: dict[str, Any]) -> None:
        subscription = self._of(body["sub"])
        assert subscription.format == "json"
        values = np.array([[math.nan if x is None else x for x in column] for column in body["values"]], np.float64)
        subscription.take(
            Data(
                body["sub"], body["seq"], subscription.epoch, body["index"], body["time_ns"], body["period_ns"], values
            )
        )


class IndependentClient(Checker):
    """A checker on a socket; use it as ``async with await IndependentClient.join(port) as client``."""

    def __init__(self, ws: ClientConnection) -> None:
        super().__init__()
        self._ws = ws
        self._last_id = 0

    @classmethod
    async def join(cls, port: int) -> IndependentClient:
        """Connect."""
        offered = [Subprotocol("telemetry-bridge.v1")]
        return cls(await connect(f"ws://127.0.0.1:{port}/ws", subprotocols=offered, compression=None))

    async def __aenter__(self) -> IndependentClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._ws.close()

    async def ask(self, op: str, **rest: Any) -> dict[str, Any]:
        """Send a request and take what comes until it is answered."""
        self._last_id += 1
        number = self._last_id
        await self._ws.send(self.asks(op=op, id=number, **rest))
        while number not in self.answers:
            await self.next()
        return self.answers[number]

    async def subscribe(self, device: str, stream: str, **rest: Any) -> Subscription:
        """Subscribe to one stream of one device."""
        answer = await self.ask("subscribe", device=device, stream=stream, **rest)
        assert answer["op"] == "subscribed", answer
        (item,) = answer["subscriptions"]
        return self.subscriptions[item["sub"]]

    async def next(self) -> None:
        """Take one message."""
        self.receive(await self._ws.recv())
