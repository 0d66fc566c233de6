"""Virtual board, bridge and client as separate processes over a real pseudo-terminal and a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from system.processes import Bridge, bridge, virtual_board

LIMIT_S = 20
HEADER = struct.Struct("<BBHIQQIHH")
Json: TypeAlias = dict[str, Any]


class Client:
    """A subscriber that remembers what it was told and checks that nothing is missing unsaid."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.devices: dict[str, Json] = {}
        self.told: list[Json] = []
        self.next_index: dict[tuple[int, int], int] = {}
        self.epoch: dict[int, int] = {}
        self.values: dict[int, np.ndarray] = {}
        self.received = 0
        self.missing = 0

    async def until(self, happened: Callable[[], bool]) -> None:
        """Take messages until that has happened."""
        async with asyncio.timeout(LIMIT_S):
            while not happened():
                await self._take()

    async def ask(self, **operation: object) -> Json:
        """Send an operation and wait for its one answer."""
        number = len(self.told) + 1000
        await self._socket.send(json.dumps({**operation, "id": number}))
        async with asyncio.timeout(LIMIT_S):
            while True:
                message = await self._take()
                if message.get("id") == number:
                    return message

    async def subscribe(self, stream: str = "imu") -> int:
        """Subscribe to a stream of every device; returns the first subscription, which may come after the answer."""
        first = len(self.epoch)
        answer = await self.ask(op="subscribe", device="*", stream=stream, format="binary")
        for subscription in answer["subscriptions"]:
            self.epoch[subscription["sub"]] = subscription["epoch"]
        await self.until(lambda: len(self.epoch) > first)
        return list(self.epoch)[first]

    async def _take(self) -> Json:
        message = await self._socket.recv()
        if isinstance(message, bytes):
            kind, _, sub, _, index, _, _, samples, fields = HEADER.unpack_from(message)
            assert kind == 1
            self._account(sub, index, samples)
            self.received += samples
            self.values[sub] = np.frombuffer(message, "<f4", offset=HEADER.size).reshape(fields, samples)
            return {}
        told: Json = json.loads(message)
        self.told.append(told)
        match told["op"]:
            case "device":
                self.devices[told["device"]["id"]] = told["device"]
            case "subscription_added":
                self.epoch[told["subscription"]["sub"]] = told["subscription"]["epoch"]
            case "epoch":
                self.epoch[told["sub"]] = told["epoch"]
            case "gap" if told["count"] is not None:  # else: the end of an epoch that nobody saw
                self._account(told["sub"], told["index"], told["count"])
                self.missing += told["count"]
            case _:
                pass
        return told

    def _account(self, sub: int, index: int, count: int) -> None:
        key = sub, self.epoch[sub]
        assert index == self.next_index.get(key, index), "samples are missing and nobody said so"
        self.next_index[key] = index + count


@contextlib.asynccontextmanager
async def client(served: Bridge) -> AsyncIterator[Client]:
    async with connect(
        f"ws://localhost:{served.http}/ws", subprotocols=[Subprotocol("telemetry-bridge.v1")], open_timeout=LIMIT_S
    ) as socket:
        yield Client(socket)


def test_the_firmware_streams_to_a_subscriber_without_a_gap(tmp_path: Path) -> None:
    async def watch(served: Bridge) -> None:
        async with client(served) as subscriber:
            sub = await subscriber.subscribe()
            await subscriber.until(lambda: subscriber.received >= 2000)
            assert subscriber.missing == 0
            # flat: gravity on z, and the sensor's noise (PS-MPU-6000A-00: 400 ug/sqrt(Hz), 0.05 deg/s RMS)
            middle = subscriber.values[sub].mean(axis=1)
            assert np.abs(middle[:3] - [0, 0, 9.80665]).max() < 0.1
            assert np.abs(middle[3:]).max() < 0.01
            (device,) = subscriber.devices.values()
            assert device["board"] == "nucleo_f411re"
            assert device["state"] == "online"

    with virtual_board(tmp_path, motion="still") as board, bridge("run", "--port", board.port) as served:
        asyncio.run(watch(served))
        status, body = served.healthz()
        assert status == 200, body
        assert json.loads(board.tell("status"))["unmodelled"] == {}


def test_set_rate_by_a_subscriber_takes_effect(tmp_path: Path) -> None:
    async def watch(served: Bridge) -> None:
        async with client(served) as subscriber:
            await subscriber.subscribe()
            await subscriber.until(lambda: subscriber.received > 0)
            (device,) = subscriber.devices
            answer = await subscriber.ask(
                op="command", device=device, name="set_rate", args={"stream": "imu", "rate_hz": 100}
            )
            assert answer["ok"] is True, answer
            await subscriber.until(lambda: subscriber.devices[device]["streams"][0]["rate_hz"] == 100)
            refused = await subscriber.ask(
                op="command", device=device, name="set_rate", args={"stream": "imu", "rate_hz": 8000}
            )
            assert refused["ok"] is False
            assert "1000" in json.dumps(refused)

    with virtual_board(tmp_path) as board, bridge("run", "--port", board.port) as served:
        asyncio.run(watch(served))


def test_the_line_gets_the_rate_that_is_asked_for_and_keeps_the_board_whatever_happens(tmp_path: Path) -> None:
    """The terminal has a speed, and a board of another rate is garbage through it."""
    with virtual_board(tmp_path) as board, bridge("run", "--port", board.port, "--baud", "2000000") as served:

        async def watch() -> None:
            async with client(served) as subscriber:
                await subscriber.subscribe()
                await subscriber.until(lambda: subscriber.received > 0)
                (device,) = subscriber.devices

                async def running_at(baud: int) -> None:
                    await subscriber.until(lambda: subscriber.devices[device]["baud"] == baud)
                    before = subscriber.received
                    await subscriber.until(lambda: subscriber.received > before + 500)

                await running_at(2_000_000)
                answer = await subscriber.ask(op="command", device=device, name="set_baud", args={"baud": 1_000_000})
                assert answer["ok"] is True, answer
                await running_at(1_000_000)
                # what comes at the new rate before a busy host has followed is lost, and said to be the wire's
                assert {told["cause"] for told in subscriber.told if told["op"] == "gap"} <= {"wire"}
                refused = await subscriber.ask(op="command", device=device, name="set_baud", args={"baud": 115_200})
                assert refused["ok"] is False
                assert "bit/s" in json.dumps(refused)
                board.tell("reset pin")  # at its default rate now, and found there
                await running_at(2_000_000)

        asyncio.run(watch())


def test_unplugging_resetting_and_noise_are_survived_and_said(tmp_path: Path) -> None:
    with virtual_board(tmp_path) as board, bridge("run", "--port", board.port) as served:

        async def watch() -> None:
            async with client(served) as subscriber:
                sub = await subscriber.subscribe()
                await subscriber.until(lambda: subscriber.received >= 500)
                (device,) = subscriber.devices

                board.tell("noise 40")
                await subscriber.until(lambda: subscriber.missing > 0)
                assert {told["cause"] for told in subscriber.told if told["op"] == "gap"} == {"wire"}

                board.tell("unplug")
                await subscriber.until(lambda: subscriber.devices[device]["state"] == "offline")
                board.tell("plug")
                await subscriber.until(lambda: subscriber.devices[device]["state"] == "online")
                received = subscriber.received
                await subscriber.until(lambda: subscriber.received > received + 200)

                epoch = subscriber.epoch[sub]
                board.tell("reset pin")
                await subscriber.until(lambda: subscriber.epoch[sub] > epoch)
                received = subscriber.received
                await subscriber.until(lambda: subscriber.received > received + 200)
                assert list(subscriber.devices) == [device]

        asyncio.run(watch())


def test_a_lost_sensor_is_seen_by_the_subscriber(tmp_path: Path) -> None:
    with virtual_board(tmp_path) as board, bridge("run", "--port", board.port) as served:

        async def watch() -> None:
            async with client(served) as subscriber:
                await subscriber.subscribe("mcu_temp")
                (device,) = subscriber.devices

                def state() -> str:
                    streams = subscriber.devices[device]["streams"]
                    return next(str(stream["state"]) for stream in streams if stream["name"] == "imu")

                board.tell("imu unplug")
                await subscriber.until(lambda: state() == "missing")
                received = subscriber.received
                await subscriber.until(lambda: subscriber.received > received + 5)
                board.tell("imu plug")
                await subscriber.until(lambda: state() == "streaming")

        asyncio.run(watch())


def test_the_bridge_lets_go_of_the_port_when_it_ends(tmp_path: Path) -> None:
    with virtual_board(tmp_path) as board:
        for _ in range(2):
            with bridge("run", "--port", board.port) as served:
                assert served.healthz()[0] == 200
