"""Keeping virtual time level with real time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

TOLERANCE_S = 0.5
"""Debt that is still made up for silently; more is dropped and reported. A dropped debt is a jump of the board's clock
against everybody else's, so what a busy machine takes for a moment is better made up for."""
REPORT_EVERY_S = 5.0


@dataclass
class Pacer:
    """Absolute deadlines: virtual time t is due at start + t, so an error never adds up.

    When the board is more than `TOLERANCE_S` late, the start moves: the debt is dropped instead of being worked off in
    a rush, which would be a burst no UART can send. Times are seconds.
    """

    now: Callable[[], float]
    report: Callable[[str], None]
    dropped_s: float = 0.0
    """Debt dropped so far."""
    _start: float | None = None
    _reported: float = float("-inf")
    _unreported_s: float = 0.0

    def wait_s(self, virtual_s: float) -> float:
        """How long to wait until `virtual_s` is due; 0 when it is late."""
        now = self.now()
        if self._start is None:
            self._start = now - virtual_s
        ahead = self._start + virtual_s - now
        if ahead < -TOLERANCE_S:
            self._start -= ahead
            self.dropped_s -= ahead
            self._unreported_s -= ahead
            if now - self._reported >= REPORT_EVERY_S:
                self.report(
                    f"cannot hold real time: {self._unreported_s:.2f} s behind, dropped "
                    f"({self.dropped_s:.2f} s in all); samples arrive late but none are lost"
                )
                self._reported = now
                self._unreported_s = 0.0
        return max(0.0, ahead)
