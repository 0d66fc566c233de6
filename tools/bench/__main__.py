"""Run benchmarks and write docs/benchmarks.json and docs/benchmarks.md.

`make bench` runs all, `make bench ARGS="wire decode"` some.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import os
import platform
import subprocess
import sys
from pathlib import Path

from bench import report

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # processor time is that of one core; before numpy is imported

ROOT = Path(__file__).resolve().parents[2]
# name -> module with run() -> (title, about, rows); in the order of the page
BENCHMARKS = (
    "wire",
    "damage",
    "firmware",
    "interrupts",
    "endurance",
    "clock",
    "decode",
    "latency",
    "fanout",
    "lines",
    "rest",
)


def machine() -> str:
    """Date, revision, processor and interpreter, one line."""
    model = platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    revision = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    return f"{today} at {revision or 'unknown'} on {os.cpu_count()} x {model}, Python {platform.python_version()}"


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("name", nargs="*", default=BENCHMARKS, help=f"which: {', '.join(BENCHMARKS)} (default: all)")
    names = parser.parse_args().name
    for name in names:
        if name not in BENCHMARKS:
            parser.error(f"no benchmark {name!r}; there are {', '.join(BENCHMARKS)}")
    sections = report.load()
    for name in names:
        print(f"[bench] {name} …", file=sys.stderr, flush=True)
        title, about, rows = importlib.import_module(f"bench.{name}").run()
        sections[name] = report.Section(title, about, machine(), tuple(rows))
        for row in rows:
            print(
                f"  {row.metric}: {row.value:g} {row.unit} {row.target and '(target ' + row.target + ')'}", flush=True
            )
        report.save({known: sections[known] for known in BENCHMARKS if known in sections})
    missed = [row.metric for name in names for row in sections[name].rows if row.met is False]
    for metric in missed:
        print(f"[bench] target missed: {metric}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
