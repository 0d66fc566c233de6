"""The line's rate, changed while the real firmware streams: both ends follow, come back, and never lose each other."""

from __future__ import annotations

import pytest

from elves import BOARDS
from system.desk import Desk, assert_accounted_for, batches, gaps, health, of
from telemetry_bridge.events import CommandDone, Gap

HOME = 921_600


def streaming(name: str = "nucleo_f411re", baud: int = HOME) -> Desk:
    """A board that streams; the host's port has a rate of its own and wants `baud` of the board."""
    desk = Desk.with_board(name, baud=baud)
    desk.run_until(lambda seen: bool(batches(seen)))
    return desk


def board_baud(desk: Desk) -> float:
    return 10e12 / desk.board.machine.usarts[desk.board.spec.uart].frame_ps


def fallbacks(desk: Desk) -> int:
    """What the board has counted, as the last HEALTH says."""
    uart = health(desk.events)[-1].body["uart"]
    assert isinstance(uart, dict)
    return int(uart["baud_fallbacks"])


def together(desk: Desk) -> bool:
    return abs(board_baud(desk) / desk.session.baud - 1) <= 0.01


@pytest.mark.parametrize("name", BOARDS)
@pytest.mark.parametrize("baud", [460_800, 2_000_000, 3_000_000])
def test_a_change_by_command_costs_no_sample(name: str, baud: int) -> None:
    desk = streaming(name)
    desk.run(0.5)
    done = desk.command("set_baud", baud=baud)
    assert done.ok, done
    assert done.data["baud"] == pytest.approx(baud, rel=0.01)
    desk.run(2.5)
    assert desk.session.baud == baud
    assert board_baud(desk) == pytest.approx(done.data["baud"], rel=1e-4)
    assert desk.device.baud == done.data["baud"]
    assert desk.device.warning == ""
    assert_accounted_for(desk.events)
    assert gaps(desk.events) == []
    assert fallbacks(desk) == 0
    assert desk.device.clock.state == "locked"


def test_the_rate_that_is_wanted_is_asked_for_when_the_board_is_there() -> None:
    desk = streaming(baud=2_000_000)
    desk.run(1.0)
    assert desk.session.baud == 2_000_000
    assert together(desk)
    assert of(desk.events, CommandDone) == []  # nobody but the session waits for it
    assert gaps(desk.events) == []


def test_a_rate_that_the_line_cannot_carry_is_left_alone_and_said() -> None:
    desk = streaming(baud=115_200)
    desk.run(3.0)
    assert desk.session.baud == HOME
    assert together(desk)
    assert "would carry 115107 bit/s; the streams take" in desk.device.warning
    assert gaps(desk.events) == []


def test_an_adapter_that_cannot_follow_brings_both_back() -> None:
    desk = streaming()

    def deaf(data: bytes) -> bytes:
        """Above the default nothing good comes through."""
        return data if desk.session.baud == HOME else b"\xff" * len(data)

    desk.cable = deaf
    desk.board.uart.rx_connected = lambda: desk.session.baud == HOME
    assert desk.command("set_baud", baud=3_000_000).ok
    desk.run(4.0)
    assert desk.session.baud == HOME
    assert together(desk)
    assert "3,000,000" in desk.device.warning
    lost = assert_accounted_for(desk.events)
    assert 500 < lost < 1500  # the second that the board waited, with nowhere to keep it
    assert {gap.cause for gap in gaps(desk.events)} == {"device"}
    assert fallbacks(desk) == 1


def test_a_host_that_dies_finds_the_board_at_its_default() -> None:
    desk = streaming(baud=2_000_000)
    desk.run(1.0)
    assert together(desk)
    desk.events += desk.session.closed(desk.now_ns)
    desk.board.run(5.1)
    assert board_baud(desk) == pytest.approx(HOME, rel=0.01)
    desk.board.uart.take()
    desk.events += desk.session.opened(desk.now_ns)  # the port is as it was: at the high rate
    assert desk.session.baud == 2_000_000
    mark = len(desk.events)
    desk.run(8.0)
    assert batches(desk.events[mark:])
    assert desk.session.baud == 2_000_000  # found at the default, and asked again
    assert together(desk)


def test_a_board_that_resets_at_a_high_rate_is_found_and_asked_again() -> None:
    desk = streaming(baud=2_000_000)
    desk.run(1.0)
    desk.board.reset("pin")
    mark = len(desk.events)
    desk.run(0.1)
    assert board_baud(desk) == pytest.approx(HOME, rel=0.01)
    assert not together(desk)
    desk.run(5.0)
    assert batches(desk.events[mark:])
    assert desk.session.baud == 2_000_000
    assert together(desk)
    desk.run(1.0)
    assert_accounted_for(desk.events)


def test_a_change_whose_answer_is_lost_is_taken_back_and_done_again() -> None:
    desk = streaming()
    desk.run(0.5)
    dropped: list[bytes] = []

    def lossy(data: bytes) -> bytes:
        if not dropped and board_baud(desk) > 1_500_000:  # what came with the answer, and the answer
            dropped.append(data)
            return b""
        return data

    desk.cable = lossy
    done = desk.command("set_baud", baud=2_000_000)
    assert done.ok, done
    assert dropped
    desk.run(2.0)
    assert desk.session.baud == 2_000_000
    assert together(desk)
    assert_accounted_for(desk.events)
    assert all(isinstance(gap, Gap) for gap in gaps(desk.events))
