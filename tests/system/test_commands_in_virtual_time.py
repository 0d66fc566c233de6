"""Every command through the server's table, the session and the real firmware: what it answers, and what follows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from elves import elf_path
from system.desk import Desk, assert_accounted_for, batches, gaps, health, of
from telemetry_bridge.events import EpochStarted, Event, JsonMessage, StreamInfo
from telemetry_bridge.server.commands import refusal_text, result_data, to_wire
from telemetry_bridge.server.wire_format import device_json
from virtual_board import inject
from virtual_board.inject import Injector
from virtual_board.motion import STANDARD_GRAVITY, Rotation

IMUS = pytest.mark.parametrize("part", ["mpu6050", "lsm6dso"])
AXIS = np.array([0.3, 0.2, 1.0])
TURN = 0.8  # rad/s


@dataclass
class Refused(Exception):
    """A command was refused."""

    code: str
    text: str
    data: dict[str, Any]


def streaming(part: str = "mpu6050", **options: Any) -> Desk:
    """A board with this part, which streams and whose clock is known."""
    desk = Desk.with_board(parts=(part,), **options)
    desk.run_until(lambda seen: bool(batches(seen)))
    desk.run(1.0)
    return desk


def ask(desk: Desk, name: str, **args: Any) -> dict[str, Any]:
    """Give a command as a client of the API does; its result."""
    done = desk.command(name, **to_wire(desk.device, name, args, desk.now_ns))
    data = result_data(done, desk.device, args)
    if not done.ok:
        raise Refused(done.status, refusal_text(done, desk.device, args), data)
    return data


def stream(desk: Desk, name: str = "imu") -> StreamInfo:
    (found,) = [stream for stream in desk.device.streams if stream.name == name]
    return found


def assert_one_epoch(desk: Desk, name: str = "imu") -> None:
    assert len([event for event in of(desk.events, EpochStarted) if event.stream == name]) == 1


def felt(seen: list[Event]) -> tuple[float, float]:
    """Mean magnitude of acceleration and of the rate of turn."""
    values = np.concatenate([batch.values for batch in batches(seen)], axis=1)
    accel, gyro = np.split(values, 2)
    return float(np.linalg.norm(accel, axis=0).mean()), float(np.linalg.norm(gyro, axis=0).mean())


# ----------------------------------------------------------------------- ranges


@IMUS
def test_other_ranges_give_the_same_si_values(part: str) -> None:
    desk = streaming(part, motion=Rotation(axis=tuple(AXIS), rate=TURN))
    before = felt(desk.run(0.5))
    assert before == pytest.approx((STANDARD_GRAVITY, TURN), rel=0.05)
    generation = stream(desk).generation
    accel = ask(desk, "set_range", stream="imu", field="accel_z", full_scale=100)
    assert accel["full_scale"] == pytest.approx(16 * STANDARD_GRAVITY, rel=1e-4)
    gyro = ask(desk, "set_range", stream="imu", field="gyro_x", full_scale=20)
    assert gyro["full_scale"] == pytest.approx(np.radians(2000), rel=1e-4)
    desk.run(0.3)
    scales = [field.full_scale for field in stream(desk).fields]
    assert scales == [accel["full_scale"]] * 3 + [gyro["full_scale"]] * 3
    assert gyro["generation"] == stream(desk).generation == (generation + 2) & 7
    seen = desk.run(0.5)
    assert {batch.generation for batch in batches(seen)} == {gyro["generation"]}
    assert felt(seen) == pytest.approx(before, rel=5e-3)
    assert [field["full_scale"] for field in shown(desk)["fields"]] == scales
    assert_one_epoch(desk)
    assert_accounted_for(desk.events)


def shown(desk: Desk, name: str = "imu") -> dict[str, Any]:
    """A stream as the API shows it."""
    streams: Any = device_json(desk.device)["streams"]
    (found,) = [one for one in streams if one["name"] == name]
    assert isinstance(found, dict)
    return found


def test_a_range_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    desk = streaming()
    with pytest.raises(Refused) as refused:
        ask(desk, "set_range", stream="imu", field="accel_x", full_scale=200)
    assert refused.value.code == "bad_argument"
    assert refused.value.text == (
        "accel_x of imu with a full scale of 200 m/s^2 is not possible: full scales go from 19.6133 to 156.906 m/s^2"
    )
    with pytest.raises(Refused) as refused:
        ask(desk, "set_range", stream="mcu_temp", field="temperature", full_scale=200)
    assert refused.value.text == "temperature of mcu_temp with a full scale of 200 degC: its range cannot be changed"


# ---------------------------------------------------------- on and off, latency


@IMUS
def test_a_stream_that_was_disabled_goes_on_where_it_was(part: str) -> None:
    desk = streaming(part)
    ask(desk, "enable_stream", stream="imu", enabled=False)
    desk.run(0.1)
    assert (shown(desk)["enabled"], shown(desk)["state"], shown(desk)["measured_rate_hz"]) == (False, "stopped", None)
    seen = desk.run(2.5)
    assert batches(seen) == []
    assert len(batches(seen, "imu_temp")) > 10
    streams: Any = health(seen)[-1].body["streams"]
    assert streams["imu"]["state"] == "stopped"
    assert stream(desk).state == "stopped"
    ask(desk, "enable_stream", stream="imu", enabled=True)
    seen = desk.run(1.5)
    assert len(batches(seen)) > 30
    assert (shown(desk)["enabled"], shown(desk)["state"]) == (True, "streaming")
    assert shown(desk)["measured_rate_hz"] == pytest.approx(stream(desk).rate_hz, rel=2e-3)
    assert gaps(desk.events) == []
    assert_one_epoch(desk)
    assert assert_accounted_for(desk.events) == 0
    periods = {round(batch.period_ns, -5) for batch in batches(seen)}
    assert len(periods) == 1, "the pause is no period"


def test_a_shorter_latency_makes_smaller_batches_until_the_default_is_back() -> None:
    desk = streaming()
    default = shown(desk)["latency_ms"]
    assert ask(desk, "set_latency", stream="imu", latency_ms=15) == {"latency_ms": 15.0}
    desk.run(0.1)
    assert shown(desk)["latency_ms"] == 15.0
    assert max(batch.samples for batch in batches(desk.run(0.5))) <= 10
    shortest = ask(desk, "set_latency", stream="imu", latency_ms=5)["latency_ms"]
    assert 12.4 < shortest < 15.0, "the FIFO is read each 10 ms, which takes 3.4 ms: no sample gets younger"
    assert ask(desk, "set_latency", stream="imu", latency_ms=0) == {"latency_ms": default}
    desk.run(0.1)
    assert max(batch.samples for batch in batches(desk.run(0.5))) > 10
    with pytest.raises(Refused) as refused:
        ask(desk, "set_latency", stream="imu", latency_ms=2000)
    assert refused.value.data == {"min_latency_ms": 1.0, "max_latency_ms": 1000.0}
    assert gaps(desk.events) == []
    assert_one_epoch(desk)


# -------------------------------------------------------------------- self-test


@pytest.mark.parametrize("part", ["mpu6050", "mpu6500", "lsm6dso"])
def test_the_self_test_passes_and_the_stream_goes_on(part: str) -> None:
    desk = streaming(part)
    sent = desk.now_ns
    result = ask(desk, "self_test", stream="imu")
    assert desk.now_ns - sent < 1_500_000_000
    assert result["passed"]
    assert [field["name"] for field in result["fields"]] == [field.name for field in stream(desk).fields]
    for field in result["fields"]:
        assert field["passed"]
        assert field["low"] <= field["response"] <= field["high"]
    assert len(batches(desk.run(1.0))) > 20
    assert desk.session.stats.unknown_answers == 0, "one answer came"
    assert_one_epoch(desk)
    assert_accounted_for(desk.events)


def test_a_stream_without_a_self_test_says_so() -> None:
    desk = streaming()
    with pytest.raises(Refused) as refused:
        ask(desk, "self_test", stream="mcu_temp")
    assert (refused.value.code, refused.value.text) == ("unsupported", "mcu_temp: its sensor has no self-test")


# --------------------------------------------------------------- configuration


def test_what_is_saved_is_kept_over_a_reset_and_the_defaults_come_back() -> None:
    desk = streaming()
    defaults = shown(desk)
    ask(desk, "set_rate", stream="imu", rate_hz=250)
    ask(desk, "set_range", stream="imu", field="accel_x", full_scale=150)
    ask(desk, "set_latency", stream="imu", latency_ms=40)
    ask(desk, "enable_stream", stream="mcu_temp", enabled=False)
    ask(desk, "save_configuration")
    desk.run(0.1)
    wanted = settings(desk)
    assert wanted != ((defaults["rate_hz"], defaults["latency_ms"], defaults["fields"][0]["full_scale"]), True)
    boot = desk.device.boot_id
    ask(desk, "reset")
    desk.run(2.0)
    assert desk.device.boot_id != boot
    assert settings(desk) == wanted
    assert batches(desk.run(1.5), "mcu_temp") == []
    ask(desk, "restore_configuration", source="defaults")
    desk.run(0.3)
    assert shown(desk)["fields"] == defaults["fields"]
    assert settings(desk) == ((defaults["rate_hz"], defaults["latency_ms"], defaults["fields"][0]["full_scale"]), True)
    ask(desk, "set_rate", stream="imu", rate_hz=250)
    ask(desk, "restore_configuration", source="stored")  # nothing is: the defaults once more
    desk.run(0.1)
    assert shown(desk)["rate_hz"] == defaults["rate_hz"]
    assert desk.session.stats.unknown_answers == 0


def settings(desk: Desk) -> tuple[tuple[float, float, float], bool]:
    """Rate, latency and range of the IMU; whether the MCU's temperature is enabled."""
    imu = shown(desk)
    return (imu["rate_hz"], imu["latency_ms"], imu["fields"][0]["full_scale"]), shown(desk, "mcu_temp")["enabled"]


# ---------------------------------------------------------- counters and faults


def test_counters_start_again_at_zero() -> None:
    desk = streaming()
    desk.board.uart.send(b"\0\x05\x01\x00")
    desk.run(1.2)
    before: Any = health(desk.events)[-1].body
    assert sum(before["refused"].values()) == 1
    ask(desk, "clear_counters")
    desk.run(1.2)
    after: Any = health(desk.events)[-1].body
    assert sum(after["refused"].values()) == 0
    assert after["streams"]["imu"]["next_index"] > before["streams"]["imu"]["next_index"]


def test_a_fault_is_told_until_it_is_acknowledged() -> None:
    desk = streaming()
    injector = Injector(desk.board, elf_path("nucleo_f411re"))
    crashed = desk.device.boot_id
    injector.patch("health_report", inject.READ_NOWHERE)
    resets = desk.board.counters.resets
    for _ in range(2000):
        if desk.board.counters.resets > resets:
            break
        desk.run(0.002)
    injector.restore()
    desk.run(1.0)
    (fault,) = [event for event in of(desk.events, JsonMessage) if event.stream == "fault"]
    assert fault.body["boot_id"] == crashed
    assert fault.body["cause"] == "BusFault"
    assert desk.hub.latest(desk.device.id, "fault") == fault
    ask(desk, "acknowledge_fault", boot_id="0")  # another boot's: the record stays
    assert desk.hub.latest(desk.device.id, "fault") == fault
    ask(desk, "acknowledge_fault", boot_id=crashed)
    assert desk.hub.latest(desk.device.id, "fault") is None
    ask(desk, "reset")
    desk.run(1.5)
    assert desk.device.reset_cause == "software"
    assert [event for event in of(desk.events, JsonMessage) if event.stream == "fault"] == [fault]


def test_a_board_whose_rom_does_not_serve_the_line_stays_out_of_its_bootloader() -> None:
    desk = streaming()
    with pytest.raises(Refused) as refused:
        ask(desk, "enter_bootloader")
    assert refused.value.code == "unsupported"
    assert "ST-LINK" in refused.value.text
    assert len(batches(desk.run(0.3))) > 5
