"""Boards on the host for the tests of the firmware."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from firmware.host_board import HostBoard
from firmware.host_build import Harness


@pytest.fixture
def make_board() -> Iterator[Callable[..., HostBoard]]:
    """Boot boards; they end with the test."""
    boards: list[HostBoard] = []

    def make(**options: Any) -> HostBoard:
        boards.append(HostBoard(**options))
        return boards[-1]

    yield make
    for board in boards:
        board.close()


@pytest.fixture
def board(make_board: Callable[..., HostBoard]) -> HostBoard:
    """A board with everything connected, before its sensor has started."""
    return make_board()


@pytest.fixture
def streaming(board: HostBoard) -> HostBoard:
    """A board whose IMU streams."""
    board.run(0.5)
    assert board.samples(0)
    return board


@pytest.fixture(scope="session")
def modules() -> Iterator[Harness]:
    """Ring, sampler and receiver by themselves."""
    with Harness("modules") as harness:
        yield harness
