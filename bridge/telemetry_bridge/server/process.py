"""How this process is: CPU, memory, open files, and whether its event loop keeps up."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections import deque
from pathlib import Path
from typing import Final

INTERVAL_S: Final = 1.0
WINDOW_S: Final = 60
"""So long is the worst lag remembered."""


class LoopLag:
    """How late the event loop runs what is due: everybody waits that long."""

    def __init__(self, interval_s: float = INTERVAL_S) -> None:
        self._interval_s = interval_s
        self._lags: deque[float] = deque(maxlen=round(WINDOW_S / interval_s))
        self._due_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to watch the loop that runs now."""
        loop = asyncio.get_running_loop()
        self._due_s = loop.time() + self._interval_s
        self._timer = loop.call_at(self._due_s, self._check)

    def stop(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _check(self) -> None:
        self.note(asyncio.get_running_loop().time() - self._due_s)
        self.start()

    def note(self, lag_s: float) -> None:
        """Take one measurement."""
        self._lags.append(max(lag_s, 0.0))

    def worst_s(self, seconds: float = WINDOW_S) -> float:
        """The worst of so long ago until now."""
        count = max(round(seconds / self._interval_s), 1)
        return max(list(self._lags)[-count:], default=0.0)


def cpu_s() -> float:
    """CPU time used so far, user and system."""
    return time.process_time()


def resident_bytes() -> int | None:
    """Memory in use now; None where the system has no /proc (proc(5): statm counts pages, the second is resident)."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None


def open_files() -> int | None:
    """Open file descriptors; None where the system does not say."""
    try:
        return len(os.listdir("/dev/fd" if sys.platform == "darwin" else "/proc/self/fd"))  # noqa: PTH208 - names only
    except OSError:
        return None
