"""Faults of the microcontroller's own buses, one at a time: each is survived, counted, and leaves an exact gap."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from elves import BOARDS, elf_path
from firmware.imu_checks import Ramp
from system.desk import Desk, assert_accounted_for, batches, gaps, health, logs, of
from telemetry_bridge.events import JsonMessage
from telemetry_protocol import Decoder, Frame, encode_frame, messages
from virtual_board import VirtualBoard
from virtual_board.measure import Measurement
from virtual_board.motion import STANDARD_GRAVITY
from virtual_board.peripherals.dma import DmaRequest

MPU = {"parts": ("mpu6050",), "motion": Ramp()}
LSM_LSB = 0.122e-3 * STANDARD_GRAVITY
LSM = {"parts": (), "spi": ("lsm6dso",), "motion": Ramp(rate_hz=833.375, lsb=LSM_LSB)}
LSM_I2C = {"parts": ("lsm6dso",), "motion": LSM["motion"]}


def streaming(name: str, options: dict[str, object]) -> Desk:
    """A board whose accelerometer counts its samples, after a second: its clock is settled."""
    desk = Desk.with_board(name, **options)  # type: ignore[arg-type]
    desk.run_until(lambda seen: bool(batches(seen)))
    desk.run(1.0)
    return desk


def counted(desk: Desk, group: str, name: str) -> int:
    """A counter of a HEALTH made now."""
    desk.command("get_health")
    (*_, last) = health(desk.run_until(lambda seen: bool(health(seen))))
    body = last.body if not group else last.body[group]
    assert isinstance(body, dict)
    return int(body[name])


def lost(desk: Desk) -> dict[str, int]:
    """By the board's own counters."""
    desk.command("get_health")
    (*_, last) = health(desk.run_until(lambda seen: bool(health(seen))))
    streams = last.body["streams"]
    assert isinstance(streams, dict)
    return {cause: streams["imu"][f"lost_{cause}"] for cause in ("fifo", "ring", "bus")}


def assert_exact(desk: Desk, lsb: float) -> int:
    """The samples count themselves: each has the index that its value says, also behind a gap. Returns what is lost."""
    missing = assert_accounted_for(desk.events)
    found = batches(desk.events)
    index = np.concatenate([batch.index + np.arange(batch.samples) for batch in found])
    count = np.round(np.concatenate([batch.values[0] for batch in found]) / lsb)
    offsets = count - index
    assert offsets.max() - offsets.min() <= 1, "half an LSB of rounding, and the delay of the filter"
    return missing


def survive(desk: Desk, lsb: float, cause: str) -> int:
    """Run on; the board has not restarted, streams, and what is missing is what it has counted. Returns that."""
    desk.run(1.0)
    assert desk.board.counters.resets == 1, "the power-on"
    assert batches(desk.run(0.2))
    counts = lost(desk)
    missing = assert_exact(desk, lsb)
    assert missing == sum(counts.values()) == counts[cause]
    assert {gap.cause for gap in gaps(desk.events)} <= {"device"}
    assert desk.board.unmodelled == {}
    assert desk.board.violations == {}
    return missing


@pytest.mark.parametrize("name", BOARDS)
@pytest.mark.parametrize("sent", range(5))
def test_a_lost_arbitration_costs_the_samples_that_it_says(name: str, sent: int) -> None:
    """The address, the register's number, the address of the reading: of the next transfer, or the one after it."""
    desk = streaming(name, MPU)
    before = counted(desk, "bus", "error")
    for _ in range(5):
        desk.board.machine.i2cs["I2C1"].contended_after = sent
        desk.run(0.1)
    survive(desk, Ramp().lsb, "bus")
    assert counted(desk, "bus", "error") == before + 5
    assert counted(desk, "bus", "timeout") == 0


def test_a_lost_arbitration_while_an_lsm6dso_is_read() -> None:
    desk = streaming("nucleo_f411re", LSM_I2C)
    for sent in range(6):
        desk.board.machine.i2cs["I2C1"].contended_after = sent
        desk.run(0.15)
    survive(desk, LSM_LSB, "bus")
    assert counted(desk, "bus", "error") == 6


@pytest.mark.parametrize("sent", [9, 12, 30])
def test_a_part_whose_first_configuration_fails_gets_the_same_rate_at_the_second(sent: int) -> None:
    """The board begins with another chip in mind, whose rates have other numbers."""
    desk = Desk.with_board("nucleo_f411re", **LSM_I2C)  # type: ignore[arg-type]
    desk.board.machine.i2cs["I2C1"].contended_after = sent
    desk.run_until(lambda seen: bool(batches(seen)))
    assert counted(desk, "bus", "error") == 1
    failed = ("imu: it has stopped answering", "imu: no answer while it was configured")
    assert any(text.startswith(failed) for text in logs(desk.events))
    answer = desk.command("get_rate", stream=0)
    assert answer.data["rate_mhz"] == 833_375


def i2c_rx(desk: Desk) -> DmaRequest:
    return desk.board.machine.i2cs["I2C1"].rx_dma


def spi_rx(desk: Desk) -> DmaRequest:
    return desk.board.machine.spis[desk.board.spec.spi].rx_dma


def spi_tx(desk: Desk) -> DmaRequest:
    return desk.board.machine.spis[desk.board.spec.spi].tx_dma


@pytest.mark.parametrize("name", BOARDS)
@pytest.mark.parametrize(
    ("options", "request_of", "lsb"),
    [
        (MPU, i2c_rx, Ramp().lsb),
        (LSM_I2C, i2c_rx, LSM_LSB),
        (LSM, spi_rx, LSM_LSB),
        (LSM, spi_tx, LSM_LSB),
    ],
    ids=["mpu6050", "lsm6dso on I2C", "lsm6dso on SPI, rx", "lsm6dso on SPI, tx"],
)
def test_a_dma_error_on_a_sensor_bus_costs_the_samples_that_it_says(
    name: str, options: dict[str, object], request_of: object, lsb: float
) -> None:
    desk = streaming(name, options)
    request = request_of(desk)  # type: ignore[operator]
    for items in (0, 1, 13, 100):  # the level's two bytes, or into a burst
        request.error_after = items
        desk.run_until(lambda _: request.error_after is None)
        desk.run(0.15)
    assert survive(desk, lsb, "bus") > 0
    assert counted(desk, "", "dma_error") == 4
    assert counted(desk, "bus", "timeout") == 0
    assert counted(desk, "bus", "error") == 0


@pytest.mark.parametrize("name", BOARDS)
def test_a_dma_error_on_the_way_to_the_host_damages_a_frame_that_is_missed(name: str) -> None:
    desk = streaming(name, MPU)
    request = desk.board.machine.usarts[desk.board.spec.uart].tx_dma
    for items in (0, 5, 120):
        request.error_after = items
        desk.run(0.1)
        assert request.error_after is None
    desk.run(1.5)
    assert desk.board.counters.resets == 1
    missing = assert_exact(desk, Ramp().lsb)
    assert {gap.cause for gap in gaps(desk.events)} <= {"wire"}
    assert missing == sum(gap.count or 0 for gap in gaps(desk.events))
    assert lost(desk) == {"fifo": 0, "ring": 0, "bus": 0}
    assert counted(desk, "", "dma_error") == 3
    stats = of(desk.events, JsonMessage)[-1].body
    assert desk.session.stats.missing_frames + desk.session.stats.damaged_cobs > 0, stats
    assert batches(desk.run(0.1))


@pytest.mark.parametrize("name", BOARDS)
@pytest.mark.parametrize("items", [0, 3, 30, 400])
def test_a_dma_error_on_the_way_from_the_host_costs_a_command_and_repeats_none(name: str, items: int) -> None:
    desk = streaming(name, MPU)
    for rate_mhz in itertools.islice(itertools.cycle((1_000_000, 500_000)), 20):  # the ring holds old commands
        assert desk.command("set_rate", stream=0, rate_mhz=rate_mhz).ok
    assert desk.command("set_rate", stream=0, rate_mhz=1_000_000).ok
    generation = batches(desk.run(0.1))[-1].generation
    request = desk.board.machine.usarts[desk.board.spec.uart].rx_dma
    request.error_after = items
    done = [desk.command("get_rate", stream=0) for _ in range(40)]
    assert request.error_after is None
    assert all(answer.ok for answer in done), "what was cut is asked again"
    desk.run(1.0)
    assert desk.board.counters.resets == 1
    assert batches(desk.events)[-1].generation == generation, "no old set_rate was read again"
    assert counted(desk, "", "dma_error") == 1
    assert gaps(desk.events) == []


def framed(name: str, request: int, **values: int) -> bytes:
    """A command as it goes over the line."""
    spec = messages.COMMANDS[name]
    payload = messages.Command(request, spec.id, spec.pack_args(**values)).pack()
    return encode_frame(messages.Command.TYPE, request, payload)


def get_rates(count: int) -> bytes:
    """Frames back to back: the line is never idle among them."""
    return b"".join(framed("get_rate", request, stream=0) for request in range(count))


@pytest.mark.parametrize("items", [(30,), (200,), (290,), (511,), (512,), (30, 100), (30, 480)])
def test_dma_errors_amid_frames_without_a_pause_cost_those_that_they_hit(items: tuple[int, ...]) -> None:
    """More of them than the board's ring of 512 bytes holds, fewer than it cannot answer in time."""
    board = VirtualBoard(elf_path("nucleo_f411re"), seed=1)
    board.run(0.5)
    board.uart.take()
    request = board.machine.usarts[board.spec.uart].rx_dma
    board.uart.send(b"\0" + get_rates(60))
    hit = -1
    cut: set[int] = set()
    for behind in items:
        request.error_after = behind
        while request.error_after is not None:
            board.run(1e-6)
        hit += 1 + behind
        cut.add((hit - 1) // len(get_rates(1)))
    board.run(0.2)
    frames = [item for item in Decoder().feed(board.uart.take()) if isinstance(item, Frame)]
    responses = (messages.unpack(item.type, item.payload) for item in frames)
    answered = {message.request for message in responses if isinstance(message, messages.Response)}
    assert answered == set(range(60)) - cut


@pytest.mark.parametrize("items", [3, 300])
def test_an_edge_right_behind_a_dma_error_of_the_line_is_stamped_in_time(items: int) -> None:
    elf = elf_path("nucleo_f411re")
    board = VirtualBoard(elf, seed=1)
    board.run(0.5)
    measurement = Measurement(board, elf)
    request = board.machine.usarts[board.spec.uart].rx_dma
    request.error_after = items
    board.uart.send(b"\0" + get_rates(40))
    while request.error_after is not None:
        board.run(1e-6)
    measurement.stamp_latencies.clear()
    pin = board.spec.data_ready
    for level in (False, True):
        board.machine.gpio[pin[1]].on_input(int(pin[2:]), level)
    board.run(200e-6)
    (latency,) = measurement.stamp_latencies
    assert latency <= 200


@pytest.mark.parametrize("items", [0, 1, 5])
def test_a_dma_error_in_the_answer_of_set_baud_leaves_no_board_that_waits_for_ever(items: int) -> None:
    board = VirtualBoard(elf_path("nucleo_f411re"), seed=1)
    board.run(1.0)
    for stream in range(4):
        board.uart.send(b"\0" + framed("enable_stream", stream, stream=stream, enabled=0))
        board.run(0.05)
    board.run(0.1)
    board.machine.usarts[board.spec.uart].tx_dma.error_after = items
    board.uart.send(framed("set_baud", 9, baud=460_800))
    board.run(2.0)  # nobody proves the new rate
    board.uart.take()
    board.uart.send(b"\0" + framed("get_rate", 10, stream=0))
    board.run(0.1)
    frames = [item for item in Decoder().feed(board.uart.take()) if isinstance(item, Frame)]
    answers = [messages.unpack(item.type, item.payload) for item in frames if item.type == messages.Response.TYPE]
    assert [answer.request for answer in answers if isinstance(answer, messages.Response)] == [10]
