"""`telemetry-bridge command`."""

from __future__ import annotations

import argparse
from typing import Final

from telemetry_bridge.cli import options
from telemetry_bridge.remote import command, listing

EPILOG: Final = """\
examples:
  telemetry-bridge command --list
  telemetry-bridge command set_rate stream=imu rate_hz=500
  telemetry-bridge command set_range stream=imu field=accel_x full_scale=78.5
  telemetry-bridge command enable_stream stream=mcu_temp enabled=false
  telemetry-bridge command self_test stream=imu --json
  telemetry-bridge command save_configuration --device 3a0021

exit codes: 0 done, 1 refused, not possible, or a self-test that did not pass (one line says why), 2 wrong usage
"""


def add_parser(commands: options.Commands) -> None:
    """Add it to the command line."""
    asking = options.add(
        commands, "command", "let a running bridge send one command to a board", options.running(), epilog=EPILOG
    )
    asking.add_argument("name", nargs="?", metavar="NAME", help="of the command, e.g. set_rate")
    asking.add_argument("arguments", nargs="*", metavar="key=value", help="its arguments, e.g. stream=imu rate_hz=500")
    asking.add_argument("--list", action="store_true", help="say which commands there are, with their arguments")
    asking.add_argument("--device", metavar="ID", help="id of the board (default: the only one that is online)")
    asking.add_argument("--json", action="store_true", help="print the bridge's answer as one line of JSON")
    asking.set_defaults(run=run, rest="arguments")


def run(args: argparse.Namespace) -> int:
    """Carry it out."""
    if args.list:
        print(listing(), flush=True)
        return 0
    if not args.name:
        args.error("command: which one? `telemetry-bridge command --list` says which there are")
    return command(args.name, args.arguments, where=options.where(args), device=args.device, as_json=args.json)
