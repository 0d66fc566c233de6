"""Commands: one end for each, repeats, time-outs, refusals in words."""

from __future__ import annotations

import struct

import pytest

from bridge.session_helpers import MS, UID, Harness, online
from telemetry_bridge.errors import CommandError
from telemetry_bridge.session.commands import PENDING_MAX
from telemetry_protocol import messages

SET_RATE = {"stream": 0, "rate_mhz": 500_000}


def answer(harness: Harness, request: int, name: str, status: int = 0, data: bytes = b"") -> None:
    harness.say(messages.Response(request, messages.COMMANDS[name].id, status, data))


def test_a_command_is_sent_and_ends_with_its_result() -> None:
    harness = online()
    request = harness.session.command("set_rate", SET_RATE, harness.now_ns)
    harness.exchange()
    (command,) = harness.sent("set_rate")
    assert command.request == request
    assert command.args == struct.pack("<BI", 0, 500_000)
    answer(harness, request, "set_rate", data=struct.pack("<IB", 500_000, 3))
    (end,) = harness.ends
    assert end.ok
    assert (end.device, end.request, end.name, end.message) == (UID.hex(), request, "set_rate", "")
    assert end.args == SET_RATE
    assert end.data == {"rate_mhz": 500_000, "generation": 3}


def test_a_command_is_repeated_three_times_with_its_id_and_then_times_out() -> None:
    harness = online()
    request = harness.session.command("get_rate", {"stream": 0}, harness.now_ns)
    harness.pass_ms(1999)
    assert [command.request for command in harness.sent("get_rate")] == [request] * 4
    assert harness.ends == []
    harness.pass_ms(2)
    (end,) = harness.ends
    assert (end.ok, end.status, end.request) == (False, "timeout", request)
    assert "no answer within 2 s" in end.message


@pytest.mark.parametrize(
    ("name", "args"),
    [("self_test", {"stream": 0}), ("save_configuration", {}), ("restore_configuration", {"source": 0})],
)
def test_what_takes_the_board_its_time_is_not_repeated_while_it_may_still_answer(
    name: str, args: dict[str, int]
) -> None:
    harness = online()
    harness.session.command(name, args, harness.now_ns)
    harness.pass_ms(1550)
    assert len(harness.sent(name)) == 1
    harness.pass_ms(3240)
    assert len(harness.sent(name)) == 3
    assert harness.ends == []
    harness.pass_ms(20)
    (end,) = harness.ends
    assert (end.status, end.message) == ("timeout", f"{name}: the board gave no answer within 4.8 s")


def test_an_answer_to_a_repeat_ends_the_command_once() -> None:
    harness = online()
    request = harness.session.command("get_rate", {"stream": 0}, harness.now_ns)
    harness.pass_ms(700)
    for _ in range(2):
        answer(harness, request, "get_rate", data=struct.pack("<I", 1_000_000))
    assert len(harness.ends) == 1
    assert harness.session.stats.unknown_answers == 1
    harness.pass_ms(3000)
    assert len(harness.ends) == 1


@pytest.mark.parametrize(
    ("status", "message"),
    [
        ("OVER_LINE_BUDGET", "set_rate would take 5 bit/s of the line; there are 7 bit/s"),
        ("OVER_BUS_BUDGET", "set_rate would take 5 bit/s of the sensor bus; there are 7 bit/s"),
        ("BAD_ARGUMENT", "set_rate is not possible: the sensor can do 0.005 to 0.007 Hz"),
        ("BUSY", "set_rate: the board is busy with another change; try again"),
    ],
)
def test_a_refusal_is_said_in_words_with_its_numbers(status: str, message: str) -> None:
    harness = online()
    request = harness.session.command("set_rate", SET_RATE, harness.now_ns)
    answer(harness, request, "set_rate", messages.Status[status], struct.pack("<II", 5, 7))
    (end,) = harness.ends
    assert (end.ok, end.status, end.message) == (False, status.lower(), message)
    assert end.data == {"needed": 5, "available": 7}


def test_a_refusal_without_numbers_and_a_status_of_the_future_are_understood() -> None:
    harness = online()
    for status in (messages.Status.UNKNOWN_STREAM, 77):
        answer(harness, harness.session.command("set_rate", SET_RATE, harness.now_ns), "set_rate", status)
    assert [end.status for end in harness.ends] == ["unknown_stream", "77"]


def test_a_result_that_is_too_short_is_a_bad_answer() -> None:
    harness = online()
    answer(harness, harness.session.command("get_rate", {"stream": 0}, harness.now_ns), "get_rate", data=b"\1")
    (end,) = harness.ends
    assert (end.ok, end.status) == (False, "bad_answer")


def test_an_answer_to_nothing_or_to_another_command_is_counted() -> None:
    harness = online()
    request = harness.session.command("get_rate", {"stream": 0}, harness.now_ns)
    answer(harness, 4711, "get_rate", data=bytes(4))
    answer(harness, request, "set_rate", data=bytes(5))
    assert harness.ends == []
    assert harness.session.stats.unknown_answers == 2


def test_what_does_not_fit_is_refused_before_it_is_sent() -> None:
    harness = online()
    for name, args in (
        ("fly", {}),
        ("get_rate", {}),
        ("get_rate", {"stream": 256}),
        ("get_rate", {"stream": -1}),
        ("get_rate", {"stream": 0, "altitude": 3}),
        ("get_rate", {"stream": "imu"}),
    ):
        with pytest.raises(ValueError, match=name) as refusal:
            harness.session.command(name, args, harness.now_ns)  # type: ignore[arg-type]
        assert "\n" not in str(refusal.value)
    assert harness.session.take_output() == b""


def test_too_many_commands_at_once_are_refused() -> None:
    harness = online()
    for _ in range(PENDING_MAX):
        harness.session.command("get_health", {}, harness.now_ns)
    with pytest.raises(CommandError, match="wait for the board already") as refused:
        harness.session.command("get_health", {}, harness.now_ns)
    assert refused.value.code == "too_many"
    harness.pass_ms(2100)
    assert len(harness.ends) == PENDING_MAX
    assert len({end.request for end in harness.ends}) == PENDING_MAX


def test_a_lost_link_ends_every_command() -> None:
    harness = online()
    requests = {harness.session.command("get_health", {}, harness.now_ns) for _ in range(3)}
    harness.events += harness.session.closed(harness.now_ns)
    assert {end.request for end in harness.ends} == requests
    assert {end.status for end in harness.ends} == {"timeout"}
    assert all("link was lost" in end.message for end in harness.ends)


def test_request_ids_go_round_and_skip_those_that_wait() -> None:
    harness = online()
    first = harness.session.command("reset", {}, harness.now_ns)
    seen = set()
    for _ in range(0x1_0010):
        request = harness.session.command("get_health", {}, harness.now_ns)
        assert 0 < request < 0x1_0000
        assert request != first
        seen.add(request)
        harness.session.take_output()
        harness.session._commands.answered(messages.Response(request, messages.COMMANDS["get_health"].id, 0, b""))
    assert len(seen) >= 0xFFFE - PENDING_MAX


def test_a_command_wakes_the_session_in_time_to_repeat_it() -> None:
    harness = online()
    harness.pass_ms(6000)
    harness.session.command("get_health", {}, harness.now_ns)
    assert harness.session.next_poll_ns <= harness.now_ns + 500 * MS
