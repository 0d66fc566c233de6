"""Settings by command, with sensors that do as they are told: what is put off, refused, counted in a budget."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from firmware.command_bench import BUSY, DONE, FAILED, LIMIT_US, PENDING, STREAMS, CommandBench
from telemetry_protocol import messages

Status = messages.Status


@pytest.fixture
def bench() -> Iterator[CommandBench]:
    """A board of fake sensors on 921,600 baud: stream 0 has six axes at 1 kHz, on I2C."""
    bench = CommandBench()
    yield bench
    bench.close()


def result(answer: messages.Response) -> dict[str, object]:
    spec = messages.COMMANDS[messages.COMMAND_NAMES[answer.command]]
    data = spec.unpack_result(answer.data) if answer.status == Status.OK else spec.unpack_refusal(answer.data)
    assert isinstance(data, dict), data
    return data


# -- what is answered later


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("set_rate", {"stream": 0, "rate_mhz": 500_000}),
        ("set_range", {"stream": 0, "field": 0, "full_scale": 8.0}),
        ("self_test", {"stream": 0}),
    ],
)
def test_a_change_that_takes_a_while_is_answered_once_when_it_is_over(
    bench: CommandBench, name: str, args: dict[str, float]
) -> None:
    bench.ask(f"next 0 {PENDING}")
    before = bench.show(0)
    for _ in range(3):  # the host repeats it
        bench.send(name, 7, **args)
        assert bench.poll() == []
    assert bench.show(0) == before
    bench.ask(f"end 0 {DONE}")
    bench.poll()
    bench.poll()
    assert [(r.request, r.status) for r in bench.responses()] == [(7, Status.OK)]


def test_the_same_request_id_with_other_arguments_is_another_command(bench: CommandBench) -> None:
    bench.ask(f"next 0 {PENDING}")
    bench.send("set_rate", 7, stream=0, rate_mhz=500_000)
    bench.send("set_rate", 7, stream=0, rate_mhz=250_000)  # a host that has started anew
    bench.poll()
    assert [r.status for r in bench.responses()] == [Status.BUSY]


def test_while_one_sensor_is_busy_another_takes_its_own(bench: CommandBench) -> None:
    bench.ask(f"next 0 {PENDING}")
    bench.ask(f"next 1 {PENDING}")
    bench.send("self_test", 1, stream=0)
    bench.send("set_rate", 2, stream=2, rate_mhz=20_000)
    bench.send("set_range", 3, stream=0, field=0, full_scale=8.0)
    bench.poll()
    assert [(r.request, r.status) for r in bench.responses()] == [(3, Status.BUSY)]
    bench.ask(f"end 1 {DONE}")
    bench.poll()
    bench.ask(f"end 0 {FAILED}")
    bench.poll()
    assert [(r.request, r.status) for r in bench.responses()[1:]] == [(2, Status.OK), (1, Status.FAILED)]


def test_a_sensor_that_never_ends_its_change_is_answered_for_in_time(bench: CommandBench) -> None:
    bench.ask(f"next 0 {PENDING}")
    bench.send("self_test", stream=0)
    bench.advance(LIMIT_US - 1)
    assert bench.poll() == []
    bench.advance(1)
    (answer,) = bench.poll()
    assert isinstance(answer, messages.Response)
    assert answer.status == Status.FAILED
    bench.ask(f"end 0 {DONE}")
    assert bench.poll() == []


def test_a_reset_answers_what_is_pending_and_puts_nothing_more_off(bench: CommandBench) -> None:
    bench.ask(f"next 0 {PENDING}")
    bench.send("self_test", 1, stream=0)
    bench.send("reset", 2)
    bench.send("set_rate", 3, stream=2, rate_mhz=20_000)
    bench.poll()
    assert {r.request: r.status for r in bench.responses()} == {1: Status.FAILED, 2: Status.OK, 3: Status.BUSY}


@pytest.mark.parametrize(("begins", "status"), [(BUSY, Status.BUSY), (FAILED, Status.FAILED)])
def test_what_the_sensor_does_not_begin_is_answered_at_once(bench: CommandBench, begins: int, status: int) -> None:
    bench.ask(f"next 0 {begins}")
    before = bench.show(0)
    assert bench.call("set_rate", stream=0, rate_mhz=500_000).status == status
    assert bench.show(0) == before


# -- ranges and self-test


def test_a_range_is_stated_with_the_generation_that_it_makes(bench: CommandBench) -> None:
    generation = bench.show(0).generation
    assert result(bench.call("set_range", stream=0, field=0, full_scale=5.0)) == {
        "full_scale": 8.0,
        "generation": generation + 1,
    }
    (stream,) = [m for m in bench.received + bench.poll() if isinstance(m, messages.Stream)]
    assert (stream.fields[0].full_scale, stream.stream_gen >> 5) == (8.0, generation + 1)


def test_a_range_may_be_rounded_a_little_beyond_itself(bench: CommandBench) -> None:
    assert result(bench.call("set_range", stream=0, field=0, full_scale=8.0001))["full_scale"] == 8.0
    assert result(bench.call("set_range", stream=0, field=0, full_scale=16.001))["full_scale"] == 16.0
    assert result(bench.call("set_range", stream=0, field=0, full_scale=8.01))["full_scale"] == 16.0


@pytest.mark.parametrize("wanted", [0.0, -4.0, 16.1, float("nan"), float("inf")])
def test_a_range_that_cannot_be_is_refused_with_the_limits(bench: CommandBench, wanted: float) -> None:
    before = bench.show(0)
    answer = bench.call("set_range", stream=0, field=0, full_scale=wanted)
    assert (answer.status, result(answer)) == (Status.BAD_ARGUMENT, {"lowest": 2.0, "highest": 16.0})
    assert bench.show(0) == before


@pytest.mark.parametrize(
    ("args", "status"),
    [
        ({"stream": 0, "field": 1, "full_scale": 4.0}, Status.BAD_ARGUMENT),
        ({"stream": 1, "field": 0, "full_scale": 4.0}, Status.UNSUPPORTED),
        ({"stream": STREAMS, "field": 0, "full_scale": 4.0}, Status.UNKNOWN_STREAM),
    ],
)
def test_a_field_without_ranges_has_none(bench: CommandBench, args: dict[str, float], status: int) -> None:
    assert bench.call("set_range", **args).status == status


def test_a_self_test_says_what_it_measured_and_between_which_limits(bench: CommandBench) -> None:
    answer = result(bench.call("self_test", stream=0))
    assert answer["passed"] == 1
    assert answer["fields"] == (messages.SelfTestField(1.5, 1.0, 2.0), messages.SelfTestField(-3.0, -4.0, -2.0))


# -- enabled and latency


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("set_rate", {"stream": 0, "rate_mhz": 500_000}),
        ("set_range", {"stream": 0, "field": 0, "full_scale": 8.0}),
        ("enable_stream", {"stream": 0, "enabled": 0}),
        ("set_latency", {"stream": 0, "latency_us": 5_000}),
    ],
)
def test_settings_wait_until_the_stored_ones_are_in_force(
    bench: CommandBench, name: str, args: dict[str, float]
) -> None:
    before = bench.show(0)
    bench.ask("applying 1")
    assert bench.call(name, **args).status == Status.BUSY
    assert bench.show(0) == before
    bench.ask("applying 0")
    assert bench.call(name, **args).status == Status.OK


def test_a_change_waits_until_samples_that_wait_have_a_descriptor(bench: CommandBench) -> None:
    for request, full_scale in enumerate((8.0, 16.0, 2.0)):  # the line takes nothing meanwhile
        bench.send("set_range", request, stream=0, field=0, full_scale=full_scale)
        bench.ask("sample 0 1")
    seen = bench.poll()
    assert [m.status for m in seen if isinstance(m, messages.Response)] == [Status.OK, Status.BUSY, Status.BUSY]
    bench.call("set_range", stream=0, field=0, full_scale=16.0)
    described = {m.stream_gen for m in bench.received if isinstance(m, messages.Stream)}
    assert {m.stream_gen for m in bench.samples(0)} <= described
    assert bench.show(0).full_scale == 16.0


def test_a_disabled_stream_has_no_ticks(bench: CommandBench) -> None:
    bench.ask("sample 0 5")
    generation = bench.show(0).generation
    assert bench.call("enable_stream", stream=0, enabled=0).status == Status.OK
    bench.ask("sample 0 50")
    bench.ask("lose 0 3")
    assert bench.show(0)[2:] == (0, 25_000, generation + 1, 5, 0)
    (stream,) = [m for m in bench.received if isinstance(m, messages.Stream)]
    assert (stream.enabled, stream.stream_gen >> 5) == (0, generation + 1)
    (batch,) = bench.samples(0)  # what was collected before is sent
    assert (batch.index, len(batch.data)) == (0, 5 * 12)
    bench.call("enable_stream", stream=0, enabled=1)
    bench.ask("sample 0 25")
    bench.poll()
    assert (bench.samples(0)[-1].index, bench.samples(0)[-1].stream_gen >> 5) == (5, generation + 2)


@pytest.mark.parametrize(("name", "args"), [("enable_stream", {"enabled": 1}), ("set_latency", {"latency_us": 0})])
def test_what_is_in_force_already_makes_no_new_descriptor(
    bench: CommandBench, name: str, args: dict[str, float]
) -> None:
    before = bench.show(0)
    assert bench.call(name, stream=0, **args).status == Status.OK
    assert bench.show(0) == before


def test_enabled_is_yes_or_no(bench: CommandBench) -> None:
    assert bench.call("enable_stream", stream=0, enabled=2).status == Status.BAD_ARGUMENT
    assert bench.show(0).enabled == 1


@pytest.mark.parametrize(("latency_us", "samples"), [(1_000, 1), (5_000, 5), (10_000, 10), (1_000_000, 40)])
def test_the_latency_decides_the_samples_of_a_frame(bench: CommandBench, latency_us: int, samples: int) -> None:
    generation = bench.show(0).generation
    assert result(bench.call("set_latency", stream=0, latency_us=latency_us)) == {"latency_us": latency_us}
    assert bench.show(0).generation == generation + 1
    bench.ask(f"sample 0 {samples}")
    bench.poll()
    assert [len(batch.data) // 12 for batch in bench.samples(0)] == [samples]


def test_no_latency_of_its_own_follows_the_rate(bench: CommandBench) -> None:
    bench.call("set_latency", stream=0, latency_us=7_000)
    bench.call("set_rate", stream=0, rate_mhz=100_000)
    assert bench.show(0).latency_us == 7_000
    assert result(bench.call("set_latency", stream=0, latency_us=0)) == {"latency_us": 50_000}
    bench.call("set_rate", stream=0, rate_mhz=1_000_000)
    assert bench.show(0).latency_us == 25_000


@pytest.mark.parametrize("latency_us", [1, 999, 1_000_001, 2**32 - 1])
def test_a_latency_out_of_bounds_is_refused_with_the_bounds(bench: CommandBench, latency_us: int) -> None:
    answer = bench.call("set_latency", stream=0, latency_us=latency_us)
    assert (answer.status, result(answer)) == (Status.BAD_ARGUMENT, {"needed": 1_000, "available": 1_000_000})
    assert bench.show(0).latency_us == 25_000


# -- budgets


def needed(bench: CommandBench, name: str, **args: float) -> int:
    """What the board says this takes, from its refusal."""
    answer = bench.call(name, **args)
    assert answer.status == Status.OVER_LINE_BUDGET, answer
    value = result(answer)["needed"]
    assert isinstance(value, int)
    return value


def test_six_axes_at_6667_hz_fit_the_line_and_fit_it_5_percent_fast() -> None:
    line = 921_600
    for measured in (0, 1_050):
        bench = CommandBench(line)
        bench.ask(f"measured 0 {measured}")
        # it fits the line; the bus of this fake is an I2C one, 60 bits a sample, and that is what refuses it
        answer = bench.call("set_rate", stream=0, rate_mhz=6_667_000)
        fast = 1.05 if measured else 1.0
        assert answer.status == Status.OVER_BUS_BUDGET
        assert result(answer) == {"needed": pytest.approx(6_667 * 60 * fast, abs=2), "available": 400_000}
        bench.close()
    for measured, share in ((0, 0.92), (1_050, 0.97)):
        bench = CommandBench(100_000)
        bench.ask(f"measured 0 {measured}")
        takes = needed(bench, "set_rate", stream=0, rate_mhz=6_667_000)
        assert 0.90 * line < takes <= share * line
        bench.close()


def test_the_budget_is_the_frames_of_the_streams_health_and_pings() -> None:
    bench = CommandBench(10_000)
    takes = needed(bench, "set_rate", stream=0, rate_mhz=2_000_000)
    # 40 samples a frame: 500 bytes of 10 bits; the other streams 10 Hz with one sample a frame, at least 21 bytes
    streams = 50 * 5000 + (STREAMS - 1) * 10 * 210
    assert streams < takes - (10 * 320 + 1_000) < streams + 4_000
    bench.close()


def test_what_is_disabled_takes_nothing_and_enabling_it_is_checked() -> None:
    bench = CommandBench(100_000)
    assert needed(bench, "set_rate", stream=0, rate_mhz=1_500_000) > 100_000
    bench.call("enable_stream", stream=0, enabled=0)
    assert bench.call("set_rate", stream=0, rate_mhz=1_500_000).status == Status.OK
    before = bench.show(0)
    assert needed(bench, "enable_stream", stream=0, enabled=1) > 100_000
    assert bench.show(0) == before
    bench.close()


def test_a_disabled_stream_takes_the_bus_like_an_enabled_one(bench: CommandBench) -> None:
    assert bench.call("enable_stream", stream=0, enabled=0).status == Status.OK
    refusal = bench.call("set_rate", stream=0, rate_mhz=6_700_000)  # 60 bits a sample: its sensor is read all the same
    assert refusal.status == Status.OVER_BUS_BUDGET
    assert result(refusal) == {"needed": 402_000, "available": 400_000}
    assert bench.call("set_rate", stream=0, rate_mhz=6_600_000).status == Status.OK


def test_a_shorter_latency_costs_line() -> None:
    bench = CommandBench(200_000)
    assert needed(bench, "set_latency", stream=0, latency_us=1_000) > 300_000  # 33 bytes each millisecond
    assert bench.show(0).latency_us == 25_000
    assert bench.call("set_latency", stream=0, latency_us=10_000).status == Status.OK
    bench.close()


def test_a_rate_under_way_counts_as_if_it_were_there() -> None:
    bench = CommandBench(280_000)
    bench.ask(f"next 0 {PENDING}")
    bench.send("set_rate", stream=0, rate_mhz=2_000_000)
    assert needed(bench, "set_rate", stream=2, rate_mhz=1_000_000) > 280_000
    bench.ask(f"end 0 {FAILED}")
    bench.poll()
    assert bench.call("set_rate", stream=2, rate_mhz=1_000_000).status == Status.OK
    bench.close()


# -- any sequence


OWN = (1, 2, 3, 4, 5, 7, 8, 9, 11, 14, 15)
FIELDS: dict[str, dict[str, st.SearchStrategy[float]]] = {
    "ping": {"host_ns": st.integers(0, 2**64 - 1)},
    "get_rate": {"stream": st.integers(0, STREAMS)},
    "set_rate": {"stream": st.integers(0, STREAMS), "rate_mhz": st.integers(0, 9_000_000)},
    "set_range": {
        "stream": st.integers(0, STREAMS),
        "field": st.integers(0, 1),
        "full_scale": st.floats(width=32),
    },
    "enable_stream": {"stream": st.integers(0, STREAMS), "enabled": st.integers(0, 2)},
    "set_latency": {"stream": st.integers(0, STREAMS), "latency_us": st.integers(0, 1_100_000)},
    "self_test": {"stream": st.integers(0, STREAMS)},
    "clear_counters": {},
    "acknowledge_fault": {"boot_id": st.integers(0, 2**32 - 1)},
}
GOOD = st.one_of(*(st.tuples(st.just(name), st.fixed_dictionaries(fields)) for name, fields in FIELDS.items()))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("good"), GOOD),
        st.tuples(st.just("any"), st.tuples(st.sampled_from((*OWN, 0, 17, 255)), st.binary(max_size=14))),
        st.tuples(st.just("repeat"), st.integers(1, 4)),
        st.tuples(st.just("next"), st.tuples(st.integers(0, STREAMS - 2), st.integers(0, 3))),
        st.tuples(st.just("end"), st.tuples(st.integers(0, STREAMS - 2), st.sampled_from((DONE, FAILED)))),
        st.tuples(st.just("advance"), st.integers(1, LIMIT_US)),
        st.tuples(st.just("sample"), st.integers(0, STREAMS - 1)),
        st.tuples(st.just("poll"), st.none()),
    ),
    min_size=10,
    max_size=40,
)


class Model:
    """What was sent, and which of it is owed an answer."""

    def __init__(self, bench: CommandBench) -> None:
        self.bench = bench
        self.ids = itertools.count(1)
        self.sent: list[tuple[int, int, bytes]] = []
        self.owed: dict[int, int] = {}  # request -> answers: not for a repetition of what is pending
        self.answers: dict[int, list[int]] = {}
        self.settings = [bench.show(n)[:4] for n in range(STREAMS)]

    def hand_over(self, request: int, command: int, args: bytes) -> None:
        while not self.bench.raw(request, command, args):
            self.poll()
        self.owed[request] = len(self.answers.get(request, [])) + 1
        self.poll()

    def send(self, command: int, args: bytes) -> None:
        self.sent.append((next(self.ids), command, args))
        self.hand_over(*self.sent[-1])

    def poll(self) -> None:
        """Answers come in here; where none was `ok`, nothing may have changed."""
        accepted = False
        for message in self.bench.poll():
            if isinstance(message, messages.Response):
                self.answers.setdefault(message.request, []).append(message.status)
                accepted |= message.status == Status.OK
        now = [self.bench.show(n)[:4] for n in range(STREAMS)]
        assert accepted or now == self.settings
        self.settings = now


@settings(deadline=None, max_examples=150)
@given(steps=STEPS)
@example(steps=[("good", ("self_test", {"stream": 0})), ("repeat", 1), ("end", (0, DONE)), ("repeat", 1)])
def test_each_command_is_answered_once_and_a_refused_one_changes_nothing(steps: list[tuple[str, object]]) -> None:
    bench = CommandBench()
    for sensor in range(STREAMS - 1):  # what can be put off is, until a step says otherwise
        bench.ask(f"next {sensor} {PENDING}")
    model = Model(bench)
    try:
        for step in steps:
            match step:
                case "good", (str(name), dict() as values):
                    spec = messages.COMMANDS[name]
                    model.send(spec.id, spec.pack_args(**values))
                case "any", (int(command), bytes() as data):
                    model.send(command, data)
                case "repeat", int(back) if len(model.sent) >= back:
                    model.hand_over(*model.sent[-back])
                case "next" | "end" as what, (int(sensor), int(change)):
                    bench.ask(f"{what} {sensor} {change}")
                    model.settings = [bench.show(n)[:4] for n in range(STREAMS)]  # what ends well is in force
                    model.poll()
                case "advance", int(us):
                    bench.advance(us)
                    model.poll()
                case "sample", int(stream):
                    bench.ask(f"sample {stream} 3")
                case _:
                    model.poll()
        bench.advance(LIMIT_US)
        model.poll()
        for request, command, args in model.sent:
            answers = model.answers.get(request, [])
            assert len(answers) == model.owed[request], (request, command, args, answers)
        assert bench.poll() == [] or all(not isinstance(m, messages.Response) for m in bench.poll())
    finally:
        bench.close()
