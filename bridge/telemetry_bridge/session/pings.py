"""When to ping, and which pings are on their way."""

from __future__ import annotations

from typing import Final, NamedTuple

FAST_NS: Final = 100_000_000
FAST_FOR_NS: Final = 30_000_000_000
SLOW_NS: Final = 1_000_000_000
LATE_NS: Final = 2_000_000_000
"""A ping that was not answered by then is forgotten."""


class Sent(NamedTuple):
    """A ping on its way."""

    sent_ns: int
    size: int
    """Bytes on the line, delimiter included."""


class Pings:
    """10 Hz for the first 30 s, then 1 Hz: 0.4 % of 921,600 baud, then 0.04 %.

    A ping is never repeated: each is an exchange of its own.
    """

    def __init__(self) -> None:
        self._waiting: dict[int, Sent] = {}
        self._fast_until_ns = 0
        self.due_ns: int | None = None
        """When to send the next one; None while the board is not known."""

    def start(self, now_ns: int) -> None:
        """The board is there, or its clock was upset: learn it quickly."""
        self._waiting.clear()
        self._fast_until_ns = now_ns + FAST_FOR_NS
        self.due_ns = now_ns

    def stop(self) -> None:
        """The board is gone."""
        self._waiting.clear()
        self.due_ns = None

    def sent(self, request: int, size: int, now_ns: int) -> None:
        """A ping went out."""
        for waiting, ping in list(self._waiting.items()):
            if now_ns - ping.sent_ns > LATE_NS:
                del self._waiting[waiting]
        self._waiting[request] = Sent(now_ns, size)
        self.due_ns = now_ns + (FAST_NS if now_ns < self._fast_until_ns else SLOW_NS)

    def answered(self, request: int) -> Sent | None:
        """The ping that ``request`` names, once."""
        return self._waiting.pop(request, None)
