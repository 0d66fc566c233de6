"""Ring, sampler, receiver and line by themselves, against simple models."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.host_build import Harness
from telemetry_protocol import encode_frame

SAMPLE = 12
BATCH = 480


# -- transmit ring

RING_STEPS = st.lists(
    st.tuples(st.sampled_from(["write", "abandon", "read"]), st.integers(1, 40), st.integers(0, 40)), max_size=60
)


@settings(deadline=None)
@given(size=st.integers(2, 64), steps=RING_STEPS)
def test_what_goes_into_the_ring_comes_out_in_order(
    modules: Harness, size: int, steps: list[tuple[str, int, int]]
) -> None:
    modules.ask(f"ring init {size}")
    used = 0
    for action, reserve, amount in steps:
        if action == "read":
            answer = modules.ask(f"ring read {amount}")
            _, read, reported = answer.split()  # "wrong byte" would not split in three numbers
            used -= int(read)
        else:
            granted = modules.ask(f"ring reserve {reserve}").split()[0] == "1"
            assert granted or used > 0 or reserve > size // 2  # an empty ring gives half, wherever it stands
            written = min(amount, reserve) if granted and action == "write" else 0
            reported = modules.ask(f"ring commit {written}").split()[2]
            used += written
        assert int(reported) == used
    while used:
        used -= int(modules.ask("ring read 1000").split()[1])


@settings(deadline=None)
@given(start=st.integers(0, 99), n=st.integers(1, 99))
def test_half_of_an_empty_ring_is_always_to_be_had(modules: Harness, start: int, n: int) -> None:
    modules.ask("ring init 100")
    if start:
        modules.ask(f"ring reserve {start}")
        modules.ask(f"ring commit {start}")
        modules.ask(f"ring read {start}")
    granted = modules.ask(f"ring reserve {n}").split()[0] == "1"
    assert granted or n > 50


# -- sampler


@dataclass
class Tick:
    """What became of one tick."""

    index: int
    time_us: int
    value: int | None
    generation: int
    run: int  # ticks of one run may share a batch


@dataclass
class Model:
    """Straightforward account of what a sampler is told."""

    ticks: list[Tick] = field(default_factory=list)
    generation: int = 5
    run: int = 0


SAMPLER_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("push"), st.integers(1, 25)),
        st.tuples(st.sampled_from(["lose", "change", "interrupt", "take", "pause"]), st.integers(1, 3)),
    ),
    max_size=60,
)


def take(modules: Harness) -> tuple[int, int, int, list[int]] | None:
    answer = modules.ask("sampler take")
    if answer == "-":
        return None
    index, time_us, generation, data = answer.split()
    return (
        int(index),
        int(time_us),
        int(generation),
        [int(data[i : i + 2], 16) for i in range(0, len(data), 2 * SAMPLE)],
    )


@settings(deadline=None)
@given(steps=SAMPLER_STEPS, slots=st.integers(2, 6), rate_hz=st.sampled_from([20, 100, 499, 500, 1000, 6660]))
def test_a_batch_holds_the_ticks_it_says_and_spans_no_hole(
    modules: Harness, steps: list[tuple[str, int]], slots: int, rate_hz: int
) -> None:
    modules.ask(f"sampler init {SAMPLE} {rate_hz * 1000} {slots}")
    model = Model()
    period_us = 1_000_000 // rate_hz
    bound_us = 25_000 if rate_hz >= 500 else 50_000
    now_us = 1000
    batches = []
    lost_ring = 0
    for action, n in steps:
        for _ in range(n):
            index = len(model.ticks)
            if action == "push":
                value = index % 251
                _, _, lost = modules.ask(f"sampler push {now_us} {value}").split()
                kept = int(lost) == lost_ring
                lost_ring = int(lost)
                model.run += not kept
                model.ticks.append(Tick(index, now_us, value if kept else None, model.generation, model.run))
                now_us += period_us
            elif action == "lose":
                modules.ask("sampler lose")
                model.run += 1
                model.ticks.append(Tick(index, now_us, None, model.generation, model.run))
                now_us += period_us
            elif action == "change":
                modules.ask(f"sampler change {rate_hz * 1000}")
                model.run += 1
                model.generation = (model.generation + 1) % 8
            elif action == "interrupt":
                modules.ask("sampler interrupt")
                model.run += 1
            elif action == "take":
                batch = take(modules)
                batches += [batch] if batch else []
            else:
                now_us += bound_us
                model.run += 1
                modules.ask(f"sampler expire {now_us}")
    modules.ask("sampler interrupt")
    while (batch := take(modules)) is not None:
        batches.append(batch)

    seen = []
    for index, time_us, generation, values in batches:
        ticks = model.ticks[index : index + len(values)]
        assert [tick.value for tick in ticks] == values
        assert ticks[0].time_us == time_us
        assert {tick.generation for tick in ticks} == {generation}
        assert len({tick.run for tick in ticks}) == 1
        assert len(values) * SAMPLE <= BATCH
        assert ticks[-1].time_us - time_us <= bound_us
        seen += [tick.index for tick in ticks]
    assert seen == [tick.index for tick in model.ticks if tick.value is not None]  # each once, in order, none more
    assert int(modules.ask("sampler expire 0").split()[0]) == len(model.ticks)


@pytest.mark.parametrize(
    ("rate_mhz", "samples"), [(10_000, 1), (104_000, 5), (1_000_000, 25), (800_000, 20), (6_667_000, 40)]
)
@pytest.mark.parametrize("off_ppm", [-20_000, 0, 20_000])
def test_jitter_and_a_fast_or_slow_sensor_do_not_change_the_samples_of_a_frame(
    modules: Harness, rate_mhz: int, samples: int, off_ppm: int
) -> None:
    modules.ask(f"sampler init {SAMPLE} {rate_mhz} 8")
    period_us = 1e9 / rate_mhz * (1 - off_ppm * 1e-6)
    for k in range(3 * samples + 1):
        modules.ask(f"sampler push {round(1000 + k * period_us) + k * 7 % 3} 1")
    counts = [len(batch[3]) for _ in range(3) if (batch := take(modules)) is not None]
    assert counts == [samples] * 3


@pytest.mark.parametrize(
    ("rate_mhz", "together", "bus_us"),
    [(1_000_000, 10, 3_400), (500_000, 5, 1_700), (1_666_750, 16, 5_100), (6_667_000, 66, 900)],
)
@pytest.mark.parametrize("wanted_us", [0, 1_000, 15_000, 35_000, 60_000])
def test_what_a_fifo_gives_is_closed_in_time_and_costs_no_more_than_the_budget_says(
    modules: Harness, rate_mhz: int, together: int, bus_us: int, wanted_us: int
) -> None:
    period_us = 1e9 / rate_mhz
    age_us = math.ceil((together - 1) * period_us + bus_us)
    modules.ask(f"sampler read {together} {age_us}")
    modules.ask(f"sampler init {SAMPLE} {rate_mhz} 8")
    modules.ask(f"sampler latency {wanted_us} {rate_mhz}")
    bound_us, expected = map(int, modules.ask(f"sampler budget {wanted_us} {rate_mhz}").split())
    assert bound_us == max(age_us, wanted_us or 25_000)
    counts = []
    now_us = 0.0
    for _ in range(60):
        for _ in range(together):
            now_us += period_us
            modules.ask(f"sampler push {round(now_us)} 1")
        modules.ask("sampler end")
        while (batch := take(modules)) is not None:
            assert now_us + bus_us - batch[1] <= bound_us + 1
            counts.append(len(batch[3]))
    modules.ask("sampler read 1 0")
    assert sum(counts) >= 55 * together
    assert sum(counts) / len(counts) >= expected - 1


def test_a_batch_opened_after_the_clock_was_read_stays_open(modules: Harness) -> None:
    modules.ask(f"sampler init {SAMPLE} 1000000 4")
    modules.ask("sampler push 1000 1")  # by an interrupt, after the main loop had taken 990 as its time
    modules.ask("sampler expire 990")
    assert take(modules) is None
    modules.ask("sampler expire 26000")
    assert take(modules) is not None


# -- receiver

BAUD = 1_000_000  # a character takes 10 us
RING, MARKS = 512, 16


def put(modules: Harness, data: bytes) -> None:
    """What the hardware does with bytes from the line."""
    for byte in data:
        modules.ask(f"receiver byte {byte}")


@settings(deadline=None, max_examples=50)
@given(
    bursts=st.lists(
        st.tuples(st.lists(st.binary(max_size=20), max_size=4), st.binary(max_size=5), st.integers(0, 2**32 - 1)),
        max_size=6,
    ),
    later_us=st.integers(-1_000, 10_000),  # the line may fall silent after `now` was read
)
def test_a_frame_has_the_time_of_its_own_delimiter(
    modules: Harness, bursts: list[tuple[list[bytes], bytes, int]], later_us: int
) -> None:
    """Frames that come back to back, the beginning of another behind them, then silence: a mark."""
    modules.ask(f"receiver init {BAUD}")
    for payloads, rest, time_us in bursts:
        frames = [b"\x00" + encode_frame(0x40, 0, payload) for payload in payloads]
        tail = rest.replace(b"\x00", b"\x01")
        put(modules, b"".join(frames) + tail)
        modules.ask(f"receiver mark {time_us}")
        now_us = 7 * 2**32 + time_us + later_us  # the clock has wrapped its low half several times
        for number, payload in enumerate(payloads):
            behind = len(tail) + sum(len(frame) for frame in frames[number + 1 :])
            assert modules.ask(f"receiver next {now_us}") == f"64 {now_us - later_us - 10 * behind} {len(payload)}"
    assert modules.ask("receiver next 0") == "-"


def test_bytes_that_were_overwritten_are_counted_and_the_rest_survives(modules: Harness) -> None:
    modules.ask(f"receiver init {BAUD}")
    frame = b"\x00" + encode_frame(0x40, 0, b"abc")
    for number in range(3):  # half a ring each: the third overwrites the first
        put(modules, bytes(RING // 2 - len(frame)) + frame)
        modules.ask(f"receiver mark {1000 * number}")
    assert [modules.ask("receiver next 5000") for _ in range(3)] == ["64 1000 3", "64 2000 3", "-"]
    assert modules.ask("receiver dropped") == f"{RING // 2}"
    put(modules, frame)
    modules.ask("receiver mark 6000")
    assert modules.ask("receiver next 6000") == "64 6000 3"
    assert modules.ask("receiver dropped") == f"{RING // 2}"


def test_a_frame_behind_more_silences_than_are_kept_is_read_and_late_at_most(modules: Harness) -> None:
    modules.ask(f"receiver init {BAUD}")
    for number in range(MARKS + 3):
        put(modules, b"\x00" + encode_frame(0x40, 0, b""))
        modules.ask(f"receiver mark {100 * number}")
    taken = [modules.ask("receiver next 5000").split() for _ in range(MARKS + 3)]
    assert [int(time_us) for _, time_us, _ in taken[:MARKS]] == [100 * number for number in range(MARKS)]
    size = len(b"\x00" + encode_frame(0x40, 0, b""))
    assert [int(time_us) for _, time_us, _ in taken[MARKS:]] == [5000 - 10 * size * left for left in (2, 1, 0)]
    assert modules.ask("receiver next 5000") == "-"
    assert modules.ask("receiver dropped") == "0"


# -- log


def test_log_lines_come_in_a_burst_then_once_a_second(modules: Harness) -> None:
    modules.ask("log init")
    taken = 0
    for now_us in range(0, 10_000_000, 100_000):  # ten lines a second for ten seconds
        modules.ask(f"log add {now_us}")
        taken += modules.ask("log take") != "-"
    assert modules.ask("log dropped") == "0"  # there was room; the rest was over the rate
    assert 8 + 9 <= taken <= 8 + 10


def test_log_lines_without_room_are_counted_and_the_oldest_stay(modules: Harness) -> None:
    modules.ask("log init")
    for second in range(12):
        modules.ask(f"log add {second * 1_000_000}")
    assert modules.ask("log dropped") == "4"
    times = [modules.ask("log take") for _ in range(9)]
    assert times == [f"{second * 1_000_000}" for second in range(8)] + ["-"]


# -- line

DEFAULT, RATES = 921_600, (115_200, 460_800, 921_600, 3_000_000)
STEADY, LEAVING, PROVING = range(3)
PROOF_US, SILENCE_US = 1_000_000, 5_000_000
REST = 3_000  # bytes that may wait


def longest_us(baud: int) -> int:
    """How long a rate that is to be left may stay."""
    return 2 * REST * 10 * 1_000_000 // baud


class Line:
    """The module's answers, with what it did told apart."""

    def __init__(self, modules: Harness) -> None:
        self._modules = modules
        self.ask(f"init {DEFAULT} {REST}")

    def ask(self, command: str) -> int:
        """Returns the rate that it switches to, or 0."""
        fields = [int(field) for field in self._modules.ask(f"line {command}").split()]
        self.state, self.baud, self.fallbacks, self.listens, self.open, switched = fields
        assert self.open == (self.state == STEADY)
        assert self.listens == (self.state != LEAVING)
        assert switched in (0, self.baud)
        return switched


STEPS = st.one_of(
    st.tuples(st.just("change"), st.sampled_from(RATES), st.just(0)),
    st.tuples(st.just("heard"), st.booleans(), st.integers(0, 300_000)),
    st.tuples(st.just("poll"), st.booleans(), st.sampled_from((0, 9_999, 10_000, 990_000, 1_000_000, 5_000_000))),
)


@settings(deadline=None, max_examples=150)
@given(steps=st.lists(STEPS, max_size=60))
def test_the_line_changes_when_drained_or_late_keeps_what_is_proven_and_comes_home(
    modules: Harness, steps: list[tuple[str, int, int]]
) -> None:
    line = Line(modules)
    now_us = sure_us = 1000  # sure_us: since when the host may have been silent
    wanted: int | None = None  # asked for by the host, not switched to yet
    before = proof_us = fallen = leave_us = 0
    for what, value, later_us in steps:
        state, baud = line.state, line.baud
        now_us += later_us
        switched = line.ask(f"{what} {int(value)} {now_us}")
        if what == "change":
            if state == STEADY and value != baud:
                wanted = value
                assert line.state == LEAVING
                leave_us = now_us + longest_us(baud)
            else:
                assert (line.state, line.baud) == (state, baud), "only one change at a time"
        elif what == "heard":
            sure_us = now_us
            assert line.baud == baud
            assert line.state == (STEADY if value and state == PROVING else state)
        elif switched:
            assert value or now_us >= leave_us, "before the line had drained, and in time"
            if wanted is not None:
                assert (line.state, line.baud) == (PROVING, wanted)
                before, proof_us, wanted = baud, now_us + PROOF_US, None
            else:  # back: no proof in time, or silence
                assert line.state == STEADY
                assert line.baud in (before, DEFAULT)
                assert now_us >= proof_us if line.baud == before else now_us >= sure_us + SILENCE_US
                fallen += line.baud == DEFAULT
            sure_us = now_us
        elif (state == PROVING and now_us >= proof_us) or (
            state == STEADY and baud != DEFAULT and now_us >= sure_us + SILENCE_US
        ):
            assert line.state == LEAVING
            leave_us = now_us + longest_us(baud)
        else:
            assert (line.state, line.baud) == (state, baud)
            assert state != LEAVING or (not value and now_us < leave_us)
        assert line.fallbacks == fallen
    for _ in range(700):  # silence: whatever happened, the default comes back
        now_us += 10_000
        line.ask(f"poll 1 {now_us}")
    assert (line.state, line.baud) == (STEADY, DEFAULT)


def test_a_line_that_never_drains_is_left_when_its_time_is_up(modules: Harness) -> None:
    line = Line(modules)
    line.ask("change 3000000 1000")
    now_us = 1000 + longest_us(DEFAULT)
    assert [line.ask(f"poll 0 {at_us}") for at_us in (1001, now_us - 1, now_us)] == [0, 0, 3_000_000]
    now_us += PROOF_US
    assert line.ask(f"poll 0 {now_us}") == 0  # no proof: back, as late
    now_us += longest_us(3_000_000)
    assert [line.ask(f"poll 0 {at_us}") for at_us in (now_us - 1, now_us)] == [0, DEFAULT]
    assert (line.state, line.fallbacks) == (STEADY, 1)
