"""`telemetry-bridge runs`."""

from __future__ import annotations

import argparse
import datetime
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from telemetry_bridge.cli import options

if TYPE_CHECKING:
    from rich.table import Table

    from telemetry_bridge.events import DeviceInfo
    from telemetry_bridge.recording import Run, Samples
    from telemetry_bridge.recording.format import RecordedGap

EPILOG = """\
examples:
  telemetry-bridge runs info run-20260102-030405.mcap

exit codes: 0 whole, 1 cannot be read (one line says why), 2 wrong usage, 3 cut, or the recorder has lost samples
"""


def add_parser(commands: options.Commands) -> None:
    """Add it to the command line."""
    runs = options.add(commands, "runs", "look at what was recorded", epilog=EPILOG)
    verbs = runs.add_subparsers(dest="verb", metavar="VERB", required=True)
    info = options.add(verbs, "info", "say what is in a run, what is missing and why", epilog=EPILOG)
    info.add_argument("file", type=Path, metavar="FILE", help="the run")
    info.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Carry it out; imported here, for the others start faster without."""
    from rich.console import Console

    from telemetry_bridge.recording import read

    found = read(args.file)
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 160  # whoever reads it there has no lines that end at 80
    for line in _lines(found):
        console.print(line, soft_wrap=True)
    for device in dict.fromkeys(owner for owner, _ in found.streams):
        console.print(_about(found.devices[device]) if device in found.devices else device, soft_wrap=True)
        console.print(_table(found, device))
    return 0 if found.is_complete else 3


def _lines(run: Run) -> Iterable[str]:
    yield f"{run.path}: {run.size:,} bytes, recorded by {run.info.software}"
    for name in ("title", "notes"):
        if text := getattr(run.info, name):
            yield f"{name}: {text}"
    if run.info.tags:
        yield f"tags: {', '.join(run.info.tags)}"
    yield f"started: {_time(run.info.started_ns)}"
    if run.is_whole:
        yield f"ended: {_time(run.ended_ns or 0)}: {run.ended}"
    else:
        yield f"not whole: {run.trouble}; what is listed can be read"
    if run.lost_by_recorder:
        yield f"the recorder has lost {run.lost_by_recorder:,} samples: the disk was too slow"
    for mark in run.marks:
        yield f"mark {_time(mark.time_ns)}: {mark.text}"


def _about(device: DeviceInfo) -> str:
    clock = device.clock
    bound = "" if clock.uncertainty_ns is None else f" within {clock.uncertainty_ns / 1000:,.0f} µs"
    return f"device {device.id}: {device.board}, firmware {device.firmware}, clock {clock.state}{bound}"


def _table(run: Run, device: str) -> Table:
    from rich import box
    from rich.table import Table

    from telemetry_bridge.errors import RunError

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("stream", "samples", "seconds", "rate [1/s]", "lost", "calibration"):
        numeric = name in {"samples", "seconds", "rate [1/s]"}
        table.add_column(name, justify="right" if numeric else "left", no_wrap=numeric)
    for stream in (name for owner, name in run.streams if owner == device):
        try:
            found = run.samples(device, stream)
        except RunError as error:
            table.add_row(stream, "", "", "", str(error), "")
            continue
        seconds = _seconds(found)
        rate = f"{(len(found) - 1) / seconds:,.2f}" if seconds else "–"
        calibrated = ", ".join(found.calibrations) or "none"
        table.add_row(stream, f"{len(found):,}", f"{seconds:,.3f}", rate, _lost(found.gaps), calibrated)
    return table


def _seconds(samples: Samples) -> float:
    span = samples.span_ns
    return 0.0 if span is None else (span[1] - span[0]) / 1e9


def _lost(gaps: Iterable[RecordedGap]) -> str:
    """Samples by cause; those that the recorder itself has lost are told apart."""
    lost: Counter[str] = Counter()
    unknown = 0
    for gap in gaps:
        lost["recorder" if gap.by_recorder else gap.cause] += gap.count or 0
        unknown += gap.count is None
    parts = [f"{cause} {count:,}" for cause, count in sorted(lost.items()) if count]
    parts += [f"gaps of unknown length: {unknown}"] if unknown else []
    return ", ".join(parts) or "0"


def _time(time_ns: int) -> str:
    return datetime.datetime.fromtimestamp(time_ns / 1e9, datetime.UTC).isoformat(sep=" ", timespec="milliseconds")
