"""`telemetry-bridge command`, against a bridge that runs in a process of its own."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.sync.server import ServerConnection, serve
from websockets.typing import Subprotocol

from bridge.test_cli import one_line, run, running
from telemetry_bridge.cli import main
from telemetry_bridge.client import Where
from telemetry_bridge.errors import BridgeError
from telemetry_bridge.remote import answer_lines, listing, read_arguments
from telemetry_bridge.server.commands import COMMANDS


@pytest.fixture(scope="module")
def bridge() -> Iterator[str]:
    """Address of a bridge with a simulated board."""
    with running("demo", "--http-port", "0") as (_, line):
        found = re.search(r"page http://(localhost:\d+)", line)
        assert found is not None, line
        yield found[1]


def tell(capsys: pytest.CaptureFixture[str], bridge: str, *words: str) -> tuple[int, str, str]:
    """Give a command; exit code, output, errors."""
    code = main(["command", *words, "--url", bridge])
    out, err = capsys.readouterr()
    return code, out, err


def test_a_command_is_carried_out_and_its_answer_printed(bridge: str) -> None:
    result = run("command", "set_range", "stream=imu", "--url", bridge, "field=accel_x", "full_scale=50")
    assert (result.returncode, result.stderr) == (0, "")
    assert re.fullmatch(r"full_scale: 78.4532\ngeneration: \d\n", result.stdout)


def test_a_command_without_an_answer_says_ok(bridge: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert tell(capsys, bridge, "enable_stream", "stream=mcu_temp", "enabled=no") == (0, "ok\n", "")
    assert tell(capsys, bridge, "enable_stream", "stream=mcu_temp", "enabled=true") == (0, "ok\n", "")


def test_a_self_test_is_a_table(bridge: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = tell(capsys, bridge, "self_test", "stream=imu")
    first, *rows = out.splitlines()
    assert (code, first, len(rows)) == (0, "passed: yes", 6)
    assert all(re.fullmatch(r"  \w+_[xyz] +-?[\d.]+  \(-14 to 14\)  passed", row) for row in rows)


def test_json_is_the_answer_as_it_came(bridge: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = tell(capsys, bridge, "set_rate", "stream=mcu_temp", "rate_hz=2", "--json")
    answer = json.loads(out)
    assert (code, answer["ok"], answer["data"]["rate_hz"]) == (0, True, 2.0)
    code, out, err = tell(capsys, bridge, "set_rate", "stream=imu", "rate_hz=9000", "--json")
    answer = json.loads(out)
    assert (code, answer["ok"], answer["code"], err) == (1, False, "bad_argument", "")
    assert answer["data"] == {"min_rate_hz": 1.0, "max_rate_hz": 8000.0}


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["set_rate", "stream=imu", "rate_hz=9000"], "imu at 9000 Hz is not possible: the sensor can do 1 to 8000 Hz"),
        (["enter_bootloader"], "flash through the ST-LINK"),
        (["set_rate", "stream=nope", "rate_hz=9"], "has no stream 'nope'; it has: imu, imu_temp, mcu_temp"),
        (["set_rate", "stream=imu", "rate_hz=fast"], "a rate in Hz above 0 is needed"),
        (["enable_stream", "stream=imu", "enabled=perhaps"], "true or false is needed"),
        (["acknowledge_fault", "boot_id=xyz"], "hexadecimal"),
        (["set_rate", "stream=imu"], "set_rate: rate_hz=… is missing: wanted rate in Hz"),
        (["set_rate", "imu"], "set_rate: 'imu' is not one of its arguments; usage: set_rate stream=… rate_hz=…"),
        (["fly"], "there is no command 'fly'; there are: set_rate, get_rate"),
        (["ping", "--device", "nobody"], "there is no device 'nobody'"),
    ],
)
def test_what_cannot_be_is_one_line_and_code_1(
    bridge: str, capsys: pytest.CaptureFixture[str], words: list[str], why: str
) -> None:
    code, out, err = tell(capsys, bridge, *words)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("telemetry-bridge: ")
    assert why in err


def test_without_a_bridge_it_says_how_to_start_one() -> None:
    line = one_line(run("command", "ping", "--url", "ws://localhost:1/ws"))
    assert line == (
        "telemetry-bridge: no bridge serves ws://localhost:1/ws "
        "(--url names another, --http-port another port): `telemetry-bridge run --port auto` starts one"
    )
    assert "--http-port" in one_line(run("release", "--http-port", "1"))


def test_a_boot_id_stays_text_and_numbers_become_numbers() -> None:
    assert read_arguments("acknowledge_fault", ["boot_id=00001234"]) == {"boot_id": "00001234"}
    assert read_arguments("set_baud", ["baud=2000000"]) == {"baud": 2_000_000}
    assert read_arguments("set_latency", ["stream=imu", "latency_ms=2.5"]) == {"stream": "imu", "latency_ms": 2.5}


def test_a_failed_self_test_is_said_and_is_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    field = {"name": "gyro_x", "response": -31.5, "low": -14.0, "high": 14.0, "passed": False}
    with a_bridge([device("a", "online")], {"passed": False, "fields": [field]}) as url:
        code, out, _ = tell(capsys, url, "self_test", "stream=imu")
    assert (code, out) == (1, "passed: no\n  gyro_x       -31.5  (-14 to 14)  FAILED\n")


@pytest.mark.parametrize(
    ("devices", "why"),
    [
        ([], "no device is online; the bridge knows: none"),
        ([("a", "offline")], "no device is online; the bridge knows: a (nucleo_f411re, offline)"),
        ([("a", "online"), ("b", "online")], "more than one device is online, say which (--device): a (nucleo"),
    ],
)
def test_which_board_is_meant_must_be_clear(
    capsys: pytest.CaptureFixture[str], devices: list[tuple[str, str]], why: str
) -> None:
    with a_bridge([device(*one) for one in devices], {}) as url:
        code, _, err = tell(capsys, url, "ping")
    assert (code, why in err) == (1, True), err


def test_the_one_that_is_online_is_meant(capsys: pytest.CaptureFixture[str]) -> None:
    with a_bridge([device("a", "offline"), device("b", "online")], {"told": "b"}) as url:
        assert tell(capsys, url, "describe") == (0, "told: b\n", "")


def device(name: str, state: str) -> dict[str, Any]:
    return {"op": "device", "device": {"id": name, "state": state, "board": "nucleo_f411re"}}


class a_bridge:
    """Something that answers like a bridge with these devices; `told` is the device that a command was for."""

    def __init__(self, devices: list[dict[str, Any]], data: dict[str, Any]) -> None:
        self._devices, self._data = devices, data
        self._server = serve(self._serve, "localhost", 0, subprotocols=[Subprotocol("telemetry-bridge.v1")])
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> str:
        self._thread.start()
        return f"localhost:{self._server.socket.getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()

    def _serve(self, connection: ServerConnection) -> None:
        for message in self._devices:
            connection.send(json.dumps(message))
        for text in connection:
            request = json.loads(text)
            data = self._data
            if "told" in data:
                assert request.get("device") in {"*", data["told"]}
            connection.send(json.dumps({"op": "result", "id": request["id"], "ok": True, "data": data}))


def test_the_list_has_every_command_with_its_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["command", "--list"]) == 0
    out, _ = capsys.readouterr()
    assert out == listing() + "\n"
    for name, spec in COMMANDS.items():
        usage = " ".join([name, *(f"{argument.name}=…" for argument in spec.args)])
        assert f"{usage}\n    {spec.doc}\n" in out
        for argument in spec.args:
            assert argument.meaning in out


@pytest.mark.parametrize("words", [["command"], ["command", "ping", "--fast"], ["run", "--port", "sim:", "surplus"]])
def test_wrong_usage_is_code_2(words: list[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(words)
    assert refused.value.code == 2


def test_numbers_are_short_and_nothing_is_ok() -> None:
    assert answer_lines({"full_scale": 39.22660064697266, "generation": 3}) == ["full_scale: 39.2266", "generation: 3"]
    assert answer_lines({}) == ["ok"]


@pytest.mark.parametrize(
    ("given", "url"),
    [
        (8765, "ws://localhost:8765/ws"),
        ("localhost:80", "ws://localhost:80/ws"),
        ("http://localhost:80/", "ws://localhost:80/ws"),
        ("ws://127.0.0.1:80", "ws://127.0.0.1:80/ws"),
        ("ws://host/other/ws", "ws://host/other/ws"),
        ("wss://host:8765", "wss://host:8765/ws"),
        ("https://host/", "wss://host/ws"),
    ],
)
def test_an_address_may_be_written_as_people_write_it(given: int | str, url: str) -> None:
    assert Where(given).url == url


def test_an_argument_that_is_unknown_never_leaves_this_process() -> None:
    with pytest.raises(BridgeError, match="usage: ping"):
        read_arguments("ping", ["host_ns=1"])
