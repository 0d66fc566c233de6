"""The worked session of docs/websocket-api.md, line by line against the real server."""

from __future__ import annotations

import json
import re
import textwrap
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bridge.server_helpers import TIME_NS, Client, device_info, in_loop, join, json_message, stream_info
from bridge.session_helpers import health, online, stream_health
from telemetry_bridge import config as configuration
from telemetry_bridge.config import Limits, ServerConfig
from telemetry_bridge.events import (
    Batch,
    CommandDone,
    DeviceChanged,
    DeviceInfo,
    DeviceState,
    EpochStarted,
    FieldInfo,
    Gap,
    WireArgs,
    WireData,
)
from telemetry_bridge.hub import Hub
from telemetry_bridge.server import Server
from telemetry_bridge.server.access import TICKET_S
from telemetry_bridge.server.channels import RATE_HZ_MAX, RATE_HZ_MIN
from telemetry_bridge.server.commands import COMMANDS, result_data, to_wire
from telemetry_bridge.server.envelope import EMPTY_MAX
from telemetry_bridge.server.tls import MAKE
from telemetry_bridge.server.tokens import Tokens
from telemetry_protocol import messages

DOCUMENT = Path(__file__).parents[2] / "docs" / "websocket-api.md"
DEVICE = "3a0021"
PERIOD_NS = 100_000_000


def worked_session() -> list[str]:
    text = DOCUMENT.read_text(encoding="utf-8")
    (block,) = [part.split("```")[0] for part in text.split("```session\n")[1:]]
    return block.splitlines()


def board(state: DeviceState = "online") -> DeviceInfo:
    device = device_info(DEVICE, stream_info("mcu_temp", 2, epoch=1, rate_hz=10.0))
    return replace(device, state=state, link="serial:/dev/ttyACM0")


def epoch(number: int, boot_id: str) -> EpochStarted:
    return EpochStarted(DEVICE, "mcu_temp", number, boot_id, stream_info("mcu_temp").fields, 0)


def samples(index: int, *values: float) -> Batch:
    columns = np.array([values], np.float32)
    return Batch(DEVICE, "mcu_temp", 1, index, TIME_NS + index * PERIOD_NS, PERIOD_NS, 0, columns, 1, b"", 0)


async def carry_out(name: str, args: WireArgs) -> CommandDone:
    if args["rate_mhz"] <= 100_000:
        return CommandDone(DEVICE, 1, name, "ok", {"rate_mhz": args["rate_mhz"], "generation": 2})
    return CommandDone(DEVICE, 1, name, "bad_argument", {"needed": 1000, "available": 100_000})


def plug_in(hub: Hub) -> None:
    hub.publish(DeviceChanged(board()))
    hub.publish(epoch(1, "17"))
    hub.register_device(DEVICE, carry_out)


def lose_two(hub: Hub) -> None:
    hub.publish(Gap(DEVICE, "mcu_temp", 1, 3, 2, "wire"))
    hub.publish(samples(5, 25.5))


def unplug(hub: Hub) -> None:
    hub.unregister_device(DEVICE, carry_out)
    hub.publish(DeviceChanged(board("offline")))


def say_health(hub: Hub) -> None:
    message = json_message("health", DEVICE, {"uptime_s": 12, "cpu": 0.031})
    hub.publish(replace(message, time_ns=TIME_NS + 10**9))


RESULTS: dict[str, WireData] = {
    "set_rate": {"rate_mhz": 500_000, "generation": 3},
    "get_rate": {"rate_mhz": 500_000},
    "set_range": {"full_scale": 78.5, "generation": 4},
    "set_latency": {"latency_us": 13_400},
    "set_baud": {"baud": 2_000_000},
    "self_test": {"passed": 1, "fields": (messages.SelfTestField(1.25, -14.0, 14.0),)},
    "ping": {"host_ns": 1, "received_us": 2, "sent_us": 3},
}
"""What the board answers to the examples of the document."""

HAPPENINGS: dict[str, Callable[[Hub], None]] = {
    "a board is plugged in": plug_in,
    "three samples: 24.5, 24.75 and 25 degC": lambda hub: hub.publish(samples(0, 24.5, 24.75, 25.0)),
    "two samples are lost on the wire, then one comes: 25.5 degC": lose_two,
    "one sample: 26 degC": lambda hub: hub.publish(samples(6, 26.0)),
    "five samples: 26.5, 27, 27.5, 28 and 28.5 degC": lambda hub: hub.publish(samples(7, 26.5, 27.0, 27.5, 28.0, 28.5)),
    "the board restarts": lambda hub: hub.publish(epoch(2, "18")),
    "the board says how it is": say_health,
    "the board is unplugged": unplug,
}


def assert_like(got: Any, documented: Any, where: str) -> None:
    """Equal, but for the places where the document has an ellipsis, and keys of a device that it leaves out."""
    if documented == "…":
        return
    if isinstance(documented, dict):
        assert isinstance(got, dict), where
        shown = documented.keys() if where.endswith("device") else got.keys()
        assert documented.keys() == set(shown), where
        for key in documented:
            assert_like(got[key], documented[key], f"{where}.{key}")
    else:
        assert got == documented, where


async def play(line: str, client: Client, hub: Hub) -> None:
    if line.startswith("> "):
        await client.ws.send(line[2:])
    elif line.startswith("* "):
        HAPPENINGS[line[2:]](hub)
    elif line.startswith("< binary "):
        message = await client.ws.recv()
        assert isinstance(message, bytes), line
        assert message == bytes.fromhex(line.removeprefix("< binary ")), line
    else:
        assert line.startswith("< "), line
        assert_like(await client.next(), json.loads(line[2:]), "message")


@in_loop
async def test_the_worked_session_is_what_the_server_does() -> None:
    hub = Hub()
    async with Server(hub, ServerConfig(port=0)) as server, await join(server) as client:
        for line in worked_session():
            await play(line, client, hub)
        assert (await client.ask(op="unsubscribe", id="end", sub=7))["op"] == "ok", (
            "and nothing came that it leaves out"
        )


def test_a_line_that_differs_is_noticed() -> None:
    @in_loop
    async def run() -> None:
        hub = Hub()
        async with Server(hub, ServerConfig(port=0)) as server, await join(server) as client:
            await play(worked_session()[0].replace('"api":1', '"api":2'), client, hub)

    with pytest.raises(AssertionError, match=r"message\.api"):
        run()


def test_the_document_has_every_command_with_arguments_and_result_that_are_right() -> None:
    _, _, section = DOCUMENT.read_text(encoding="utf-8").partition("### command\n")
    rows = re.findall(r"^\| `(\w+)` \| `({.*?})` \| (?:`({.*?})`[:,]|none|`({.*})`) ?", section, re.MULTILINE)
    assert {row[0] for row in rows} == set(COMMANDS)
    fields = FieldInfo("accel_x", "m/s^2", 39.0), FieldInfo("temperature", "degC")
    device = device_info(DEVICE, *(replace(stream_info(name), fields=fields) for name in ("imu", "mcu_temp")))
    for name, args, *results in rows:
        given = json.loads(args)
        assert {argument.name for argument in COMMANDS[name].args} == given.keys()
        messages.COMMANDS[name].pack_args(**to_wire(device, name, given, 0))
        documented = json.loads("".join(results) or "{}")
        made = result_data(CommandDone(DEVICE, 1, name, "ok", RESULTS.get(name, {})), device, given)
        assert made == documented, name
        assert RESULTS.get(name, {}).keys() == {field.name for field in messages.COMMANDS[name].result}


def test_the_document_has_the_body_of_a_health_message() -> None:
    _, _, section = DOCUMENT.read_text(encoding="utf-8").partition("The `data` of a `health` message:\n")
    documented = json.loads(
        section.partition("\n\nCounters")[0].replace('"link":{"bytes":…,"frames":…,"damaged_crc":…, …}', '"link":0')
    )
    harness = online()
    harness.send_samples(0)
    harness.say(health(harness.device_us, stream_health(20)))
    body = harness.reports[-1].body
    assert body.keys() == documented.keys()
    for key in documented.keys() - {"link"}:
        assert_same_keys(body[key], documented[key])


def assert_same_keys(got: object, documented: object) -> None:
    """The same keys, however deep."""
    if isinstance(documented, dict):
        assert isinstance(got, dict)
        assert got.keys() == documented.keys()
        for key, value in documented.items():
            assert_same_keys(got[key], value)


def test_the_limits_of_the_document_are_those_of_the_server() -> None:
    text, limits = DOCUMENT.read_text(encoding="utf-8"), Limits()
    for said in (
        f"| message from a client | {limits.message_bytes // 1024} KiB |",
        f"counted as one more | {limits.subscriptions} |",
        f"under way | {limits.commands} |",
        f"as `latest` or `envelope` | {limits.rates} |",
        f"| {limits.connections}, {limits.connections_per_address} |",
        f"| {limits.queue_bytes // 2**20} MiB, {limits.queue_messages} messages |",
        f"| {limits.recent_s:.0f} s, {limits.recent_bytes // 2**20} MiB; {limits.recent_total_bytes // 2**20} MiB |",
        f"keeps ({limits.recent_s:.0f} s, {limits.recent_bytes // 2**20} MiB of each stream",
        f"more than {EMPTY_MAX} in a row",
        f"| {RATE_HZ_MIN:g} to {RATE_HZ_MAX:.0f};",
        f"| {limits.open_s:.0f} s |",
        f"per address | {limits.pending}, {limits.pending_per_address} |",
        f"| {limits.header_bytes // 1024} KiB, {limits.headers} headers |",
        f"wait to be used | {limits.tickets} |",
        f"429 while {limits.tickets} of its tickets wait",
        f"in a minute | {limits.guesses} |",
        f"within {TICKET_S:.0f} s",
        f"takes nothing at all for {limits.stall_s:.0f} s",
        f"delivered within {limits.abort_s:.0f} s",
        f"no answer within {limits.command_s:.0f} s",
    ):
        assert said in text


def blocks_of(name: str) -> list[str]:
    """The indented blocks of a document, as they would be copied."""
    text = DOCUMENT.with_name(name).read_text(encoding="utf-8")
    return [textwrap.dedent(block) for block in re.findall(r"(?:^    .*\n|^\n)+", text, re.MULTILINE)]


def test_the_files_of_the_security_page_are_files_that_the_bridge_takes(tmp_path: Path) -> None:
    blocks = blocks_of("security.md")
    configurations = [
        configuration.decode(tomllib.loads(part), tmp_path / "telemetry-bridge.toml")
        for part in (re.sub(r"(?s)# nginx.*", "", block) for block in blocks)
        if (start := part.find("[server]")) >= 0
        for part in [part[start:]]
    ]
    assert {config.server.host for config in configurations} == {"127.0.0.1", "0.0.0.0"}
    assert any(config.server.allowed_origins for config in configurations)
    (tokens,) = (block.partition("# telemetry-bridge.toml")[0] for block in blocks if "[[token]]" in block)
    file = tmp_path / "tokens.toml"
    file.touch(0o600)
    for number in range(2):
        tokens = tokens.replace("…", f"0123456789abcdef0123456789abcdef{number}", 1)
    file.write_text(tokens, encoding="utf-8")
    known = Tokens(file, {})
    roles = [who.role for number in range(2) if (who := known.identify(f"0123456789abcdef0123456789abcdef{number}"))]
    assert roles == ["viewer", "operator"]


def test_the_lines_that_make_certificates_are_those_that_the_bridge_prints() -> None:
    text = " ".join(" ".join(blocks_of("security.md")).replace("\\\n", " ").split())
    for line in MAKE.split("`")[1::2]:
        said = line.partition(" -subj")[0].replace(" NAME", "")
        assert said in text
