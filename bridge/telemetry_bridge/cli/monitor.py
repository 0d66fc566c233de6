"""`telemetry-bridge monitor`."""

from __future__ import annotations

import argparse

from telemetry_bridge.cli import options, serving
from telemetry_bridge.cli.epilog import EPILOG
from telemetry_bridge.terminal import LiveValues


def add_parser(commands: options.Commands) -> None:
    """Add it to the command line."""
    text = "show live values and the health of the link in this terminal"
    parents = options.source(required=False, several=True), options.common()
    options.add(commands, "monitor", text, *parents, epilog=EPILOG).set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Carry it out."""
    config = options.configured(args)
    options.need_lines(config, args)
    return serving.run(config, lambda bridge: LiveValues(bridge.hub), serve=False, duration=args.duration)
