"""`telemetry-bridge demo`."""

from __future__ import annotations

import argparse

import msgspec

from telemetry_bridge.cli import options, serving
from telemetry_bridge.cli.epilog import EPILOG
from telemetry_bridge.config import LineConfig
from telemetry_bridge.terminal import StatusLine


def add_parser(commands: options.Commands) -> None:
    """Add it to the command line."""
    text = "serve the live page with a simulated board; needs no hardware"
    options.add(commands, "demo", text, options.serving(), options.common(), epilog=EPILOG).set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Carry it out."""
    config = msgspec.structs.replace(options.configured(args), auto=False, baud=None, lines=(LineConfig(uri="sim:"),))
    return serving.run(config, lambda bridge: StatusLine(bridge.hub, bridge.url), serve=True, duration=args.duration)
