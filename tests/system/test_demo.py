"""`make demo` behind its set-up: the real firmware, bridged, from one command; nothing is left running."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "tools" / "demo.py"
LIMIT_S = 60


def processes_with(mark: str) -> list[str]:
    """Command lines of the processes whose environment holds the mark."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and mark.encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue  # it has ended meanwhile
    return found


def start(mark: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(DEMO), "--http-port", "0", *arguments],
        env={**os.environ, "DEMO_TEST_MARK": mark},
        stderr=subprocess.PIPE,
        text=True,
    )


def page_of(process: subprocess.Popen[str]) -> str:
    """Wait until the demo serves; the address of its page."""
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.search(r"page (http://localhost:\d+)", line):
            return found[1]
    raise AssertionError(f"the demo ended with {process.wait()}")


def test_it_serves_the_real_firmware_and_ends_by_itself(tmp_path: Path) -> None:
    with start(str(tmp_path), "--duration", "4") as process:
        url = page_of(process)
        with urllib.request.urlopen(f"{url}/healthz", timeout=LIMIT_S) as response:
            assert b"nucleo_f411re" in response.read()
        running = " ".join(processes_with(str(tmp_path)))
        assert "virtual_board" in running
        assert "telemetry-bridge" in running
        assert process.wait(LIMIT_S) == 0
    assert processes_with(str(tmp_path)) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_of_it_cleanly(number: signal.Signals, tmp_path: Path) -> None:
    with start(str(tmp_path)) as process:
        page_of(process)
        process.send_signal(number)
        assert process.wait(LIMIT_S) == 0
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
    assert processes_with(str(tmp_path)) == []


def test_without_a_cross_compiler_it_says_so_and_shows_the_simulated_board(tmp_path: Path) -> None:
    process = subprocess.run(
        [sys.executable, str(DEMO), "--http-port", "0", "--duration", "2"],
        env={"PATH": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    assert "no arm-none-eabi-gcc" in process.stderr
    assert "simulated" in process.stderr


def test_another_board_can_be_shown(tmp_path: Path) -> None:
    with start(str(tmp_path), "--board", "netduinoplus2", "--duration", "3") as process:
        page_of(process)
        assert process.wait(LIMIT_S) == 0
