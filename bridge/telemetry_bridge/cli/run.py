"""`telemetry-bridge run`."""

from __future__ import annotations

import argparse

from telemetry_bridge.cli import options, serving
from telemetry_bridge.cli.epilog import EPILOG
from telemetry_bridge.terminal import StatusLine


def add_parser(commands: options.Commands) -> None:
    """Add it to the command line."""
    text = "bridge a board: serve the live page and the WebSocket"
    parents = options.source(required=False, several=True), options.serving(), options.common()
    options.add(commands, "run", text, *parents, epilog=EPILOG).set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Carry it out."""
    config = options.configured(args)
    options.need_lines(config, args)
    return serving.run(config, lambda bridge: StatusLine(bridge.hub, bridge.url), serve=True, duration=args.duration)
