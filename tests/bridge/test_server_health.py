"""/healthz: 200 only while the bridge does all that it was asked to, and else why it does not."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time

import pytest

from bridge.server_helpers import device_info, http_get, in_loop, stream_info
from telemetry_bridge.config import ServerConfig
from telemetry_bridge.events import ClockInfo, DeviceChanged, DeviceState, LinkStats
from telemetry_bridge.hub import Hub
from telemetry_bridge.server import Server
from telemetry_bridge.server.health import UNSYNCED_S, Watch
from telemetry_bridge.server.process import LoopLag

LOCKED = ClockInfo("locked", 0, 0.0, 1000)


class Line:
    """A line of the bridge."""

    def __init__(self, uri: str, device: str | None = None) -> None:
        self.uri = uri
        self.device = device
        self.stats: LinkStats | None = None

    async def release(self) -> None:
        raise NotImplementedError

    def resume(self) -> None:
        raise NotImplementedError


class Bench:
    """A hub with lines, and what is said of them; time is set by hand."""

    def __init__(self, *lines: Line) -> None:
        self.hub, self.now = Hub(), 1000.0
        for line in lines:
            self.hub.ports.add(line)
        self.watch = Watch(self.hub, lambda: self.now)
        self.hub.attach(self.watch)

    def device(
        self, name: str = "dev-a", state: DeviceState = "online", clock: ClockInfo = LOCKED, stream: str = "streaming"
    ) -> None:
        info = device_info(name, dataclasses.replace(stream_info(), state=stream), state=state)
        self.hub.publish(DeviceChanged(dataclasses.replace(info, clock=clock)))

    @property
    def reasons(self) -> list[tuple[str, str | None]]:
        return [(problem.reason, problem.device or problem.link) for problem in self.watch.problems()]


def test_every_line_has_to_be_online() -> None:
    one, two = Line("serial:/dev/ttyACM0"), Line("serial:/dev/ttyACM1")
    bench = Bench(one, two)
    assert bench.reasons == [("no_answer", one.uri), ("no_answer", two.uri)]
    one.device = "dev-a"
    bench.device("dev-a")
    assert bench.reasons == [("no_answer", two.uri)]
    two.device = "dev-b"
    bench.device("dev-b")
    assert bench.reasons == []
    bench.device("dev-a", state="offline")
    bench.device("dev-b", state="released")
    assert bench.reasons == [("offline", "dev-a"), ("released", "dev-b")]


def test_where_boards_are_looked_for_one_is_enough() -> None:
    bench = Bench()
    for found in Line("auto"), Line("serial:/dev/ttyACM0", "dev-a"), Line("serial:/dev/ttyACM1", "dev-b"):
        bench.hub.ports.add(found, expected=False)
    assert bench.reasons == [("no_device", None)]
    bench.device("dev-a")
    bench.device("dev-b")
    assert bench.reasons == []
    bench.device("dev-a", state="offline")
    assert bench.reasons == []
    bench.device("dev-b", state="offline")
    assert bench.reasons == [("no_device", None)]


def test_a_clock_may_be_unsynced_for_a_while() -> None:
    bench = Bench()
    bench.device(clock=ClockInfo())
    bench.now += UNSYNCED_S
    bench.device(clock=ClockInfo())
    assert bench.reasons == []
    bench.now += 1
    assert bench.reasons == [("clock_unsynced", "dev-a")]
    bench.device(state="offline", clock=ClockInfo())
    assert bench.reasons == [("no_device", None)]
    bench.device(clock=ClockInfo())
    assert bench.reasons == []
    bench.device()
    bench.now += 2 * UNSYNCED_S
    assert bench.reasons == []


@pytest.mark.parametrize(
    ("state", "bad"),
    [("failing", True), ("missing", True), ("stopped", False), ("absent", False), ("streaming", False)],
)
def test_a_sensor_has_to_deliver(state: str, bad: bool) -> None:
    bench = Bench()
    bench.device(stream=state)
    assert bench.reasons == ([("stream_failing", "dev-a")] if bad else [])


def test_an_event_loop_that_stalls_is_told_for_a_while() -> None:
    bench = Bench()
    bench.device()
    bench.watch.lag.note(0.9)
    assert bench.reasons == []
    bench.watch.lag.note(1.5)
    assert bench.reasons == [("event_loop_stalled", None)]
    for _ in range(10):
        bench.watch.lag.note(0.0)
    assert bench.reasons == []
    assert bench.watch.lag.worst_s() == 1.5


@in_loop
async def test_the_lag_of_the_event_loop_is_measured() -> None:
    lag = LoopLag(interval_s=0.01)
    lag.start()
    time.sleep(0.1)  # noqa: ASYNC251 - this is what must not happen
    await asyncio.sleep(0.001)  # due after the check, which is late
    lag.stop()
    assert lag.worst_s() >= 0.09


@in_loop
async def test_a_line_where_nobody_has_answered_says_what_came() -> None:
    hub, line = Hub(), Line("tcp:localhost:4000")
    hub.ports.add(line)
    async with Server(hub, ServerConfig(port=0)) as server:
        for count in 1000, 2000:
            line.stats = LinkStats(bytes=count, damaged_crc=3)
            _, _, text = await http_get(server, "/healthz")
            assert f": {count:,} bytes came, 0 whole frames" in json.loads(text)["problems"][0]["message"]
            _, _, text = await http_get(server, "/metrics")
            assert f'line_received_bytes_total{{link="{line.uri}"}} {float(count)}' in text.decode()


@in_loop
async def test_it_is_said_over_http() -> None:
    hub = Hub()
    hub.ports.add(Line("tcp:localhost:4000", "dev-a"))
    async with Server(hub, ServerConfig(port=0)) as server:
        for state, status, said, reasons in (
            (None, 503, "no_device", ["no_answer"]),
            ("online", 200, "ok", []),
            ("offline", 503, "no_device", ["offline"]),
        ):
            if state is not None:
                hub.publish(DeviceChanged(device_info(state=state)))  # type: ignore[arg-type]
            got, _, text = await http_get(server, "/healthz")
            body = json.loads(text)
            assert (got, body["status"]) == (status, said)
            assert [problem["reason"] for problem in body["problems"]] == reasons
        assert body["problems"] == [
            {
                "reason": "offline",
                "message": "nucleo_f411re at tcp:localhost:4000 is offline",
                "device": "dev-a",
                "link": "tcp:localhost:4000",
            }
        ]
        hub.publish(DeviceChanged(device_info("dev-a", dataclasses.replace(stream_info(), state="failing"))))
        got, _, text = await http_get(server, "/healthz")
        assert (got, json.loads(text)["status"]) == (503, "impaired")
