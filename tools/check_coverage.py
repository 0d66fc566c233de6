"""Show how many lines of the portable C the tests on the host have run, and fail below the limit.

The host builds of the tests (tests/firmware/host_build.py, the sanitized codec of tests/protocol) count lines as
they run; `--reset` forgets the counts before a run. What only a chip can run (firmware/port, main.c) does not count.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
COUNTS: Final = ROOT / "firmware" / "build" / "host"
PORTABLE: Final = ("firmware/app/", "firmware/drivers/", "firmware/lib/", "protocol/c/")
LIMIT: Final = 95.0  # per cent of lines


@dataclass(frozen=True)
class File:
    """One source file: lines that hold code, lines that ran."""

    name: str
    lines: int
    run: int


def reset(counts: Path = COUNTS) -> None:
    """Forget what has run."""
    for path in counts.rglob("*.gcda"):
        path.unlink()


def measure(counts: Path = COUNTS, root: Path = ROOT) -> list[File]:
    """Each portable source file.

    Raises:
        FileNotFoundError: no counts, because no test has run.
        subprocess.CalledProcessError: gcovr cannot read them; its words are on stderr.
    """
    if not any(counts.rglob("*.gcda")):
        raise FileNotFoundError(f"no counts in {counts}: run the tests first")
    command = [
        sys.executable,
        "-m",
        "gcovr",
        "--root",
        str(root),
        "--json-summary",
        "-",
        "--merge-mode-functions",
        "separate",
    ]
    for folder in PORTABLE:
        command += ["--filter", folder]
    done = subprocess.run([*command, str(counts)], check=True, stdout=subprocess.PIPE, cwd=root)
    rows = json.loads(done.stdout)["files"]
    return [File(row["filename"], row["line_total"], row["line_covered"]) for row in rows]


def table(files: Sequence[File]) -> Iterator[str]:
    """Lines of text, the least covered file first."""
    for file in sorted(files, key=lambda one: one.run / max(one.lines, 1)):
        yield f"{file.name:44} {file.run:5} of {file.lines:5} lines {100 * file.run / max(file.lines, 1):6.1f} %"


def share(files: Sequence[File]) -> float:
    """Per cent of all lines that ran."""
    return 100 * sum(file.run for file in files) / max(sum(file.lines for file in files), 1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry of the command line; the exit code is 1 below the limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reset", action="store_true", help="forget the counts of earlier runs and end")
    parser.add_argument("--limit", type=float, default=LIMIT, help="per cent of lines (default: %(default)s)")
    options = parser.parse_args(arguments)
    if options.reset:
        reset()
        return 0
    try:
        files = measure()
    except FileNotFoundError as error:
        print(f"check_coverage: {error}", file=sys.stderr)
        return 1
    print("\n".join(table(files)))
    total = share(files)
    print(f"{total:.1f} % of the lines of the portable C ran; the limit is {options.limit:g} %")
    return 0 if total >= options.limit else 1


if __name__ == "__main__":
    sys.exit(main())
