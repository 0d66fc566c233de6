"""Oscillators and PLLs that never get ready: the board runs from what there is, and everybody sees why."""

from __future__ import annotations

import pytest

from elves import BOARDS
from system.desk import Desk, assert_accounted_for, batches, gaps, health, logs, of
from telemetry_bridge.events import DeviceChanged
from virtual_board import VirtualBoard
from virtual_board.boards import BOARDS as SPECS

HOME, SLOW = 921_600, 115_200
EMPTY: dict[str, int] = {}


def desk_with(*dead: str, name: str = "nucleo_f411re") -> Desk:
    """A board with faults in its clock tree, and a host whose port has a rate of its own."""
    desk = Desk.with_board(name)
    desk.board.machine.rcc.dead.update(dead)
    desk.rated = True
    return desk


def line_baud(board: VirtualBoard) -> float:
    return 10e12 / board.machine.usarts[board.spec.uart].frame_ps


@pytest.mark.parametrize("dead", [("pll",), ("hse", "pll"), ("scale",)])
@pytest.mark.parametrize("name", BOARDS)
def test_without_a_pll_a_board_streams_at_115200_baud_and_says_why(name: str, dead: tuple[str, ...]) -> None:
    desk = desk_with(*dead, name=name)
    desk.run_until(lambda seen: bool(batches(seen)))
    board = desk.board
    assert board.counters.resets == 1, "the power-on"
    assert board.machine.rcc.hclk_hz == board.machine.rcc.pclk1_hz == board.machine.rcc.pclk2_hz == 16_000_000
    assert line_baud(board) == pytest.approx(SLOW, rel=0.01)
    assert desk.session.baud == SLOW
    desk.run_until(lambda _: desk.device.clock.state == "locked", limit_s=10.0)
    device = desk.device
    assert "PLL does not lock" in device.warning
    assert "16 MHz" in device.warning
    assert device.baud == pytest.approx(line_baud(board), abs=1)
    assert device.clock.drift_ppm == pytest.approx(0.0, abs=500.0), "a first estimate, over a slow line"
    assert board.machine.flash_controller.registers[0] == 0x600, "ACR: both caches, no wait states"
    assert board.violations == EMPTY
    assert board.unmodelled == EMPTY


def test_without_a_pll_the_rates_are_those_that_the_line_carries() -> None:
    desk = desk_with("pll")
    desk.run_until(lambda seen: bool(batches(seen)))
    desk.run(5.0)
    assert gaps(desk.events) == []
    assert_accounted_for(desk.events)
    last = batches(desk.events)[-1]
    assert last.period_ns == pytest.approx(2_000_000, rel=0.01), "1 kHz needs 113 % of this line, half of it fits"
    assert {stream.name for stream in desk.device.streams} >= {"imu", "mcu_temp"}
    assert batches(desk.events, "mcu_temp")
    imu = stream_health(desk, "imu")
    assert (imu["lost_fifo"], imu["lost_ring"], imu["lost_bus"]) == (0, 0, 0)
    refused = desk.command("set_rate", stream=0, rate_mhz=1_000_000)
    assert refused.status == "over_line_budget"
    assert not desk.command("set_baud", baud=HOME).ok, "16 MHz make no divider within 1 %"


def stream_health(desk: Desk, name: str) -> dict[str, object]:
    """The board's counters of a stream, of the last HEALTH."""
    streams = health(desk.events)[-1].body["streams"]
    assert isinstance(streams, dict)
    return dict(streams[name])


def test_a_pll_that_locks_at_the_next_reset_brings_the_line_back() -> None:
    desk = desk_with("pll")
    desk.run_until(lambda seen: bool(batches(seen)))
    desk.board.machine.rcc.dead.clear()
    desk.board.reset("pin")
    boot = desk.device.boot_id
    desk.run_until(lambda _: desk.device.boot_id != boot)
    desk.run(1.0)
    assert desk.session.baud == HOME
    assert batches(desk.events)[-1].period_ns == pytest.approx(1_000_000, rel=0.01)
    assert desk.device.warning == ""
    assert_accounted_for(desk.events)


@pytest.mark.parametrize("dead", ["hse", "pll_from_hse"])
@pytest.mark.parametrize("name", BOARDS)
def test_without_its_external_oscillator_a_board_has_its_rates_from_the_internal_one(name: str, dead: str) -> None:
    desk = desk_with(dead, name=name)
    desk.run_until(lambda seen: bool(batches(seen)))
    desk.run(0.5)
    assert line_baud(desk.board) == pytest.approx(HOME, rel=0.01)
    assert desk.board.machine.rcc.hclk_hz > 80_000_000
    assert not desk.board.machine.rcc.registers[0x04] >> 22 & 1, "PLLCFGR.PLLSRC: HSI"
    assert "external oscillator does not start" in desk.device.warning
    assert "PLL" not in desk.device.warning
    assert any("external oscillator" in text for text in logs(desk.events))
    assert desk.board.violations == EMPTY


@pytest.mark.parametrize("name", BOARDS)
def test_a_healthy_clock_warns_of_nothing(name: str) -> None:
    desk = desk_with(name=name)
    desk.run_until(lambda seen: bool(batches(seen)))
    assert {event.device.warning for event in of(desk.events, DeviceChanged)} == {""}
    assert desk.board.machine.rcc.hclk_hz > 80_000_000
    assert SPECS[name].hse_hz == desk.board.machine.rcc.hse_hz
