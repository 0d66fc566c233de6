"""Shows a session while it goes on, and its report at the end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table as RichTable
from rich.text import Text

from telemetry_bridge.calibrate.outcome import Guide, Outcome, Table
from telemetry_bridge.calibration import Calibration, Store

REFRESH_HZ: Final = 8
WIDEST: Final = 200
"""Columns that a table may need."""


class Display:
    """The state of a session on a terminal: what to do, what is done. Elsewhere only complaints are printed."""

    def __init__(self, console: Console, guide: Guide) -> None:
        self._console, self._guide = console, guide
        self._told = 0
        self._prompted = ""
        self._live: Live | None = None
        self._due_s = 0.0

    @contextmanager
    def shown(self) -> Iterator[None]:
        """While this lasts the state is on the screen."""
        if not self._console.is_terminal:
            yield
            return
        with Live(self._render(), console=self._console, auto_refresh=False, transient=True) as self._live:
            yield

    def update(self) -> None:
        """Show what has changed."""
        for complaint in self._guide.complaints[self._told :]:
            self._console.print(Text(f"! {complaint}", style="yellow"))
        self._told = len(self._guide.complaints)
        if self._live is not None and time.monotonic() >= self._due_s:
            self._due_s = time.monotonic() + 1 / REFRESH_HZ
            self._live.update(self._render(), refresh=True)

    def say(self, prompt: str) -> None:
        """Say what to do where there is no live display: each sentence once."""
        prompt = prompt.partition(" (")[0]  # without the count
        if self._live is None and prompt != self._prompted:
            self._prompted = prompt
            self._console.print(prompt)

    def _render(self) -> RenderableType:
        table = RichTable(box=None, padding=(0, 1), show_header=False)
        for step in self._guide.steps():
            table.add_row("[green]✓[/]" if step.done else "·", step.name, step.state)
        hint = Text("Enter: end with what there is    Ctrl-C: stop, keep nothing", style="dim")
        return Group(Text(self._guide.prompt(), style="bold"), table, hint)


def print_report(console: Console, outcome: Outcome) -> None:
    """Tables, then what else a human should know."""
    shown = console.width
    console.width = WIDEST  # a number that is cut off is none: a line that is longer than the terminal goes on below
    for table in outcome.tables:
        console.print(_rich(table), soft_wrap=True)
    console.width = shown
    for note in outcome.notes:
        console.print(f"- {note}", markup=False)


def print_list(console: Console, store: Store) -> None:
    """What is kept, by sensor, the newest first; a star marks what is in force."""
    kept = store.all()
    sensors = dict.fromkeys((one.device, one.stream, one.sensor) for one in kept)
    for device, stream, sensor in sensors:
        console.print(f"{device} {stream} {sensor}", markup=False, soft_wrap=True)
        in_force = store.find(device, stream, sensor)
        for one in reversed([one for one in kept if (one.device, one.stream, one.sensor) == (device, stream, sensor)]):
            mark = "*" if one is in_force else " "
            console.print(f"  {mark} {one.id}  {_contents(one)}", markup=False, soft_wrap=True)
    if not sensors:
        console.print(f"no calibration is kept in {store.folder}", markup=False, soft_wrap=True)


def _contents(one: Calibration) -> str:
    parts = []
    for name, triad in one.triads().items():
        at = "" if triad.temperature_c is None else f" at {triad.temperature_c:.1f} degC"
        drift = "" if triad.thermal is None else " with drift {:.0f} to {:.0f} degC".format(*triad.thermal.range_c)
        parts.append(f"{name} of {triad.date:%Y-%m-%d}{at}{drift}")
    if one.temperature is not None:
        parts.append(f"temperature of {one.temperature.date:%Y-%m-%d}")
    return ", ".join(parts)


def _rich(table: Table) -> RichTable:
    made = RichTable(title=table.title, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0))
    for number, name in enumerate(table.columns):
        made.add_column(name, justify="left" if number == 0 else "right", no_wrap=True)
    for row in table.rows:
        made.add_row(*row)
    return made
