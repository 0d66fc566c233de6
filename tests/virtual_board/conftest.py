from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from virtual_board import VirtualBoard
from virtual_board.testing import IDLE, Probe, compile_program

Run = Callable[..., Probe]


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("programs")


@pytest.fixture
def run(programs: Path) -> Run:
    """Compile a program, run it for some microseconds of virtual time, return a probe on its board."""

    def start(source: str, microseconds: float = 1000, **options: object) -> Probe:
        board = VirtualBoard(compile_program(source, programs), **options)  # type: ignore[arg-type]
        probe = Probe(board)
        probe.pass_us(microseconds)
        return probe

    return start


@pytest.fixture
def probe(run: Run) -> Probe:
    """A nucleo_f411re whose core sleeps, on its 16 MHz HSI."""
    return run(IDLE, 10, noise=False)
