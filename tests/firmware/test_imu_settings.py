"""Ranges, self-tests and the measured rate of inertial sensors, by command, on a board on the host."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from firmware.host_board import NACK, OK, SPI, HostBoard
from firmware.imu_checks import IMU, IMU_TEMP, STREAMING, Constant, assert_times_are_edges, descriptor
from telemetry_protocol import SampleLayout, messages

MPUS = ("mpu6050", "mpu6500")
MOTION = [9.0, -4.5, 1.25, 0.5, -1.5, 3.0]  # of Constant


@pytest.mark.parametrize("part", MPUS)
@pytest.mark.parametrize(
    ("field", "wanted", "taken", "register", "bits"),
    [
        (0, 16 * 9.80665, 16 * 9.80665, 0x1C, 3),
        (2, 1.0, 2 * 9.80665, 0x1C, 0),
        (1, 5 * 9.80665, 8 * 9.80665, 0x1C, 2),
        (3, np.deg2rad(2000), np.deg2rad(2000), 0x1B, 3),
        (5, np.deg2rad(251), np.deg2rad(500), 0x1B, 1),
        (4, np.deg2rad(250), np.deg2rad(250), 0x1B, 0),
    ],
)
def test_a_range_is_the_smallest_that_holds_the_wanted_one(
    make_board: Callable[..., HostBoard],
    *,
    part: str,
    field: int,
    wanted: float,
    taken: float,
    register: int,
    bits: int,
) -> None:
    board = make_board(part=part, motion=Constant())
    board.run(0.5)
    answer = board.call("set_range", stream=IMU, field=field, full_scale=wanted)
    assert answer.status == 0
    assert board.registers[register] >> 3 & 3 == bits
    board.run(0.2)
    imu = descriptor(board, IMU)
    assert imu.fields[field].full_scale == pytest.approx(taken, rel=1e-5)
    values = SampleLayout(imu).si(board.samples(IMU)[-1].data)
    limits = np.array([f.full_scale for f in imu.fields])
    expected = np.clip(MOTION, -limits, limits)
    np.testing.assert_allclose(values[:, 0], expected, atol=0.006)


def test_settings_outlive_the_sensor(streaming: HostBoard) -> None:
    assert streaming.call("set_range", stream=IMU, field=0, full_scale=150.0).status == 0
    assert streaming.call("set_rate", stream=IMU, rate_mhz=250_000).status == 0
    streaming.imu.power_off()
    streaming.run(2.0)
    streaming.imu.power_on()
    streaming.run(2.0)
    assert streaming.registers[0x1C] == 0x18
    assert streaming.registers[0x19] == 3


def test_a_range_set_while_the_sensor_is_away_holds_when_it_comes(make_board: Callable[..., HostBoard]) -> None:
    board = make_board()
    board.imu_status = NACK
    board.run(0.5)
    assert board.call("set_range", stream=IMU, field=3, full_scale=30.0).status == 0
    board.imu_status = OK
    board.run(2)
    assert board.registers[0x1B] == 0x18
    assert board.samples(IMU)


# ---- self-test


def self_test(board: HostBoard) -> tuple[int, list[tuple[float, float, float]]]:
    answer = board.call("self_test", stream=IMU, wait_s=5)
    assert answer.status == 0, answer
    result = messages.COMMANDS["self_test"].unpack_result(answer.data)
    assert isinstance(result, dict)
    return result["passed"], [(f.response, f.low, f.high) for f in result["fields"]]


@pytest.mark.parametrize("part", MPUS)
def test_a_good_sensor_passes_its_self_test_and_streams_on(make_board: Callable[..., HostBoard], part: str) -> None:
    board = make_board(part=part)
    board.run(0.5)
    before = board.samples(IMU)[-1]
    passed, fields = self_test(board)
    assert passed
    nominal = {"mpu6050": 0.0, "mpu6500": 1.0}[part]
    assert [response for response, _, _ in fields] == pytest.approx([nominal] * 6, abs=0.01 if nominal else 0.5)
    board.run(0.5)
    assert board.registers[0x1B] == board.registers[0x1C] == 0x08
    after = board.samples(IMU)[-1]
    assert after.stream_gen == before.stream_gen
    assert board.health().streams[IMU].lost_fifo == board.health().streams[IMU].lost_bus == 0
    assert_times_are_edges(board, begin_us=board.now_us - 200_000)


@pytest.mark.parametrize(("part", "deviation", "passes"), [
    ("mpu6050", 0.12, True), ("mpu6050", -0.12, True), ("mpu6050", 0.16, False), ("mpu6050", -0.16, False),
    ("mpu6500", 0.45, True), ("mpu6500", -0.45, True), ("mpu6500", -0.55, False),
])  # fmt: skip
@pytest.mark.parametrize("axis", [0, 4])
def test_the_self_test_judges_by_the_datasheets_limits(
    make_board: Callable[..., HostBoard], part: str, deviation: float, passes: bool, axis: int
) -> None:
    board = make_board(part=part)
    board.imu.self_test_deviation = tuple(deviation if n == axis else 0.0 for n in range(6))  # type: ignore[attr-defined]
    board.run(0.5)
    passed, fields = self_test(board)
    assert bool(passed) == passes
    outside = [not low <= response <= high for response, low, high in fields]
    assert outside == [not passes and n == axis for n in range(6)]


def test_a_sensor_that_goes_in_its_self_test_fails_it_and_is_looked_for(streaming: HostBoard) -> None:
    streaming.command("self_test", stream=IMU)
    streaming.run(0.1)
    streaming.imu_status = NACK
    streaming.run(0.3)
    assert [r.status for r in streaming.responses()] == [9]
    streaming.imu_status = OK
    streaming.run(2)
    assert streaming.health().streams[IMU].state == STREAMING


@pytest.mark.parametrize("ppm", [0, 50_000, -50_000])
def test_the_rate_is_measured(make_board: Callable[..., HostBoard], ppm: int) -> None:
    board = make_board()
    board.imu.odr_error_ppm = ppm
    board.run(1.5)
    measured = {s.stream: s.measured_mhz for s in board.health().sensors}
    assert measured[IMU] == pytest.approx(1_000_000 * (1 + ppm / 1e6), rel=20e-6)
    assert measured[IMU_TEMP] == pytest.approx(10_000 * (1 + ppm / 1e6), abs=2)


@pytest.mark.parametrize(
    ("field", "wanted", "register", "bits"),
    [(0, 16 * 9.8, 0x10, 0x04), (0, 9.8, 0x10, 0x00), (3, 2.0, 0x11, 0x02), (4, 34.0, 0x11, 0x0C)],
)
def test_the_lsm6dso_takes_the_ranges_of_its_datasheet(
    make_board: Callable[..., HostBoard], *, field: int, wanted: float, register: int, bits: int
) -> None:
    board = make_board(part="lsm6dso", line=SPI, motion=Constant())
    board.run(0.6)
    assert board.call("set_range", stream=IMU, field=field, full_scale=wanted).status == 0
    assert board.registers[register] & 0x0E == bits
    board.run(0.3)
    imu = descriptor(board, IMU)
    ends = np.array([f.scale for f in imu.fields]) * 32767  # beyond the full scale that is stated
    values = SampleLayout(imu).si(board.samples(IMU)[-1].data)
    np.testing.assert_allclose(values[:, 0], np.clip(MOTION, -ends, ends), atol=0.006)


@pytest.mark.parametrize(("g", "passes"), [(0.06, True), (0.04, False), (1.6, True), (1.8, False)])
def test_the_self_test_of_the_lsm6dso_judges_by_the_datasheets_limits(
    make_board: Callable[..., HostBoard], g: float, passes: bool
) -> None:
    board = make_board(part="lsm6dso", line=SPI)
    board.imu.signal.self_test_g = (0.4, g, 0.4)  # type: ignore[attr-defined]
    board.run(0.6)
    passed, fields = self_test(board)
    assert bool(passed) == passes
    assert [response for response, _, _ in fields] == pytest.approx([400, g * 1000, 400, 400, 400, 400], rel=0.02)
    assert {(low, high) for _, low, high in fields} == {(50, 1700), (150, 700)}
    board.run(0.5)
    assert board.health().streams[IMU].state == STREAMING


def test_the_die_temperature_has_no_self_test(streaming: HostBoard) -> None:
    assert streaming.call("self_test", stream=IMU_TEMP).status == messages.Status.UNSUPPORTED
    assert descriptor(streaming, IMU).enabled
    streaming.run(0.1)
    assert streaming.health().streams[IMU].state == STREAMING
