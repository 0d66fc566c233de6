"""`telemetry-bridge flash`: who is there, into the bootloader, program, and who is there now."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from telemetry_bridge.client import RunningBridge, Where
from telemetry_bridge.errors import BridgeError, FlashError, LinkError
from telemetry_bridge.events import DeviceInfo
from telemetry_bridge.finder import find_board
from telemetry_bridge.flash.image import Header, Image, load
from telemetry_bridge.flash.rom import BAUD, Rom, load_library
from telemetry_bridge.hub import Hub
from telemetry_bridge.line import Line
from telemetry_bridge.link import create, list_ports, parse_uri
from telemetry_bridge.link.serial_port import open_8e1

BOOT0 = "hold BOOT0 high, press and release reset (NRST), and run this again"
_GREETING_S = 8.0
"""More than a line takes to find a board that runs at another rate, for it has no PLL (line.GARBAGE_TIMEOUT_S)."""
_TRIES = 2
"""A board that a host has left at another rate is at its default again 5 s later (SPEC.md, "Commands"). Asking its
firmware and then its bootloader takes longer than that: the second time it is there."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What to flash, and where.

    Attributes:
        port: URI or path of a serial port, or ``auto``.
        force: also onto another board or chip.
        bridge: where a running bridge would be.
    """

    port: str
    image: Path
    force: bool
    bridge: Where


def flash(wish: Wish, console: Console) -> None:
    """Flash a board through its UART.

    Raises:
        BridgeError: one line that says why not, and how to go on.
    """
    load_library()
    image = load(wish.image)
    with _released(wish, console) as port:
        for tries_left in reversed(range(_TRIES)):
            was = _into_bootloader(port, image, wish)
            if was is not None:
                console.print(f"{port}: {was.board}, firmware {was.firmware} ({was.revision})")
            try:
                _program(port, image, wish, console, silent=was is None)
                break
            except _Unanswered:
                if was is not None or not tries_left:
                    raise
                console.print(f"{port}: no answer yet; asking again, for the board may have been at another rate")
        now = asyncio.run(_greet(port))
        console.print(f"{port}: {now.board} runs firmware {now.firmware} ({now.revision})")


@contextlib.contextmanager
def _released(wish: Wish, console: Console) -> Iterator[str]:
    """The URI of the port, which no running bridge holds meanwhile."""
    bridge = RunningBridge.find(wish.bridge)
    if bridge is None:
        yield _free_port(wish)
        return
    with bridge:
        port = _let_go(bridge, wish)
        if port is None:
            yield _free_port(wish)
            return
        console.print(f"{port}: the running bridge has let go of it")
        try:
            yield port
        finally:
            with contextlib.suppress(BridgeError):  # elsewhere meanwhile: taken back when the lease ends
                bridge.resume(port)


def _free_port(wish: Wish) -> str:
    return parse_uri(asyncio.run(find_board(list_ports())) if wish.port == "auto" else wish.port).text


def _let_go(bridge: RunningBridge, wish: Wish) -> str | None:
    """The URI of the port that the running bridge has let go of; None if it does not have the one that is wanted.

    Raises:
        FlashError: it has several boards, and nobody has said which.
    """
    target: str | None = wish.port
    if wish.port == "auto":
        online = bridge.online()
        if len(online) > 1:
            boards = ", ".join(f"{device['board']} at {device['link']}" for device in online)
            raise FlashError(f"auto: the running bridge has more than one board, say which (--port): {boards}")
        target = online[0]["id"] if online else None
    try:
        ports = [port for port in bridge.release(target, lease=True) if port != "auto"]
    except BridgeError:
        return None
    if len(ports) > 1:
        raise FlashError(f"auto: no board answers, and there is more than one port, say which: {', '.join(ports)}")
    return ports[0] if ports else None


def _refuse(image: Header, board: str, chip: str, port: str, wish: Wish) -> None:
    if not wish.force and image.board != board:
        raise FlashError(
            f"{wish.image} is for {image.board} ({image.chip}); at {port} is {board}{chip and f' ({chip})'}: "
            "nothing was changed (--force flashes it all the same)"
        )


def _into_bootloader(port: str, image: Image, wish: Wish) -> DeviceInfo | None:
    """The board, which is in its bootloader now; None if no firmware answers."""
    try:
        return asyncio.run(_ask_into_bootloader(port, image, wish))
    except _Silent:
        return None


class _Unanswered(FlashError):
    """No bootloader is there; nothing was changed."""


class _Silent(Exception):
    """The port is there, but nobody says HELLO."""


async def _ask_into_bootloader(port: str, image: Image, wish: Wish) -> DeviceInfo:
    link = create(port)
    await link.open()  # that the port cannot be opened is another matter than that nobody answers
    await link.close()
    try:
        async with _line(port) as (line, device):
            _refuse(image.header, device.board, "", port, wish)
            done = await line.command("enter_bootloader", {})
    except LinkError as error:
        raise _Silent from error
    if done.status == "unsupported":
        raise FlashError(
            f"{port}: the ROM of {device.board} does not serve this UART; "
            f"use the ST-LINK: make flash BOARD={device.board}"
        )
    if done.status == "unknown_command":
        raise FlashError(f"{port}: firmware {device.firmware} cannot enter the bootloader: {BOOT0}")
    if not done.ok:
        raise FlashError(f"{port}: the board does not enter its bootloader: {done.status}; {BOOT0}")
    return device


async def _greet(port: str) -> DeviceInfo:
    try:
        async with asyncio.timeout(_GREETING_S), _line(port) as (_, device):
            return device
    except (LinkError, TimeoutError):
        raise FlashError(
            f"{port}: the image is in flash, and right, but does not say HELLO: "
            "press reset with BOOT0 low; `telemetry-bridge monitor` shows what comes"
        ) from None


@contextlib.asynccontextmanager
async def _line(port: str) -> AsyncIterator[tuple[Line, DeviceInfo]]:
    """A board that has said who it is."""
    hub = Hub()
    line = Line(create(port), hub, {})
    running = asyncio.create_task(line.run())
    online = asyncio.create_task(line.wait_online())
    try:
        await asyncio.wait({running, online}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
        yield line, next(iter(hub.devices.values()))
    finally:
        running.cancel()
        online.cancel()
        await asyncio.gather(running, online, return_exceptions=True)


def _program(port: str, image: Image, wish: Wish, console: Console, *, silent: bool) -> None:
    with contextlib.closing(open_8e1(parse_uri(port), BAUD)) as serial_port:
        try:
            rom = Rom(serial_port)
        except FlashError as error:
            who = "neither the firmware nor the bootloader answers" if silent else str(error)
            raise _Unanswered(f"{port}: {who}: {BOOT0}; then check that TX and RX are wired to PA9 and PA10") from None
        if not wish.force and rom.device_id != image.header.device_id:
            raise FlashError(f"{wish.image} is for {image.header.chip}; at {port} is {rom.chip}: nothing was changed")
        present = rom.read_header() if silent else None
        if present is not None:
            _refuse(image.header, present.board, present.chip, port, wish)
        try:
            with _progress(console) as progress:
                rom.program(image, progress)
            rom.start()
        except (FlashError, OSError, KeyboardInterrupt) as error:
            why = "interrupted" if isinstance(error, KeyboardInterrupt) else str(error)
            raise FlashError(
                f"{port}: {why}. The board has no firmware that starts now, and is still in its bootloader: "
                f"run the same command again; if it then does not answer, {BOOT0}"
            ) from None


class _Show:
    """A bar for each phase; where the output is no terminal, a line for each."""

    def __init__(self, bars: Progress | None) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, phase: str, done: int, total: int) -> None:
        new = phase not in self._tasks
        if self._bars is None:
            if new:
                self._tasks[phase] = TaskID(0)
                print(phase, file=sys.stderr, flush=True)
            return
        if new:
            for task in self._tasks.values():
                self._bars.update(task, completed=1, total=1)
            self._tasks[phase] = self._bars.add_task(phase, total=total)
        self._bars.update(self._tasks[phase], completed=done)


@contextlib.contextmanager
def _progress(console: Console) -> Iterator[_Show]:
    if not console.is_terminal:
        yield _Show(None)
        return
    columns = (TextColumn("{task.description:>10}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, console=console, redirect_stderr=False) as bars:
        yield _Show(bars)
