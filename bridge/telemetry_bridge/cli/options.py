"""Options that several commands share, and the configuration that they and the file make together."""

from __future__ import annotations

import argparse
import contextlib
import logging
from pathlib import Path
from typing import TypeAlias

import msgspec

from telemetry_bridge import config as configuration
from telemetry_bridge.cli import logs
from telemetry_bridge.client import TOKEN_VARIABLE, Where
from telemetry_bridge.config import Config, LineConfig

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""Where a command adds itself."""

_log = logging.getLogger(__name__)


def add(
    commands: Commands, name: str, text: str, *parents: argparse.ArgumentParser, epilog: str
) -> argparse.ArgumentParser:
    """A command's parser: `text` is one line without a full stop."""
    return commands.add_parser(
        name,
        help=text,
        description=text[0].upper() + text[1:] + ".",
        parents=parents,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def seconds(text: str) -> float:
    """A time, for argparse."""
    with contextlib.suppress(ValueError):
        if 0 < float(text) < float("inf"):
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a positive number of seconds")


def baud(text: str) -> int:
    """A rate of the line, for argparse."""
    with contextlib.suppress(ValueError):
        if 115_200 <= int(text) <= 3_000_000:
            return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a rate from 115200 to 3000000 baud")


def port_number(text: str) -> int:
    """A TCP port, for argparse."""
    with contextlib.suppress(ValueError):
        if 0 <= int(text) <= 65535:
            return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a TCP port (0 … 65535; 0 takes a free one)")


def common() -> argparse.ArgumentParser:
    """Of every command that runs a bridge."""
    options = basic()
    options.add_argument("--duration", type=seconds, metavar="SECONDS", help="end by itself after this time")
    return options


def basic() -> argparse.ArgumentParser:
    """Of every command that reads the configuration."""
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument(
        "--config",
        metavar="FILE",
        help="configuration file (default: telemetry-bridge.toml here, in the user's configuration folder as "
        "telemetry-bridge/config.toml, in /etc); options here go before what it says",
    )
    options.add_argument("-v", "--verbose", action="count", default=0, help="say more on stderr; twice: everything")
    return options


def serving() -> argparse.ArgumentParser:
    """Of every command that has a server."""
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument(
        "--http-port", type=port_number, metavar="PORT", help="page and WebSocket (default: 8765, or as configured)"
    )
    options.add_argument(
        "--allow-origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="let pages of this origin read the sensors, e.g. http://localhost:5173; may be repeated",
    )
    return options


def source(*, required: bool, several: bool) -> argparse.ArgumentParser:
    """Of every command that opens a port."""
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument(
        "--port",
        required=required,
        action="append" if several else "store",
        metavar="URI|auto",
        help=f"where the board is; see 'ports' below{'; may be repeated, for several boards' if several else ''}",
    )
    options.add_argument(
        "--baud",
        type=baud,
        metavar="RATE",
        help="change the line to this rate, 115200 to 3000000, once the board is there (default: leave it)",
    )
    return options


def running() -> argparse.ArgumentParser:
    """Of every command that asks a running bridge."""
    options = argparse.ArgumentParser(add_help=False)
    place = options.add_mutually_exclusive_group()
    place.add_argument(
        "--http-port",
        type=port_number,
        metavar="PORT",
        help="where a running bridge serves on this machine (default: 8765, or as configured)",
    )
    place.add_argument("--url", metavar="URL", help="the same elsewhere, e.g. wss://bench.example.org:8765")
    options.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help=f"file that holds the token for it (default: ${TOKEN_VARIABLE}, if it wants one)",
    )
    options.add_argument("--ca-file", type=Path, metavar="FILE", help="who may sign its certificate, PEM")
    return options


def where(args: argparse.Namespace) -> Where:
    """The running bridge that :func:`running` names; if neither, the one that the configuration is of.

    Raises:
        ConfigError: its file cannot be read or understood.
    """
    place = args.url if args.http_port is None else args.http_port
    if place is None:
        path = configuration.find()
        place = (Config() if path is None else configuration.load(path)).server.port
    return Where(place, args.token_file, args.ca_file)


def configured(args: argparse.Namespace) -> Config:
    """What the file says, and the options that go before it.

    Raises:
        ConfigError: the file cannot be read or understood.
    """
    path = configuration.find(args.config)
    config = Config() if path is None else configuration.load(path)
    logs.set_up(config.log, args.verbose)
    _log.info(
        "configuration: %s", path or f"defaults, there is none of {', '.join(map(str, configuration.search_path()))}"
    )
    if getattr(args, "port", None) is not None:
        ports = [args.port] if isinstance(args.port, str) else args.port  # one, or as many as are named
        named = tuple(LineConfig(uri=port) for port in dict.fromkeys(ports) if port != "auto")
        config = msgspec.structs.replace(config, auto="auto" in ports, lines=named)
    if getattr(args, "baud", None) is not None:
        lines = tuple(msgspec.structs.replace(line, baud=None) for line in config.lines)
        config = msgspec.structs.replace(config, baud=args.baud, lines=lines)
    server = config.server
    if getattr(args, "http_port", None) is not None:
        server = msgspec.structs.replace(server, port=args.http_port)
    if getattr(args, "allow_origin", None):
        server = msgspec.structs.replace(server, allowed_origins=(*server.allowed_origins, *args.allow_origin))
    return msgspec.structs.replace(config, server=server)


def need_lines(config: Config, args: argparse.Namespace) -> None:
    """End with a usage error if nothing says where a board is."""
    if not (config.auto or config.lines):
        args.error(
            f"{args.command}: where is the board? Say --port auto, or name its port there or in a configuration file"
        )
