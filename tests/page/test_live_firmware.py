"""The page with the real firmware behind it: virtual board, bridge and browser, each a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from page.conftest import ARTIFACTS, watched_page
from page.waiting import until
from system.processes import bridge, virtual_board

SAMPLES = "() => telemetryPage().streams.find((s) => s.stream === 'imu')?.received ?? 0"


@pytest.mark.usefixtures("built_page")
def test_the_curves_of_the_real_firmware_move_in_the_browser(browser: Browser, tmp_path: Path) -> None:
    with (
        virtual_board(tmp_path) as board,
        bridge("run", "--port", board.port) as served,
        watched_page(browser, served.url) as page,
    ):
        until(page, f"() => ({SAMPLES})() >= 3000")
        panels = page.locator(".panel")
        assert panels.count() == 4  # acceleration, angular rate, and two temperatures
        curve = page.locator('.panel[data-stream="imu"][data-unit="m/s^2"] canvas').first
        before = curve.screenshot()
        count = page.evaluate(SAMPLES)
        until(page, f"(count) => ({SAMPLES})() >= count + 500", count)
        assert curve.screenshot() != before

        norm = 0.0
        for axis in "xyz":
            cell = page.locator(f'.panel[data-stream="imu"] tr[data-field="accel_{axis}"] [data-value="rms"]')
            norm += float(cell.inner_text().replace("−", "-")) ** 2
        assert 9.0 < norm**0.5 < 11.0  # a board in a hand feels gravity, and a little more
        assert page.evaluate("telemetryPage().streams.every((s) => s.lost === 0)")
        ARTIFACTS.mkdir(exist_ok=True)
        page.screenshot(path=ARTIFACTS / "live-firmware.png")
