#!/usr/bin/env python3
"""Write both codecs' messages from protocol/messages.toml; with ``--check`` only say whether they are up to date.

Needs ruff and clang-format (the package's ``dev`` extra), found beside the interpreter or on the path.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from protocol_generator.c_code import c_header, c_source
from protocol_generator.python_code import python_code
from protocol_generator.table import Table, TableError, parse

ROOT = Path(__file__).resolve().parent.parent

OUTPUTS: dict[str, Callable[[Table], str]] = {
    "protocol/telemetry_protocol/messages.py": python_code,
    "protocol/c/include/tp_messages.h": c_header,
    "protocol/c/tp_messages.c": c_source,
}
"""Where each generated file goes, from the root of the repository."""


def generate(table: Table, root: Path) -> dict[Path, str]:
    """Text of every generated file."""
    return {root / path: _formatted(root / path, write(table)) for path, write in OUTPUTS.items()}


def _formatted(path: Path, text: str) -> str:
    if path.suffix == ".py":
        options = ["--config", str(ROOT / "pyproject.toml"), "--stdin-filename", str(path), "-"]
        sorted_imports = _piped([_tool("ruff"), "check", "--select", "I", "--fix-only", *options], text)
        return _piped([_tool("ruff"), "format", *options], sorted_imports)
    style = f"--style=file:{ROOT / '.clang-format'}"
    return _piped([_tool("clang-format"), style, f"--assume-filename={path}"], text)


def _piped(command: list[str], text: str) -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed: {done.stderr.strip()}")
    return done.stdout


def _tool(name: str) -> str:
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if not found:
        raise SystemExit(f"{name} is missing; install it with: pip install -e '.[dev]'")
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 0 when all is well, 1 when a file is stale or the table is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 and name the files that are stale")
    parser.add_argument("--root", type=Path, default=ROOT, help="root of the repository (for tests)")
    options = parser.parse_args(arguments)
    table_path = options.root / "protocol" / "messages.toml"
    try:
        table = parse(table_path.read_text(encoding="utf-8"))
    except (TableError, OSError, UnicodeDecodeError) as error:
        print(f"{table_path}: {error}", file=sys.stderr)
        return 1
    stale = False
    for path, text in generate(table, options.root).items():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale = True
        if options.check:
            print(f"{path.relative_to(options.root)} is stale: run tools/generate_protocol.py", file=sys.stderr)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.relative_to(options.root)}")
    return 1 if stale and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
