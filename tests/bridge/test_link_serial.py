"""The serial link over a real pseudo-terminal."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import pty
import socket
import termios
import threading
import tty
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import serial
import serial.rfc2217

from telemetry_bridge import link
from telemetry_bridge.errors import LinkError, LinkLost
from telemetry_bridge.link import latency_timer, port_list, serial_reader
from telemetry_bridge.link.holders import holders
from telemetry_bridge.link.serial_port import SerialLink
from telemetry_bridge.link.serial_reader import DescriptorPort, ThreadPort
from telemetry_bridge.link.uri import parse_uri


@dataclass
class Terminal:
    """A pty: ``board`` is the end that plays the board, ``path`` and ``uri`` what the link opens."""

    board: int
    path: str
    reader: str
    is_open: bool = True

    @property
    def uri(self) -> str:
        return f"serial:{self.path}?reader={self.reader}"

    def hang_up(self) -> None:
        if self.is_open:
            os.close(self.board)
            self.is_open = False


@pytest.fixture(params=["auto", "thread"])
def terminal(request: pytest.FixtureRequest) -> Iterator[Terminal]:
    """Read by the event loop, and by a thread: what the link promises does not depend on it."""
    board, port = pty.openpty()
    tty.setraw(port)
    terminal = Terminal(board, os.ttyname(port), request.param)
    os.set_blocking(board, False)
    os.close(port)
    yield terminal
    terminal.hang_up()


async def board_writes(terminal: Terminal, data: bytes) -> None:
    """Write all of ``data`` from the board's end as fast as the pty takes it."""
    loop = asyncio.get_running_loop()
    while data:
        try:
            data = data[os.write(terminal.board, data) :]
        except BlockingIOError:
            ready = asyncio.Event()
            loop.add_writer(terminal.board, ready.set)
            await ready.wait()
            loop.remove_writer(terminal.board)


async def board_reads(terminal: Terminal, size: int) -> bytes:
    loop = asyncio.get_running_loop()
    data = b""
    while len(data) < size:
        ready = asyncio.Event()
        loop.add_reader(terminal.board, ready.set)
        await ready.wait()
        loop.remove_reader(terminal.board)
        data += os.read(terminal.board, 65536)
    return data


def test_bytes_pass_both_ways_unchanged(terminal: Terminal) -> None:
    every_byte = bytes(range(256)) + b"\r\n\x03\x04\x11\x13\x1a\x7f\xff"

    async def run() -> None:
        opened = await link.open_link(f"{terminal.uri}&baud=921600", clock=lambda: 42)
        await board_writes(terminal, every_byte)
        received = b""
        while len(received) < len(every_byte):
            data, now_ns = await opened.read()
            assert now_ns == 42
            received += data
        assert received == every_byte
        await opened.write(every_byte)
        assert await board_reads(terminal, len(every_byte)) == every_byte
        await opened.close()

    asyncio.run(run())


def test_a_megabyte_comes_through_without_loss(terminal: Terminal) -> None:
    payload = os.urandom(1 << 20)

    async def run() -> bytes:
        opened = await link.open_link(terminal.uri)
        writing = asyncio.ensure_future(board_writes(terminal, payload))
        received = bytearray()
        while len(received) < len(payload):
            received += (await opened.read())[0]
        await writing
        await opened.close()
        return bytes(received)

    assert asyncio.run(run()) == payload


def test_a_megabyte_is_written_without_loss_while_the_board_reads_slowly(terminal: Terminal) -> None:
    payload = os.urandom(1 << 20)

    async def run() -> bytes:
        opened = await link.open_link(terminal.uri)
        writing = asyncio.ensure_future(opened.write(payload))
        received = await board_reads(terminal, len(payload))
        await writing
        await opened.close()
        return received

    assert asyncio.run(run()) == payload


def test_concurrent_writes_do_not_mix(terminal: Terminal) -> None:
    async def run() -> bytes:
        opened = await link.open_link(terminal.uri)
        writing = asyncio.gather(*(opened.write(bytes([n]) * 20_000) for n in range(4)))
        received = await board_reads(terminal, 80_000)
        await writing
        await opened.close()
        return received

    received = asyncio.run(run())
    assert received == b"".join(bytes([n]) * 20_000 for n in range(4))


def test_a_hang_up_ends_the_read(terminal: Terminal) -> None:
    async def run() -> None:
        opened = await link.open_link(terminal.uri)
        reading = asyncio.ensure_future(opened.read())
        await asyncio.sleep(0)
        terminal.hang_up()
        with pytest.raises(LinkLost, match=f"{terminal.path}.*: hung up"):
            await reading
        with pytest.raises(LinkLost):
            await opened.read()
        with pytest.raises(LinkLost):
            await opened.write(b"anyone?")
        await opened.close()

    asyncio.run(run())


def test_a_wake_up_without_data_is_no_hang_up(terminal: Terminal) -> None:
    async def run() -> None:
        opened = SerialLink(parse_uri(terminal.path))
        await opened.open()
        assert isinstance(opened._port, DescriptorPort)
        opened._port._readable()
        await board_writes(terminal, b"still there")
        assert (await opened.read())[0] == b"still there"
        await opened.close()

    asyncio.run(run())


def test_a_port_that_takes_nothing_is_lost_and_the_loop_goes_on(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serial_reader, "WRITE_TIMEOUT_S", 0.05)

    async def run() -> None:
        opened = await link.open_link(terminal.uri)
        writing = asyncio.ensure_future(opened.write(bytes(1 << 20)))
        await board_writes(terminal, b"still here")
        assert (await opened.read())[0] == b"still here"
        with pytest.raises(LinkLost, match="takes no bytes"):
            await writing
        await opened.close()

    asyncio.run(run())


def test_closing_ends_a_read_and_a_write_that_wait(terminal: Terminal) -> None:
    async def run() -> None:
        opened = await link.open_link(terminal.uri)
        reading = asyncio.ensure_future(opened.read())
        await asyncio.sleep(0)
        await opened.close()
        await opened.close()
        with pytest.raises(LinkLost, match="closed"):
            await reading
        with pytest.raises(LinkLost, match="not open"):
            await opened.write(b"x")

    asyncio.run(run())


def test_a_port_can_be_opened_again_after_closing(terminal: Terminal) -> None:
    async def run() -> None:
        opened = link.create(terminal.uri)
        for word in (b"first", b"second"):
            await opened.open()
            await board_writes(terminal, word)
            assert (await opened.read())[0] == word
            await opened.close()

    asyncio.run(run())


def test_a_port_that_another_holds_is_refused_and_says_who(terminal: Terminal) -> None:
    async def run() -> None:
        first = await link.open_link(terminal.uri)
        with pytest.raises(LinkError, match=rf"{terminal.path}: the port is busy: .*pid {os.getpid()}") as refusal:
            await link.open_link(terminal.uri)
        assert "\n" not in str(refusal.value)
        await first.close()
        second = await link.open_link(terminal.uri)
        await second.close()

    asyncio.run(run())


def test_holders_are_found_by_the_descriptor(terminal: Terminal) -> None:
    assert holders(terminal.path) == []
    descriptor = os.open(terminal.path, os.O_RDWR | os.O_NOCTTY)
    try:
        assert [who for who in holders(terminal.path) if f"pid {os.getpid()}" in who]
    finally:
        os.close(descriptor)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/dev/ttyNONE7", "there is no such port. "),
        ("/dev/null", "not a serial port. "),
        ("/tmp", "not a serial port. "),
    ],
)
def test_a_port_that_is_none_is_refused_in_one_line(path: str, message: str) -> None:
    with pytest.raises(LinkError) as refusal:
        asyncio.run(link.open_link(path))
    assert str(refusal.value).startswith(f"{path}: {message}")
    assert "\n" not in str(refusal.value)


def test_a_missing_permission_names_the_group(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: object) -> None:  # noqa: ARG001 - a method
        raise serial.SerialException(13, "could not open port")

    monkeypatch.setattr(serial.Serial, "open", refuse)
    with pytest.raises(LinkError, match=r"not permitted; .*dialout"):
        asyncio.run(link.open_link("/dev/ttyACM9"))


def test_a_baud_rate_that_cannot_be_is_refused(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: object) -> None:  # noqa: ARG001 - a method
        raise ValueError("Invalid baud rate: 12345")

    monkeypatch.setattr(serial.Serial, "open", refuse)
    with pytest.raises(LinkError, match="cannot run at 12345 baud"):
        asyncio.run(link.open_link(f"{terminal.uri}&baud=12345"))


GONE = termios.error(errno.EIO, "Input/output error")
"""What pyserial lets through of a port that is unplugged while it is set up; no OSError."""


def test_a_port_that_goes_while_it_is_opened_is_a_link_error(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise GONE

    async def scenario() -> None:
        serial_link = link.create(terminal.uri)
        steps: list[tuple[object, str]] = [(serial.Serial, "open")]
        if terminal.reader == "auto":
            steps.append((serial_reader, "_block_without_data"))
        for target, name in steps:
            with monkeypatch.context() as patch:
                patch.setattr(target, name, gone)
                with pytest.raises(LinkError, match=terminal.path):
                    await serial_link.open()
        await serial_link.open()  # nobody holds it
        await serial_link.close()

    asyncio.run(scenario())


def test_a_port_that_goes_while_its_rate_changes_is_lost(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> None:
        raise GONE

    async def scenario() -> None:
        serial_link = SerialLink(parse_uri(terminal.uri))
        await serial_link.open()
        monkeypatch.setattr(serial.Serial, "_reconfigure_port", gone)
        with pytest.raises(LinkLost, match="hung up"):
            await serial_link.set_baud(115_200)
        await serial_link.close()

    asyncio.run(scenario())


def test_dtr_and_rts_stay_released(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    states: list[tuple[bool, bool, bool]] = []
    really_open = serial.Serial.open

    def spy(self: serial.Serial) -> None:
        states.append((self.dtr, self.rts, bool(self.exclusive)))
        really_open(self)

    monkeypatch.setattr(serial.Serial, "open", spy)

    async def run() -> None:
        await (await link.open_link(terminal.uri)).close()

    asyncio.run(run())
    assert states == [(False, False, True)]


class FakePort:
    """What ``comports`` gives for one port."""

    def __init__(self, device: str, description: str | None, vid: int | None, pid: int | None = None) -> None:
        self.device, self.description, self.vid, self.pid = device, description, vid, pid
        self.serial_number = "0672FF" if vid == 0x0483 else None
        self.location = "1-2:1.2" if vid == 0x0483 else None


def test_ports_are_listed_with_the_likeliest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = [
        FakePort("/dev/ttyS0", "n/a", None),
        FakePort("/dev/ttyUSB0", "CP2102", 0x10C4, 0xEA60),
        FakePort("/dev/ttyACM0", "STM32 STLink", 0x0483, 0x374B),
        FakePort("/dev/ttyUSB1", None, 0x0403, None),
    ]
    monkeypatch.setattr("serial.tools.list_ports.comports", lambda: ports)
    listed = link.list_ports()
    assert [(port.device, port.likely) for port in listed] == [
        ("/dev/ttyACM0", True),
        ("/dev/ttyUSB0", True),
        ("/dev/ttyUSB1", True),
        ("/dev/ttyS0", False),
    ]
    board = listed[0]
    assert (board.description, board.usb, board.serial_number, board.interface) == (
        "STM32 STLink",
        "0483:374b",
        "0672FF",
        "1.2",
    )
    assert (listed[3].description, listed[3].usb, listed[3].serial_number) == ("serial port", "", "")
    with pytest.raises(LinkError, match="Ports that are there: /dev/ttyACM0, /dev/ttyUSB0"):
        asyncio.run(link.open_link("/dev/ttyNONE7"))
    monkeypatch.setattr("serial.tools.list_ports.comports", list)
    with pytest.raises(LinkError, match="plug the board in"):
        asyncio.run(link.open_link("/dev/ttyNONE7"))


def test_a_port_that_goes_while_it_is_looked_at_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []

    def stumble() -> list[FakePort]:
        looks.append(len(looks))
        if len(looks) == 1:
            raise TypeError("int() argument must be a string, not 'NoneType'")
        return [FakePort("/dev/ttyS7", "n/a", None)]

    monkeypatch.setattr(port_list, "_SETTLE_S", 0)
    monkeypatch.setattr("serial.tools.list_ports.comports", stumble)
    assert [port.device for port in link.list_ports()] == ["/dev/ttyS7"]


def test_the_systems_console_is_told_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    consoles = tmp_path / "active"
    consoles.write_text("tty0 ttyS0\n")
    monkeypatch.setattr(port_list, "CONSOLES", consoles)
    ports = [FakePort("/dev/ttyS0", "n/a", None), FakePort("/dev/ttyS1", "n/a", None)]
    monkeypatch.setattr("serial.tools.list_ports.comports", lambda: ports)
    assert [(port.device, port.is_console) for port in link.list_ports()] == [
        ("/dev/ttyS0", True),
        ("/dev/ttyS1", False),
    ]


# ------------------------------------------------------------------ no descriptor


def test_a_port_that_comes_back_on_itself_is_read_by_a_thread() -> None:
    async def run() -> None:
        opened = SerialLink(parse_uri("serial:loop://"))
        for _ in range(2):
            await opened.open()
            assert isinstance(opened._port, ThreadPort)
            thread = opened._port._thread
            await opened.write(b"echo")
            received = b""
            while len(received) < 4:
                received += (await opened.read())[0]
            assert received == b"echo"
            await opened.set_baud(115_200)
            assert opened.baud == 115_200
            await opened.close()
            assert not thread.is_alive()

    asyncio.run(run())


class Rfc2217Server:
    """pyserial's own server side of RFC 2217 before a port that sends back what it gets; takes one client."""

    def __init__(self) -> None:
        self._port = serial.serial_for_url("loop://", timeout=0)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.uri = f"serial:rfc2217://127.0.0.1:{self._listener.getsockname()[1]}"
        self.client = socket.socket()
        self.bauds: set[int] = set()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        self.client.close()
        self.client, _ = self._listener.accept()
        manager = serial.rfc2217.PortManager(self._port, self)  # type: ignore[arg-type]
        with self.client, contextlib.suppress(OSError):
            while data := self.client.recv(1024):
                self._port.write(b"".join(manager.filter(data)))
                self.bauds.add(self._port.baudrate)
                self.write(b"".join(manager.escape(self._port.read(self._port.in_waiting))))

    def write(self, data: bytes) -> None:
        """What the manager answers."""
        self.client.sendall(data)

    def hang_up(self) -> None:
        self.client.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.hang_up()
        self._thread.join()
        self._listener.close()
        self._port.close()


@pytest.mark.filterwarnings("ignore:set(Daemon|Name):DeprecationWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # pyserial leaves its socket to the GC
def test_a_port_of_another_machine_is_reached_by_rfc_2217() -> None:
    server = Rfc2217Server()
    every_byte = bytes(range(256))

    async def run() -> None:
        opened = SerialLink(parse_uri(f"{server.uri}?baud=230400"))
        await opened.open()
        assert isinstance(opened._port, ThreadPort)
        await opened.write(every_byte)
        received = b""
        while len(received) < len(every_byte):
            received += (await opened.read())[0]
        assert received == every_byte
        await opened.set_baud(460_800)
        server.hang_up()
        with pytest.raises(LinkLost, match="hung up"):
            await opened.read()
        await opened.close()

    try:
        asyncio.run(run())
        assert {230_400, 460_800} <= server.bauds
    finally:
        server.close()


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("serial:socket://localhost:4000", "write tcp:localhost:4000"),
        ("serial:hwgrep://STLink", "no such kind of port as hwgrep://"),
        ("serial:/dev/ttyUSB0?reader=magic", "reader is auto or thread"),
        ("serial:/dev/ttyUSB0?ign_set_control=1", "unknown parameter"),
    ],
)
def test_a_uri_that_cannot_be_is_refused_in_one_line(uri: str, message: str) -> None:
    with pytest.raises(LinkError, match=message) as refusal:
        link.create(uri)
    assert "\n" not in str(refusal.value)


def test_a_server_that_is_not_there_is_said_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(LinkError, match=f"rfc2217://127.0.0.1:{port}: cannot open"):
        asyncio.run(link.open_link(f"serial:rfc2217://127.0.0.1:{port}"))


# ------------------------------------------------------------- the latency timer


class Adapter:
    """An FTDI adapter as sysfs shows it, in a folder."""

    def __init__(self, folder: Path, path: str, ms: int) -> None:
        self.timer = folder / Path(path).name / "latency_timer"
        self.timer.parent.mkdir(parents=True)
        self.timer.write_text(f"{ms}\n")

    @property
    def ms(self) -> int:
        return int(self.timer.read_text())


def opened_with(terminal: Terminal) -> str:
    """Open and close; returns the link's warning."""

    async def run() -> str:
        opened = SerialLink(parse_uri(terminal.uri))
        await opened.open()
        await opened.close()
        return opened.warning

    return asyncio.run(run())


def test_the_latency_timer_is_set_to_1_ms_where_that_is_allowed(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(latency_timer, "SYSFS", tmp_path)
    adapter = Adapter(tmp_path, terminal.path, 16)
    assert opened_with(terminal) == ""
    assert adapter.ms == 1


def test_a_user_sets_the_latency_timer_through_the_port(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(latency_timer, "SYSFS", tmp_path)
    adapter = Adapter(tmp_path, terminal.path, 16)

    def refuse(self: Path, _: str) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    really_write = Path.write_text

    def set_flag(self: serial.Serial, low_latency_settings: bool) -> None:  # noqa: ARG001 - a method
        if low_latency_settings:
            really_write(adapter.timer, "1\n")  # what ftdi_sio shows while ASYNC_LOW_LATENCY is set

    monkeypatch.setattr(Path, "write_text", refuse)
    monkeypatch.setattr(serial.Serial, "set_low_latency_mode", set_flag)
    assert opened_with(terminal) == ""
    assert adapter.ms == 1


def test_where_nothing_may_set_the_latency_timer_the_link_says_what_would(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(latency_timer, "SYSFS", tmp_path)
    adapter = Adapter(tmp_path, terminal.path, 16)

    def refuse(self: Path, _: str) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "write_text", refuse)
    warning = opened_with(terminal)  # a pseudo-terminal knows no TIOCSSERIAL
    assert "16 ms" in warning
    assert latency_timer.UDEV_RULE in warning
    assert "\n" not in warning
    assert adapter.ms == 16


def test_a_list_of_ports_that_failed_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    failures, ports = iter([OSError("odd")] * 5), [link.PortInfo("/dev/ttyACM0", "a board", True)]

    def listed() -> list[link.PortInfo]:
        for failure in failures:
            raise failure
        return ports

    monkeypatch.setattr(port_list, "list_ports", listed)
    monkeypatch.setattr(port_list, "_folder_stamp", lambda: 1)
    watch = port_list.PortWatch()
    for _ in range(5):
        with pytest.raises(OSError, match="odd"):
            watch()
    assert watch() == ports
