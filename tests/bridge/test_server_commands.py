"""Commands over the WebSocket: names and Hz there, numbers and mHz on the wire."""

from __future__ import annotations

import asyncio

import pytest

from bridge.server_helpers import device_info, in_loop, join, stream_info
from telemetry_bridge.config import Limits, ServerConfig
from telemetry_bridge.errors import CommandError, LinkLost
from telemetry_bridge.events import CommandDone, DeviceChanged, WireArgs, WireData
from telemetry_bridge.hub import Hub
from telemetry_bridge.server import Server
from telemetry_bridge.server.commands import COMMANDS, to_wire
from telemetry_protocol import messages


class Board:
    """A handler that keeps what it is asked and answers what it is told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, float]]] = []
        self.status = "ok"
        self.data: WireData = {}
        self.message = ""
        self.error: Exception | None = None
        self.release: asyncio.Event | None = None

    async def __call__(self, name: str, args: WireArgs) -> CommandDone:
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
    async with Server(hub, ServerConfig(port=0)) as server, await join(server) as client:
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
        (
            "set_range",
            {"stream": "imu", "field": "gyro_x", "full_scale": 17},
            {"stream": 0, "field": 3, "full_scale": 17.0},
            {"full_scale": 17.5, "generation": 4},
            {"full_scale": 17.5, "generation": 4},
        ),
        ("enable_stream", {"stream": "mcu_temp", "enabled": False}, {"stream": 2, "enabled": 0}, {}, {}),
        ("enable_stream", {"stream": "imu", "enabled": True}, {"stream": 0, "enabled": 1}, {}, {}),
        (
            "set_latency",
            {"stream": "imu", "latency_ms": 2.5},
            {"stream": 0, "latency_us": 2500},
            {"latency_us": 2500},
            {"latency_ms": 2.5},
        ),
        (
            "set_latency",
            {"stream": "imu", "latency_ms": 0},
            {"stream": 0, "latency_us": 0},
            {"latency_us": 20_000},
            {"latency_ms": 20.0},
        ),
        ("set_baud", {"baud": 2_000_000}, {"baud": 2_000_000}, {"baud": 2_083_333}, {"baud": 2_083_333}),
        (
            "self_test",
            {"stream": "mcu_temp"},
            {"stream": 2},
            {"passed": 0, "fields": (messages.SelfTestField(1.5, -1.0, 1.0), messages.SelfTestField(0.5, -1.0, 1.0))},
            {
                "passed": False,
                "fields": [
                    {"name": "temperature", "response": 1.5, "low": -1.0, "high": 1.0, "passed": False},
                    {"name": "field1", "response": 0.5, "low": -1.0, "high": 1.0, "passed": True},
                ],
            },
        ),
        ("save_configuration", {}, {}, {}, {}),
        ("restore_configuration", {"source": "stored"}, {"source": 0}, {}, {}),
        ("restore_configuration", {"source": "defaults"}, {"source": 1}, {}, {}),
        ("clear_counters", {}, {}, {}, {}),
        ("acknowledge_fault", {"boot_id": "00001aF0"}, {"boot_id": 0x1AF0}, {}, {}),
        ("enter_bootloader", {}, {}, {}, {}),
    ],
)
def test_each_command_has_its_arguments_and_result(
    name: str, args: dict[str, object], wire: dict[str, float], reply: WireData, data: dict[str, object]
) -> None:
    @in_loop
    async def run() -> None:
        hub, board = hub_and_board()
        board.data = reply
        async with Server(hub, ServerConfig(port=0)) as server, await join(server) as client:
            result = await client.ask(op="command", id=1, device="dev-a", name=name, args=args)
        assert board.asked == [(name, wire)]
        assert result == {"op": "result", "id": 1, "ok": True, "data": data}

    run()


@in_loop
async def test_ping_sends_the_host_time_and_needs_no_arguments() -> None:
    hub, board = hub_and_board()
    board.data = {"host_ns": 1, "received_us": 2, "sent_us": 3}
    async with Server(hub, ServerConfig(port=0)) as server, await join(server) as client:
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
        async with Server(hub, ServerConfig(port=0)) as server, await join(server) as client:
            result = await client.ask(
                op="command", id=1, device="dev-a", name="set_rate", args={"stream": "imu", "rate_hz": 8000}
            )
        assert (result["op"], result["ok"], result["code"]) == ("result", False, status)
        assert all(number in result["message"] for number in ["imu", "8000 Hz", *numbers])

    run()


@pytest.mark.parametrize(
    ("name", "args", "refusal", "message", "data"),
    [
        (
            "set_range",
            {"stream": "imu", "field": "accel_y", "full_scale": 500},
            ("bad_argument", {"lowest": 19.5, "highest": 157.25}),
            "accel_y of imu with a full scale of 500 m/s^2 is not possible: full scales go from 19.5 to 157.25 m/s^2",
            {"min_full_scale": 19.5, "max_full_scale": 157.25},
        ),
        (
            "set_latency",
            {"stream": "imu", "latency_ms": 2000},
            ("bad_argument", {"needed": 1000, "available": 1_000_000}),
            "imu with a latency of 2000 ms is not possible: it can be 1 to 1000 ms, or 0 for the default of the rate",
            {"min_latency_ms": 1.0, "max_latency_ms": 1000.0},
        ),
        (
            "set_latency",
            {"stream": "imu", "latency_ms": 1},
            ("over_line_budget", {"needed": 260_000, "available": 115_200}),
            "imu with a latency of 1 ms would take 260000 bit/s of the line; there are 115200 bit/s",
            {"needed_bit_s": 260_000, "available_bit_s": 115_200},
        ),
        (
            "enable_stream",
            {"stream": "mcu_temp", "enabled": True},
            ("over_bus_budget", {"needed": 500_000, "available": 400_000}),
            "mcu_temp would take 500000 bit/s of the sensor bus; there are 400000 bit/s",
            {"needed_bit_s": 500_000, "available_bit_s": 400_000},
        ),
        (
            "set_baud",
            {"baud": 9600},
            ("bad_argument", {"needed": 115_200, "available": 3_000_000}),
            "9600 baud is not possible: the clock of the board makes rates of 115200 to 3000000 baud, "
            "not each within 1 %",
            {"min_baud": 115_200, "max_baud": 3_000_000},
        ),
        (
            "set_baud",
            {"baud": 115_200},
            ("over_line_budget", {"needed": 140_000, "available": 115_200}),
            "115200 baud would carry 115200 bit/s; the streams take 140000",
            {"needed_bit_s": 140_000, "available_bit_s": 115_200},
        ),
        ("self_test", {"stream": "mcu_temp"}, ("unsupported", {}), "mcu_temp: its sensor has no self-test", {}),
        (
            "restore_configuration",
            {"source": "stored"},
            ("failed", {}),
            "restore_configuration: what is stored cannot be read, or a sensor did not take the settings",
            {},
        ),
        (
            "enter_bootloader",
            {},
            ("unsupported", {}),
            "enter_bootloader: the ROM of this board does not serve this line; flash through the ST-LINK",
            {},
        ),
        ("describe", {}, ("42", {}), "describe: the board refused: 42", {}),
    ],
)
def test_a_refusal_is_worded_for_its_command(
    name: str, args: dict[str, object], refusal: tuple[str, WireData], message: str, data: dict[str, float]
) -> None:
    @in_loop
    async def run() -> None:
        hub, board = hub_and_board()
        board.status, board.data = refusal
        async with Server(hub, ServerConfig(port=0)) as server, await join(server) as client:
            result = await client.ask(op="command", id=1, device="dev-a", name=name, args=args)
        assert result == {"op": "result", "id": 1, "ok": False, "code": refusal[0], "message": message, "data": data}

    run()


@pytest.mark.parametrize(
    ("name", "args", "why"),
    [
        ("set_range", {"stream": "imu", "field": "accel_q", "full_scale": 1}, "it has: accel_x, accel_y"),
        ("set_range", {"stream": "imu", "field": 0, "full_scale": 1}, "the name of a field"),
        ("set_range", {"stream": "imu", "field": "accel_x", "full_scale": 0}, "a magnitude above 0"),
        ("set_range", {"stream": "imu", "field": "accel_x", "full_scale": 1e39}, "not one so large"),
        ("set_latency", {"stream": "imu", "latency_ms": -1}, "a time in ms"),
        ("set_latency", {"stream": "imu", "latency_ms": 0.0001}, "neither 0 nor"),
        ("set_latency", {"stream": "imu", "latency_ms": 1e9}, "neither 0 nor"),
        ("enable_stream", {"stream": "imu", "enabled": 1}, "true or false"),
        ("restore_configuration", {"source": "backup"}, "stored, defaults"),
        ("acknowledge_fault", {"boot_id": 17}, "hexadecimal"),
        ("acknowledge_fault", {"boot_id": "0x17"}, "hexadecimal"),
        ("set_baud", {"baud": 9600.5}, "a whole number"),
    ],
)
def test_wrong_arguments_are_said_to_be_wrong(name: str, args: dict[str, object], why: str) -> None:
    @in_loop
    async def run() -> None:
        hub, board = hub_and_board()
        async with Server(hub, ServerConfig(port=0)) as server, await join(server) as client:
            error = await client.ask(op="command", id=1, device="dev-a", name=name, args=args)
        assert (error["op"], error["code"]) == ("error", "bad_request")
        assert why in error["message"]
        assert board.asked == []

    run()


def test_the_api_has_every_command_of_the_wire_with_its_arguments() -> None:
    assert set(COMMANDS) == set(messages.COMMANDS)
    device = device_info("dev-a", stream_info())
    for name, spec in COMMANDS.items():
        given = {
            "stream": "imu", "rate_hz": 1, "field": "accel_x", "full_scale": 1, "enabled": True, "latency_ms": 1,
            "source": "stored", "boot_id": "1", "baud": 115_200,
        }  # fmt: skip
        assert {argument.name for argument in spec.args} <= set(given)
        messages.COMMANDS[name].pack_args(**to_wire(device, name, given, 0))


@in_loop
async def test_a_refusal_without_numbers_says_why_all_the_same() -> None:
    hub, board = hub_and_board()
    board.status = "busy"
    async with Server(hub, ServerConfig(port=0)) as server, await join(server) as client:
        result = await client.ask(op="command", id=1, device="dev-a", name="reset")
    assert result == {
        "op": "result", "id": 1, "ok": False, "code": "busy", "data": {},
        "message": "reset: the board is busy with another change; try again",
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
        async with Server(hub, ServerConfig(port=0)) as server, await join(server) as client:
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
        async with Server(hub, ServerConfig(port=0)) as server, await join(server) as client:
            answer = await client.ask(op="command", id=1, device="dev-a", name="ping")
        assert (answer["op"], answer["code"]) == (op, code)

    run()


@in_loop
async def test_a_command_to_a_device_that_is_away_is_an_error() -> None:
    hub, board = hub_and_board()
    hub.unregister_device("dev-a", board)
    async with Server(hub, ServerConfig(port=0)) as server, await join(server) as client:
        assert (await client.ask(op="command", id=1, device="dev-a", name="ping"))["code"] == "offline"


@in_loop
async def test_a_board_that_never_answers_is_a_timeout() -> None:
    hub, board = hub_and_board()
    board.release = asyncio.Event()
    async with Server(hub, ServerConfig(port=0), Limits(command_s=0.01)) as server, await join(server) as client:
        answer = await client.ask(op="command", id=1, device="dev-a", name="ping")
    assert (answer["op"], answer["ok"], answer["code"]) == ("result", False, "timeout")


@in_loop
async def test_commands_that_wait_are_limited_do_not_hold_up_others_and_end_with_the_connection() -> None:
    hub, board = hub_and_board()
    board.release = asyncio.Event()
    async with Server(hub, ServerConfig(port=0), Limits(commands=2)) as server:
        client = await join(server)
        await client.send(op="command", id=1, device="dev-a", name="ping")
        await client.send(op="command", id=2, device="dev-a", name="ping")
        assert (await client.ask(op="command", id=3, device="dev-a", name="ping"))["code"] == "too_many"
        assert (await client.ask(op="release", id=4, target=None))["code"] == "too_many"
        assert (await client.ask(op="subscribe", id=4, device="dev-a", stream="imu"))["op"] == "subscribed"
        assert len(board.asked) == 2
        await client.ws.close()
