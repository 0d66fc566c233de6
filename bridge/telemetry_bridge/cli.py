"""The command line: `telemetry-bridge`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from telemetry_bridge import __version__
from telemetry_bridge.app import Bridge, find_board
from telemetry_bridge.errors import BridgeError
from telemetry_bridge.link import list_ports
from telemetry_bridge.remote import command, listing, tell
from telemetry_bridge.terminal import Display, LiveValues, StatusLine

EPILOG = """\
examples:
  telemetry-bridge demo                         a simulated board, no hardware needed
  telemetry-bridge ports                        which serial ports there are
  telemetry-bridge run --port auto              find the board, serve http://localhost:8765
  telemetry-bridge run --port /dev/ttyACM0      this port, at 921600 baud
  telemetry-bridge run --port auto --baud 2000000   open at 921600, then change board and port to 2000000
  telemetry-bridge run --port tcp:localhost:4000
  telemetry-bridge monitor --port auto          live values in this terminal, no server
  telemetry-bridge flash --port /dev/ttyUSB0 firmware.elf
  telemetry-bridge command set_rate stream=imu rate_hz=500   to the board of a running bridge

ports:
  serial:/dev/ttyACM0[?baud=921600], or just /dev/ttyACM0 or COM3; this rate is that of the board after a reset
  tcp:HOST:PORT
  sim:[?rate=1000&seed=1]                       the simulated board
  auto                                          every serial port is asked; the first board that answers is taken

exit codes: 0 ended as asked, 1 could not go on (one line says why), 2 wrong usage
"""


COMMAND_EPILOG = """\
examples:
  telemetry-bridge command --list
  telemetry-bridge command set_rate stream=imu rate_hz=500
  telemetry-bridge command set_range stream=imu field=accel_x full_scale=78.5
  telemetry-bridge command enable_stream stream=mcu_temp enabled=false
  telemetry-bridge command self_test stream=imu --json
  telemetry-bridge command save_configuration --device 3a0021

exit codes: 0 done, 1 refused, not possible, or a self-test that did not pass (one line says why), 2 wrong usage
"""


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < float(text) < float("inf"):
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a positive number of seconds")


def _baud(text: str) -> int:
    with contextlib.suppress(ValueError):
        if 115_200 <= int(text) <= 3_000_000:
            return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a rate from 115200 to 3000000 baud")


def _port_number(text: str) -> int:
    with contextlib.suppress(ValueError):
        if 0 <= int(text) <= 65535:
            return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a TCP port (0 … 65535; 0 takes a free one)")


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog="telemetry-bridge",
        description="Stream sensors from an STM32 board to a live web page and to WebSocket subscribers.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--duration", type=_seconds, metavar="SECONDS", help="end by itself after this time")
    common.add_argument("-v", "--verbose", action="count", default=0, help="say more on stderr; twice: everything")

    serving = argparse.ArgumentParser(add_help=False)
    serving.add_argument(
        "--http-port", type=_port_number, default=8765, metavar="PORT", help="page and WebSocket (default: %(default)s)"
    )
    serving.add_argument(
        "--allow-origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="let pages of this origin read the sensors, e.g. http://localhost:5173; may be repeated",
    )

    source = argparse.ArgumentParser(add_help=False)
    source.add_argument("--port", required=True, metavar="URI|auto", help="where the board is; see 'ports' below")
    source.add_argument(
        "--baud",
        type=_baud,
        metavar="RATE",
        help="change the line to this rate, 115200 to 3000000, once the board is there (default: leave it)",
    )

    def add(name: str, text: str, *parents: argparse.ArgumentParser, epilog: str = EPILOG) -> None:
        commands.add_parser(
            name,
            help=text,
            description=text[0].upper() + text[1:] + ".",
            parents=parents,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    add("run", "bridge a board: serve the live page and the WebSocket", source, serving, common)
    add("demo", "serve the live page with a simulated board; needs no hardware", serving, common)
    add("monitor", "show live values and the health of the link in this terminal", source, common)
    where = argparse.ArgumentParser(add_help=False)
    where.add_argument(
        "--http-port",
        type=_port_number,
        default=8765,
        metavar="PORT",
        help="where a running bridge serves (default: %(default)s)",
    )
    flashing = argparse.ArgumentParser(add_help=False)
    flashing.add_argument("--force", action="store_true", help="also an image for another board or chip")
    flashing.add_argument("image", type=Path, metavar="IMAGE", help="firmware.elf or firmware.bin")
    target = argparse.ArgumentParser(add_help=False)
    target.add_argument("target", nargs="?", metavar="PORT|DEVICE", help="port or id of a device (default: every port)")

    add("flash", "put firmware onto a board through its serial port (needs the extra 'flash')", source, where, flashing)
    add("release", "let a running bridge close a port, for another program", where, target)
    add("resume", "let a running bridge take a released port back", where, target)
    asking = argparse.ArgumentParser(add_help=False)
    asking.add_argument("name", nargs="?", metavar="NAME", help="of the command, e.g. set_rate")
    asking.add_argument("arguments", nargs="*", metavar="key=value", help="its arguments, e.g. stream=imu rate_hz=500")
    asking.add_argument("--list", action="store_true", help="say which commands there are, with their arguments")
    asking.add_argument("--device", metavar="ID", help="id of the board (default: the only one that is online)")
    asking.add_argument(
        "--url", default="ws://localhost:8765/ws", metavar="URL", help="of the running bridge (default: %(default)s)"
    )
    asking.add_argument("--json", action="store_true", help="print the bridge's answer as one line of JSON")
    add("command", "let a running bridge send one command to a board", asking, epilog=COMMAND_EPILOG)
    add("ports", "list the serial ports of this machine")
    return top


def _print_ports() -> int:
    ports = list_ports()
    for port in ports:
        print(f"{port.device}\t{port.description}")
    sys.stdout.flush()
    if not ports:
        print("no serial ports: is the board plugged in, and is its cable one that carries data?", file=sys.stderr)
    return 0


def _flash(args: argparse.Namespace) -> int:
    """`flash`; imported here, for the others start faster without."""
    from rich.console import Console

    from telemetry_bridge.flash import Wish, flash

    flash(Wish(args.port, args.image, args.force, args.http_port), Console(stderr=True, highlight=False))
    return 0


def _command(args: argparse.Namespace) -> int:
    if args.list:
        print(listing(), flush=True)
        return 0
    return command(args.name, args.arguments, url=args.url, device=args.device, as_json=args.json)


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


async def _serve(args: argparse.Namespace) -> None:
    """Bridge the board until something fails."""
    port = "sim:" if args.command == "demo" else args.port
    if port == "auto":
        port = await find_board()
    if args.command == "monitor":
        async with Bridge([port], http_port=None, baud=args.baud) as bridge, LiveValues(bridge.hub) as display:
            await _until_one_fails(bridge, display)
    else:
        async with (
            Bridge(
                [port],
                http_port=args.http_port,
                allowed_origins=args.allow_origin,
                baud=getattr(args, "baud", None),  # `demo` has none
            ) as bridge,
            StatusLine(bridge.hub, bridge.url) as display,
        ):
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


async def _run(args: argparse.Namespace) -> None:
    """Serve until told to end; whatever is under way then is wound up."""
    told = asyncio.create_task(_until_told(args.duration))
    serving = asyncio.create_task(_serve(args))
    await asyncio.wait({told, serving}, return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    if not serving.done():
        serving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await serving


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to what standard error is now: the live display puts itself there, to keep its lines whole."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        self.stream = sys.stderr
        super().emit(record)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    whole = parser()
    args, rest = whole.parse_known_args(argv)
    if args.command == "command":  # argparse takes no further positional arguments behind an option
        args.arguments += [word for word in rest if not word.startswith("-")]
        rest = [word for word in rest if word.startswith("-")]
    if rest:
        whole.error(f"unrecognized arguments: {' '.join(rest)}")
    if args.command == "command" and not (args.name or args.list):
        whole.error("command: which one? `telemetry-bridge command --list` says which there are")
    level = [logging.WARNING, logging.INFO, logging.DEBUG][min(getattr(args, "verbose", 0), 2)]
    logging.basicConfig(
        level=level, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s", handlers=[_StderrHandler()]
    )
    try:
        if args.command == "ports":
            return _print_ports()
        if args.command == "flash":
            return _flash(args)
        if args.command in {"release", "resume"}:
            return tell(args.command, args.target, args.http_port)
        if args.command == "command":
            return _command(args)
        asyncio.run(_run(args))
    except BridgeError as error:
        print(f"telemetry-bridge: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:  # before the handlers stand, or where there are none
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
