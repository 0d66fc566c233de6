"""`telemetry-bridge config`."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from telemetry_bridge import config as configuration
from telemetry_bridge.app import SOURCES
from telemetry_bridge.cli import options
from telemetry_bridge.config import Config, LineConfig, Section
from telemetry_bridge.derived import offered
from telemetry_bridge.errors import ConfigError, LinkError
from telemetry_bridge.hub import Hub
from telemetry_bridge.link import create
from telemetry_bridge.ports import path_of
from telemetry_bridge.server import Server

EPILOG: Final = """\
examples:
  telemetry-bridge config > telemetry-bridge.toml     a file to start from: every key, its default as a comment
  telemetry-bridge config --check                     the file that `telemetry-bridge run` would take
  telemetry-bridge config --check /etc/telemetry-bridge.toml

exit codes: 0 right, 1 not (one line says what is wrong where), 2 wrong usage
"""


def add_parser(commands: options.Commands) -> None:
    """Add it to the command line."""
    parser = options.add(
        commands, "config", "print the configuration that is in force as a file, or check one", epilog=EPILOG
    )
    parser.add_argument("--check", action="store_true", help="only say whether the file is right")
    parser.add_argument("file", nargs="?", metavar="FILE", help="configuration file (default: as `run` finds it)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Carry it out."""
    path = configuration.find(args.file)
    config = Config() if path is None else configuration.load(path)
    if not args.check:
        print("\n".join(as_toml(config)), flush=True)
        return 0
    _check(config, path)
    print(f"{path or 'no configuration file: the defaults'}: right", flush=True)
    return 0


def _check(config: Config, path: Path | None) -> None:
    """Try what can be tried without opening a port or serving.

    Raises:
        BridgeError: what is wrong, with its file and key.
    """
    ports: dict[str, int] = {}
    for number, line in enumerate(config.lines):
        try:
            link = create(line.uri, sources=SOURCES)
        except LinkError as error:
            raise ConfigError(f"{path}: line[{number}].uri: {error}") from None
        other = ports.setdefault(path_of(link.uri), number) if link.uri.startswith("serial:") else number
        if other != number:
            raise ConfigError(f"{path}: line[{number}].uri: {line.uri} is the port of line[{other}]")
    for name in config.derived.streams or ():
        if name not in (known := offered()):
            raise ConfigError(f"{path}: derived.streams: there is no {name!r}; there are: {', '.join(sorted(known))}")
    for where, kind, name in configuration.paths(config):
        if kind == "file" and not os.access(name, os.R_OK):
            raise ConfigError(f"{path}: {where}: {name} cannot be read by this user, or is not there")
        if kind == "folder" and Path(name).exists() and not Path(name).is_dir():
            raise ConfigError(f"{path}: {where}: {name} is no folder")
    Server(Hub(), config.server, config.limits)  # what it refuses at start: an open door, a key that others can read


def as_toml(config: Config) -> Iterator[str]:
    """The file that says this; keys with their defaults are comments."""
    yield from _section(config, Config())


def _section(section: Section, default: Section) -> Iterator[str]:
    tables = []
    for item, about in configuration.fields(type(section)):
        value, usual = getattr(section, item.name), getattr(default, item.name)
        if configuration.section_of(item.type) is not None:
            tables.append((item.encode_name, value, usual))
            continue
        yield f"# {about}"
        yield f"{'#' if value == usual else ''}{item.encode_name} = {_value(value)}".rstrip()
    for name, value, usual in tables:
        yield ""
        if isinstance(value, Section):
            yield f"# {_first_line(value)}"
            yield f"[{name}]"
            yield from _section(value, usual)
        else:
            yield f"# {_first_line(LineConfig)}"
            for item in value:
                yield f"[[{name}]]"
                yield from _section(item, LineConfig(uri=""))
            if not value:
                yield f"#[[{name}]]"
                yield from (
                    line if line.startswith("#") else f"#{line}"
                    for line in _section(LineConfig(uri="serial:/dev/ttyACM0"), LineConfig(uri=""))
                )


def _first_line(section: Any) -> str:
    return str(section.__doc__ or "").partition("\n")[0]


def _value(value: object) -> str:
    return "" if value is None else json.dumps(value)  # numbers, texts, lists and booleans are alike in TOML
