"""A slow subscriber: whatever is dropped is named, in its place, and nothing grows."""

from __future__ import annotations

import json
from functools import partial

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from telemetry_bridge.events import Gap, GapCause
from telemetry_bridge.server.subscriber_queue import Feed, Message, SubscriberQueue
from telemetry_bridge.server.wire_format import Part

MAX_MESSAGES = 6
MAX_BYTES = 700


def prefix(sub: int, seq: int) -> bytes:
    return b"%d %d " % (sub, seq)


def feed(sub: int = 1) -> Feed:
    return Feed(sub, partial(prefix, sub), text=False)


def part(index: int, samples: int = 20, epoch: int = 0, size: int = 20) -> Part:
    return Part(epoch, index, samples, (b"%d %d %d" % (epoch, index, samples)).ljust(size))


def drain(queue: SubscriberQueue) -> list[object]:
    """Everything that waits: ``("data", index, samples)``, ``("gap", index, count, cause)`` or control text."""
    items: list[object] = []
    while (message := queue.pop()) is not None:
        items.append(read(message))
    return items


def read(message: Message) -> object:
    if not message.text:
        _sub, _seq, _epoch, index, samples = map(int, message.data.split())
        return "data", index, samples
    body = json.loads(message.data)
    return ("gap", body["index"], body["count"], body["cause"]) if body["op"] == "gap" else body["op"]


def test_what_fits_comes_out_as_it_went_in() -> None:
    queue, one = SubscriberQueue(10_000, 100), feed()
    queue.put_control(b'{"op":"hello"}')
    queue.put_data(one, part(0))
    queue.put_gap(one, Gap("d", "s", 0, 20, 5, "wire"))
    queue.put_data(one, part(25))
    assert drain(queue) == ["hello", ("data", 0, 20), ("gap", 20, 5, "wire"), ("data", 25, 20)]
    assert queue.bytes == 0


def test_the_oldest_data_is_dropped_and_becomes_one_gap_before_what_is_left() -> None:
    queue, one = SubscriberQueue(10_000, 3), feed()
    for index in range(0, 200, 20):
        queue.put_data(one, part(index))
    assert drain(queue) == [("gap", 0, 160, "subscriber"), ("data", 160, 20), ("data", 180, 20)]
    assert one.dropped == 160
    assert one.sent == 40


def test_the_limit_in_bytes_holds_as_well() -> None:
    queue, one = SubscriberQueue(1000, 100_000), feed()
    for index in range(0, 20_000, 20):
        queue.put_data(one, part(index, size=300))
        assert queue.bytes <= 1000
    assert drain(queue)[0] == ("gap", 0, 19_960, "subscriber")


def test_a_message_larger_than_the_queue_becomes_a_gap_at_once() -> None:
    queue, one = SubscriberQueue(1000, 10), feed()
    queue.put_data(one, part(0, size=2000))
    assert drain(queue) == [("gap", 0, 20, "subscriber")]


def test_answers_and_epochs_are_never_dropped_and_keep_their_place() -> None:
    queue, one = SubscriberQueue(10_000, 5), feed()
    queue.put_data(one, part(0))
    queue.put_control(b'{"op":"epoch"}', feed=one)
    queue.put_data(one, part(0, epoch=1))
    queue.put_control(b'{"op":"ok"}')
    for index in range(20, 80, 20):
        queue.put_data(one, part(index, epoch=1))
    assert drain(queue) == [
        ("gap", 0, 20, "subscriber"), "epoch", ("gap", 0, 60, "subscriber"), "ok", ("data", 60, 20)
    ]  # fmt: skip


def test_gaps_of_different_cause_stay_apart() -> None:
    queue, one = SubscriberQueue(10_000, 4), feed()
    queue.put_data(one, part(0))
    queue.put_gap(one, Gap("d", "s", 0, 20, 5, "wire"))
    for index in range(25, 125, 20):
        queue.put_data(one, part(index))
    assert drain(queue) == [
        ("gap", 0, 20, "subscriber"), ("gap", 20, 5, "wire"), ("gap", 25, 80, "subscriber"), ("data", 105, 20)
    ]  # fmt: skip


def test_gaps_that_touch_and_have_the_same_cause_merge_and_stay_estimated() -> None:
    queue, one = SubscriberQueue(10_000, 10), feed()
    queue.put_gap(one, Gap("d", "s", 0, 0, 5, "device"))
    queue.put_gap(one, Gap("d", "s", 0, 5, 3, "device", estimated=True))
    message = queue.pop()
    assert message is not None
    assert json.loads(message.data) == {
        "op": "gap", "sub": 1, "index": 0, "count": 8, "estimated": True, "cause": "device"
    }  # fmt: skip
    assert queue.pop() is None


def test_a_gap_of_unknown_length_merges_with_nothing() -> None:
    queue, one = SubscriberQueue(10_000, 10), feed()
    queue.put_gap(one, Gap("d", "s", 0, 0, None, "wire"))
    queue.put_gap(one, Gap("d", "s", 0, 7, 3, "wire"))
    assert drain(queue) == [("gap", 0, None, "wire"), ("gap", 7, 3, "wire")]


def test_of_what_waits_only_the_newest_is_kept_where_that_is_wanted() -> None:
    queue, one = SubscriberQueue(10_000, 10), Feed(1, partial(prefix, 1), text=False, newest_only=True)
    for index in (0, 20, 40):
        queue.put_data(one, part(index, samples=1))
    queue.put_gap(one, Gap("d", "s", 0, 41, 5, "wire"))
    queue.put_data(one, part(60, samples=1))
    queue.put_data(one, part(80, samples=1))
    assert (one.skipped, one.waiting) == (3, 2)
    assert drain(queue) == [("data", 40, 1), ("gap", 41, 5, "wire"), ("data", 80, 1)]
    assert (one.sent, one.waiting, queue.bytes) == (2, 0, 0)
    queue.put_data(one, part(100, samples=1))
    assert drain(queue) == [("data", 100, 1)], "what has gone out is not replaced"


def test_a_message_with_a_key_replaces_the_one_that_waits() -> None:
    queue, one = SubscriberQueue(10_000, 10), feed()
    queue.put_control(b'{"op":"old"}', key="health")
    queue.put_data(one, part(0))
    queue.put_control(b'{"op":"newer"}', key="health")
    assert drain(queue) == ["newer", ("data", 0, 20)]
    queue.put_control(b'{"op":"next"}', key="health")
    assert drain(queue) == ["next"]
    assert queue.bytes == 0


def test_nothing_of_an_ended_subscription_comes_out() -> None:
    queue, one, two = SubscriberQueue(10_000, 4), feed(1), feed(2)
    for index in range(0, 100, 20):
        queue.put_data(one, part(index))
    queue.put_control(b'{"op":"epoch"}', feed=one)
    queue.put_data(two, part(0))
    one.closed = True
    assert drain(queue) == [("data", 0, 20)]


def test_the_sequence_counts_what_was_dropped_so_that_a_subscriber_sees_its_loss() -> None:
    queue, one = SubscriberQueue(10_000, 2), feed()
    for index in range(0, 100, 20):
        queue.put_data(one, part(index))
    gap, data = queue.pop(), queue.pop()
    assert gap is not None
    assert data is not None
    assert data.data.startswith(b"1 4 ")


def test_a_queue_full_of_what_cannot_be_dropped_is_hopeless() -> None:
    queue = SubscriberQueue(10_000, 3)
    for _ in range(3):
        queue.put_control(b'{"op":"ok"}')
    assert not queue.hopeless
    queue.put_control(b'{"op":"ok"}')
    assert queue.hopeless


class SlowSubscriber(RuleBasedStateMachine):
    """Three streams are produced and gaps happen while a subscriber with a tiny queue reads now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = SubscriberQueue(MAX_BYTES, MAX_MESSAGES)
        self.feeds = {sub: feed(sub) for sub in (1, 2, 3)}
        self.epoch = dict.fromkeys(self.feeds, 0)
        self.next_index = dict.fromkeys(self.feeds, 0)
        self.expected: dict[int, list[tuple[str, int, int, int]]] = {sub: [] for sub in self.feeds}
        self.got: dict[int, list[tuple[str, int, int, int]]] = {sub: [] for sub in self.feeds}
        self.last_seq = dict.fromkeys(self.feeds, -1)
        self.answers_sent = 0
        self.answers_got = 0

    subs = st.sampled_from([1, 2, 3])

    @rule(sub=subs, samples=st.integers(1, 20), size=st.integers(16, 200))
    def produce(self, sub: int, samples: int, size: int) -> None:
        index, epoch = self.next_index[sub], self.epoch[sub]
        self.queue.put_data(self.feeds[sub], part(index, samples, epoch, size))
        self._account(self.expected[sub], "data", epoch, index, samples)
        self.next_index[sub] = index + samples

    @rule(sub=subs, count=st.integers(1, 9), cause=st.sampled_from(["wire", "device", "host"]))
    def lose(self, sub: int, count: int, cause: GapCause) -> None:
        index, epoch = self.next_index[sub], self.epoch[sub]
        self.queue.put_gap(self.feeds[sub], Gap("d", "s", epoch, index, count, cause))
        self._account(self.expected[sub], cause, epoch, index, count)
        self.next_index[sub] = index + count

    @precondition(lambda self: not self.queue.hopeless)
    @rule(sub=subs)
    def reboot(self, sub: int) -> None:
        self.epoch[sub] += 1
        self.next_index[sub] = 0
        body = {"op": "epoch", "sub": sub, "epoch": self.epoch[sub]}
        self.queue.put_control(json.dumps(body).encode(), feed=self.feeds[sub])

    @precondition(lambda self: not self.queue.hopeless)
    @rule()
    def answer(self) -> None:
        self.answers_sent += 1
        self.queue.put_control(b'{"op":"ok","n":%d}' % self.answers_sent)

    @rule(count=st.integers(1, 12))
    def drain_some(self, count: int) -> None:
        for _ in range(count):
            self._take()

    def _take(self) -> bool:
        message = self.queue.pop()
        if message is None:
            return False
        if not message.text:
            sub, seq, epoch, index, samples = map(int, message.data.split())
            assert seq > self.last_seq[sub]
            self.last_seq[sub] = seq
            self._account(self.got[sub], "data", epoch, index, samples)
            return True
        body = json.loads(message.data)
        match body["op"]:
            case "ok":
                self.answers_got += 1
                assert body["n"] == self.answers_got
            case "epoch":
                self.got[body["sub"]].append(("epoch", body["epoch"], 0, 0))
            case "gap":
                sub = body["sub"]
                epoch = next((entry[1] for entry in reversed(self.got[sub]) if entry[0] == "epoch"), 0)
                self._account(self.got[sub], body["cause"], epoch, body["index"], body["count"])
        return True

    @staticmethod
    def _account(account: list[tuple[str, int, int, int]], kind: str, epoch: int, index: int, count: int) -> None:
        account.append((kind, epoch, index, count))

    @invariant()
    def the_queue_is_bounded_by_what_may_be_dropped(self) -> None:
        if not self.queue.hopeless:
            assert self.queue.bytes <= MAX_BYTES
            assert len(self.queue) <= MAX_MESSAGES

    def teardown(self) -> None:
        while self._take():
            pass
        assert self.queue.bytes == 0
        assert self.answers_got == self.answers_sent
        for sub, produced in self.expected.items():
            self._compare(produced, [entry for entry in self.got[sub] if entry[0] != "epoch"])
            assert self.feeds[sub].sent == sum(entry[3] for entry in self.got[sub] if entry[0] == "data")
            assert self.feeds[sub].dropped == sum(entry[3] for entry in self.got[sub] if entry[0] == "subscriber")

    @staticmethod
    def _compare(produced: list[tuple[str, int, int, int]], got: list[tuple[str, int, int, int]]) -> None:
        """Sample by sample: the same indexes in the same order, each once; data may only become a subscriber's gap."""

        def spread(account: list[tuple[str, int, int, int]]) -> list[tuple[int, int, str]]:
            return [(epoch, index + k, kind) for kind, epoch, index, count in account for k in range(count)]

        before, after = spread(produced), spread(got)
        assert [entry[:2] for entry in after] == [entry[:2] for entry in before]
        for (_, _, was), (_, _, became) in zip(before, after, strict=True):
            assert became == was or (was == "data" and became == "subscriber")


SlowSubscriber.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestSlowSubscriber = SlowSubscriber.TestCase
