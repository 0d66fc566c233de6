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


def test_health_carries_the_buses_counters(board: HostBoard) -> None:
    board.ask("i2c 3 4 5 6")
    health = board.health()
    assert (health.bus_nack, health.bus_error, health.bus_timeout, health.bus_recoveries) == (3, 4, 5, 6)


def test_lines_of_the_log_without_room_are_counted(board: HostBoard) -> None:
    board.line_blocked = True
    for _ in range(40):  # the sensor comes and goes, and each time there is a line about it
        board.imu_status = NACK
        board.run(1.5)
        board.imu_status = OK
        board.run(1.5)
    board.line_blocked = False
    board.run(0.5)
    assert board.health().dropped_messages > 0


def test_cleared_counters_count_from_there_and_the_streams_keep_theirs(streaming: HostBoard) -> None:
    streaming.imu_status = NACK
    streaming.run(0.02)
    streaming.imu_status = OK
    streaming.ask("uart 3 4 5")
    before = streaming.health()
    assert before.bus_nack > 0
    assert streaming.call("clear_counters").status == 0
    after = streaming.health()
    assert (after.rx_overrun, after.rx_framing, after.rx_noise, after.bus_nack) == (0, 0, 0, 0)
    assert after.streams[0].lost_bus >= before.streams[0].lost_bus > 0
    streaming.ask("uart 3 4 7")
    assert streaming.health().rx_noise == 2


def test_health_says_what_is_known_of_the_sensors_that_are_there(streaming: HostBoard) -> None:
    streaming.run(1)
    sensors = {entry.stream: entry for entry in streaming.health().sensors}
    assert sensors[2].temperature_cdegc == streaming.health().mcu_cdegc
    streaming.imu_status = NACK
    streaming.run(1)
    assert 0 not in {entry.stream for entry in streaming.health().sensors}


def test_a_disabled_stream_is_stopped_and_its_index_stands_still(streaming: HostBoard) -> None:
    streaming.call("enable_stream", stream=0, enabled=0)
    before = streaming.health().streams[0]
    assert before.state == messages.StreamState.STOPPED
    streaming.run(0.5)
    assert streaming.health().streams[0] == before
    streaming.call("enable_stream", stream=0, enabled=1)
    streaming.run(0.5)
    assert streaming.health().streams[0].next_index == pytest.approx(before.next_index + 500, abs=20)


def test_an_acknowledged_fault_is_not_sent_any_more(board: HostBoard) -> None:
    board.ask("fault 77")
    for boot_id, faults in ((76, 1), (77, 0), (77, 0)):
        assert board.call("acknowledge_fault", boot_id=boot_id).status == 0
        mark = len(board.received)
        board.call("describe")
        board.run(0.05)
        assert sum(isinstance(m, messages.Fault) for m in board.received[mark:]) == faults


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
