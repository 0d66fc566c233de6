"""Subscribing over a real WebSocket: what a client asks for, and everything it then gets."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed

from bridge.server_helpers import (
    IMU_FIELDS,
    Samples,
    batch,
    device_info,
    epoch_started,
    in_loop,
    join,
    json_message,
    stream_info,
)
from telemetry_bridge.config import Limits, ServerConfig
from telemetry_bridge.events import DeviceChanged, Gap
from telemetry_bridge.hub import Hub
from telemetry_bridge.server import Server


def hub_with_imu() -> Hub:
    hub = Hub()
    hub.publish(DeviceChanged(device_info()))
    hub.publish(epoch_started())
    return hub


FIELDS = [{"name": field.name, "unit": field.unit, "full_scale": field.full_scale} for field in IMU_FIELDS]


@in_loop
async def test_a_client_is_welcomed_and_told_the_devices() -> None:
    async with Server(hub_with_imu(), ServerConfig(port=0)) as server, await join(server) as client:
        welcome, device = await client.next(), await client.next()
        assert welcome["op"] == "welcome"
        assert (welcome["api"], welcome["role"]) == (1, "operator")
        assert welcome["server"].keys() == {"name", "version"}
        assert welcome["time_ns"] > 1_600_000_000 * 10**9
        assert (device["op"], device["device"]["id"], device["device"]["state"]) == ("device", "dev-a", "online")
        assert client.ws.subprotocol == "telemetry-bridge.v1"


@in_loop
async def test_every_sample_comes_once_in_order_in_binary() -> None:
    hub = hub_with_imu()
    async with Server(hub, ServerConfig(port=0)) as server, await join(server) as client:
        answer = await client.ask(op="subscribe", id=1, device="dev-a", stream="imu", mode="every", format="binary")
        assert answer == {
            "op": "subscribed", "id": 1,
            "subscriptions": [
                {"sub": 1, "device": "dev-a", "stream": "imu", "epoch": 7, "fields": FIELDS, "next_index": 0}
            ],
        }  # fmt: skip
        sent = [batch(index) for index in range(0, 200, 20)]
        for event in sent:
            hub.publish(event)
        for seq, event in enumerate(sent):
            got = await client.next()
            assert (got.kind, got.version, got.sub, got.seq) == (1, 1, 1, seq)
            assert (got.index, got.time_ns, got.period_ns) == (event.index, event.time_ns, event.period_ns)
            np.testing.assert_array_equal(got.values, event.values)


@in_loop
async def test_json_gives_the_same_values() -> None:
    hub = hub_with_imu()
    async with Server(hub, ServerConfig(port=0)) as server, await join(server) as client:
        await client.ask(op="subscribe", id="a", device="dev-a", stream="imu", format="json")
        values = np.array([[np.nan, 1.5]] * 6, np.float32)
        hub.publish(batch(0, values=values))
        got = await client.next()
        assert got["op"] == "data"
        assert (got["sub"], got["seq"], got["index"], got["period_ns"]) == (1, 0, 0, 1_000_000)
        assert got["values"] == [[None, 1.5]] * 6


@in_loop
async def test_a_gap_is_said_before_the_data_that_follows_it() -> None:
    hub = hub_with_imu()
    async with Server(hub, ServerConfig(port=0)) as server, await join(server) as client:
        await client.ask(op="subscribe", id=1, device="dev-a", stream="imu")
        hub.publish(batch(0))
        hub.publish(Gap("dev-a", "imu", 7, 20, 5, "wire"))
        hub.publish(batch(25))
        assert (await client.next()).index == 0
        assert await client.next() == {
            "op": "gap", "sub": 1, "index": 20, "count": 5, "estimated": False, "cause": "wire"
        }  # fmt: skip
        assert (await client.next()).index == 25


@in_loop
async def test_a_new_epoch_is_announced_before_its_data() -> None:
    hub = hub_with_imu()
    async with Server(hub, ServerConfig(port=0)) as server, await join(server) as client:
        await client.ask(op="subscribe", id=1, device="dev-a", stream="imu")
        hub.publish(batch(0))
        hub.publish(epoch_started(epoch=8, boot_id="18"))
        hub.publish(batch(0, epoch=8))
        assert (await client.next()).index == 0
        assert await client.next() == {
            "op": "epoch", "sub": 1, "epoch": 8, "boot_id": "18", "fields": FIELDS, "next_index": 0
        }  # fmt: skip
        assert (await client.next()).index == 0


@in_loop
async def test_an_epoch_that_the_answer_already_told_is_not_told_again() -> None:
    hub = Hub()
    hub.publish(DeviceChanged(device_info()))
    async with Server(hub, ServerConfig(port=0)) as server, await join(server) as client:
        await client.ask(op="subscribe", id=1, device="dev-a", stream="imu")
        hub.publish(epoch_started())
        hub.publish(batch(0))
        assert isinstance(await client.next(), Samples)


@in_loop
async def test_a_subscription_begins_with_the_ranges_of_now_not_of_the_epochs_beginning() -> None:
    hub = hub_with_imu()
    wider = tuple(replace(field, full_scale=2 * field.full_scale) for field in stream_info().fields)
    hub.publish(DeviceChanged(device_info("dev-a", replace(stream_info(), fields=wider))))
    async with Server(hub, ServerConfig(port=0)) as server, await join(server) as client:
        answer = await client.ask(op="subscribe", id=1, device="dev-a", stream="imu")
    (subscription,) = answer["subscriptions"]
    assert subscription["epoch"] == 7
    assert [field["full_scale"] for field in subscription["fields"]] == [field.full_scale for field in wider]


@in_loop
async def test_with_a_star_a_device_that_appears_later_adds_itself_once() -> None:
    hub = hub_with_imu()
    async with Server(hub, ServerConfig(port=0)) as server, await join(server) as client:
        answer = await client.ask(op="subscribe", id=9, device="*", stream="imu")
        assert [item["device"] for item in answer["subscriptions"]] == ["dev-a"]
        hub.publish(DeviceChanged(device_info("dev-b")))
        hub.publish(epoch_started("dev-b"))
        hub.publish(DeviceChanged(device_info("dev-b", warning="changed")))
        hub.publish(batch(0, device="dev-b"))
        assert (await client.next())["op"] == "device"
        added = await client.next()
        assert (added["op"], added["request"]) == ("subscription_added", 9)
        assert (added["subscription"]["sub"], added["subscription"]["device"]) == (2, "dev-b")
        assert (await client.next())["device"]["warning"] == "changed"
        assert (await client.next()).sub == 2


@in_loop
async def test_a_stream_that_a_known_device_gets_later_joins_too() -> None:
    hub = hub_with_imu()
    async with Server(hub, ServerConfig(port=0)) as server, await join(server) as client:
        answer = await client.ask(op="subscribe", id=1, device="*", stream="mcu_temp")
        assert answer["subscriptions"] == []
        hub.publish(DeviceChanged(device_info("dev-a", stream_info(), stream_info("mcu_temp", 2))))
        assert (await client.until("subscription_added"))["subscription"]["stream"] == "mcu_temp"


@in_loop
async def test_after_unsubscribe_nothing_comes_and_a_star_does_not_bring_it_back() -> None:
    hub = hub_with_imu()
    async with Server(hub, ServerConfig(port=0)) as server, await join(server) as client:
        await client.ask(op="subscribe", id=1, device="*", stream="imu")
        assert await client.ask(op="unsubscribe", id=2, sub=1) == {"op": "ok", "id": 2}
        hub.publish(batch(0))
        hub.publish(DeviceChanged(device_info(warning="still here")))
        assert (await client.next())["op"] == "device"
        assert (await client.ask(op="unsubscribe", id=3, sub=1))["code"] == "unknown_subscription"


@in_loop
async def test_unsubscribe_by_request_ends_a_star_with_all_it_made() -> None:
    hub = hub_with_imu()
    async with Server(hub, ServerConfig(port=0)) as server, await join(server) as client:
        await client.ask(op="subscribe", id=1, device="*", stream="imu")
        await client.ask(op="unsubscribe", id=2, request=1)
        hub.publish(batch(0))
        hub.publish(DeviceChanged(device_info("dev-b")))
        assert (await client.next())["op"] == "device"
        assert (await client.ask(op="subscribe", id=3, device="dev-b", stream="imu"))["op"] == "subscribed"


@in_loop
async def test_health_log_and_fault_are_json_streams() -> None:
    hub = hub_with_imu()
    hub.publish(json_message("fault", body={"pc": 0x0800_0123}))
    async with Server(hub, ServerConfig(port=0)) as server, await join(server) as client:
        health = await client.ask(op="subscribe", id=1, device="*", stream="health")
        assert health["subscriptions"] == [
            {"sub": 1, "device": "dev-a", "stream": "health", "epoch": None, "fields": [], "next_index": None}
        ]
        await client.ask(op="subscribe", id=2, device="dev-a", stream="log")
        await client.ask(op="subscribe", id=3, device="dev-a", stream="fault")
        assert (await client.next())["data"] == {"pc": 0x0800_0123}
        hub.publish(json_message("health", body={"cpu": 0.25}))
        hub.publish(json_message("log", body={"level": "info", "text": "hello"}))
        got = await client.next()
        assert (got["op"], got["sub"], got["seq"], got["device"], got["data"]) == (
            "health",
            1,
            0,
            "dev-a",
            {"cpu": 0.25},
        )
        got = await client.next()
        assert (got["op"], got["sub"], got["data"]["text"]) == ("log", 2, "hello")


@in_loop
async def test_a_device_that_goes_is_announced() -> None:
    hub = hub_with_imu()
    async with Server(hub, ServerConfig(port=0)) as server, await join(server) as client:
        await client.until("device")
        hub.publish(DeviceChanged(device_info(state="offline")))
        assert (await client.next())["device"]["state"] == "offline"


GOOD = {"op": "subscribe", "id": 5, "device": "dev-a", "stream": "imu"}


@pytest.mark.parametrize(
    ("message", "request_id", "code"),
    [
        ("", None, "bad_request"),
        ("no json", None, "bad_request"),
        ("[]", None, "bad_request"),
        ("[" * 30_000, None, "bad_request"),
        ('{"op":"subscribe","x":' + "[" * 30_000, None, "bad_request"),
        ("17", None, "bad_request"),
        ('{"op":"subscribe"}', None, "bad_request"),
        ('{"op":"subscribe","id":true}', None, "bad_request"),
        ('{"op":"subscribe","id":[1]}', None, "bad_request"),
        ('{"op":"subscribe","id":1.5}', 1.5, "bad_request"),
        ('{"op":"subscribe","id":null}', None, "bad_request"),
        (b"\x01\x02", None, "bad_request"),
        ('{"id":5}', 5, "bad_request"),
        ('{"op":7,"id":5}', 5, "bad_request"),
        ('{"op":"launch","id":5}', 5, "unknown_op"),
        ('{"op":"subscribe","id":"x","device":"dev-a"}', "x", "bad_request"),
        (json.dumps(GOOD | {"stream": 3}), 5, "bad_request"),
        (json.dumps(GOOD | {"mode": "sometimes"}), 5, "bad_request"),
        (json.dumps(GOOD | {"format": "xml"}), 5, "bad_request"),
        (json.dumps(GOOD | {"stream": "nope"}), 5, "unknown_stream"),
        (json.dumps(GOOD | {"device": "nope"}), 5, "unknown_device"),
        (json.dumps(GOOD | {"mode": "latest"}), 5, "bad_request"),
        (json.dumps(GOOD | {"mode": "envelope", "rate_hz": 0}), 5, "bad_request"),
        (json.dumps(GOOD | {"mode": "envelope", "rate_hz": -5}), 5, "bad_request"),
        (json.dumps(GOOD | {"mode": "envelope", "rate_hz": 10_001}), 5, "bad_request"),
        (json.dumps(GOOD | {"mode": "envelope", "rate_hz": "60"}), 5, "bad_request"),
        (json.dumps(GOOD | {"mode": "envelope", "rate_hz": 1, "since": {"epoch": 7, "index": 0}}), 5, "bad_request"),
        (json.dumps(GOOD | {"since": {"epoch": 7, "index": 3}}), 5, "bad_request"),  # it is yet to come
        (json.dumps(GOOD | {"since": {"epoch": 7, "index": -1}}), 5, "bad_request"),
        (json.dumps(GOOD | {"since": {"epoch": 7}}), 5, "bad_request"),
        (json.dumps(GOOD | {"stream": "health", "since": {"epoch": 7, "index": 0}}), 5, "bad_request"),
        (json.dumps(GOOD | {"since": {"epoch": 7, "index": 3}, "device": "*"}), 5, "bad_request"),
        ('{"op":"history","id":5}', 5, "bad_request"),
        ('{"op":"history","id":5,"device":"dev-a","stream":"health"}', 5, "bad_request"),
        ('{"op":"history","id":5,"device":"dev-a","stream":"nope"}', 5, "unknown_stream"),
        ('{"op":"mark","id":5,"text":""}', 5, "bad_request"),
        ('{"op":"mark","id":5,"text":"here","device":"nope"}', 5, "unknown_device"),
        ('{"op":"pause","id":5}', 5, "unsupported"),
        ('{"op":"start_recording","id":5}', 5, "unsupported"),
        ('{"op":"unsubscribe","id":5}', 5, "bad_request"),
        ('{"op":"unsubscribe","id":5,"sub":1,"request":1}', 5, "bad_request"),
        ('{"op":"unsubscribe","id":5,"sub":99}', 5, "unknown_subscription"),
        ('{"op":"unsubscribe","id":5,"request":99}', 5, "unknown_subscription"),
        ('{"op":"command","id":5,"device":"dev-a","name":"explode"}', 5, "bad_request"),
        ('{"op":"command","id":5,"device":"nope","name":"ping"}', 5, "unknown_device"),
        ('{"op":"command","id":5,"device":"dev-a","name":"ping","args":[]}', 5, "bad_request"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_answered_and_the_connection_goes_on(message: str | bytes, request_id: Any, code: str) -> None:
    @in_loop
    async def run() -> None:
        async with Server(hub_with_imu(), ServerConfig(port=0)) as server, await join(server) as client:
            await client.until("device")
            await client.ws.send(message)
            error = await client.next()
            assert (error["op"], error["id"], error["code"]) == ("error", request_id, code)
            assert error["message"]
            assert "\n" not in error["message"]
            assert (await client.ask(**GOOD))["op"] == "subscribed"

    run()


@in_loop
async def test_keys_that_are_not_known_are_ignored() -> None:
    async with Server(hub_with_imu(), ServerConfig(port=0)) as server, await join(server) as client:
        assert (await client.ask(**GOOD, colour="red", nested={"a": [1]}))["op"] == "subscribed"


@in_loop
async def test_an_oversized_message_closes_its_connection_with_1009_and_no_other() -> None:
    hub = hub_with_imu()
    async with (
        Server(hub, ServerConfig(port=0), Limits(message_bytes=1000)) as server,
        await join(server) as other,
        await join(server) as client,
    ):
        await other.ask(op="subscribe", id=1, device="dev-a", stream="imu")
        await client.send(op="subscribe", id=1, device="x" * 2000, stream="imu")
        with pytest.raises(ConnectionClosed):
            await client.until("error")
        assert client.ws.close_code == 1009
        hub.publish(batch(0))
        assert (await other.next()).index == 0


@in_loop
async def test_subscriptions_are_limited_and_an_ended_one_makes_room() -> None:
    hub = hub_with_imu()
    async with (
        Server(hub, ServerConfig(port=0), Limits(subscriptions=2)) as server,
        await join(server) as client,
    ):
        await client.ask(op="subscribe", id=1, device="dev-a", stream="imu")
        await client.ask(op="subscribe", id=2, device="dev-a", stream="log")
        assert (await client.ask(op="subscribe", id=3, device="dev-a", stream="imu"))["code"] == "too_many"
        assert (await client.ask(op="subscribe", id=4, device="*", stream="imu"))["code"] == "too_many"
        await client.ask(op="unsubscribe", id=5, sub=1)
        assert (await client.ask(op="subscribe", id=6, device="dev-a", stream="imu"))["op"] == "subscribed"


@in_loop
async def test_one_page_has_room_for_two_dozen_boards() -> None:
    hub, streams = Hub(), ("imu", "orientation", "imu_temp", "mcu_temp")
    for number in range(24):
        hub.publish(DeviceChanged(device_info(f"dev-{number}", *(stream_info(name) for name in streams))))
    async with Server(hub, ServerConfig(port=0)) as server, await join(server) as client:
        for request, stream in enumerate((*streams, "health", "log", "fault")):
            answer = await client.ask(op="subscribe", id=request, device="*", stream=stream)
            assert len(answer["subscriptions"]) == 24


@in_loop
async def test_a_star_that_has_no_room_for_all_its_devices_makes_no_subscription() -> None:
    hub = hub_with_imu()
    hub.publish(DeviceChanged(device_info("dev-b")))
    async with (
        Server(hub, ServerConfig(port=0), Limits(subscriptions=2)) as server,
        await join(server) as client,
    ):
        assert (await client.ask(op="subscribe", id=1, device="*", stream="imu"))["code"] == "too_many"
        hub.publish(DeviceChanged(device_info("dev-c")))
        assert (await client.next())["op"] == "device"
        assert (await client.ask(op="unsubscribe", id=2, request=1))["code"] == "unknown_subscription"


@in_loop
async def test_a_later_device_for_which_there_is_no_room_is_an_error_without_id() -> None:
    hub = hub_with_imu()
    async with (
        Server(hub, ServerConfig(port=0), Limits(subscriptions=2)) as server,
        await join(server) as client,
    ):
        await client.ask(op="subscribe", id=1, device="*", stream="imu")
        hub.publish(DeviceChanged(device_info("dev-b")))
        error = await client.until("error")
        assert (error["id"], error["code"]) == (None, "too_many")


@in_loop
async def test_closing_the_server_tells_clients_1001_and_leaves_nothing_behind() -> None:
    hub = hub_with_imu()
    server = Server(hub, ServerConfig(port=0))
    await server.start()
    clients = [await join(server) for _ in range(3)]
    await asyncio.gather(*(client.ask(op="subscribe", id=1, device="*", stream="imu") for client in clients))
    await server.close()
    await server.close()
    for client in clients:
        await client.ws.wait_closed()
        assert client.ws.close_code == 1001
    hub.publish(batch(0))
    assert hub.sink_errors == 0
    assert server.clients == 0


@in_loop
async def test_a_client_that_vanishes_leaves_no_subscription() -> None:
    hub = hub_with_imu()
    async with Server(hub, ServerConfig(port=0)) as server:
        client = await join(server)
        await client.ask(op="subscribe", id=1, device="*", stream="imu")
        client.ws.transport.abort()
        await client.ws.wait_closed()
        async with await join(server) as other:
            await other.ask(op="subscribe", id=1, device="*", stream="imu")
            hub.publish(batch(0))
            assert (await other.next()).index == 0
        assert hub.sink_errors == 0
