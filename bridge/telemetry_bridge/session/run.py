"""One boot of one board: what all of its streams share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from telemetry_bridge.clock import DeviceClock

_U48: Final = 1 << 48
PLAUSIBLE_US: Final = 2_000_000
"""Device time may differ this much from what the host expects; more, and the board is asked whether it rebooted."""


def widen(low: int, near: int, modulus: int) -> int:
    """The number closest to ``near`` whose low part is ``low``; never negative.

    Raises nothing: ``low`` may be anything from 0 to ``modulus - 1``.
    """
    half = modulus // 2
    value = near + (low - near + half) % modulus - half
    return value if value >= 0 else value + modulus


class DeviceTime:
    """Device time in 64 bits, and where it should be now."""

    def __init__(self, time_us: int, now_ns: int) -> None:
        self._last_us = time_us
        self._last_ns = now_ns

    def widen(self, low: int) -> int:
        """64 bits of a u48 from the wire."""
        return widen(low, self._last_us, _U48)

    def plausible(self, time_us: int, now_ns: int) -> bool:
        """Whether a time that came at ``now_ns`` may belong to the boot that went before."""
        expected = self._last_us + (now_ns - self._last_ns) // 1000
        return -PLAUSIBLE_US < time_us - expected < PLAUSIBLE_US

    def note(self, time_us: int, now_ns: int) -> None:
        """Take ``time_us`` as the time at ``now_ns``."""
        self._last_us = time_us
        self._last_ns = now_ns


@dataclass(slots=True)
class Tally:
    """What the session refused or dropped since the link was opened."""

    refused_type: int = 0
    refused_length: int = 0
    duplicates: int = 0
    held_dropped: int = 0
    unknown_answers: int = 0

    def clear(self) -> None:
        """Begin again at zero."""
        self.refused_type = self.refused_length = self.duplicates = self.held_dropped = self.unknown_answers = 0


@dataclass(slots=True)
class Run:
    """One boot.

    Attributes:
        since_boot: the device was known before, so that what did not come of this boot, from index 0 on, was lost.
        start_mark: the receiver's mark where nothing of this boot was lost before, else -1.
        anchor_ns: Unix time minus the host's monotonic time.
        new_epoch: gives the number of the next epoch.
        changed: something in the device's description has changed.
        described: names of the streams by number.
    """

    device: str
    boot_id: int
    since_boot: bool
    clock: DeviceClock
    time: DeviceTime
    anchor_ns: int
    tally: Tally
    new_epoch: Callable[[], int]
    start_mark: int = -1
    changed: bool = True
    described: dict[int, str] = field(default_factory=dict)

    @property
    def boot(self) -> str:
        """Boot id as subscribers see it."""
        return f"{self.boot_id:08x}"

    def name_stream(self, number: int, name: str) -> str:
        """A name that no other stream of this boot has."""
        wanted = name or f"stream{number}"
        if any(taken == wanted for other, taken in self.described.items() if other != number):
            wanted = f"{wanted}_{number}"
        self.described[number] = wanted
        return wanted
