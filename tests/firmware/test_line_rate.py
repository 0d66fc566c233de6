"""The command set_baud, on a board on the host: refusals, the change, its proof, and the ways back."""

from __future__ import annotations

import pytest

from firmware.host_board import HostBoard
from telemetry_protocol import messages

OK, BAD_ARGUMENT, OVER_LINE_BUDGET, BUSY = 0, 3, 5, 8
DEFAULT = 921_600


def numbers(answer: messages.Response) -> tuple[int, int]:
    values = messages.COMMANDS["set_baud"].unpack_refusal(answer.data)
    assert isinstance(values, dict)
    return values["needed"], values["available"]


def change(board: HostBoard, baud: int) -> None:
    """Change the rate and prove it."""
    assert board.call("set_baud", request=40, baud=baud).status == OK
    board.run(0.01)
    assert board.baud == baud
    assert board.call("ping", request=41, host_ns=1).status == OK


@pytest.mark.parametrize("baud", [0, 115_199, 3_000_001, 2**32 - 1, 7 * 100_000])
def test_a_rate_out_of_range_or_that_the_clock_cannot_make_is_refused(streaming: HostBoard, baud: int) -> None:
    answer = streaming.call("set_baud", baud=baud)  # this clock cannot make multiples of seven
    assert answer.status == BAD_ARGUMENT
    assert numbers(answer) == (115_200, 3_000_000)
    assert streaming.baud == DEFAULT


def test_a_rate_that_the_streams_do_not_fit_is_refused_with_the_numbers(streaming: HostBoard) -> None:
    answer = streaming.call("set_baud", baud=115_200)  # 1 kHz of 12 bytes alone is 96,000 bit/s, without any frame
    assert answer.status == OVER_LINE_BUDGET
    needed, available = numbers(answer)
    assert available == 115_200 < needed
    assert streaming.call("set_rate", stream=0, rate_mhz=500_000).status == OK
    change(streaming, 115_200)


def test_the_line_budget_follows_the_rate_in_force(streaming: HostBoard) -> None:
    assert streaming.call("set_rate", stream=0, rate_mhz=500_000).status == OK
    change(streaming, 115_200)
    answer = streaming.call("set_rate", stream=0, rate_mhz=1_000_000)
    assert answer.status == OVER_LINE_BUDGET
    values = messages.COMMANDS["set_rate"].unpack_refusal(answer.data)
    assert isinstance(values, dict)
    assert values["available"] == 115_200


def test_the_answer_comes_at_the_old_rate_and_nothing_but_answers_until_the_proof(streaming: HostBoard) -> None:
    streaming.command("set_baud", request=9, baud=2_000_000)
    assert streaming.baud == DEFAULT
    streaming.run(0.05)
    assert streaming.baud == 2_000_000
    assert [answer.status for answer in streaming.responses() if answer.request == 9] == [OK]
    mark = len(streaming.received)
    streaming.run(0.05)
    assert streaming.received[mark:] == []
    streaming.call("ping", request=10, host_ns=1)
    streaming.run(0.1)
    kinds = [type(message) for message in streaming.received[mark:]]
    assert kinds[0] is messages.Response
    assert messages.Samples in kinds
    assert streaming.health().baud_fallbacks == 0
    streaming.call("describe")
    streaming.run(0.05)
    assert [m.baud for m in streaming.received if isinstance(m, messages.Hello)][-1] == 2_000_000


def test_without_a_ping_the_line_goes_back_and_the_samples_are_accounted_for(streaming: HostBoard) -> None:
    assert streaming.call("set_baud", baud=2_000_000).status == OK
    streaming.run(0.95)
    assert streaming.baud == 2_000_000
    assert streaming.call("get_rate", stream=0).status == OK  # a good frame, but no ping
    streaming.run(0.1)
    assert streaming.baud == DEFAULT
    health = streaming.health()
    assert health.baud_fallbacks == 1
    holes, expected = 0, 0
    for batch in streaming.samples(0):
        holes += batch.index - expected
        expected = batch.index + len(batch.data) // 12
    assert holes == health.streams[0].lost_ring > 500


def test_a_host_that_dies_loses_the_rate_after_five_seconds(streaming: HostBoard) -> None:
    change(streaming, 2_000_000)
    for _ in range(10):  # as long as it says anything the rate stays
        streaming.run(1)
        streaming.command("get_rate", request=50, stream=0)
    streaming.run(4.9)
    assert streaming.baud == 2_000_000
    streaming.run(0.2)
    assert streaming.baud == DEFAULT
    assert streaming.health().baud_fallbacks == 1


def test_from_an_unproven_rate_the_line_goes_to_the_one_before(streaming: HostBoard) -> None:
    change(streaming, 2_000_000)
    assert streaming.call("set_baud", request=60, baud=1_000_000).status == OK
    streaming.run(1.1)
    assert streaming.baud == 2_000_000
    assert streaming.health().baud_fallbacks == 0


def test_the_rate_in_force_is_taken_again_without_a_change(streaming: HostBoard) -> None:
    for request in (70, 70, 71):
        answer = streaming.call("set_baud", request=request, baud=DEFAULT)
        assert answer.status == OK
    streaming.run(2)
    assert streaming.baud == DEFAULT
    assert streaming.health().baud_fallbacks == 0
    assert len([answer for answer in streaming.responses() if answer.request in (70, 71)]) == 3


def test_a_repetition_at_the_new_rate_is_answered_and_proves_nothing(streaming: HostBoard) -> None:
    assert streaming.call("set_baud", request=80, baud=2_000_000).status == OK
    streaming.run(0.01)
    assert streaming.call("set_baud", request=80, baud=2_000_000).status == OK
    assert streaming.call("set_baud", request=81, baud=1_000_000).status == BUSY
    streaming.run(1.1)
    assert streaming.baud == DEFAULT


def test_a_line_that_sends_nothing_more_changes_all_the_same_and_is_heard(streaming: HostBoard) -> None:
    streaming.line_blocked = True
    streaming.command("set_baud", request=90, baud=2_000_000)
    streaming.run(0.02)
    assert streaming.baud == DEFAULT, "twice what may wait takes longer"
    streaming.run(0.1)
    assert streaming.baud == 2_000_000
    streaming.line_blocked = False
    streaming.command("ping", request=91, host_ns=1)
    streaming.run(0.1)
    assert [(answer.request, answer.status) for answer in streaming.responses()[-2:]] == [(90, OK), (91, OK)]
    assert "the line could not send in time: its rate changed all the same" in streaming.logs()
    streaming.run(1)
    assert streaming.baud == 2_000_000
