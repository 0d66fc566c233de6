"""How a program reaches a bridge that wants a token and TLS, and what it never sends where."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.server_helpers import device_info
from bridge.test_server_tls import certificate, tls_config
from bridge.test_server_tokens import DRIVER, WATCHER
from telemetry_bridge.cli import main
from telemetry_bridge.client import TOKEN_VARIABLE, RunningBridge, Where
from telemetry_bridge.errors import BridgeError
from telemetry_bridge.events import CommandDone, DeviceChanged, WireArgs
from telemetry_bridge.hub import Hub
from telemetry_bridge.server import Server

__all__ = ["certificate"]  # a fixture


async def handler(name: str, _: WireArgs) -> CommandDone:
    """A board that does what it is told."""
    return CommandDone("dev-a", 1, name, "ok", {}, "")


@pytest.fixture(scope="module")
def secured(certificate: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a bridge with TLS and tokens, in a thread of its own."""
    ready, told = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()
    address: list[str] = []

    async def serve() -> None:
        hub = Hub()
        hub.publish(DeviceChanged(device_info()))
        hub.register_device("dev-a", handler)
        async with Server(hub, tls_config(certificate, tmp_path_factory.mktemp("tokens"))) as server:
            address.append(f"wss://127.0.0.1:{server.port}")
            ready.set()
            await told.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        assert ready.wait(20)
        yield address[0]
    finally:
        loop.call_soon_threadsafe(told.set)
        thread.join(20)
        loop.close()


@pytest.fixture(autouse=True)
def no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)


def private(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_the_token_is_in_no_log(
    secured: str, certificate: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, DRIVER)
    with caplog.at_level(logging.DEBUG):
        found = RunningBridge.find(Where(secured, ca_file=certificate / "cert.pem"))
        assert found is not None
        with found:
            pass
    assert "ada (operator) is here" in caplog.text
    assert DRIVER not in caplog.text


def say(secured: str, certificate: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str, str]:
    code = main(["command", "describe", "--url", secured, "--ca-file", str(certificate / "cert.pem"), *more])
    out, err = capsys.readouterr()
    return code, out, err


def test_a_token_from_the_environment_or_a_file_lets_a_command_through(
    secured: str,
    certificate: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = private(tmp_path / "token", f"{DRIVER}\n")
    assert say(secured, certificate, capsys, "--token-file", str(file)) == (0, "ok\n", "")
    monkeypatch.setenv(TOKEN_VARIABLE, DRIVER)
    assert say(secured, certificate, capsys) == (0, "ok\n", "")


def test_without_a_token_with_a_wrong_one_and_with_a_viewer_s_it_says_what_is_the_matter(
    secured: str, certificate: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for token, said in ((None, TOKEN_VARIABLE), ("wrong", "not valid"), (WATCHER, "needs the role operator")):
        if token is not None:
            monkeypatch.setenv(TOKEN_VARIABLE, token)
        code, out, err = say(secured, certificate, capsys)
        assert (code, out) == (1, "")
        assert said in err.splitlines()[-1]
        assert token is None or token not in err


def test_a_certificate_that_nobody_vouches_for_is_refused_before_the_token_is_sent(
    secured: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, DRIVER)
    with pytest.raises(BridgeError, match="--ca-file"):
        RunningBridge.find(Where(secured))


def test_a_token_is_never_sent_where_others_could_read_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, DRIVER)
    with pytest.raises(BridgeError, match="wss://"):
        RunningBridge.find(Where("ws://192.0.2.1:8765"))  # never tried: that address is nobody's
    assert RunningBridge.find(Where("ws://localhost:1")) is None


@pytest.mark.parametrize("address", ["ws://:secret@localhost:1", "localhost:1/ws?token=secret", "ftp://localhost"])
def test_an_address_with_a_secret_or_a_strange_scheme_is_refused(address: str) -> None:
    with pytest.raises(BridgeError) as caught:
        RunningBridge.find(Where(address))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        (DRIVER, 0o644, "chmod 600"),
        ("", 0o600, "one token"),
        (f"{DRIVER}\n{DRIVER}", 0o600, "one token"),
        ("tökén", 0o600, "one token"),
    ],
)
def test_a_token_file_holds_one_token_and_is_private(tmp_path: Path, text: str, mode: int, said: str) -> None:
    with pytest.raises(BridgeError, match=said) as caught:
        RunningBridge.find(Where("localhost:1", private(tmp_path / "token", text, mode)))
    assert DRIVER not in str(caught.value)


def test_a_ca_file_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(BridgeError, match="no certificates"):
        RunningBridge.find(Where("wss://localhost:1", ca_file=private(tmp_path / "ca.pem", "nothing")))


def test_release_resume_and_flash_reach_the_same_bridge_in_the_same_way(
    secured: str, certificate: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The bridge of this test has no ports, and says so to those whom it lets in."""
    where = ["--url", secured, "--ca-file", str(certificate / "cert.pem")]
    for verb in ("release", "resume"):
        assert main([verb, *where]) == 1
        assert TOKEN_VARIABLE in capsys.readouterr().err
        assert main([verb, *where, "--token-file", str(private(tmp_path / "token", DRIVER))]) == 1
        assert "this bridge has no port" in capsys.readouterr().err
