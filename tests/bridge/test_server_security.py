"""Who may connect: loopback, the right Host, the right Origin, the right subprotocol, and not too many."""

from __future__ import annotations

import pytest
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from bridge.server_helpers import (
    HANDSHAKE,
    RawClient,
    batch,
    device_info,
    epoch_started,
    http_get,
    in_loop,
    join,
)
from telemetry_bridge.config import Limits, ServerConfig
from telemetry_bridge.errors import BridgeError
from telemetry_bridge.events import DeviceChanged
from telemetry_bridge.hub import Hub
from telemetry_bridge.server import Server


async def upgrade_status(server: Server, host: str, more: str = "") -> int:
    """Status of an opening handshake with these headers."""
    async with await RawClient().connect(server) as raw:
        await raw.send(HANDSHAKE.format(host=host, more=more).encode())
        return int((await raw.head()).split()[1])


@pytest.mark.parametrize("host", ["0.0.0.0", "", "192.168.1.10", "::", "example.org", "10.0.0.1", "127.0.0.1.nip.io"])
def test_only_loopback_can_be_bound(host: str) -> None:
    with pytest.raises(BridgeError, match=r"127\.0\.0\.1"):
        Server(Hub(), ServerConfig(host=host))


@pytest.mark.parametrize("origin", ["localhost:5173", "*", "http://", "http://a/b", "ftp://a"])
def test_an_origin_that_is_none_is_refused_at_once(origin: str) -> None:
    with pytest.raises(BridgeError, match="http://host:port"):
        Server(Hub(), ServerConfig(allowed_origins=(origin,)))


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:{port}", 101),
        ("localhost:{port}", 101),
        ("LOCALHOST:{port}", 101),
        ("[::1]:{port}", 101),
        ("evil.example:{port}", 403),
        ("127.0.0.1.evil.example:{port}", 403),
        ("localhost.evil.example:{port}", 403),
        ("127.0.0.1", 403),
        ("localhost:1", 403),
        ("", 403),
        ("user@localhost:{port}", 403),
    ],
)
def test_the_host_header_must_name_this_server(host: str, status: int) -> None:
    @in_loop
    async def run() -> None:
        async with Server(Hub(), ServerConfig(port=0)) as server:
            name = host.format(port=server.port)
            assert await upgrade_status(server, name) == status
            assert (await http_get(server, "/healthz", host=name))[0] == (503 if status == 101 else 403)

    run()


@in_loop
async def test_a_request_without_host_or_with_two_is_refused() -> None:
    async with Server(Hub(), ServerConfig(port=0)) as server:
        async with await RawClient().connect(server) as raw:
            await raw.send(b"GET /healthz HTTP/1.0\r\n\r\n")
            assert (await raw.head()).startswith("HTTP/1.1 403 ")
        host = f"127.0.0.1:{server.port}"
        assert await upgrade_status(server, host, f"Host: {host}\r\n") == 403


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:{port}", 101),
        ("http://localhost:{port}", 101),
        ("http://[::1]:{port}", 101),
        ("http://localhost:5173", 101),
        ("http://localhost:5174", 403),
        ("https://localhost:{port}", 403),
        ("http://evil.example", 403),
        ("http://evil.example:{port}", 403),
        ("http://localhost:{port}.evil.example", 403),
        ("null", 403),
        ("", 403),
        ("file://", 403),
    ],
)
def test_a_page_of_another_site_may_not_read(origin: str, status: int) -> None:
    @in_loop
    async def run() -> None:
        async with Server(Hub(), ServerConfig(port=0, allowed_origins=("http://localhost:5173/",))) as server:
            header = f"Origin: {origin.format(port=server.port)}\r\n"
            assert await upgrade_status(server, f"127.0.0.1:{server.port}", header) == status
            assert (await http_get(server, "/healthz", more=header))[0] == (503 if status == 101 else 403)

    run()


@in_loop
async def test_two_origins_are_refused_even_if_each_may_read() -> None:
    async with Server(Hub(), ServerConfig(port=0)) as server:
        origin = f"Origin: http://localhost:{server.port}\r\n"
        assert await upgrade_status(server, f"127.0.0.1:{server.port}", origin * 2) == 403


@in_loop
async def test_the_host_of_an_allowed_origin_is_accepted_from_a_proxy() -> None:
    async with Server(Hub(), ServerConfig(port=0, allowed_origins=("http://localhost:5173",))) as server:
        assert await upgrade_status(server, "localhost:5173", "Origin: http://localhost:5173\r\n") == 101


@in_loop
async def test_the_subprotocol_must_be_offered_and_is_picked_among_others() -> None:
    async with Server(Hub(), ServerConfig(port=0)) as server:
        for offered in (None, [Subprotocol("telemetry-bridge.v2")]):
            with pytest.raises(InvalidStatus) as caught:
                await join(server, subprotocols=offered)
            assert caught.value.response.status_code == 400
            assert b"telemetry-bridge.v1" in (caught.value.response.body or b"")
        several = [Subprotocol(name) for name in ("ticket.abc", "telemetry-bridge.v2", "telemetry-bridge.v1")]
        async with await join(server, subprotocols=several) as client:
            assert client.ws.subprotocol == "telemetry-bridge.v1"


@in_loop
async def test_the_websocket_is_at_its_own_path_only_and_says_so_to_a_browser() -> None:
    async with Server(Hub(), ServerConfig(port=0)) as server:
        status, headers, body = await http_get(server, "/ws")
        assert (status, headers["upgrade"]) == (426, "websocket")
        assert b"telemetry-bridge.v1" in body
        async with await RawClient().connect(server) as raw:
            text = HANDSHAKE.format(host=f"127.0.0.1:{server.port}", more="").replace("/ws", "/other")
            await raw.send(text.encode())
            assert (await raw.head()).startswith("HTTP/1.1 404 ")


@in_loop
async def test_no_compression_is_negotiated() -> None:
    async with Server(Hub(), ServerConfig(port=0)) as server, await RawClient().connect(server) as raw:
        more = "Sec-WebSocket-Extensions: permessage-deflate\r\n"
        await raw.send(HANDSHAKE.format(host=f"127.0.0.1:{server.port}", more=more).encode())
        assert "sec-websocket-extensions" not in (await raw.head()).lower()


@pytest.mark.parametrize(
    ("limits", "status"),
    [(Limits(connections=2), 503), (Limits(connections_per_address=2), 429)],
)
def test_connections_are_limited_and_one_that_ends_makes_room(limits: Limits, status: int) -> None:
    @in_loop
    async def run() -> None:
        async with Server(Hub(), ServerConfig(port=0), limits) as server:
            first, second = await join(server), await join(server)
            with pytest.raises(InvalidStatus) as caught:
                await join(server)
            assert caught.value.response.status_code == status
            assert b"2" in (caught.value.response.body or b"")
            assert caught.value.response.headers["Retry-After"] == "5"
            assert (await http_get(server, "/healthz"))[0] == 503
            await first.ws.close()
            async with await join(server):
                pass
            await second.ws.close()

    run()


@in_loop
async def test_half_open_connections_are_cut_and_disturb_nobody() -> None:
    hub = Hub()
    hub.publish(DeviceChanged(device_info()))
    hub.publish(epoch_started())
    async with Server(hub, ServerConfig(port=0), Limits(open_s=0.5)) as server, await join(server) as client:
        await client.ask(op="subscribe", id=1, device="dev-a", stream="imu")
        async with await RawClient().connect(server) as silent, await RawClient().connect(server) as partial:
            await partial.send(b"GET /ws HTTP/1.1\r\nHost: 127")
            hub.publish(batch(0))
            assert (await client.next()).index == 0
            assert await silent.read_to_end() == b""
            assert (await partial.read_to_end()).startswith(b"HTTP/1.1 408 ")


@in_loop
async def test_too_many_half_open_connections_are_cut_at_once() -> None:
    async with Server(Hub(), ServerConfig(port=0), Limits(pending=2, open_s=1000)) as server:
        first, second, extra = (RawClient() for _ in range(3))
        async with await first.connect(server), await second.connect(server), await extra.connect(server):
            assert await extra.read_to_end() == b""


@in_loop
async def test_a_server_closes_at_once_though_half_open_connections_wait() -> None:
    server = Server(Hub(), ServerConfig(port=0), Limits(open_s=1000))
    await server.start()
    async with await RawClient().connect(server) as raw:
        await raw.send(b"GET / HTTP/1.1\r\n")
        async with await join(server) as client:
            await client.next()
            await server.close()
        assert await raw.read_to_end() == b""


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x81\x82" + bytes(4) + b"\xff\xfe", 1007),
        (b"\x83\x80" + bytes(4), 1002),
        (b"\x81\x02{}", 1002),
        (b"\xc1\x82" + bytes(4) + b"{}", 1002),
    ],
    ids=["not utf-8", "reserved opcode", "not masked", "compressed"],
)
def test_broken_frames_close_their_connection_with_the_right_code(frame: bytes, code: int) -> None:
    @in_loop
    async def run() -> None:
        async with Server(Hub(), ServerConfig(port=0)) as server, await RawClient().connect(server) as raw:
            await raw.upgrade(server)
            assert (await raw.message())["op"] == "welcome"
            await raw.send(frame)
            assert await raw.message() == code

    run()


@in_loop
async def test_garbage_instead_of_http_gets_an_end_and_harms_nobody() -> None:
    async with Server(Hub(), ServerConfig(port=0)) as server, await join(server) as client:
        async with await RawClient().connect(server) as raw:
            await raw.send(bytes(range(256)) * 4)
            await raw.read_to_end()
        await client.next()
        assert (await client.ask(op="subscribe", id=1, device="*", stream="imu"))["op"] == "subscribed"
