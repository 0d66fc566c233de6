"""The server as an attacker sees it: one test, one attack. Somebody else is always there, and must not notice.

What a page of another site, another Host, another path or a broken frame may do is in test_server_security.py and
test_server_http.py; tokens and tickets without a socket in test_server_tokens.py.
"""

from __future__ import annotations

import asyncio
import json
import logging
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.typing import Subprotocol

from bridge.server_helpers import (
    HANDSHAKE,
    Client,
    RawClient,
    batch,
    device_info,
    epoch_started,
    http_get,
    in_loop,
    join,
    until,
)
from bridge.test_server_tokens import DRIVER, ENTRIES, WATCHER, written
from telemetry_bridge.config import Limits, ServerConfig
from telemetry_bridge.events import CommandDone, DeviceChanged, WireArgs
from telemetry_bridge.hub import Hub
from telemetry_bridge.server import Server

V1 = Subprotocol("telemetry-bridge.v1")


class Site:
    """A server with a board, tokens, and somebody who reads."""

    def __init__(self, hub: Hub, server: Server, reader: Client) -> None:
        self.hub, self.server, self.reader = hub, server, reader
        self.commands: list[str] = []
        self._index = 0

    async def command(self, name: str, _: WireArgs) -> CommandDone:
        """What the board is told."""
        self.commands.append(name)
        return CommandDone("dev-a", 1, name, "ok", {}, "")

    async def reader_still_reads(self) -> None:
        """A batch that is published now reaches the reader."""
        self.hub.publish(batch(self._index))
        while (message := await self.reader.next()).__class__ is dict:
            assert message["op"] == "device"
        assert message.index == self._index
        self._index += 20


@asynccontextmanager
async def site(folder: Path, limits: Limits | None = None) -> AsyncIterator[Site]:
    hub = Hub()
    hub.publish(DeviceChanged(device_info()))
    hub.publish(epoch_started())
    config = ServerConfig(port=0, tokens_file=str(written(folder)))
    async with Server(hub, config, limits) as server, await join(server, additional_headers=bearer(WATCHER)) as reader:
        assert (await reader.until("welcome"))["role"] == "viewer"
        await reader.ask(op="subscribe", id=1, device="dev-a", stream="imu")
        made = Site(hub, server, reader)
        hub.register_device("dev-a", made.command)
        yield made
        await made.reader_still_reads()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def ticket_for(server: Server, token: str) -> Subprotocol:
    status, headers, body = await http_get(server, "/ticket", more=f"Authorization: Bearer {token}\r\n")
    assert (status, headers["cache-control"]) == (200, "no-store")
    return Subprotocol(json.loads(body)["ticket"])


async def refused(server: Server, **options: object) -> InvalidStatus:
    with pytest.raises(InvalidStatus) as caught:
        await join(server, **options)  # type: ignore[arg-type]
    return caught.value


async def raw_answer(server: Server, request: bytes) -> str:
    """Head and body of whatever comes back, until the connection ends."""
    async with await RawClient().connect(server) as raw:
        await raw.send(request)
        return (await raw.read_to_end()).decode()


# -------------------------------------------------------------------- who it is


@in_loop
async def test_without_a_token_nothing_is_told_but_that_a_token_is_wanted(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        error = await refused(at.server)
        assert error.response.status_code == 401
        assert error.response.headers["WWW-Authenticate"] == 'Bearer realm="telemetry-bridge"'
        for path in ("/ticket", "/metrics"):
            status, headers, _ = await http_get(at.server, path)
            assert (status, headers["www-authenticate"]) == (401, 'Bearer realm="telemetry-bridge"')
        status, _, body = await http_get(at.server, "/healthz")
        assert (status, json.loads(body)) == (200, {"status": "ok"})
        status, _, body = await http_get(at.server, "/healthz", more=f"Authorization: Bearer {WATCHER}\r\n")
        assert json.loads(body)["clients"][0]["name"] == "wall"


@in_loop
async def test_a_wrong_token_gets_nowhere(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        for headers in (bearer("wrong"), bearer(DRIVER[:-1]), {"Authorization": f"Basic {DRIVER}"}):
            assert (await refused(at.server, additional_headers=headers)).response.status_code == 401
        assert (await http_get(at.server, "/healthz", more="Authorization: Bearer wrong\r\n"))[0] == 401


@in_loop
async def test_a_ticket_of_nobody_and_one_that_was_used_get_nowhere(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        ticket = await ticket_for(at.server, DRIVER)
        async with await join(at.server, subprotocols=[V1, ticket]) as client:
            assert client.ws.subprotocol == V1  # the ticket does not come back
            assert (await client.until("welcome"))["role"] == "operator"
        for offered in (ticket, Subprotocol("ticket.AAAA"), Subprotocol("ticket.")):
            assert (await refused(at.server, subprotocols=[V1, offered])).response.status_code == 401


@in_loop
async def test_a_ticket_of_a_viewer_makes_no_operator(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        for extra in ({}, bearer(DRIVER), {"X-Role": "operator"}):
            ticket = await ticket_for(at.server, WATCHER)
            async with await join(at.server, subprotocols=[V1, ticket], additional_headers=extra) as client:
                assert (await client.until("welcome"))["role"] == "viewer"


@pytest.mark.parametrize(
    ("op", "more"),
    [
        ("command", {"device": "dev-a", "name": "reset", "args": {}}),
        ("release", {}),
        ("resume", {}),
        ("mark", {"text": "here"}),
    ],
)
def test_a_viewer_cannot_command(
    op: str, more: dict[str, object], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    @in_loop
    async def run() -> None:
        async with site(tmp_path) as at:
            for token, allowed in ((WATCHER, False), (DRIVER, True)):
                async with await join(at.server, additional_headers=bearer(token)) as client:
                    answer = await client.ask(op=op, id=9, **more)
                    if allowed:
                        assert (answer["op"], answer.get("code")) in {
                            ("result", None),
                            ("ok", None),
                            ("error", "unknown_device"),
                        }
                    else:
                        assert (answer["op"], answer["code"]) == ("error", "forbidden")
                        assert "operator" in answer["message"]
                assert (at.commands == []) != (allowed and op == "command")

    run()
    request = f"{op.capitalize()}(id=9"
    assert f"wall (viewer) was refused: {request}" in caplog.text
    assert f"ada: {request}" in caplog.text


@in_loop
async def test_whoever_has_a_token_that_is_taken_out_of_use_has_to_leave(tmp_path: Path) -> None:
    async with (
        site(tmp_path) as at,
        await join(at.server, additional_headers=bearer(DRIVER)) as client,
        await join(at.server, subprotocols=[V1, await ticket_for(at.server, DRIVER)]) as page,
    ):
        written(tmp_path, ENTRIES.replace(DRIVER, "another-token-0123456789"))
        at.server.refresh_tokens()
        for gone in (client, page):
            with pytest.raises(ConnectionClosedError, match=r"1008.*not valid any more"):
                await gone.until("never")
        assert (await refused(at.server, additional_headers=bearer(DRIVER))).response.status_code == 401


@in_loop
async def test_an_operator_who_is_made_a_viewer_has_to_come_again(tmp_path: Path) -> None:
    async with site(tmp_path) as at, await join(at.server, additional_headers=bearer(DRIVER)) as client:
        written(tmp_path, ENTRIES.replace('operator"', 'viewer"'))
        at.server.refresh_tokens()
        with pytest.raises(ConnectionClosedError, match="1008"):
            await client.until("never")
        async with await join(at.server, additional_headers=bearer(DRIVER)) as again:
            assert (await again.until("welcome"))["role"] == "viewer"


@in_loop
async def test_guesses_are_answered_but_lock_nobody_out(tmp_path: Path) -> None:
    async with site(tmp_path, Limits(guesses=3)) as at:
        statuses = []
        for number in range(6):
            error = await refused(at.server, additional_headers=bearer(f"guess-number-{number}-0123456789"))
            statuses.append(error.response.status_code)
        assert statuses == [401, 401, 401, 429, 429, 429]
        async with await join(at.server, additional_headers=bearer(DRIVER)) as client:  # from the same address
            assert (await client.until("welcome"))["role"] == "operator"


@pytest.mark.parametrize("path", ["/ws?token={}", "/?access_token={}", "/ticket?x=1&Token={}", "/healthz?ticket={}"])
def test_a_token_in_an_address_is_refused_and_in_no_log(
    path: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    @in_loop
    async def run() -> None:
        async with site(tmp_path) as at:
            status, _, body = await http_get(at.server, path.format(DRIVER), more=f"Authorization: Bearer {DRIVER}\r\n")
            assert status == 400
            assert b"out of use" in body
            assert DRIVER.encode() not in body

    run()
    assert caplog.text != ""
    assert DRIVER not in caplog.text


def test_neither_tokens_nor_tickets_are_in_any_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("websockets.client").setLevel(logging.INFO)  # the tests' own client
    tickets: list[str] = []

    @in_loop
    async def run() -> None:
        async with site(tmp_path) as at:
            tickets.append(await ticket_for(at.server, DRIVER))
            async with await join(at.server, subprotocols=[V1, Subprotocol(tickets[0])]) as client:
                await client.until("welcome")
            await refused(at.server, additional_headers=bearer("wrong-token-in-a-header"))

    run()
    assert "ada (operator) is here from 127.0.0.1" in caplog.text
    for secret in (DRIVER, WATCHER, tickets[0], tickets[0].removeprefix("ticket."), "wrong-token-in-a-header"):
        assert secret not in caplog.text


@pytest.mark.parametrize("header", ["Origin: http://evil.example", "Origin: null"])
def test_a_page_of_another_site_gets_no_ticket_even_with_the_token(header: str, tmp_path: Path) -> None:
    @in_loop
    async def run() -> None:
        async with site(tmp_path) as at:
            more = f"{header}\r\nAuthorization: Bearer {DRIVER}\r\n"
            status, headers, _ = await http_get(at.server, "/ticket", more=more)
            assert status == 403
            assert not any(name.startswith("access-control") for name in headers)
            preflight = f"{header}\r\nAccess-Control-Request-Headers: authorization\r\n"
            assert (await http_get(at.server, "/ticket", method="OPTIONS", more=preflight))[0] == 405

    run()


@in_loop
async def test_a_name_that_was_rebound_to_this_machine_gets_no_ticket(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        host = f"rebound.example:{at.server.port}"
        assert (await http_get(at.server, "/ticket", host=host, more=f"Authorization: Bearer {DRIVER}\r\n"))[0] == 403


@in_loop
async def test_a_proxy_passes_on_what_its_own_page_says_and_nothing_else(tmp_path: Path) -> None:
    public = "bench.example.org"
    config = ServerConfig(port=0, tokens_file=str(written(tmp_path)), allowed_origins=(f"https://{public}",))
    async with Server(Hub(), config) as server:
        for origin, token, status in (
            (f"https://{public}", DRIVER, 101),
            (f"http://{public}", DRIVER, 403),
            ("https://evil.example.org", DRIVER, 403),
            (f"https://{public}", "wrong", 401),
        ):
            async with await RawClient().connect(server) as raw:
                more = f"Origin: {origin}\r\nAuthorization: Bearer {token}\r\nX-Forwarded-For: 10.0.0.1\r\n"
                await raw.send(HANDSHAKE.format(host=public, more=more).encode())
                assert (await raw.head()).startswith(f"HTTP/1.1 {status} ")


@in_loop
async def test_no_get_changes_anything(tmp_path: Path) -> None:
    """Nothing that an image or a link of another site can ask for does anything (a ticket needs a header)."""
    async with site(tmp_path) as at:
        known = f"Authorization: Bearer {DRIVER}\r\n"
        for path in ("/ws", "/ws?op=command&device=dev-a&name=reset", "/command?name=reset", "/release", "/healthz"):
            for method in ("GET", "HEAD"):
                await http_get(at.server, path, method=method, more=known)
        assert at.commands == []
        assert at.server.clients == 1
        assert (await http_get(at.server, "/ticket"))[0] == 401


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


async def upgraded(raw: RawClient, server: Server) -> None:
    """Perform the opening handshake as an operator, and read the welcome."""
    more = f"Authorization: Bearer {DRIVER}\r\n"
    await raw.send(HANDSHAKE.format(host=f"127.0.0.1:{server.port}", more=more).encode())
    assert (await raw.head()).startswith("HTTP/1.1 101 ")
    assert (await raw.message())["op"] == "welcome"
