"""The command line: `telemetry-bridge`. Each command is a module with ``add_parser(commands)`` and ``run(args)``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from telemetry_bridge import __version__
from telemetry_bridge.cli import calibrate, command, config, demo, flash, hold, logs, monitor, ports, record, run, runs
from telemetry_bridge.cli.epilog import EPILOG
from telemetry_bridge.config import LogConfig
from telemetry_bridge.errors import BridgeError

COMMANDS = (run, demo, monitor, record, runs, calibrate, flash, hold, command, config, ports)
"""In the order of `--help`."""


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
    for module in COMMANDS:
        module.add_parser(commands)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    whole = parser()
    args, rest = whole.parse_known_args(argv)
    if "rest" in args:  # argparse takes no further positional arguments behind an option
        getattr(args, args.rest).extend(word for word in rest if not word.startswith("-"))
        rest = [word for word in rest if word.startswith("-")]
    if rest:
        whole.error(f"unrecognized arguments: {' '.join(rest)}")
    args.error = whole.error
    logs.set_up(LogConfig(), getattr(args, "verbose", 0))
    try:
        return int(args.run(args))
    except BridgeError as error:
        logs.say_last(str(error))
        return 1
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:  # before the handlers stand, or where there are none
        return 0
    return 0
