"""Unix time of the host's monotonic zero."""

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
