"""What the terminal shows: a status line while serving, a table of live values for `monitor`."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from telemetry_bridge.events import Batch, DeviceChanged, DeviceInfo, Event, Gap, JsonMessage
from telemetry_bridge.hub import Hub

REFRESH_S = 0.25
RATE_WINDOW_S = 2.0
_NOBODY = Text("waiting for a board …", style="dim")
PLAIN_INTERVAL_S = 10.0  # between status lines where the output is no terminal


@dataclass
class StreamTally:
    """What one stream of one device has brought since the display began."""

    latest: Batch | None = None
    samples: int = 0
    unknown_gaps: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    recent: deque[tuple[float, int]] = field(default_factory=deque)

    def rate_hz(self, now: float) -> float:
        """Samples a second over the last two seconds; the oldest batch only says since when."""
        while self.recent and self.recent[0][0] < now - RATE_WINDOW_S:
            self.recent.popleft()
        if len(self.recent) < 2:
            return 0.0
        (since, first), *_ = self.recent
        return (sum(count for _, count in self.recent) - first) / (now - since) if now > since else 0.0


class Tally:
    """A sink that keeps the newest of everything and counts the rest; its size does not grow with time."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.devices: dict[str, DeviceInfo] = {}
        self.streams: dict[tuple[str, str], StreamTally] = {}
        self.health: dict[str, JsonMessage] = {}
        self.faults: dict[str, JsonMessage] = {}
        self._now = now

    def handle(self, event: Event) -> None:
        """Take one event of the hub."""
        match event:
            case DeviceChanged(device=device):
                self.devices[device.id] = device
            case Batch():
                tally = self.streams.setdefault((event.device, event.stream), StreamTally())
                tally.latest = event
                tally.samples += event.samples
                now = self._now()
                tally.recent.append((now, event.samples))
                tally.rate_hz(now)  # forgets what is older than the window
            case Gap():
                tally = self.streams.setdefault((event.device, event.stream), StreamTally())
                tally.lost[event.cause] += event.count or 0
                tally.unknown_gaps += event.count is None
            case JsonMessage(stream="health"):
                self.health[event.device] = event
            case JsonMessage(stream="fault"):
                self.faults[event.device] = event
            case _:
                pass

    def of(self, device: str) -> dict[str, StreamTally]:
        """The streams of one device by name, in the order in which they appeared."""
        return {stream: tally for (owner, stream), tally in self.streams.items() if owner == device}


def _loss(streams: Iterable[StreamTally]) -> Text:
    lost: Counter[str] = Counter()
    unknown = 0
    for tally in streams:
        lost.update(tally.lost)
        unknown += tally.unknown_gaps
    causes = [f"{cause} {count:,}" for cause, count in sorted(lost.items()) if count]
    causes += [f"{unknown} gaps of unknown length"] if unknown else []
    if not causes:
        return Text("0 lost", style="green")
    return Text(f"{lost.total():,} lost ({', '.join(causes)})", style="bold yellow")


def _clock(device: DeviceInfo) -> str:
    uncertainty = device.clock.uncertainty_ns
    return f"clock {device.clock.state}" + (f" ±{uncertainty / 1000:,.0f} µs" if uncertainty is not None else "")


def _crash(device: DeviceInfo, fault: JsonMessage) -> str:
    """What crashed, and the command of the source tree that tells where."""
    names = ("pc", "lr", "cfsr", "hfsr", "mmfar", "bfar")
    registers = "".join(f" --{name} {fault.body.get(name)}" for name in names)
    cause = fault.body.get("cause")
    return f"has crashed: {cause}. tools/decode_fault.py --board {device.board} --cause '{cause}'{registers}"


def _device_line(tally: Tally, device: DeviceInfo, now: float) -> Text:
    online = device.state == "online"
    text = Text("● " if online else "○ ", style="green" if online else "red")
    text.append(f"{device.board or 'board'} {device.id[:8]} {device.state}", style="bold default")
    if online:
        derived = {stream.name for stream in device.streams if stream.derived_from is not None}
        own = {name: stream for name, stream in tally.of(device.id).items() if name not in derived}
        for name, stream in own.items():
            text.append(f"  {name} {stream.rate_hz(now):,.0f}/s", style="default")
        for stream_info in device.streams:
            if stream_info.state in {"missing", "failing"} and stream_info.name not in derived:
                text.append(f"  {stream_info.name} {stream_info.state}", style="bold red")
        text.append("  ").append_text(_loss(own.values()))
        text.append(f"  {_clock(device)}", style="dim")
    else:
        waiting = "another program has the port; `telemetry-bridge resume` takes it back"
        if device.state != "released":
            waiting = "waiting for it to come back"
        text.append(f"  {device.link}: {waiting}", style="yellow")
    fault = tally.faults.get(device.id)
    if fault is not None:
        text.append(f"\n  {_crash(device, fault)}", style="bold red")
    if device.warning:
        text.append(f"\n  {device.warning}", style="bold yellow")
    return text


class PipeConsole(Console):
    """A console that tells when nobody reads its output any more, instead of ending the process."""

    def on_broken_pipe(self) -> None:
        """Called by rich while it handles a BrokenPipeError.

        Raises:
            BrokenPipeError: always.
        """
        raise BrokenPipeError


class Display:
    """Attaches a tally to the hub and draws it again and again.

    Where the output is no terminal it prints now and then, and once more at the end.
    """

    first_plain_s = 0.0
    """When it prints first where the output is no terminal."""

    def __init__(self, hub: Hub, console: Console) -> None:
        self.tally = Tally()
        self._hub = hub
        self._console = console
        self._task: asyncio.Task[None] | None = None

    def render(self, now: float) -> RenderableType:
        """What to show now."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        self._hub.attach(self.tally)
        self._task = asyncio.create_task(self._draw(), name="terminal")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hub.detach(self.tally)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)  # wait_failed() has told
        if error is None or isinstance(error, asyncio.CancelledError):
            self._print_plain()

    async def wait_failed(self) -> None:
        """Wait until it can draw no more; raises what happened."""
        if self._task is not None:
            await asyncio.shield(self._task)

    def _print_plain(self) -> None:
        if not self._console.is_terminal:
            self._console.print(self.render(time.monotonic()), soft_wrap=True)

    async def _draw(self) -> None:
        if not self._console.is_terminal:
            await asyncio.sleep(self.first_plain_s)
            while True:
                self._print_plain()
                await asyncio.sleep(PLAIN_INTERVAL_S)
        with Live(console=self._console, auto_refresh=False, transient=False) as live:
            while True:
                live.update(self.render(time.monotonic()), refresh=True)
                await asyncio.sleep(REFRESH_S)


class StatusLine(Display):
    """One line for each device, and where the page is."""

    def __init__(self, hub: Hub, url: str, console: Console | None = None) -> None:
        super().__init__(hub, console or PipeConsole(stderr=True, highlight=False))
        self._url = url

    def head(self, now: float) -> Text:  # noqa: ARG002 - for those that show something else
        """What stands above the devices."""
        return Text.assemble(("page ", "dim"), (self._url, "bold cyan"), ("   Ctrl-C ends", "dim"))

    def render(self, now: float) -> RenderableType:
        """The head and a line for each device."""
        lines: list[RenderableType] = [self.head(now)]
        lines += [_device_line(self.tally, device, now) for device in self.tally.devices.values()] or [_NOBODY]
        return Group(*lines)


class LiveValues(Display):
    """Every field of every stream with its newest value and unit, and the health of line and board."""

    first_plain_s = 1.5

    def __init__(self, hub: Hub, console: Console | None = None) -> None:
        super().__init__(hub, console or PipeConsole(highlight=False))

    def render(self, now: float) -> RenderableType:
        """A table for each device."""
        parts: list[RenderableType] = []
        for device in self.tally.devices.values():
            parts.append(_device_line(self.tally, device, now))
            parts.append(self._values(device, now))
            parts.append(self._link(device))
        return Group(*parts or [_NOBODY])

    def _values(self, device: DeviceInfo, now: float) -> Table:
        table = Table(box=None, padding=(0, 1), header_style="dim")
        for name in ("stream", "sensor", "field", "value", "unit", "rate/s", "samples", "lost"):
            numeric = name in {"value", "rate/s", "samples", "lost"}
            table.add_column(name, justify="right" if numeric else "left", no_wrap=name != "sensor")
        for stream in device.streams:
            if stream.state == "absent":  # optional, and not fitted
                continue
            tally = self.tally.streams.get((device.id, stream.name), StreamTally())
            for number, info in enumerate(stream.fields):
                values = tally.latest.values if tally.latest is not None else None
                # a board may describe other fields before the first sample that has them
                value = f"{values[number, -1]:+.4f}" if values is not None and number < len(values) else "–"
                first = number == 0
                table.add_row(
                    stream.name if first else "",
                    (stream.sensor if stream.state == "streaming" else f"{stream.sensor} ({stream.state})")
                    if first
                    else "",
                    info.name,
                    value,
                    info.unit,
                    f"{tally.rate_hz(now):,.1f}" if first else "",
                    f"{tally.samples:,}" if first else "",
                    f"{tally.lost.total():,}" if first else "",
                )
        return table

    def _link(self, device: DeviceInfo) -> Text:
        stats = device.stats
        damaged = stats.damaged_cobs + stats.damaged_crc + stats.damaged_short + stats.damaged_long
        text = Text(style="dim")
        text.append(
            f"link {device.link} at {device.baud:,} baud: {stats.frames:,} frames, {damaged:,} damaged, "
            f"{stats.missing_frames:,} missing, {stats.refused_type + stats.refused_length:,} refused"
        )
        health = self.tally.health.get(device.id)
        if health is not None:
            body = health.body
            shown = [f"up {body['uptime_s']} s"] if "uptime_s" in body else []
            cpu, supply = body.get("cpu"), body.get("supply_v")
            shown += [f"cpu {cpu:.1%}"] if isinstance(cpu, float) else []
            shown += [f"supply {supply:.2f} V"] if isinstance(supply, float) else []
            text.append("\nboard " + ", ".join(shown))
        return text
