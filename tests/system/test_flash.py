"""Flashing as a user does it: the real command, a real bridge, and a virtual board with its ROM, as processes."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from elves import elf_path
from system.processes import COMMAND, Board, Bridge, bridge, virtual_board
from telemetry_bridge import app
from telemetry_bridge.config import Config, ServerConfig
from telemetry_bridge.link import PortInfo

BOARD = "blackpill_f411ce"
API = Subprotocol("telemetry-bridge.v1")
LIMIT_S = 90
NOWHERE = ["--http-port", "1"]  # nobody serves there


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    with virtual_board(tmp_path, BOARD) as board:
        yield board


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([COMMAND, *arguments], capture_output=True, text=True, timeout=LIMIT_S, check=False)


def image(name: str = BOARD) -> str:
    return str(elf_path(name))


def subscriber(served: Bridge) -> ClientConnection:
    return connect(f"ws://localhost:{served.http}/ws", subprotocols=[Subprotocol("telemetry-bridge.v1")])


def wait_for(ws: ClientConnection, **wanted: Any) -> Any:
    """The device, once it has these values. Raises TimeoutError, also where other messages go on coming."""
    end = time.monotonic() + LIMIT_S
    while True:
        message = json.loads(ws.recv(end - time.monotonic()))
        if message["op"] == "device" and wanted.items() <= message["device"].items():
            return message["device"]


def test_a_running_bridge_lets_go_and_shows_the_new_boot_of_the_same_device(board: Board) -> None:
    with bridge("run", "--port", board.port) as served, subscriber(served) as ws:
        before = wait_for(ws, state="online")
        done = run("flash", "--port", board.port, "--http-port", str(served.http), image())
        assert done.returncode == 0, done.stderr
        assert "runs firmware" in done.stderr.splitlines()[-1]
        wait_for(ws, state="released", id=before["id"])
        after = wait_for(ws, state="online", id=before["id"])
        assert after["boot_id"] != before["boot_id"]


def test_a_board_that_was_found_by_itself_is_flashed_and_found_again(board: Board) -> None:
    path = Path(board.port).resolve()

    async def watch() -> None:
        here = PortInfo(str(path), "a board", True)
        found = app.Bridge(Config(auto=True, server=ServerConfig(port=0)), ports=lambda: [here])
        async with found, asyncio.timeout(LIMIT_S):
            with await asyncio.to_thread(connect, found.url.replace("http", "ws") + "/ws", subprotocols=[API]) as ws:
                before = await asyncio.to_thread(wait_for, ws, state="online")
                where = ["--http-port", found.url.rpartition(":")[2]]
                done = await asyncio.to_thread(run, "flash", "--port", "auto", *where, image())
                assert done.returncode == 0, done.stderr
                await asyncio.to_thread(wait_for, ws, state="released", id=before["id"])
                after = await asyncio.to_thread(wait_for, ws, state="online", id=before["id"])
                assert after["boot_id"] != before["boot_id"]

    asyncio.run(watch())


def test_release_and_resume(board: Board) -> None:
    with bridge("run", "--port", board.port) as served, subscriber(served) as ws:
        here = ["--http-port", str(served.http)]
        device = wait_for(ws, state="online")["id"]
        assert run("release", board.port, *here).stdout == f"released serial:{board.port}\n"
        wait_for(ws, state="released")
        with bridge("run", "--port", board.port):  # it is free
            pass
        assert run("resume", device, *here).stdout == f"resumed serial:{board.port}\n"
        wait_for(ws, state="online", id=device)
        assert "no port or device 'COM9'" in run("release", "COM9", *here).stderr


def test_a_lease_ends_with_its_connection(board: Board) -> None:
    with bridge("run", "--port", board.port) as served, subscriber(served) as ws:
        wait_for(ws, state="online")
        with subscriber(served) as other:
            other.send(json.dumps({"op": "release", "id": 1, "target": board.port, "lease": True}))
            wait_for(ws, state="released")
        wait_for(ws, state="online")


def test_an_image_for_another_board_is_refused_and_nothing_happens(board: Board) -> None:
    done = run("flash", "--port", board.port, *NOWHERE, image("nucleo_f411re"))
    assert done.returncode == 1
    assert "is for nucleo_f411re" in done.stderr
    assert "nothing was changed" in done.stderr
    assert run("monitor", "--port", board.port, "--duration", "0.5").returncode == 0


def test_interrupted_half_way_it_says_how_to_go_on_and_the_next_run_succeeds(board: Board) -> None:
    command = [str(COMMAND), "flash", "--port", board.port, *NOWHERE, image()]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said: list[str] = []
        while said[-1:] != ["writing\n"]:
            said.append(process.stderr.readline())
            assert said[-1], f"it ended before it wrote: {said}"
        process.send_signal(2)
        rest = process.stderr.read()
    assert process.returncode == 1, rest
    assert "run the same command again" in rest
    done = run("flash", "--port", board.port, *NOWHERE, image())
    assert done.returncode == 0, done.stderr
    assert f"{BOARD} runs firmware" in done.stderr


def test_a_board_that_is_silent_in_its_bootloader_is_flashed_and_told_apart_by_what_it_holds(board: Board) -> None:
    board.tell("boot0 on")
    board.tell("reset")
    wrong = run("flash", "--port", board.port, *NOWHERE, image("nucleo_f411re"))
    assert f"at {board.port} is {BOARD} (STM32F411)" in wrong.stderr.replace("serial:", "")
    done = run("flash", "--port", board.port, *NOWHERE, image())
    assert done.returncode == 0, done.stderr
    assert f"{BOARD} runs firmware" in done.stderr


def test_a_board_without_pll_is_found_at_its_slow_line_and_flashed(board: Board) -> None:
    """Its firmware and the bootloader use the same rate, which is all the same to a real port."""
    board.tell("clock pll fail")
    board.tell("reset")
    done = run("flash", "--port", board.port, *NOWHERE, image())
    assert done.returncode == 0, done.stderr
    assert f"{BOARD}, firmware" in done.stderr.replace("\n", " "), "asked before"
    assert f"{BOARD} runs firmware" in done.stderr


def test_a_board_whose_uart_the_rom_does_not_serve_is_pointed_to_the_probe(tmp_path: Path) -> None:
    with virtual_board(tmp_path) as nucleo:
        done = run("flash", "--port", nucleo.port, *NOWHERE, image("nucleo_f411re"))
        assert done.returncode == 1
        assert "make flash BOARD=nucleo_f411re" in done.stderr


def test_a_port_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    done = run("flash", "--port", str(tmp_path / "none"), *NOWHERE, image())
    assert done.returncode == 1
    assert "there is no such port" in done.stderr
