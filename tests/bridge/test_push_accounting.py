"""Each sample of a stream is delivered, named by a gap, or skipped on purpose, once: for each subscriber, in each mode.

A stream with every kind of loss, epochs, pauses and changes of rate at once, and clients that read when they like,
leave and come back. What each of them got is compared with what there was, by plain loops; the contract itself is
watched by the checker that reads every message.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import pytest

from bridge.independent_client import Begun, Data, Gap, Subscription
from bridge.piped_client import Piped
from bridge.server_helpers import TIME_NS, device_info, stream_info
from telemetry_bridge import events
from telemetry_bridge.config import Limits
from telemetry_bridge.events import DeviceState, GapCause
from telemetry_bridge.hub import Hub
from telemetry_bridge.server.router import Router
from telemetry_bridge.server.subscriber_queue import Feed

DEVICE, STREAM = "dev-a", "imu"
FIELDS = stream_info().fields[:2]
CAUSES: Final[tuple[GapCause, ...]] = ("device", "wire", "host")
CLIENTS_MAX = 5
EMPTY_MAX = 1024  # of docs/websocket-api.md, "Modes"
LIMITS = Limits(queue_bytes=6000, queue_messages=25, recent_bytes=12_000, recent_s=20.0)


@dataclass
class Sample:
    """What the sensor said."""

    time_ns: int
    generation: int
    values: tuple[float, ...]
    nominal: tuple[float, ...]


@dataclass
class Run:
    """One epoch as it was: what became of each index."""

    epoch: int
    start: int
    next_index: int
    fate: dict[int, Sample | str] = field(default_factory=dict)


def value(index: int, column: int) -> float:
    """Awkward numbers, and now and then none."""
    if (index + 3 * column) % 11 == 0:
        return math.nan
    return float(np.float32(math.sin(index * 12.9898 + column) * 10 ** (index % 5)))


class Push:
    """A stream and its subscribers, and what chance does with them."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.hub = Hub()
        self.router = Router(self.hub, LIMITS)
        self.hub.attach(self.router)
        self.runs: list[Run] = []
        self.generation = 1
        self.now_ns = TIME_NS
        self.clients: list[Piped] = []
        self.left: list[Subscription] = []
        self.seen = Counter[str]()
        self.describe("online")
        self.start_epoch(0, 0)

    def run(self, steps: int) -> None:
        """So many things happen; then everybody reads what is left, and is asked for the account."""
        for _ in range(steps):
            (happening,) = self.chance.choices(list(HAPPENINGS), list(HAPPENINGS.values()))
            happening(self)
            self.nothing_is_unaccounted()
        self.describe("offline")
        for client in self.clients:
            self.close_account(client)

    # ------------------------------------------------------------- the stream

    def describe(self, state: DeviceState) -> None:
        stream = replace(stream_info(), fields=FIELDS, epoch=self.runs[-1].epoch if self.runs else 0)
        self.hub.publish(events.DeviceChanged(device_info(DEVICE, stream, state=state)))

    def samples(self) -> None:
        run, count = self.runs[-1], self.chance.randint(1, 12)
        indexes = range(run.next_index, run.next_index + count)
        period_ns = self.chance.choice([990_000, 1_000_000, 1_003_000, 60_000_000])
        values = np.array([[value(i, c) for i in indexes] for c in range(len(FIELDS))], np.float32)
        nominal = values * np.float32(2) if run.epoch % 2 else None
        for k, index in enumerate(indexes):
            column = tuple(float(x) for x in values[:, k])
            plain = column if nominal is None else tuple(float(x) for x in nominal[:, k])
            run.fate[index] = Sample(self.now_ns + k * period_ns, self.generation, column, plain)
        self.hub.publish(
            events.Batch(
                DEVICE, STREAM, run.epoch, run.next_index, self.now_ns, period_ns, 0, values, self.generation,
                bytes(4 * count), 0, nominal,
            )
        )  # fmt: skip
        run.next_index += count
        self.now_ns += count * period_ns

    def lose(self) -> None:
        run, count, cause = self.runs[-1], self.chance.randint(1, 30), self.chance.choice(CAUSES)
        run.fate |= dict.fromkeys(range(run.next_index, run.next_index + count), cause)
        estimated = self.chance.random() < 0.5
        self.hub.publish(events.Gap(DEVICE, STREAM, run.epoch, run.next_index, count, cause, estimated))
        run.next_index += count
        self.now_ns += count * 1_000_000

    def pause(self) -> None:
        self.describe("offline")
        self.now_ns += self.chance.choice([1, 30, 2000, 30_000]) * 1_000_000
        self.describe("online")

    def change_range(self) -> None:
        self.generation += 1

    def reboot(self) -> None:
        run = self.runs[-1]
        if self.chance.random() < 0.5:  # nobody heard its end
            self.hub.publish(events.Gap(DEVICE, STREAM, run.epoch, run.next_index, None, "wire"))
        self.start_epoch(self.chance.choice([0, 500]), self.chance.choice([-3000, 3, 5000]))

    def start_epoch(self, first: int, step_ms: int) -> None:
        self.now_ns += step_ms * 1_000_000
        self.runs.append(Run(70 + len(self.runs), first, first))
        self.hub.publish(events.EpochStarted(DEVICE, STREAM, self.runs[-1].epoch, "17", FIELDS, first))

    # ------------------------------------------------------------ the clients

    def connect(self) -> None:
        if len(self.clients) < CLIENTS_MAX:
            self.clients.append(Piped(self.hub, self.router, LIMITS))
            self.subscribe(self.clients[-1], self.chance.choice(["every", "every", "latest", "envelope"]))

    def subscribe_once_more(self) -> None:
        if self.clients and len((client := self.chance.choice(self.clients)).checker.subscriptions) < 3:
            self.subscribe(client, self.chance.choice(["every", "latest", "envelope"]))

    def subscribe(self, client: Piped, mode: str) -> None:
        client.ask(
            "subscribe",
            device=DEVICE,
            stream=STREAM,
            mode=mode,
            rate_hz=self.chance.choice([0.1, 7.0, 60.0, 100.0, 3000.0]),
            format=self.chance.choice(["binary", "json"]),
            calibrated=self.chance.random() < 0.5,
        )

    def read(self) -> None:
        if self.clients:
            self.chance.choice(self.clients).read(self.chance.randint(1, 40))

    def turn(self) -> None:
        if self.clients:
            self.chance.choice(self.clients).turn()

    def unsubscribe(self) -> None:
        if self.clients:
            client = self.chance.choice(self.clients)
            going = [sub for sub, seen in client.checker.subscriptions.items() if not seen.ended]
            if len(going) > 1:
                client.ask("unsubscribe", sub=self.chance.choice(going))

    def leave(self) -> None:
        if self.clients:
            client = self.clients.pop(self.chance.randrange(len(self.clients)))
            client.client.gone()
            self.left += [item for item in client.checker.subscriptions.values() if item.mode == "every"]

    def come_back(self) -> None:
        if len(self.clients) == CLIENTS_MAX or not self.left:
            return
        before = self.left.pop(self.chance.randrange(len(self.left)))
        if before.expected is None:
            return
        client = Piped(self.hub, self.router, LIMITS)
        self.clients.append(client)
        epoch = 5 if self.chance.random() < 0.1 else before.epoch
        back = self.chance.choice([0, 0, 1, 7, 100])  # what it wants again
        since = {"epoch": epoch, "index": max(before.expected - back, self.runs[before.epoch - 70].start)}
        client.ask("subscribe", device=DEVICE, stream=STREAM, since=since, format=before.format)

    # ------------------------------------------------------------ the account

    def nothing_is_unaccounted(self) -> None:
        """What /metrics says of each subscription holds at any time."""
        stream = self.hub.stream(DEVICE, STREAM)
        assert stream is not None
        for client in self.clients:
            for subscription in self.router.subscriptions(client.client):
                unaccounted = subscription.unaccounted(stream)
                assert unaccounted in {0, None}
                self.seen["accounts"] += unaccounted is not None

    def close_account(self, client: Piped) -> None:
        client.drain()
        if client.closed:
            self.seen["given up"] += 1
            return
        by_number = {item.feed.sub: item for item in self.router.subscriptions(client.client)}
        for sub, seen in client.checker.subscriptions.items():
            if seen.ended:
                continue
            assert by_number[sub].behind is None, "it has caught up"
            self.account(seen, by_number[sub].feed)

    def account(self, seen: Subscription, feed: Feed) -> None:
        taken = Account(self.runs, seen)
        taken.walk()
        assert taken.position == (self.runs[-1].epoch, self.runs[-1].next_index) or seen.expected is None
        assert feed.waiting == 0
        assert feed.skipped == taken.skipped
        assert feed.sent == taken.delivered
        assert feed.dropped + sum(feed.lost.values()) == taken.named
        self.seen[f"{seen.mode} {seen.format}"] += taken.delivered
        self.seen["skipped"] += taken.skipped
        self.seen["dropped"] += feed.dropped
        self.seen["left the ring"] += feed.lost.get("subscriber", 0)


HAPPENINGS: dict[Callable[[Push], None], int] = {
    Push.samples: 40,
    Push.lose: 6,
    Push.pause: 2,
    Push.change_range: 2,
    Push.reboot: 2,
    Push.connect: 3,
    Push.subscribe_once_more: 2,
    Push.unsubscribe: 1,
    Push.read: 30,
    Push.turn: 5,
    Push.leave: 3,
    Push.come_back: 6,
}
"""What may happen, and how often."""


class Account:
    """What one subscription saw, walked along what there was."""

    def __init__(self, runs: list[Run], seen: Subscription) -> None:
        self.runs = {run.epoch: run for run in runs}
        self.seen = seen
        self.position = seen.start
        self.delivered = self.named = self.skipped = 0
        self.certain = True
        self.next_ns: int | None = None  # envelope: where the next row is due

    def walk(self) -> None:
        events_ = self.seen.events
        for number, event in enumerate(events_):
            if isinstance(event, Begun):
                self.finish_run()
                self.next_ns = None
                self.certain, self.position = True, (event.epoch, event.index)
                continue
            self.reach(event.index)
            if isinstance(event, Gap):
                self.gap(event)
            elif self.seen.mode == "envelope":
                self.intervals(event, events_[number + 1] if number + 1 < len(events_) else None)
            else:
                self.samples(event)
        self.finish_run()

    def fate(self, index: int) -> Sample | str:
        return self.runs[self.position[0]].fate[index]

    def reach(self, index: int) -> None:
        """From where it stood to ``index`` all is skipped, if that may be."""
        epoch, stands = self.position
        if self.certain and index != stands:
            assert self.seen.mode == "latest"
            between = [self.fate(i) for i in range(stands, index)]
            assert all(isinstance(item, Sample) for item in between), "what was lost is never skipped"
            self.skipped += len(between)
        self.certain, self.position = True, (epoch, index)

    def finish_run(self) -> None:
        """Nothing is left of the epoch."""
        if self.certain and self.position[0] in self.runs:
            self.reach(self.runs[self.position[0]].next_index)

    def gap(self, gap: Gap) -> None:
        epoch, index = self.position
        assert gap.epoch == epoch
        if gap.count is None:
            self.certain = False
            return
        if gap.cause == "subscriber":
            self.next_ns = None
        for i in range(index, index + gap.count):
            assert gap.cause == "subscriber" or self.fate(i) == gap.cause
        self.named += gap.count
        self.position = epoch, index + gap.count

    def samples(self, data: Data) -> None:
        epoch, index = self.position
        for k, time_ns in enumerate(data.times):
            there = self.fate(index + k)
            assert isinstance(there, Sample)
            assert there.time_ns == time_ns
            np.testing.assert_array_equal(data.columns[:, k], self.values(there))
        self.delivered += data.rows
        self.position = epoch, index + data.rows

    def values(self, sample: Sample) -> tuple[float, ...]:
        return sample.values if self.seen.calibrated else sample.nominal

    def no_hole_before(self, data: Data) -> None:
        """Rows follow each other; only a message that was lost, or the length of a pause, excuses what is not there."""
        if self.next_ns is not None and data.time_ns > self.next_ns:
            leading = (~np.isnan(data.columns)).any(axis=0).argmax()
            assert leading == EMPTY_MAX or data.rows == 1
        self.next_ns = data.time_ns + data.rows * self.seen.interval_ns

    def intervals(self, data: Data, after: Data | Gap | Begun | None) -> None:
        epoch, index = self.position
        stop = self.runs[epoch].next_index if after is None or isinstance(after, Begun) else after.index
        length = self.seen.interval_ns
        self.no_hole_before(data)
        groups: dict[int, list[Sample]] = {}
        for i in range(index, stop):
            there = self.fate(i)
            assert isinstance(there, Sample)
            groups.setdefault(there.time_ns // length * length, []).append(there)
        assert len({sample.generation for group in groups.values() for sample in group}) == 1
        for k, time_ns in enumerate(data.times):
            group = groups.pop(time_ns, [])
            for column in range(len(FIELDS)):
                numbers = [x for sample in group if not math.isnan(x := self.values(sample)[column])]
                low, high, mean = data.columns[3 * column : 3 * column + 3, k]
                if numbers:
                    assert (low, high) == (min(numbers), max(numbers))
                    assert mean == pytest.approx(math.fsum(numbers) / len(numbers), rel=1e-6, abs=1e-30)
                else:
                    assert math.isnan(mean)
        assert not groups, "no interval with samples is left out"
        self.delivered += stop - index
        self.position = epoch, stop


@pytest.mark.parametrize("seed", range(24))
def test_every_sample_is_accounted_for_once(seed: int) -> None:
    push = Push(seed)
    push.run(400)


def test_the_runs_have_everything_in_them() -> None:
    seen = Counter[str]()
    for seed in range(16):
        push = Push(seed)
        push.run(400)
        seen += push.seen
    for what in ("every", "latest", "envelope"):
        assert min(seen[f"{what} binary"], seen[f"{what} json"]) > 20
    assert seen["accounts"] > 1000
    assert min(seen["skipped"], seen["dropped"], seen["left the ring"]) > 50
