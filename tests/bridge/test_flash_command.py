"""`telemetry-bridge flash` on a port where nobody answers at first, over a pseudo-terminal."""

from __future__ import annotations

import os
import pty
import select
import threading
import time
import tty
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from rich.console import Console

from elves import elf_path
from telemetry_bridge import line
from telemetry_bridge.client import Where
from telemetry_bridge.errors import FlashError
from telemetry_bridge.flash import Wish, flash, rom
from telemetry_bridge.sim import SimulatedDevice

KNOCK = b"\x7f"
BOARD = "blackpill_f411ce"


@dataclass
class Deaf:
    """A board that understands nothing until its bootloader was asked for, as one at another rate; then it answers.

    Attributes:
        recovers: it does; else it stays deaf.
    """

    recovers: bool
    path: str = ""
    _end: threading.Event = field(default_factory=threading.Event)

    def serve(self) -> Iterator[None]:
        """Play the board at one end of a terminal."""
        master, port = pty.openpty()
        tty.setraw(port)
        self.path = os.ttyname(port)
        thread = threading.Thread(target=self._play, args=(master,))
        thread.start()
        try:
            yield
        finally:
            self._end.set()
            thread.join()
            os.close(master)
            os.close(port)

    def _play(self, master: int) -> None:
        device: SimulatedDevice | None = None
        while not self._end.is_set():
            readable, _, _ = select.select([master], [], [], 0.005)
            data = os.read(master, 4096) if readable else b""
            now_ns = time.monotonic_ns()
            if device is None:
                if self.recovers and data.endswith(KNOCK):
                    device = SimulatedDevice()
                continue
            device.receive(data, now_ns)
            os.write(master, device.advance(now_ns))


@pytest.fixture
def deaf(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deaf]:
    """Waits are short where nobody answers."""
    monkeypatch.setattr(line, "HELLO_TIMEOUT_S", 2.0)
    monkeypatch.setattr(rom, "KNOCK_S", 0.02)
    board = Deaf(recovers=request.param)
    serving = board.serve()
    next(serving)
    yield board
    next(serving, None)


def said(board: Deaf) -> str:
    """Why it does not flash."""
    with pytest.raises(FlashError) as refused:
        flash(Wish(board.path, Path(elf_path(BOARD)), force=True, bridge=Where(1)), Console(quiet=True))
    return str(refused.value)


@pytest.mark.parametrize("deaf", [True], indirect=True)
def test_a_board_that_comes_back_to_its_default_rate_is_asked_again(deaf: Deaf) -> None:
    assert "the ROM of simulated does not serve this UART" in said(deaf)  # what the board itself has answered


@pytest.mark.parametrize("deaf", [False], indirect=True)
def test_where_nobody_ever_answers_that_is_said(deaf: Deaf) -> None:
    assert "neither the firmware nor the bootloader answers" in said(deaf)
