"""Arguments of commands: what a client gives, checked, and turned into the fields and units of the wire."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, NoReturn, TypeAlias

from telemetry_bridge.errors import CommandError
from telemetry_bridge.events import DeviceInfo, StreamInfo
from telemetry_protocol import messages

Given: TypeAlias = Mapping[str, object]
"""Arguments as the client gave them."""
_U32: Final = 2**32 - 1
_F32_MAX: Final = 3.4e38
_SOURCES: Final = {item.name.lower(): item.value for item in messages.Configuration}


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a command.

    Attributes:
        kind: what it is in JSON.
        meaning: for people, with its unit.
        wire: its field on the wire and the value of that; raises CommandError.
    """

    name: str
    kind: Literal["text", "number", "bool"]
    meaning: str
    wire: Callable[[DeviceInfo, Given], tuple[str, float]]


def stream_of(device: DeviceInfo, args: Given) -> StreamInfo:
    """The stream that a command is about.

    Raises:
        CommandError: ``bad_request``, ``unknown_stream``.
    """
    name = args.get("stream")
    if not isinstance(name, str):
        _refuse("stream", "the name of a stream is needed")
    for stream in device.streams:
        if stream.name == name:
            if stream.derived_from is not None:
                _refuse("stream", f"the bridge computes {name} from {stream.derived_from}: that is the one to set")
            return stream
    known = ", ".join(stream.name for stream in device.streams if stream.derived_from is None) or "none"
    raise CommandError("unknown_stream", f"device {device.id} has no stream {name[:40]!r}; it has: {known}")


def _refuse(name: str, why: str) -> NoReturn:
    raise CommandError("bad_request", f"args.{name}: {why}")


def _number(args: Given, name: str, what: str, *, zero: bool = False) -> float:
    value = args.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or not (value or zero):
        _refuse(name, f"{what} is needed")
    if not value <= _F32_MAX:  # nor NaN, nor an integer that no float holds
        _refuse(name, f"{what} is needed, and not one so large")
    return value


def _stream(device: DeviceInfo, args: Given) -> tuple[str, float]:
    return "stream", stream_of(device, args).number


def _rate(_device: DeviceInfo, args: Given) -> tuple[str, float]:
    rate_hz = _number(args, "rate_hz", "a rate in Hz above 0")
    rate_mhz = round(rate_hz * 1000)
    if not 1 <= rate_mhz <= _U32:
        _refuse("rate_hz", f"{rate_hz:g} is not between 0.001 and {_U32 / 1000:.0f}")
    return "rate_mhz", rate_mhz


def _field(device: DeviceInfo, args: Given) -> tuple[str, float]:
    stream, name = stream_of(device, args), args.get("field")
    names = [field.name for field in stream.fields]
    if not isinstance(name, str) or name not in names:
        _refuse("field", f"the name of a field of {stream.name} is needed; it has: {', '.join(names)}")
    return "field", names.index(name)


def _full_scale(_device: DeviceInfo, args: Given) -> tuple[str, float]:
    return "full_scale", float(_number(args, "full_scale", "a magnitude above 0, in the SI unit of the field,"))


def _latency(_device: DeviceInfo, args: Given) -> tuple[str, float]:
    latency_ms = _number(args, "latency_ms", "a time in ms, or 0 for the default,", zero=True)
    latency_us = round(latency_ms * 1000)
    if latency_us > _U32 or (latency_ms and not latency_us):
        _refuse("latency_ms", f"{latency_ms:g} is neither 0 nor between 0.001 and {_U32 / 1000:.0f}")
    return "latency_us", latency_us


def _enabled(_device: DeviceInfo, args: Given) -> tuple[str, float]:
    enabled = args.get("enabled")
    if not isinstance(enabled, bool):
        _refuse("enabled", "true or false is needed")
    return "enabled", int(enabled)


def _source(_device: DeviceInfo, args: Given) -> tuple[str, float]:
    source = args.get("source")
    if not isinstance(source, str) or source not in _SOURCES:
        _refuse("source", f"one of these is needed: {', '.join(_SOURCES)}")
    return "source", _SOURCES[source]


def _boot_id(_device: DeviceInfo, args: Given) -> tuple[str, float]:
    boot_id = args.get("boot_id")
    if not isinstance(boot_id, str) or not re.fullmatch("[0-9a-fA-F]{1,8}", boot_id):
        _refuse("boot_id", "the boot_id of the fault is needed, up to 8 hexadecimal digits")
    return "boot_id", int(boot_id, 16)


def _baud(_device: DeviceInfo, args: Given) -> tuple[str, float]:
    baud = args.get("baud")
    if isinstance(baud, bool) or not isinstance(baud, int) or not 0 < baud <= _U32:
        _refuse("baud", "a rate in baud is needed, a whole number")
    return "baud", baud


STREAM: Final = Argument("stream", "text", "name of a stream", _stream)
RATE: Final = Argument("rate_hz", "number", "wanted rate in Hz", _rate)
FIELD: Final = Argument("field", "text", "name of a field; those that share its range change with it", _field)
FULL_SCALE: Final = Argument(
    "full_scale", "number", "wanted largest magnitude, in the field's SI unit (m/s^2, rad/s)", _full_scale
)
ENABLED: Final = Argument("enabled", "bool", "true or false", _enabled)
LATENCY: Final = Argument("latency_ms", "number", "1 to 1000 ms; 0: the default for the rate", _latency)
SOURCE: Final = Argument("source", "text", "stored or defaults", _source)
BOOT_ID: Final = Argument("boot_id", "text", "boot_id of the fault, in hexadecimal", _boot_id)
BAUD: Final = Argument("baud", "number", "wanted rate in baud", _baud)
