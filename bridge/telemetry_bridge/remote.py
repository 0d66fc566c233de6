"""`telemetry-bridge command`, `release` and `resume`: what a running bridge is told from another terminal."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from telemetry_bridge.client import RunningBridge, Where
from telemetry_bridge.errors import BridgeError
from telemetry_bridge.server.arguments import Argument
from telemetry_bridge.server.commands import COMMANDS

_TRUTH: Final = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def listing() -> str:
    """Every command with its arguments, for people."""
    lines = []
    for name, spec in COMMANDS.items():
        lines.append(" ".join([name, *(f"{argument.name}=…" for argument in spec.args)]))
        lines.append(f"    {spec.doc}")
        lines += [f"    {argument.name:<12} {argument.meaning}" for argument in spec.args]
    return "\n".join(lines)


def read_arguments(name: str, words: Sequence[str]) -> dict[str, object]:
    """``key=value`` … as the API wants them.

    Raises:
        BridgeError: no such command, or arguments that it does not have. One line.
    """
    if name not in COMMANDS:
        raise BridgeError(f"there is no command {name!r}; there are: {', '.join(COMMANDS)} (--list says more)")
    known = {argument.name: argument for argument in COMMANDS[name].args}
    args: dict[str, object] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or key not in known:
            usage = " ".join([name, *(f"{key}=…" for key in known)])
            raise BridgeError(f"{name}: {word!r} is not one of its arguments; usage: {usage}")
        args[key] = _value(known[key], text)
    missing = [argument for argument in known.values() if argument.name not in args]
    if missing:
        raise BridgeError(f"{name}: {missing[0].name}=… is missing: {missing[0].meaning}")
    return args


def _value(argument: Argument, text: str) -> object:
    match argument.kind:
        case "bool":
            return _TRUTH.get(text.lower(), text)  # what is neither the bridge refuses, and says why
        case "number":
            for number in (int, float):
                with contextlib.suppress(ValueError):
                    return number(text)
    return text


def answer_lines(data: Mapping[str, Any]) -> list[str]:
    """The data of a result, for people."""
    lines = []
    for key, value in data.items():
        if isinstance(value, list):
            width = max((len(item["name"]) for item in value), default=0)
            for item in value:
                verdict = "passed" if item["passed"] else "FAILED"
                limits = f"{_text(item['low'])} to {_text(item['high'])}"
                lines.append(f"  {item['name']:<{width}}  {_text(item['response']):>10}  ({limits})  {verdict}")
        else:
            lines.append(f"{key}: {_text(value)}")
    return lines or ["ok"]


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def command(name: str, words: Sequence[str], *, where: Where, device: str | None, as_json: bool) -> int:
    """`command`: the exit code, 1 also where a self-test did not pass.

    Raises:
        BridgeError: no bridge runs there, or the command never reached a board.
    """
    args = read_arguments(name, words)
    with _find(where) as bridge:
        answer = bridge.command(device, name, args)
    if as_json:
        print(json.dumps(answer), flush=True)
    elif answer["ok"]:
        print("\n".join(answer_lines(answer["data"])), flush=True)
    else:
        print(f"telemetry-bridge: {answer['message']}", file=sys.stderr)
    return 0 if answer["ok"] and answer["data"].get("passed", True) else 1


def tell(what: str, target: str | None, where: Where) -> int:
    """`release` and `resume`.

    Raises:
        BridgeError: no bridge runs there, or it has no such port.
    """
    with _find(where) as bridge:
        ports = bridge.release(target) if what == "release" else bridge.resume(target)
    for port in ports:
        print(f"{what}d {port}", flush=True)
    return 0


def _find(where: Where) -> RunningBridge:
    bridge = RunningBridge.find(where)
    if bridge is None:
        raise BridgeError(
            f"no bridge serves {where.url} (--url names another, --http-port another port): "
            "`telemetry-bridge run --port auto` starts one"
        )
    return bridge
