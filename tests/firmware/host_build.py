"""Builds the portable firmware modules for this machine, under the address and undefined-behaviour sanitizers."""

from __future__ import annotations

import fcntl
import functools
import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).resolve().parents[2]
FIRMWARE = ROOT / "firmware"
PROTOCOL = ROOT / "protocol" / "c"
HARNESS = Path(__file__).resolve().parent / "harness"
FLAGS = [
    "-std=c11",
    "-O1",
    "-g",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
    "--coverage",  # counted up over all tests of a run; tools/check_coverage.py sums up
    "-Wall",
    "-Wextra",
    "-Werror",
    f"-I{FIRMWARE}",
    f"-I{PROTOCOL / 'include'}",
    f"-I{PROTOCOL}",
]
# No two sources of one program may have the same name: their counts of lines would mix.
# main.c is the board's: the harness has its own
SOURCES: dict[str, list[Path | str]] = {
    "board": [
        *(path for path in sorted((FIRMWARE / "app").glob("*.c")) if path.name != "main.c"),
        *sorted((FIRMWARE / "drivers").glob("*.c")),
        *sorted((FIRMWARE / "lib").glob("*.c")),
        *sorted(PROTOCOL.glob("*.c")),
        HARNESS / "board.c",
    ],
    "bus_queue": [FIRMWARE / "drivers" / "bus_queue.c", HARNESS / "play_bus_queue.c"],
    "thermometer": [
        *(FIRMWARE / "drivers" / f"{name}.c" for name in ("thermometer", "tmp117", "lm75")),
        HARNESS / "play_thermometer.c",
    ],
    "commands": [
        *sorted((FIRMWARE / "app").glob("commands*.c")),
        *(FIRMWARE / "app" / f"{name}.c" for name in ("budget", "line", "log", "sampler", "streams", "telemetry")),
        *sorted((FIRMWARE / "lib").glob("*.c")),
        *sorted(PROTOCOL.glob("*.c")),
        HARNESS / "play_commands.c",
        # commands that need more of a board than this are not tried here
        "-Wl,--unresolved-symbols=ignore-all,-z,now",
    ],
    "modules": [
        FIRMWARE / "app" / "line.c",
        FIRMWARE / "app" / "log.c",
        FIRMWARE / "app" / "receiver.c",
        FIRMWARE / "app" / "sampler.c",
        *sorted((FIRMWARE / "lib").glob("*.c")),
        *sorted(PROTOCOL.glob("*.c")),
        HARNESS / "modules.c",
    ],
    "store": [FIRMWARE / "app" / "store.c", *sorted(PROTOCOL.glob("*.c")), HARNESS / "play_store.c"],
}


def _newest_input() -> float:
    folders = [FIRMWARE / "app", FIRMWARE / "drivers", FIRMWARE / "lib", FIRMWARE / "hal", PROTOCOL, HARNESS]
    return max(path.stat().st_mtime for folder in folders for path in folder.rglob("*.[ch]"))


@functools.cache
def host_program(name: str) -> Path:
    """Path of a harness program, compiled when a source is newer.

    Raises:
        subprocess.CalledProcessError: the sources do not compile; the message of gcc is on stderr.
        FileNotFoundError: no gcc.
    """
    build = FIRMWARE / "build" / "host"
    build.mkdir(parents=True, exist_ok=True)
    program = build / name
    with (build / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists() or program.stat().st_mtime < _newest_input():
            subprocess.run(["gcc", *FLAGS, *map(str, SOURCES[name]), "-o", str(program)], check=True)
    return program


class HarnessFailed(AssertionError):
    """The program ended: an assert of the firmware, or a sanitizer's finding; the message holds its stderr."""


class Harness:
    """A harness program under control: one line in, one line out."""

    def __init__(self, name: str) -> None:
        environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "print_stacktrace=1"}
        self._process = subprocess.Popen(
            [host_program(name)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def ask(self, line: str) -> str:
        """Send one command and return its answer.

        Raises:
            HarnessFailed: the program ended instead.
        """
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            process.stdin.write(line + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise HarnessFailed(f"after {line!r}: {process.stderr.read()}")
        return answer.rstrip("\n")

    def close(self) -> None:
        """End the program."""
        process = self._process
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    continue
        try:
            process.wait(timeout=10)  # it ends with its input, and writes what it has covered
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
