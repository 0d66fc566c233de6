"""The latency timer of FTDI adapters: how long their chip keeps bytes that do not fill a USB packet.

16 ms after power-up (FTDI AN232B-04, section 2.1), which would be the largest part of the whole path's latency and of
its jitter. Linux' driver ``ftdi_sio`` shows it as ``latency_timer`` below ``/sys/bus/usb-serial/devices``; only root
may write there, but any user of the port may set ASYNC_LOW_LATENCY, which makes the driver use 1 ms.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

WANTED_MS = 1
UDEV_RULE = 'ACTION=="add", SUBSYSTEM=="usb-serial", DRIVER=="ftdi_sio", ATTR{latency_timer}="1"'

SYSFS = Path("/sys/bus/usb-serial/devices")


def shorten(path: str, set_low_latency: Callable[[], None]) -> str:
    """Set the latency timer of the open port ``path`` to 1 ms, if it has one.

    Args:
        set_low_latency: sets ASYNC_LOW_LATENCY; raises ValueError or OSError where it cannot.

    Returns:
        Empty; or where that is not allowed, one line that says so and what allows it.
    """
    name = Path(os.path.realpath(path)).name
    timer = SYSFS / name / "latency_timer"
    if _read_ms(timer) <= WANTED_MS:
        return ""
    with contextlib.suppress(OSError):
        timer.write_text(f"{WANTED_MS}\n")
    if _read_ms(timer) <= WANTED_MS:
        return ""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        set_low_latency()
    left_ms = _read_ms(timer)
    if left_ms <= WANTED_MS:
        return ""
    return (
        f"{path}: the FTDI adapter holds bytes back for up to {left_ms} ms; a udev rule lets the bridge set 1 ms: "
        f"echo '{UDEV_RULE}' | sudo tee /etc/udev/rules.d/99-ftdi-latency.rules, then plug it in again"
    )


def _read_ms(timer: Path) -> int:
    """0 where there is no such timer: another adapter, or another system."""
    try:
        return int(timer.read_text())
    except (OSError, ValueError):
        return 0
