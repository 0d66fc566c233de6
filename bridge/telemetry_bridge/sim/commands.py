"""What the simulated board does when it is told to: SPEC.md, "Commands"."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from telemetry_bridge.sim.rate import BAUD_MIN
from telemetry_bridge.sim.sensors import LATENCY_MAX_US, LATENCY_MIN_US, Settings
from telemetry_protocol import Message, Refused, messages

if TYPE_CHECKING:
    from telemetry_bridge.sim.device import SimulatedDevice

BAUD_MAX: Final = 3_000_000
LINE_SHARE: Final = 0.92
"""Of the line that SAMPLES may take."""
RESET_DELAY_NS: Final = 10_000_000
"""From the answer to the reset."""
_SAMPLES_FRAMING: Final = 20
"""Bytes around the samples of a frame: SPEC.md, "What it costs"."""
RANGE_TOLERANCE: Final = 1e-4
"""Of what a range may fall short of what is asked for, and still hold it: the firmware's."""
_U48: Final = (1 << 48) - 1
_S: Final = messages.Status

Answer: TypeAlias = tuple[messages.Status, dict[str, object]]
"""Status, and the fields of the result or the refusal."""


class Commands:
    """Carries out the commands for a board, each answered once."""

    def __init__(self, board: SimulatedDevice) -> None:
        self._board = board
        self._handlers: dict[str, Callable[[dict[str, Any], int], Answer]] = {
            "describe": self._describe,
            "get_rate": self._get_rate,
            "set_rate": self._set_rate,
            "get_health": self._get_health,
            "reset": self._reset,
            "set_range": self._set_range,
            "enable_stream": self._enable_stream,
            "set_latency": self._set_latency,
            "set_baud": self._set_baud,
            "self_test": self._self_test,
            "save_configuration": self._save_configuration,
            "restore_configuration": self._restore_configuration,
            "clear_counters": self._clear_counters,
            "acknowledge_fault": self._acknowledge_fault,
            "enter_bootloader": self._enter_bootloader,
        }
        self.stored: list[Settings] | None = None
        """What save_configuration kept; a reset leaves it alone."""

    def carry_out(self, payload: bytes, now_ns: int) -> None:
        """Do what a COMMAND says."""
        command = messages.unpack(messages.Command.TYPE, payload)
        if not isinstance(command, messages.Command):
            return
        name = messages.COMMAND_NAMES.get(command.command)
        if name is None:
            self._answer(command, _S.UNKNOWN_COMMAND, b"", now_ns)
            return
        spec = messages.COMMANDS[name]
        args = spec.unpack_args(command.args)
        if isinstance(args, Refused):
            self._answer(command, _S.BAD_LENGTH, b"", now_ns)
        elif args.get("stream", 0) >= len(self._board.streams):
            self._answer(command, _S.UNKNOWN_STREAM, b"", now_ns)
        elif name == "ping":
            self._ping(command, now_ns)
        else:
            status, fields = self._handlers[name](args, now_ns)
            data = b""
            if fields:
                data = spec.pack_result(**fields) if status == _S.OK else spec.pack_refusal(**fields)
            self._answer(command, status, data, now_ns)

    def _answer(self, command: messages.Command, status: messages.Status, data: bytes, now_ns: int) -> None:
        response = messages.Response(command.request, command.command, status, data)
        self._board.answer(lambda _: response, now_ns)

    def _ping(self, command: messages.Command, now_ns: int) -> None:
        board = self._board
        board.line.rate.heard(now_ns, ping=not board.mute_answers)
        received = command.args[:8] + self._stamp(now_ns)

        def make(start_ns: int) -> Message:
            return messages.Response(command.request, command.command, _S.OK, received + self._stamp(start_ns))

        board.answer(make, now_ns)

    def _stamp(self, now_ns: int) -> bytes:
        return (self._board.device_us(now_ns) & _U48).to_bytes(6, "little")

    # ------------------------------------------------------------ the board

    def _describe(self, _args: dict[str, Any], now_ns: int) -> Answer:
        self._board.describe(now_ns)
        return _S.OK, {}

    def _get_health(self, _args: dict[str, Any], now_ns: int) -> Answer:
        self._board.send_health(now_ns)
        return _S.OK, {}

    def _reset(self, _args: dict[str, Any], now_ns: int) -> Answer:
        self._board.reset_at(now_ns + RESET_DELAY_NS)
        return _S.OK, {}

    def _clear_counters(self, _args: dict[str, Any], _now_ns: int) -> Answer:
        self._board.clear_counters()
        return _S.OK, {}

    def _acknowledge_fault(self, _args: dict[str, Any], _now_ns: int) -> Answer:
        return _S.OK, {}  # there is no record, so that it is forgotten already

    def _enter_bootloader(self, _args: dict[str, Any], _now_ns: int) -> Answer:
        return _S.UNSUPPORTED, {}

    def _set_baud(self, args: dict[str, Any], _now_ns: int) -> Answer:
        line, baud = self._board.line, args["baud"]
        if not BAUD_MIN <= baud <= BAUD_MAX:
            return _S.BAD_ARGUMENT, {"needed": BAUD_MIN, "available": BAUD_MAX}
        if baud != line.baud:
            needed, available = self._needed(self._plan()), int(baud * LINE_SHARE)
            if needed > available:
                return _S.OVER_LINE_BUDGET, {"needed": needed, "available": available}
            if not line.rate.steady:
                return _S.BUSY, {}
            line.rate.change(baud)
        return _S.OK, {"baud": baud}

    # ----------------------------------------------------------- the streams

    def _plan(self) -> list[Settings]:
        return [stream.settings for stream in self._board.streams]

    def _needed(self, plan: list[Settings]) -> int:
        """Bits per second that all streams would take."""
        return int(
            sum(
                10 * wish.rate_mhz / 1000 * (stream.sensor.sample_bytes + _SAMPLES_FRAMING / stream.samples_in(wish))
                for stream, wish in zip(self._board.streams, plan, strict=True)
                if wish.enabled
            )
        )

    def _change(self, number: int, now_ns: int, **changes: Any) -> dict[str, object] | None:
        """Change settings of a stream; the numbers of the refusal if the line has no room for it."""
        plan = self._plan()
        plan[number] = replace(plan[number], **changes)
        needed, available = self._needed(plan), int(self._board.line.baud * LINE_SHARE)
        if needed > available and needed > self._needed(self._plan()):
            return {"needed": needed, "available": available}
        self._board.change(self._board.streams[number], plan[number], now_ns)
        return None

    def _get_rate(self, args: dict[str, Any], _now_ns: int) -> Answer:
        return _S.OK, {"rate_mhz": self._board.streams[args["stream"]].settings.rate_mhz}

    def _set_rate(self, args: dict[str, Any], now_ns: int) -> Answer:
        number, rate_mhz = args["stream"], args["rate_mhz"]
        stream = self._board.streams[number]
        low, high = (round(rate * 1000) for rate in stream.sensor.rates_hz)
        if not low <= rate_mhz <= high:
            return _S.BAD_ARGUMENT, {"needed": low, "available": high}
        refusal = self._change(number, now_ns, rate_mhz=rate_mhz)
        if refusal is not None:
            return _S.OVER_LINE_BUDGET, refusal
        return _S.OK, {"rate_mhz": rate_mhz, "generation": stream.generation}

    def _set_range(self, args: dict[str, Any], now_ns: int) -> Answer:
        number, field = args["stream"], args["field"]
        stream = self._board.streams[number]
        if field >= len(stream.sensor.fields):
            return _S.BAD_ARGUMENT, {}
        ranges = stream.sensor.ranges[field]
        if not ranges:
            return _S.UNSUPPORTED, {}
        wanted = args["full_scale"] * (1 - RANGE_TOLERANCE)
        if not 0 < wanted <= ranges[-1]:
            return _S.BAD_ARGUMENT, {"lowest": ranges[0], "highest": ranges[-1]}
        full_scale = next(one for one in ranges if wanted <= one)
        scales = tuple(
            full_scale if shared is ranges else before
            for shared, before in zip(stream.sensor.ranges, stream.settings.full_scales, strict=True)
        )
        self._change(number, now_ns, full_scales=scales)
        return _S.OK, {"full_scale": full_scale, "generation": stream.generation}

    def _enable_stream(self, args: dict[str, Any], now_ns: int) -> Answer:
        if args["enabled"] > 1:
            return _S.BAD_ARGUMENT, {}
        refusal = self._change(args["stream"], now_ns, enabled=bool(args["enabled"]))
        return (_S.OK, {}) if refusal is None else (_S.OVER_LINE_BUDGET, refusal)

    def _set_latency(self, args: dict[str, Any], now_ns: int) -> Answer:
        number, latency_us = args["stream"], args["latency_us"]
        if latency_us and not LATENCY_MIN_US <= latency_us <= LATENCY_MAX_US:
            return _S.BAD_ARGUMENT, {"needed": LATENCY_MIN_US, "available": LATENCY_MAX_US}
        refusal = self._change(number, now_ns, wanted_latency_us=latency_us)
        if refusal is not None:
            return _S.OVER_LINE_BUDGET, refusal
        return _S.OK, {"latency_us": self._board.streams[number].settings.latency_us}

    def _self_test(self, args: dict[str, Any], _now_ns: int) -> Answer:
        """Passes; unlike a real one it takes no time and interrupts nothing."""
        stream = self._board.streams[args["stream"]]
        if stream.is_missing:
            return _S.FAILED, {}
        limit = stream.sensor.self_test_limit
        if not limit:
            return _S.UNSUPPORTED, {}
        responses = np.random.default_rng((self._board.seed, stream.number)).normal(
            scale=limit / 6, size=len(stream.sensor.fields)
        )
        fields = tuple(
            messages.SelfTestField(float(np.clip(response, -limit, limit)), -limit, limit) for response in responses
        )
        return _S.OK, {"passed": 1, "fields": fields}

    # ------------------------------------------------------- stored settings

    def _save_configuration(self, _args: dict[str, Any], _now_ns: int) -> Answer:
        self.stored = self._plan()
        return _S.OK, {}

    def _restore_configuration(self, args: dict[str, Any], now_ns: int) -> Answer:
        if args["source"] not in set(messages.Configuration):
            return _S.BAD_ARGUMENT, {}
        if args["source"] == messages.Configuration.DEFAULTS:
            self.stored = None
        wanted = self.stored or [stream.sensor.defaults for stream in self._board.streams]
        for stream, settings in zip(self._board.streams, wanted, strict=True):
            self._board.change(stream, settings, now_ns)
        return _S.OK, {}
