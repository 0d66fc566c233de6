"""The composition root: lines that open, serve, lose their link and come back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
import tty
from collections.abc import AsyncIterator

import pytest

from bridge.server_helpers import in_loop
from telemetry_bridge import app, line
from telemetry_bridge.app import Bridge, find_board
from telemetry_bridge.config import Config, LineConfig, ServerConfig
from telemetry_bridge.errors import CommandError, LinkError
from telemetry_bridge.events import Batch, DeviceChanged, EpochStarted, Event
from telemetry_bridge.link import PortInfo
from telemetry_bridge.sim import SimulatedDevice

LIMIT_S = 15


def a_bridge(*uris: str, serve: bool = False) -> Bridge:
    lines = tuple(LineConfig(uri=uri) for uri in uris)
    return Bridge(Config(lines=lines, server=ServerConfig(port=0)), serve=serve)


class Watcher:
    """A sink that one can wait on."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._changed = asyncio.Event()

    def handle(self, event: Event) -> None:
        self.events.append(event)
        self._changed.set()

    async def until(self, kind: type[Event], since: int = 0, **what: object) -> int:
        """Wait for an event of that kind; returns its place."""
        async with asyncio.timeout(LIMIT_S):
            while True:
                for place, event in enumerate(self.events[since:], since):
                    subject = event.device if isinstance(event, DeviceChanged) else event
                    if isinstance(event, kind) and all(getattr(subject, name) == value for name, value in what.items()):
                        return place
                self._changed.clear()
                await self._changed.wait()


class TcpBoard:
    """A simulated board behind a TCP port that can be pulled and put back."""

    def __init__(self) -> None:
        self.device = SimulatedDevice.from_parameters({"seed": "1"})
        self.mute = False
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
                    if not self.mute:
                        writer.write(data)
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
async def bridged() -> AsyncIterator[tuple[TcpBoard, Bridge, Watcher]]:
    board, watcher = TcpBoard(), Watcher()
    await board.plug()
    try:
        async with a_bridge(f"tcp:127.0.0.1:{board.port}") as bridge:
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
async def test_a_reboot_starts_new_epochs() -> None:
    async with bridged() as (board, _, watcher):
        began = await watcher.until(Batch, stream="imu")
        board.device.reboot()
        await watcher.until(EpochStarted, began, stream="imu")


@in_loop
async def test_a_port_that_cannot_be_opened_ends_the_start_with_one_line() -> None:
    board = TcpBoard()
    await board.plug()
    await board.unplug()
    with pytest.raises(LinkError, match=str(board.port)) as failed:
        async with a_bridge(f"tcp:127.0.0.1:{board.port}", serve=True):
            pass
    assert "\n" not in str(failed.value)


@contextlib.asynccontextmanager
async def serial_port(device: SimulatedDevice | None) -> AsyncIterator[str]:
    """A pseudo-terminal with a board at its far end, or nobody."""
    master, slave = os.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    loop = asyncio.get_running_loop()

    async def play(board: SimulatedDevice) -> None:
        loop.add_reader(master, lambda: board.receive(os.read(master, 4096), time.monotonic_ns()))
        while True:
            with contextlib.suppress(BlockingIOError):
                os.write(master, board.advance(time.monotonic_ns()))
            await asyncio.sleep(0.005)  # the board's own pace

    playing = asyncio.create_task(play(device)) if device is not None else None
    try:
        yield os.ttyname(slave)
    finally:
        if playing is not None:
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)
            loop.remove_reader(master)
        os.close(master)
        os.close(slave)


@in_loop
async def test_auto_takes_the_port_that_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "HELLO_TIMEOUT_S", 0.3)
    board = SimulatedDevice.from_parameters({"seed": "1"})
    async with serial_port(None) as silent, serial_port(board) as alive:
        ports = [PortInfo(silent, "an adapter", True), PortInfo(alive, "a board", True)]
        monkeypatch.setattr(app, "list_ports", lambda: ports)
        assert await find_board() == f"serial:{alive}"


@in_loop
async def test_auto_without_a_board_names_every_port_and_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "HELLO_TIMEOUT_S", 0.1)
    async with serial_port(None) as first, serial_port(None) as second:
        monkeypatch.setattr(app, "list_ports", lambda: [PortInfo(port, "", True) for port in (first, second)])
        with pytest.raises(LinkError) as failed:
            await find_board()
    assert first in str(failed.value)
    assert second in str(failed.value)


@in_loop
async def test_auto_without_ports_says_to_plug_one_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "list_ports", list)
    with pytest.raises(LinkError, match="plugged in"):
        await find_board()
