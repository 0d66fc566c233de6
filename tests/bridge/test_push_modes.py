"""The modes of the push API over real sockets, read by a client that knows nothing but the document."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from bridge.independent_client import Gap, IndependentClient
from bridge.server_helpers import TIME_NS, Client, batch, device_info, epoch_started, in_loop, join, stream_info
from telemetry_bridge import events
from telemetry_bridge.config import Limits, ServerConfig
from telemetry_bridge.events import DeviceChanged
from telemetry_bridge.hub import Hub
from telemetry_bridge.server import Server, channels, envelope
from telemetry_bridge.server import server as server_module
from telemetry_bridge.server.channels import SILENCE_S, Shape, make_channel

FORMATS = pytest.mark.parametrize("form", ["binary", "json"])


def hub_with_imu() -> Hub:
    hub = Hub()
    hub.publish(DeviceChanged(device_info()))
    hub.publish(epoch_started())
    return hub


def lose(hub: Hub, index: int, count: int) -> None:
    hub.publish(events.Gap("dev-a", "imu", 7, index, count, "wire"))


@FORMATS
def test_every_sample_and_every_gap_comes_in_order(form: str) -> None:
    @in_loop
    async def run() -> None:
        hub = hub_with_imu()
        async with Server(hub, ServerConfig(port=0)) as server, await IndependentClient.join(server.port) as client:
            seen = await client.subscribe("dev-a", "imu", format=form)
            hub.publish(batch(0))
            lose(hub, 20, 5)
            hub.publish(batch(25))
            while seen.expected != 45:
                await client.next()
            assert [(item.index, item.rows) for item in seen.data] == [(0, 20), (25, 20)]
            assert seen.gaps == [Gap(1, 7, 20, 5, "wire")]
            np.testing.assert_array_equal(seen.data[0].columns[1], np.arange(20) + 0.125)

    run()


@FORMATS
def test_latest_gives_the_newest_sample_at_most_so_often(form: str) -> None:
    @in_loop
    async def run() -> None:
        hub = hub_with_imu()
        async with Server(hub, ServerConfig(port=0)) as server, await IndependentClient.join(server.port) as client:
            seen = await client.subscribe("dev-a", "imu", mode="latest", rate_hz=10, format=form)
            for number in range(50):  # one second of batches, each 20 ms
                hub.publish(batch(number * 20))
            lose(hub, 1000, 30)
            while not seen.gaps:
                await client.next()
            # the last sample of the first batch that ends in each tenth of a second
            assert [item.index for item in seen.data] == [19, *range(119, 1000, 100)]
            assert seen.data[3].time_ns == TIME_NS + 319_000_000
            np.testing.assert_array_equal(seen.data[3].columns[:, 0], 319 + np.arange(6) / 8)
            assert seen.gaps == [Gap(1, 7, 1000, 30, "wire")]

    run()


@in_loop
async def test_the_last_sample_of_all_is_not_kept_back_when_the_stream_pauses() -> None:
    hub = hub_with_imu()
    async with Server(hub, ServerConfig(port=0)) as server, await IndependentClient.join(server.port) as client:
        latest = await client.subscribe("dev-a", "imu", mode="latest", rate_hz=1)
        envelope = await client.subscribe("dev-a", "imu", mode="envelope", rate_hz=1)
        hub.publish(batch(0))
        hub.publish(batch(20))
        hub.publish(DeviceChanged(device_info("dev-a", replace(stream_info(), enabled=False, state="stopped"))))
        while len(latest.data) < 2 or not envelope.data:
            await client.next()
        assert [item.index for item in latest.data] == [19, 39]
        assert envelope.data[0].columns[:2, 0].tolist() == [0.0, 39.0]


@pytest.mark.parametrize("mode", ["latest", "envelope"])
def test_what_is_held_goes_out_when_no_sample_can_be_added_to_it_any_more(mode: str) -> None:
    channel = make_channel(Shape(mode, 0.5, "binary", calibrated=True))
    for index in (0, 20):
        channel.take(batch(index))
    held = channel.held
    assert held
    assert not channel.pass_time(2.0 + SILENCE_S - 0.25).parts, "a sample of the same interval may be on its way"
    (part,) = channel.pass_time(0.25).parts
    assert (part.samples, channel.held) == (held, 0)
    assert not channel.pass_time(10.0).parts


@pytest.mark.parametrize("mode", ["latest", "envelope"])
def test_a_board_that_falls_silent_keeps_nothing_back(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "_SILENCE_LOOKED_AT_S", 0.01)
    monkeypatch.setattr(channels, "SILENCE_S", 0.01)

    @in_loop
    async def run() -> None:
        hub = hub_with_imu()
        async with Server(hub, ServerConfig(port=0)) as server, await IndependentClient.join(server.port) as client:
            seen = await client.subscribe("dev-a", "imu", mode=mode, rate_hz=10)
            hub.publish(batch(0))
            hub.publish(batch(20))
            while not seen.data or seen.data[-1].index != (39 if mode == "latest" else 0):
                await client.next()

    run()


@FORMATS
def test_an_envelope_has_minimum_maximum_and_mean_of_each_aligned_interval(form: str) -> None:
    @in_loop
    async def run() -> None:
        hub = hub_with_imu()
        async with Server(hub, ServerConfig(port=0)) as server, await IndependentClient.join(server.port) as client:
            seen = await client.subscribe("dev-a", "imu", mode="envelope", rate_hz=50, format=form)
            for number in range(7):
                hub.publish(batch(number * 13, 13))  # 91 ms, in batches that fit no interval
            lose(hub, 91, 50)
            hub.publish(batch(141, 60))
            while not seen.gaps or len(seen.data[-1].times) < 1 or seen.data[-1].index < 141:
                await client.next()
            rows = {time_ns: item.columns[:, k].tolist() for item in seen.data for k, time_ns in enumerate(item.times)}
            ms = 1_000_000
            assert rows[TIME_NS][:6] == [0.0, 19.0, 9.5, 0.125, 19.125, 9.625]
            assert rows[TIME_NS + 80 * ms][:3] == [80.0, 90.0, 85.0]  # cut by the gap
            assert np.isnan(rows[TIME_NS + 100 * ms]).all()
            assert np.isnan(rows[TIME_NS + 120 * ms]).all()
            assert rows[TIME_NS + 140 * ms][:3] == [141.0, 159.0, 150.0]
            assert {item.period_ns for item in seen.data} == {20 * ms}

    run()


@in_loop
async def test_uncalibrated_is_nominal_in_every_mode() -> None:
    hub = hub_with_imu()
    plain = batch(0)
    calibrated = msgspec.structs.replace(plain, nominal=plain.values, values=plain.values + np.float32(1000))
    async with Server(hub, ServerConfig(port=0)) as server, await IndependentClient.join(server.port) as client:
        modes = [
            await client.subscribe("dev-a", "imu", mode=mode, rate_hz=1, calibrated=wanted)
            for mode in ("every", "latest", "envelope")
            for wanted in (True, False)
        ]
        hub.publish(calibrated)
        hub.publish(DeviceChanged(device_info(state="offline")))
        while not all(seen.data for seen in modes):
            await client.next()
        firsts = [float(seen.data[0].columns[0, 0]) for seen in modes]
        assert firsts == [1000.0, 0.0, 1019.0, 19.0, 1000.0, 0.0]


@in_loop
async def test_the_device_says_its_calibration() -> None:
    hub = hub_with_imu()
    hub.publish(DeviceChanged(device_info("dev-a", replace(stream_info(), calibration="acc-7"))))
    async with Server(hub, ServerConfig(port=0)) as server, await IndependentClient.join(server.port) as client:
        while "dev-a" not in client.devices:
            await client.next()
        assert client.devices["dev-a"]["streams"][0]["calibration"] == {"id": "acc-7"}


async def leave_after(server: Server, hub: Hub, batches: int) -> dict[str, int]:
    """A client that reads some batches and goes; where it would go on."""
    async with await IndependentClient.join(server.port) as client:
        seen = await client.subscribe("dev-a", "imu")
        for number in range(batches):
            hub.publish(batch(number * 20))
        while seen.expected != batches * 20:
            await client.next()
        return {"epoch": seen.epoch, "index": batches * 20}


@FORMATS
def test_who_comes_back_gets_what_was_missed_and_then_what_happens(form: str) -> None:
    @in_loop
    async def run() -> None:
        hub = hub_with_imu()
        async with Server(hub, ServerConfig(port=0)) as server:
            since = await leave_after(server, hub, 3)
            hub.publish(batch(60))
            lose(hub, 80, 5)
            hub.publish(batch(85))
            async with await IndependentClient.join(server.port) as client:
                seen = await client.subscribe("dev-a", "imu", since=since, format=form)
                hub.publish(batch(105))
                while seen.expected != 125:
                    await client.next()
                assert seen.gaps == [Gap(1, 7, 80, 5, "wire")]
                assert sum(item.rows for item in seen.data) == 60

    run()


@in_loop
async def test_a_second_of_a_full_ring_goes_to_a_slow_reader_without_a_gap_by_its_queue() -> None:
    hub = hub_with_imu()
    tight = Limits(queue_bytes=16_384, queue_messages=30, write_buffer_bytes=8192, socket_buffer_bytes=4096)
    async with Server(hub, ServerConfig(port=0), tight) as server:
        for number in range(2000):
            hub.publish(batch(number * 20))
        async with await IndependentClient.join(server.port) as client:
            seen = await client.subscribe("dev-a", "imu", since={"epoch": 7, "index": 0})
            while seen.expected != 40_000:
                await client.next()
            assert not seen.gaps


@in_loop
async def test_what_has_left_the_ring_is_a_gap_by_the_subscriber() -> None:
    hub = hub_with_imu()
    async with Server(hub, ServerConfig(port=0), Limits(recent_s=0.1)) as server:
        since = await leave_after(server, hub, 1)
        for number in range(1, 51):
            hub.publish(batch(number * 20))
        async with await IndependentClient.join(server.port) as client:
            seen = await client.subscribe("dev-a", "imu", since=since)
            while seen.expected != 1020:
                await client.next()
            (gap,) = seen.gaps
            assert (gap.index, gap.count, gap.cause) == (20, 880, "subscriber")


@in_loop
async def test_a_ring_that_was_emptied_for_others_is_a_gap_by_the_subscriber() -> None:
    hub = hub_with_imu()
    async with (
        Server(hub, ServerConfig(port=0), Limits(recent_total_bytes=1)) as server,
        await IndependentClient.join(server.port) as client,
    ):
        for index in range(0, 100, 20):
            hub.publish(batch(index))
        seen = await client.subscribe("dev-a", "imu", since={"epoch": 7, "index": 30})
        hub.publish(batch(100))
        while not seen.data:
            await client.next()
        assert [(gap.index, gap.count, gap.cause) for gap in seen.gaps] == [(30, 70, "subscriber")]
        assert seen.data[0].index == 100


@in_loop
async def test_an_epoch_that_nobody_knows_is_a_gap_without_a_count() -> None:
    hub = hub_with_imu()
    async with Server(hub, ServerConfig(port=0)) as server, await IndependentClient.join(server.port) as client:
        hub.publish(batch(0))
        seen = await client.subscribe("dev-a", "imu", since={"epoch": 3, "index": 77})
        hub.publish(batch(20))
        while seen.expected != 40:
            await client.next()
        assert seen.gaps == [Gap(1, 3, 77, None, "subscriber")]
        assert [(item.epoch, item.index) for item in seen.data] == [(7, 0), (7, 20)]


@in_loop
async def test_an_epoch_that_ended_meanwhile_goes_on_to_its_end_and_into_the_next() -> None:
    hub = hub_with_imu()
    async with Server(hub, ServerConfig(port=0)) as server:
        since = await leave_after(server, hub, 1)
        hub.publish(batch(20))
        hub.publish(epoch_started(epoch=8, boot_id="18"))
        hub.publish(batch(0, epoch=8))
        async with await IndependentClient.join(server.port) as client:
            seen = await client.subscribe("dev-a", "imu", since=since)
            while (seen.epoch, seen.expected) != (8, 20):
                await client.next()
            assert [(item.epoch, item.index) for item in seen.data] == [(7, 20), (8, 0)]
            assert not seen.gaps


@in_loop
async def test_history_says_where_the_last_seconds_begin() -> None:
    hub = hub_with_imu()
    async with Server(hub, ServerConfig(port=0)) as server, await IndependentClient.join(server.port) as client:
        for number in range(100):
            hub.publish(batch(number * 20))
        answer = await client.ask("history", device="dev-a", stream="imu", seconds=0.5)
        assert answer == {
            "op": "history", "id": 1, "device": "dev-a", "stream": "imu", "epoch": 7, "index": 1500,
            "time_ns": TIME_NS + 1_500_000_000, "next_index": 2000,
        }  # fmt: skip
        seen = await client.subscribe("dev-a", "imu", since={"epoch": answer["epoch"], "index": answer["index"]})
        while seen.expected != 2000:
            await client.next()
        assert seen.data[0].index == 1500


@in_loop
async def test_a_stream_that_has_not_begun_is_resumed_from_nothing() -> None:
    hub = Hub()
    hub.publish(DeviceChanged(device_info("dev-a", stream_info(epoch=0))))
    async with Server(hub, ServerConfig(port=0)) as server, await IndependentClient.join(server.port) as client:
        past = await client.ask("history", device="dev-a", stream="imu")
        assert (past["epoch"], past["index"], past["time_ns"], past["next_index"]) == (0, 0, None, 0)
        seen = await client.subscribe("dev-a", "imu", since={"epoch": past["epoch"], "index": past["index"]})
        hub.publish(epoch_started())
        hub.publish(batch(0))
        while not seen.data:
            await client.next()
        assert not seen.gaps


@in_loop
async def test_a_mark_reaches_everyone_who_wants_marks() -> None:
    hub = hub_with_imu()
    hub.publish(DeviceChanged(device_info("dev-b")))
    async with (
        Server(hub, ServerConfig(port=0)) as server,
        await IndependentClient.join(server.port) as one,
        await IndependentClient.join(server.port) as other,
        await join(server) as third,
    ):
        a, b = await one.subscribe("dev-a", "mark"), await other.subscribe("dev-b", "mark")
        await nothing_but_its_answer(third)
        answer = await one.ask("mark", text="valve opened")
        assert answer["op"] == "ok"
        assert answer["time_ns"] > 1_600_000_000 * 10**9
        await one.ask("mark", text="only a", device="dev-a")
        await one.ask("mark", text="only b", device="dev-b")
        while len(b.notes) < 2:
            await other.next()
        for seen, said in ((a, ("dev-a", "only a")), (b, ("dev-b", "only b"))):
            assert [(note["device"], note["data"]["text"]) for note in seen.notes] == [("*", "valve opened"), said]
        assert a.notes[0]["time_ns"] == answer["time_ns"]
        await nothing_but_its_answer(third)


@in_loop
async def test_a_mark_of_all_devices_comes_once_for_each_request() -> None:
    hub = hub_with_imu()
    hub.publish(DeviceChanged(device_info("dev-b")))
    async with Server(hub, ServerConfig(port=0)) as server, await join(server) as client:
        (first, second) = (await client.ask(op="subscribe", id=1, device="*", stream="mark"))["subscriptions"]
        (own,) = (await client.ask(op="subscribe", id=2, device="dev-b", stream="mark"))["subscriptions"]
        got = []
        for device in ("*", "dev-b"):
            await client.send(op="mark", id="m", text="valve opened", device=device)
            while (message := await client.next())["op"] != "ok":
                got.append((message["sub"], message["seq"], message["device"]))
        assert got == [
            (first["sub"], 0, "*"), (own["sub"], 0, "*"),
            (second["sub"], 0, "dev-b"), (own["sub"], 1, "dev-b"),
        ]  # fmt: skip
        await client.ask(op="unsubscribe", id=3, sub=first["sub"])
        await client.send(op="mark", id="m", text="valve closed")
        assert (await client.next())["sub"] == second["sub"]


async def nothing_but_its_answer(client: Client) -> None:
    """What a client gets that has subscribed to nothing."""
    await client.send(op="unsubscribe", id=1, sub=1)
    while (message := await client.next())["op"] != "error":
        assert message["op"] in {"welcome", "device"}


@in_loop
async def test_all_who_want_the_same_share_one_envelope(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = hub_with_imu()
    counted: list[int] = []
    add = envelope.Envelope.add

    def counting(self: envelope.Envelope, index: int, *rest: object) -> list[envelope.Rows]:
        counted.append(index)
        return add(self, index, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(envelope.Envelope, "add", counting)
    async with (
        Server(hub, ServerConfig(port=0)) as server,
        await IndependentClient.join(server.port) as one,
        await IndependentClient.join(server.port) as other,
    ):
        first = await one.subscribe("dev-a", "imu", mode="envelope", rate_hz=10)
        hub.publish(batch(0, 30))
        late = await other.subscribe("dev-a", "imu", mode="envelope", rate_hz=10)
        assert late.start == (7, 0), "the open interval is its first"
        hub.publish(batch(30, 100))
        while not first.data:
            await one.next()
        while not late.data:
            await other.next()
        np.testing.assert_array_equal(first.data[0].columns, late.data[0].columns)
        assert counted == [0, 30]
