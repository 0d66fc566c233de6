"""The composition root: lines that open, serve, lose their link and come back."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from bridge.port_helpers import LIMIT_S, Watcher
from bridge.server_helpers import http_get, in_loop, join
from telemetry_bridge.app import SOURCES, Bridge
from telemetry_bridge.config import Config, LineConfig, ServerConfig
from telemetry_bridge.errors import CommandError, LinkError
from telemetry_bridge.events import Batch, CommandDone, DeviceChanged, EpochStarted, Event, JsonMessage, WireArgs
from telemetry_bridge.hub import Hub
from telemetry_bridge.line import Line
from telemetry_bridge.link import create
from telemetry_bridge.session import session
from telemetry_bridge.sim import SimulatedDevice

HOUR_NS = 3600 * 10**9


def a_bridge(*uris: str, serve: bool = False) -> Bridge:
    lines = tuple(LineConfig(uri=uri) for uri in uris)
    return Bridge(Config(lines=lines, server=ServerConfig(port=0)), serve=serve)


class TcpBoard:
    """A simulated board behind a TCP port that can be pulled and put back."""

    def __init__(self) -> None:
        self.device = SimulatedDevice.from_parameters({"seed": "1"})
        self.mute = False
        self.noise = b""
        """Sent in place of what the board says while it is mute."""
        self._server: asyncio.Server | None = None
        self._served: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}
        self.port = 0

    async def plug(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def unplug(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._served:
            writer.transport.abort()
        await asyncio.gather(*self._served.values())
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._served[writer] = task
        listening = asyncio.create_task(self._listen(reader))
        try:
            with contextlib.suppress(ConnectionError):
                while not writer.is_closing():
                    data = self.device.advance(time.monotonic_ns())
                    writer.write(self.noise if self.mute else data)
                    await writer.drain()
                    await asyncio.sleep(0.002)  # the board's own pace
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
            del self._served[writer]
            writer.close()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(4096):
            self.device.receive(data, time.monotonic_ns())


@contextlib.asynccontextmanager
async def bridged(*, serve: bool = False) -> AsyncIterator[tuple[TcpBoard, Bridge, Watcher]]:
    board, watcher = TcpBoard(), Watcher()
    await board.plug()
    try:
        async with a_bridge(f"tcp:127.0.0.1:{board.port}", serve=serve) as bridge:
            bridge.hub.attach(watcher)
            yield board, bridge, watcher
    finally:
        await board.unplug()


@in_loop
async def test_a_bridge_is_entered_when_its_board_has_answered() -> None:
    async with bridged() as (_, bridge, watcher):
        (device,) = bridge.hub.devices.values()
        assert device.state == "online"
        await watcher.until(Batch, stream="imu")


@in_loop
async def test_a_command_goes_to_the_board_and_its_answer_back() -> None:
    async with bridged() as (_, bridge, _):
        (device,) = bridge.hub.devices
        done = await bridge.hub.command(device, "set_rate", {"stream": 0, "rate_mhz": 500_000})
        assert (done.ok, done.data["rate_mhz"]) == (True, 500_000)


@in_loop
async def test_a_command_that_does_not_fit_the_table_is_a_bad_request() -> None:
    async with bridged() as (_, bridge, _):
        (device,) = bridge.hub.devices
        with pytest.raises(CommandError) as refused:
            await bridge.hub.command(device, "set_rate", {"stream": 0, "rate_mhz": -1})
        assert refused.value.code == "bad_request"


@in_loop
async def test_a_link_that_hangs_up_is_opened_again_and_the_device_is_the_same() -> None:
    async with bridged() as (board, bridge, watcher):
        (device,) = bridge.hub.devices
        began = await watcher.until(Batch, stream="imu")
        await board.unplug()
        lost = await watcher.until(DeviceChanged, began, state="offline")
        with pytest.raises(CommandError, match="not connected") as refused:
            await bridge.hub.command(device, "get_rate", {"stream": 0})
        assert refused.value.code == "offline"
        await board.plug()
        back = await watcher.until(DeviceChanged, lost, state="online")
        await watcher.until(Batch, back, stream="imu")
        assert list(bridge.hub.devices) == [device]
        assert (await bridge.hub.command(device, "get_rate", {"stream": 0})).ok


@in_loop
async def test_a_command_under_way_when_the_link_is_lost_ends_as_offline() -> None:
    async with bridged() as (board, bridge, _):
        (device,) = bridge.hub.devices
        board.mute = True
        command = asyncio.create_task(bridge.hub.command(device, "get_rate", {"stream": 0}))
        await asyncio.sleep(0)
        await board.unplug()
        with pytest.raises(CommandError) as ended:
            await asyncio.wait_for(command, LIMIT_S)
        assert ended.value.code == "offline"


@in_loop
async def test_a_line_that_is_only_noise_goes_on_counting_where_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "SILENCE_NS", 200_000_000)
    async with bridged(serve=True) as (board, bridge, watcher):
        board.noise, board.mute = b"\x05noise\0", True
        await watcher.until(DeviceChanged, state="offline")
        (device,) = bridge.hub.devices

        async def damaged() -> tuple[float, int]:
            assert bridge._server is not None
            _, _, metrics = await http_get(bridge._server, "/metrics")
            (line,) = [line for line in metrics.decode().splitlines() if 'kind="cobs"' in line]
            assert f'device="{device}"' in line
            _, _, health = await http_get(bridge._server, "/healthz")
            return float(line.rpartition(" ")[2]), json.loads(health)["devices"][0]["line"]["damaged_cobs"]

        before, told = await damaged(), len(watcher.events)
        async with asyncio.timeout(LIMIT_S):
            while True:
                now = await damaged()
                if now[0] > before[0] and now[1] > before[1]:
                    break
                await asyncio.sleep(0.01)
        assert len(watcher.events) == told


@in_loop
async def test_a_peer_that_hangs_up_before_it_says_hello_ends_the_start_with_one_line() -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(LinkError, match=f"{port}.*before a board said who it is"):
            async with a_bridge(f"tcp:127.0.0.1:{port}"):
                pass


@in_loop
async def test_a_second_board_with_the_same_id_gets_one_of_its_own() -> None:
    async with a_bridge("sim:?seed=1", "sim:?seed=1&rate=500") as bridge:
        assert len(bridge.hub.devices) == 2


@in_loop
async def test_a_device_whose_commands_another_carries_out_is_said_once_and_heard(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def other(name: str, _args: WireArgs) -> CommandDone:
        raise CommandError("refused", name)

    async with a_bridge("sim:?seed=1") as bridge:
        (device,) = bridge.hub.devices
    bridge, watcher = a_bridge("sim:?seed=1"), Watcher()
    bridge.hub.register_device(device, other)
    bridge.hub.attach(watcher)
    async with bridge:
        place = -1
        for _ in range(3):
            place = await watcher.until(JsonMessage, place + 1, stream="health")
        await watcher.until(Batch, place, device=device)
        assert caplog.text.count("already served by another link") == 1
        bridge.hub.unregister_device(device, other)
        await watcher.until(DeviceChanged, len(watcher.events), state="online")
        assert (await bridge.hub.command(device, "get_rate", {"stream": 0})).ok


@in_loop
async def test_a_reboot_starts_new_epochs() -> None:
    async with bridged() as (board, _, watcher):
        began = await watcher.until(Batch, stream="imu")
        board.device.reboot()
        await watcher.until(EpochStarted, began, stream="imu")


@in_loop
async def test_a_reboot_and_a_mark_behind_a_step_of_the_systems_clock_stay_on_the_axis() -> None:
    async with bridged(serve=True) as (board, bridge, watcher):
        first = watcher.events[await watcher.until(Batch, stream="imu")]
        right_ns = time.time_ns
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("time.time_ns", lambda: right_ns() + 100 * HOUR_NS)
            board.device.reboot()
            rebooted = await watcher.until(EpochStarted, len(watcher.events), stream="imu")
            second = watcher.events[await watcher.until(Batch, rebooted, stream="imu")]
            assert bridge._server is not None
            async with await join(bridge._server) as client:
                mark = await client.ask(op="mark", id=1, text="set")
        assert isinstance(first, Batch)
        assert isinstance(second, Batch)
        assert abs(second.time_ns - first.time_ns) < HOUR_NS
        assert abs(mark["time_ns"] - first.time_ns) < HOUR_NS


@in_loop
async def test_a_port_that_cannot_be_opened_ends_the_start_with_one_line() -> None:
    board = TcpBoard()
    await board.plug()
    await board.unplug()
    with pytest.raises(LinkError, match=str(board.port)) as failed:
        async with a_bridge(f"tcp:127.0.0.1:{board.port}", serve=True):
            pass
    assert "\n" not in str(failed.value)


@in_loop
async def test_a_line_that_fails_beside_one_that_works_is_tried_until_its_board_comes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    late, watcher = TcpBoard(), Watcher()
    await late.plug()
    await late.unplug()
    async with bridged() as (_, _, _), a_bridge("sim:?seed=2", f"tcp:127.0.0.1:{late.port}") as bridge:
        assert len(bridge.hub.devices) == 1
        assert "tried again and again" in caplog.text
        bridge.hub.attach(watcher)
        await late.plug()
        try:
            await watcher.until(DeviceChanged, link=f"tcp:127.0.0.1:{late.port}", state="online")
        finally:
            await late.unplug()


@in_loop
async def test_when_every_line_has_failed_the_start_ends_and_names_each() -> None:
    ports = []
    for _ in range(2):
        board = TcpBoard()
        await board.plug()
        await board.unplug()
        ports.append(board.port)
    with pytest.raises(LinkError) as failed:
        async with a_bridge(*(f"tcp:127.0.0.1:{port}" for port in ports)):
            pass
    assert all(str(port) in str(failed.value) for port in ports)
    assert "\n" not in str(failed.value)


@in_loop
async def test_a_batch_is_with_the_subscribers_before_anything_is_derived_from_it() -> None:
    order: list[str] = []

    class Slow:
        """A stage that has something to compute behind each event."""

        def process(self, event: Event) -> Iterator[Event]:
            yield event
            order.append("derived")

    class Watch:
        def handle(self, event: Event) -> None:
            order.append(type(event).__name__)

    hub = Hub()
    hub.attach(Watch())
    line = Line(create("sim:", sources=SOURCES), hub, {}, stages=(Slow(),))
    line._publish([JsonMessage("d", "health", None, {})])
    assert order == ["JsonMessage", "derived"]
