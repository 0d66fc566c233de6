"""Serving beyond loopback: what is refused, what to do about it in the same line, and TLS that is counted and timed."""

from __future__ import annotations

import asyncio
import shlex
import ssl
import subprocess
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from bridge.server_helpers import Client, RawClient, in_loop, until
from bridge.test_server_tokens import DRIVER, written
from telemetry_bridge.config import Limits, ServerConfig
from telemetry_bridge.errors import BridgeError
from telemetry_bridge.hub import Hub
from telemetry_bridge.server import Server
from telemetry_bridge.server.security import Gatekeeper
from telemetry_bridge.server.tls import MAKE

NAME = "bench.example.org"


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with cert.pem and key.pem, made by the very line that the bridge tells people."""
    folder = tmp_path_factory.mktemp("certificate")
    line = next(part for part in MAKE.split("`") if part.startswith("openssl"))
    words = shlex.split(line.replace("DNS:NAME", f"DNS:{NAME},IP:127.0.0.1").replace("NAME", NAME))
    subprocess.run(words, cwd=folder, check=True, capture_output=True)
    return folder


def tls_config(folder: Path, tokens: Path, **more: object) -> ServerConfig:
    return ServerConfig(
        port=0,
        tls_certificate=str(folder / "cert.pem"),
        tls_key=str(folder / "key.pem"),
        tokens_file=str(written(tokens)),
        **more,  # type: ignore[arg-type]
    )


def trusting(folder: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(folder / "cert.pem"))


@pytest.mark.parametrize(
    ("has", "said"),
    [
        ({}, ["tokens_file", "openssl rand", "tls_certificate", "mkcert", "openssl req -x509", "ssh -L"]),
        ({"tokens"}, ["tls_certificate", "mkcert", "openssl req -x509"]),
        ({"tls"}, ["tokens_file", "openssl rand"]),
        ({"tokens", "tls"}, ["public_names"]),
    ],
)
def test_beyond_loopback_nothing_is_served_without_tokens_tls_and_names(
    has: set[str], said: list[str], certificate: Path, tmp_path: Path
) -> None:
    made = tls_config(certificate, tmp_path)
    config = ServerConfig(
        host="0.0.0.0",
        port=0,
        tokens_file=made.tokens_file if "tokens" in has else None,
        tls_certificate=made.tls_certificate if "tls" in has else None,
        tls_key=made.tls_key if "tls" in has else None,
    )
    with pytest.raises(BridgeError) as caught:
        Server(Hub(), config)
    for part in said:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)
    if "tokens" in has:
        assert "tokens_file" not in str(caught.value)


def test_an_origin_of_another_machine_needs_tokens(tmp_path: Path) -> None:
    origins = ("https://bench.example.org",)
    with pytest.raises(BridgeError, match="tokens_file"):
        Server(Hub(), ServerConfig(allowed_origins=origins))
    Server(Hub(), ServerConfig(allowed_origins=origins, tokens_file=str(written(tmp_path))))


def test_a_key_that_others_can_read_or_that_is_another_s_is_refused(certificate: Path, tmp_path: Path) -> None:
    good = tls_config(certificate, tmp_path)
    key = tmp_path / "key.pem"
    key.write_bytes((certificate / "key.pem").read_bytes())
    key.chmod(0o644)
    with pytest.raises(BridgeError, match=f"chmod 600 {key}"):
        Server(Hub(), ServerConfig(tls_certificate=good.tls_certificate, tls_key=str(key)))
    key.chmod(0o600)
    key.write_text("no key at all")
    for config in (
        ServerConfig(tls_certificate=good.tls_certificate, tls_key=str(key)),
        ServerConfig(tls_certificate=str(tmp_path / "none.pem"), tls_key=good.tls_key),
        ServerConfig(tls_certificate=good.tls_certificate),
        ServerConfig(tls_key=good.tls_key),
    ):
        with pytest.raises(BridgeError, match=r"TLS.*openssl req -x509") as caught:
            Server(Hub(), config)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["https://bench", "bench:8765", "a b", "user@bench", "bench/x", ""])
def test_a_public_name_that_is_none_is_refused(name: str, certificate: Path, tmp_path: Path) -> None:
    with pytest.raises(BridgeError, match="public name"):
        Server(Hub(), tls_config(certificate, tmp_path, host="0.0.0.0", public_names=(name,)))


def test_hosts_and_origins_of_public_names_pass_and_only_with_https() -> None:
    config = ServerConfig(public_names=("Bench.example.org", "2001:db8::1"), tls_certificate="c", tls_key="k")
    keeper = Gatekeeper(config, "0.0.0.0", 8765, has_tokens=True)
    for host in ("bench.example.org:8765", "[2001:db8::1]:8765", "localhost:8765"):
        assert keeper.refusal([host], []) is None
        assert keeper.refusal([host], [f"https://{host}"]) is None
        assert keeper.refusal([host], [f"http://{host}"]) is not None
    for host in ("bench.example.org", "evil.example:8765", "bench.example.org.evil.example:8765"):
        assert keeper.refusal([host], []) is not None
    assert Gatekeeper(config, "0.0.0.0", 443, has_tokens=True).refusal(["bench.example.org"], []) is None


def test_browsers_are_told_to_stay_with_tls_but_not_for_loopback() -> None:
    config = ServerConfig(public_names=(NAME,), tls_certificate="c", tls_key="k")
    keeper = Gatekeeper(config, "0.0.0.0", 8765, has_tokens=True)
    assert keeper.pins([f"{NAME}:8765"])
    assert not any(keeper.pins([host]) for host in ("localhost:8765", "127.0.0.1:8765", "[::1]:8765"))
    assert not keeper.pins([])
    assert not Gatekeeper(ServerConfig(), "127.0.0.1", 8765, has_tokens=True).pins([f"{NAME}:8765"])


async def https_get(server: Server, folder: Path, path: str, host: str) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=trusting(folder), server_hostname=NAME)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}:{server.port}\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer.decode()


@in_loop
async def _page_and_websocket(certificate: Path, tmp_path: Path) -> None:
    page = tmp_path / "static"
    page.mkdir()
    (page / "index.html").write_text("p" * 2_000_000)
    config = tls_config(certificate, tmp_path, public_names=(NAME,))
    async with Server(Hub(), config, static_dir=page) as server:
        assert server.url == f"https://localhost:{server.port}"
        answer = await https_get(server, certificate, "/", NAME)
        assert answer.startswith("HTTP/1.1 200 ")
        assert answer.endswith("p" * 2_000_000)  # whole, whatever TLS does at its end
        assert "Strict-Transport-Security: max-age=31536000" in answer
        assert "Strict-Transport" not in await https_get(server, certificate, "/", "localhost")
        url = f"wss://127.0.0.1:{server.port}/ws"
        options = {"subprotocols": [Subprotocol("telemetry-bridge.v1")], "ssl": trusting(certificate)}
        with pytest.raises(InvalidStatus, match="401"):
            await connect(url, **options)  # type: ignore[arg-type]
        known = {"Authorization": f"Bearer {DRIVER}"}
        async with Client(await connect(url, additional_headers=known, **options)) as client:  # type: ignore[arg-type]
            assert (await client.until("welcome"))["role"] == "operator"


def test_page_and_websocket_are_served_over_tls(certificate: Path, tmp_path: Path) -> None:
    _page_and_websocket(certificate, tmp_path)


@in_loop
async def _old_tls(certificate: Path, tmp_path: Path) -> None:
    async with Server(Hub(), tls_config(certificate, tmp_path)) as server:
        old = trusting(certificate)
        old.set_ciphers("DEFAULT:@SECLEVEL=0")
        old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection("127.0.0.1", server.port, ssl=old)
        async with await RawClient().connect(server) as plain:
            await plain.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"HTTP" not in await plain.read_to_end()
        async with await RawClient().connect(server) as gone:
            await gone.send(b"\x16\x03\x01")


@pytest.mark.filterwarnings("ignore:.*TLSv?1_1.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*MINIMUM_SUPPORTED.*:DeprecationWarning")
def test_old_tls_and_plain_http_get_nothing(certificate: Path, tmp_path: Path) -> None:
    _old_tls(certificate, tmp_path)


@in_loop
async def _handshake_flood(certificate: Path, tmp_path: Path) -> None:
    limits = Limits(pending=8, pending_per_address=4, open_s=2.0)
    async with Server(Hub(), tls_config(certificate, tmp_path), limits) as server:
        floods = [await RawClient().connect(server, "127.0.0.66") for _ in range(12)]
        ends = await asyncio.gather(*(raw.read_to_end() for raw in floods[4:]))
        assert ends == [b""] * 8  # one too many each: cut at once
        assert (await https_get(server, certificate, "/healthz", "localhost")).startswith("HTTP/1.1 503 ")
        for raw in floods[:4]:
            assert await raw.read_to_end() == b""  # by its time limit
            raw.close()
        for raw in floods[4:]:
            raw.close()


def test_who_never_finishes_the_tls_handshake_is_counted_and_cut(certificate: Path, tmp_path: Path) -> None:
    _handshake_flood(certificate, tmp_path)


@in_loop
async def _closing(certificate: Path, tmp_path: Path) -> None:
    server = Server(Hub(), tls_config(certificate, tmp_path), Limits(open_s=1000))
    await server.start()
    async with await RawClient().connect(server) as raw:
        await raw.send(b"\x16\x03\x01")
        await until(lambda: server._admission.guests)
        await server.close()
        assert await raw.read_to_end() == b""


def test_a_server_closes_at_once_though_a_tls_handshake_waits(certificate: Path, tmp_path: Path) -> None:
    _closing(certificate, tmp_path)
