"""A bridge in the foreground: until it is told to end, or cannot go on."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from telemetry_bridge.app import Bridge
from telemetry_bridge.config import Config
from telemetry_bridge.terminal import Display

Shown: TypeAlias = Callable[[Bridge], Display]


def run(config: Config, show: Shown, *, serve: bool, duration: float | None) -> int:
    """Bridge the boards until Ctrl-C, SIGTERM or the end of `duration` (seconds).

    Raises:
        BridgeError: it cannot go on.
    """
    asyncio.run(_until(duration, _serve(config, show, serve=serve)))
    return 0


async def _until_told(duration: float | None) -> None:
    """Wait for Ctrl-C, SIGTERM, or the end of `duration`."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: KeyboardInterrupt ends asyncio.run instead
            loop.add_signal_handler(number, stop.set)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(duration):
            await stop.wait()


async def _until(duration: float | None, work: Coroutine[Any, Any, None]) -> None:
    """Work until told to end; whatever is under way then is wound up."""
    told = asyncio.create_task(_until_told(duration))
    serving = asyncio.create_task(work)
    await asyncio.wait({told, serving}, return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    if not serving.done():
        serving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await serving


async def _serve(config: Config, show: Shown, *, serve: bool) -> None:
    """Bridge the boards until something fails."""
    async with Bridge(config, serve=serve) as bridge, show(bridge) as display:
        await _until_one_fails(bridge, display)


async def _until_one_fails(bridge: Bridge, display: Display) -> None:
    """Wait until the bridge cannot go on, or nobody sees any more that it does."""
    failed = asyncio.create_task(bridge.wait_failed())
    shown = asyncio.create_task(display.wait_failed())
    try:
        done, _ = await asyncio.wait({failed, shown}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        failed.cancel()
        shown.cancel()
