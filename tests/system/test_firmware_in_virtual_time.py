"""The real firmware on the virtual board, through the session to the hub."""

from __future__ import annotations

import numpy as np
import pytest

from elves import BOARDS, elf_path
from system.desk import WALL_NS, Desk, assert_accounted_for, batches, gaps, health, logs, of
from telemetry_bridge.events import Batch, DeviceChanged, EpochStarted, JsonMessage
from telemetry_protocol import Decoder, Frame, encode_frame, messages
from virtual_board import VirtualBoard
from virtual_board.motion import STANDARD_GRAVITY, Rotation, Still

# one count at +-4 g and +-500 deg/s (RM-MPU-6000A-00, registers 27 and 28)
ACCEL_LSB = STANDARD_GRAVITY / 8192
GYRO_LSB = np.pi / 180 / 65.5


def streaming(name: str = "nucleo_f411re", **options: object) -> Desk:
    desk = Desk.with_board(name, **options)  # type: ignore[arg-type]
    desk.run_until(lambda seen: bool(batches(seen)))
    return desk


def joined(seen: list[Batch]) -> tuple[np.ndarray, np.ndarray]:
    """Seconds since power-on of each sample, and the values, fields x samples."""
    times = [batch.time_ns + batch.period_ns * np.arange(batch.samples) for batch in seen]
    return (np.concatenate(times) - WALL_NS) / 1e9, np.concatenate([batch.values for batch in seen], axis=1)


@pytest.mark.parametrize("board", BOARDS)
def test_a_board_at_rest_feels_gravity_to_the_last_bit(board: str) -> None:
    desk = streaming(board, motion=Still(up=(0.36, 0.48, 0.8), temperature_c=31.0))
    seen = desk.run(1.0)
    _, values = joined(batches(seen))
    up = np.array([[0.36], [0.48], [0.8]]) * STANDARD_GRAVITY
    assert values.shape[1] >= 980
    assert np.abs(values[:3] - up).max() <= ACCEL_LSB
    assert np.abs(values[3:]).max() <= GYRO_LSB
    (temperature,) = {float(value) for batch in batches(seen, "imu_temp") for value in batch.values[0]}
    assert temperature == pytest.approx(31.0, abs=1 / 340)
    assert_accounted_for(seen)
    assert gaps(seen) == []


def test_a_rotation_comes_out_at_the_right_time_in_si_units() -> None:
    motion = Rotation(axis=(0.3, 0.2, 1.0), rate=0.8)
    desk = streaming(motion=motion)
    desk.run(3.0)  # the clock settles
    seen = batches(desk.run(2.0))
    times, values = joined(seen)
    felt = [motion.at(t) for t in times]
    accel = np.array([one.acceleration for one in felt]).T
    gyro = np.array([one.rate for one in felt]).T
    off_s = max(batch.uncertainty_ns for batch in seen) / 1e9
    assert off_s < 0.001
    assert np.abs(values[:3] - accel).max() <= ACCEL_LSB + STANDARD_GRAVITY * 0.8 * off_s
    assert np.abs(values[3:] - gyro).max() <= GYRO_LSB


def test_indexes_have_no_hole_and_times_are_even() -> None:
    desk = streaming()
    seen = desk.run(3.0)
    assert gaps(seen) == []
    assert assert_accounted_for(seen) == 0
    times, _ = joined(batches(seen))
    assert np.abs(np.diff(times) - 0.001).max() < 20e-6


def test_the_devices_own_sample_rate_is_measured() -> None:
    desk = streaming()
    desk.board.imu.odr_error_ppm = 12_000
    desk.run(5.0)
    desk.command("get_health")
    (imu,) = [stream for stream in desk.device.streams if stream.name == "imu"]
    assert imu.measured_rate_hz == pytest.approx(1012.0, rel=1e-3)


def test_set_rate_changes_generation_and_period_and_loses_nothing() -> None:
    desk = streaming(motion=Still(up=(0.0, 0.0, 1.0)))
    before = batches(desk.events)[-1].generation
    done = desk.command("set_rate", stream=0, rate_mhz=200_000)
    assert done.ok, done
    assert done.data["rate_mhz"] == 200_000
    seen = desk.run(1.0)
    new = [batch for batch in batches(seen) if batch.generation != before]
    assert {batch.generation for batch in new} == {done.data["generation"] & 7}
    assert {round(batch.period_ns / 1e6) for batch in new if batch.samples > 1} == {5}
    assert_accounted_for(desk.events)
    assert gaps(desk.events) == []


def test_samples_wait_for_a_descriptor_that_the_line_lost() -> None:
    desk = streaming()
    lost: list[bytes] = []
    waiting = [b""]  # the frame that has not ended yet

    def without_descriptors(data: bytes) -> bytes:
        """The line loses the next descriptor of the imu."""
        if lost:
            return data
        *frames, rest = (waiting.pop() + data).split(b"\0")
        for number, frame in enumerate(frames):
            if len(frame) > 2 and frame[1] == messages.Stream.TYPE:
                lost.append(frames.pop(number))
                return b"\0".join([*frames, rest])
        waiting.append(rest)
        return b"".join(frame + b"\0" for frame in frames)

    before = batches(desk.events)[-1].generation
    desk.cable = without_descriptors
    done = desk.command("set_rate", stream=0, rate_mhz=250_000)
    seen = desk.run(2.0)
    assert lost
    generations = [batch.generation for batch in batches(seen)]
    assert set(generations) <= {before, done.data["generation"] & 7}
    assert generations[-1] == done.data["generation"] & 7
    new = [batch for batch in batches(desk.events) if batch.generation == generations[-1]]
    assert {round(batch.period_ns / 1e6) for batch in new if batch.samples > 1} == {4}
    assert_accounted_for(desk.events)


def test_a_rate_beyond_the_sensor_is_refused_with_its_limits() -> None:
    desk = streaming()
    done = desk.command("set_rate", stream=0, rate_mhz=5_000_000)
    assert done.status == "bad_argument"
    assert done.data["available"] == 1_000_000
    assert batches(desk.run(0.5))[-1].period_ns == pytest.approx(1_000_000, rel=0.01)


def test_a_reset_starts_a_new_epoch_at_index_0() -> None:
    desk = streaming()
    first = desk.device
    desk.run(1.0)
    desk.board.reset("pin")
    seen = desk.run_until(lambda seen: any(batch.index < 100 for batch in batches(seen)), limit_s=5)
    (started,) = [epoch for epoch in of(seen, EpochStarted) if epoch.stream == "imu"]
    fresh = [batch for batch in batches(seen) if batch.epoch == started.epoch]
    assert started.epoch > batches(desk.events)[0].epoch
    assert fresh[0].index == started.next_index == 0
    assert seen.index(started) < seen.index(fresh[0])
    assert desk.device.boot_id != first.boot_id
    assert desk.device.reset_cause == "pin"
    assert desk.device.id == first.id


def test_the_reset_command_is_answered_and_then_done() -> None:
    desk = streaming()
    done = desk.command("reset")
    assert done.ok
    seen = desk.run_until(lambda seen: bool(of(seen, EpochStarted)), limit_s=5)
    assert seen
    assert desk.device.reset_cause == "software"


def test_pings_at_every_phase_of_the_main_loop_are_answered_with_their_own_time() -> None:
    board = VirtualBoard(elf_path("nucleo_f411re"), board="nucleo_f411re", seed=1, noise=False)
    board.run(0.5)
    decoder = Decoder()
    ping = messages.COMMANDS["ping"]
    answers = 0
    for request in range(2000):
        args = ping.pack_args(host_ns=board.now_us)
        board.uart.send(encode_frame(0x40, 0, messages.Command(request=request, command=ping.id, args=args).pack()))
        board.run(0.0013 + request % 97 * 1e-6)
        for frame in decoder.feed(board.uart.take()):
            message = messages.unpack(frame.type, frame.payload) if isinstance(frame, Frame) else None
            assert not isinstance(message, messages.Fault)
            if isinstance(message, messages.Response):
                result = ping.unpack_result(message.data)
                assert isinstance(result, dict)
                assert abs(result["received_us"] - result["host_ns"]) < 5_000  # its clock starts 3 ms after power-on
                assert result["received_us"] <= result["sent_us"]
                answers += 1
    assert answers > 1900


def test_a_sensor_that_stops_answering_leaves_the_rest_streaming_and_is_reported() -> None:
    desk = streaming()
    desk.board.imu.nack = True
    seen = desk.run(3.0)
    assert len(batches(seen, "mcu_temp")) >= 20
    states = {stream.name: stream.state for stream in desk.device.streams}
    assert states["imu"] == "missing"
    assert states["mcu_temp"] == "streaming"
    assert any("failed" in text or "no answer" in text for text in logs(seen))
    report = health(seen)[-1].body
    assert isinstance(report["streams"], dict)
    assert report["streams"]["imu"]["lost_bus"] >= 1

    desk.board.imu.nack = False
    desk.run_until(lambda seen: bool(batches(seen)))
    desk.run(1.1)
    report = health(desk.events)[-1].body
    assert isinstance(report["streams"], dict)
    assert assert_accounted_for(desk.events) == report["streams"]["imu"]["lost_bus"]
    assert report["streams"]["imu"]["lost_bus"] > 3000  # each edge of these seconds was a tick
    assert {gap.cause for gap in gaps(desk.events)} == {"device"}
    assert {stream.name: stream.state for stream in desk.device.streams}["imu"] == "streaming"


def test_a_board_without_its_sensor_streams_the_rest_and_says_what_to_check() -> None:
    desk = Desk.with_board()
    desk.board.imu.present = False
    seen = desk.run(2.5)
    assert batches(seen) == []
    assert len(batches(seen, "mcu_temp")) >= 15
    assert {stream.name: stream.state for stream in desk.device.streams}["imu"] == "missing"
    assert any("SCL" in text for text in logs(seen))


def test_noise_on_the_line_is_counted_and_every_sample_accounted_for() -> None:
    desk = streaming()
    desk.board.uart.noise(to_host=200)
    seen = desk.run(4.0)
    stats = desk.session.stats
    assert stats.damaged_crc + stats.damaged_cobs + stats.damaged_short > 50
    missing = assert_accounted_for(desk.events)
    assert missing > 0
    assert {gap.cause for gap in gaps(seen)} == {"wire"}
    assert missing % 20 == 0
    assert gaps(desk.run(1.0)) == []


def test_noise_towards_the_board_is_counted_there_and_commands_still_end() -> None:
    desk = streaming()
    desk.board.uart.noise(to_board=1)
    assert desk.command("get_rate", stream=0).ok  # its first try is damaged
    seen = desk.run(1.2)
    report = health(seen)[-1].body
    assert isinstance(report["refused"], dict)
    assert sum(report["refused"].values()) >= 1


def test_health_comes_each_second_with_figures_that_can_be() -> None:
    desk = streaming()
    reports = health(desk.run(5.0))
    assert len(reports) in {5, 6}
    body = reports[-1].body
    assert 0 < body["cpu"] < 0.2  # type: ignore[operator]
    assert body["supply_v"] == pytest.approx(3.3, abs=0.05)
    assert body["mcu_temperature_degc"] == pytest.approx(31.0, abs=1.0)


def test_the_firmware_touches_nothing_that_is_not_modelled_and_breaks_no_rule() -> None:
    for board in BOARDS:
        desk = streaming(board)
        desk.run(1.0)
        assert not desk.board.unmodelled, board
        assert not desk.board.unclocked, board
        assert not desk.board.violations, board


def test_interrupts_come_from_the_image_wherever_the_boot_started() -> None:
    board = VirtualBoard(elf_path("nucleo_f411re"), board="nucleo_f411re", seed=1, noise=False)
    board.run(0.1)
    assert board.machine.scb.vector_table == 0x0800_0000  # 0 may be the ROM's loader


def test_a_bus_held_low_between_reads_is_freed_and_the_fifo_keeps_the_samples() -> None:
    desk = streaming()
    desk.run_until(lambda seen: bool(batches(seen)))  # a burst is just over
    desk.board.i2c_bus.stick_sda(5)
    desk.run(2.5)
    assert {stream.name: stream.state for stream in desk.device.streams}["imu"] == "streaming"
    body = health(desk.events)[-1].body
    assert isinstance(body["bus"], dict)
    assert body["bus"]["recoveries"] == 1
    assert isinstance(body["streams"], dict)
    assert body["streams"]["imu"]["lost_fifo"] == body["streams"]["imu"]["lost_bus"] == 0
    assert assert_accounted_for(desk.events) == 0


def test_a_crash_is_reported_after_the_reset_it_causes() -> None:
    desk = streaming()
    first = desk.device.boot_id
    desk.board.machine.cpu.pc = 0x0BAD_0BAC
    seen = desk.run_until(
        lambda seen: any(isinstance(e, JsonMessage) and e.stream == "fault" for e in seen) and bool(batches(seen)),
        limit_s=2.0,
    )
    assert desk.device.reset_cause == "fault"
    assert desk.device.boot_id != first
    (fault,) = [e for e in of(seen, JsonMessage) if e.stream == "fault"]
    assert fault.body["pc"] == "0x0bad0bac"
    assert any(isinstance(e, DeviceChanged) for e in seen)


def test_two_runs_with_one_seed_are_the_same() -> None:
    def trace() -> list[tuple[int, int, bytes]]:
        desk = streaming(noise=True, seed=5)
        desk.run(0.5)
        return [(batch.index, batch.time_ns, batch.raw) for batch in batches(desk.events)]

    assert trace() == trace()


def test_a_board_without_factory_calibration_starts_says_so_and_streams() -> None:
    desk = Desk.with_board()
    desk.board.machine.system[0x7A2A:0x7A30] = b"\xff" * 6  # VREFINT_CAL, TS_CAL1, TS_CAL2
    desk.run_until(lambda seen: bool(batches(seen)) and bool(batches(seen, "mcu_temp")))
    assert desk.board.counters.resets <= 1  # the power-on
    assert any(text.startswith("mcu_temp: no factory calibration") for text in logs(desk.events))
