"""The page loses its connection to a real bridge, or comes late, and its curves have no hole."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from page.conftest import watched_page
from page.waiting import until
from system.processes import bridge

IMU = "telemetryPage().streams.find((s) => s.stream === 'imu')"
KEEP_SOCKETS = """
    const Plain = WebSocket;
    window.sockets = [];
    window.WebSocket = class extends Plain { constructor(...how) { super(...how); window.sockets.push(this); } };
"""


@pytest.mark.usefixtures("built_page")
def test_what_was_missed_while_the_connection_was_down_is_filled_in(browser: Browser) -> None:
    with bridge("run", "--port", "sim:") as served, watched_page(browser, served.url) as page:
        page.add_init_script(KEEP_SOCKETS)
        page.reload()
        until(page, f"() => ({IMU}?.received ?? 0) >= 500")
        first = page.evaluate(f"{IMU}.expected - {IMU}.received")
        for connections in (2, 3):
            page.evaluate("window.sockets.at(-1).close()")
            until(page, "(n) => window.sockets.length === n && telemetryPage().connection === 'open'", connections)
            received = page.evaluate(f"{IMU}.received")
            until(page, f"(n) => {IMU}.received >= n + 500", received)
        imu = page.evaluate(IMU)
        assert imu["lost"] == 0
        assert imu["expected"] - imu["received"] == first, "each sample came once"
        assert imu["kept"] == imu["received"], "and the curve breaks nowhere"


@pytest.mark.usefixtures("built_page")
def test_a_page_that_is_opened_late_begins_with_the_recent_past(browser: Browser) -> None:
    with bridge("run", "--port", "sim:") as served, watched_page(browser, served.url) as page:
        until(page, f"() => ({IMU}?.received ?? 0) >= 3000")
        expected = page.evaluate(f"{IMU}.expected")
        page.reload()
        until(page, "(n) => (" + IMU + "?.expected ?? 0) > n", expected)
        imu = page.evaluate(IMU)
        assert imu["received"] > 3000, "what came before it was opened, too"
        assert imu["kept"] == imu["received"]
        assert imu["lost"] == 0
