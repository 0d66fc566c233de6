"""The file of a run: it only ever grows by whole records, and can go back to where it was whole."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from pathlib import Path
from typing import Final

from mcap.data_stream import RecordBuilder
from mcap.records import DataEnd, Footer, Metadata
from mcap.writer import MCAP0_MAGIC

from telemetry_bridge.errors import RunError

_STEPS_BACK: Final = 16
"""How many pieces of the end may be given up to make room for the last records."""


class RunFile:
    """What the MCAP writer writes to. Nothing reaches the system before :meth:`flush`, and then in one piece.

    Attributes:
        size: bytes that the system has.
    """

    def __init__(self, path: Path) -> None:
        """Make the file.

        Raises:
            RunError: it cannot be made, or is there already.
        """
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o644)
        except OSError as error:
            raise RunError(f"{path} cannot be written: {error.strerror}") from None
        self.size = 0
        self._waiting = bytearray()
        self._whole: deque[int] = deque([0], maxlen=_STEPS_BACK)

    @property
    def is_waiting(self) -> bool:
        """Whether there is something to flush."""
        return bool(self._waiting)

    def write(self, data: bytes) -> int:
        """Take what belongs to the file."""
        self._waiting += data
        return len(data)

    def tell(self) -> int:
        """Where the next byte goes."""
        return self.size + len(self._waiting)

    def flush(self) -> None:
        """Hand everything to the system, so that the end of this process does not take it away.

        Raises:
            OSError: no room, or the disk fails.
        """
        if not self._waiting:
            return
        self._write(bytes(self._waiting))
        self._waiting.clear()
        self._whole.append(self.size)

    def sync(self) -> None:
        """Have it on the disk, so that the end of the machine does not take it away either.

        Raises:
            OSError: the disk fails.
        """
        os.fsync(self._file)

    def end_without_index(self, end: Metadata) -> bool:
        """Make the file a whole one after an error: cut it where it was whole and add the fewest records.

        Returns:
            Whether that was possible; if not, it still can be read up to where it is cut.
        """
        self._waiting.clear()
        builder = RecordBuilder()
        end.write(builder)
        DataEnd(data_section_crc=0).write(builder)
        Footer(summary_start=0, summary_offset_start=0, summary_crc=0).write(builder)
        tail: bytes = builder.end() + MCAP0_MAGIC  # type: ignore[no-untyped-call]
        while self._whole:
            self.size = self._whole.pop()
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self.size)
                os.lseek(self._file, self.size, os.SEEK_SET)
                self._write(tail)
                return True
        return False

    def close(self) -> None:
        """Close it; what was not flushed is lost."""
        os.close(self._file)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            done = os.write(self._file, view)
            self.size += done
            view = view[done:]
