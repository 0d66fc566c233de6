"""HEALTH, LOG and the MCU's temperature on a board on the host."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from firmware.host_board import NACK, OK, HostBoard
from telemetry_protocol import SampleLayout, messages


def test_health_comes_once_a_second(board: HostBoard) -> None:
    board.run(4.55)
    times = [m.time_us for m in board.received if isinstance(m, messages.Health)]
    assert len(times) == 4
    assert all(abs(b - a - 1_000_000) <= 10_000 for a, b in itertools.pairwise(times))


def test_load_is_the_time_not_asleep(board: HostBoard) -> None:
    board.run(2.5)
    assert board.health().cpu_permille == pytest.approx(250, abs=2)  # the harness sleeps three quarters


def test_health_carries_the_uarts_counters(board: HostBoard) -> None:
    board.ask("uart 3 4 5")
    health = board.health()
    assert (health.rx_overrun, health.rx_framing, health.rx_noise) == (3, 4, 5)


def test_index_and_losses_of_health_account_for_every_sample(streaming: HostBoard) -> None:
    for status in (NACK, OK, NACK, OK):
        streaming.imu_status = status
        streaming.run(0.007)
    streaming.run(0.2)
    health = streaming.health().streams[0]
    sent = sum(
        batch.index + i < health.next_index for batch in streaming.samples(0) for i in range(len(batch.data) // 12)
    )
    waiting = health.next_index - sent - health.lost_bus - health.lost_fifo - health.lost_ring
    assert 0 <= waiting <= 40


def test_the_mcu_temperature_is_that_of_the_codes(board: HostBoard) -> None:
    # 985 of 4096 at 3.3 V with points (950, 30 degC) and (1200, 110 degC)
    board.run(0.5)
    stream = next(m for m in board.received if isinstance(m, messages.Stream) and m.stream_gen & 31 == 2)
    values = SampleLayout(stream).si(board.samples(2)[0].data)
    assert values[0, 0] == pytest.approx(30 + (985 - 950) * 80 / 250, abs=0.01)
    health = board.health()
    assert health.mcu_cdegc == pytest.approx(values[0, 0] * 100, abs=1)
    assert health.supply_mv == 3300


def test_a_board_without_adc_says_so(make_board: Callable[..., HostBoard]) -> None:
    board = make_board(adc=False)
    board.run(0.5)
    health = board.health()
    assert (health.supply_mv, health.mcu_cdegc) == (0, -32768)
    assert health.streams[2].state == 2
    assert not board.samples(2)


def test_the_watchdog_is_fed_by_the_main_loop_at_each_tick(board: HostBoard) -> None:
    board.run(1.0)
    assert board.feeds == 100


def test_sequence_numbers_have_no_hole(streaming: HostBoard) -> None:
    streaming.call("describe")
    streaming.run(1)
    assert [f.sequence for f in streaming.frames] == [i % 256 for i in range(len(streaming.frames))]
