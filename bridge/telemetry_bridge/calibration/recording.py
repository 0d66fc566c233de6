"""Nominal samples to compute a calibration from, as they come or as they were recorded.

A CSV file has a header with units and one row for each sample::

    # device: 3a0021001751363038363633
    # stream: imu
    # sensor: lsm6dso
    time [s],accel_x [m/s^2],accel_y [m/s^2],accel_z [m/s^2],gyro_x [rad/s],…,temperature [degC]

``temperature`` is that of the sensor's own thermometer, repeated in each row. Columns with other names are left out.
For a thermometer there are ``temperature`` and ``reference``, a better one's.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from telemetry_bridge.errors import CalibrationError
from telemetry_bridge.events import FieldInfo

Array: TypeAlias = npt.NDArray[np.float64]

GRAVITY: Final = 9.80665
"""Standard gravity, m/s^2 (CGPM 1901): what one g of a CSV's column is."""
IMU_FIELDS: Final = tuple(f"{kind}_{axis}" for kind in ("accel", "gyro") for axis in "xyz")
GAP_PERIODS: Final = 1.9
"""Samples are missing where two are further apart than this many periods; times may be rounded a bit."""

_UNITS: Final = {
    "m/s^2": ("m/s^2", 1.0),
    "m/s2": ("m/s^2", 1.0),
    "g": ("m/s^2", GRAVITY),
    "mg": ("m/s^2", GRAVITY / 1000),
    "rad/s": ("rad/s", 1.0),
    "deg/s": ("rad/s", np.pi / 180),
    "dps": ("rad/s", np.pi / 180),
    "mdps": ("rad/s", np.pi / 180_000),
    "degC": ("degC", 1.0),
    "s": ("s", 1.0),
    "ms": ("s", 1e-3),
    "us": ("s", 1e-6),
    "ns": ("s", 1e-9),
}
_COLUMN: Final = re.compile(r"\s*(?P<name>[^\[(]+?)\s*[\[(](?P<unit>[^\])]+)[\])]\s*")
_NOTE: Final = re.compile(r"#\s*(?P<key>\w+)\s*[:=]\s*(?P<value>.*\S)\s*")


@dataclass(frozen=True, slots=True)
class Origin:
    """What samples are of.

    Attributes:
        device: id of the device.
        fields: of the stream, nominal.
    """

    device: str
    stream: str
    sensor: str
    fields: tuple[FieldInfo, ...]

    def rows(self, names: tuple[str, ...]) -> list[int]:
        """Where fields are in the values.

        Raises:
            CalibrationError: the stream does not have them all.
        """
        own = [field.name for field in self.fields]
        missing = [name for name in names if name not in own]
        if missing:
            raise CalibrationError(f"{self.stream}: there is no {', '.join(missing)}, only {', '.join(own)}")
        return [own.index(name) for name in names]

    def full_scale(self, name: str) -> float:
        """Largest magnitude that a field can report, 0 if it is not known."""
        return next((field.full_scale for field in self.fields if field.name == name), 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Consecutive samples.

    Attributes:
        time_s: of each sample, any origin, shape ``(n,)``.
        values: nominal SI, shape ``(fields, n)``.
        temperature_c: of the sensor, shape ``(n,)``; nan where it is not known.
    """

    time_s: Array
    values: Array
    temperature_c: Array


class Source(Protocol):
    """Where nominal samples come from: a port, a running bridge, a CSV file, a recorded run."""

    @property
    def origin(self) -> Origin:
        """What the samples are of."""

    @property
    def is_live(self) -> bool:
        """Whether somebody has to be told what to do with the board meanwhile."""

    def chunks(self) -> Iterator[Chunk]:
        """The samples as they come; ends where a recording does.

        Raises:
            BridgeError: the board or the bridge went away.
        """


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """Samples that are all there already."""

    origin: Origin
    samples: Chunk
    is_live: bool = False

    def chunks(self, seconds: float = 0.2) -> Iterator[Chunk]:
        """The samples in pieces of this length."""
        whole = self.samples
        starts = np.flatnonzero(np.diff(np.floor((whole.time_s - whole.time_s[0]) / seconds), prepend=-1.0))
        for first, end in zip(starts, [*starts[1:], whole.time_s.size], strict=True):
            yield Chunk(whole.time_s[first:end], whole.values[:, first:end], whole.temperature_c[first:end])


def read_csv(path: Path, overrides: Mapping[str, str] | None = None) -> Recording:
    """Samples from a CSV file.

    Args:
        overrides: ``device``, ``stream``, ``sensor`` that go before what the file says.

    Raises:
        CalibrationError: it cannot be read, or is not of the form above. One line.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            notes, header = _head(file)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # about no rows, which is refused below
                table = np.loadtxt(file, delimiter=",", ndmin=2)
    except OSError as error:
        raise CalibrationError(f"{path}: {error.strerror}") from None
    except ValueError as error:  # not UTF-8, a cell that is no number, rows of different length
        raise CalibrationError(f"{path}: {error}") from None
    notes |= {key: value for key, value in (overrides or {}).items() if value}
    columns = _columns(path, header)
    if table.shape[0] < 2 or table.shape[1] != len(header):
        raise CalibrationError(f"{path}: {table.shape[0]} rows of {table.shape[1]} numbers under {len(header)} names")
    if "time" not in columns:
        raise CalibrationError(f"{path}: there is no column `time [s]`")
    time_s = _column(table, columns, "time")
    time_s -= time_s[0]
    if not np.all(np.diff(time_s) > 0):
        raise CalibrationError(f"{path}: time does not go forward in each row")
    against = "reference" in columns  # a thermometer and a better one
    names = ["temperature"] if against else [name for name in columns if name in IMU_FIELDS]
    if against and "temperature" not in columns:
        raise CalibrationError(f"{path}: there is no column `temperature [degC]` beside `reference [degC]`")
    for key in ("device", "sensor"):
        if key not in notes:
            raise CalibrationError(f"{path}: of which {key}? A line `# {key}: …` above the header says so, or --{key}")
    fields = tuple(FieldInfo(name, columns[name][1], _full_scale(notes, name)) for name in names)
    values = np.array([_column(table, columns, name) for name in names])
    if not np.all(np.isfinite(values)):
        raise CalibrationError(f"{path}: there are values that are not finite")
    warm = "reference" if against else "temperature"
    warmth = _column(table, columns, warm) if warm in columns else np.full(time_s.size, np.nan)
    origin = Origin(notes["device"], notes.get("stream", "imu"), notes["sensor"], fields)
    return Recording(origin, Chunk(time_s, values, warmth))


def _head(lines: Iterator[str]) -> tuple[dict[str, str], list[str]]:
    """What stands above the numbers: notes, and the names of the columns."""
    notes = {}
    for line in lines:
        note = _NOTE.fullmatch(line.strip())
        if note:
            notes[note["key"]] = note["value"]
        elif line.strip() and not line.startswith("#"):
            return notes, [name.strip().strip('"') for name in line.split(",")]
    return notes, []


def _columns(path: Path, header: list[str]) -> dict[str, tuple[int, str, float]]:
    """Place, SI unit and factor of each column that has a known name."""
    columns = {}
    for place, text in enumerate(header):
        match = _COLUMN.fullmatch(text)
        name = match["name"] if match else text
        if name not in {"time", "temperature", "reference", *IMU_FIELDS}:
            continue
        if match is None or match["unit"] not in _UNITS:
            raise CalibrationError(f"{path}: column {text!r} needs a unit, like `{name} [{_expected(name)}]`")
        unit, factor = _UNITS[match["unit"]]
        if unit != _expected(name):
            raise CalibrationError(f"{path}: column {text!r}: {match['unit']} is no unit of that")
        columns[name] = place, unit, factor
    return columns


def _expected(name: str) -> str:
    kinds = {"time": "s", "temperature": "degC", "reference": "degC", "accel": "m/s^2", "gyro": "rad/s"}
    return kinds[name.split("_", maxsplit=1)[0]]


def _column(table: Array, columns: Mapping[str, tuple[int, str, float]], name: str) -> Array:
    place, _, factor = columns[name]
    return np.asarray(table[:, place] * factor)


def _full_scale(notes: Mapping[str, str], name: str) -> float:
    """Full scale in SI, from a note like ``# accel_full_scale: 39.2``."""
    text = notes.get(f"{name.split('_', maxsplit=1)[0]}_full_scale", "0")
    try:
        return float(text)
    except ValueError:
        raise CalibrationError(f"full scale {text!r} is not a number") from None
