"""What the bridge makes of a board's values is shown as such: an orientation that turns, a sign for calibration."""

from __future__ import annotations

import math
import time

from playwright.sync_api import expect

from page.conftest import OpenPage
from page.fake_bridge import FakeBridge, device, stream

FIELDS = [{"name": f"q_{part}", "unit": "1"} for part in "wxyz"]


def test_an_orientation_turns_the_drawn_board_and_is_told_in_degrees(bridge: FakeBridge, open_page: OpenPage) -> None:
    board = device()
    board["streams"].append({**stream("orientation", "imufusion", 1000.0, FIELDS), "derived_from": "imu"})
    page = open_page()
    bridge.show(board)
    tile = page.locator(".attitude[data-stream=orientation]")
    expect(tile.locator(".source")).to_have_text("imu · imufusion")
    expect(tile.locator("td")).to_have_text(["–", "–", "–"])
    expect(tile).to_have_attribute("data-known", "false")
    half = math.radians(90 / 2)
    turned = [[math.cos(half)] * 10, [0.0] * 10, [0.0] * 10, [math.sin(half)] * 10]
    bridge.samples(board["id"], "orientation", 0, time.time(), 1000.0, turned)
    expect(tile.locator("td")).to_have_text(["0.0°", "0.0°", "90.0°"])
    expect(tile).to_have_attribute("data-known", "true")
    transform = tile.locator(".body").evaluate("(body) => getComputedStyle(body).transform")
    assert transform.startswith("matrix3d("), transform
    bridge.samples(board["id"], "orientation", 10, time.time(), 1000.0, [[math.nan]] * 4)
    expect(tile.locator("td")).to_have_text(["0.0°", "0.0°", "90.0°"])  # what is not known changes nothing


def test_what_its_source_has_lost_counts_once_and_it_has_nothing_to_set(
    bridge: FakeBridge, open_page: OpenPage
) -> None:
    board = device()
    board["streams"].append({**stream("orientation", "imufusion", 1000.0, FIELDS), "derived_from": "imu"})
    page = open_page()
    bridge.show(board)
    for name, fields in (("imu", 6), ("orientation", 4)):
        bridge.samples(board["id"], name, 0, time.time(), 1000.0, [[1.0] * 10] * fields)
        bridge.gap(board["id"], name, 10, 5, "wire")
        bridge.samples(board["id"], name, 15, time.time(), 1000.0, [[1.0] * 10] * fields)
    expect(page.locator("[data-fact=lost] dd")).to_contain_text("wire 5")
    expect(page.locator(".attitude .disclosure")).to_have_count(0)


def test_a_stream_that_is_calibrated_says_so_and_by_which(bridge: FakeBridge, open_page: OpenPage) -> None:
    board = device()
    page = open_page()
    bridge.show(board)
    sign = page.locator(".panel[data-stream=imu] .calibrated").first
    expect(page.locator(".panel[data-stream=imu]").first).to_be_visible()
    expect(sign).to_be_hidden()
    board["streams"][0]["calibration"] = {"id": "20261122-101500-0badcafe"}
    bridge.show(board)
    expect(sign).to_be_visible()
    expect(sign).to_have_attribute("title", "Values are corrected by calibration 20261122-101500-0badcafe")
