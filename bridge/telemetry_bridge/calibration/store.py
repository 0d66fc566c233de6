"""Calibrations as TOML files in a folder, one for each device, stream and date. The newest is in force.

None is ever changed. A file appears whole or not at all, also when the machine dies meanwhile, and old ones stay, so
that old runs can be calibrated again with what was in force then, or with what is known now.
"""

from __future__ import annotations

import contextlib
import datetime
import logging
import os
import re
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from telemetry_bridge.calibration.model import Calibration, from_toml, to_toml
from telemetry_bridge.errors import CalibrationError

LARGEST_BYTES: Final = 64 * 1024
"""A file that is larger is no calibration."""

_log = logging.getLogger(__name__)


def default_folder() -> Path:
    """``$XDG_DATA_HOME/telemetry-bridge/calibrations`` (XDG Base Directory Specification 0.8)."""
    home = os.environ.get("XDG_DATA_HOME", "")
    base = Path(home) if Path(home).is_absolute() else Path.home() / ".local" / "share"
    return base / "telemetry-bridge" / "calibrations"


class Store:
    """The calibrations of a folder, as of the last :meth:`reload`. A folder that is not there is empty.

    Attributes:
        folder: where they are.
    """

    def __init__(self, folder: Path | None = None) -> None:
        """Read the folder; None: :func:`default_folder`."""
        self.folder = default_folder() if folder is None else folder
        self._by_stream: dict[tuple[str, str], list[Calibration]] = {}  # oldest first
        self._complaints: dict[Path, str] = {}
        self._seen: frozenset[tuple[str, int, int]] = frozenset()
        self.reload()

    def reload(self) -> None:
        """Read the folder again. A file that cannot be used is one warning, said again only when it is another one."""
        self._seen = self._signature()
        found: dict[str, Calibration] = {}
        complaints: dict[Path, str] = {}
        for path in self._files():
            try:
                calibration = read(path)
            except CalibrationError as error:
                complaints[path] = str(error)
            else:
                found[calibration.id] = calibration
        self._by_stream = {}
        for calibration in sorted(found.values(), key=lambda one: (one.date, one.id)):
            self._by_stream.setdefault((calibration.device, calibration.stream), []).append(calibration)
        for path, why in complaints.items():
            if self._complaints.get(path) != why:
                _log.warning("calibration not used: %s", why)
        self._complaints = complaints

    def has_changed(self) -> bool:
        """Whether a file came, went or changed since :meth:`reload`."""
        return self._signature() != self._seen

    def _signature(self) -> frozenset[tuple[str, int, int]]:
        try:
            with os.scandir(self.folder) as entries:
                stats = [(entry.name, entry.stat()) for entry in entries if entry.name.endswith(".toml")]
        except OSError:
            return frozenset()
        return frozenset((name, stat.st_mtime_ns, stat.st_ino) for name, stat in stats)

    def _files(self) -> Sequence[Path]:
        try:
            return sorted(path for path in self.folder.iterdir() if path.suffix == ".toml")
        except FileNotFoundError:
            return ()
        except OSError as error:
            _log.warning("calibrations in %s cannot be read: %s", self.folder, error.strerror)
            return ()

    def find(self, device: str, stream: str, sensor: str, *, at: datetime.datetime | None = None) -> Calibration | None:
        """The calibration in force, now or at a past time; None if there is none for this very part."""
        fitting = [
            one
            for one in self._by_stream.get((device, stream), ())
            if one.sensor == sensor and (at is None or one.date <= at)
        ]
        return fitting[-1] if fitting else None

    def get(self, identifier: str) -> Calibration | None:
        """The calibration with this id, in force or not."""
        return next((one for one in self.all() if one.id == identifier), None)

    def all(self) -> Sequence[Calibration]:
        """Every one that can be used, by device, stream and date."""
        return [one for key in sorted(self._by_stream) for one in self._by_stream[key]]

    def path_of(self, calibration: Calibration) -> Path:
        """Where a calibration is kept; other files about it have the same stem."""
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", f"{calibration.device}_{calibration.stream}_{calibration.id}")
        return self.folder / f"{name}.toml"

    def save(self, calibration: Calibration) -> tuple[Calibration, Path]:
        """Keep a calibration; it is in force from now on.

        Returns:
            It with its id, and its file.

        Raises:
            CalibrationError: it cannot be applied, or the folder cannot be written.
        """
        sealed = calibration.sealed()
        text = to_toml(sealed)
        try:
            same = from_toml(tomllib.loads(text)) == sealed
        except tomllib.TOMLDecodeError:
            same = False
        if not same:
            raise CalibrationError(
                "the calibration cannot be kept: there are characters in its texts that no file can hold"
            )
        path = self.path_of(sealed)
        write_whole(path, text)
        self.reload()
        return sealed, path


def read(path: Path) -> Calibration:
    """A calibration from its file.

    Raises:
        CalibrationError: which file, and what is wrong with it. One line.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_BYTES + 1)
        if len(data) > LARGEST_BYTES:
            raise CalibrationError(f"larger than {LARGEST_BYTES // 1024} KiB")
        return from_toml(tomllib.loads(data.decode()))
    except OSError as error:
        raise CalibrationError(f"{path}: {error.strerror}") from None
    except (ValueError, OverflowError, RecursionError, CalibrationError) as error:  # not UTF-8, not TOML: ValueErrors
        raise CalibrationError(f"{path}: {error}") from None


def write_whole(path: Path, text: str) -> None:
    """Write a file that appears whole or not at all, and is on the disk when this returns.

    Raises:
        CalibrationError: the folder cannot be made or written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o644)  # as other files; mkstemp makes them for the owner alone
            Path(name).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise
        _sync_folder(path.parent)
    except OSError as error:
        raise CalibrationError(f"{path} cannot be written: {error.strerror}") from None


def refuse_unwritable(folder: Path) -> None:
    """Look whether files can be made in a folder, or in the one where it would be made; leaves nothing behind.

    Raises:
        CalibrationError: they cannot.
    """
    place = next((one for one in (folder, *folder.absolute().parents) if one.exists()), folder)
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise CalibrationError(f"{folder} cannot be written: {error.strerror}") from None


def _sync_folder(folder: Path) -> None:
    """Make a rename last; where folders cannot be opened (Windows) it lasts by itself."""
    with contextlib.suppress(PermissionError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
