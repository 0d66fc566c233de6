"""One session from its samples to its report: what `telemetry-bridge calibrate` does."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from telemetry_bridge.calibrate.outcome import Guide, Outcome, merged
from telemetry_bridge.calibrate.report import Display, print_report
from telemetry_bridge.calibration import Calibration, Store
from telemetry_bridge.calibration.model import to_toml
from telemetry_bridge.calibration.recording import Source
from telemetry_bridge.calibration.store import refuse_unwritable, write_whole
from telemetry_bridge.errors import CalibrationError


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be calibrated.

    Attributes:
        begin: makes the guide, given the calibration in force.
        save: whether the result is kept.
        figure: where the plot goes; None: beside the calibration.
        is_ended: whether somebody has just asked to end a live session with what there is.
    """

    begin: Callable[[Calibration | None], Guide]
    save: bool = True
    figure: Path | None = None
    is_ended: Callable[[], bool] = lambda: False


def calibrate(task: Task, source: Source, store: Store, progress: Console, report: Console) -> Calibration | None:
    """Guide, compute, report, keep. Until the very end nothing is written, but it is looked whether that will work.

    Returns:
        What is in force now; None if nothing was kept.

    Raises:
        BridgeError: the samples end too early or do not allow it, or the result cannot be kept.
    """
    for place in (store.folder if task.save else None, task.figure and task.figure.parent):
        if place is not None:
            refuse_unwritable(place)
    origin = source.origin
    base = store.find(origin.device, origin.stream, origin.sensor)
    guide = task.begin(base)
    display = Display(progress, guide)
    outcome: Outcome | None = None
    with display.shown():
        for chunk in source.chunks():
            guide.feed(chunk)
            display.update()
            if source.is_live:
                if guide.is_done:
                    break
                if task.is_ended() and (outcome := _early(guide)) is not None:
                    break
                display.say(guide.prompt())
    if outcome is None:
        if source.is_live and not guide.is_done:
            raise CalibrationError("the samples ended before there were enough")
        outcome = guide.finish()
    display.update()
    print_report(report, outcome)
    store.reload()  # another session may have measured another part meanwhile
    base = store.find(origin.device, origin.stream, origin.sensor)
    made = merged(base, origin, outcome.parts) if outcome.parts else None
    return _keep(task, outcome, made, store, report)


def _early(guide: Guide) -> Outcome | None:
    """What comes of the samples so far; if that is nothing, the session says why and goes on."""
    try:
        return copy.deepcopy(guide).finish()
    except CalibrationError as error:
        guide.complaints.append(f"not yet: {error}")
        return None


def _keep(task: Task, outcome: Outcome, made: Calibration | None, store: Store, report: Console) -> Calibration | None:
    kept = made.sealed() if made is not None and task.save else None
    plot = task.figure if kept is None else task.figure or store.path_of(kept).with_suffix(".svg")
    trouble = ""
    if plot is not None:
        try:
            write_whole(plot, outcome.figure)
        except CalibrationError as error:
            if kept is None:
                raise
            trouble, plot = f"no plot: {error}", None
    if kept is not None:
        try:
            kept, path = store.save(kept)
        except BaseException as error:
            if plot is not None:
                plot.unlink(missing_ok=True)
            if isinstance(error, CalibrationError):  # minutes of work: here it is, for a file of that folder
                report.print(to_toml(kept), soft_wrap=True, markup=False)
            raise
        report.print(f"calibration {kept.id} is in force: {path}", soft_wrap=True, markup=False)
    elif made is not None:
        report.print("not kept, as asked")
    if plot is not None:
        report.print(f"plot: {plot}", soft_wrap=True, markup=False)
    elif trouble:
        report.print(f"- {trouble}", soft_wrap=True, markup=False)
    return kept
