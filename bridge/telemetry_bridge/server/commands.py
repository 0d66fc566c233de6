"""Commands as the API has them (stream names, Hz) and as the wire has them (stream numbers, mHz): one table."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from telemetry_bridge.errors import CommandError
from telemetry_bridge.events import CommandDone, DeviceInfo, StreamInfo

_RATE_MHZ_MAX: Final = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Spec:
    """One command.

    Attributes:
        to_wire: arguments of the API to those of the wire; raises CommandError.
        from_wire: result of the wire to that of the API.
    """

    to_wire: Callable[[DeviceInfo, Mapping[str, object], int], dict[str, int]]
    from_wire: Callable[[Mapping[str, int]], dict[str, object]]


def to_wire(device: DeviceInfo, name: str, args: Mapping[str, object], now_ns: int) -> dict[str, int]:
    """Arguments of a command for the wire.

    Args:
        device: the board that gets it.
        name: of the command.
        args: as the client gave them.
        now_ns: monotonic time of the host, for ``ping``.

    Raises:
        CommandError: ``bad_request`` for an unknown command or wrong arguments, ``unknown_stream``.
    """
    spec = COMMANDS.get(name)
    if spec is None:
        raise CommandError("bad_request", f"there is no command {name[:40]!r}; known: {', '.join(COMMANDS)}")
    return spec.to_wire(device, args, now_ns)


def result_data(done: CommandDone) -> dict[str, object]:
    """Result or refusal fields of a command that ended, in SI units."""
    if done.ok:
        spec = COMMANDS.get(done.name)
        return dict(done.data) if spec is None else spec.from_wire(done.data)
    if "needed" not in done.data or "available" not in done.data:
        return dict(done.data)
    needed, available = done.data["needed"], done.data["available"]
    if done.status == "bad_argument" and done.name == "set_baud":
        return {"min_baud": needed, "max_baud": available}
    if done.status == "bad_argument":
        return {"min_rate_hz": needed / 1000, "max_rate_hz": available / 1000}
    return {"needed_bit_s": needed, "available_bit_s": available}


def refusal_text(done: CommandDone, args: Mapping[str, object]) -> str:
    """One line for a human that says why the board refused, with the numbers it gave."""
    if done.name == "set_baud":
        return done.message
    wanted = f"{args.get('stream', '')} at {args.get('rate_hz', '?')} Hz"
    match result_data(done):
        case {"min_rate_hz": low, "max_rate_hz": high}:
            return f"{wanted} is not possible: the sensor can do {low:g} to {high:g} Hz"
        case {"needed_bit_s": needed, "available_bit_s": available}:
            what = "sensor bus" if done.status == "over_bus_budget" else "line"
            return f"{wanted} would take {needed} bit/s of the {what}; there are {available} bit/s"
        case _:
            return done.message or f"{done.name} was refused: {done.status}"


def _stream(device: DeviceInfo, args: Mapping[str, object]) -> StreamInfo:
    name = args.get("stream")
    if not isinstance(name, str):
        raise CommandError("bad_request", "args.stream: the name of a stream is needed")
    for stream in device.streams:
        if stream.name == name:
            return stream
    known = ", ".join(stream.name for stream in device.streams) or "none"
    raise CommandError("unknown_stream", f"device {device.id} has no stream {name[:40]!r}; it has: {known}")


def _rate_mhz(args: Mapping[str, object]) -> int:
    rate = args.get("rate_hz")
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not math.isfinite(rate) or rate <= 0:
        raise CommandError("bad_request", "args.rate_hz: a rate in Hz above 0 is needed")
    rate_mhz = round(rate * 1000)
    if not 1 <= rate_mhz <= _RATE_MHZ_MAX:
        raise CommandError("bad_request", f"args.rate_hz: {rate:g} is not between 0.001 and {_RATE_MHZ_MAX / 1000:.0f}")
    return rate_mhz


def _baud(args: Mapping[str, object]) -> int:
    baud = args.get("baud")
    if isinstance(baud, bool) or not isinstance(baud, int) or not 0 < baud <= 2**32 - 1:
        raise CommandError("bad_request", "args.baud: a rate in baud is needed, a whole number")
    return baud


def _no_args(_device: DeviceInfo, _args: Mapping[str, object], _now_ns: int) -> dict[str, int]:
    return {}


def _plain(data: Mapping[str, int]) -> dict[str, object]:
    return dict(data)


def _with_rate(data: Mapping[str, int]) -> dict[str, object]:
    rest: dict[str, object] = {key: value for key, value in data.items() if key != "rate_mhz"}
    return {"rate_hz": data["rate_mhz"] / 1000, **rest}


COMMANDS: Final[dict[str, Spec]] = {
    "set_rate": Spec(
        lambda device, args, _now: {"stream": _stream(device, args).number, "rate_mhz": _rate_mhz(args)}, _with_rate
    ),
    "get_rate": Spec(lambda device, args, _now: {"stream": _stream(device, args).number}, _with_rate),
    "set_baud": Spec(lambda _device, args, _now: {"baud": _baud(args)}, _plain),
    "ping": Spec(lambda _device, _args, now_ns: {"host_ns": now_ns}, _plain),
    "describe": Spec(_no_args, _plain),
    "get_health": Spec(_no_args, _plain),
    "reset": Spec(_no_args, _plain),
}
