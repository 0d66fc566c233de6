"""More to send than the line takes: what a host may rely on all the same."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from firmware.host_board import HostBoard
from telemetry_protocol import messages
from virtual_board.motion import STANDARD_GRAVITY

Make = Callable[..., HostBoard]


def fallen_back(make_board: Make) -> HostBoard:
    """A board whose streams need more than its line carries: their host went when the line was quick."""
    board = make_board(baud=115_200)
    board.run(0.3)
    assert board.call("set_baud", baud=921_600).status == messages.Status.OK
    board.run(0.01)
    assert board.call("ping", host_ns=0).status == messages.Status.OK
    assert board.call("set_rate", stream=0, rate_mhz=1_000_000).status == messages.Status.OK
    board.run(6.0)
    return board


def test_a_board_that_starts_with_a_slow_line_starts_with_rates_that_fit(make_board: Make) -> None:
    board = make_board(baud=115_200)
    board.run(2.0)
    assert "the line has 115200 bit/s, the streams need 139530: lower rates than usual" in board.logs()
    assert board.samples(0)
    assert {h.lost_ring for m in board.received if isinstance(m, messages.Health) for h in m.streams} == {0}
    assert board.call("set_rate", stream=0, rate_mhz=1_000_000).status == messages.Status.OVER_LINE_BUDGET


def test_samples_that_wait_are_never_scaled_with_a_descriptor_of_eight_generations_later(make_board: Make) -> None:
    board = fallen_back(make_board)
    assert board.call("set_rate", stream=0, rate_mhz=333_000).status == messages.Status.OK
    board.run(0.5)
    for full_scale in (2.0, 16.0, 4.0, 8.0):
        board.command("describe")
        for latency_us in range(20_000, 20_007):
            board.command("set_latency", stream=0, latency_us=latency_us)
            board.run(0.004)
        board.command("set_range", stream=0, field=2, full_scale=full_scale * STANDARD_GRAVITY)
        board.run(0.3)
    board.run(0.5)
    scales: dict[int, float] = {}
    for message in board.received:
        if isinstance(message, messages.Stream) and message.stream_gen & 31 == 0:
            scales[message.stream_gen] = message.fields[2].scale
        elif isinstance(message, messages.Samples) and message.stream_gen & 31 == 0:
            for values in struct.iter_unpack("<6h", message.data):
                assert values[2] * scales[message.stream_gen] == pytest.approx(STANDARD_GRAVITY, rel=0.01)
    assert {r.status for r in board.responses()} == {messages.Status.OK, messages.Status.BUSY}
    assert board.call("set_range", stream=0, field=2, full_scale=2.0).status == messages.Status.OK


def test_a_host_that_pings_without_a_pause_gets_the_rest_too(streaming: HostBoard) -> None:
    streaming.received.clear()
    for request in range(0, 1600, 8):
        for more in range(8):
            streaming.command("ping", request=request + more, host_ns=0)
        streaming.run(0.0025)
    assert sum(len(message.data) // 12 for message in streaming.samples(0)) >= 450
    assert len(streaming.responses()) >= 400


def test_a_line_that_falls_back_below_what_the_streams_need_says_so(make_board: Make) -> None:
    board = fallen_back(make_board)
    (said,) = [text for text in board.logs() if text.endswith(": samples will be lost")]
    assert said.startswith("the line has 115200 bit/s")


def test_a_reset_does_not_wait_for_samples(make_board: Make) -> None:
    board = fallen_back(make_board)
    board.command("reset")
    board.run(0.15)
    assert board.reset
