"""The driver against a model of the chip's registers, through the whole application."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
import pytest

from firmware.host_board import ARBITRATION, NACK, OK, HostBoard, Mpu6050
from telemetry_protocol import SampleLayout, messages

IMU, IMU_TEMP = 0, 1
STREAMING, MISSING, FAILING = 1, 2, 3


def descriptor(board: HostBoard, stream: int) -> messages.Stream:
    found = [m for m in board.received if isinstance(m, messages.Stream) and m.stream_gen & 31 == stream]
    return found[-1]


def ticks(board: HostBoard, stream: int, size: int) -> list[int]:
    """Indexes of all samples that came."""
    return [
        batch.index + i for batch in board.samples(stream) for i in range(len(batch.data) // size)
    ]  # fmt: skip


def test_the_sensor_is_configured_as_its_descriptor_says(streaming: HostBoard) -> None:
    registers = streaming.imu.registers
    assert registers[0x19] == 0  # 1 kHz
    assert registers[0x1A] & 7 == 1  # DLPF 184/188 Hz, so that the base rate is 1 kHz
    assert registers[0x1B] >> 3 & 3 == 1  # +-500 deg/s
    assert registers[0x1C] >> 3 & 3 == 1  # +-4 g
    assert registers[0x6B] == 0x01  # awake, clock from the gyroscope's PLL
    imu = descriptor(streaming, IMU)
    assert imu.rate_mhz == 1_000_000
    assert [f.name for f in imu.fields] == ["accel_x", "accel_y", "accel_z", "gyro_x", "gyro_y", "gyro_z"]


def test_known_motion_comes_out_in_si_units(make_board: Callable[..., HostBoard]) -> None:
    # 1 g is 8192 counts at +-4 g; 10 deg/s are 655 counts at +-500 deg/s; 25 degC are (25 - 36.53) * 340
    raw = (8192, -4096, 0, round((25 - 36.53) * 340), 655, -1310, 0)
    board = make_board(imu=Mpu6050(values=lambda _: raw))
    board.run(0.6)
    values = SampleLayout(descriptor(board, IMU)).si(board.samples(IMU)[0].data)
    expected = [9.80665, -4.903325, 0, np.deg2rad(10), np.deg2rad(-20), 0]
    np.testing.assert_allclose(values[:, 0], expected, rtol=1e-6)
    temperature = SampleLayout(descriptor(board, IMU_TEMP)).si(board.samples(IMU_TEMP)[0].data)
    np.testing.assert_allclose(temperature[0, 0], 25.0, atol=1 / 340)


@pytest.mark.parametrize("value", [-32768, -1, 0, 255, 256, 32767])
def test_every_byte_of_a_sample_arrives_in_its_place(make_board: Callable[..., HostBoard], value: int) -> None:
    raw = (value, 1, 2, 3, 4, 5, -value - 1)
    board = make_board(imu=Mpu6050(values=lambda _: raw))
    board.run(0.4)
    assert struct.unpack("<6h", board.samples(IMU)[0].data[:12]) == (value, 1, 2, 4, 5, -value - 1)


def test_samples_follow_one_another_without_a_hole_and_in_order(streaming: HostBoard) -> None:
    streaming.run(1)
    indexes = ticks(streaming, IMU, 12)
    assert indexes == list(range(len(indexes)))
    firsts = [
        struct.unpack("<h", b.data[i : i + 2])[0] for b in streaming.samples(IMU) for i in range(0, len(b.data), 12)
    ]
    assert firsts == list(range(firsts[0], firsts[0] + len(firsts)))


def test_the_time_of_a_sample_is_its_edge(streaming: HostBoard) -> None:
    first, second = streaming.samples(IMU)[:2]
    assert second.time_us - first.time_us == 1000 * (second.index - first.index)
    assert first.time_us % 1000 == 400  # the edges' phase in this run: not that of the read, 400 us later


def test_the_die_temperature_comes_at_ten_hertz(streaming: HostBoard) -> None:
    streaming.run(1)
    first, second = streaming.samples(IMU_TEMP)[:2]
    assert second.time_us - first.time_us == 100_000


def test_a_tick_during_a_slow_read_is_lost_in_the_sensor(streaming: HostBoard) -> None:
    before = streaming.health().streams[IMU].lost_fifo
    streaming.imu_answers = False
    streaming.run(0.005)  # one read hangs, the edges go on
    streaming.imu_answers = True
    streaming._transfer_ends_us = streaming.now_us
    streaming.run(0.2)
    lost = streaming.health().streams[IMU].lost_fifo - before
    assert lost in (4, 5)
    indexes = ticks(streaming, IMU, 12)
    assert indexes[-1] - indexes[0] + 1 - len(indexes) == lost  # a hole as long as the count


@pytest.mark.parametrize("status", [NACK, ARBITRATION])
def test_a_failed_read_is_lost_on_the_bus_and_leaves_a_hole(streaming: HostBoard, status: int) -> None:
    streaming.imu_status = status
    streaming.run(0.005)
    streaming.imu_status = OK
    streaming.run(0.1)
    health = streaming.health()
    assert health.streams[IMU].lost_bus == 5
    assert health.streams[IMU].state == STREAMING
    assert health.bus_nack + health.bus_error == 5
    indexes = ticks(streaming, IMU, 12)
    assert indexes[-1] + 1 - len(indexes) == 5


def test_no_batch_spans_a_hole(streaming: HostBoard) -> None:
    for _ in range(5):
        streaming.imu_status = NACK
        streaming.run(0.002)
        streaming.imu_status = OK
        streaming.run(0.007)
    streaming.run(0.1)
    for batch in streaming.samples(IMU):
        values = [struct.unpack_from("<h", batch.data, at)[0] for at in range(0, len(batch.data), 12)]
        assert values == list(range(values[0], values[0] + len(values)))


def test_a_sensor_that_stops_answering_is_missing_and_comes_back(streaming: HostBoard) -> None:
    generation = descriptor(streaming, IMU).stream_gen >> 5
    streaming.imu_status = NACK
    streaming.run(2)
    health = streaming.health()
    assert health.streams[IMU].state == MISSING
    assert health.streams[IMU].lost_bus in range(1990, 2011)  # its edges go on, and each is a tick
    assert health.streams[IMU_TEMP].lost_bus in (19, 20, 21)
    assert any("ten reads failed" in text for text in streaming.logs())
    assert any("no answer" in text for text in streaming.logs())  # what it turned out to be
    mcu_before = len(streaming.samples(2))
    streaming.run(1)
    assert len(streaming.samples(2)) - mcu_before in (9, 10, 11)  # the rest streams on
    streaming.imu.registers = streaming.imu.power_on()
    streaming.imu_status = OK
    before = len(streaming.samples(IMU))
    streaming.run(1.5)
    assert streaming.health().streams[IMU].state == STREAMING
    assert len(streaming.samples(IMU)) > before
    assert streaming.samples(IMU)[-1].stream_gen >> 5 == generation


def test_an_absent_sensor_is_asked_for_about_once_a_second(make_board: Callable[..., HostBoard]) -> None:
    board = make_board()
    board.imu_status = NACK
    board.run(5.5)
    assert board.health().bus_nack in (5, 6)
    assert sum("no answer" in text for text in board.logs()) == 1  # said once, not each time


def test_a_bus_that_never_ends_a_transfer_times_out(streaming: HostBoard) -> None:
    streaming.imu_answers = False
    streaming.run(2)
    health = streaming.health()
    assert health.bus_timeout >= 10
    assert health.streams[IMU].state == MISSING
    assert health.streams[IMU].lost_bus in range(1990, 2011)  # the bus, not the sensor, lost them
    assert health.streams[IMU].lost_fifo == 0


def test_a_controller_that_refuses_every_transfer_is_given_up_and_started_again(streaming: HostBoard) -> None:
    streaming.ask("refuse 1")
    streaming.run(1.5)
    health = streaming.health()
    assert health.streams[IMU].state == MISSING
    assert health.streams[IMU].lost_bus in range(1490, 1511)
    streaming.ask("refuse 0")
    streaming.run(1.5)
    assert streaming.health().streams[IMU].state == STREAMING


def test_every_tick_is_a_sample_or_counted_through_an_absence(streaming: HostBoard) -> None:
    edges = streaming.imu.samples
    first = streaming.health().streams[IMU]
    streaming.imu_status = NACK
    streaming.run(0.5)
    streaming.imu_status = OK
    streaming.run(1.5)
    last = streaming.health().streams[IMU]
    assert last.state == STREAMING
    assert abs((last.next_index - first.next_index) - (streaming.imu.samples - edges)) <= 40  # run by health()
    indexes = ticks(streaming, IMU, 12)
    assert indexes[-1] + 1 - len(indexes) == last.lost_bus


def test_a_half_taken_rate_is_undone(streaming: HostBoard) -> None:
    before = descriptor(streaming, IMU)
    streaming.imu_takes_half = True
    assert streaming.call("set_rate", stream=IMU, rate_mhz=100_000).status == 9
    assert streaming.imu.registers[0x19] == 9  # slower than the descriptor says
    streaming.imu_takes_half = False
    streaming.run(1.5)
    assert streaming.imu.registers[0x19] == 0
    assert descriptor(streaming, IMU) == before
    assert streaming.health().streams[IMU].state == STREAMING
    first, second = streaming.samples(IMU)[-2:]
    assert second.time_us - first.time_us == 1000 * (second.index - first.index)


def test_a_bus_held_low_is_said(make_board: Callable[..., HostBoard]) -> None:
    board = make_board()
    board.ask("stuck 1")
    board.run(0.5)
    assert any("held low" in text for text in board.logs())
    board.ask("stuck 0")
    board.run(1.5)
    assert board.samples(IMU)


def test_another_chip_at_the_address_is_refused(make_board: Callable[..., HostBoard]) -> None:
    imu = Mpu6050()
    imu.registers[0x75] = 0x71
    board = make_board(imu=imu)
    board.run(0.5)
    assert any("WHO_AM_I" in text for text in board.logs())
    assert board.health().streams[IMU].state == MISSING


def test_a_missing_data_ready_wire_is_failing_and_names_the_pin(make_board: Callable[..., HostBoard]) -> None:
    board = make_board()
    board.edges_connected = False
    board.run(2.4)
    assert board.health().streams[IMU].state == FAILING
    assert any("PB0" in text for text in board.logs())
    board.edges_connected = True
    board.run(2.5)
    assert board.health().streams[IMU].state == STREAMING


def test_a_sensor_whose_supply_fails_is_missing_not_unwired(streaming: HostBoard) -> None:
    streaming.imu.registers = bytearray(128)  # no edges
    streaming.imu_status = NACK  # and no answer
    streaming.run(1.5)
    assert streaming.health().streams[IMU].state == MISSING
    assert not any("data-ready" in text for text in streaming.logs())
    assert any("no edge for a second" in text for text in streaming.logs())


def test_a_sensor_that_lost_its_settings_is_configured_again(streaming: HostBoard) -> None:
    streaming.imu.registers = streaming.imu.power_on()  # a dip of its supply: asleep, no edges
    before = len(streaming.samples(IMU))
    streaming.run(3.5)
    assert streaming.imu.registers[0x1C] == 0x08
    assert len(streaming.samples(IMU)) > before
