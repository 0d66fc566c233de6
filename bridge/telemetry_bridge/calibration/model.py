"""What a calibration is: numbers that turn nominal SI values into better ones, and where those numbers come from.

    accelerometer, gyroscope   y = M (x - b(T)),  b(T) = b0 + c1 (T - T0) + c2 (T - T0)^2 + c3 (T - T0)^3
    thermometer                y = p0 + p1 x + p2 x^2 + p3 x^3

x is nominal SI, so a calibration outlives a change of the full-scale range: the element that is skewed, offset and
warmed is the same one in each range, and the board's descriptor already scales its counts. What differs is the gain
from range to range, which the maker trims (LSM6DSO, DS12140 rev 2, table 2: sensitivity tolerance +-1 %, not given by
range); ``full_scale`` says at which range a calibration was made, for those who measure at another.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import msgspec

from telemetry_bridge.errors import CalibrationError

FORMAT: Final = 1
MAX_ORDER: Final = 3
Vector: TypeAlias = tuple[float, float, float]
Matrix: TypeAlias = tuple[Vector, Vector, Vector]
IDENTITY: Final[Matrix] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
ZERO: Final[Vector] = (0.0, 0.0, 0.0)
UNITS: Final = {"accel": "m/s^2", "gyro": "rad/s"}
LARGEST_CORRECTION: Final = 0.3
"""Largest element of M - 1 that is believed: a sensor that is off by more is broken, or turned on its board."""


class Residuals(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How wrong the sensor was before and after.

    Attributes:
        before: RMS with nominal values, in ``unit``.
        after: RMS with this calibration, on data that the fit has not seen where ``held_out`` says so.
        of: what is compared.
    """

    before: float
    after: float
    unit: str
    of: str
    held_out: bool = False


class Thermal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a bias moves with temperature.

    Attributes:
        coefficients: c1, c2, c3 as far as they are used, each by axis, in unit/K, unit/K^2, unit/K^3.
        range_c: lowest and highest temperature of the sweep, degC; outside, the bias is that at the end of the range.
    """

    coefficients: tuple[Vector, ...]
    range_c: tuple[float, float]
    date: datetime.datetime
    method: str
    residuals: Residuals
    counts: dict[str, int]


class Triad(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Three axes that are calibrated together: y = M (x - b(T)).

    Attributes:
        matrix: M, by rows.
        bias: b0 in ``unit``.
        temperature_c: T0, degC; None if it was not known.
        full_scale: range at which it was made, in ``unit``; 0 if it was not known.
        counts: poses, samples and the like.
    """

    unit: str
    matrix: Matrix
    bias: Vector
    date: datetime.datetime
    method: str
    residuals: Residuals
    counts: dict[str, int]
    temperature_c: float | None = None
    full_scale: float = 0.0
    thermal: Thermal | None = None


class Curve(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A thermometer's polynomial, p0 first, in degC; outside ``range_c`` the correction is that at its end."""

    coefficients: tuple[float, ...]
    range_c: tuple[float, float]
    date: datetime.datetime
    method: str
    residuals: Residuals
    counts: dict[str, int]


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is known of one stream of one device.

    Attributes:
        device: id of the device, which is the MCU's unique id.
        stream: name of the stream.
        sensor: part; the calibration is refused to any other.
        date: UTC, when this was put together; the newest is in force.
        accel: of the fields accel_x, accel_y, accel_z.
        gyro: of the fields gyro_x, gyro_y, gyro_z.
        temperature: of the field temperature.
        id: date and a hash of everything else; computed when empty.
    """

    device: str
    stream: str
    sensor: str
    date: datetime.datetime
    accel: Triad | None = None
    gyro: Triad | None = None
    temperature: Curve | None = None
    format: int = FORMAT
    id: str = ""

    def sealed(self) -> Calibration:
        """The same as it will be read back (dates in whole seconds, whole numbers as floats), with its id."""
        same = msgspec.convert(_plain(self), Calibration)
        return msgspec.structs.replace(same, id=same._fitting_id())

    def _fitting_id(self) -> str:
        content = _plain(msgspec.structs.replace(self, id=""))
        text = json.dumps(content, sort_keys=True, ensure_ascii=True, allow_nan=False)
        digest = hashlib.sha256(text.encode()).hexdigest()[:8]
        return f"{self.date.astimezone(datetime.UTC):%Y%m%d-%H%M%S}-{digest}"

    def check(self) -> None:
        """Look whether this can be applied.

        Raises:
            CalibrationError: and why not. One line.
        """
        if self.format != FORMAT:
            raise CalibrationError(f"format {self.format} is not known (this version reads {FORMAT})")
        if not (self.device and self.stream and self.sensor):
            raise CalibrationError("device, stream and sensor must be named")
        if self.date.tzinfo is None:
            raise CalibrationError("date needs a time zone")
        if self.accel is None and self.gyro is None and self.temperature is None:
            raise CalibrationError("there is nothing in it: no accel, gyro or temperature")
        for name, triad in self.triads().items():
            _check_triad(name, triad)
        if self.temperature is not None:
            if not 1 <= len(self.temperature.coefficients) <= MAX_ORDER + 1:
                raise CalibrationError("temperature.coefficients: one to four")
            _check_finite("temperature", self.temperature.coefficients)
            _check_range("temperature", self.temperature.range_c)
        if self.id and self.id != self._fitting_id():
            raise CalibrationError(f"id {self.id} does not fit the contents; without the line `id` a new one is made")

    def triads(self) -> Mapping[str, Triad]:
        """Those of ``accel`` and ``gyro`` that there are."""
        both = {"accel": self.accel, "gyro": self.gyro}
        return {name: triad for name, triad in both.items() if triad is not None}


def _check_triad(name: str, triad: Triad) -> None:
    if triad.unit != UNITS[name]:
        raise CalibrationError(f"{name}.unit is {triad.unit!r}, not {UNITS[name]}")
    for row, unit_row in zip(triad.matrix, IDENTITY, strict=True):
        _check_finite(f"{name}.matrix", row)
        if max(abs(value - one) for value, one in zip(row, unit_row, strict=True)) > LARGEST_CORRECTION:
            raise CalibrationError(f"{name}.matrix corrects by more than {LARGEST_CORRECTION:.0%}: not believed")
    _check_finite(f"{name}.bias", triad.bias)
    _check_finite(f"{name}.temperature_c", (triad.temperature_c or 0.0,))
    if triad.thermal is not None:
        if triad.temperature_c is None:
            raise CalibrationError(f"{name}.thermal needs {name}.temperature_c")
        if not 1 <= len(triad.thermal.coefficients) <= MAX_ORDER:
            raise CalibrationError(f"{name}.thermal.coefficients: one to three orders")
        for row in triad.thermal.coefficients:
            _check_finite(f"{name}.thermal.coefficients", row)
        _check_range(f"{name}.thermal", triad.thermal.range_c)


def _check_range(name: str, range_c: tuple[float, float]) -> None:
    _check_finite(f"{name}.range_c", range_c)
    if range_c[0] >= range_c[1]:
        raise CalibrationError(f"{name}.range_c: lowest first")


def _check_finite(name: str, values: tuple[float, ...]) -> None:
    if not all(math.isfinite(value) for value in values):
        raise CalibrationError(f"{name}: {list(values)} is not finite")


def _plain(value: object) -> Any:
    """Dictionaries, lists, texts and numbers; what is None is left out, as TOML has no word for it."""
    if isinstance(value, msgspec.Struct):
        fields = {name: getattr(value, name) for name in value.__struct_fields__}
        return {name: _plain(field) for name, field in fields.items() if field is not None}
    if isinstance(value, Mapping):
        return {str(name): _plain(field) for name, field in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return value


def to_toml(calibration: Calibration) -> str:
    """The text of the file, with a line of its own for each number's name."""
    content: dict[str, Any] = _plain(calibration)
    lines: list[str] = []
    _write_table(lines, "", {"id": content.pop("id"), **content})
    return "\n".join(lines) + "\n"


def _write_table(lines: list[str], path: str, table: Mapping[str, Any]) -> None:
    if path:
        lines += ["", f"[{path}]"]
    for name, value in table.items():
        if not isinstance(value, dict):
            lines.append(f"{_key(name)} = {_write(name, value)}")
    for name, value in table.items():
        if isinstance(value, dict):
            _write_table(lines, f"{path}.{_key(name)}" if path else _key(name), value)


def _key(name: str) -> str:
    return name if re.fullmatch("[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)


def _write(name: str, value: object) -> str:
    if name == "date":
        return str(value)  # TOML has dates
    if isinstance(value, list) and value and isinstance(value[0], list):
        return "[\n" + "".join(f"    {_write('', row)},\n" for row in value) + "]"
    # of JSON's texts, lists, numbers and booleans all are TOML, but for texts beyond the basic plane
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def from_toml(content: Mapping[str, Any]) -> Calibration:
    """The calibration in a parsed TOML file, checked, with its id.

    Raises:
        CalibrationError: what is wrong with it. One line.
    """
    try:
        calibration = msgspec.convert(content, Calibration)
    except msgspec.ValidationError as error:
        raise CalibrationError(str(error)) from None
    calibration.check()
    return calibration.sealed()
