"""`telemetry-bridge ports`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Final

from telemetry_bridge.cli import options
from telemetry_bridge.link import PortInfo, holders, list_ports

EPILOG: Final = """\
columns: port, what it is, USB vendor:product, USB serial number, who holds it
What is connected, only a bridge can tell: `telemetry-bridge run --port auto` asks every port and knows a board by its
answer.
"""


def add_parser(commands: options.Commands) -> None:
    """Add it to the command line."""
    text = "list the serial ports of this machine, what they look like and who holds them"
    options.add(commands, "ports", text, epilog=EPILOG).set_defaults(run=run)


def run(_args: argparse.Namespace) -> int:
    """Carry it out."""
    ports = list_ports()
    for line in table([_row(port) for port in ports]):
        print(line)
    sys.stdout.flush()
    if not ports:
        print("no serial ports: is the board plugged in, and is its cable one that carries data?", file=sys.stderr)
    return 0


def _row(port: PortInfo) -> tuple[str, ...]:
    programs = holders(port.device)
    held = f"held by {', '.join(programs)}" if programs else "free"
    if port.is_console:
        held = "console of this machine"
    return port.device, port.description, port.usb or "-", port.serial_number or "-", held


def table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Rows with their columns in line, two blanks apart."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
