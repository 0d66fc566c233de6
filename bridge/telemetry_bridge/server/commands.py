"""Commands as the API has them (stream names, Hz) and as the wire has them (stream numbers, mHz): one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from telemetry_bridge.errors import CommandError
from telemetry_bridge.events import CommandDone, DeviceInfo, StreamInfo, WireArgs, WireData
from telemetry_bridge.server.arguments import (
    BAUD,
    BOOT_ID,
    ENABLED,
    FIELD,
    FULL_SCALE,
    LATENCY,
    RATE,
    SOURCE,
    STREAM,
    Argument,
    Given,
    stream_of,
)
from telemetry_bridge.session.refusals import explain, limits

Result: TypeAlias = Callable[[WireData, DeviceInfo, Given], dict[str, object]]


def _plain(data: WireData, _device: DeviceInfo, _args: Given) -> dict[str, object]:
    return dict(data)


def _with_rate(data: WireData, _device: DeviceInfo, _args: Given) -> dict[str, object]:
    rest: dict[str, object] = {key: value for key, value in data.items() if key != "rate_mhz"}
    return {"rate_hz": data["rate_mhz"] / 1000, **rest}


def _with_latency(data: WireData, _device: DeviceInfo, _args: Given) -> dict[str, object]:
    return {"latency_ms": data["latency_us"] / 1000}


def _self_test(data: WireData, device: DeviceInfo, args: Given) -> dict[str, object]:
    names = [field.name for field in stream_of(device, args).fields]
    return {
        "passed": bool(data["passed"]),
        "fields": [
            {
                "name": names[number] if number < len(names) else f"field{number}",
                "response": field.response,
                "low": field.low,
                "high": field.high,
                "passed": field.low <= field.response <= field.high,
            }
            for number, field in enumerate(data["fields"])
        ],
    }


@dataclass(frozen=True, slots=True)
class Spec:
    """One command.

    Attributes:
        doc: what it does, for people.
        wanted: what was asked for, in the words of a refusal; ``{stream}`` … are the client's arguments.
        from_wire: result of the wire to that of the API.
    """

    doc: str
    args: tuple[Argument, ...] = ()
    wanted: str = ""
    from_wire: Result = _plain


COMMANDS: Final[dict[str, Spec]] = {
    "set_rate": Spec(
        "change the rate of a stream; the sensor's nearest is taken",
        (STREAM, RATE),
        "{stream} at {rate_hz} Hz",
        _with_rate,
    ),
    "get_rate": Spec("the rate of a stream", (STREAM,), "{stream}", _with_rate),
    "set_range": Spec(
        "change the full-scale range; the smallest that holds the wanted one is taken",
        (STREAM, FIELD, FULL_SCALE),
        "{field} of {stream} with a full scale of {full_scale}{unit}",
    ),
    "enable_stream": Spec("enable or disable a stream", (STREAM, ENABLED), "{stream}"),
    "set_latency": Spec(
        "bound how long a sample waits on the board for its batch to fill",
        (STREAM, LATENCY),
        "{stream} with a latency of {latency_ms} ms",
        _with_latency,
    ),
    "set_baud": Spec("change the rate of the line, on the board and here", (BAUD,), "{baud} baud"),
    "self_test": Spec(
        "test the sensor of a stream against its datasheet; keep it still", (STREAM,), "{stream}", _self_test
    ),
    "save_configuration": Spec("store rates, ranges, latencies and enabled streams: those of the next boot"),
    "restore_configuration": Spec("take the stored settings, or the defaults, into force", (SOURCE,)),
    "clear_counters": Spec("set the counters of health to zero, but for those of the streams"),
    "acknowledge_fault": Spec("let the board forget the record of a crash", (BOOT_ID,)),
    "ping": Spec("ask for the board's time"),
    "describe": Spec("let the board describe itself and its streams again"),
    "get_health": Spec("let the board send its health now"),
    "reset": Spec("restart the board"),
    "enter_bootloader": Spec("restart the board into its ROM's bootloader, to be flashed"),
}


def to_wire(device: DeviceInfo, name: str, args: Given, now_ns: int) -> WireArgs:
    """Arguments of a command for the wire.

    Args:
        device: the board that gets it.
        name: of the command.
        args: as the client gave them; those that the command does not have are ignored.
        now_ns: monotonic time of the host, for ``ping``.

    Raises:
        CommandError: ``bad_request`` for an unknown command or wrong arguments, ``unknown_stream``.
    """
    spec = COMMANDS.get(name)
    if spec is None:
        raise CommandError("bad_request", f"there is no command {name[:40]!r}; known: {', '.join(COMMANDS)}")
    if name == "ping":
        return {"host_ns": now_ns}
    return dict(argument.wire(device, args) for argument in spec.args)


def result_data(done: CommandDone, device: DeviceInfo, args: Given) -> dict[str, object]:
    """Result or refusal fields of a command that ended, in SI units."""
    if done.ok:
        return COMMANDS[done.name].from_wire(done.data, device, args)
    return dict(limits(done.name, done.status, done.data))


def refusal_text(done: CommandDone, device: DeviceInfo, args: Given) -> str:
    """One line for a human that says why the board refused, with the numbers it gave."""
    if done.status in {"timeout", "bad_answer"}:
        return done.message
    unit = _unit(stream_of(device, args), args) if done.name == "set_range" else ""
    wanted = COMMANDS[done.name].wanted.format(**{**args, "unit": unit and f" {unit}"})
    return explain(done.name, done.status, done.data, wanted=wanted, unit=unit)


def _unit(stream: StreamInfo, args: Given) -> str:
    return next((field.unit for field in stream.fields if field.name == args["field"]), "")
