"""/metrics, read with Prometheus' own parser."""

from __future__ import annotations

import dataclasses

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from bridge.server_helpers import batch, device_info, epoch_started, http_get, in_loop, join, json_message
from telemetry_bridge.config import ServerConfig
from telemetry_bridge.events import ClockInfo, DeviceChanged, Gap, LinkStats
from telemetry_bridge.hub import Hub
from telemetry_bridge.server import Server

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def scrape(server: Server) -> Series:
    status, headers, body = await http_get(server, "/metrics")
    assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    found: Series = {}
    for family in parse(body.decode()):
        assert family.documentation.endswith(".")
        assert family.type in {"counter", "gauge"}
        for sample in family.samples:
            assert sample.name.endswith("_total") == (family.type == "counter")
            assert sample.name.startswith(("telemetry_bridge_", "process_"))
            key = sample.name.removeprefix("telemetry_bridge_"), frozenset(sample.labels.items())
            assert key not in found
            found[key] = sample.value
    return found


def value(series: Series, name: str, **labels: str) -> float:
    return series[name, frozenset(labels.items())]


def values(series: Series, name: str) -> dict[str, float]:
    """By the label that is not the device's or the stream's."""
    return {
        next(label for key, label in labels if key not in {"device", "stream", "subscriber"}): number
        for (found, labels), number in series.items()
        if found == name
    }


@in_loop
async def test_before_there_is_a_device_the_process_is_told() -> None:
    async with Server(Hub(), ServerConfig(port=0)) as server:
        series = await scrape(server)
    assert value(series, "process_cpu_seconds_total") > 0
    assert value(series, "process_resident_memory_bytes") > 1e6
    assert value(series, "process_open_fds") >= 3
    assert value(series, "subscribers") == 0
    assert value(series, "event_loop_lag_seconds") >= 0
    assert abs(value(series, "clock_step_seconds")) < 60  # nobody sets the clock
    assert not any("device" in dict(labels) for _, labels in series)


@in_loop
async def test_devices_streams_and_losses_are_told() -> None:
    hub = Hub()
    clock = ClockInfo("locked", 1_700_000_000_000_000_000, -20.0, 45_000)
    stats = LinkStats(bytes=1000, frames=50, damaged_cobs=2, damaged_crc=3, missing_frames=5, refused_type=1)
    link = 'serial:C:\\dev\n"tty"'
    hub.publish(DeviceChanged(dataclasses.replace(device_info(), clock=clock, stats=stats, link=link)))
    hub.publish(epoch_started(next_index=100))
    hub.publish(batch(100))
    hub.publish(Gap("dev-a", "imu", 7, 120, 5, "wire"))
    hub.publish(Gap("dev-a", "imu", 7, 125, 2, "device"))
    hub.publish(batch(127))
    hub.publish(json_message(body={"uptime_s": 12, "cpu": 0.25, "supply_v": None, "mcu_temperature_degc": 41.5}))
    async with Server(hub, ServerConfig(port=0)) as server:
        series = await scrape(server)
    dev, imu = {"device": "dev-a"}, {"device": "dev-a", "stream": "imu"}
    assert value(series, "device_info", **dev, board="nucleo_f411re", firmware="0.1.0", link=link) == 1
    assert values(series, "device_state") == {"online": 1, "offline": 0, "released": 0, "replay": 0}
    assert values(series, "clock_state") == {"unsynced": 0, "converging": 0, "locked": 1}
    assert value(series, "clock_offset_seconds", **dev) == 1.7e9
    assert value(series, "clock_drift_ratio", **dev) == -20e-6
    assert value(series, "clock_uncertainty_seconds", **dev) == 45e-6
    assert value(series, "line_received_bytes_total", **dev) == 1000
    assert values(series, "line_damaged_frames_total") == {"cobs": 2, "crc": 3, "short": 0, "long": 0, "partial": 0}
    assert value(series, "line_missing_frames_total", **dev) == 5
    assert value(series, "board_uptime_seconds", **dev) == 12
    assert value(series, "board_cpu_ratio", **dev) == 0.25
    assert value(series, "board_temperature_celsius", **dev) == 41.5
    assert not any(name == "board_supply_volts" for name, _ in series), "what is not known is not there"
    assert value(series, "stream_produced_samples_total", **imu) == 47
    assert value(series, "stream_delivered_samples_total", **imu) == 40
    assert values(series, "stream_lost_samples_total") == {"device": 2, "wire": 5, "host": 0}
    assert value(series, "unaccounted_samples", **imu) == 0
    assert value(series, "stream_nominal_rate_hertz", **imu) == 1000
    assert values(series, "stream_state")["streaming"] == 1


@in_loop
async def test_a_broken_invariant_is_seen() -> None:
    hub = Hub()
    hub.publish(DeviceChanged(device_info()))
    hub.publish(epoch_started())
    async with Server(hub, ServerConfig(port=0)) as server, await join(server) as client:
        await client.ask(op="subscribe", id=1, device="*", stream="imu")
        for name in ("unaccounted_samples", "subscriber_unaccounted_samples"):
            hub.publish(batch(hub.streams()["dev-a", "imu"].next_index))
            series = await scrape(server)
            assert [number for (found, _), number in series.items() if found == name] == [0]
        hub.streams()["dev-a", "imu"].counters.samples -= 3
        series = await scrape(server)
        assert value(series, "unaccounted_samples", device="dev-a", stream="imu") == 3
        hub.streams()["dev-a", "imu"].counters.produced += 2
        series = await scrape(server)
        assert value(series, "subscriber_unaccounted_samples", subscriber="0") == 2


@in_loop
async def test_subscribers_are_told_by_a_number_that_is_used_again_and_their_sums_stay() -> None:
    hub = Hub()
    hub.publish(DeviceChanged(device_info()))
    hub.publish(epoch_started())
    sizes = set()
    async with Server(hub, ServerConfig(port=0)) as server:
        for number in range(5):
            async with await join(server) as client:
                await client.ask(op="subscribe", id=1, device="*", stream="imu")
                await client.ask(op="subscribe", id=2, device="*", stream="imu", mode="latest", rate_hz=1)
                hub.publish(batch(20 * number))
                await client.next()
                series = await scrape(server)
                sizes.add(len(series))
                assert value(series, "subscribers") == 1
                assert value(series, "subscriptions", device="dev-a", stream="imu") == 2
                assert values(series, "subscriber_samples_total") == {"sent": 21, "dropped": 0, "skipped": 19}
                assert value(series, "subscriber_sent_messages_total", subscriber="0") >= 5
                assert value(series, "subscriber_queue_bytes", subscriber="0") == 0
                await client.ask(op="unsubscribe", id=3, sub=1)
                series = await scrape(server)
                assert values(series, "subscriber_samples_total") == {"sent": 21, "dropped": 0, "skipped": 19}
            while server.clients:
                await client.ws.wait_closed()
        series = await scrape(server)
    assert len(sizes) == 1
    assert values(series, "subscription_samples_total") == {"sent": 105, "dropped": 0, "skipped": 95}
    assert not any(name == "subscriber_info" for name, _ in series)


def test_with_tokens_only_those_who_have_one_may_read(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "5c" * 20
    monkeypatch.setenv("TELEMETRY_BRIDGE_TOKENS", f"viewer:scraper:{secret}")

    @in_loop
    async def read() -> None:
        async with Server(Hub(), ServerConfig(port=0)) as server:
            for header, status in (
                ("", 401),
                ("Authorization: Bearer " + "0" * 40, 401),
                (f"Authorization: Bearer {secret}", 200),
            ):
                got, _, body = await http_get(server, "/metrics", more=header and f"{header}\r\n")
                assert (got, b"process_cpu" in body) == (status, status == 200)

    read()
