"""Floods, and bytes that two readers might read differently: each is refused by name, and a reader never notices."""

from __future__ import annotations

import asyncio
import logging
import zlib
from itertools import pairwise
from pathlib import Path

import pytest

from bridge.server_helpers import HANDSHAKE, RawClient, in_loop, join, until
from bridge.test_server_attacks import bearer, site
from bridge.test_server_tokens import DRIVER, WATCHER
from telemetry_bridge.config import Limits, ServerConfig
from telemetry_bridge.hub import Hub
from telemetry_bridge.server import Server
from telemetry_bridge.server.connection import Connection


async def raw_answer(server: Server, request: bytes) -> str:
    """Head and body of whatever comes back, until the connection ends."""
    async with await RawClient().connect(server) as raw:
        await raw.send(request)
        return (await raw.read_to_end()).decode()


async def upgraded(raw: RawClient, server: Server) -> None:
    """Perform the opening handshake as an operator, and read the welcome."""
    more = f"Authorization: Bearer {DRIVER}\r\n"
    await raw.send(HANDSHAKE.format(host=f"127.0.0.1:{server.port}", more=more).encode())
    assert (await raw.head()).startswith("HTTP/1.1 101 ")
    assert (await raw.message())["op"] == "welcome"


# -------------------------------------------------------------- too much of it


@in_loop
async def test_a_request_that_trickles_in_is_told_that_it_took_too_long(tmp_path: Path) -> None:
    async with site(tmp_path, Limits(open_s=1.0)) as at, await RawClient().connect(at.server) as raw:
        await raw.send(b"GET / HTTP/1.1\r\nX-a: ")
        head = await raw.head()  # nothing ever ends that header
        assert head.startswith("HTTP/1.1 408 ")
        assert "Connection: close" in head
        await raw.read_to_end()
        await at.reader_still_reads()


@pytest.mark.parametrize(
    "headers",
    [
        b"".join(b"X-%d: a\r\n" % number for number in range(65)) + b"\r\n",
        b"X: " + b"a" * 20_000 + b"\r\n",
        b"X: a\r\n" * 200_000,
        b"Cookie: " + b"a" * 1_000_000,
    ],
    ids=["many", "long", "very many", "endless"],
)
def test_a_flood_of_headers_is_refused(headers: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    @in_loop
    async def run() -> None:
        async with site(tmp_path) as at, await RawClient().connect(at.server) as raw:
            flood = asyncio.create_task(raw.send(b"GET / HTTP/1.1\r\n" + headers))
            assert (await raw.head()).startswith("HTTP/1.1 431 ")
            assert (await raw.read_to_end()).endswith(b"are the limit.\n")
            await asyncio.wait({flood})
            flood.exception()  # it may have been cut before it was all sent

    run()
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@in_loop
async def test_a_message_that_is_too_large_closes_its_connection_before_it_is_read(tmp_path: Path) -> None:
    async with site(tmp_path, Limits(message_bytes=1000)) as at, await RawClient().connect(at.server) as raw:
        await upgraded(raw, at.server)
        await raw.send(b"\x81\xff" + (2**40).to_bytes(8, "big") + bytes(4))
        while (code := await raw.message()).__class__ is not int:
            pass
        assert code == 1009


@in_loop
async def test_a_message_in_endless_fragments_is_too_large_as_well(tmp_path: Path) -> None:
    async with site(tmp_path, Limits(message_bytes=1000)) as at, await RawClient().connect(at.server) as raw:
        await upgraded(raw, at.server)
        fragment = bytes([0xFD]) + bytes(4) + b"a" * 125
        await raw.send(b"\x01" + fragment + (b"\x00" + fragment) * 10)
        while (code := await raw.message()).__class__ is not int:
            pass
        assert code == 1009


@pytest.mark.parametrize("finished", [False, True], ids=["half open", "subscribers"])
def test_a_flood_of_connections_from_one_address_leaves_room_for_others(finished: bool, tmp_path: Path) -> None:
    @in_loop
    async def run() -> None:
        limits = Limits(pending=8, pending_per_address=4, connections=8, connections_per_address=4, open_s=1000)
        async with site(tmp_path, limits) as at:
            floods = [await RawClient().connect(at.server, "127.0.0.66") for _ in range(12)]
            cut = 0
            for raw in floods:
                if finished:
                    request = HANDSHAKE.format(
                        host=f"127.0.0.1:{at.server.port}", more=f"Authorization: Bearer {WATCHER}\r\n"
                    )
                    await raw.send(request.encode())
                    cut += not (await raw.head_or_end()).startswith("HTTP/1.1 101 ")
            if not finished:
                await until(lambda: [c.address for c in at.server.connections()].count("127.0.0.66") == 4)
                cut = 8
            assert cut == 8
            async with await join(at.server, additional_headers=bearer(DRIVER)) as client:
                assert (await client.until("welcome"))["role"] == "operator"
            for raw in floods:
                raw.close()

    run()


@in_loop
async def test_a_flood_of_pings_by_one_who_reads_nothing_grows_nothing(tmp_path: Path) -> None:
    limits = Limits(write_buffer_bytes=8192, socket_buffer_bytes=4096)
    async with site(tmp_path, limits) as at, await RawClient().connect(at.server) as raw:
        await upgraded(raw, at.server)
        ping = bytes([0x89, 0xFD]) + bytes(4) + b"p" * 125
        flood = asyncio.create_task(raw.send(ping * 100_000))
        attacker = next(c for c in at.server.connections() if c.address == "127.0.0.1" and c.identity.name == "ada")
        await until(lambda: attacker.paused)  # the pongs have filled what may wait
        for _ in range(20):
            await at.reader_still_reads()
        assert attacker.transport.get_write_buffer_size() < 8192 + 256 * 1024  # and what one read may answer
        assert not flood.done()
        flood.cancel()
        await asyncio.wait({flood})


@in_loop
async def test_what_is_compressed_is_not_unpacked(tmp_path: Path) -> None:
    async with site(tmp_path) as at, await RawClient().connect(at.server) as raw:
        more = f"Authorization: Bearer {DRIVER}\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"
        await raw.send(HANDSHAKE.format(host=f"127.0.0.1:{at.server.port}", more=more).encode())
        assert "permessage-deflate" not in await raw.head()
        bomb = zlib.compress(bytes(10_000_000), 9)[2:-4]
        await raw.send(bytes([0xC1, 0xFE]) + len(bomb).to_bytes(2, "big") + bytes(4) + bomb)
        while (code := await raw.message()).__class__ is not int:
            pass
        assert code == 1002


@pytest.mark.parametrize(
    "text",
    [
        '{"op":"command","id":1,"device":"dev-a","name":"reset","args":' + "[" * 20_000,
        '{"op":"command","id":1,"device":"dev-a","name":"reset","args":' + '{"a":' * 9_000 + "1" + "}" * 9_000 + "}",
        '{"op":"subscribe","id":1,"device":"dev-a","stream":"imu","unknown":' + "[" * 30_000 + "]" * 30_000 + "}",
        "[" * 60_000,
        '{"op":"subscribe","id":1' + "0" * 50_000 + ',"device":"dev-a","stream":"imu"}',
        '{"op":"subscribe","id":1e999999999,"device":"dev-a","stream":"imu"}',
        '{"op":"subscribe","id":1,"device":"dev-a","stream":"imu","rate_hz":1' + "0" * 50_000 + "}",
        '{"op":"\\ud800","id":"\\ud800"}',
    ],
    ids=["open", "objects", "unknown key", "arrays", "long id", "infinite id", "long rate", "lone surrogate"],
)
def test_json_that_is_deep_or_odd_gets_an_error_and_nothing_else_happens(text: str, tmp_path: Path) -> None:
    @in_loop
    async def run() -> None:
        async with site(tmp_path) as at, await join(at.server, additional_headers=bearer(DRIVER)) as client:
            await client.ws.send(text)
            assert (await client.until("error"))["code"] in {"bad_request", "unknown_op"}
            assert (await client.ask(op="subscribe", id=2, device="dev-a", stream="imu"))["op"] == "subscribed"
            assert at.commands == []

    run()


# ------------------------------------------------------------ two ways to read it


@pytest.mark.parametrize(
    ("headers", "rest"),
    [
        (b"Content-Length: 0\r\nContent-Length: 44\r\n", b""),
        (b"Content-Length: 0\r\nContent-Length: 0\r\n", b""),
        (b"Content-Length: 5\r\n", b"GET /"),
        (b"Content-Length: +0\r\n", b""),
        (b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
        (b"Transfer-Encoding: chunked\r\n", b""),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", b"0\r\n\r\n"),
        (b"Transfer-Encoding : chunked\r\n", b""),
        (b"Transfer-Encoding\t: chunked\r\n", b""),
        (b"X: a\r\n Transfer-Encoding: chunked\r\n", b""),
        (b"X: a\nTransfer-Encoding: chunked\r\n", b""),
        (b"X: a\rContent-Length: 9\r\n", b""),
        (b"X: a\x00b\r\n", b""),
        (b": nothing\r\n", b""),
        (b"nothing\r\n", b""),
        (b"", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ],
)
def test_what_a_proxy_might_read_otherwise_is_one_bad_request(headers: bytes, rest: bytes, tmp_path: Path) -> None:
    @in_loop
    async def run() -> None:
        async with site(tmp_path) as at:
            host = f"Host: 127.0.0.1:{at.server.port}\r\n".encode()
            got = await raw_answer(at.server, b"GET /healthz HTTP/1.1\r\n" + host + headers + b"\r\n" + rest)
            assert got.startswith("HTTP/1.1 400 ")
            assert got.count("HTTP/1.1 ") == 1

    run()


@pytest.mark.parametrize(
    "line",
    [b"GET /healthz", b"GET  /healthz HTTP/1.1", b"GET /healthz HTTP/2.0", b"GET /a b HTTP/1.1", b"GET \x80 HTTP/1.1"],
)
def test_a_request_line_that_is_none_is_a_bad_request(line: bytes, tmp_path: Path) -> None:
    @in_loop
    async def run() -> None:
        async with site(tmp_path) as at:
            assert (await raw_answer(at.server, line + b"\r\n\r\n")).startswith("HTTP/1.1 400 ")

    run()


@in_loop
async def test_one_who_asks_without_a_pause_leaves_the_others_their_turns() -> None:
    hub = Hub()
    async with Server(hub, ServerConfig(port=0)) as server, await RawClient().connect(server) as raw:
        await raw.upgrade(server)
        text = b'{"op":"unsubscribe","id":1,"sub":9}'
        await raw.send(400 * (bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text))
        turns: list[int] = []  # how many of the requests were answered at each turn of the loop
        while not turns or turns[-1] < 400:
            await asyncio.sleep(0)
            turns.append(sum(client.sent_messages for client in server._clients.values()) - 1)
        assert max(b - a for a, b in pairwise(turns)) <= 64


@in_loop
async def test_a_flood_of_requests_is_parsed_a_little_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    receive = Connection.data_received

    def noted(connection: Connection, data: bytes) -> None:
        sizes.append(len(data))
        receive(connection, data)

    monkeypatch.setattr(Connection, "data_received", noted)
    async with Server(Hub(), ServerConfig(port=0)) as server, await RawClient().connect(server) as raw:
        await raw.upgrade(server)
        sizes.clear()
        text = b"{}"
        await raw.send(8192 * (bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text))
        await until(lambda: sum(sizes) == 8192 * 8)
    assert max(sizes) <= 16384
