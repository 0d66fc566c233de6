"""Who has a file open: for the message about a busy port."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def holders(path: str, *, others: bool = False) -> list[str]:
    """Programs that have ``path`` open, as far as this user may see them, e.g. ``minicom (pid 4711)``.

    Reads ``/proc`` (Linux); empty elsewhere.

    Args:
        others: leave this process out.
    """
    found = []
    target = Path(os.path.realpath(path))
    for process in _processes():
        if others and process.name == str(os.getpid()):
            continue
        with contextlib.suppress(OSError):  # ended meanwhile, or another user's
            if any(_points_to(descriptor, target) for descriptor in (process / "fd").iterdir()):
                found.append(f"{_name(process)} (pid {process.name})")
    return found


def _name(process: Path) -> str:
    """Name of a program; ``comm`` has 15 characters of it, the command line perhaps all."""
    short = (process / "comm").read_text().strip()
    words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
    return next((Path(word).name for word in words[:2] if Path(word).name.startswith(short)), short)


def _processes() -> list[Path]:
    try:
        return [entry for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    except OSError:
        return []


def _points_to(descriptor: Path, target: Path) -> bool:
    try:
        return descriptor.readlink() == target
    except OSError:
        return False
