"""The hub: every sink gets every event, none harms another, and out of order is put right or refused."""

from __future__ import annotations

import asyncio
import logging

import pytest

from bridge.server_helpers import batch, device_info, epoch_started, json_message, stream_info
from telemetry_bridge.errors import BridgeError, CommandError
from telemetry_bridge.events import Batch, CommandDone, DeviceChanged, EpochStarted, Event, Gap, JsonMessage, WireArgs
from telemetry_bridge.hub import Hub


class Recorder:
    """A sink that keeps what it gets."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def handle(self, event: Event) -> None:
        self.events.append(event)


class Broken:
    """A sink that fails on every batch."""

    def handle(self, event: Event) -> None:
        if isinstance(event, Batch):
            raise ZeroDivisionError("a defect of the sink")


def started_hub() -> tuple[Hub, Recorder]:
    hub, sink = Hub(), Recorder()
    hub.publish(DeviceChanged(device_info()))
    hub.publish(epoch_started())
    hub.attach(sink)
    sink.events.clear()
    return hub, sink


def test_every_sink_gets_every_event_in_order() -> None:
    hub, first = started_hub()
    second = Recorder()
    hub.attach(second)
    second.events.clear()
    events: list[Event] = [batch(0), Gap("dev-a", "imu", 7, 20, 5, "wire"), batch(25), json_message("log")]
    for event in events:
        hub.publish(event)
    assert first.events == second.events == events


def test_a_detached_sink_gets_nothing_more() -> None:
    hub, sink = started_hub()
    hub.detach(sink)
    hub.detach(sink)
    hub.publish(batch(0))
    assert sink.events == []


def test_a_late_sink_is_told_the_devices_and_where_each_stream_stands() -> None:
    hub, _ = started_hub()
    hub.publish(batch(0, 20))
    late = Recorder()
    hub.attach(late)
    device, epoch = late.events
    assert isinstance(device, DeviceChanged)
    assert device.device.id == "dev-a"
    assert isinstance(epoch, EpochStarted)
    assert (epoch.stream, epoch.epoch, epoch.next_index) == ("imu", 7, 20)


def test_a_sink_that_raises_harms_no_other_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    hub = Hub()
    hub.attach(Broken())
    sink = Recorder()
    hub.attach(sink)
    hub.publish(epoch_started())
    for index in (0, 20, 40):
        hub.publish(batch(index))
    assert len(sink.events) == 4
    assert hub.sink_errors == 3
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_counters_count_samples_and_losses_by_cause() -> None:
    hub, _ = started_hub()
    hub.publish(batch(0))
    hub.publish(Gap("dev-a", "imu", 7, 20, 5, "wire"))
    hub.publish(Gap("dev-a", "imu", 7, 25, 2, "device"))
    hub.publish(batch(27))
    hub.publish(Gap("dev-a", "imu", 7, 47, None, "wire"))
    state = hub.stream("dev-a", "imu")
    assert state is not None
    counters = state.counters
    assert (counters.batches, counters.samples, counters.gaps, counters.uncounted_gaps) == (2, 40, 3, 1)
    assert counters.lost == {"wire": 5, "device": 2}
    assert state.next_index == 47


def test_samples_that_went_missing_without_a_gap_get_one() -> None:
    hub, sink = started_hub()
    hub.publish(batch(0))
    hub.publish(batch(30))
    assert sink.events[1] == Gap("dev-a", "imu", 7, 20, 10, "host")
    assert hub.out_of_order("dev-a", "imu") == 1


@pytest.mark.parametrize("wrong", [batch(10), batch(20, epoch=6), batch(0, stream="unheard_of")])
def test_samples_seen_before_or_of_no_announced_epoch_are_refused(wrong: Batch) -> None:
    hub, sink = started_hub()
    hub.publish(batch(0))
    hub.publish(wrong)
    hub.publish(batch(20))
    assert [event.index for event in sink.events if isinstance(event, Batch)] == [0, 20]
    assert hub.out_of_order("dev-a", wrong.stream) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        Gap("dev-a", "imu", 7, 10, 5, "wire"),
        Gap("dev-a", "imu", 7, 19, None, "wire"),
        Gap("dev-a", "imu", 8, 20, 5, "wire"),
        Gap("dev-b", "imu", 7, 20, 5, "wire"),
    ],
)
def test_a_gap_over_what_was_accounted_for_or_of_no_announced_epoch_is_refused(wrong: Gap) -> None:
    hub, sink = started_hub()
    hub.publish(batch(0))
    hub.publish(wrong)
    assert not any(isinstance(event, Gap) for event in sink.events)
    assert hub.out_of_order(wrong.device, "imu") == 1
    assert [state.counters.lost for state in hub.streams().values()] == [{}]


def test_every_sample_is_accounted_for_however_wrong_the_session_is() -> None:
    hub, _ = started_hub()
    assert hub.stream("dev-a", "imu") is not None
    counters = hub.streams()["dev-a", "imu"].counters
    for event, unaccounted in (
        (batch(0), 0),
        (Gap("dev-a", "imu", 7, 25, 5, "wire"), 0),  # the hub adds a gap of the host before it
        (batch(20), 10),  # refused, though half of it nobody has seen
        (batch(25, 25), 20),
        (batch(60), 0),
    ):
        hub.publish(event)
        assert counters.unaccounted == unaccounted
    assert (counters.produced, counters.samples, counters.lost) == (80, 40, {"host": 35, "wire": 5})


def test_a_new_epoch_starts_the_index_anew_and_keeps_the_counters() -> None:
    hub, sink = started_hub()
    hub.publish(batch(0))
    hub.publish(epoch_started(epoch=8, next_index=3))
    hub.publish(batch(3, epoch=8))
    state = hub.stream("dev-a", "imu")
    assert state is not None
    assert state.counters.samples == 40
    assert not any(isinstance(event, Gap) for event in sink.events)


def test_the_newest_health_and_fault_are_kept_but_no_log() -> None:
    hub, _ = started_hub()
    hub.publish(json_message("health", body={"n": 1}))
    hub.publish(json_message("health", body={"n": 2}))
    hub.publish(json_message("fault", body={"pc": 3}))
    hub.publish(json_message("log", body={"text": "x"}))
    health, fault = hub.latest("dev-a", "health"), hub.latest("dev-a", "fault")
    assert isinstance(health, JsonMessage)
    assert health.body == {"n": 2}
    assert isinstance(fault, JsonMessage)
    assert hub.latest("dev-a", "log") is None


@pytest.mark.parametrize(
    ("status", "boot_id", "kept"), [("ok", 0x1A, False), ("ok", 0x1B, True), ("timeout", 0x1A, True)]
)
def test_a_fault_that_was_acknowledged_is_kept_no_more(status: str, boot_id: int, kept: bool) -> None:
    hub, _ = started_hub()
    hub.publish(json_message("fault", body={"boot_id": "0000001a"}))
    hub.publish(CommandDone("dev-a", 1, "acknowledge_fault", status, {}, "", {"boot_id": boot_id}))
    assert (hub.latest("dev-a", "fault") is not None) == kept


def test_a_device_that_goes_stays_in_the_table_as_offline() -> None:
    hub, _ = started_hub()
    hub.publish(DeviceChanged(device_info(state="offline")))
    assert hub.devices["dev-a"].state == "offline"


async def handler(name: str, args: WireArgs) -> CommandDone:
    return CommandDone("dev-a", 1, name, "ok", dict(args))


async def other_handler(name: str, args: WireArgs) -> CommandDone:
    return CommandDone("dev-a", 2, name, "ok", dict(args))


def test_a_command_goes_to_the_handler_of_its_device() -> None:
    hub, _ = started_hub()
    hub.register_device("dev-a", handler)
    done = asyncio.run(hub.command("dev-a", "get_rate", {"stream": 0}))
    assert (done.name, done.data) == ("get_rate", {"stream": 0})


@pytest.mark.parametrize(("device", "code"), [("nobody", "unknown_device"), ("dev-a", "offline")])
def test_a_command_to_an_unknown_or_absent_device_fails_with_a_code(device: str, code: str) -> None:
    hub, _ = started_hub()
    hub.register_device("dev-a", handler)
    hub.unregister_device("dev-a", handler)
    with pytest.raises(CommandError) as caught:
        asyncio.run(hub.command(device, "ping", {}))
    assert caught.value.code == code


def test_two_links_cannot_serve_the_same_device() -> None:
    hub, _ = started_hub()
    hub.register_device("dev-a", handler)
    hub.register_device("dev-a", handler)
    with pytest.raises(BridgeError, match="dev-a"):
        hub.register_device("dev-a", other_handler)
    hub.unregister_device("dev-a", other_handler)
    assert asyncio.run(hub.command("dev-a", "ping", {})).request == 1


def test_streams_lists_where_each_stands() -> None:
    hub, _ = started_hub()
    hub.publish(DeviceChanged(device_info("dev-a", stream_info(), stream_info("mcu_temp", 2))))
    hub.publish(epoch_started(stream="mcu_temp", next_index=4))
    assert {key: state.next_index for key, state in hub.streams().items()} == {
        ("dev-a", "imu"): 0, ("dev-a", "mcu_temp"): 4
    }  # fmt: skip


def test_a_bridge_that_starts_again_on_a_host_that_begins_at_the_same_time_repeats_no_epoch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    began_ns = 1_795_396_957_123_456_789
    monkeypatch.setattr("time.time_ns", lambda: began_ns)
    monkeypatch.setattr("time.time", lambda: began_ns / 1e9)
    first = Hub()
    before = {first.new_epoch() for _ in range(32)}  # of two boards and what is derived of them: all at once
    after = Hub()
    assert before.isdisjoint({after.new_epoch() for _ in range(32)})
    assert max(before) < 2**53  # exact in JavaScript
