"""Unix time as one process tells it: the host's monotonic clock and one anchor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

LOOKS: Final = 8
"""A look that the system interrupts is milliseconds wide; one of a few is not."""


def anchor_ns(unix_ns: Callable[[], int], monotonic_ns: Callable[[], int]) -> int:
    """Unix time minus monotonic time now, by the narrowest of a few looks at both clocks."""
    narrowest, anchor = -1, 0
    for _ in range(LOOKS):
        before = monotonic_ns()
        unix = unix_ns()
        width = monotonic_ns() - before
        if narrowest < 0 or width < narrowest:
            narrowest, anchor = width, unix - before - width // 2
    return anchor


class UnixClock:
    """Unix time on the axis of one process. A step of the system's clock (NTP, a person) does not move it.

    Everything that the process gives a time has it from here, so that boards that booted before a step, boards that
    booted behind it, and marks lie on one axis.

    Args:
        unix_ns: the system's clock.
        monotonic_ns: the clock that links stamp with.

    Attributes:
        anchor_ns: Unix time minus monotonic time when this was made.
    """

    def __init__(self, unix_ns: Callable[[], int], monotonic_ns: Callable[[], int]) -> None:
        self._unix_ns = unix_ns
        self._monotonic_ns = monotonic_ns
        self.anchor_ns = anchor_ns(unix_ns, monotonic_ns)

    def now_ns(self) -> int:
        """Unix time now, ns."""
        return self._monotonic_ns() + self.anchor_ns

    def step_ns(self) -> int:
        """How far the system's clock has been set forward since, ns; all times of the process are behind by that."""
        return anchor_ns(self._unix_ns, self._monotonic_ns) - self.anchor_ns
