"""Clients that do not read: they lose, they are told what, and nobody else notices."""

from __future__ import annotations

import json

from bridge.server_helpers import (
    RawClient,
    Samples,
    batch,
    device_info,
    epoch_started,
    http_get,
    in_loop,
    join,
    json_message,
)
from telemetry_bridge.config import Limits, ServerConfig
from telemetry_bridge.events import DeviceChanged
from telemetry_bridge.hub import Hub
from telemetry_bridge.server import Server
from telemetry_bridge.server.connection import Connection

TIGHT = Limits(queue_bytes=16_384, queue_messages=30, write_buffer_bytes=8192, socket_buffer_bytes=4096)
BATCHES = 1500


def hub_with_imu() -> Hub:
    hub = Hub()
    hub.publish(DeviceChanged(device_info()))
    hub.publish(epoch_started())
    return hub


def waiting_bytes(connection: Connection) -> int:
    """What the server holds for one client."""
    assert connection.client is not None
    return connection.client.queue.bytes + connection.transport.get_write_buffer_size()


async def stalled_client(server: Server, **request: object) -> RawClient:
    """A subscriber that stops reading after it has subscribed."""
    raw = await RawClient().connect(server)
    await raw.upgrade(server)
    await raw.send_text(**({"op": "subscribe", "id": 1, "device": "*", "stream": "imu"} | request))
    while (await raw.message()).get("op") != "subscribed":
        pass
    return raw


@in_loop
async def test_a_client_that_does_not_read_costs_a_fast_one_nothing_and_is_told_each_sample_it_lost() -> None:
    hub = hub_with_imu()
    async with (
        Server(hub, ServerConfig(port=0), TIGHT) as server,
        await join(server) as fast,
        await stalled_client(server) as slow,
    ):
        await fast.ask(op="subscribe", id=1, device="*", stream="imu")
        most_waiting = 0
        for number in range(BATCHES):
            hub.publish(batch(number * 20))
            got = await fast.next()
            assert (got.index, got.seq) == (number * 20, number)
            most_waiting = max(most_waiting, *(waiting_bytes(item) for item in server.connections()))
        assert 0 < most_waiting <= TIGHT.queue_bytes + TIGHT.write_buffer_bytes + 1024

        expected, last_seq, delivered, lost, gaps = 0, -1, 0, 0, 0
        while expected < BATCHES * 20:
            message = await slow.message()
            if isinstance(message, Samples):
                assert message.index == expected
                assert message.seq > last_seq
                last_seq = message.seq
                expected += message.samples
                delivered += message.samples
            else:
                assert (message["op"], message["cause"], message["index"]) == ("gap", "subscriber", expected)
                expected += message["count"]
                lost += message["count"]
                gaps += 1
        assert delivered + lost == BATCHES * 20
        assert lost > 0
        assert delivered > 0
        assert gaps * 10 * 20 < lost, "what is dropped in one go is one gap"
        state = json.loads((await http_get(server, "/healthz"))[2])
        dropped = [item["subscriptions"][0]["dropped_samples"] for item in state["clients"]]
        assert sorted(dropped) == [0, lost]


@in_loop
async def test_a_client_that_takes_nothing_is_closed_with_1013_and_cut() -> None:
    hub = hub_with_imu()
    limits = Limits(queue_bytes=16_384, write_buffer_bytes=8192, socket_buffer_bytes=4096, stall_s=0.05, abort_s=0.05)
    async with (
        Server(hub, ServerConfig(port=0), limits) as server,
        await join(server) as fast,
        await stalled_client(server) as slow,
    ):
        await fast.ask(op="subscribe", id=1, device="*", stream="imu")
        number = 0
        while server.clients == 2:
            hub.publish(batch(number * 20))
            assert (await fast.next()).index == number * 20
            number += 1
        assert json.loads((await http_get(server, "/healthz"))[2])["closed_too_slow"] == 1
        await slow.read_to_end()


@in_loop
async def test_a_hopeless_client_that_reads_at_last_finds_1013() -> None:
    hub = hub_with_imu()
    limits = Limits(queue_bytes=16_384, write_buffer_bytes=8192, socket_buffer_bytes=4096, stall_s=0.05, abort_s=15)
    async with (
        Server(hub, ServerConfig(port=0), limits) as server,
        await join(server) as watcher,
        await stalled_client(server) as slow,
    ):
        await watcher.ask(op="subscribe", id=1, device="*", stream="imu")
        number = 0
        while not any(item.client and item.client.too_slow for item in server.connections()):
            hub.publish(batch(number * 20))
            await watcher.next()
            number += 1
        message = await slow.message()
        while not isinstance(message, int):
            message = await slow.message()
        assert message == 1013


@in_loop
async def test_a_client_that_asks_and_never_reads_the_answers_is_closed() -> None:
    limits = Limits(queue_messages=20, write_buffer_bytes=2048, socket_buffer_bytes=4096, abort_s=0.01)
    async with (
        Server(hub_with_imu(), ServerConfig(port=0), limits) as server,
        await stalled_client(server) as raw,
    ):
        try:
            while server.clients:
                await raw.send_text(op="nonsense", id="x" * 80)
        except (BrokenPipeError, ConnectionResetError):
            pass
        await raw.read_to_end()
        while True:  # it is counted a moment after the end; the deadline of `in_loop` bounds the wait
            state = json.loads((await http_get(server, "/healthz"))[2])
            if state["closed_too_slow"] == 1:
                break


@in_loop
async def test_health_replaces_health_for_a_client_that_does_not_read() -> None:
    hub = hub_with_imu()
    async with (
        Server(hub, ServerConfig(port=0), TIGHT) as server,
        await join(server) as fast,
        await stalled_client(server, stream="health") as slow,
    ):
        await fast.ask(op="subscribe", id=1, device="*", stream="health")
        filler = "x" * 500
        for number in range(300):
            hub.publish(json_message("health", body={"number": number, "filler": filler}))
            assert (await fast.next())["data"]["number"] == number
        numbers: list[int] = []
        while not numbers or numbers[-1] != 299:
            numbers.append((await slow.message())["data"]["number"])
        assert numbers == sorted(set(numbers))
        assert len(numbers) < 100


@in_loop
async def test_a_server_closes_though_a_client_does_not_read() -> None:
    hub = hub_with_imu()
    limits = Limits(queue_bytes=16_384, write_buffer_bytes=8192, socket_buffer_bytes=4096, abort_s=0.05)
    server = Server(hub, ServerConfig(port=0), limits)
    await server.start()
    async with await stalled_client(server):
        for number in range(300):
            hub.publish(batch(number * 20))
        await server.close()
        assert server.clients == 0
