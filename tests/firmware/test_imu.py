"""Inertial sensors against models of their registers, through the whole application."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from firmware.host_board import ARBITRATION, NACK, OK, HostBoard
from firmware.imu_checks import (
    FAILING,
    IMU,
    IMU_TEMP,
    MISSING,
    STREAMING,
    Constant,
    Ramp,
    assert_constant_in_si,
    assert_holes_are,
    assert_times_are_edges,
    descriptor,
    raw,
    ticks,
)

MPUS = ("mpu6050", "mpu6500")


# ---- found and described


@pytest.mark.parametrize("part", MPUS)
def test_the_sensor_is_configured_as_its_descriptor_says(make_board: Callable[..., HostBoard], part: str) -> None:
    board = make_board(part=part)
    board.run(0.5)
    registers = board.registers
    assert registers[0x19] == 0  # 1 kHz
    assert registers[0x1A] & 7 == 1  # DLPF on, so that the base rate is 1 kHz
    assert registers[0x1B] >> 3 & 3 == 1  # +-500 deg/s
    assert registers[0x1C] >> 3 & 3 == 1  # +-4 g
    assert registers[0x6B] == 0x01  # awake, clock from the gyroscope's PLL
    imu = descriptor(board, IMU)
    assert (imu.sensor, imu.rate_mhz, imu.fifo_depth) == (part, 1_000_000, {"mpu6050": 73, "mpu6500": 36}[part])
    assert [f.name for f in imu.fields] == ["accel_x", "accel_y", "accel_z", "gyro_x", "gyro_y", "gyro_z"]


@pytest.mark.parametrize("address", [0x68, 0x69])
@pytest.mark.parametrize("part", MPUS)
def test_known_motion_comes_out_in_si_units(make_board: Callable[..., HostBoard], part: str, address: int) -> None:
    board = make_board(part=part, address=address, motion=Constant())
    board.run(0.6)
    assert_constant_in_si(board, temperature_lsb=1 / 330)


def test_no_device_is_said_once_and_asked_for_about_once_a_second(make_board: Callable[..., HostBoard]) -> None:
    board = make_board()
    board.imu.present = False
    board.run(5.5)
    assert board.nobody in range(40, 60)  # two places of inertial sensors, and those of thermometers, once a second
    assert board.health().bus_nack == 0  # an answer, not an error
    assert sum("no answer" in text for text in board.logs()) == 1
    assert board.health().streams[IMU].state == MISSING


def test_another_chip_at_the_address_is_refused_with_its_identity(make_board: Callable[..., HostBoard]) -> None:
    board = make_board()
    board.imu.who_am_i = 0x71  # type: ignore[attr-defined]
    board.run(0.5)
    assert any("address 0x68 is not known: WHO_AM_I is 0x71" in text for text in board.logs())
    assert board.health().streams[IMU].state == MISSING


def test_a_part_that_is_exchanged_is_found_and_described_anew(make_board: Callable[..., HostBoard]) -> None:
    board = make_board(part="mpu6500")
    board.run(0.5)
    before = descriptor(board, IMU)
    board.imu.who_am_i = 0x68  # type: ignore[attr-defined]
    board.imu_status = NACK
    board.run(0.3)
    board.imu_status = OK
    board.run(2)
    after = descriptor(board, IMU)
    assert (before.sensor, after.sensor) == ("mpu6500", "mpu6050")
    assert before.stream_gen != after.stream_gen


# ---- samples


def test_samples_follow_one_another_without_a_hole_and_in_order(make_board: Callable[..., HostBoard]) -> None:
    board = make_board(motion=Ramp())
    board.run(2)
    indexes = ticks(board, IMU)
    assert indexes == list(range(len(indexes)))
    assert len(indexes) > 1600
    assert set(np.diff(raw(board))) == {1}


@pytest.mark.parametrize("ppm", [0, 50_000, -50_000])
@pytest.mark.parametrize("rate_mhz", [1_000_000, 333_333, 50_000, 4_000])
def test_the_time_of_a_sample_is_its_edge_at_any_rate_and_error(
    make_board: Callable[..., HostBoard], rate_mhz: int, ppm: int
) -> None:
    board = make_board()
    board.imu.odr_error_ppm = ppm
    board.run(0.5)
    answer = board.call("set_rate", stream=IMU, rate_mhz=rate_mhz)
    assert answer.status == 0
    begin_us = board.now_us
    board.run(0.8 if rate_mhz > 10_000 else 3)
    assert_times_are_edges(board, begin_us=begin_us)
    indexes = ticks(board, IMU)
    assert indexes == list(range(len(indexes)))
    assert board.health().streams[IMU].lost_fifo == board.health().streams[IMU].lost_bus == 0


def test_the_die_temperature_comes_at_ten_hertz(streaming: HostBoard) -> None:
    streaming.run(1)
    first, second = streaming.samples(IMU_TEMP)[:2]
    assert second.time_us - first.time_us == 100_000


# ---- losses


@pytest.mark.parametrize("status", [NACK, ARBITRATION])
def test_reads_that_fail_for_a_while_lose_nothing(make_board: Callable[..., HostBoard], status: int) -> None:
    board = make_board(motion=Ramp())
    board.run(0.5)
    for phase in (0.0031, 0.0078, 0.0102):
        while board.transfer != "-" and "r:104:116" in board.transfer:
            board.run(0.0001)  # a burst that fails half-way is another matter
        board.imu_status = status
        board.run(0.004)
        board.imu_status = OK
        board.run(phase)
    board.run(0.3)
    assert_holes_are(board, 0)
    health = board.health()
    assert health.streams[IMU].state == STREAMING
    assert health.bus_nack + health.bus_error > 0


def test_a_burst_that_fails_empties_the_fifo_and_its_loss_is_exact(make_board: Callable[..., HostBoard]) -> None:
    board = make_board(motion=Ramp())
    board.run(0.5)
    while "r:104:116" not in board.transfer:
        board.run(0.0001)
    board.imu_status = NACK
    board.run(0.005)
    board.imu_status = OK
    board.run(0.3)
    health = board.health()
    assert health.streams[IMU].lost_bus in range(9, 20)
    assert_holes_are(board, health.streams[IMU].lost_bus)
    assert_times_are_edges(board, within_us=4)


@pytest.mark.parametrize("part", MPUS)
def test_an_overrun_of_the_fifo_is_an_exact_gap(make_board: Callable[..., HostBoard], part: str) -> None:
    board = make_board(part=part, motion=Ramp())
    board.run(0.5)
    board.imu_answers = False  # something else holds the bus
    board.run(0.009)
    board.harness.ask("time 0")  # so that the controller's time-out does not end it
    board.run(0.0)
    for _ in range(12):
        board.run(0.0099)
        board._next_tick_us = board.now_us + 10_000
    board.imu_answers = True
    board.end_transfer()
    board.run(0.3)
    health = board.health()
    assert health.streams[IMU].lost_fifo > 70
    assert health.streams[IMU].lost_bus == 0
    assert_holes_are(board, health.streams[IMU].lost_fifo)
    temperatures = ticks(board, IMU_TEMP)
    assert temperatures[-1] + 1 - len(temperatures) == health.streams[IMU_TEMP].lost_fifo
    assert_times_are_edges(board)


def test_edges_that_noise_adds_and_edges_that_get_lost_change_nothing(make_board: Callable[..., HostBoard]) -> None:
    board = make_board(motion=Ramp())
    board.run(0.5)
    for n in range(40):
        board.run(0.0073)
        board.ask(f"line 0 {n % 2}")
        if n % 5 == 0:
            board.edges_connected = False
            board.run(0.0011)
            board.edges_connected = True
    board.run(0.3)
    assert_holes_are(board, 0)
    assert_times_are_edges(board, within_us=130)  # noise further than 1/8 period off tells no time


def test_noise_on_the_line_moves_no_time(make_board: Callable[..., HostBoard]) -> None:
    board = make_board(motion=Ramp())
    board.run(0.5)
    for _ in range(150):
        board.run(0.00337)
        board.ask("line 0 3")
    board.run(0.3)
    assert_holes_are(board, 0)
    assert_times_are_edges(board, within_us=130)  # what is within 1/8 period of a tick is taken for it


@pytest.mark.parametrize("periods", [1, 2, 3])
@pytest.mark.parametrize("behind_us", [300, 400, 500, 600, 800])
def test_noise_between_two_ticks_is_neither_of_them(
    make_board: Callable[..., HostBoard], behind_us: int, periods: int
) -> None:
    """An edge so long behind a tick, the line low again when anyone looks: no time comes from it, and no tick."""
    board = make_board(motion=Ramp())
    board.run(1.0)
    for _ in range(300 // periods):
        board.run((board.edges[-1] + 1000 * periods + behind_us - board.now_us) / 1e6)
        board.ask("line 0 3")
    board.run(0.3)
    assert_holes_are(board, 0)
    assert_times_are_edges(board, begin_us=1_000_000)


def test_no_batch_spans_a_hole(make_board: Callable[..., HostBoard]) -> None:
    board = make_board(motion=Ramp())
    board.run(0.4)
    for _ in range(5):
        board.imu_status = NACK
        board.run(0.006)
        board.imu_status = OK
        board.run(0.02)
    board.run(0.1)
    for batch in board.samples(IMU):
        values = [int.from_bytes(batch.data[at : at + 2], "little") for at in range(0, len(batch.data), 12)]
        assert values == list(range(values[0], values[0] + len(values)))


# ---- gone and back


def test_a_sensor_that_stops_answering_is_missing_and_comes_back(streaming: HostBoard) -> None:
    generation = descriptor(streaming, IMU).stream_gen >> 5
    streaming.imu_status = NACK
    streaming.run(2)
    health = streaming.health()
    assert health.streams[IMU].state == MISSING
    assert health.streams[IMU].lost_bus in range(1990, 2031)  # its edges go on, and each is a tick
    assert health.streams[IMU_TEMP].lost_bus in (19, 20, 21)
    assert any("ten reads failed" in text for text in streaming.logs())
    assert any("no answer" in text for text in streaming.logs())  # what it turned out to be
    mcu_before = len(streaming.samples(2))
    streaming.run(1)
    assert len(streaming.samples(2)) - mcu_before in (9, 10, 11)  # the rest streams on
    streaming.imu.power_on()
    streaming.imu_status = OK
    before = len(streaming.samples(IMU))
    streaming.run(1.5)
    assert streaming.health().streams[IMU].state == STREAMING
    assert len(streaming.samples(IMU)) > before
    assert streaming.samples(IMU)[-1].stream_gen >> 5 == generation


def test_every_tick_is_a_sample_or_counted_through_an_absence(streaming: HostBoard) -> None:
    edges = len(streaming.edges)
    first = streaming.health().streams[IMU]
    streaming.imu_status = NACK
    streaming.run(0.5)
    streaming.imu_status = OK
    streaming.run(1.5)
    last = streaming.health().streams[IMU]
    assert last.state == STREAMING
    assert abs(last.next_index - first.next_index - (len(streaming.edges) - edges)) <= 40  # run by health()
    indexes = ticks(streaming, IMU)
    assert indexes[-1] + 1 - len(indexes) == last.lost_bus


def test_a_bus_that_never_ends_a_transfer_times_out(streaming: HostBoard) -> None:
    streaming.imu_answers = False
    streaming.run(2)
    health = streaming.health()
    assert health.bus_timeout >= 10
    assert health.streams[IMU].state == MISSING
    assert health.streams[IMU].lost_bus in range(1900, 2031)  # the bus, not the sensor, lost them
    assert health.streams[IMU].lost_fifo == 0


def test_a_sensor_unplugged_and_plugged_streams_again(streaming: HostBoard) -> None:
    streaming.imu.present = False
    streaming.imu.power_off()
    streaming.run(2.5)
    assert streaming.health().streams[IMU].state == MISSING
    assert streaming.health().streams[IMU].lost_bus < 30  # what was in its FIFO; unplugged it has no ticks
    assert not any("data-ready" in text for text in streaming.logs())
    assert any("no edge for a second" in text for text in streaming.logs())
    streaming.imu.present = True
    streaming.imu.power_on()
    before = len(streaming.samples(IMU))
    streaming.run(1.5)
    assert streaming.health().streams[IMU].state == STREAMING
    assert len(streaming.samples(IMU)) > before
    assert_times_are_edges(streaming, begin_us=streaming.now_us - 500_000)


@pytest.mark.parametrize("phase_s", [0.0003, 0.0033, 0.0063, 0.0093])
def test_what_the_sensor_measured_before_it_went_is_counted_to_the_last(
    make_board: Callable[..., HostBoard], phase_s: float
) -> None:
    """Also the edges since the last of which the driver was told."""
    board = make_board()
    board.run(0.6 + phase_s)
    batch = board.samples(IMU)[-1]
    first = int(np.argmin(np.abs(np.array(board.edges) - batch.time_us))) - batch.index
    board.imu.present = False
    board.imu.power_off()
    board.run(1.5)
    assert board.health().streams[IMU].next_index == len(board.edges) - first


def test_a_missing_data_ready_wire_is_failing_and_names_the_pin(make_board: Callable[..., HostBoard]) -> None:
    board = make_board()
    board.edges_connected = False
    board.run(2.6)
    assert board.health().streams[IMU].state == FAILING
    assert any("PB0" in text for text in board.logs())
    board.edges_connected = True
    board.run(2.5)
    assert board.health().streams[IMU].state == STREAMING


def test_a_sensor_that_lost_its_settings_is_configured_again(streaming: HostBoard) -> None:
    streaming.imu.power_on()  # a dip of its supply: asleep, no edges
    before = len(streaming.samples(IMU))
    streaming.run(3.5)
    assert streaming.registers[0x1C] == 0x08
    assert len(streaming.samples(IMU)) > before


def test_a_bus_held_low_is_said(make_board: Callable[..., HostBoard]) -> None:
    board = make_board()
    board.ask("stuck 1")
    board.imu_answers = False
    board.run(0.5)
    assert any("held low" in text for text in board.logs())
    board.ask("stuck 0")
    board.imu_answers = True
    board.run(1.5)
    assert board.samples(IMU)


# ---- settings


def test_a_change_of_rate_loses_no_sample_but_those_it_pauses_for(make_board: Callable[..., HostBoard]) -> None:
    board = make_board(motion=Ramp())
    board.run(0.5)
    for rate_mhz in (500_000, 100_000, 1_000_000):
        assert board.call("set_rate", stream=IMU, rate_mhz=rate_mhz).status == 0
        board.run(0.3)
    health = board.health().streams[IMU]
    assert health.lost_fifo == health.lost_bus == health.lost_ring == 0
    by_generation = itertools.groupby(board.samples(IMU), key=lambda batch: batch.stream_gen >> 5)
    steps = []
    for _, batches in by_generation:
        values = [int.from_bytes(b.data[at : at + 2], "little") for b in batches for at in range(0, len(b.data), 12)]
        assert len(set(np.diff(values))) == 1
        steps.append(values[1] - values[0])
    assert steps == [1, 2, 10, 1]


def test_a_change_that_was_half_taken_is_undone(streaming: HostBoard) -> None:
    before = descriptor(streaming, IMU)
    streaming.refused_write = streaming.writes + 2  # 1: FIFO_EN, 2: SMPLRT_DIV
    assert streaming.call("set_rate", stream=IMU, rate_mhz=100_000).status == 9
    streaming.run(1.5)
    assert streaming.registers[0x19] == 0
    assert descriptor(streaming, IMU) == before
    assert streaming.health().streams[IMU].state == STREAMING
    first, second = streaming.samples(IMU)[-2:]
    assert second.time_us - first.time_us == 1000 * (second.index - first.index)
