"""Four saturated lines at once: paced pseudo-terminals, one bridge, 20 subscribers, and nothing may be lost."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import subprocess
import sys
import time
import tty
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.fanout import cpu_s, rss_mb
from bench.report import Row
from telemetry_bridge.sim import SimulatedDevice

LINES = 4
RATE_HZ = 7000
"""Six-axis samples a second that fill 95 % of a line at 921,600 baud."""
SUBSCRIBERS = 20
SECONDS = 60.0
SETTLE_S = 8.0
BYTES_PER_S = 92_160
"""A line of 921,600 baud: ten bits a byte."""
BRIDGE = Path(sys.executable).with_name("telemetry-bridge")


class Player:
    """A simulated board behind a pseudo-terminal, in real time, no faster than its line."""

    def __init__(self, seed: int) -> None:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path = os.ttyname(self._slave)
        self.unsent = 0
        self._board = SimulatedDevice.from_parameters({"rate": str(RATE_HZ), "seed": str(seed)})

    async def run(self) -> None:
        """Play for ever."""
        asyncio.get_running_loop().add_reader(self._master, self._from_host)
        while True:
            data = self._board.advance(time.monotonic_ns())
            if data:
                self.unsent += len(data) - self._write(data)
            await asyncio.sleep(0.002)

    def _write(self, data: bytes) -> int:
        try:
            return os.write(self._master, data)
        except BlockingIOError:
            return 0

    def _from_host(self) -> None:
        with contextlib.suppress(OSError):
            self._board.receive(os.read(self._master, 4096), time.monotonic_ns())


async def play() -> None:
    """The process of the players: prints their ports, and for each line of input what was not taken so far."""
    players = [Player(seed) for seed in range(1, LINES + 1)]
    print(json.dumps([player.path for player in players]), flush=True)
    tasks = [asyncio.create_task(player.run()) for player in players]
    while await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline):
        print(json.dumps(sum(player.unsent for player in players)), flush=True)
    for task in tasks:
        task.cancel()


@contextlib.contextmanager
def process(*command: str, **pipes: Any) -> Iterator[subprocess.Popen[str]]:
    """A process that is killed at the end."""
    running = subprocess.Popen(command, text=True, **pipes)
    try:
        yield running
    finally:
        running.kill()
        running.wait()


def health(http: str) -> Any:
    """/healthz of the bridge."""
    with urllib.request.urlopen(f"http://localhost:{http}/healthz", timeout=30) as response:
        return json.load(response)


def ask(running: subprocess.Popen[str], line: str) -> Any:
    """Send a line and read the answer, a line of JSON."""
    assert running.stdin is not None
    assert running.stdout is not None
    running.stdin.write(line)
    running.stdin.flush()
    return json.loads(running.stdout.readline())


def run() -> tuple[str, str, list[Row]]:
    """Measure."""
    python = (sys.executable, "-m")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with process(*python, "bench.lines", "--play", **pipes) as players:
        assert players.stdout is not None
        ports = [word for path in json.loads(players.stdout.readline()) for word in ("--port", path)]
        with process(str(BRIDGE), "run", *ports, "--http-port", "0", stderr=subprocess.PIPE) as bridge:
            assert bridge.stderr is not None
            http = ""
            while not http:
                line = bridge.stderr.readline()
                if not line:
                    raise RuntimeError("the bridge ended before it served")
                found = re.search(r"page http://localhost:(\d+)", line)
                http = found[1] if found else ""
            url = f"ws://localhost:{http}/ws"
            with process(*python, "bench.drain", url, "--clients", str(SUBSCRIBERS), **pipes) as drain:
                assert drain.stdin is not None
                assert drain.stdout is not None
                if drain.stdout.readline() != "ready\n":
                    raise RuntimeError("the subscribers could not subscribe")
                time.sleep(SETTLE_S)
                drain.stdin.write("go\n")
                drain.stdin.flush()
                begin, before, told = time.monotonic(), cpu_s(bridge.pid), health(http)
                unsent = ask(players, "how many\n")
                time.sleep(SECONDS)
                took, used = time.monotonic() - begin, cpu_s(bridge.pid) - before
                counted, now, memory = ask(drain, "stop\n"), health(http), rss_mb(bridge.pid)
                unsent = ask(players, "how many\n") - unsent
    bytes_per_s = [
        (after["line"]["bytes"] - first["line"]["bytes"]) / took
        for first, after in zip(told["devices"], now["devices"], strict=True)
    ]
    rows = [
        Row("lines in use, least loaded", 100 * min(bytes_per_s) / BYTES_PER_S, "% of 921,600 baud", ">= 90"),
        Row("samples delivered, all subscribers", counted["samples"] / took, "/s"),
        Row("samples lost, by any cause, all lines", _lost(now) - _lost(told), "", "<= 0"),
        Row("gaps told to subscribers, and lost connections", counted["gaps"] + counted["lost"], "", "<= 0"),
        Row("bytes that the pseudo-terminals did not take", unsent, "B", "<= 0"),
        Row("core in use by the bridge", 100 * used / took, "%"),
        Row("memory of the bridge", memory, "MB"),
    ]
    about = (
        f"{LINES} simulated boards of {RATE_HZ} Hz in a process of their own, each behind a pseudo-terminal and no "
        f"faster than a line of 921,600 baud; one bridge; {SUBSCRIBERS} subscribers to every IMU; {SECONDS:.0f} s."
    )
    return "Four saturated lines", about, rows


def _lost(state: Any) -> int:
    lost = 0
    for device in state["devices"]:
        for stream in device["streams"]:
            lost += sum(stream["counters"].get("lost", {}).values())
        lost += device["line"]["missing_frames"] + device["line"]["held_dropped"]
    return lost


if __name__ == "__main__":
    asyncio.run(play())
