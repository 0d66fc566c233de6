"""Bounds that exchanges put on the offset of two clocks, and what can be concluded from all of them.

Each exchange says that the offset was at least this at one moment and at most that at another. Over device time these
are points below and above the true curve; a line through the gap between them is a possible offset and drift. Which
points matter are the corners of two convex hulls, so that a few dozen tell as much as the thousands before them.

    offset │  ×    ×   × ×        × at most: answers, late by their delay
           │ ───×────────×──×──
           │ - - - - - - - - - -    the curve, somewhere in the band
           │ ──·───·────────·──
           │ ·   ·    · ·   ·     · at least: commands, early by their delay
           └──────────────────── device time

The least delays of each direction are kept, and each for itself: they need not belong to the same exchange.
L. Zhang, Z. Liu, C. H. Xia, "Clock synchronization algorithms for network measurements", IEEE INFOCOM 2002 (hulls);
S. B. Moon, P. Skelly, D. Towsley, "Estimation and removal of clock skew", IEEE INFOCOM 1999 (lines under points).

Clocks do not drift evenly. If the drift changes by at most ``bend`` per second, an offset ``age`` seconds ago is known
to lie within ``bend / 2 * age**2`` of the straight line: each point is moved away by that much, and so old ones cease
to matter by themselves. Relaxing all points adds a parabola; the hull is one of the points with the parabola of the
time axis taken off, which does not depend on the moment of asking.
"""

from __future__ import annotations

from typing import Final, NamedTuple

CORNERS_MAX: Final = 64
"""Corners kept of each hull. Dropping one only widens the band."""
AGE_MAX_S: Final = 900.0
"""Older points are dropped."""
_FLAT_NS: Final = 5.0
"""A corner that stands out from its neighbours by less is dropped. Points on one line, which the parabola makes corners
all of them, are then half a second to two apart, and the band is wider by some 25 ns at most: stamps are whole us."""
_STEPS: Final = 100
"""More than the corners that a search can pass by."""
_ROUNDING_NS: Final = 0.5


class Bounds(NamedTuple):
    """What the offset can be at a moment after all points, and how fast it can change there."""

    low: float
    """ns"""
    high: float
    slope_low: float
    """ns of offset per second of device time"""
    slope_high: float


class Band:
    """Points below and above a curve, reduced to those that matter. Times in s, offsets in ns."""

    def __init__(self, bend: float) -> None:
        """``bend``: see the attribute."""
        self.bend = bend
        """ns/s^2, the largest that :meth:`solve` may be asked for."""
        self._floor: list[tuple[float, float]] = []
        self._roof: list[tuple[float, float]] = []  # offsets with their sign turned: a floor, too

    def at_least(self, t: float, offset: float) -> None:
        """The offset was no less at ``t``, which is not before any other point's."""
        self._push(self._floor, t, offset)

    def at_most(self, t: float, offset: float) -> None:
        """The offset was no more at ``t``, which is not before any other point's."""
        self._push(self._roof, t, -offset)

    def _push(self, hull: list[tuple[float, float]], t: float, offset: float) -> None:
        """Add at the right end of an upper hull (A. M. Andrew's monotone chain, Inf. Proc. Letters 9, 1979)."""
        half = self.bend / 2
        while hull:
            t1, offset1 = hull[-1]
            if t1 >= t:
                if offset1 >= offset:
                    return
                hull.pop()
                continue
            if len(hull) == 1:
                break
            t0, offset0 = hull[-2]
            # relative to t, so that the numbers stay small
            rise = offset1 - half * (t - t1) ** 2 - (offset0 - half * (t - t0) ** 2)
            onward = offset - (offset1 - half * (t - t1) ** 2)
            if rise * (t - t1) - onward * (t1 - t0) > _FLAT_NS * (t - t0):
                break
            hull.pop()
        hull.append((t, offset))
        if len(hull) > CORNERS_MAX or hull[0][0] < t - AGE_MAX_S:
            del hull[0]

    def allow(self, bend: float) -> None:
        """From now on :meth:`solve` may be asked for another ``bend``."""
        self.bend = bend
        for hull in (self._floor, self._roof):
            points = hull[:]
            hull.clear()
            for t, offset in points:
                self._push(hull, t, offset)

    def forget_oldest(self) -> bool:
        """Drop the oldest corner; False if there are only the newest two of each kind."""
        hulls = [hull for hull in (self._floor, self._roof) if len(hull) > 2]
        if not hulls:
            return False
        del min(hulls, key=lambda hull: hull[0][0])[0]
        return True

    def clear(self) -> None:
        """Forget everything."""
        self._floor.clear()
        self._roof.clear()

    def solve(self, t: float, bend: float, slope_low: float, slope_high: float) -> Bounds | None:
        """Bounds at ``t``, not before any point, over all curves that no point contradicts; None if there is none.

        Args:
            bend: how fast the slope changes at most, ns/s^2.
            slope_low: least slope at ``t`` that is believed, ns/s.
            slope_high: greatest.
        """
        half = bend / 2
        floor = [(t - at, offset - half * (t - at) ** 2) for at, offset in self._floor]
        roof = [(t - at, -offset + half * (t - at) ** 2) for at, offset in self._roof]
        steepest = _edge(floor, roof, slope_high, falling=True)
        if steepest is None:
            return None
        flattest = _edge(floor, roof, slope_low, falling=False)
        if flattest is None:
            return None
        return Bounds(flattest[1], steepest[2], flattest[0], steepest[0])


def _edge(
    floor: list[tuple[float, float]], roof: list[tuple[float, float]], slope: float, *, falling: bool
) -> tuple[float, float, float] | None:
    """The slope nearest to ``slope`` for which there is room between floor and roof, and both at that slope.

    The room is a concave function of the slope, made of straight pieces: Newton's method comes to its edge from outside
    without passing it, one corner after another.
    """
    for _ in range(_STEPS):
        low = high = 0.0
        low_age = high_age = -1.0
        for age, offset in floor:
            value = offset + slope * age
            if low_age < 0 or value > low:
                low, low_age = value, age
        for age, offset in roof:
            value = offset + slope * age
            if high_age < 0 or value < high:
                high, high_age = value, age
        room = high - low
        if room >= -_ROUNDING_NS:
            return slope, low, high
        turn = high_age - low_age
        if (turn >= 0) if falling else (turn <= 0):
            return None
        slope -= room / turn
    return None
