"""`telemetry-bridge flash`."""

from __future__ import annotations

import argparse
from pathlib import Path

from telemetry_bridge.cli import options
from telemetry_bridge.cli.epilog import EPILOG


def add_parser(commands: options.Commands) -> None:
    """Add it to the command line."""
    text = "put firmware onto a board through its serial port (needs the extra 'flash')"
    flashing = argparse.ArgumentParser(add_help=False)
    flashing.add_argument("--force", action="store_true", help="also an image for another board or chip")
    flashing.add_argument("image", type=Path, metavar="IMAGE", help="firmware.elf or firmware.bin")
    parents = options.source(required=True, several=False), options.running(), flashing
    options.add(commands, "flash", text, *parents, epilog=EPILOG).set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Carry it out; imported here, for the others start faster without."""
    from rich.console import Console

    from telemetry_bridge.flash import Wish, flash

    flash(Wish(args.port, args.image, args.force, options.where(args)), Console(stderr=True, highlight=False))
    return 0
