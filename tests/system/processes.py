"""The product as its users run it: virtual board and bridge as processes of their own, in real time."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from elves import elf_path

TOOLS = Path(__file__).parents[2] / "tools"
COMMAND = Path(sys.executable).with_name("telemetry-bridge")
END_S = 15


@dataclass
class Board:
    """A virtual board that runs.

    Attributes:
        port: its UART, a path that stays the same when it is unplugged and plugged again.
    """

    process: subprocess.Popen[str]
    port: str

    def tell(self, command: str) -> str:
        """One command of the virtual board's remote control; returns the answer behind `ok`."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer.startswith("ok"), answer
        return answer[2:].strip()


@contextlib.contextmanager
def virtual_board(folder: Path, name: str = "nucleo_f411re", motion: str = "hand", unit: int = 0) -> Iterator[Board]:
    """Run the real firmware, its UART on a pseudo-terminal."""
    port = folder / "uart"
    where = ["--board", name, "--pty", "--link", str(port)]
    how = ["--control", "stdin", "--motion", motion, "--seed", str(unit + 1), "--unit", str(unit)]
    process = subprocess.Popen(
        [sys.executable, "-m", "virtual_board", str(elf_path(name)), *where, *how],
        env={**os.environ, "PYTHONPATH": str(TOOLS)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("ready pty"), line
            yield Board(process, str(port))
        finally:
            end(process)


def end(process: subprocess.Popen[str]) -> int:
    """Tell a process to end; one that does not is killed, and the test fails.

    Returns:
        Its exit code.
    """
    process.terminate()
    try:
        return process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        raise


@dataclass
class Bridge:
    """A bridge that serves.

    Attributes:
        http: port of page and WebSocket.
        said: what it has written to its standard error so far, line by line.
    """

    process: subprocess.Popen[str]
    http: int
    said: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://localhost:{self.http}/"

    def healthz(self) -> tuple[int, Any]:
        """Status and body of /healthz."""
        try:
            with urllib.request.urlopen(f"{self.url}healthz", timeout=END_S) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)


@contextlib.contextmanager
def bridge(*arguments: str) -> Iterator[Bridge]:
    """`telemetry-bridge` with these arguments; ends with SIGTERM, and cleanly."""
    process = subprocess.Popen([COMMAND, *arguments, "--http-port", "0"], stderr=subprocess.PIPE, text=True)
    with process:
        assert process.stderr is not None
        said: list[str] = []
        http = 0
        while not http:
            line = process.stderr.readline()
            assert line, f"ended with {process.wait()}: {said}"
            said.append(line)
            found = re.search(r"page http://localhost:(\d+)", line)
            http = int(found[1]) if found else 0
        drain = threading.Thread(target=lambda: said.extend(process.stderr or ()))
        drain.start()
        try:
            yield Bridge(process, http, said)
        finally:
            code = end(process)
            drain.join()
        assert code == 0, said
        assert not any("Traceback" in line for line in said), said
