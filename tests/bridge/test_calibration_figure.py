"""The plot is well-formed SVG, and its points are where their values are."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

from telemetry_bridge.calibration.figure import HEIGHT, WIDTH, Series, figure

SVG = "{http://www.w3.org/2000/svg}"


def circles(text: str) -> list[tuple[float, float]]:
    tree = ElementTree.fromstring(text)
    return [(float(one.get("cx", "")), float(one.get("cy", ""))) for one in tree.iter(SVG + "circle")]


@pytest.mark.parametrize("log", [False, True])
def test_points_keep_their_order_and_stay_on_the_paper(log: bool) -> None:
    values = np.array([0.001, 0.1, 10.0, 1000.0])
    places = circles(figure("t", "x", "y", [Series("", values, values)], log_x=log, log_y=log))
    assert len(places) == 4
    assert all(0 < x < WIDTH and 0 < y < HEIGHT for x, y in places)
    across, down = [x for x, _ in places], [y for _, y in places]
    assert across == sorted(across)
    assert down == sorted(down, reverse=True)
    steps = np.diff(across)
    assert bool(np.ptp(steps) < 0.2) is log


def test_what_a_logarithm_cannot_show_is_left_out() -> None:
    values = np.array([-1.0, 0.0, np.nan, 1.0, 2.0])
    assert len(circles(figure("t", "x", "y", [Series("", np.arange(5.0), values)], log_y=True))) == 2


@pytest.mark.parametrize("values", [np.zeros(0), np.zeros(3), np.full(2, 7.0), np.array([-5.0])])
def test_odd_data_makes_a_plot_all_the_same(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
    for log in (False, True):
        ElementTree.fromstring(figure("t", "x", "y", [Series("a", values, values, "line")], log_x=log, log_y=log))


def test_names_are_text_and_no_markup() -> None:
    text = figure("<b> & more", "x", "y", [Series("a<b", np.ones(1), np.ones(1))])
    tree = ElementTree.fromstring(text)
    assert [one.text for one in tree.iter(SVG + "text")].count("<b> & more") == 1
