"""The simulated board, a wire that does harm, session, hub, and a subscriber that reads when it likes: in virtual time.

What really happened is kept beside it: what the board took, what it sent, and what of that came through.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from websockets.protocol import State

from bridge.server_helpers import Samples, decode
from telemetry_bridge.config import Limits
from telemetry_bridge.derived.deriver import Deriver
from telemetry_bridge.derived.orientation import Orientation
from telemetry_bridge.events import Batch, CommandDone, EpochStarted, Event, Gap
from telemetry_bridge.hub import Hub
from telemetry_bridge.server.connection import Connection
from telemetry_bridge.server.roles import LOCAL
from telemetry_bridge.server.router import Router
from telemetry_bridge.server.ws import Client
from telemetry_bridge.session import Session
from telemetry_bridge.session.run import PLAUSIBLE_US
from telemetry_bridge.sim import SimulatedDevice
from telemetry_protocol import Decoder, Frame, messages

MS = 1_000_000
SECOND = 1_000_000_000
STEP_NS = 5 * MS
STALL_NS = 4 * SECOND
"""The subscriber reads on after this long: behind a line that loses something all the time, the gaps alone would fill
its queue, and it would be closed."""


@dataclass
class Boot:
    """What is true of one stream in one boot of the board.

    Attributes:
        sent: raw bytes of each sample that a frame carried, by index.
        arrived: indexes in frames that came through.
        frames: for each frame of any kind, in the order sent: which stream's indexes, and whether it came through.
    """

    sent: dict[int, bytes] = field(default_factory=dict)
    arrived: set[int] = field(default_factory=set)


class Wire:
    """Takes what the board sends apart into frames and does to each what it is told to."""

    def __init__(self) -> None:
        self.fates: deque[tuple[str, int]] = deque()
        self.swallows_descriptors = False
        self._rest = b""

    def carry(self, data: bytes) -> list[tuple[bytes, bytes]]:
        """Frames that are over: as they were sent, and what comes out at the other end."""
        *frames, self._rest = (self._rest + data).split(b"\0")
        return [(frame + b"\0", self._harm(frame + b"\0")) for frame in frames]

    def cut(self) -> bytes:
        """The board was reset in the middle of a frame: what has left of it."""
        rest, self._rest = self._rest, b""
        return rest

    def _harm(self, frame: bytes) -> bytes:
        (item, *_) = [*Decoder().feed(frame), None]
        if self.swallows_descriptors and isinstance(item, Frame) and item.type == messages.Stream.TYPE:
            return b""
        if not self.fates:
            return frame
        fate, where = self.fates.popleft()
        place = where % len(frame)
        match fate:
            case "swallow":
                return b""
            case "flip":
                return frame[:place] + bytes([frame[place] ^ (1 << where % 8)]) + frame[place + 1 :]
            case "cut":
                return frame[:place]
            case "twice":
                return frame + frame
            case "noise":
                return bytes([where % 256, 7, 9]) + frame
            case _:
                return frame


class Reader:
    """The far end of a subscriber's connection, as far as the client of the server sees it."""

    def __init__(self) -> None:
        self.paused = self.ending = False
        self.client: Client | None = None
        self.request = None
        self.address, self.identity = "test", LOCAL
        self.messages: list[Samples | dict[str, Any]] = []
        self.transport = SimpleNamespace(write=self._take)
        self.protocol = SimpleNamespace(state=State.OPEN)

    def _take(self, data: bytes) -> None:
        """One whole message in a frame of RFC 6455, section 5.2."""
        payload = data[{126: 4, 127: 10}.get(data[1], 2) :]
        self.messages.append(json.loads(payload) if data[0] == 0x81 else decode(payload))


class LossBench:
    """All of it. ``STREAMS`` are watched."""

    STREAMS = ("imu", "imu_temp", "mcu_temp")

    def __init__(self, *, baud: int, seed: int) -> None:
        self.device = SimulatedDevice(seed=seed, baud=baud)
        self.wire = Wire()
        self.session = Session("sim:", wall_ns=0, monotonic_ns=0, baud=baud)
        self.deriver = Deriver([Orientation])
        self.hub = Hub()
        self.now_ns = 50 * SECOND
        self.events: list[Event] = []
        self.boots: dict[tuple[str, str], Boot] = {}
        self.log: list[tuple[str, str, range, bool]] = []
        """Each frame, in the order sent: boot, stream, its indexes (none if it has no samples), whether it came."""
        self._arriving = Decoder()
        self._reads_on_ns = 0
        self.hub.attach(self)
        limits = Limits(queue_bytes=65_536, queue_messages=1000)  # two seconds of samples; what waits longer is dropped
        router = self.router = Router(self.hub, limits)
        self.hub.attach(router)
        self.reader = Reader()
        self.client = Client(cast(Connection, self.reader), self.hub, router, limits, {})
        others = [("latest", "imu"), ("envelope", "imu"), ("every", "orientation"), ("latest", "orientation")]
        modes = [("every", stream) for stream in self.STREAMS] + others
        for number, (mode, stream) in enumerate(modes):
            wish = {"op": "subscribe", "id": number, "device": "*", "stream": stream, "mode": mode, "rate_hz": 7}
            self.client.receive(json.dumps(wish))

    def handle(self, event: Event) -> None:
        """A sink of the hub."""
        self.events.append(event)

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end_ns = self.now_ns + round(seconds * SECOND)
        while self.now_ns < end_ns:
            self.now_ns += STEP_NS
            boot = self._boot_id
            data = self.device.advance(self.now_ns)
            assert boot in ("", self._boot_id), "the board resets between steps only"
            for sent, received in self.wire.carry(data):
                self._hear(sent, received)
            self._publish(self.session.poll(self.now_ns))
            if self.reader.paused and self.now_ns >= self._reads_on_ns:
                self.read_on()
            output = self.session.take_output()
            if output:
                self.device.receive(output, self.now_ns)
            self.check_sums()

    def check_sums(self) -> None:
        """What /metrics states as always zero, is."""
        for (device, name), state in self.hub.streams().items():
            assert state.counters.unaccounted == 0
            assert self.hub.out_of_order(device, name) == 0
        for subscription in self.router.subscriptions(self.client):
            standing = self.hub.stream(subscription.device, subscription.stream)
            assert standing is None or subscription.unaccounted(standing) == 0

    def reboot(self) -> None:
        """Reset the board, perhaps in the middle of a frame.

        Not before it has been up for longer than times may be off: where HELLO is lost, two boots in so short a time
        cannot be told apart by their times.
        """
        while self.device.device_us(self.now_ns) <= PLAUSIBLE_US:
            self.run(0.1)
        rest = self.wire.cut()
        self._arriving.feed(rest)
        self._publish(self.session.receive(rest, self.now_ns))
        self.device.reboot()

    def change_range(self) -> None:
        """Let the board describe its IMU anew."""
        wanted = 39.0 if self.device.stream("imu").generation % 2 else 19.0
        self.session.command("set_range", {"stream": 0, "field": 0, "full_scale": wanted}, self.now_ns)

    def stall(self) -> None:
        """The subscriber stops reading, for :data:`STALL_NS` at most."""
        if not self.reader.paused:
            self.reader.paused = True
            self._reads_on_ns = self.now_ns + STALL_NS

    def read_on(self) -> None:
        """The subscriber reads all there is, and goes on."""
        self.reader.paused = False
        self.client.flush()

    @property
    def _boot_id(self) -> str:
        return f"{self.device.boot_id:08x}" if self.device.boots else ""

    def _publish(self, events: list[Event]) -> None:
        for event in events:
            if not isinstance(event, CommandDone):
                for passed in self.deriver.process(event):
                    self.hub.publish(passed)

    def _hear(self, sent: bytes, received: bytes) -> None:
        came = [self._samples(item) for item in self._arriving.feed(received) if isinstance(item, Frame)]
        for name, indexes, _ in came:
            self.boot(name).arrived.update(indexes)
        for item in Decoder().feed(sent):
            assert isinstance(item, Frame)
            name, indexes, data = self._samples(item)
            size = len(data) // max(len(indexes), 1)
            for place, index in enumerate(indexes):
                self.boot(name).sent[index] = data[place * size : (place + 1) * size]
            self.log.append((self._boot_id, name, indexes, bool(came)))
        self._publish(self.session.receive(received, self.now_ns))

    def boot(self, name: str, boot_id: str = "") -> Boot:
        """What is true of a stream in a boot, else in the one that goes on."""
        return self.boots.setdefault((boot_id or self._boot_id, name), Boot())

    def _samples(self, frame: Frame) -> tuple[str, range, bytes]:
        message = messages.unpack(frame.type, frame.payload)
        if not isinstance(message, messages.Samples):
            return "", range(0), b""
        stream = self.device.streams[message.stream_gen & 0x1F]
        count = len(message.data) // (2 * len(stream.sensor.fields))
        return stream.sensor.name, range(message.index, message.index + count), message.data


@dataclass
class Hole:
    """Missing indexes between two batches of one epoch, with the gaps that name them."""

    boot_id: str
    indexes: range
    gaps: list[Gap]

    def claimed(self, cause: str) -> int:
        """Samples that are said to be lost by a cause."""
        return sum(gap.count or 0 for gap in self.gaps if gap.cause == cause)


def holes(events: list[Event], name: str) -> list[Hole]:
    """Every hole of a stream that has an end."""
    found: list[Hole] = []
    boot_id, gaps = "", list[Gap]()
    for event in events:
        if not isinstance(event, EpochStarted | Batch | Gap) or event.stream != name:
            continue
        if isinstance(event, EpochStarted):
            boot_id, gaps = event.boot_id, []
        elif isinstance(event, Gap):
            gaps.append(event)
        elif gaps:
            found.append(Hole(boot_id, range(gaps[0].index, event.index), gaps))
            gaps = []
    return found


class Received:
    """What a subscriber has got of one subscription: each index comes once, or is named."""

    def __init__(self) -> None:
        self.sub = 0
        self.next_index: int | None = None
        self.samples = 0
        self.lost: Counter[str] = Counter()

    def take(self, message: Samples | dict[str, Any]) -> None:
        """Check one message."""
        if isinstance(message, Samples):
            assert message.index == self.next_index
            self.next_index = message.index + message.samples
            self.samples += message.samples
        elif message["op"] == "epoch":
            self.next_index = message["next_index"]
        elif message["op"] == "gap":
            assert message["index"] == self.next_index
            if message["count"] is None:
                self.next_index = None
                return
            self.next_index = message["index"] + message["count"]
            self.lost[message["cause"]] += message["count"]


def received(bench: LossBench) -> dict[str, Received]:
    """What the subscriber has got, by stream."""
    found: dict[int, Received] = {}
    names: dict[str, Received] = {}
    for message in bench.reader.messages:
        if isinstance(message, dict) and message["op"] == "subscription_added":
            added = message["subscription"]
            if message["request"] >= len(bench.STREAMS):  # of the others the sums are enough
                continue
            one = found[added["sub"]] = names[added["stream"]] = Received()
            one.sub, one.next_index = added["sub"], added["next_index"]
        sub = message.sub if isinstance(message, Samples) else message.get("sub")
        if sub in found:
            found[sub].take(message)
    return names
