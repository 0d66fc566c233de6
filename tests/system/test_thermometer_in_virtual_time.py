"""External thermometers with the real firmware: found, read beside an IMU at 1 kHz, pulled and put back."""

from __future__ import annotations

import pytest

from system.desk import Desk, assert_accounted_for, batches, gaps, health, logs
from virtual_board.motion import Still


def state(desk: Desk) -> str:
    return next(stream.state for stream in desk.device.streams if stream.name == "ext_temp")


def assert_no_bus_errors(desk: Desk) -> None:
    """None but those of the search for the IMU, which are over before the first report."""
    first, *_, last = (report.body["bus"] for report in health(desk.events))
    assert isinstance(last, dict)
    assert last == first
    assert (last["error"], last["timeout"], last["recoveries"]) == (0, 0, 0)


@pytest.mark.parametrize(
    ("part", "resolution"), [("tmp117", 0.0078125), ("tmp117@0x4b", 0.0078125), ("lm75", 0.5), ("lm75b@0x49", 0.125)]
)
def test_it_tells_the_temperature_of_the_scene_while_the_imu_loses_nothing(part: str, resolution: float) -> None:
    desk = Desk.with_board(parts=("mpu6050", part), motion=Still(temperature_c=-7.3))
    desk.run(3.0)
    values = [float(value) for batch in batches(desk.events, "ext_temp") for value in batch.values[0]]
    assert len(values) >= 2
    assert values == pytest.approx([-7.3] * len(values), abs=resolution / 2 + 1e-4)
    assert state(desk) == "streaming"
    assert gaps(desk.events, "ext_temp") == []
    assert_accounted_for(desk.events)
    assert gaps(desk.events) == []
    assert_no_bus_errors(desk)
    assert not desk.board.violations
    assert not desk.board.unmodelled


def test_without_one_it_is_absent_and_nothing_is_said_or_counted() -> None:
    desk = Desk.with_board()
    desk.run(3.0)
    assert state(desk) == "absent"
    assert not any("ext_temp" in text for text in logs(desk.events))
    assert_no_bus_errors(desk)


def test_unplugged_it_is_missing_and_found_again_with_the_rate_it_had() -> None:
    desk = Desk.with_board(parts=("mpu6050", "tmp117"))
    desk.run(1.5)
    done = desk.command("set_rate", stream=3, rate_mhz=8000)
    assert done.data["rate_mhz"] == 8000
    assert len(batches(desk.run(2.0), "ext_temp")) in (15, 16, 17)
    desk.board.connect("tmp117", connected=False)
    seen = desk.run(2.1)
    assert state(desk) == "missing"
    assert any("TMP117 does not answer" in text for text in logs(seen))
    desk.board.ambient_c = 40.0
    desk.board.connect("tmp117", connected=True)
    seen = desk.run(3.1)
    assert state(desk) == "streaming"
    found = batches(seen, "ext_temp")
    assert len(found) >= 8
    assert {float(value) for batch in found for value in batch.values[0]} == {40.0}
    assert assert_accounted_for(desk.events, "ext_temp") == 0
    assert assert_accounted_for(desk.events) == 0, "the IMU does not notice"


def test_one_that_is_put_on_later_becomes_a_stream() -> None:
    desk = Desk.with_board(parts=("mpu6050", "lm75"))
    desk.board.connect("lm75", connected=False)
    desk.run(2.5)
    assert state(desk) == "absent"
    desk.board.connect("lm75", connected=True)
    desk.run_until(lambda seen: bool(batches(seen, "ext_temp")))
    assert state(desk) == "streaming"
    stream = next(stream for stream in desk.device.streams if stream.name == "ext_temp")
    assert stream.sensor == "lm75"
