"""Commands over the WebSocket: names and Hz there, numbers and mHz on the wire."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from bridge.server_helpers import device_info, in_loop, join, stream_info
from telemetry_bridge.errors import CommandError, LinkLost
from telemetry_bridge.events import CommandDone, DeviceChanged
from telemetry_bridge.hub import Hub
from telemetry_bridge.server import Limits, Server


class Board:
    """A handler that keeps what it is asked and answers what it is told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, int]]] = []
        self.status = "ok"
        self.data: dict[str, int] = {}
        self.message = ""
        self.error: Exception | None = None
        self.release: asyncio.Event | None = None

    async def __call__(self, name: str, args: Mapping[str, int]) -> CommandDone:
        self.asked.append((name, dict(args)))
        if self.release is not None:
            await self.release.wait()
        if self.error is not None:
            raise self.error
        return CommandDone("dev-a", 1, name, self.status, self.data, self.message)


def hub_and_board() -> tuple[Hub, Board]:
    hub, board = Hub(), Board()
    hub.publish(DeviceChanged(device_info("dev-a", stream_info(), stream_info("mcu_temp", 2))))
    hub.register_device("dev-a", board)
    return hub, board


@in_loop
async def test_set_rate_goes_out_in_the_units_of_the_wire_and_comes_back_in_hz() -> None:
    hub, board = hub_and_board()
    board.data = {"rate_mhz": 500_000, "generation": 3}
    async with Server(hub, port=0) as server, await join(server) as client:
        result = await client.ask(
            op="command", id=4, device="dev-a", name="set_rate", args={"stream": "mcu_temp", "rate_hz": 499.9996}
        )
    assert board.asked == [("set_rate", {"stream": 2, "rate_mhz": 500_000})]
    assert result == {"op": "result", "id": 4, "ok": True, "data": {"rate_hz": 500.0, "generation": 3}}


@pytest.mark.parametrize(
    ("name", "args", "wire", "reply", "data"),
    [
        ("get_rate", {"stream": "imu"}, {"stream": 0}, {"rate_mhz": 12_500}, {"rate_hz": 12.5}),
        ("describe", {}, {}, {}, {}),
        ("get_health", {}, {}, {}, {}),
        ("reset", {}, {}, {}, {}),
    ],
)
def test_each_command_has_its_arguments_and_result(
    name: str, args: dict[str, object], wire: dict[str, int], reply: dict[str, int], data: dict[str, object]
) -> None:
    @in_loop
    async def run() -> None:
        hub, board = hub_and_board()
        board.data = reply
        async with Server(hub, port=0) as server, await join(server) as client:
            result = await client.ask(op="command", id=1, device="dev-a", name=name, args=args)
        assert board.asked == [(name, wire)]
        assert result == {"op": "result", "id": 1, "ok": True, "data": data}

    run()


@in_loop
async def test_ping_sends_the_host_time_and_needs_no_arguments() -> None:
    hub, board = hub_and_board()
    board.data = {"host_ns": 1, "received_us": 2, "sent_us": 3}
    async with Server(hub, port=0) as server, await join(server) as client:
        result = await client.ask(op="command", id=1, device="dev-a", name="ping")
    assert board.asked[0][1]["host_ns"] > 0
    assert result["data"] == board.data


@pytest.mark.parametrize(
    ("status", "data", "numbers"),
    [
        ("over_line_budget", {"needed": 1_040_000, "available": 921_600}, ["1040000", "921600", "line"]),
        ("over_bus_budget", {"needed": 500_000, "available": 400_000}, ["500000", "400000", "bus"]),
        ("bad_argument", {"needed": 4_000, "available": 1_000_000}, ["4 to 1000 Hz"]),
    ],
)
def test_a_refusal_has_the_boards_code_and_its_numbers(status: str, data: dict[str, int], numbers: list[str]) -> None:
    @in_loop
    async def run() -> None:
        hub, board = hub_and_board()
        board.status, board.data = status, data
        async with Server(hub, port=0) as server, await join(server) as client:
            result = await client.ask(
                op="command", id=1, device="dev-a", name="set_rate", args={"stream": "imu", "rate_hz": 8000}
            )
        assert (result["op"], result["ok"], result["code"]) == ("result", False, status)
        assert all(number in result["message"] for number in ["imu", "8000 Hz", *numbers])

    run()


@in_loop
async def test_a_refusal_without_numbers_has_the_message_of_the_session() -> None:
    hub, board = hub_and_board()
    board.status, board.message = "busy", "the board is busy"
    async with Server(hub, port=0) as server, await join(server) as client:
        result = await client.ask(op="command", id=1, device="dev-a", name="reset")
    assert result == {
        "op": "result", "id": 1, "ok": False, "code": "busy", "message": "the board is busy", "data": {}
    }  # fmt: skip


@pytest.mark.parametrize(
    ("args", "code"),
    [
        ({}, "bad_request"),
        ({"stream": 0, "rate_hz": 100}, "bad_request"),
        ({"stream": "nope", "rate_hz": 100}, "unknown_stream"),
        ({"stream": "imu"}, "bad_request"),
        ({"stream": "imu", "rate_hz": "fast"}, "bad_request"),
        ({"stream": "imu", "rate_hz": True}, "bad_request"),
        ({"stream": "imu", "rate_hz": 0}, "bad_request"),
        ({"stream": "imu", "rate_hz": -5}, "bad_request"),
        ({"stream": "imu", "rate_hz": 1e300}, "bad_request"),
        ({"stream": "imu", "rate_hz": 1e-9}, "bad_request"),
    ],
)
def test_wrong_arguments_never_reach_the_board(args: dict[str, object], code: str) -> None:
    @in_loop
    async def run() -> None:
        hub, board = hub_and_board()
        async with Server(hub, port=0) as server, await join(server) as client:
            error = await client.ask(op="command", id=1, device="dev-a", name="set_rate", args=args)
        assert (error["op"], error["code"]) == ("error", code)
        assert board.asked == []

    run()


@pytest.mark.parametrize(
    ("error", "op", "code"),
    [
        (CommandError("offline", "gone"), "error", "offline"),
        (CommandError("timeout", "no answer"), "result", "timeout"),
        (LinkLost("unplugged"), "error", "offline"),
        (ZeroDivisionError("a defect"), "error", "internal"),
    ],
)
def test_a_command_that_fails_is_answered_all_the_same(error: Exception, op: str, code: str) -> None:
    @in_loop
    async def run() -> None:
        hub, board = hub_and_board()
        board.error = error
        async with Server(hub, port=0) as server, await join(server) as client:
            answer = await client.ask(op="command", id=1, device="dev-a", name="ping")
        assert (answer["op"], answer["code"]) == (op, code)

    run()


@in_loop
async def test_a_command_to_a_device_that_is_away_is_an_error() -> None:
    hub, board = hub_and_board()
    hub.unregister_device("dev-a", board)
    async with Server(hub, port=0) as server, await join(server) as client:
        assert (await client.ask(op="command", id=1, device="dev-a", name="ping"))["code"] == "offline"


@in_loop
async def test_a_board_that_never_answers_is_a_timeout() -> None:
    hub, board = hub_and_board()
    board.release = asyncio.Event()
    async with Server(hub, port=0, limits=Limits(command_s=0.01)) as server, await join(server) as client:
        answer = await client.ask(op="command", id=1, device="dev-a", name="ping")
    assert (answer["op"], answer["ok"], answer["code"]) == ("result", False, "timeout")


@in_loop
async def test_commands_that_wait_are_limited_do_not_hold_up_others_and_end_with_the_connection() -> None:
    hub, board = hub_and_board()
    board.release = asyncio.Event()
    async with Server(hub, port=0, limits=Limits(commands=2)) as server:
        client = await join(server)
        await client.send(op="command", id=1, device="dev-a", name="ping")
        await client.send(op="command", id=2, device="dev-a", name="ping")
        assert (await client.ask(op="command", id=3, device="dev-a", name="ping"))["code"] == "too_many"
        assert (await client.ask(op="subscribe", id=4, device="dev-a", stream="imu"))["op"] == "subscribed"
        assert len(board.asked) == 2
        await client.ws.close()
