"""The LSM6DSO on both buses against the model of its registers, through the whole application."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from firmware.host_board import I2C, NACK, OK, SPI, HostBoard
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
from store_image import record, slots, stream
from telemetry_protocol import messages
from telemetry_protocol.messages import Status
from virtual_board.motion import STANDARD_GRAVITY

PLACES = pytest.mark.parametrize(("line", "address"), [(SPI, 0x6A), (I2C, 0x6A), (I2C, 0x6B)])
LSB = 0.122e-3 * STANDARD_GRAVITY  # at +-4 g
Maker = Callable[..., HostBoard]


def lsm6dso(make_board: Maker, line: int = SPI, address: int = 0x6A, **options: object) -> HostBoard:
    """Streaming, at its rate next to 1 kHz: 833 Hz."""
    board = make_board(part="lsm6dso", line=line, address=address, **options)
    board.run(0.6)
    return board


def ramp(rate_hz: float, step: int = 1) -> Ramp:
    return Ramp(rate_hz, LSB * step)


@PLACES
def test_known_motion_comes_out_in_si_units(make_board: Maker, line: int, address: int) -> None:
    board = lsm6dso(make_board, line, address, motion=Constant())
    imu = descriptor(board, IMU)
    assert (imu.sensor, imu.rate_mhz, imu.fifo_depth) == ("lsm6dso", 833_375, 256)
    assert_constant_in_si(board, temperature_lsb=1 / 256)


@pytest.mark.parametrize("ppm", [0, 50_000, -50_000])
@pytest.mark.parametrize("rate_mhz", [6_667_000, 1_666_750, 416_688, 104_172, 13_021])
def test_nothing_is_lost_and_the_time_of_a_sample_is_its_tick(make_board: Maker, rate_mhz: int, ppm: int) -> None:
    true_hz = rate_mhz / 1000 * (1 + ppm / 1e6)
    board = make_board(part="lsm6dso", line=SPI, motion=ramp(true_hz))
    board.imu.odr_error_ppm = ppm
    board.run(0.5)
    assert board.call("set_rate", stream=IMU, rate_mhz=rate_mhz).status == 0
    begin_us = board.now_us + 20_000
    board.run(0.5 if rate_mhz > 50_000 else 2)
    assert_times_are_edges(board, begin_us=begin_us, period_us=1e6 / true_hz)
    indexes = ticks(board, IMU)
    assert indexes == list(range(len(indexes)))
    values = np.array(raw(board, descriptor(board, IMU).stream_gen >> 5))
    assert np.all(np.abs(np.diff(values) - 1) <= 1)  # a ramp of one LSB a sample, rounded
    assert abs(values[-1] - values[0] - (len(values) - 1)) <= 1


def test_the_die_temperature_is_read_ten_times_a_second(make_board: Maker) -> None:
    board = lsm6dso(make_board)
    board.run(1)
    indexes = ticks(board, IMU_TEMP)
    assert indexes == list(range(len(indexes)))
    first, second = board.samples(IMU_TEMP)[:2]
    assert (second.time_us - first.time_us) / (second.index - first.index) == pytest.approx(83 / 833.375e-6, abs=2)


@PLACES
def test_an_overrun_of_the_fifo_is_an_exact_gap(make_board: Maker, line: int, address: int) -> None:
    board = make_board(part="lsm6dso", line=line, address=address, motion=ramp(833.375, 4))
    board.run(0.6)
    board.imu_answers = False  # something else holds the bus
    ends_us = board.now_us + 450_000
    while board.now_us < ends_us:
        board.run(0.0099)
        board._next_tick_us = board.now_us + 10_000  # the tick would end the transfer
    board.imu_answers = True
    board.end_transfer()
    board.run(0.3)
    health = board.health()
    assert health.streams[IMU].lost_fifo > 256
    assert health.streams[IMU].lost_bus == 0
    assert_holes_are(board, health.streams[IMU].lost_fifo, step=4)
    assert_times_are_edges(board, begin_us=board.now_us - 200_000, period_us=1e6 / 833.375)


@pytest.mark.parametrize("address", [0x6A])
def test_a_burst_that_fails_is_an_exact_gap(make_board: Maker, address: int) -> None:
    board = make_board(part="lsm6dso", line=I2C, address=address, motion=ramp(833.375, 4))
    board.run(0.6)
    while ":120:" not in board.transfer:
        board.run(0.0001)
    board.imu_status = NACK
    board.run(0.006)
    board.imu_status = OK
    board.run(0.3)
    health = board.health()
    assert 8 <= health.streams[IMU].lost_bus <= 40
    assert_holes_are(board, health.streams[IMU].lost_bus, step=4)


@PLACES
def test_an_edge_that_got_lost_is_noticed_by_the_level_of_the_line(make_board: Maker, line: int, address: int) -> None:
    board = make_board(part="lsm6dso", line=line, address=address, motion=ramp(833.375, 4))
    board.run(0.6)
    for _ in range(5):
        board.rising_edges_lost = 1
        board.run(0.05)
    board.run(0.2)
    health = board.health().streams[IMU]
    assert health.lost_fifo == health.lost_bus == 0
    assert_holes_are(board, 0, step=4)


@PLACES
def test_a_sensor_unplugged_and_plugged_streams_again(make_board: Maker, line: int, address: int) -> None:
    board = lsm6dso(make_board, line, address)
    board.imu.set_present(present=False)  # type: ignore[attr-defined]
    board.run(2.5)
    assert board.health().streams[IMU].state == MISSING
    board.imu.set_present(present=True)  # type: ignore[attr-defined]
    before = len(board.samples(IMU))
    board.run(2)
    assert board.health().streams[IMU].state == STREAMING
    assert len(board.samples(IMU)) > before
    assert_times_are_edges(board, begin_us=board.now_us - 500_000, period_us=1e6 / 833.375)


def test_its_ticks_are_counted_while_the_bus_fails(make_board: Maker) -> None:
    board = lsm6dso(make_board, I2C, 0x6A)
    board.imu_status = NACK
    board.run(2)
    lost = board.health().streams[IMU].lost_bus
    assert lost == pytest.approx(2 * 833.375, abs=40)  # its line stays high: it runs
    board.imu_status = OK
    board.run(1.5)
    assert board.health().streams[IMU].state == STREAMING


def test_a_missing_interrupt_wire_is_failing_and_names_the_pin(make_board: Maker) -> None:
    board = make_board(part="lsm6dso", line=SPI)
    board.edges_connected = False
    board.run(2.6)
    assert board.health().streams[IMU].state == FAILING
    assert any("INT" in text for text in board.logs())


def test_over_i2c_a_rate_that_the_bus_cannot_carry_is_refused(make_board: Maker) -> None:
    board = lsm6dso(make_board, I2C, 0x6A)
    assert board.call("set_rate", stream=IMU, rate_mhz=3_333_500).status == 6
    assert board.call("set_rate", stream=IMU, rate_mhz=1_666_750).status == 0
    board.run(1)
    health = board.health().streams[IMU]
    assert health.lost_fifo == health.lost_bus == health.lost_ring == 0


def test_noise_on_its_line_is_no_watermark(make_board: Maker) -> None:
    board = make_board(part="lsm6dso", line=SPI, motion=ramp(833.375, 4))
    board.run(0.6)
    for _ in range(20):
        board.run(0.0137)
        if not board.imu.interrupt.level:
            board.ask("line 1 3")
    board.run(0.2)
    health = board.health().streams[IMU]
    assert health.lost_fifo == health.lost_bus == 0
    assert_holes_are(board, 0, step=4)
    assert_times_are_edges(board, period_us=1e6 / 833.375)


def test_what_a_fifo_lost_before_a_change_of_settings_is_counted(make_board: Maker) -> None:
    board = make_board(part="lsm6dso", line=SPI, motion=ramp(833.375, 4))
    board.run(0.6)
    generation = board.samples(IMU)[-1].stream_gen
    board.now_us += 700_000  # as while the flash is erased: nothing is handled
    board.rising_edges_lost = 1
    board.command("set_rate", stream=IMU, rate_mhz=416_688)
    for _ in range(20_000):
        if board.registers[0x09] == 0:  # FIFO_CTRL3: nothing goes into the FIFO
            break
        board.run(1e-6)
    stopped_us = board.now_us
    board.run(0.3)
    health = board.health().streams[IMU]
    before = [batch for batch in board.samples(IMU) if batch.stream_gen == generation][-1]
    after = next(batch for batch in board.samples(IMU) if batch.stream_gen != generation)
    skipped = after.index - (before.index + len(before.data) // 12)
    last_us = before.time_us + (len(before.data) // 12 - 1) * 1_199.94
    assert health.lost_fifo == skipped
    assert skipped == (stopped_us - last_us) // 1_199.94


def test_found_on_a_slower_bus_it_takes_the_highest_rate_that_fits(make_board: Maker) -> None:
    board = make_board(part="lsm6dso", line=I2C)
    board.imu.set_present(present=False)  # type: ignore[attr-defined]
    board.run(0.3)
    board.line = SPI
    board.imu.set_present(present=True)  # type: ignore[attr-defined]
    board.run(2)
    assert board.call("set_rate", stream=IMU, rate_mhz=6_667_000).status == 0
    board.imu.power_off()
    board.run(2.5)
    board.line = I2C
    board.imu.power_on()
    board.run(2.5)
    assert descriptor(board, IMU).rate_mhz == 1_666_750
    said = "the sensor bus has 400000 bit/s, the streams need 8"
    assert [text.startswith(said) for text in board.logs() if "a lower rate for the part" in text] == [True]
    assert_times_are_edges(board, begin_us=board.now_us - 200_000, period_us=1e6 / 1666.75)


def test_a_lowered_rate_is_raised_when_it_is_asked_for_again_and_fits(make_board: Maker, tmp_path: Path) -> None:
    flash = tmp_path / "flash"
    flash.write_bytes(slots([record(1, stream(6_667_000))]))
    board = make_board(part="lsm6dso", line=SPI, baud=460_800, flash=flash)
    board.run(0.6)
    assert descriptor(board, IMU).rate_mhz == 3_333_500
    assert board.call("set_baud", baud=921_600).status == 0
    board.run(0.01)
    assert board.call("set_rate", stream=IMU, rate_mhz=6_667_000).status == 0
    board.run(0.1)
    assert board.call("ping", host_ns=0).status == 0
    assert descriptor(board, IMU).rate_mhz == 6_667_000


def test_the_wanted_rate_outlives_a_line_that_was_too_slow_for_it(make_board: Maker, tmp_path: Path) -> None:
    flash = tmp_path / "flash"
    flash.write_bytes(slots([record(1, stream(6_667_000))]))
    board = make_board(part="lsm6dso", line=SPI, baud=460_800, flash=flash)
    board.run(0.6)
    assert descriptor(board, IMU).rate_mhz == 3_333_500
    said = "the line has 460800 bit/s, the streams need 8"
    assert [text.startswith(said) for text in board.logs() if "a lower rate for the part" in text] == [True]
    assert board.call("set_baud", baud=921_600).status == 0
    board.run(0.01)
    assert board.call("ping", host_ns=0).status == 0
    for line in (I2C, SPI):  # another place: it is asked about anew
        board.imu.power_off()
        board.run(2.2)
        board.line = line
        board.imu.power_on()
        board.run(2.2)
        assert board.call("ping", host_ns=0).status == 0
    assert descriptor(board, IMU).rate_mhz == 6_667_000
    assert board.call("set_rate", stream=IMU, rate_mhz=1_666_750).status == 0
    assert descriptor(board, IMU).rate_mhz == 1_666_750


def test_a_rate_that_had_to_be_lowered_and_is_asked_for_is_the_wanted_one(make_board: Maker, tmp_path: Path) -> None:
    flash = tmp_path / "flash"
    flash.write_bytes(slots([record(1, stream(6_667_000))]))
    board = make_board(part="lsm6dso", line=I2C, flash=flash)
    board.run(0.6)
    assert board.call("set_range", stream=IMU, field=0, full_scale=8 * STANDARD_GRAVITY).status == 0
    assert descriptor(board, IMU).rate_mhz == 1_666_750  # another setting leaves the lowered rate alone
    assert board.call("set_rate", stream=IMU, rate_mhz=1_666_750).status == 0
    board.imu.power_off()
    board.run(2.5)
    board.line = SPI
    board.imu.power_on()
    board.run(2.5)
    assert descriptor(board, IMU).rate_mhz == 1_666_750


@pytest.mark.parametrize("from_mhz", [26_042, 104_172, 1_666_750])
def test_a_refusal_tells_what_the_bus_would_carry_whatever_the_rate_in_force(make_board: Maker, from_mhz: int) -> None:
    board = lsm6dso(make_board, I2C)
    assert board.call("set_rate", stream=IMU, rate_mhz=from_mhz).status == 0
    board.run(0.2)
    answer = board.call("set_rate", stream=IMU, rate_mhz=6_667_000)
    assert answer.status == Status.OVER_BUS_BUDGET
    samples = 6_667 // 100  # read about each 10 ms, 30 bits for a read and 9 for a byte
    fifo = math.ceil((30 + samples * 14 * 9) / samples)  # two words of 7 bytes a sample: DS 9.8, FIFO_DATA_OUT
    temperature = 30 + 2 * 9
    values = messages.COMMANDS["set_rate"].unpack_refusal(answer.data)
    assert values == {"needed": pytest.approx(6_667 * fifo + 10 * temperature, abs=5), "available": 400_000}
