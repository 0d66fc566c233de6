"""Two boards and one bridge: the real firmware twice, each a device of its own, both on one time axis."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from elves import elf_path
from system.desk import STEP_S, WALL_NS, batches
from system.processes import Board, Bridge, bridge, virtual_board
from telemetry_bridge import app, finder
from telemetry_bridge.config import Config, ServerConfig
from telemetry_bridge.events import Batch, DeviceChanged, Event
from telemetry_bridge.hub import Hub
from telemetry_bridge.link import PortInfo
from telemetry_bridge.session import Session
from virtual_board import VirtualBoard
from virtual_board.motion import STANDARD_GRAVITY, Feeling

LIMIT_S = 60
SAMPLE_NS = 1_000_000
FILTERS_NS = 100_000
"""The delays of the MPU-6050's two filters differ by this much (RM-MPU-6000A-00, register 26); a stream has one."""


# ------------------------------------------------- as processes, in real time


@contextlib.contextmanager
def two_boards(folder: Path) -> Iterator[tuple[Board, Board]]:
    for name in ("a", "b"):
        (folder / name).mkdir()
    with (
        virtual_board(folder / "a", motion="still", unit=1) as first,
        virtual_board(folder / "b", motion="still", unit=2) as second,
    ):
        yield first, second


class Subscriber:
    """What a client is told of devices and samples."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.devices: dict[str, dict[str, Any]] = {}
        self.streams: dict[int, str] = {}
        self.samples: dict[str, int] = {}
        socket.send(json.dumps({"op": "subscribe", "id": 1, "device": "*", "stream": "imu", "format": "json"}))

    def until(self, happened: Callable[[], object]) -> None:
        """Take messages until that has happened."""
        end = time.monotonic() + LIMIT_S
        while not happened():
            self._take(json.loads(self._socket.recv(end - time.monotonic())))

    def by_link(self, port: str) -> dict[str, Any]:
        """The device at a port; empty until there is one."""
        return next((device for device in self.devices.values() if f"serial:{port}" in device["link"]), {})

    def _take(self, told: dict[str, Any]) -> None:
        match told["op"]:
            case "device":
                self.devices[told["device"]["id"]] = told["device"]
            case "subscribed":
                self.streams |= {one["sub"]: one["device"] for one in told["subscriptions"]}
            case "subscription_added":
                self.streams[told["subscription"]["sub"]] = told["subscription"]["device"]
            case "data":
                device = self.streams[told["sub"]]
                self.samples[device] = self.samples.get(device, 0) + len(told["values"][0])
            case _:
                pass


@contextlib.contextmanager
def subscriber(served: Bridge) -> Iterator[Subscriber]:
    with connect(f"ws://localhost:{served.http}/ws", subprotocols=[Subprotocol("telemetry-bridge.v1")]) as socket:
        yield Subscriber(socket)


def test_two_boards_stream_and_each_goes_and_comes_by_itself(tmp_path: Path) -> None:
    """One is read by the event loop, the other, which goes and comes, by a thread."""
    with (
        two_boards(tmp_path) as (first, second),
        bridge("run", "--port", f"serial:{first.port}?reader=thread", "--port", second.port) as served,
        subscriber(served) as client,
    ):
        client.until(lambda: len(client.samples) == 2 and min(client.samples.values()) > 2000)
        here, there = client.by_link(first.port)["id"], client.by_link(second.port)["id"]
        first.tell("unplug")
        client.until(lambda: client.devices[here]["state"] == "offline")
        stood, went_on = client.samples[here], client.samples[there]
        client.until(lambda: client.samples[there] > went_on + 500)
        assert client.samples[here] == stood
        assert client.devices[there]["state"] == "online"
        first.tell("plug")
        client.until(lambda: client.devices[here]["state"] == "online" and client.samples[here] > stood + 500)
        assert set(client.devices) == {here, there}


class Seen:
    """A sink that one can wait on."""

    def __init__(self) -> None:
        self.devices: dict[str, DeviceChanged] = {}
        self.samples: dict[str, int] = {}
        self._changed = asyncio.Event()

    def handle(self, event: Event) -> None:
        match event:
            case DeviceChanged(device=device):
                self.devices[device.id] = event
            case Batch(stream="imu", device=device):
                self.samples[device] = self.samples.get(device, 0) + event.samples
            case _:
                return
        self._changed.set()

    async def until(self, happened: Callable[[], object]) -> None:
        async with asyncio.timeout(LIMIT_S):
            while not happened():
                self._changed.clear()
                await self._changed.wait()

    def at(self, path: str, state: str = "online") -> str | None:
        """Id of the device there, if it is in that state."""
        shown = [event.device for event in self.devices.values()]
        return next((one.id for one in shown if (one.link, one.state) == (f"serial:{path}", state)), None)


async def plugged(board: Board) -> str:
    """Plug it in; the path of the terminal that it has now."""
    return (await asyncio.to_thread(board.tell, "plug")).split()[-1]


def test_auto_finds_both_and_follows_each_from_port_to_port(tmp_path: Path, monkeypatch: Any) -> None:
    """The terminals have a new name each time they are plugged in, as ttyACM0 may become ttyACM1."""
    monkeypatch.setattr(finder, "POLL_S", 0.1)

    async def watch(first: Board, second: Board) -> None:
        def terminal(board: Board) -> str:
            return str(Path(board.port).readlink())

        def ports() -> list[PortInfo]:
            listed = []
            for board in (first, second):
                with contextlib.suppress(OSError):  # unplugged
                    plugged = Path(board.port).lstat().st_ino
                    listed.append(PortInfo(terminal(board), "a board", True, plugged=plugged))
            return listed

        first_at, second_at = terminal(first), terminal(second)
        seen = Seen()
        one = app.Bridge(Config(auto=True, server=ServerConfig(port=0)), serve=False, ports=ports)
        one.hub.attach(seen)
        async with one:
            await seen.until(lambda: len(seen.samples) == 2)
            here, there = seen.at(first_at), seen.at(second_at)
            assert here is not None
            assert there is not None

            # both are out, and come back in the other order
            for board in (first, second):
                await asyncio.to_thread(board.tell, "unplug")
            await seen.until(lambda: {event.device.state for event in seen.devices.values()} == {"offline"})
            second_at = await plugged(second)
            first_at = await plugged(first)
            await seen.until(lambda: seen.at(first_at) == here and seen.at(second_at) == there)
            before = dict(seen.samples)
            await seen.until(lambda: all(seen.samples[device] > before[device] + 200 for device in (here, there)))

            # one is flashed or reset meanwhile: the other does not notice
            boot = seen.devices[here].device.boot_id
            await asyncio.to_thread(first.tell, "reset pin")
            await seen.until(lambda: seen.devices[here].device.boot_id != boot)

            # one is released and plugged in elsewhere; it waits there until it is resumed
            (holder,) = one.hub.ports.find(here)
            await holder.release()
            await asyncio.to_thread(first.tell, "unplug")
            released_at = await plugged(first)
            await seen.until(lambda: seen.at(released_at, "released") == here)
            holder.resume()
            await seen.until(lambda: seen.at(released_at) == here)
            assert set(seen.devices) == {here, there}

    with two_boards(tmp_path) as (first, second):
        asyncio.run(watch(first, second))


# ------------------------------------------------------------ in virtual time


@dataclass(frozen=True)
class Jolt:
    """At rest, and from one moment on pushed along x."""

    from_s: float
    push: float = 10.0

    def at(self, t: float) -> Feeling:
        """See :class:`virtual_board.motion.Motion`."""
        return Feeling((self.push if t >= self.from_s else 0.0, 0.0, STANDARD_GRAVITY), (0.0, 0.0, 0.0), 25.0)


class Specimen:
    """A board that was switched on at some time of the host's, with a crystal of its own."""

    def __init__(self, unit: int, on_ns: int, fast_ppm: float, jolt_ns: int) -> None:
        self._on_ns = on_ns
        self._speed = 1 + fast_ppm * 1e-6
        jolt = Jolt((jolt_ns - on_ns) / 1e9 * self._speed)
        self.board = VirtualBoard(elf_path("nucleo_f411re"), unit=unit, seed=unit, noise=False, motion=jolt)
        self.session = Session(f"sim:{unit}", wall_ns=WALL_NS, monotonic_ns=0)

    def pass_until(self, now_ns: int) -> list[Event]:
        """Let the host's time pass."""
        if now_ns <= self._on_ns:
            return []
        self.board.uart.send(self.session.take_output())
        self.board.run((now_ns - self._on_ns) / 1e9 * self._speed - self.board.now_us / 1e6)
        return [*self.session.receive(self.board.uart.take(), now_ns), *self.session.poll(now_ns)]


def test_a_jolt_that_both_boards_feel_is_at_one_time_for_both() -> None:
    """Switched on 1.2 s apart, crystals 120 ppm apart: 1 ms within nine seconds, if nobody took care of it."""
    jolt_ns = 9_000_300_000
    specimens = [Specimen(1, 0, +80.0, jolt_ns), Specimen(2, 1_234_567_000, -40.0, jolt_ns)]
    hub, events = Hub(), list[Event]()
    for now_ns in range(0, jolt_ns + 200_000_000, round(STEP_S * 1e9)):
        for specimen in specimens:
            for event in specimen.pass_until(now_ns):
                events.append(event)
                hub.publish(event)
    assert len(hub.devices) == 2
    felt: dict[str, tuple[int, int]] = {}
    for batch in batches(events):
        pushed = np.flatnonzero(batch.values[0] > 5.0)
        if pushed.size and batch.device not in felt:
            time_ns = batch.time_ns - WALL_NS + int(pushed[0]) * batch.period_ns
            felt[batch.device] = time_ns, batch.uncertainty_ns
    assert len(felt) == 2
    for time_ns, uncertainty_ns in felt.values():  # the first sample after it
        assert -uncertainty_ns - FILTERS_NS <= time_ns - jolt_ns <= SAMPLE_NS + uncertainty_ns + FILTERS_NS
    (first_ns, first_off_ns), (second_ns, second_off_ns) = felt.values()
    assert abs(first_ns - second_ns) <= SAMPLE_NS + first_off_ns + second_off_ns < 4_000_000
