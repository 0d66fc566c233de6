"""The serial link over a real pseudo-terminal."""

from __future__ import annotations

import asyncio
import os
import pty
import tty
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import serial

from telemetry_bridge import link
from telemetry_bridge.errors import LinkError, LinkLost
from telemetry_bridge.link import serial_port
from telemetry_bridge.link.holders import holders
from telemetry_bridge.link.uri import parse_uri


@dataclass
class Terminal:
    """A pty: ``board`` is the end that plays the board, ``path`` what the link opens."""

    board: int
    path: str
    is_open: bool = True

    def hang_up(self) -> None:
        if self.is_open:
            os.close(self.board)
            self.is_open = False


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    board, port = pty.openpty()
    tty.setraw(port)
    terminal = Terminal(board, os.ttyname(port))
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
        opened = await link.open_link(f"serial:{terminal.path}?baud=921600", clock=lambda: 42)
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
        opened = await link.open_link(terminal.path)
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
        opened = await link.open_link(terminal.path)
        writing = asyncio.ensure_future(opened.write(payload))
        received = await board_reads(terminal, len(payload))
        await writing
        await opened.close()
        return received

    assert asyncio.run(run()) == payload


def test_concurrent_writes_do_not_mix(terminal: Terminal) -> None:
    async def run() -> bytes:
        opened = await link.open_link(terminal.path)
        writing = asyncio.gather(*(opened.write(bytes([n]) * 20_000) for n in range(4)))
        received = await board_reads(terminal, 80_000)
        await writing
        await opened.close()
        return received

    received = asyncio.run(run())
    assert received == b"".join(bytes([n]) * 20_000 for n in range(4))


def test_a_hang_up_ends_the_read(terminal: Terminal) -> None:
    async def run() -> None:
        opened = await link.open_link(terminal.path)
        reading = asyncio.ensure_future(opened.read())
        await asyncio.sleep(0)
        terminal.hang_up()
        with pytest.raises(LinkLost, match=f"{terminal.path}: hung up"):
            await reading
        with pytest.raises(LinkLost):
            await opened.read()
        with pytest.raises(LinkLost):
            await opened.write(b"anyone?")
        await opened.close()

    asyncio.run(run())


def test_a_wake_up_without_data_is_no_hang_up(terminal: Terminal) -> None:
    async def run() -> None:
        opened = serial_port.SerialLink(parse_uri(terminal.path))
        await opened.open()
        assert isinstance(opened._port, serial_port._Descriptor)
        opened._port._readable()
        await board_writes(terminal, b"still there")
        assert (await opened.read())[0] == b"still there"
        await opened.close()

    asyncio.run(run())


def test_a_port_that_takes_nothing_is_lost_and_the_loop_goes_on(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serial_port, "WRITE_TIMEOUT_S", 0.05)

    async def run() -> None:
        opened = await link.open_link(terminal.path)
        writing = asyncio.ensure_future(opened.write(bytes(1 << 20)))
        await board_writes(terminal, b"still here")
        assert (await opened.read())[0] == b"still here"
        with pytest.raises(LinkLost, match="takes no bytes"):
            await writing
        await opened.close()

    asyncio.run(run())


def test_closing_ends_a_read_and_a_write_that_wait(terminal: Terminal) -> None:
    async def run() -> None:
        opened = await link.open_link(terminal.path)
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
        opened = link.create(terminal.path)
        for word in (b"first", b"second"):
            await opened.open()
            await board_writes(terminal, word)
            assert (await opened.read())[0] == word
            await opened.close()

    asyncio.run(run())


def test_a_port_that_another_holds_is_refused_and_says_who(terminal: Terminal) -> None:
    async def run() -> None:
        first = await link.open_link(terminal.path)
        with pytest.raises(LinkError, match=rf"{terminal.path}: the port is busy: .*pid {os.getpid()}") as refusal:
            await link.open_link(terminal.path)
        assert "\n" not in str(refusal.value)
        await first.close()
        second = await link.open_link(terminal.path)
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
        asyncio.run(link.open_link(f"{terminal.path}?baud=12345"))


def test_dtr_and_rts_stay_released(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    states: list[tuple[bool, bool, bool]] = []
    really_open = serial.Serial.open

    def spy(self: serial.Serial) -> None:
        states.append((self.dtr, self.rts, bool(self.exclusive)))
        really_open(self)

    monkeypatch.setattr(serial.Serial, "open", spy)

    async def run() -> None:
        await (await link.open_link(terminal.path)).close()

    asyncio.run(run())
    assert states == [(False, False, True)]


class FakePort:
    """What ``comports`` gives for one port."""

    def __init__(self, device: str, description: str | None, vid: int | None, pid: int | None = None) -> None:
        self.device, self.description, self.vid, self.pid = device, description, vid, pid


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
    assert listed[0].description == "STM32 STLink [0483:374b]"
    assert listed[3].description == "serial port"
    with pytest.raises(LinkError, match="Ports that are there: /dev/ttyACM0, /dev/ttyUSB0"):
        asyncio.run(link.open_link("/dev/ttyNONE7"))
    monkeypatch.setattr("serial.tools.list_ports.comports", list)
    with pytest.raises(LinkError, match="plug the board in"):
        asyncio.run(link.open_link("/dev/ttyNONE7"))


class NoDescriptor(serial.Serial):
    """A port without a file descriptor, as on Windows: what is written comes back."""

    def open(self) -> None:
        self.is_open = True
        self.echo = bytearray()
        self.gone = False

    def close(self) -> None:
        self.is_open = False

    def fileno(self) -> int:
        raise OSError("no fileno")

    @property
    def in_waiting(self) -> int:
        if self.gone:
            raise serial.SerialException("device gone")
        return len(self.echo)

    def read(self, size: int = 1) -> bytes:
        data, self.echo = bytes(self.echo[:size]), self.echo[size:]
        return data

    def write(self, b: object) -> int:
        assert isinstance(b, bytes)
        self.echo += b
        return len(b)

    def reset_output_buffer(self) -> None:
        pass

    def _reconfigure_port(self, force_update: bool = False) -> None:
        pass


def test_a_port_without_a_descriptor_is_read_by_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial, "Serial", NoDescriptor)

    async def run() -> None:
        opened = serial_port.SerialLink(parse_uri("COM3"))
        await opened.open()
        await opened.write(b"echo")
        received = b""
        while len(received) < 4:
            received += (await opened.read())[0]
        assert received == b"echo"
        assert isinstance(opened._port, serial_port._Thread)
        thread, port = opened._port._thread, opened._port._serial
        assert isinstance(port, NoDescriptor)
        port.gone = True
        with pytest.raises(LinkLost, match="hung up"):
            await opened.read()
        await opened.close()
        assert not thread.is_alive()
        assert not port.is_open

    asyncio.run(run())
