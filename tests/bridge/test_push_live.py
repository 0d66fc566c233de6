"""A simulated board, the whole bridge, and a client that knows only the document: every mode at once, in real time."""

from __future__ import annotations

from urllib.parse import urlsplit

from bridge.independent_client import IndependentClient, Subscription
from bridge.server_helpers import in_loop
from telemetry_bridge.app import Bridge
from telemetry_bridge.config import Config, LineConfig, ServerConfig

MODES = (
    {"mode": "every"},
    {"mode": "every", "format": "json", "calibrated": False},
    {"mode": "latest", "rate_hz": 30},
    {"mode": "latest", "rate_hz": 5000, "format": "json"},
    {"mode": "envelope", "rate_hz": 60},
    {"mode": "envelope", "rate_hz": 60, "format": "json"},
    {"mode": "envelope", "rate_hz": 4000},
)


async def until_each_has(client: IndependentClient, subscriptions: list[Subscription], messages: int) -> None:
    while any(len(seen.data) < messages for seen in subscriptions):
        await client.next()


@in_loop
async def test_a_live_board_in_every_mode_and_a_client_that_leaves_and_comes_back() -> None:
    config = Config(lines=(LineConfig(uri="sim:?rate=1000&seed=3"),), server=ServerConfig(port=0))
    async with Bridge(config) as bridge:
        port = urlsplit(bridge.url).port
        assert port is not None
        async with await IndependentClient.join(port) as client:
            while not client.devices:
                await client.next()
            (device,) = client.devices
            subscriptions = [await client.subscribe(device, "imu", **how) for how in MODES]
            await until_each_has(client, subscriptions, 15)
            assert (await client.ask("mark", text="here"))["op"] == "ok"
            first = subscriptions[0]
        async with await IndependentClient.join(port) as client:
            since = {"epoch": first.epoch, "index": first.expected}
            again = await client.subscribe(device, "imu", since=since)
            await until_each_has(client, [again], 15)
        assert not again.gaps
        rows = [row for seen in (first, again) for data in seen.data for row in data.times]
        assert rows == sorted(rows), "one stream, over both connections"
        assert sum(data.rows for data in (*first.data, *again.data)) == (again.expected or 0) - first.start[1]
