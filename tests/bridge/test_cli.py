"""The command as a stranger meets it: in a process of its own, with real ports and real signals."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from telemetry_bridge import __version__
from telemetry_bridge.cli import parser

COMMAND = Path(sys.executable).with_name("telemetry-bridge")
LIMIT_S = 20


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *arguments], capture_output=True, text=True, timeout=LIMIT_S, check=False, stdin=subprocess.DEVNULL
    )


@contextlib.contextmanager
def running(*arguments: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """The command while it serves; its first line of output says where."""
    process = subprocess.Popen([COMMAND, *arguments], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    lines: list[str] = []
    try:
        while not (lines and "page http://" in lines[-1]):
            line = process.stderr.readline()
            assert line, f"ended with {process.wait()}: {lines}"
            lines.append(line)
        yield process, lines[-1]
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


@contextlib.contextmanager
def a_port(chatter: bytes = b"") -> Iterator[str]:
    """A pseudo-terminal at whose far end somebody says `chatter` again and again, or nothing."""
    master, slave = os.openpty()
    tty.setraw(slave)
    done = threading.Event()

    def talk() -> None:
        while chatter and not done.wait(0.01):
            os.write(master, chatter)

    talker = threading.Thread(target=talk)
    talker.start()
    try:
        yield os.ttyname(slave)
    finally:
        done.set()
        talker.join()
        os.close(master)
        os.close(slave)


def one_line(result: subprocess.CompletedProcess[str]) -> str:
    """The one line of an error; no traceback, a failure code."""
    assert result.returncode == 1, result.stderr
    assert "Traceback" not in result.stderr
    line = result.stderr.rstrip("\n").splitlines()[-1]
    assert line.startswith("telemetry-bridge: ")
    return line


def test_version() -> None:
    result = run("--version")
    assert (result.returncode, result.stdout.strip()) == (0, f"telemetry-bridge {__version__}")


def test_help_names_every_command_and_shows_examples() -> None:
    text = run("--help").stdout
    for word in (
        "run",
        "demo",
        "monitor",
        "ports",
        "telemetry-bridge run --port auto",
        "serial:",
        "tcp:",
        "exit codes",
    ):
        assert word in text


@pytest.mark.parametrize(
    "command", ["run", "demo", "monitor", "record", "runs", "command", "release", "resume", "config", "ports"]
)
def test_every_command_explains_itself(command: str) -> None:
    result = run(command, "--help")
    assert result.returncode == 0
    assert "usage: telemetry-bridge " + command in result.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["run", "--port", "auto", "--duration", "0"],
        ["run", "--port", "auto", "--duration", "nan"],
        ["run", "--port", "auto", "--http-port", "65536"],
    ],
)
def test_wrong_usage_is_refused_with_code_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        parser().parse_args(arguments)
    assert refused.value.code == 2


@pytest.mark.parametrize("command", ["run", "monitor", "record"])
def test_without_a_port_and_without_a_configuration_there_is_nothing_to_bridge(command: str, tmp_path: Path) -> None:
    (tmp_path / "empty.toml").touch()
    result = run(command, "--config", str(tmp_path / "empty.toml"))
    assert result.returncode == 2
    assert "--port" in result.stderr


def test_a_port_that_does_not_exist_is_named() -> None:
    assert "/dev/tty-nowhere" in one_line(run("run", "--port", "/dev/tty-nowhere", "--http-port", "0"))


def test_a_busy_port_is_named() -> None:
    import fcntl
    import termios

    with a_port() as port:
        holder = os.open(port, os.O_RDWR | os.O_NOCTTY)
        try:
            fcntl.flock(holder, fcntl.LOCK_EX)
            line = one_line(run("run", "--port", port, "--http-port", "0"))
        finally:
            fcntl.ioctl(holder, termios.TIOCNXCL)
            os.close(holder)
    assert port in line
    assert "busy" in line or "in use" in line


def test_a_port_that_speaks_something_else_is_said_to() -> None:
    with a_port(b"$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47\r\n\0") as port:
        line = one_line(run("monitor", "--port", port))
    assert port in line
    assert "no telemetry frames" in line


@pytest.mark.parametrize("form", ["text", "json"])
def test_where_the_page_is_and_that_it_is_ready_does_not_wait_for_a_board(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, address = tmp_path / "bridge.toml", str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.setblocking(False)
        with a_port(b"$GPGGA,123519\r\n\0") as port:
            config.write_text(f"[server]\nport = 0\n[log]\nformat = '{form}'\n[[line]]\nuri = 'serial:{port}'\n")
            done = run("run", "--config", str(config))
        assert manager.recv(100) == b"READY=1"
    first, *_, last = done.stderr.splitlines()
    assert f"no board has answered yet at serial:{port}; page and WebSocket: http://localhost:" in first
    assert "no telemetry frames" in last
    assert done.returncode == 1


def test_a_silent_port_is_said_to_be_silent() -> None:
    with a_port() as port:
        line = one_line(run("monitor", "--port", port))
    assert port in line
    assert "no answer" in line


def test_a_nonsensical_uri_is_explained() -> None:
    assert "serial:" in one_line(run("run", "--port", "nonsense", "--http-port", "0"))


def test_a_taken_http_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = str(taken.getsockname()[1])
        line = one_line(run("demo", "--http-port", number, "--duration", "5"))
    assert number in line


def test_the_demo_serves_and_ends_by_itself() -> None:
    result = run("demo", "--http-port", "0", "--duration", "1.5")
    assert result.returncode == 0, result.stderr
    assert re.search(r"http://localhost:\d+", result.stderr)
    assert "online" in result.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(number: signal.Signals) -> None:
    with running("demo", "--http-port", "0") as (process, _):
        process.send_signal(number)
        assert process.wait(LIMIT_S) == 0
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


def test_two_signals_in_a_row_still_end_it_cleanly() -> None:
    with running("demo", "--http-port", "0") as (process, _):
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT_S) == 0
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


def has_open(pid: int, path: str) -> bool:
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile
            if descriptor.readlink() == Path(path):
                return True
    return False


def takes_sigint(process: int) -> bool:
    """Whether a process has a handler for SIGINT: the fourth field of signals in its status, one bit each."""
    (line,) = re.findall(r"^SigCgt:\s*(\w+)", Path(f"/proc/{process}/status").read_text(), re.MULTILINE)
    forked = Path(f"/proc/{process}/cmdline").read_bytes() == Path("/proc/self/cmdline").read_bytes()
    return not forked and bool(int(line, 16) & 1 << signal.SIGINT - 1)


def test_ctrl_c_while_it_still_looks_for_the_board_ends_it_at_once() -> None:
    with a_port() as port:
        process = subprocess.Popen(
            [COMMAND, "run", "--port", port, "--http-port", "0"], stderr=subprocess.PIPE, text=True
        )
        with process:
            # the handlers of the signals stand before the port is opened, and that can be seen from outside
            while not has_open(process.pid, port):
                assert process.poll() is None
            process.send_signal(signal.SIGINT)
            assert process.wait(LIMIT_S) == 0
            assert process.stderr is not None
            assert "Traceback" not in process.stderr.read()


@pytest.mark.parametrize("after_s", [0.05, 0.15, 0.3])
def test_ctrl_c_while_it_still_starts_leaves_no_traceback(after_s: float) -> None:
    process = subprocess.Popen([COMMAND, "demo", "--http-port", "0"], stderr=subprocess.PIPE, text=True)
    try:
        while not takes_sigint(process.pid):  # before, there is nobody whom the signal could reach
            assert process.poll() is None
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(after_s)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=LIMIT_S)
        # while Python itself starts it is Python that ends: by the signal or, where it imports `site`, with 1
        assert process.returncode in {0, -signal.SIGINT} or "Fatal Python error: init_import_site" in said, said
        assert process.returncode or "Traceback" not in said
    finally:
        process.kill()


def test_monitor_prints_live_values_where_there_is_no_terminal() -> None:
    result = run("monitor", "--port", "sim:", "--duration", "3")
    assert result.returncode == 0, result.stderr
    assert re.search(r"accel_x +[+-]\d", result.stdout), result.stdout


def test_whoever_reads_the_output_may_stop_reading() -> None:
    process = subprocess.Popen(
        [COMMAND, "monitor", "--port", "sim:", "--duration", "10"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.wait(LIMIT_S) == 0
        assert "Traceback" not in process.stderr.read()


def test_ports_lists_or_says_that_there_are_none() -> None:
    result = run("ports")
    assert result.returncode == 0
    assert result.stdout or "no serial ports" in result.stderr
