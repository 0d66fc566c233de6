"""The layer rules of the Python code hold, and the check can fail."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    code = "import sys; sys.path[:0] = ['bridge', 'protocol']; from importlinter.cli import lint_imports; "
    return subprocess.run(
        [sys.executable, "-c", code + "sys.exit(lint_imports(no_cache=True))"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )


def copy_of_the_packages(to: Path) -> Path:
    for part in ("bridge/telemetry_bridge", "protocol/telemetry_protocol"):
        shutil.copytree(ROOT / part, to / part, ignore=shutil.ignore_patterns("static", "__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", to)
    return to


def test_this_checkout_keeps_the_contracts() -> None:
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout


def test_an_import_upwards_is_a_broken_contract(tmp_path: Path) -> None:
    root = copy_of_the_packages(tmp_path)
    events = root / "bridge/telemetry_bridge/events.py"
    events.write_text(events.read_text() + "\nimport telemetry_bridge.cli\nimport websockets\n")
    result = lint_imports(root)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "telemetry_bridge.events -> telemetry_bridge.cli" in result.stdout
    assert "telemetry_bridge.events -> websockets" in result.stdout
