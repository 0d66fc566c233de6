"""Commands on their way: one end for each, repeats where the answer does not come."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from telemetry_bridge.errors import CommandError
from telemetry_bridge.events import WireArgs, WireData
from telemetry_bridge.session.line import Transmitter
from telemetry_bridge.session.refusals import explain
from telemetry_protocol import Refused, messages
from telemetry_protocol.messages import Response

REPEAT_NS: Final = 500_000_000
REPEATS: Final = 3
"""SPEC.md, "Conversation": repeated after 500 ms, three times, with the same request id."""
SLOW: Final = frozenset({"self_test", "save_configuration", "restore_configuration"})
SLOW_REPEAT_NS: Final = 1_600_000_000
"""Those may be answered as late as 1.5 s (SPEC.md, "Commands"). A repeat on its way when the answer comes would do the
work again, so that it waits until the answer must be there; the whole stays below the server's limit of 5 s."""
SLOW_REPEATS: Final = 2
PENDING_MAX: Final = 64
"""Commands that may wait for their answers at once; a further one is refused."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended; becomes :class:`telemetry_bridge.events.CommandDone`."""

    request: int
    name: str
    status: str
    data: WireData
    message: str = ""
    args: WireArgs = field(default_factory=dict)


@dataclass(slots=True)
class _Pending:
    name: str
    payload: bytes
    due_ns: int
    args: WireArgs
    repeats: int = 0

    @property
    def patience_ns(self) -> int:
        """How long to wait for an answer before the command is repeated."""
        return SLOW_REPEAT_NS if self.name in SLOW else REPEAT_NS

    @property
    def repeats_max(self) -> int:
        """How often it is repeated."""
        return SLOW_REPEATS if self.name in SLOW else REPEATS


class Commands:
    """The commands of a session that wait for their answers.

    Request ids run through 1 … 65535 and are never those of a command that still waits.
    """

    def __init__(self, transmitter: Transmitter) -> None:
        self._transmitter = transmitter
        self._pending: dict[int, _Pending] = {}
        self._last_request = 0

    def send(self, name: str, args: WireArgs, now_ns: int) -> int:
        """Send a command and expect its answer; the request id.

        Raises:
            ValueError: no such command, or arguments that do not fit. One line.
            CommandError: ``too_many`` commands wait.
        """
        if len(self._pending) >= PENDING_MAX:
            raise CommandError("too_many", f"{name}: {PENDING_MAX} commands wait for the board already")
        request, payload, _ = self.send_once(name, args)
        pending = self._pending[request] = _Pending(name, payload, now_ns, args)
        pending.due_ns += pending.patience_ns
        return request

    def send_once(self, name: str, args: WireArgs) -> tuple[int, bytes, int]:
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
            return Ended(response.request, pending.name, "bad_answer" if ok else status, {}, data.reason, pending.args)
        message = "" if ok else explain(pending.name, status, data)
        return Ended(response.request, pending.name, status, data, message, pending.args)

    def poll(self, now_ns: int) -> list[Ended]:
        """Repeat what is due; the commands whose answers will not come any more."""
        ended = []
        for request, pending in list(self._pending.items()):
            if now_ns < pending.due_ns:
                continue
            if pending.repeats < pending.repeats_max:
                pending.repeats += 1
                pending.due_ns = now_ns + pending.patience_ns
                self._transmitter.send(messages.Command.TYPE, pending.payload)
            else:
                del self._pending[request]
                seconds = (pending.repeats + 1) * pending.patience_ns / 1e9
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
