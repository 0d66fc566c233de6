"""`python -m virtual_board` as others start it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from virtual_board.testing import compile_program

TOOLS = Path(__file__).resolve().parents[2] / "tools"
# sends back what it gets, and a dot every 10 ms
ECHO = """
#define UART 0x40004400u
static void send(u32 byte) { while (!(REG(UART) & 0x80)) {} REG(UART + 4) = byte; }
void exception_54(void) { send(REG(UART + 4)); }
void exception_15(void) { send('.'); }
int main(void) {
    REG(0x40023830u) |= 1; REG(0x40023840u) |= 1u << 17;
    REG(0x40020000u) |= 0xAu << 4; REG(0x40020020u) |= 0x77u << 8;
    REG(UART + 8) = 139; REG(UART + 12) = 1u << 13 | 1u << 5 | 3u << 2;
    REG(0xE000E104u) = 1u << 6;
    REG(0xE000E014u) = 159999; REG(0xE000E018u) = 0; REG(0xE000E010u) = 7;
    return 0;
}"""

Start = Callable[..., "Running"]


class Running:
    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "virtual_board", *arguments],
            env={**os.environ, "PYTHONPATH": str(TOOLS)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def command(self, text: str) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(text + "\n")
        return self.line()

    def end(self, number: int | None = None) -> tuple[int, str]:
        if number is not None:
            self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=20)
        return self.process.returncode, errors


@pytest.fixture
def elf(programs: Path) -> str:
    return str(compile_program(ECHO, programs))


@pytest.fixture
def start() -> Iterator[Start]:
    running: list[Running] = []

    def begin(*arguments: str) -> Running:
        running.append(Running(*arguments))
        return running[-1]

    yield begin
    for each in running:
        if each.process.poll() is None:
            each.process.kill()
        each.process.communicate()


def read_until(descriptor: int, wanted: bytes) -> bytes:
    data = b""
    while wanted not in data:
        data += os.read(descriptor, 256)
    return data


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_pty_in_real_time(start: Start, elf: str, tmp_path: Path, number: int) -> None:
    link = tmp_path / "board"
    running = start(elf, "--pty", "--link", str(link))
    ready = running.line()
    assert ready.startswith("ready pty /dev/")
    assert os.path.realpath(link) == ready.removeprefix("ready pty ")
    client = os.open(link, os.O_RDWR | os.O_NOCTTY)
    read_until(client, b".")
    began = time.monotonic()
    data = b""
    while data.count(b".") < 30:
        data += os.read(client, 256)
    assert time.monotonic() - began > 0.25, "30 dots, 10 ms apart"
    os.write(client, b"hello")
    echoed = bytearray()
    while len(echoed) < 5:
        echoed += os.read(client, 256).replace(b".", b"")
    assert echoed == b"hello"
    os.close(client)
    code, errors = running.end(number)
    assert code == 0
    assert "Traceback" not in errors
    assert not link.is_symlink()


def test_tcp(start: Start, elf: str) -> None:
    running = start(elf, "--tcp", "127.0.0.1:0")
    host, _, port = running.line().removeprefix("ready tcp ").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        assert b"." in client.recv(64)
    assert running.end(signal.SIGTERM)[0] == 0


def test_commands_on_standard_input(start: Start, elf: str, tmp_path: Path) -> None:
    link = tmp_path / "board"
    running = start(elf, "--link", str(link), "--control", "stdin")
    running.line()
    assert running.command("noise 3") == "ok"
    assert running.command("nonsense").startswith("error unknown command")
    client = os.open(link, os.O_RDWR | os.O_NOCTTY)
    assert running.command("unplug") == "ok"
    read_to_end(client)
    os.close(client)
    assert running.command("plug").startswith("ok pty ")
    client = os.open(link, os.O_RDWR | os.O_NOCTTY)
    read_until(client, b".")
    os.close(client)
    assert running.command("quit") == "ok"
    assert running.end()[0] == 0


def test_the_end_of_standard_input_ends_the_board_that_it_commands(start: Start, elf: str) -> None:
    running = start(elf, "--control", "stdin")
    running.line()
    assert running.end()[0] == 0, "communicate() closes its standard input"


def read_to_end(descriptor: int) -> None:
    """Read until the hang-up, which is EIO or an end of file."""
    try:
        while os.read(descriptor, 256):
            pass
    except OSError:
        return


def test_free_running_ends_at_the_duration_and_is_faster_than_real_time(start: Start, elf: str) -> None:
    began = time.monotonic()
    running = start(elf, "--free-running", "--duration", "20", "--seed", "1")
    code, errors = running.end()
    assert code == 0
    assert errors == ""
    assert time.monotonic() - began < 15


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["/nowhere.elf"], "No such file"),
        (["/bin/true"], "not for ARM"),
        (["{elf}", "--tcp", "127.0.0.1:99999"], "is not HOST:PORT"),
        (["{elf}", "--board", "esp32"], "invalid choice"),
        (["{elf}", "--tcp", "127.0.0.1:0", "--link", "x"], "--link goes with --pty"),
    ],
)
def test_what_is_wrong_is_said_without_a_traceback(start: Start, elf: str, arguments: list[str], message: str) -> None:
    code, errors = start(*(argument.format(elf=elf) for argument in arguments)).end()
    assert code != 0
    assert message in errors
    assert "Traceback" not in errors


def test_a_port_in_use_is_said(start: Start, elf: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, errors = start(elf, "--tcp", f"127.0.0.1:{taken.getsockname()[1]}").end()
    assert code == 1
    assert "Address already in use" in errors


def test_the_flash_is_kept_in_a_file(start: Start, programs: Path, tmp_path: Path) -> None:
    image = compile_program(
        """
        int main(void) {
            u32 at = 0x08004000u;
            while (REG(at) == 0) at += 4;
            REG(0x40023C04u) = 0x45670123u; REG(0x40023C04u) = 0xCDEF89ABu; REG(0x40023C10u) = 0x201u;
            REG(at) = 0;
            return 0;
        }""",
        programs,
    )
    kept = tmp_path / "flash"
    for boots in (1, 2):
        running = start(str(image), "--flash", str(kept), "--free-running", "--duration", "0.01")
        assert running.end()[0] == 0
        flash = kept.read_bytes()
        assert flash[0x4000:0x4010] == bytes(4 * boots) + b"\xff" * (16 - 4 * boots)
    kept.write_bytes(b"too short")
    code, errors = start(str(image), "--flash", str(kept)).end()
    assert code == 1
    assert "9 bytes are not the flash of nucleo_f411re" in errors
