"""`telemetry-bridge ports`."""

from __future__ import annotations

import argparse
import sys

from telemetry_bridge.cli import options
from telemetry_bridge.cli.epilog import EPILOG
from telemetry_bridge.link import list_ports


def add_parser(commands: options.Commands) -> None:
    """Add it to the command line."""
    options.add(commands, "ports", "list the serial ports of this machine", epilog=EPILOG).set_defaults(run=run)


def run(_args: argparse.Namespace) -> int:
    """Carry it out."""
    ports = list_ports()
    for port in ports:
        print(f"{port.device}\t{port.description}")
    sys.stdout.flush()
    if not ports:
        print("no serial ports: is the board plugged in, and is its cable one that carries data?", file=sys.stderr)
    return 0
