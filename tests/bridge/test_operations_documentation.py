"""docs/configuration.md and docs/operations.md say what is so."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from bridge.test_cli import COMMAND, LIMIT_S
from telemetry_bridge.cli.config import as_toml
from telemetry_bridge.config import Config, decode
from telemetry_bridge.server import health, metrics
from telemetry_bridge.server.exposition import Family

DOCS = Path(__file__).parents[2] / "docs"
OPERATIONS = (DOCS / "operations.md").read_text(encoding="utf-8")
CONFIGURATION = (DOCS / "configuration.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_every_key_is_in_the_reference_as_the_command_prints_it() -> None:
    assert blocks(CONFIGURATION, "toml")[-1] == "\n".join(as_toml(Config())) + "\n"


@pytest.mark.parametrize("text", [*blocks(CONFIGURATION, "toml")[:-1], *blocks(OPERATIONS, "toml")])
def test_the_examples_are_understood(text: str) -> None:
    decode(tomllib.loads(text), Path("example.toml"))


def test_every_metric_is_in_the_table_with_its_kind_and_meaning() -> None:
    families = [value for value in vars(metrics).values() if isinstance(value, Family)]
    assert len(families) > 40
    named = [
        (family.name if family.name.startswith("process_") else metrics.PREFIX + family.name, family.kind, family.help)
        for family in families
    ]
    assert re.findall(r"^\| `(\w+)` \| (counter|gauge) \| (.*) \|$", OPERATIONS, re.MULTILINE) == named


def test_every_alert_is_about_a_metric_that_exists() -> None:
    used = set(re.findall(r"^    .*?(telemetry_bridge_\w+)", OPERATIONS, re.MULTILINE))
    assert len(used) >= 5
    assert used <= set(re.findall(r"^\| `(\w+)`", OPERATIONS, re.MULTILINE))


def test_every_reason_of_healthz_is_in_the_table() -> None:
    table = OPERATIONS.partition("## /healthz")[2].partition("## /metrics")[0]
    reasons = re.findall(r"^\| `(\w+)`", table, re.MULTILINE)
    stated = re.findall(r"``(\w+)``", (health.Problem.__doc__ or "").partition("reason:")[2])
    assert reasons == stated


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd on this machine")
def test_the_unit_is_one(tmp_path: Path) -> None:
    (unit,) = blocks(OPERATIONS, "ini")
    path = tmp_path / "telemetry-bridge.service"
    path.write_text(unit.replace("/opt/telemetry-bridge/bin/telemetry-bridge", str(COMMAND)), encoding="utf-8")
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", path], capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert (verified.returncode, verified.stderr) == (0, "")
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", path],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    level = re.search(r"exposure level for \S+: ([\d.]+)", rated.stdout)
    assert level is not None, rated.stderr
    assert float(level[1]) <= 2.0
