"""The options that commands share become one configuration, whether a command takes one port or several."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from telemetry_bridge.cli import options


@pytest.mark.parametrize(
    ("several", "words", "uris", "auto"),
    [
        (False, ["--port", "/dev/ttyACM0"], ["/dev/ttyACM0"], False),
        (False, ["--port", "/dev/automation"], ["/dev/automation"], False),
        (False, ["--port", "auto"], [], True),
        (True, ["--port", "sim:", "--port", "auto", "--port", "sim:"], ["sim:"], True),
    ],
)
def test_ports_are_understood_one_or_many(
    several: bool, words: list[str], uris: list[str], auto: bool, tmp_path: Path
) -> None:
    file = tmp_path / "telemetry-bridge.toml"
    file.write_text("")
    parser = argparse.ArgumentParser(parents=[options.source(required=True, several=several), options.basic()])
    config = options.configured(parser.parse_args([*words, "--config", str(file)]))
    assert [line.uri for line in config.lines] == uris
    assert config.auto is auto
