"""`telemetry-bridge ports`: what each port looks like and who holds it."""

from __future__ import annotations

import os
import pty

import pytest

from telemetry_bridge.cli import main
from telemetry_bridge.cli import ports as verb
from telemetry_bridge.link import PortInfo


def test_each_port_says_what_it_is_and_who_holds_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    board, held = pty.openpty()
    try:
        path = os.ttyname(held)
        ports = [
            PortInfo("/dev/ttyACM9", "STM32 STLink", True, usb="0483:374b", serial_number="066CFF"),
            PortInfo(path, "serial port", False),
            PortInfo("/dev/ttyS9", "serial port", False, is_console=True),
        ]
        monkeypatch.setattr(verb, "list_ports", lambda: ports)
        assert main(["ports"]) == 0
    finally:
        os.close(held)
        os.close(board)
    first, second, third = capsys.readouterr().out.splitlines()
    assert first.split() == ["/dev/ttyACM9", "STM32", "STLink", "0483:374b", "066CFF", "free"]
    assert second.startswith(path)
    assert "held by" in second
    assert f"(pid {os.getpid()})" in second
    assert third.endswith("console of this machine")


def test_without_ports_it_says_what_to_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verb, "list_ports", list)
    assert main(["ports"]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "plugged in" in said.err
