"""Virtual time: one retired instruction is one HCLK cycle; everything else happens at a picosecond.

Picoseconds are exact integers, so time never drifts and a run is the same every time. The core's cycle count is tied to
picoseconds by an anchor that moves whenever HCLK changes.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass

PS_PER_S = 10**12
PS_PER_US = 10**6
_FOREVER = 1 << 200


@dataclass(slots=True)
class Event:
    """Something that happens at a point of virtual time. Ties are served in the order in which they were scheduled."""

    ps: int
    action: Callable[[], None] | None

    def cancel(self) -> None:
        """Let the event pass without doing anything."""
        self.action = None


def _ignore(_cycles: int) -> None:
    """Nothing runs that could be shortened."""


class Timebase:
    """The clock and the event queue of one board."""

    def __init__(self, hclk_hz: int) -> None:
        self.hclk_hz = hclk_hz
        self.cycle = 0
        """HCLK cycles since power-on, sleep included, up to the start of the running slice."""
        self._anchor_ps = 0
        self._anchor_cycle = 0
        self.due_cycle = _FOREVER
        """The first cycle at which an event is due."""
        self._queue: list[tuple[int, int, Event]] = []
        self._order = 0
        self.in_slice: Callable[[], int] | None = None
        """While the core runs: gives the instructions retired since the slice began."""
        self.shorten: Callable[[int], None] = _ignore
        """While the core runs: asks it to stop after so many further instructions (0: after this one)."""

    @property
    def now_cycle(self) -> int:
        """HCLK cycles since power-on, exact to the instruction, also inside a slice."""
        return self.cycle + (self.in_slice() if self.in_slice is not None else 0)

    @property
    def now_ps(self) -> int:
        """Virtual time since power-on in picoseconds."""
        return self._anchor_ps + (self.now_cycle - self._anchor_cycle) * PS_PER_S // self.hclk_hz

    def cycle_at(self, ps: int) -> int:
        """The first cycle that is not before `ps`."""
        return self._anchor_cycle - (-(ps - self._anchor_ps) * self.hclk_hz // PS_PER_S)

    def ps_of(self, cycle: int) -> int:
        """The time at which `cycle` begins, at the present clock."""
        return self._anchor_ps - (-(cycle - self._anchor_cycle) * PS_PER_S // self.hclk_hz)

    def set_hclk(self, hz: int) -> None:
        """Change the core clock from now on."""
        if hz != self.hclk_hz:
            self._anchor_ps, self._anchor_cycle = self.now_ps, self.now_cycle
            self.hclk_hz = hz
            self._plan()
            self.shorten(0)

    def _plan(self) -> None:
        """Find out when the next live event is due."""
        queue = self._queue
        while queue and queue[0][2].action is None:
            heapq.heappop(queue)
        self.due_cycle = self.cycle_at(queue[0][0]) if queue else _FOREVER

    def at(self, ps: int, action: Callable[[], None]) -> Event:
        """Schedule `action` for `ps`; a time that has passed means as soon as possible."""
        self._order += 1
        event = Event(ps, action)
        heapq.heappush(self._queue, (ps, self._order, event))
        due = self.cycle_at(ps)
        if due < self.due_cycle:
            self.due_cycle = due
            if self.in_slice is not None:
                self.shorten(max(0, due - self.now_cycle))
        return event

    def after(self, ps: int, action: Callable[[], None]) -> Event:
        """Schedule `action` for `ps` picoseconds from now."""
        return self.at(self.now_ps + ps, action)

    def run_due(self) -> None:
        """Do everything that is due now, in the order of time."""
        queue = self._queue
        now = self.now_ps
        while queue and queue[0][0] <= now:
            action = heapq.heappop(queue)[2].action
            if action is not None:
                action()
        self._plan()
