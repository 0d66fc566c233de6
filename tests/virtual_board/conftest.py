from __future__ import annotations

from pathlib import Path

import pytest

from virtual_board import VirtualBoard
from virtual_board.motion import Motion
from virtual_board.testing import IDLE, Probe, Run, compile_program


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("programs")


@pytest.fixture
def run(programs: Path) -> Run:
    """Compile a program, run it for some microseconds of virtual time, return a probe on its board."""

    def start(
        source: str,
        microseconds: float = 1000,
        *,
        board: str = "nucleo_f411re",
        motion: Motion | None = None,
        seed: int = 0,
        unit: int = 0,
        noise: bool = True,
    ) -> Probe:
        elf = compile_program(source, programs)
        probe = Probe(VirtualBoard(elf, board=board, motion=motion, seed=seed, unit=unit, noise=noise))
        probe.pass_us(microseconds)
        return probe

    return start


@pytest.fixture
def probe(run: Run) -> Probe:
    """A nucleo_f411re whose core sleeps, on its 16 MHz HSI."""
    return run(IDLE, 10, noise=False)
