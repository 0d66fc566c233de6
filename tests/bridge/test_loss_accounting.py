"""Every kind of loss at once: what a subscriber gets and what it is told is missing is what the board took, exactly.

Device (FIFO, bus, transmit ring), wire (frames swallowed, cut, flipped, doubled, noise, descriptors lost), host (too
much held back) and subscriber (reads too slowly), held against the truth that :mod:`bridge.loss_bench` keeps.

What cannot be known, and is not asked for: where in a hole what was lost (a hole of board and wire together is shared
out as HEALTH allows, and is the wire's where none came in between); what was lost between frames that the host has
dropped, which counts as the host's; what the host dropped of a boot that it did not know of yet, which counts as the
wire's, for the wire has lost the HELLO.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from unittest import mock

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.loss_bench import Hole, LossBench, holes, received
from telemetry_bridge.events import Batch, EpochStarted, Gap
from telemetry_bridge.session import streams

HELD_MAX = 4

Story = Sequence[tuple[tuple[object, ...], float]]

fates = st.tuples(st.sampled_from(["swallow", "flip", "cut", "twice", "noise", "spare"]), st.integers(0, 999))
acts = st.one_of(
    st.tuples(st.just("device"), st.integers(1, 120), st.sampled_from(["fifo", "ring", "bus"])),
    st.tuples(st.just("wire"), st.lists(fates, min_size=1, max_size=8)),
    st.tuples(st.just("wire"), st.lists(fates, min_size=1, max_size=8)),
    st.tuples(st.just("host")),
    st.tuples(st.just("stall")),
    st.tuples(st.just("read")),
    st.tuples(st.just("reboot")),
)
story = st.lists(st.tuples(acts, st.sampled_from([0.005, 0.03, 0.2, 1.1])), min_size=1, max_size=14)


def tell(bench: LossBench, act: tuple[object, ...]) -> None:
    match act:
        case ("device", int(samples), str(cause)):
            bench.device.lose("imu", samples, cause)
        case ("wire", list(fates)):
            bench.wire.fates.extend(fates)
        case ("host",):
            bench.change_range()
            bench.wire.swallows_descriptors = True
            bench.run(0.6)
            bench.wire.swallows_descriptors = False
        case ("stall",):
            bench.stall()
        case ("read",):
            bench.read_on()
        case ("reboot",):
            bench.reboot()


def played(story: Story, *, baud: int) -> LossBench:
    """A bench to which all of that has happened, and then nothing for long enough to account for everything."""
    with mock.patch.object(streams, "HELD_MAX", HELD_MAX):
        bench = LossBench(baud=baud, seed=3)
        bench.run(0.3)
        for act, pause_s in story:
            tell(bench, act)
            bench.run(pause_s)
        bench.wire.fates.clear()
        bench.run(3)
        bench.read_on()
        bench.run(0.05)
    return bench


def check(bench: LossBench) -> None:
    assert bench.hub.sink_errors == 0
    got = received(bench)
    for name in bench.STREAMS:
        state = bench.hub.stream(bench.device.uid.hex(), name)
        assert state is not None
        counters = state.counters
        # each sample that the hub has seen is with the subscriber, or a gap names it, by the same cause
        told = got[name].lost
        subscriber = told.pop("subscriber", 0)
        assert got[name].samples + subscriber == counters.samples
        assert dict(told) == {cause: count for cause, count in counters.lost.items() if count}
        assert counters.produced == got[name].samples + subscriber + told.total()
        # and the hub has seen all that the board took since it was first heard, but for what is on its way
        on_the_way = bench.device.stream(name).next_index - state.next_index
        assert 0 <= on_the_way <= 400
        check_delivered(bench, name)
        for hole in holes(bench.events, name):
            check_causes(bench, name, hole)
    check_derived(bench)


def check_derived(bench: LossBench) -> None:
    """What is derived has the gaps of what it is derived from."""
    counters = [state.counters for (_, name), state in bench.hub.streams().items() if name in {"imu", "orientation"}]
    assert len(counters) == 2
    assert dataclasses.astuple(counters[0])[:3] == dataclasses.astuple(counters[1])[:3]
    assert counters[0].lost == counters[1].lost


def check_delivered(bench: LossBench, name: str) -> None:
    """What is delivered came through the wire, with the values that the board sent."""
    boot_id, delivered = "", set[int]()
    for event in bench.events:
        if isinstance(event, EpochStarted) and event.stream == name:
            boot_id, delivered = event.boot_id, set()
        if isinstance(event, Batch) and event.stream == name:
            truth = bench.boot(name, boot_id)
            indexes = range(event.index, event.index + event.samples)
            assert delivered.isdisjoint(indexes)
            assert truth.arrived.issuperset(indexes)
            assert event.raw == b"".join(truth.sent[index] for index in indexes)
            delivered.update(indexes)


def check_causes(bench: LossBench, name: str, hole: Hole) -> None:
    if hole.indexes.start == 0:  # from the boot on
        return
    truth = bench.boot(name, hole.boot_id)
    arrived = truth.arrived.intersection(hole.indexes)
    for gap in hole.gaps:
        assert gap.count is not None
        assert (gap.cause == "host") == bool(arrived.intersection(range(gap.index, gap.index + gap.count)))
        if gap.cause == "host":
            assert gap.index in arrived, "what the host dropped begins with a frame that it had"
    if arrived:
        return
    by_board = sum(index not in truth.sent for index in hole.indexes)
    if not any(gap.estimated for gap in hole.gaps):
        assert hole.claimed("device") <= by_board
        assert hole.claimed("wire") >= len(hole.indexes) - by_board
    if wire_was_whole(bench, name, hole):
        assert hole.claimed("device") == by_board == len(hole.indexes)


def wire_was_whole(bench: LossBench, name: str, hole: Hole) -> bool:
    """Whether every frame came through between the two that the hole is between."""
    mine = [entry for entry in bench.log if entry[0] == hole.boot_id]
    ends = [
        place
        for place, (_, stream, indexes, came) in enumerate(mine)
        if stream == name and came and (hole.indexes.start - 1 in indexes or hole.indexes.stop in indexes)
    ]
    return len(ends) == 2 and all(came for _, _, _, came in mine[ends[0] : ends[1]])


@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(story, st.sampled_from([921_600, 115_200]))
def test_whatever_is_lost_is_accounted_for(story: Story, baud: int) -> None:
    check(played(story, baud=baud))


def test_each_cause_is_met() -> None:
    swallow, flip, cut, twice = (
        ("wire", [(fate, 100 + k) for k in range(3)]) for fate in ("swallow", "flip", "cut", "twice")
    )
    everything = [
        (("device", 50, "fifo"), 0.2),
        (swallow, 0.2),
        (("stall",), 0.2),
        (flip, 0.2),
        (("device", 30, "bus"), 0.03),
        (cut, 1.1),
        (twice, 0.2),
        (("host",), 1.1),
        (("read",), 0.2),
        (("reboot",), 1.1),
        (swallow, 0.2),
    ]
    for baud in (921_600, 115_200):
        bench = played(everything, baud=baud)
        check(bench)
        lost = received(bench)["imu"].lost
        assert min(lost[cause] for cause in ("device", "wire", "host", "subscriber")) >= 20, lost
        assert bench.session.stats.duplicates > 0
        assert len([event for event in bench.events if isinstance(event, EpochStarted) and event.stream == "imu"]) == 2
    assert bench.device.stream("imu").lost["ring"] > 0, "at 115,200 baud the line is too slow for the IMU"


def test_the_check_can_fail() -> None:
    bench = played([(("wire", [("swallow", 0)]), 0.2)], baud=921_600)
    check(bench)
    (hole,) = holes(bench.events, "imu")
    (gap,) = hole.gaps
    for cause in ("device", "host"):
        hole.gaps = [Gap(gap.device, gap.stream, gap.epoch, gap.index, gap.count, cause)]
        try:
            check_causes(bench, "imu", hole)
        except AssertionError:
            continue
        raise AssertionError(f"not caught: {cause}")
