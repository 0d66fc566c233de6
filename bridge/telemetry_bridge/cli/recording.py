"""A run while it is recorded: the recorder on the hub, and what the terminal shows of it."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Final, Self

from rich.text import Text

from telemetry_bridge.app import Bridge
from telemetry_bridge.recording import Recorder
from telemetry_bridge.terminal import StatusLine

_LOOK_S: Final = 0.05


class Recording(StatusLine):
    """Records for as long as it is shown.

    Args:
        duration_s: end this long after the first sample; None: when told to.
    """

    def __init__(self, bridge: Bridge, recorder: Recorder, duration_s: float | None) -> None:
        super().__init__(bridge.hub, "")
        self._recorder = recorder
        self._duration_s = duration_s
        self._bridge = bridge

    async def __aenter__(self) -> Self:
        self._recorder.find_calibration = self._bridge.calibration
        self._recorder.start()
        self._hub.attach(self._recorder)
        return await super().__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hub.detach(self._recorder)
        try:
            await asyncio.to_thread(self._recorder.close)
        finally:
            await super().__aexit__(kind, error, trace)

    async def wait_failed(self) -> None:
        """Wait for the end of the time, or until it can draw no more; raises what happened then."""
        drawing = asyncio.create_task(super().wait_failed())
        try:
            while not drawing.done() and not self._is_over():
                await asyncio.wait({drawing}, timeout=_LOOK_S)
            if drawing.done():
                drawing.result()
        finally:
            drawing.cancel()

    def _is_over(self) -> bool:
        first_s = self._recorder.first_s
        if self._duration_s is None or first_s is None:
            return False
        return time.monotonic() >= first_s + self._duration_s

    def head(self, now: float) -> Text:
        """The file, and what is in it."""
        recorder = self._recorder
        text = Text.assemble(("recording ", "dim"), (str(recorder.path), "bold cyan"))
        if recorder.failure:
            return text.append(f"  has ended: {recorder.failure}", style="bold red")
        elapsed_s = 0.0 if recorder.first_s is None else now - recorder.first_s
        text.append(f"  {elapsed_s:,.1f} s  {recorder.samples:,} samples  {recorder.size / 1e6:,.1f} MB")
        if recorder.dropped:
            text.append(f"  {recorder.dropped:,} dropped: the disk is too slow", style="bold yellow")
        return text.append("   Ctrl-C ends", style="dim")
