"""How a program waits for a running bridge's answer, whatever else that says meanwhile."""

from __future__ import annotations

import itertools
import json
from typing import Any, cast

import pytest
from websockets.sync.client import ClientConnection

from telemetry_bridge import client
from telemetry_bridge.client import RunningBridge
from telemetry_bridge.errors import BridgeError

ANSWER = json.dumps({"op": "released", "id": 1, "ports": [{"link": "sim:", "device": None}]})


class Chatty:
    """A connection on which something comes each second, by a clock of its own."""

    def __init__(self, *said: str | bytes) -> None:
        self.said = itertools.chain(said, itertools.repeat('{"op":"log"}', 100))
        self.now_s = 5.0

    def send(self, text: str) -> None: ...

    def recv(self, timeout: float) -> str | bytes:
        if timeout < 1:
            raise TimeoutError
        self.now_s += 1
        return next(self.said)


def ask(connection: Chatty, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr("time.monotonic", lambda: connection.now_s)
    return RunningBridge(cast("ClientConnection", cast("Any", connection))).release(None)


def test_samples_before_an_answer_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask(Chatty(b"\x01\xff\xfe\xfd", ANSWER), monkeypatch) == ["sim:"]


def test_an_answer_that_does_not_come_is_not_waited_for_because_others_do(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = Chatty()
    with pytest.raises(BridgeError, match="does not answer: nothing comes"):
        ask(connection, monkeypatch)
    assert connection.now_s - 5 <= client.ANSWER_S


@pytest.mark.parametrize("said", ["", "no JSON", "[1]", "7"])
def test_what_is_no_message_of_a_bridge_is_said(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BridgeError, match="no message of a bridge"):
        ask(Chatty(said), monkeypatch)
