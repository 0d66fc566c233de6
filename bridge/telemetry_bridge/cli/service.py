"""As a service of systemd: when it is ready, and that it is alive (sd_notify(3), without its library)."""

from __future__ import annotations

import asyncio
import os
import socket


def notify(state: str) -> None:
    """Tell the service manager, if there is one that wants to be told."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.connect(f"\0{address[1:]}" if address.startswith("@") else address)
            manager.sendall(state.encode())


async def keep_alive() -> None:
    """Say READY, and then that the event loop turns, twice as often as the service manager wants to hear it."""
    notify("READY=1")
    interval_us = int(os.environ.get("WATCHDOG_USEC", "0"))
    while interval_us:
        await asyncio.sleep(interval_us / 2e6)
        notify("WATCHDOG=1")
