"""Links: URIs, TCP over loopback, and byte sources inside the process."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from collections.abc import Mapping

import pytest

from telemetry_bridge import link
from telemetry_bridge.errors import LinkError, LinkLost
from telemetry_bridge.link import LinkUri, PortInfo, base, parse_uri
from telemetry_bridge.link.inbox import PAUSE_AT, Inbox
from telemetry_bridge.link.serial_port import DEFAULT_BAUD, SerialLink
from telemetry_bridge.link.source import SourceLink
from telemetry_bridge.link.tcp import TcpLink

BAD_URIS = [
    "",
    "ttyACM0",
    "telnet:host:23",
    "tcp:",
    "tcp:host",
    "tcp:host:",
    "tcp::5000",
    "tcp:host:0",
    "tcp:host:65536",
    "tcp:host:http",
    "tcp:host:-1",
    "tcp:host:5000?baud=9600",
    "serial:",
    "serial:/dev/ttyACM0?baud=fast",
    "serial:/dev/ttyACM0?baud=0",
    "serial:/dev/ttyACM0?baud=²",
    "serial:/dev/ttyACM0?speed=9600",
    "serial:/dev/ttyACM0?baud",
    "sim:?rate=1000",
]


@pytest.mark.parametrize("uri", BAD_URIS)
def test_a_bad_uri_is_one_line_that_names_it(uri: str) -> None:
    with pytest.raises(LinkError) as refusal:
        link.create(uri)
    message = str(refusal.value)
    assert "\n" not in message
    assert uri in message


@pytest.mark.parametrize(
    "uri", ["/dev/ttyACM0", "COM3", "com12", "\\\\.\\COM10", "serial:/dev/ttyACM0?baud=115200", "serial:COM3"]
)
def test_a_port_name_is_a_serial_link(uri: str) -> None:
    made = link.create(uri)
    assert isinstance(made, SerialLink)
    assert made.uri == (uri if uri.startswith("serial:") else f"serial:{uri}")


def test_uris_carry_their_parameters() -> None:
    uri = parse_uri("serial:/dev/ttyACM0?baud=115200")
    assert (uri.scheme, uri.target, dict(uri.parameters)) == ("serial", "/dev/ttyACM0", {"baud": "115200"})
    assert uri.integer("baud", DEFAULT_BAUD, 1, 10**7) == 115200
    assert parse_uri("/dev/ttyACM0").integer("baud", DEFAULT_BAUD, 1, 10**7) == 921_600


@pytest.mark.parametrize(
    ("uri", "address"),
    [("tcp:localhost:5000", ("localhost", 5000)), ("tcp:[::1]:5000", ("::1", 5000)), ("tcp://h:1/", ("h", 1))],
)
def test_tcp_addresses(uri: str, address: tuple[str, int]) -> None:
    made = link.create(uri)
    assert isinstance(made, TcpLink)
    assert (made._host, made._port) == address


def test_listing_ports_gives_what_can_be_opened() -> None:
    for port in link.list_ports():
        assert isinstance(port, PortInfo)
        assert port.device in port.uri
        assert port.description


class Server:
    """A TCP server that hands its one client to the test."""

    def __init__(self) -> None:
        self.client: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]]

    async def __aenter__(self) -> Server:
        self.client = asyncio.get_running_loop().create_future()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.client.set_result((reader, writer))

        self._server = await asyncio.start_server(connected, "127.0.0.1", 0)
        self.uri = f"tcp:127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        if self.client.done():
            (await self.client)[1].transport.abort()
        await self._server.wait_closed()


def test_tcp_moves_bytes_both_ways_with_a_stamp() -> None:
    async def run() -> None:
        stamps = iter(range(100, 200))
        async with Server() as server:
            opened = await link.open_link(server.uri, clock=lambda: next(stamps))
            reader, writer = await server.client
            writer.write(b"from board")
            assert await opened.read() == (b"from board", 100)
            await opened.write(b"to board")
            assert await reader.readexactly(8) == b"to board"
            await opened.close()
            assert await reader.read() == b""

    asyncio.run(run())


def test_tcp_reports_a_hang_up_after_what_came_before_it() -> None:
    async def run() -> None:
        async with Server() as server:
            opened = await link.open_link(server.uri)
            _, writer = await server.client
            writer.write(b"last words")
            writer.close()
            assert (await opened.read())[0] == b"last words"
            with pytest.raises(LinkLost, match=r"tcp:127\.0\.0\.1:\d+: closed by the other end"):
                await opened.read()
            with pytest.raises(LinkLost):
                await opened.write(b"anyone?")
            await opened.close()

    asyncio.run(run())


def test_closing_ends_a_read_that_waits() -> None:
    async def run() -> None:
        async with Server() as server:
            opened = await link.open_link(server.uri)
            await server.client
            reading = asyncio.ensure_future(opened.read())
            await asyncio.sleep(0)
            await opened.close()
            await opened.close()
            with pytest.raises(LinkLost):
                await reading
            with pytest.raises(LinkLost, match="not open"):
                await opened.read()

    asyncio.run(run())


def test_tcp_opens_again_after_it_was_lost() -> None:
    async def run() -> None:
        async with Server() as server:
            opened = await link.open_link(server.uri)
            (await server.client)[1].transport.abort()
            with pytest.raises(LinkLost):
                await opened.read()
            server.client = asyncio.get_running_loop().create_future()
            await opened.open()
            _, writer = await server.client
            writer.write(b"again")
            assert (await opened.read())[0] == b"again"
            await opened.close()

    asyncio.run(run())


def test_a_refused_connection_says_what_to_do() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound but not listening: nobody else gets the port, and it refuses
        port = unused.getsockname()[1]
        with pytest.raises(LinkError, match=rf"tcp:127\.0\.0\.1:{port}: refused; nothing listens there") as refusal:
            asyncio.run(link.open_link(f"tcp:127.0.0.1:{port}"))
    assert "\n" not in str(refusal.value)


def test_a_slow_reader_pauses_the_socket_and_loses_nothing() -> None:
    payload = bytes(range(256)) * (8 * PAUSE_AT // 256)

    async def run() -> None:
        async with Server() as server:
            opened = await link.open_link(server.uri)
            assert isinstance(opened, TcpLink)
            _, writer = await server.client
            writer.write(payload)
            draining = asyncio.ensure_future(writer.drain())
            inbox = opened._open_connection().inbox
            while not inbox._paused:  # noqa: ASYNC110 - nothing to await: the pause is what is tested
                await asyncio.sleep(0)
            for _ in range(50):
                await asyncio.sleep(0)
            assert inbox._waiting_bytes < 2 * PAUSE_AT
            received = b""
            while len(received) < len(payload):
                received += (await opened.read())[0]
            assert received == payload
            await draining
            await opened.close()

    asyncio.run(run())


def test_an_inbox_pauses_and_resumes_its_source_once() -> None:
    calls: list[str] = []

    async def run() -> None:
        inbox = Inbox(lambda: 7, pause=lambda: calls.append("pause"), resume=lambda: calls.append("resume"))
        for _ in range(4):
            inbox.put(bytes(PAUSE_AT // 2))
        assert calls == ["pause"]
        for _ in range(4):
            assert await inbox.get() == (bytes(PAUSE_AT // 2), 7)
        assert calls == ["pause", "resume"]

    asyncio.run(run())


class Beeper:
    """A byte source that sends one byte each 10 ms, echoes, and ends when told to."""

    def __init__(self, parameters: Mapping[str, str]) -> None:
        self.parameters = parameters
        self.sent = 0
        self.echo = b""
        self.ended = False

    def advance(self, now_ns: int) -> bytes:
        if self.ended:
            raise LinkLost("the source has ended")
        due, echo = now_ns // 10_000_000 - self.sent, self.echo
        self.sent += due
        self.echo = b""
        return b"." * due + echo

    def receive(self, data: bytes, now_ns: int) -> None:  # noqa: ARG002 - the source's contract
        self.echo += data

    def next_ns(self) -> int:
        return (self.sent + 1) * 10_000_000


def test_a_source_is_paced_by_the_clock_and_hears_what_is_written() -> None:
    async def run() -> None:
        now = 0
        opened = await link.open_link("sim:?tone=a", sources={"sim": Beeper}, clock=lambda: now)
        assert isinstance(opened, SourceLink)
        assert isinstance(opened.source, Beeper)
        assert opened.source.parameters == {"tone": "a"}
        now = 30_000_000
        assert await opened.read() == (b"...", 30_000_000)
        reading = asyncio.ensure_future(opened.read())
        await asyncio.sleep(0)
        await opened.write(b"hello")
        assert await reading == (b"hello", 30_000_000)
        opened.source.ended = True
        with pytest.raises(LinkLost, match="ended"):
            await opened.read()
        await opened.close()
        with pytest.raises(LinkLost, match="closed"):
            await opened.read()
        with pytest.raises(LinkLost, match="closed"):
            await opened.write(b"x")

    asyncio.run(run())


def test_a_source_drops_what_was_sent_before_the_link_opened() -> None:
    async def run() -> None:
        now = 1_000_000_000
        opened = await link.open_link("sim:", sources={"sim": Beeper}, clock=lambda: now)
        now += 10_000_000
        assert await opened.read() == (b".", now)

    asyncio.run(run())


def test_a_factory_refuses_its_own_parameters() -> None:
    def refuse(parameters: Mapping[str, str]) -> Beeper:
        raise LinkError(f"sim: bad {parameters}")

    with pytest.raises(LinkError, match="sim: bad"):
        link.create("sim:?x=1", sources={"sim": refuse})


def test_only_known_parameters_pass() -> None:
    uri = LinkUri("x:?a=1", "x", "", {"a": "1"})
    uri.only("a")
    with pytest.raises(LinkError, match="known: b"):
        uri.only("b")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a monotonic clock that counts suspend")
def test_the_host_s_clock_goes_on_while_the_host_sleeps() -> None:
    before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    now = link.monotonic_ns()
    assert before <= now <= time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    with pytest.MonkeyPatch.context() as patch:  # where they are equal the above proves nothing
        patch.setattr(time, "clock_gettime_ns", {time.CLOCK_BOOTTIME: 7}.__getitem__)
        assert base.host_clock()() == 7
