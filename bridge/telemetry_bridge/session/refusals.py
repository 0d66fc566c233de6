"""Why a board refused a command, in words and in the units of people, for each command as its refusal means it."""

from __future__ import annotations

from typing import Final, NamedTuple

from telemetry_bridge.events import WireData


class _Limit(NamedTuple):
    """What the two numbers of a ``bad_argument`` are: the lowest and the highest value that would do."""

    lowest: str
    highest: str
    key: str
    """What they limit, as the API calls it."""
    per_unit: float
    """Of the wire's unit in the API's."""
    text: str


_LIMITS: Final = {
    "set_rate": _Limit("needed", "available", "rate_hz", 1000, "the sensor can do {low:g} to {high:g} Hz"),
    "set_range": _Limit("lowest", "highest", "full_scale", 1, "full scales go from {low:g} to {high:g}{unit}"),
    "set_latency": _Limit(
        "needed", "available", "latency_ms", 1000, "it can be {low:g} to {high:g} ms, or 0 for the default of the rate"
    ),
    "set_baud": _Limit(
        "needed",
        "available",
        "baud",
        1,
        "the clock of the board makes rates of {low:.0f} to {high:.0f} baud, not each within 1 %",
    ),
}

_UNSUPPORTED: Final = {
    "set_rate": "its rate cannot be changed",
    "set_range": "its range cannot be changed",
    "self_test": "its sensor has no self-test",
    "save_configuration": "this board cannot store settings",
    "restore_configuration": "this board cannot store settings",
    "enter_bootloader": "the ROM of this board does not serve this line; flash through the ST-LINK",
}
_FAILED: Final = {
    "self_test": "the sensor did not run it: is it there, and is this the stream of its samples?",
    "save_configuration": "the flash did not take it",
    "restore_configuration": "what is stored cannot be read, or a sensor did not take the settings",
}
_STATUS: Final = {
    "unknown_command": "the firmware of the board does not know this command",
    "bad_length": "the firmware of the board expects other arguments",
    "bad_argument": "the board does not know this value",
    "unknown_stream": "the board has no such stream",
    "unsupported": "the board cannot do this",
    "busy": "the board is busy with another change; try again",
    "failed": "the sensor did not take it; is it there?",
}


def limits(name: str, status: str, data: WireData) -> dict[str, float]:
    """The numbers of a refusal in the API's names and units; none where the board gave none."""
    limit = _LIMITS.get(name)
    if status == "bad_argument" and limit is not None and limit.lowest in data and limit.highest in data:
        low, high = data[limit.lowest], data[limit.highest]
        if limit.per_unit != 1:
            low, high = low / limit.per_unit, high / limit.per_unit
        return {f"min_{limit.key}": low, f"max_{limit.key}": high}
    if status in {"over_line_budget", "over_bus_budget"} and "needed" in data and "available" in data:
        return {"needed_bit_s": data["needed"], "available_bit_s": data["available"]}
    return {}


def explain(name: str, status: str, data: WireData, *, wanted: str = "", unit: str = "") -> str:
    """One line that says why the board refused, with the numbers it gave.

    Args:
        wanted: what was asked for, e.g. ``imu at 8000 Hz``; else the command's name.
        unit: SI unit of the field that ``set_range`` was about.
    """
    subject = wanted or name
    numbers = list(limits(name, status, data).values())
    match status:
        case "over_line_budget" if numbers and name == "set_baud":
            return f"{subject} would carry {numbers[1]} bit/s; the streams take {numbers[0]}"
        case "over_line_budget" if numbers:
            return f"{subject} would take {numbers[0]} bit/s of the line; there are {numbers[1]} bit/s"
        case "over_bus_budget" if numbers:
            return f"{subject} would take {numbers[0]} bit/s of the sensor bus; there are {numbers[1]} bit/s"
        case "bad_argument" if numbers:
            text = _LIMITS[name].text.format(low=numbers[0], high=numbers[1], unit=unit and f" {unit}")
            return f"{subject} is not possible: {text}"
    own = {"unsupported": _UNSUPPORTED, "failed": _FAILED}.get(status, {})
    return f"{subject}: {own.get(name) or _STATUS.get(status) or f'the board refused: {status}'}"
