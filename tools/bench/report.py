"""Benchmark results: one JSON file with date and machine, and the page of docs made from it.

`python tools/bench/report.py --check` exits 1 when docs/benchmarks.md is not what docs/benchmarks.json makes.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"
JSON_FILE = DOCS / "benchmarks.json"
PAGE = DOCS / "benchmarks.md"


@dataclass(frozen=True)
class Row:
    """One measured figure.

    Attributes:
        metric: what was measured, readable without the code.
        value: the figure, in ``unit``.
        target: what the product wants, ``<= 13.0`` or ``>= 20``; empty where the figure is only stated.
        note: how it was measured, where the metric does not say it.
    """

    metric: str
    value: float
    unit: str
    target: str = ""
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is met, None without one."""
        if not self.target:
            return None
        operator, limit = self.target.split()
        return self.value <= float(limit) if operator == "<=" else self.value >= float(limit)


@dataclass(frozen=True)
class Section:
    """The rows of one benchmark.

    Attributes:
        title: heading.
        about: what was done, one paragraph.
        measured: when and on what, one line.
    """

    title: str
    about: str
    measured: str
    rows: tuple[Row, ...]


def load(path: Path = JSON_FILE) -> dict[str, Section]:
    """Results by name of the benchmark; empty when there are none yet."""
    if not path.exists():
        return {}
    content = json.loads(path.read_text(encoding="utf-8"))
    return {
        name: Section(**{**section, "rows": tuple(Row(**row) for row in section["rows"])})
        for name, section in content.items()
    }


def save(sections: dict[str, Section], path: Path = JSON_FILE, page: Path = PAGE) -> None:
    """Write the JSON and the page made from it."""
    path.write_text(
        json.dumps({name: asdict(one) for name, one in sections.items()}, indent=2) + "\n", encoding="utf-8"
    )
    page.write_text(render(sections), encoding="utf-8")


def _figure(value: float) -> str:
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def render(sections: dict[str, Section]) -> str:
    """The page, in Markdown."""
    lines = [
        "# Benchmarks",
        "",
        "Made by `make bench` from [benchmarks.json](benchmarks.json); do not edit.",
        "Machines differ and are noisy: read the ratios.",
    ]
    for section in sections.values():
        lines += ["", f"## {section.title}", "", section.about, "", f"Measured {section.measured}.", ""]
        lines += ["| what | measured | target | met |", "|---|---:|---:|:---:|"]
        for row in section.rows:
            met = {True: "yes", False: "**no**", None: ""}[row.met]
            note = f" ({row.note})" if row.note else ""
            lines.append(f"| {row.metric}{note} | {_figure(row.value)} {row.unit} | {row.target} | {met} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", required=True, help="compare the page with the JSON")
    parser.parse_args()
    if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != render(load()):
        print(f"{PAGE} is not what {JSON_FILE.name} makes: run `make bench`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
