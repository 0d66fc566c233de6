"""Which rate the simulated board's line has, and when it changes: SPEC.md, "Commands", set_baud."""

from __future__ import annotations

from typing import Final

BAUD_MIN: Final = 115_200
PROOF_NS: Final = 1_000_000_000
SILENCE_NS: Final = 5_000_000_000
NEVER_NS: Final = 1 << 62


class Rate:
    """Steady, waiting for the line to drain, or waiting for a ping at the new rate. Times are the host's."""

    def __init__(self, baud: int) -> None:
        self.baud = self.default = baud
        self.fallbacks = 0
        self.next: int | None = None
        """The rate to switch to once the line has drained."""
        self._before: int | None = None
        self._since_ns = 0
        self._falling = False

    @property
    def steady(self) -> bool:
        """Everything may be sent, and a change asked for."""
        return self.next is None and self._before is None

    def change(self, baud: int) -> None:
        """Another rate is asked for, and that is answered."""
        self.next, self._falling = baud, False

    def heard(self, now_ns: int, *, ping: bool) -> None:
        """A good frame of the host."""
        self._since_ns = now_ns
        if ping:
            self._before = None

    def drained(self, now_ns: int) -> None:
        """The line is silent: switch if that waits."""
        if self.next is not None:
            self._before = None if self._falling else self.baud
            self.baud, self.next, self._since_ns = self.next, None, now_ns
            self.fallbacks += self._falling and self.baud == self.default

    @property
    def due_ns(self) -> int:
        """When :meth:`poll` goes back."""
        if self.next is not None:
            return NEVER_NS
        if self._before is not None:
            return self._since_ns + PROOF_NS
        return NEVER_NS if self.baud == self.default else self._since_ns + SILENCE_NS

    def poll(self, now_ns: int) -> None:
        """Go back where nobody has answered for too long."""
        if now_ns >= self.due_ns:
            self.next, self._falling = self.default if self._before is None else self._before, True
            self._before = None
