"""`telemetry-bridge release` and `resume`."""

from __future__ import annotations

import argparse

from telemetry_bridge.cli import options
from telemetry_bridge.cli.epilog import EPILOG
from telemetry_bridge.remote import tell


def add_parser(commands: options.Commands) -> None:
    """Add both to the command line."""
    target = argparse.ArgumentParser(add_help=False)
    target.add_argument("target", nargs="?", metavar="PORT|DEVICE", help="port or id of a device (default: every port)")
    for name, text in (
        ("release", "let a running bridge close a port, for another program"),
        ("resume", "let a running bridge take a released port back"),
    ):
        options.add(commands, name, text, options.running(), target, epilog=EPILOG).set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Carry one of them out."""
    return tell(args.command, args.target, options.where(args))
