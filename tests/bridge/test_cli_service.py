"""As a service: logs for programs, and what the service manager is told."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from bridge.test_cli import COMMAND, LIMIT_S
from telemetry_bridge.cli import logs, main, service
from telemetry_bridge.cli.logs import JsonFormatter, TextFormatter
from telemetry_protocol import crc


def record(text: str, *args: object, **extra: object) -> logging.LogRecord:
    made = logging.getLogger("telemetry_bridge.test").makeRecord(
        "telemetry_bridge.test", logging.WARNING, __file__, 1, text, args, None, extra=extra
    )
    made.created = 1_700_000_000.25
    return made


def test_a_line_of_json_has_the_event_and_its_fields() -> None:
    line = JsonFormatter().format(record('%s "lost"\n', "imu", device="dev-a", stream="imu", rate=1.5, uri=Path("/x")))
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2023-11-14T22:13:20.250Z",
        "level": "warning",
        "logger": "telemetry_bridge.test",
        "event": 'imu "lost"\n',
        "device": "dev-a",
        "stream": "imu",
        "rate": 1.5,
        "uri": "/x",
    }


def test_an_exception_stays_within_its_line() -> None:
    failed = record("failed")
    try:
        raise ZeroDivisionError("a defect")
    except ZeroDivisionError:
        failed.exc_info = sys.exc_info()
    line = JsonFormatter().format(failed)
    assert "\n" not in line
    assert "ZeroDivisionError: a defect" in json.loads(line)["exception"]


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
def test_a_secret_does_not_get_far(formatter: logging.Formatter) -> None:
    text = formatter.format(record("Authorization: Bearer 5c5c5c.~5c, protocol ticket.abc-123_x of %s", "dev-a"))
    assert "5c5c" not in text
    assert "abc-123" not in text
    assert "dev-a" in text


def notified(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str = "") -> socket.socket:
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.settimeout(LIMIT_S)
    address = name or str(folder / "notify")
    manager.bind(address.replace("@", "\0"))
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    return manager


@pytest.mark.parametrize("name", ["", "@telemetry-bridge-test"])
def test_the_service_manager_is_told_that_it_is_ready_and_alive(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "2000")

    async def run() -> None:
        alive = asyncio.create_task(service.keep_alive())
        got = [await asyncio.to_thread(manager.recv, 100) for _ in range(3)]
        alive.cancel()
        assert got == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1"]

    with notified(tmp_path, monkeypatch, name and f"{name}-{os.getpid()}") as manager:
        asyncio.run(run())


def test_without_a_service_manager_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    asyncio.run(asyncio.wait_for(service.keep_alive(), LIMIT_S))


def test_with_logs_for_programs_every_line_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "bridge.toml"
    config.write_text("[server]\nport = 0\n[log]\nformat = 'json'\nlevel = 'info'\n[[line]]\nuri = 'sim:'\n")
    with notified(tmp_path, monkeypatch) as manager:
        process = subprocess.Popen([COMMAND, "run", "--config", config], stderr=subprocess.PIPE, text=True)
        with process:
            try:
                assert manager.recv(100) == b"READY=1"
            finally:
                process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=LIMIT_S)
        assert manager.recv(100) == b"STOPPING=1"
    assert process.returncode == 0
    lines = [json.loads(line) for line in said.splitlines()]
    assert {"time", "level", "logger", "event"} <= set(lines[0])
    assert next(line["url"] for line in lines if "url" in line).startswith("http://localhost:")
    assert all(datetime.fromisoformat(line["time"]).tzinfo for line in lines)


def test_an_error_that_ends_it_is_a_line_of_the_log_too(tmp_path: Path) -> None:
    config = tmp_path / "bridge.toml"
    config.write_text("[server]\nport = 0\n[log]\nformat = 'json'\n[[line]]\nuri = 'serial:/dev/tty-nowhere'\n")
    done = subprocess.run(
        [COMMAND, "run", "--config", config], capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert done.returncode == 1
    last = json.loads(done.stderr.splitlines()[-1])
    assert last["level"] == "critical"
    assert "/dev/tty-nowhere" in last["event"]


def test_the_levels_are_those_of_the_file_or_louder() -> None:
    from telemetry_bridge.config import LogConfig

    before = logging.getLogger().handlers[:], logging.getLogger().level
    try:
        for level, verbose, wanted in ("error", 0, 40), ("warning", 1, 20), ("debug", 1, 10), ("info", 2, 10):
            logs.set_up(LogConfig(level=level), verbose)  # type: ignore[arg-type]
            assert logging.getLogger().level == wanted
    finally:
        logging.getLogger().handlers, logging.getLogger().level = before


def test_a_checksum_that_is_not_compiled_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(crc, "accelerated", False)
    assert main(["demo", "--http-port", "0", "--duration", "0.1"]) == 0
    assert "crc: not compiled" in capsys.readouterr().err
    monkeypatch.undo()
    assert main(["demo", "--http-port", "0", "--duration", "0.1"]) == 0
    assert "not compiled" not in capsys.readouterr().err
