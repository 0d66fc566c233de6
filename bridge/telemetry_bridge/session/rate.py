"""Which rate the host's end of the line has: the board's, as far as can be known.

A change that the board has answered is proven by a good frame at the new rate, else both ends go back. Where nothing
good is heard the rates that the board may have take turns: a board falls back to its default when it hears no host for
5 s (SPEC.md, "Commands"), so none is ever lost. Where bytes come and none of them is good, the defaults that a board
can have are among them ("Line").
"""

from __future__ import annotations

from typing import Final

PROOF_NS: Final = 970_000_000
"""The board waits 1 s for a ping, and sends samples again when it is back: the host is there before it. Its second
begins earlier than the host's, by what the answer took; 30 ms are left for that."""
DEFAULTS: Final = (921_600, 115_200)
"""Of a board, and of one whose PLL does not lock."""
HUNT_NS: Final = 1_500_000_000
"""Without a good frame for this long, another rate is tried: HEALTH comes each second."""
GARBAGE_NS: Final = 500_000_000
"""Bytes that come this long after the last good frame, with none behind them, are not of this rate."""


class LineRate:
    """The rate of the host's port, in baud."""

    def __init__(self, home: int, wanted: int | None = None) -> None:
        """Begin at ``home``, the default rate of the board; ``wanted``: what to change to when the board is there."""
        self.baud = home
        self._home = home
        self._wanted = wanted
        self._before: int | None = None  # while a change is not proven: where to go back to
        self._heard_ns = 0
        self._hunted = False
        self._garbage = False
        self._gave_up = False

    def opened(self, now_ns: int) -> None:
        """The port was opened (again), at the rate that it had."""
        self._before = None
        self._heard_ns = now_ns
        self._garbage = False
        self._gave_up = False

    @property
    def to_ask(self) -> int | None:
        """The rate to ask the board for; None when it has that, or has shown that it does not work."""
        return None if self._gave_up or self._before is not None or self._wanted == self.baud else self._wanted

    def refused(self) -> None:
        """The board does not take the wanted rate: not asked again before the port is opened again."""
        self._gave_up = True

    def changed(self, baud: int, now_ns: int) -> None:
        """The board has answered that it switches now."""
        if baud != self.baud:
            self._before, self.baud = self.baud, baud
            self._heard_ns = now_ns

    def noticed(self, now_ns: int) -> None:
        """Bytes have come, good or not. A frame that was cut off right behind a good one is no garbage."""
        if now_ns >= self._heard_ns + GARBAGE_NS:
            self._garbage = True

    def heard(self, now_ns: int) -> bool:
        """A good frame has come. True if it is the first one at a rate that was tried: who is there, and how fast?"""
        self._heard_ns = now_ns
        self._garbage = False
        self._before = None
        found, self._hunted = self._hunted, False
        return found

    def poll(self, now_ns: int) -> int | None:
        """Change the rate if that is due. Returns the rate that did not work, if one was given up."""
        if now_ns < self.next_ns:
            return None
        failed = None
        if self._before is not None:
            failed, self.baud, self._before = self.baud, self._before, None
            self._gave_up = True
        else:
            candidates = self._candidates()
            self.baud = candidates[(candidates.index(self.baud) + 1) % len(candidates)]
        self._hunted = True
        self._heard_ns = now_ns
        return failed

    @property
    def next_ns(self) -> int:
        """When :meth:`poll` has something to do."""
        if self._before is not None:
            return self._heard_ns + PROOF_NS
        return self._heard_ns + (HUNT_NS if len(self._candidates()) > 1 else 1 << 62)

    def _candidates(self) -> list[int]:
        """In the order in which they take turns; behind a wanted rate comes the default."""
        defaults = (self._home, *(DEFAULTS if self._garbage else ()))
        wanted = () if self._wanted is None else (self._wanted,)
        others = () if self.baud in wanted else (self.baud,)
        return list(dict.fromkeys((*defaults, *others, *wanted)))
