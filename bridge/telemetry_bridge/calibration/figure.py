"""A diagram as SVG text: axes, points and lines, linear or logarithmic. No more than a calibration report needs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias
from xml.sax.saxutils import escape

import numpy as np

from telemetry_bridge.calibration.recording import Array

WIDTH, HEIGHT = 760, 440
LEFT, RIGHT, TOP, BOTTOM = 84, 24, 64, 56
COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Okabe and Ito's palette, which colour-blind people can tell apart."""

Style: TypeAlias = Literal["points", "line", "dashes"]


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One set of points.

    Attributes:
        name: for the legend; empty for none.
        colour: number in the palette.
    """

    name: str
    x: Array
    y: Array
    style: Style = "points"
    colour: int = 0


def figure(
    title: str, x_label: str, y_label: str, series: Sequence[Series], *, log_x: bool = False, log_y: bool = False
) -> str:
    """The diagram. On a logarithmic axis what is not positive is left out."""
    shown = [_visible(one, log_x, log_y) for one in series]
    x = _Axis(np.concatenate([one.x for one in shown]), log_x, LEFT, WIDTH - RIGHT)
    y = _Axis(np.concatenate([one.y for one in shown]), log_y, HEIGHT - BOTTOM, TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        'font-size="12" fill="#222">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{LEFT}" y="24" font-size="15" font-weight="bold">{escape(title)}</text>',
    ]
    for value, text in x.ticks():
        place = x.place(value)
        parts.append(f'<path d="M{place:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#ddd"/>')
        parts.append(f'<text x="{place:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{text}</text>')
    for value, text in y.ticks():
        place = y.place(value)
        parts.append(f'<path d="M{LEFT} {place:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{place + 4:.1f}" text-anchor="end">{text}</text>')
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts += [
        f'<rect x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - RIGHT}" height="{HEIGHT - TOP - BOTTOM}" fill="none" '
        'stroke="#888"/>',
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 14}" text-anchor="middle">{escape(x_label)}</text>',
        f'<text transform="translate(18 {middle}) rotate(-90)" text-anchor="middle">{escape(y_label)}</text>',
    ]
    parts += [_drawn(one, x.place, y.place) for one in shown]
    parts += _legend(series)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _visible(one: Series, log_x: bool, log_y: bool) -> Series:
    seen = np.isfinite(one.x) & np.isfinite(one.y)
    seen &= (one.x > 0) if log_x else True
    seen &= (one.y > 0) if log_y else True
    return Series(one.name, one.x[seen], one.y[seen], one.style, one.colour)


class _Axis:
    """From values to places on the paper."""

    def __init__(self, values: Array, is_log: bool, start: float, end: float) -> None:
        self._is_log, self._start, self._end = is_log, start, end
        if values.size == 0:
            values = np.ones(1)
        scaled = np.log10(values) if is_log else values
        low, high = float(scaled.min()), float(scaled.max())
        room = 0.06 * (high - low) or (0.5 if is_log else abs(high) / 2 or 1.0)
        self._low, self._high = low - room, high + room

    def place(self, value: float) -> float:
        scaled = math.log10(value) if self._is_log else value
        return self._start + (scaled - self._low) / (self._high - self._low) * (self._end - self._start)

    def ticks(self) -> list[tuple[float, str]]:
        if not self._is_log:
            step = _nice((self._high - self._low) / 6)
            first, last = math.ceil(self._low / step), math.floor(self._high / step)
            values = [number * step for number in range(first, last + 1)]
        else:
            many = self._high - self._low > 2.5
            steps = (1,) if many else (1, 2, 5)
            decades = range(math.floor(self._low), math.ceil(self._high) + 1)
            values = [step * 10.0**decade for decade in decades for step in steps]
            values = [value for value in values if self._low <= math.log10(value) <= self._high]
        return [(value, f"{value:.4g}" if value else "0") for value in values]


def _nice(step: float) -> float:
    """The next larger of 1, 2, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step * 0.999)


def _drawn(one: Series, place_x: Callable[[float], float], place_y: Callable[[float], float]) -> str:
    colour = COLOURS[one.colour % len(COLOURS)]
    places = [(place_x(float(x)), place_y(float(y))) for x, y in zip(one.x, one.y, strict=True)]
    if one.style == "points":
        return "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.2" fill="{colour}"/>' for x, y in places)
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    dashes = ' stroke-dasharray="6 4"' if one.style == "dashes" else ""
    return f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="1.6"{dashes}/>' if places else ""


def _legend(series: Sequence[Series]) -> list[str]:
    parts = []
    right = WIDTH - RIGHT
    for one in reversed([one for one in series if one.name]):
        right -= 22 + 7 * len(one.name)
        colour = COLOURS[one.colour % len(COLOURS)]
        mark = (
            f'<circle cx="{right + 5}" cy="46" r="3.2" fill="{colour}"/>'
            if one.style == "points"
            else f'<path d="M{right - 4} 46h14" stroke="{colour}" stroke-width="1.6"/>'
        )
        parts.append(f'{mark}<text x="{right + 14}" y="50">{escape(one.name)}</text>')
    return parts
