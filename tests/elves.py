"""The firmware images that tests run: built when they are asked for, at most once a process.

from elves import elf_path
elf_path("nucleo_f411re") -> .../firmware/build/nucleo_f411re/firmware.elf
"""

from __future__ import annotations

import fcntl
import functools
import os
import subprocess
import sys
from pathlib import Path

FIRMWARE = Path(__file__).resolve().parent.parent / "firmware"
BOARDS = ("nucleo_f411re", "blackpill_f411ce", "netduinoplus2")


class BuildFailed(RuntimeError):
    """The build of an image failed; the message holds what the build said."""


def _run(*command: str) -> None:
    """Run a build command with the tools of this Python environment in front.

    Raises:
        BuildFailed: it could not be started, or failed.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    try:
        done = subprocess.run(
            command, cwd=FIRMWARE, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise BuildFailed(f"{command[0]} not found: run `make setup`") from error
    if done.returncode != 0:
        raise BuildFailed(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


@functools.cache
def elf_path(board: str) -> Path:
    """Path of a board's image, built from the sources as they are now.

    Several processes may ask at the same time; one builds, the others wait.

    Raises:
        BuildFailed: compiler missing, or the sources do not compile.
    """
    if board not in BOARDS:
        raise ValueError(f"no board {board!r}; there are: {', '.join(BOARDS)}")
    build = FIRMWARE / "build"
    build.mkdir(exist_ok=True)
    with (build / f".{board}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (build / board / "build.ninja").exists():
            _run("cmake", "--preset", board)
        _run("cmake", "--build", "--preset", board)
    elf = build / board / "firmware.elf"
    if not elf.exists():
        raise BuildFailed(f"the build of {board} left no image")
    return elf
