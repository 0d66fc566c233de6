"""The recorder: a sink of the hub with a bounded queue, and the thread that writes what is in it.

    hub --handle--> Backlog (64 MiB) --thread--> RunWriter --> RunFile

A disk that is too slow costs the oldest batches, and a gap in the file says which; one that is full ends the run whole.
Neither touches the hub or its other sinks.
"""

from __future__ import annotations

import datetime
import errno
import logging
import os
import re
import threading
import time
from pathlib import Path
from typing import Final

from telemetry_bridge.errors import RunError
from telemetry_bridge.events import Batch, EpochStarted, Event, Gap
from telemetry_bridge.recording.backlog import Backlog
from telemetry_bridge.recording.format import STOPPED, RunInfo
from telemetry_bridge.recording.run_file import RunFile
from telemetry_bridge.recording.writer import CalibrationFinder, RunWriter

QUEUE_BYTES: Final = 64 * 1024 * 1024
_AT_ONCE_BYTES: Final = 256 * 1024
"""How much the thread takes out of the queue at a time: what it works on is beside the limit."""
_CLOSE_S: Final = 10.0
_FULL: Final = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}

_log = logging.getLogger(__name__)


def new_path(folder: Path, title: str, started_ns: int) -> Path:
    """A name for a run: UTC and title; one that is not taken."""
    moment = datetime.datetime.fromtimestamp(started_ns / 1e9, datetime.UTC)
    words = re.sub(r"[^A-Za-z0-9]+", "-", title).strip("-").lower()[:40]
    stem = f"run-{moment:%Y%m%d-%H%M%S}" + (f"-{words}" if words else "")
    names = (f"{stem}{'' if number == 1 else f'-{number}'}.mcap" for number in range(1, 10_000))
    return next(path for name in names if not (path := folder / name).exists())


class Recorder:
    """Records what passes through a hub, from :meth:`start` to :meth:`close`. Any thread may close it.

    Attributes:
        path: the file; it has this name from the first byte and can be read at any moment.
        find_calibration: finds the contents of a calibration by its id; to be set before :meth:`start`.
        first_s: when the first samples came, by the monotonic clock; None until then.
    """

    def __init__(
        self,
        path: Path,
        info: RunInfo,
        *,
        streams: frozenset[str] | None = None,
        queue_bytes: int = QUEUE_BYTES,
        file: RunFile | None = None,
    ) -> None:
        """Prepare.

        Args:
            streams: names of those whose samples are wanted; None: all. Health, log, faults and marks always are.
            file: what to write to instead of a new file at ``path``.
        """
        self.path = path
        self.first_s: float | None = None
        self._info = info
        self._streams = streams
        self.find_calibration: CalibrationFinder = lambda _: None
        self._file = file
        self._backlog = Backlog(queue_bytes)
        self._wake = threading.Condition()
        self._closing = False
        self._failure = ""
        self._writer: RunWriter | None = None
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)

    def start(self) -> None:
        """Make the file and the thread.

        Raises:
            RunError: the file cannot be made, or there is no room even for its beginning.
        """
        self._file = self._file or RunFile(self.path)
        try:
            self._writer = RunWriter(self._file, self._info, self.find_calibration)
        except OSError as error:
            self._file.close()
            raise RunError(f"{self.path} cannot be written: {error.strerror}") from None
        self._thread.start()

    @property
    def samples(self) -> int:
        """How many were written; after a failure the last of them may not be in the file."""
        return 0 if self._writer is None else self._writer.samples

    @property
    def dropped(self) -> int:
        """Samples that had to be dropped because the disk did not take them in time."""
        return self._backlog.dropped

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return 0 if self._file is None else self._file.size

    @property
    def failure(self) -> str:
        """Why the run has ended by itself; empty as long as it has not."""
        return self._failure

    def handle(self, event: Event) -> None:
        """Take one event of the hub; never blocks for longer than the thread needs to take from the queue."""
        if self._failure or self._closing:
            return
        if not self._wants(event):
            return
        with self._wake:
            if self.first_s is None and isinstance(event, Batch):
                self.first_s = time.monotonic()
            fits = self._backlog.put(event)
            self._wake.notify()
        if not fits:
            self._fail("the disk takes nothing any more")

    def _wants(self, event: Event) -> bool:
        if self._streams is None or not isinstance(event, Batch | Gap | EpochStarted):
            return True
        return event.stream in self._streams

    def close(self) -> bool:
        """Write what waits and end the file; whether it came to its end within ten seconds."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join(_CLOSE_S)
        if self._thread.is_alive():
            self._fail(f"the disk has not taken the rest within {_CLOSE_S:.0f} s")
            return False
        return True

    def _fail(self, why: str) -> None:
        if not self._failure:
            self._failure = why
            _log.error("%s: recording has ended: %s", self.path, why, extra={"run": str(self.path)})

    # ---------------------------------------------------------------- thread

    def _work(self) -> None:
        assert self._writer is not None
        assert self._file is not None
        try:
            self._write(self._writer)
        except OSError as error:
            text = os.strerror(error.errno) if error.errno else str(error)
            self._end_early(f"the disk is full: {text}" if error.errno in _FULL else text)
        except Exception as error:  # noqa: BLE001 - whatever it is, the run ends whole and says so
            _log.exception("%s: a defect of the recorder", self.path)
            self._end_early(f"{type(error).__name__}: {error}")
        finally:
            self._file.close()

    def _end_early(self, why: str) -> None:
        assert self._file is not None
        whole = self._file.end_without_index(RunWriter.end(why))
        self._fail(f"{why}; the file is {'whole up to then' if whole else 'cut'}")

    def _write(self, writer: RunWriter) -> None:
        while True:
            with self._wake:
                if not len(self._backlog) and not self._closing:
                    closes_s = writer.closes_s
                    self._wake.wait(None if closes_s is None else max(closes_s - time.monotonic(), 0.0))
                items = self._backlog.take(_AT_ONCE_BYTES)
                if not items and self._closing:
                    break
            for item in items:
                writer.write(item)
                writer.tick()
            writer.tick()
        writer.finish(STOPPED)
