"""What the README tells people to run is run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from system.processes import bridge
from telemetry_bridge.cli import parser

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_lab_script_prints_the_board_and_its_samples() -> None:
    (script,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    with bridge("demo") as served:
        process = subprocess.Popen(
            [sys.executable, "-u", "-c", script.replace("8765", str(served.http))], stdout=subprocess.PIPE, text=True
        )
        with process:
            assert process.stdout is not None
            try:
                message = next(told for told in map(json.loads, process.stdout) if told["op"] == "data")
            finally:
                process.kill()
    assert len(message["values"]) == 6
    assert {len(column) for column in message["values"]} == {25}  # 25 ms at 1 kHz


def test_every_file_that_the_readme_links_to_is_there() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert len(links) >= 5
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_command_of_the_readme_is_understood() -> None:
    commands = re.findall(r"`(telemetry-bridge [^`]+)`", README)
    assert {command.split()[1] for command in commands} >= {"demo", "run", "flash", "resume", "ports", "monitor"}
    for command in commands:
        parser().parse_args(command.split()[1:])


def test_every_make_command_of_the_readme_exists() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    commands = set(re.findall(r"(?:`|^    )make ([a-z]+)", README, re.MULTILINE))
    assert commands >= {"demo", "test", "firmware", "flash", "help"}
    assert commands <= set(targets)
