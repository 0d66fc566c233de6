"""Ports, pace and remote control, without a process of their own."""

from __future__ import annotations

import json
import math
import os
import select
import socket
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from virtual_board.serve.control import Commands, ControlSocket
from virtual_board.serve.pacing import REPORT_EVERY_S, TOLERANCE_S, Pacer
from virtual_board.serve.ports import PtyPort, TcpPort
from virtual_board.testing import IDLE, Run


def receive(port: PtyPort | TcpPort, count: int) -> bytes:
    """What the port reads, waiting on its descriptors."""
    data = b""
    while len(data) < count:
        assert select.select(port.files(), [], [], 5)[0], "nothing came"
        data += port.read()
    return data


# ---------------------------------------------------------------------------- pty


@pytest.fixture
def pty_port(tmp_path: Path) -> Iterator[PtyPort]:
    port = PtyPort(tmp_path / "tty")
    yield port
    port.unplug()


def open_client(port: PtyPort) -> int:
    return os.open(port.name.removeprefix("pty "), os.O_RDWR | os.O_NOCTTY)


def test_bytes_pass_unchanged_in_both_directions(pty_port: PtyPort) -> None:
    client = open_client(pty_port)
    every = bytes(range(256))
    pty_port.write(every)
    assert os.read(client, 512) == every
    os.write(client, every)
    assert receive(pty_port, 256) == every
    os.close(client)
    assert pty_port.dropped == 0


def test_the_rate_that_a_client_sets_is_known(pty_port: PtyPort) -> None:
    client = open_client(pty_port)
    assert pty_port.baud is None
    for constant, baud in ((termios.B2000000, 2_000_000), (termios.B115200, 115_200)):
        attributes = termios.tcgetattr(client)
        attributes[4] = attributes[5] = constant
        termios.tcsetattr(client, termios.TCSANOW, attributes)
        assert pty_port.baud == baud
    os.close(client)


def test_what_is_sent_with_nobody_listening_is_gone(pty_port: PtyPort) -> None:
    pty_port.write(b"before")
    client = open_client(pty_port)
    pty_port.write(b"during")
    assert os.read(client, 64) == b"during"
    os.close(client)
    pty_port.write(b"between")
    client = open_client(pty_port)
    pty_port.write(b"after")
    assert os.read(client, 64) == b"after"
    os.close(client)
    assert pty_port.dropped == len("before") + len("between")


def test_what_a_client_leaves_unread_is_not_for_the_next(pty_port: PtyPort) -> None:
    client = open_client(pty_port)
    pty_port.write(b"stale")
    os.close(client)
    pty_port.write(b"")
    client = open_client(pty_port)
    pty_port.write(b"fresh")
    assert os.read(client, 64) == b"fresh"
    os.close(client)


def test_a_client_that_does_not_read_never_blocks_the_board(pty_port: PtyPort) -> None:
    client = open_client(pty_port)
    for _ in range(200):
        pty_port.write(bytes(4096))
    assert pty_port.dropped > 0
    os.close(client)


def test_nobody_there_means_nothing_to_wait_for(pty_port: PtyPort) -> None:
    assert pty_port.files() == []
    client = open_client(pty_port)
    assert len(pty_port.files()) == 1
    os.close(client)
    assert pty_port.files() == []


def test_the_link_follows_the_terminal_and_goes_with_it(pty_port: PtyPort, tmp_path: Path) -> None:
    link = tmp_path / "tty"
    assert os.path.realpath(link) == pty_port.name.removeprefix("pty ")
    client = os.open(link, os.O_RDWR | os.O_NOCTTY)
    pty_port.unplug()
    assert not link.is_symlink()
    with pytest.raises(termios.error, match="Input/output error"):
        termios.tcgetattr(client)
    os.close(client)
    pty_port.write(b"into the void")
    assert pty_port.read() == b""
    pty_port.plug()
    client = os.open(link, os.O_RDWR | os.O_NOCTTY)
    pty_port.write(b"back")
    assert os.read(client, 64) == b"back"
    os.close(client)


def test_a_link_that_somebody_else_took_over_stays(tmp_path: Path) -> None:
    link = tmp_path / "tty"
    port = PtyPort(link)
    link.unlink()
    link.symlink_to("/dev/null")
    port.unplug()
    assert link.is_symlink()


# ---------------------------------------------------------------------------- TCP


@pytest.fixture
def tcp_port() -> Iterator[TcpPort]:
    port = TcpPort("127.0.0.1", 0)
    yield port
    port.unplug()


def connect(port: TcpPort) -> socket.socket:
    host, _, number = port.name.removeprefix("tcp ").rpartition(":")
    client = socket.create_connection((host, int(number)), timeout=5)
    select.select(port.files(), [], [], 5)
    port.read()
    return client


def test_one_tcp_client_at_a_time(tcp_port: TcpPort) -> None:
    first = connect(tcp_port)
    tcp_port.write(b"hello")
    assert first.recv(16) == b"hello"
    second = connect(tcp_port)
    assert second.recv(16) == b"", "turned away"
    first.sendall(b"still here")
    assert receive(tcp_port, 10) == b"still here"
    second.close()
    first.close()


def test_a_tcp_client_may_come_back(tcp_port: TcpPort) -> None:
    connect(tcp_port).close()
    client = connect(tcp_port)
    tcp_port.write(b"again")
    assert client.recv(16) == b"again"
    client.close()


def test_a_tcp_client_that_does_not_read_never_blocks_the_board(tcp_port: TcpPort) -> None:
    tcp_port.write(b"nobody")
    assert tcp_port.dropped == 6
    client = connect(tcp_port)
    for _ in range(300):
        tcp_port.write(bytes(65536))
    assert tcp_port.dropped > 6
    client.close()


def test_unplugging_tcp_hangs_up_and_plugging_listens_on_the_same_port(tcp_port: TcpPort) -> None:
    client, name = connect(tcp_port), tcp_port.name
    tcp_port.unplug()
    assert client.recv(16) == b""
    client.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(name.rpartition(":")[2])), timeout=5)
    tcp_port.plug()
    assert tcp_port.name == name
    connect(tcp_port).close()


# --------------------------------------------------------------------------- pace


class Wall:
    def __init__(self) -> None:
        self.now = 100.0
        self.reports: list[str] = []
        self.pacer = Pacer(lambda: self.now, self.reports.append)


def test_deadlines_are_absolute() -> None:
    wall = Wall()
    assert wall.pacer.wait_s(0.0) == 0
    wall.now += 0.3
    assert wall.pacer.wait_s(1.0) == pytest.approx(0.7)
    wall.now += 0.72
    assert wall.pacer.wait_s(1.0) == 0
    assert wall.pacer.wait_s(1.1) == pytest.approx(0.08), "a small delay is made up for"
    assert wall.reports == []


def test_a_large_debt_is_dropped_counted_and_reported_now_and_then() -> None:
    wall = Wall()
    wall.pacer.wait_s(0.0)
    for step in range(1, 11):
        wall.now += 1.0 + 2 * TOLERANCE_S
        assert wall.pacer.wait_s(float(step)) == 0
    assert wall.pacer.dropped_s == pytest.approx(10 * 2 * TOLERANCE_S)
    step_s = 1.0 + 2 * TOLERANCE_S
    assert len(wall.reports) == len(range(0, 10, math.ceil(REPORT_EVERY_S / step_s)))
    assert f"cannot hold real time: {2 * TOLERANCE_S:.2f} s behind" in wall.reports[0]
    assert wall.pacer.wait_s(10.5) == pytest.approx(0.5), "level again"


# ------------------------------------------------------------------------- control


@pytest.fixture
def commands(run: Run, pty_port: PtyPort) -> Commands:
    board = run(IDLE, 30_000, noise=False).board
    made = Commands(board, pty_port, lambda: setattr(board, "quit_asked", True))
    made.board = board  # type: ignore[attr-defined]
    return made


def test_commands_reach_the_board(commands: Commands) -> None:
    board = commands.board  # type: ignore[attr-defined]
    for line in (
        "nack on",
        "who_am_i 0x70",
        "stuck_sda 9",
        "odr_error 12000",
        "motion rotate 2 0 1 0",
        "temperature 55",
    ):
        assert commands.run(line) == "ok"
    assert board.imu.nack
    assert board.imu.who_am_i == 0x70
    assert board.i2c_bus.stuck_clocks == 9
    assert board.imu.odr_error_ppm == 12000
    assert board.imu.motion.at(0).rate == (0, 2, 0)
    assert board.mcu_temperature_c == 55
    assert commands.run("nack off") == "ok"
    assert not board.imu.nack
    commands.run("imu unplug")
    assert not board.imu.present
    commands.run("imu plug")
    assert board.imu.present
    assert commands.run("ambient 12.5") == "ok"
    assert board.ambient_c == 12.5
    assert commands.run("ambient motion") == "ok"
    assert board.ambient_c is None
    assert commands.run("part mpu6050 unplug") == "ok"
    assert not board.imu.present
    assert commands.run("part mpu6050 plug") == "ok"
    assert commands.run("part mpu6050 nack") == "ok"
    assert board.imu.nack
    assert commands.run("part tmp117 unplug").endswith("the parts are mpu6050")
    assert commands.run("clock pll fail") == "ok"
    assert board.machine.rcc.dead == {"pll"}
    assert commands.run("clock pll work") == "ok"
    assert board.machine.rcc.dead == set()
    assert commands.run("arbitration 2") == commands.run("dma_error I2C1_RX 5") == "ok"
    assert board.machine.i2cs["I2C1"].contended_after == 2
    assert board.machine.i2cs["I2C1"].rx_dma.error_after == 5
    resets = board.counters.resets
    assert commands.run("reset watchdog") == "ok"
    assert board.counters.resets == resets + 1


def test_the_cable_can_be_pulled(commands: Commands, tmp_path: Path) -> None:
    commands.run("unplug")
    assert not (tmp_path / "tty").is_symlink()
    answer = commands.run("plug")
    assert answer.startswith("ok pty /dev/")
    assert (tmp_path / "tty").is_symlink()


def test_status_is_json(commands: Commands) -> None:
    answer = commands.run("status")
    status = json.loads(answer.removeprefix("ok "))
    assert status["now_us"] >= 30_000
    assert status["unmodelled"] == {}
    assert status["counters"]["resets"] == 1


@pytest.mark.parametrize(
    "line",
    [
        "",
        "dance",
        "nack",
        "nack maybe",
        "noise",
        "noise many",
        "reset often",
        "imu",
        "motion",
        "motion rotate x",
        "clock lsi fail",
        "clock pll",
        "dma_error LPT1 5",
        "dma_error I2C1_RX",
    ],
)
def test_a_wrong_command_gets_one_line_of_error(commands: Commands, line: str) -> None:
    answer = commands.run(line)
    assert answer.startswith("error ")
    assert "\n" not in answer


def test_quit(commands: Commands) -> None:
    assert commands.run("quit") == "ok"
    assert commands.board.quit_asked  # type: ignore[attr-defined]


def test_the_control_socket_answers_each_line_and_survives_its_clients(tmp_path: Path) -> None:
    path = tmp_path / "control"
    control = ControlSocket(path)
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(path))
    client.sendall(b"one\ntw")
    control.serve(str.upper)
    assert client.recv(64) == b"ONE\n"
    client.sendall(b"o\n")
    control.serve(str.upper)
    assert client.recv(64) == b"TWO\n"
    client.close()
    control.serve(str.upper)
    second = socket.socket(socket.AF_UNIX)
    second.connect(str(path))
    second.sendall(b"three\n")
    control.serve(str.upper)
    assert second.recv(64) == b"THREE\n"
    control.close()
    second.close()
    assert not path.exists()
