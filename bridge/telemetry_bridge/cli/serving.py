"""A bridge in the foreground: until it is told to end, or cannot go on."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from telemetry_bridge.app import Bridge
from telemetry_bridge.cli import service
from telemetry_bridge.config import Config
from telemetry_bridge.line import cancelled
from telemetry_bridge.terminal import Display
from telemetry_protocol import cobs_codec, crc

Shown: TypeAlias = Callable[[Bridge], Display]
PATIENCE_S = 1.0
"""A board that takes longer to answer is not waited for in silence."""

_log = logging.getLogger(__name__)


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
    slow = [codec.__name__.rpartition(".")[2] for codec in (crc, cobs_codec) if not codec.accelerated]
    if slow:
        _log.warning(
            "%s: not compiled, a hundred times slower: install a C compiler, then pip install --force-reinstall "
            "--no-cache-dir crcmod cobs",
            " and ".join(slow),
        )
    bridge = Bridge(config, serve=serve)
    try:
        await bridge.start()
        await _greet(bridge)
        alive = asyncio.create_task(service.keep_alive())
        try:
            if config.log.format == "json" and serve:  # every line of standard error is one of JSON
                await _until_one_fails(bridge.wait_failed())
            else:
                await bridge.wait_ready()
                async with show(bridge) as display:
                    await _until_one_fails(bridge.wait_failed(), display.wait_failed())
        finally:
            service.notify("STOPPING=1")
            await cancelled([alive])
    finally:
        await bridge.stop()


async def _greet(bridge: Bridge) -> None:
    """Say where the page is, and wait a moment for the boards: those that take longer are named.

    Raises:
        BridgeError: every line has failed.
    """
    page = f"page and WebSocket: {bridge.url}" if bridge.url else ""
    extra = {"url": bridge.url} if bridge.url else {}
    if page:
        _log.info("%s", page, extra=extra)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            await bridge.wait_ready()
            return
    who = "no board has answered yet at " + ", ".join(bridge.awaited)
    _log.warning("%s", "; ".join(filter(None, (who, page))), extra=extra)


async def _until_one_fails(*waits: Coroutine[Any, Any, None]) -> None:
    """Wait until the bridge cannot go on, or nobody sees any more that it does."""
    tasks = [asyncio.create_task(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
