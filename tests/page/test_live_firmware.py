"""The page with the real firmware behind it: virtual board, bridge and browser, each a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from page.conftest import ARTIFACTS, watched_page
from page.test_settings import answer, open_settings
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
        assert panels.count() == 5  # acceleration, angular rate, two temperatures, and the orientation
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


@pytest.mark.usefixtures("built_page")
def test_what_is_set_in_the_browser_is_what_the_real_firmware_does(browser: Browser, tmp_path: Path) -> None:
    with (
        virtual_board(tmp_path, motion="still") as board,
        bridge("run", "--port", board.port) as served,
        watched_page(browser, served.url) as page,
    ):
        until(page, f"() => ({SAMPLES})() >= 500")
        imu = open_settings(page)
        rate, acceleration = imu.get_by_label("Rate in Hz"), imu.get_by_label("Acceleration range")
        rate.fill("8000")
        rate.press("Enter")
        expect(answer(imu, "rate")).to_contain_text("imu at 8000 Hz")
        rate.fill("480")
        rate.press("Enter")
        expect(answer(imu, "rate")).to_have_text("500.0 Hz is the sensor's nearest.")
        acceleration.select_option("±16 g")
        imu.get_by_role("button", name="Self-test").click()
        expect(answer(imu, "self-test")).to_have_text("Passed")
        expect(imu.locator(".self-test tbody tr")).to_have_count(6)

        switch = imu.get_by_role("switch", name="On")
        switch.uncheck()
        expect(page.locator('.panel[data-stream="imu"] .plot-message').first).to_have_text("imu is switched off")
        switch.check()
        count = page.evaluate(SAMPLES)
        until(page, f"(count) => ({SAMPLES})() >= count + 200", count)

        whole = open_settings(page, "the board")
        whole.get_by_role("button", name="Save settings").click()
        expect(answer(whole, "save")).to_contain_text("Saved")
        page.screenshot(path=ARTIFACTS / "live-settings.png", full_page=True)
        page.reload()  # what the page shows now is what the bridge says of the board
        imu = open_settings(page)
        expect(imu.get_by_label("Rate in Hz")).to_have_value("500")
        expect(imu.get_by_label("Acceleration range").locator("option:checked")).to_have_text("±16 g")
        whole = open_settings(page, "the board")
        whole.get_by_role("button", name="Restore defaults…").click()
        whole.get_by_role("button", name="Restore", exact=True).click()
        expect(answer(whole, "restore")).to_have_text("The defaults are in force.")
        expect(imu.get_by_label("Rate in Hz")).to_have_value("1000")
        expect(imu.get_by_label("Acceleration range").locator("option:checked")).not_to_have_text("±16 g")
