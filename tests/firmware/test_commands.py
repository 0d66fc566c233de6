"""Commands and what they change, on a board on the host."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firmware.host_board import HostBoard
from telemetry_protocol import encode_frame, messages

OK, UNKNOWN_COMMAND, BAD_LENGTH, BAD_ARGUMENT, UNKNOWN_STREAM = range(5)
UNSUPPORTED, BUSY, FAILED = 7, 8, 9


def result(name: str, response: messages.Response) -> dict[str, int]:
    values = messages.COMMANDS[name].unpack_result(response.data)
    assert isinstance(values, dict), (response, values)
    return values


def test_boot_announces_hello_and_every_stream_first(board: HostBoard) -> None:
    board.run(0.05)
    kinds = [type(message) for message in board.received[:5]]
    assert kinds == [messages.Hello, *[messages.Stream] * 4]
    hello = board.received[0]
    assert isinstance(hello, messages.Hello)
    assert hello.fingerprint == messages.FINGERPRINT
    assert hello.streams == 4


def test_generations_start_from_the_boot_id(board: HostBoard) -> None:
    board.run(0.05)
    hello = board.received[0]
    assert isinstance(hello, messages.Hello)
    generations = {message.stream_gen >> 5 for message in board.received if isinstance(message, messages.Stream)}
    assert generations == {hello.boot_id & 7}


def test_ping_returns_the_senders_time_and_two_of_its_own(streaming: HostBoard) -> None:
    sent_at = streaming.now_us
    answer = streaming.call("ping", host_ns=2**63 + 5)
    values = result("ping", answer)
    assert values["host_ns"] == 2**63 + 5
    assert values["received_us"] == sent_at
    assert sent_at <= values["sent_us"] < sent_at + 10_000


def test_a_ping_is_answered_when_the_line_is_silent(streaming: HostBoard) -> None:
    streaming.run(0.0003)
    while streaming._block == "-":  # a frame is on the line
        streaming.run(0.0002)
    ends_us = streaming._block_ends_us
    values = result("ping", streaming.call("ping", host_ns=1))
    assert ends_us is not None
    assert values["sent_us"] >= ends_us


def test_describe_is_answered_before_what_it_asks_for(streaming: HostBoard) -> None:
    mark = len(streaming.received)
    streaming.call("describe", request=77)
    streaming.run(0.05)
    kinds = [type(m) for m in streaming.received[mark:] if not isinstance(m, messages.Samples | messages.Health)]
    assert kinds[:5] == [messages.Response, messages.Hello, messages.Stream, messages.Stream, messages.Stream]


def test_set_rate_takes_the_nearest_and_states_it(streaming: HostBoard) -> None:
    values = result("set_rate", streaming.call("set_rate", stream=0, rate_mhz=333_000))
    assert values["rate_mhz"] == 333_333
    assert streaming.registers[0x19] == 2
    assert result("get_rate", streaming.call("get_rate", stream=0))["rate_mhz"] == 333_333


def test_set_rate_makes_a_new_generation_announced_before_its_samples(streaming: HostBoard) -> None:
    mark = len(streaming.received)
    generation = result("set_rate", streaming.call("set_rate", stream=0, rate_mhz=500_000))["generation"]
    streaming.run(0.2)
    after = [m for m in streaming.received[mark:] if isinstance(m, messages.Stream | messages.Samples)]
    imu = [m for m in after if m.stream_gen & 31 == 0]
    first_new = next(m for m in imu if m.stream_gen >> 5 == generation)
    assert isinstance(first_new, messages.Stream)
    assert first_new.rate_mhz == 500_000
    old = [m for m in imu if m.stream_gen >> 5 != generation]
    assert all(isinstance(m, messages.Samples) for m in old)


def test_a_change_is_answered_ahead_of_the_descriptors_it_makes(streaming: HostBoard) -> None:
    mark = len(streaming.received)
    streaming.call("set_rate", stream=0, rate_mhz=500_000)
    streaming.run(0.05)
    kinds = [type(m) for m in streaming.received[mark:] if isinstance(m, messages.Response | messages.Stream)]
    assert kinds[0] is messages.Response


def test_the_index_goes_on_through_a_change_of_rate(streaming: HostBoard) -> None:
    streaming.call("set_rate", stream=0, rate_mhz=250_000)
    streaming.run(0.5)
    batches = streaming.samples(0)
    for previous, current in itertools.pairwise(batches):
        assert current.index == previous.index + len(previous.data) // 12
    assert streaming.health().streams[0].lost_fifo == 0


def test_the_filter_follows_the_rate(streaming: HostBoard) -> None:
    streaming.call("set_rate", stream=0, rate_mhz=100_000)
    assert streaming.registers[0x1A] & 7 == 3  # 44 Hz: not above half the rate
    streaming.run(0.05)
    imu = [m for m in streaming.received if isinstance(m, messages.Stream) and m.stream_gen & 31 == 0][-1]
    assert imu.group_delay_us == 4850


def test_the_rate_in_force_again_changes_nothing(streaming: HostBoard) -> None:
    first = result("set_rate", streaming.call("set_rate", stream=0, rate_mhz=1_000_000))
    assert first == result("set_rate", streaming.call("set_rate", stream=0, rate_mhz=1_000_000))


@pytest.mark.parametrize("rate_mhz", [0, 3_905, 1_000_001, 2**32 - 1])
def test_a_rate_out_of_range_is_refused_with_the_range(streaming: HostBoard, rate_mhz: int) -> None:
    answer = streaming.call("set_rate", stream=0, rate_mhz=rate_mhz)
    assert answer.status == BAD_ARGUMENT
    assert messages.COMMANDS["set_rate"].unpack_refusal(answer.data) == {"needed": 3_906, "available": 1_000_000}


@pytest.mark.parametrize(
    ("name", "args", "status"),
    [
        ("get_rate", {"stream": 4}, UNKNOWN_STREAM),
        ("set_rate", {"stream": 31, "rate_mhz": 1000}, UNKNOWN_STREAM),
        ("set_rate", {"stream": 1, "rate_mhz": 1000}, UNSUPPORTED),
    ],
)
def test_what_cannot_be_done_is_refused(streaming: HostBoard, name: str, args: dict[str, int], status: int) -> None:
    assert streaming.call(name, **args).status == status


def test_a_second_change_while_one_is_under_way_is_busy(streaming: HostBoard) -> None:
    streaming.imu_answers = False
    streaming.run(0.0015)
    streaming.command("set_rate", request=1, stream=0, rate_mhz=500_000)
    streaming.command("set_rate", request=2, stream=0, rate_mhz=250_000)
    streaming.imu_answers = True
    streaming.end_transfer()  # the read that hung ends well, the change follows it
    streaming.run(0.2)
    assert [(r.request, r.status) for r in streaming.responses()] == [(2, BUSY), (1, OK)]


def test_a_repeated_change_is_answered_once_when_it_is_done(streaming: HostBoard) -> None:
    streaming.imu_answers = False
    streaming.run(0.0015)
    streaming.command("set_rate", request=1, stream=0, rate_mhz=500_000)
    streaming.command("set_rate", request=1, stream=0, rate_mhz=500_000)
    streaming.imu_answers = True
    streaming.end_transfer()
    streaming.run(0.2)
    assert [(r.request, r.status) for r in streaming.responses()] == [(1, OK)]


def test_a_change_that_the_sensor_does_not_take_fails_and_changes_nothing(streaming: HostBoard) -> None:
    streaming.imu_status = 1
    answer = streaming.call("set_rate", stream=0, rate_mhz=500_000)
    streaming.imu_status = 0
    assert answer.status == FAILED
    assert result("get_rate", streaming.call("get_rate", stream=0))["rate_mhz"] == 1_000_000


def test_mcu_temperature_has_its_own_rate(streaming: HostBoard) -> None:
    assert result("set_rate", streaming.call("set_rate", stream=2, rate_mhz=51_000))["rate_mhz"] == 50_000
    mark = len(streaming.samples(2))
    streaming.run(1)
    total = sum(len(batch.data) // 2 for batch in streaming.samples(2)[mark:])
    assert 45 <= total <= 51


def test_reset_is_answered_first(streaming: HostBoard) -> None:
    streaming.command("reset", request=9)
    streaming.run(0.3)
    assert streaming.reset
    assert [r.request for r in streaming.responses()] == [9]


def test_without_a_bootloader_on_its_line_the_board_says_so_and_goes_on(streaming: HostBoard) -> None:
    assert streaming.call("enter_bootloader").status == messages.Status.UNSUPPORTED
    streaming.run(0.3)
    assert not streaming.reset


def test_short_arguments_are_a_bad_length(streaming: HostBoard) -> None:
    for command in (1, 3, 4):
        streaming.send(encode_frame(0x40, 0, messages.Command(request=command, command=command, args=b"").pack()))
    streaming.run(0.1)
    assert [r.status for r in streaming.responses()] == [BAD_LENGTH] * 3


def test_an_unknown_command_is_answered_so(streaming: HostBoard) -> None:
    for command in (0, 17, 255):
        streaming.send(encode_frame(0x40, 0, messages.Command(request=command, command=command, args=b"").pack()))
    streaming.run(0.1)
    assert [r.status for r in streaming.responses()] == [UNKNOWN_COMMAND] * 3


def test_what_is_no_command_is_counted(streaming: HostBoard) -> None:
    streaming.send(b"\x00" + encode_frame(0x41, 0, b"abc") + encode_frame(0x40, 1, b"a"))
    good = encode_frame(0x40, 2, messages.Command(request=1, command=5, args=b"").pack())
    streaming.send(bytes([good[0], good[1] ^ 1, *good[2:]]) + b"\x09\x01\x00" + b"\x03\x01\x01\x00")
    health = streaming.health()
    assert (health.refused_type, health.refused_length) == (1, 2)
    assert (health.refused_crc, health.refused_cobs) == (1, 1)


def test_answers_pass_waiting_samples(streaming: HostBoard) -> None:
    streaming.line_blocked = True
    streaming.run(0.08)  # four batches wait
    mark = len(streaming.received)
    streaming.command("get_rate", stream=0)
    streaming.line_blocked = False
    streaming.run(0.1)
    kinds = [type(m) for m in streaming.received[mark:]]
    in_front = streaming.frames[mark : mark + kinds.index(messages.Response)]
    # only what was in the transmit ring before it: the frame on the line and what waited behind it
    assert sum(len(frame.raw) + 1 for frame in in_front) <= 2 * 500
    assert kinds.count(messages.Samples) > len(in_front)


def test_a_blocked_line_is_a_loss_in_the_ring_exactly_counted(streaming: HostBoard) -> None:
    streaming.line_blocked = True
    streaming.run(1)
    streaming.line_blocked = False
    streaming.run(0.2)
    health = streaming.health()
    lost = health.streams[0].lost_ring
    assert lost > 0
    batches = streaming.samples(0)
    holes = sum(b.index - (a.index + len(a.data) // 12) for a, b in itertools.pairwise(batches))
    assert holes == lost


def test_many_commands_at_once_are_each_answered(streaming: HostBoard) -> None:
    for request in range(30):
        streaming.command("ping", request=request, host_ns=request)
        if request % 8 == 7:
            streaming.run(0.02)
    streaming.run(0.2)
    assert [r.request for r in streaming.responses()] == list(range(30))


COMMAND_IDS = st.sampled_from([1, 2, 3, 4, 5, 7, 8, 9, 11, 14, 15, 0, 17])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    commands=st.lists(st.tuples(COMMAND_IDS, st.binary(max_size=12)), max_size=12),
    noise=st.binary(max_size=40),
)
def test_each_command_is_answered_exactly_once(
    make_board: Callable[..., HostBoard], commands: list[tuple[int, bytes]], noise: bytes
) -> None:
    board = make_board()
    board.run(0.3)
    board.send(noise + b"\x00")
    for request, (command, args) in enumerate(commands):
        board.send(encode_frame(0x40, request, messages.Command(request=request, command=command, args=args).pack()))
        board.run(0.005)
    board.run(2.0)  # what takes longest, a self-test, is answered within 1.5 s
    assert sorted(r.request for r in board.responses()) == list(range(len(commands)))
    board.close()


def test_the_line_budget_refuses_with_numbers(make_board: Callable[..., HostBoard]) -> None:
    board = make_board(baud=115_200)
    board.run(0.5)
    answer = board.call("set_rate", stream=0, rate_mhz=500_000)
    assert answer.status == OK
    answer = board.call("set_rate", stream=0, rate_mhz=1_000_000)
    assert answer.status == 5
    refusal = messages.COMMANDS["set_rate"].unpack_refusal(answer.data)
    assert isinstance(refusal, dict)
    assert refusal["available"] == 115_200
    assert 130_000 <= refusal["needed"] <= 140_000  # 1 kHz x 6 axes alone needs 113 % of this line
