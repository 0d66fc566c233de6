"""Commands on their way: one end for each, repeats where the answer does not come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from telemetry_bridge.session.line import Transmitter
from telemetry_protocol import Refused, messages
from telemetry_protocol.messages import Response

REPEAT_NS: Final = 500_000_000
REPEATS: Final = 3
"""SPEC.md, "Conversation": repeated after 500 ms, three times, with the same request id."""
PENDING_MAX: Final = 64
"""Commands that may wait for their answers at once; a further one is refused."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended; becomes :class:`telemetry_bridge.events.CommandDone`."""

    request: int
    name: str
    status: str
    data: Mapping[str, int]
    message: str = ""
    args: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Pending:
    name: str
    payload: bytes
    due_ns: int
    args: Mapping[str, int]
    repeats: int = 0


class Commands:
    """The commands of a session that wait for their answers.

    Request ids run through 1 … 65535 and are never those of a command that still waits.
    """

    def __init__(self, transmitter: Transmitter) -> None:
        self._transmitter = transmitter
        self._pending: dict[int, _Pending] = {}
        self._last_request = 0

    def send(self, name: str, args: Mapping[str, int], now_ns: int) -> int:
        """Send a command and expect its answer; the request id.

        Raises:
            ValueError: no such command, arguments that do not fit, or too many commands waiting. One line.
        """
        if len(self._pending) >= PENDING_MAX:
            raise ValueError(f"{name}: {PENDING_MAX} commands wait for the board already")
        request, payload, _ = self.send_once(name, args)
        self._pending[request] = _Pending(name, payload, now_ns + REPEAT_NS, args)
        return request

    def send_once(self, name: str, args: Mapping[str, int]) -> tuple[int, bytes, int]:
        """Send a command that is not repeated and whose answer :meth:`answered` will not know.

        Returns:
            request id, payload, encoded size of the frame.

        Raises:
            ValueError: no such command, or arguments that do not fit. One line.
        """
        spec = messages.COMMANDS.get(name)
        if spec is None:
            raise ValueError(f"there is no command {name!r}; there are {', '.join(messages.COMMANDS)}")
        packed = spec.pack_args(**args)
        request = self._next_request()
        payload = messages.Command(request, spec.id, packed).pack()
        return request, payload, self._transmitter.send(messages.Command.TYPE, payload)

    def answered(self, response: Response) -> Ended | None:
        """The end of the command that ``response`` answers; None if it answers none that waits."""
        pending = self._pending.get(response.request)
        if pending is None or messages.COMMANDS[pending.name].id != response.command:
            return None
        del self._pending[response.request]
        spec = messages.COMMANDS[pending.name]
        status = messages.Status.label(response.status)
        ok = response.status == messages.Status.OK
        data = spec.unpack_result(response.data) if ok else spec.unpack_refusal(response.data)
        if isinstance(data, Refused):
            return Ended(response.request, pending.name, "bad_answer" if ok else status, {}, data.reason)
        message = "" if ok else _explain(pending.name, status, data)
        return Ended(response.request, pending.name, status, data, message, pending.args)

    def poll(self, now_ns: int) -> list[Ended]:
        """Repeat what is due; the commands whose answers will not come any more."""
        ended = []
        for request, pending in list(self._pending.items()):
            if now_ns < pending.due_ns:
                continue
            if pending.repeats < REPEATS:
                pending.repeats += 1
                pending.due_ns = now_ns + REPEAT_NS
                self._transmitter.send(messages.Command.TYPE, pending.payload)
            else:
                del self._pending[request]
                seconds = (REPEATS + 1) * REPEAT_NS / 1e9
                message = f"{pending.name}: the board gave no answer within {seconds:g} s"
                ended.append(Ended(request, pending.name, "timeout", {}, message))
        return ended

    def abandon(self) -> list[Ended]:
        """The link is gone: everything that waits ends here."""
        ended = [
            Ended(request, pending.name, "timeout", {}, f"{pending.name}: the link was lost before the board answered")
            for request, pending in self._pending.items()
        ]
        self._pending.clear()
        return ended

    def next_ns(self) -> int | None:
        """When :meth:`poll` has something to do; None while nothing waits."""
        return min((pending.due_ns for pending in self._pending.values()), default=None)

    def _next_request(self) -> int:
        while True:
            self._last_request = self._last_request % 0xFFFF + 1
            if self._last_request not in self._pending:
                return self._last_request


def _explain(name: str, status: str, data: Mapping[str, int]) -> str:
    """One line for a human about a refusal, with its numbers."""
    if "needed" in data and "available" in data:
        needed, available = data["needed"], data["available"]
        if status == "over_line_budget":
            return f"{name}: this takes {needed} bit/s, the line carries {available}"
        if status == "over_bus_budget":
            return f"{name}: this takes {needed} bit/s, the sensor bus carries {available}"
        if status == "bad_argument":
            if name == "set_baud":
                return (
                    f"{name}: the clock of the board makes rates of {needed} to {available} baud, not each within 1 %"
                )
            return f"{name}: the rate must be {needed / 1000:g} to {available / 1000:g} Hz"
    return f"{name}: the board refused: {status.replace('_', ' ')}"
