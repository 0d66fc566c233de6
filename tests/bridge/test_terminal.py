"""The terminal shows what passes through the hub, with units, rates and losses by cause."""

import dataclasses
import io

import numpy as np
import pytest
from rich.console import Console

from telemetry_bridge.events import (
    Batch,
    ClockInfo,
    DeviceChanged,
    DeviceInfo,
    EpochStarted,
    FieldInfo,
    Gap,
    JsonMessage,
    LinkStats,
    StreamInfo,
)
from telemetry_bridge.hub import Hub
from telemetry_bridge.terminal import LiveValues, StatusLine, Tally

FIELDS = (FieldInfo("accel_x", "m/s^2"), FieldInfo("gyro_x", "rad/s"))
STREAM = StreamInfo(0, "imu", "mpu6050", FIELDS, 1000.0, None, 3, 1, 1950, "streaming", 20_000, True)
DEVICE = DeviceInfo(
    id="0123456789abcdef01234567",
    state="online",
    board="nucleo_f411re",
    firmware="0.1.0",
    revision="abc",
    uid="0123456789abcdef01234567",
    boot_id="1",
    reset_cause="power_on",
    baud=921_600,
    link="serial:/dev/ttyACM0",
    clock=ClockInfo("locked", 0, 0.0, 42_000),
    streams=(STREAM,),
    stats=LinkStats(frames=1234, damaged_crc=2),
)


def batch(index: int, samples: int) -> Batch:
    values = np.array([[9.80665] * samples, [-0.5] * samples], np.float32)
    return Batch(DEVICE.id, "imu", 1, index, 0, 1_000_000, 0, values, 3, b"", 0)


@pytest.fixture
def hub() -> Hub:
    hub = Hub()
    hub.publish(DeviceChanged(DEVICE))
    hub.publish(EpochStarted(DEVICE.id, "imu", 1, "1", FIELDS, 0))
    return hub


def shown(display: StatusLine | LiveValues, now: float = 0.0) -> str:
    console = Console(file=io.StringIO(), width=200)
    with console.capture() as capture:
        console.print(display.render(now))
    return capture.get()


def test_the_status_line_names_page_board_rate_loss_and_clock(hub: Hub) -> None:
    display = StatusLine(hub, "http://localhost:8765")
    hub.attach(display.tally)
    hub.publish(batch(0, 20))
    text = shown(display)
    for part in ("http://localhost:8765", "nucleo_f411re 01234567 online", "0 lost", "clock locked ±42 µs"):
        assert part in text


def test_losses_are_shown_by_cause_and_unknown_lengths_are_not_made_up(hub: Hub) -> None:
    display = StatusLine(hub, "")
    hub.attach(display.tally)
    hub.publish(Gap(DEVICE.id, "imu", 1, 0, 20, "wire"))
    hub.publish(Gap(DEVICE.id, "imu", 1, 20, 3, "device"))
    hub.publish(Gap(DEVICE.id, "imu", 1, 23, None, "host"))
    assert "23 lost (device 3, wire 20, 1 gaps of unknown length)" in shown(display)


def test_a_board_that_went_is_shown_as_waited_for(hub: Hub) -> None:
    display = StatusLine(hub, "")
    hub.attach(display.tally)
    hub.publish(DeviceChanged(dataclasses.replace(DEVICE, state="offline")))
    assert "serial:/dev/ttyACM0: waiting for it to come back" in shown(display)


def test_a_missing_sensor_and_a_warning_stand_out(hub: Hub) -> None:
    display = StatusLine(hub, "")
    hub.attach(display.tally)
    missing = dataclasses.replace(STREAM, state="missing")
    hub.publish(DeviceChanged(dataclasses.replace(DEVICE, streams=(missing,), warning="flash 0.1.0")))
    text = shown(display)
    assert "imu missing" in text
    assert "flash 0.1.0" in text


def test_monitor_shows_every_field_with_value_and_unit_and_the_health_of_the_line(hub: Hub) -> None:
    display = LiveValues(hub)
    hub.attach(display.tally)
    hub.publish(batch(0, 20))
    hub.publish(JsonMessage(DEVICE.id, "health", 0, {"uptime_s": 12, "cpu": 0.031, "supply_v": 3.3}))
    text = shown(display)
    for part in ("accel_x", "+9.8067", "m/s^2", "gyro_x", "-0.5000", "rad/s", "1,234 frames, 2 damaged", "cpu 3.1%"):
        assert part in text


def test_monitor_without_a_board_says_that_it_waits() -> None:
    assert "waiting for a board" in shown(LiveValues(Hub()))


def test_the_rate_is_that_of_the_last_two_seconds() -> None:
    now = 0.0
    tally = Tally(now=lambda: now)
    for number in range(100):
        now = number * 0.1
        tally.handle(batch(number * 50, 50))
    stream = tally.of(DEVICE.id)["imu"]
    assert stream.rate_hz(now) == pytest.approx(500, rel=0.06)
    assert stream.rate_hz(now + 10) == 0
    assert len(stream.recent) <= 22


def test_a_tally_does_not_grow_with_time() -> None:
    now = 0.0
    tally = Tally(now=lambda: now)
    for number in range(10_000):
        now = number * 0.02
        tally.handle(batch(number, 1))
    assert len(tally.of(DEVICE.id)["imu"].recent) <= 102


async def _drawn(display: StatusLine) -> None:
    async with display:
        pass


def test_an_entered_display_leaves_the_hub_when_it_ends(hub: Hub) -> None:
    import asyncio

    out = io.StringIO()
    display = StatusLine(hub, "http://localhost:1", Console(file=out, width=120))
    asyncio.run(_drawn(display))
    hub.publish(batch(0, 20))
    assert display.tally.streams == {}


def test_a_crash_is_one_line_with_the_command_that_tells_where(hub: Hub) -> None:
    display = StatusLine(hub, "http://localhost:8765")
    hub.attach(display.tally)
    assert "crashed" not in shown(display)
    body = {"cause": "main loop stopped", "pc": "0x0800e4a2", "lr": "0x0800d001"}
    hub.publish(JsonMessage(DEVICE.id, "fault", None, body))
    text = " ".join(shown(display).split())
    assert "has crashed: main loop stopped" in text
    assert "tools/decode_fault.py --board nucleo_f411re --cause 'main loop stopped' --pc 0x0800e4a2" in text
