"""What can be set from the page: streams, ranges, rates, self-tests, stored settings, and what boards answer."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from page.conftest import ARTIFACTS, OpenPage
from page.fake_bridge import GRAVITY, IMU_FIELDS, FakeBridge, Json, device, health, stream
from page.waiting import until

FAULT = {"boot_id": "0000abcd", "device_time_s": 12.5, "cause": "HardFault", "pc": "0x0800c1a2", "lr": "0x0800c0ff"}
REFUSED = "imu at 8000 Hz would take 1012000 bit/s of the line; there are 921600 bit/s"


def ok(**data: Any) -> Json:
    return {"ok": True, "data": data}


def refused(message: str, code: str = "over_line_budget") -> Json:
    return {"ok": False, "code": code, "message": message, "data": {}}


def show(bridge: FakeBridge, page: Page, **changes: Any) -> Json:
    board = device(**changes)
    bridge.show(board)
    until(page, "() => telemetryPage().streams.length >= 1")
    return board


def with_imu(**changes: Any) -> list[Json]:
    """The streams of a board whose `imu` has other values."""
    streams: list[Json] = device()["streams"]
    return [{**streams[0], **changes}, *streams[1:]]


def open_settings(page: Page, of: str = "imu") -> Locator:
    toggle = page.get_by_role("button", name=f"Settings of {of}", exact=True)
    toggle.click()
    expect(toggle).to_have_attribute("aria-expanded", "true")
    return page.get_by_role("group", name=f"Settings of {of}", exact=True)


def answer(settings: Locator, kind: str) -> Locator:
    """The sentence next to a control."""
    return settings.locator(f"[data-setting={kind}] .answer")


def self_test(*, passed: bool) -> Json:
    fields = []
    for number, field in enumerate(IMU_FIELDS):
        good = passed or number != 1
        fields.append(
            {"name": field["name"], "response": 3.25 if good else 27.5, "low": -14, "high": 14, "passed": good}
        )
    return ok(passed=passed, fields=fields)


# ------------------------------------------------------------------ streams


def test_settings_are_out_of_sight_until_asked_for_and_belong_to_a_stream(
    bridge: FakeBridge, open_page: OpenPage
) -> None:
    page = open_page()
    show(bridge, page)
    expect(page.locator(".setting:visible")).to_have_count(0)
    expect(page.locator(".panel .disclosure")).to_have_count(3)  # one a stream; the IMU has two panels
    settings = open_settings(page)
    expect(settings.get_by_label("Rate in Hz")).to_have_value("1000")
    expect(settings.get_by_label("Acceleration range").locator("option:checked")).to_have_text("±4 g")
    expect(settings.get_by_label("Angular rate range").locator("option:checked")).to_have_text("±500 °/s")
    expect(settings.get_by_role("switch", name="On")).to_be_checked()
    page.get_by_role("button", name="Settings of imu", exact=True).click()
    expect(settings).to_be_hidden()


def test_a_rate_is_sent_and_the_nearest_that_the_sensor_has_is_said(bridge: FakeBridge, open_page: OpenPage) -> None:
    page = open_page()
    show(bridge, page)
    settings = open_settings(page)
    rate = settings.get_by_label("Rate in Hz")
    bridge.results["set_rate"] = ok(rate_hz=500.0, generation=2)
    rate.fill("480")
    rate.press("Enter")
    expect(answer(settings, "rate")).to_have_text("500.0 Hz is the sensor's nearest.")
    assert bridge.command("set_rate") == {"stream": "imu", "rate_hz": 480}
    expect(rate).to_have_value("500")
    bridge.results["set_rate"] = ok(rate_hz=200.0, generation=3)
    rate.fill("200")
    settings.get_by_role("button", name="Set").click()
    expect(answer(settings, "rate")).to_have_text("")
    assert bridge.command("set_rate") == {"stream": "imu", "rate_hz": 200}


def test_a_refusal_is_said_next_to_its_control_and_what_was_typed_stays(
    bridge: FakeBridge, open_page: OpenPage
) -> None:
    page = open_page()
    show(bridge, page)
    settings = open_settings(page)
    bridge.results["set_rate"] = refused(REFUSED)
    settings.get_by_label("Rate in Hz").fill("8000")
    settings.get_by_label("Rate in Hz").press("Enter")
    expect(answer(settings, "rate")).to_have_text(REFUSED)
    expect(settings.get_by_label("Rate in Hz")).to_have_value("8000")
    settings.get_by_label("Rate in Hz").press("Escape")
    expect(settings.get_by_label("Rate in Hz")).to_have_value("1000")
    expect(answer(settings, "rate")).to_have_text("")


def test_what_another_client_sets_is_shown_but_not_over_what_is_typed(bridge: FakeBridge, open_page: OpenPage) -> None:
    page = open_page()
    show(bridge, page)
    settings = open_settings(page)
    bridge.show(device(streams=with_imu(rate_hz=250.0)))
    expect(settings.get_by_label("Rate in Hz")).to_have_value("250")
    settings.get_by_label("Rate in Hz").fill("77")
    wide = [{**field, "full_scale": 16 * GRAVITY} for field in IMU_FIELDS[:3]] + IMU_FIELDS[3:]
    bridge.show(device(streams=with_imu(rate_hz=125.0, fields=wide)))
    expect(settings.get_by_label("Acceleration range").locator("option:checked")).to_have_text("±16 g")
    expect(settings.get_by_label("Rate in Hz")).to_have_value("77")


def test_a_range_is_chosen_in_g_and_degrees_and_sent_in_si(bridge: FakeBridge, open_page: OpenPage) -> None:
    page = open_page()
    show(bridge, page)
    settings = open_settings(page)
    acceleration, angular_rate = (
        settings.get_by_label("Acceleration range"),
        settings.get_by_label("Angular rate range"),
    )
    assert acceleration.locator("option").all_inner_texts() == ["±2 g", "±4 g", "±8 g", "±16 g"]
    bridge.results["set_range"] = ok(full_scale=16 * GRAVITY, generation=2)
    acceleration.select_option("±16 g")
    sent = bridge.command("set_range")
    assert (sent["stream"], sent["field"], sent["full_scale"]) == ("imu", "accel_x", pytest.approx(16 * GRAVITY))
    bridge.commands.clear()
    bridge.results["set_range"] = ok(full_scale=math.radians(250.14), generation=3)  # the smallest that the part has
    angular_rate.select_option("±125 °/s")
    sent = bridge.command("set_range")
    assert (sent["field"], sent["full_scale"]) == ("gyro_x", pytest.approx(math.radians(125)))
    expect(angular_rate.locator("option:checked")).to_have_text("±250 °/s")
    expect(answer(settings, "range").nth(1)).to_have_text("±250 °/s is the sensor's nearest.")


def test_a_refused_range_goes_back_to_the_one_in_force(bridge: FakeBridge, open_page: OpenPage) -> None:
    page = open_page()
    show(bridge, page)
    settings = open_settings(page)
    bridge.results["set_range"] = refused("accel_x of imu: its range cannot be changed", "unsupported")
    settings.get_by_label("Acceleration range").select_option("±2 g")
    expect(answer(settings, "range").first).to_have_text("accel_x of imu: its range cannot be changed")
    expect(settings.get_by_label("Acceleration range").locator("option:checked")).to_have_text("±4 g")


def test_a_stream_is_switched_off_and_shown_as_such_not_as_missing(bridge: FakeBridge, open_page: OpenPage) -> None:
    page = open_page()
    board = show(bridge, page)
    settings = open_settings(page)
    bridge.results["enable_stream"] = ok()
    settings.get_by_role("switch", name="On").uncheck()
    assert bridge.command("enable_stream") == {"stream": "imu", "enabled": False}
    bridge.show(device(streams=with_imu(enabled=False, state="stopped")))
    imu = page.locator('.panel[data-stream="imu"]')
    expect(imu.first.locator(".plot-message")).to_have_text("imu is switched off")
    expect(imu.first.locator(".rate")).to_have_text("off")
    bridge.note(board["id"], "health", health(streams={"imu": {"state": "missing"}}))
    expect(imu.nth(1).locator(".plot-message")).to_have_text("imu is switched off")
    expect(settings.get_by_role("switch", name="On")).not_to_be_checked()


def test_a_stream_that_may_not_be_switched_on_stays_off(bridge: FakeBridge, open_page: OpenPage) -> None:
    page = open_page()
    show(bridge, page, streams=with_imu(enabled=False, state="stopped"))
    settings = open_settings(page)
    switch = settings.get_by_role("switch", name="On")
    expect(switch).not_to_be_checked()
    bridge.results["enable_stream"] = refused(REFUSED)
    switch.click()
    expect(answer(settings, "enabled")).to_have_text(REFUSED)
    expect(switch).not_to_be_checked()


@pytest.mark.parametrize("passed", [True, False])
def test_a_self_test_shows_each_field_with_its_limits(bridge: FakeBridge, open_page: OpenPage, *, passed: bool) -> None:
    page = open_page()
    show(bridge, page)
    settings = open_settings(page)
    settings.get_by_role("button", name="Self-test").click()
    expect(answer(settings, "self-test")).to_have_text("Testing. Keep the board still.")
    assert bridge.command("self_test") == {"stream": "imu"}
    bridge.say({"op": "result", "id": bridge.commands[-1]["id"], **self_test(passed=passed)})
    expect(answer(settings, "self-test")).to_have_text("Passed" if passed else "Failed")
    rows = settings.locator(".self-test tbody tr")
    expect(rows).to_have_count(6)
    expect(rows.nth(0)).to_have_text("accel_xpass3.3−14.0 … 14.0")
    expect(rows.nth(1)).to_have_text("accel_ypass3.3−14.0 … 14.0" if passed else "accel_yFAIL27.5−14.0 … 14.0")
    settings.get_by_role("button", name="Close").click()
    expect(rows).to_have_count(0)


def test_a_sensor_without_a_self_test_says_so(bridge: FakeBridge, open_page: OpenPage) -> None:
    page = open_page()
    show(bridge, page)
    settings = open_settings(page, "mcu_temp")
    bridge.results["self_test"] = refused("mcu_temp: its sensor has no self-test", "unsupported")
    settings.get_by_role("button", name="Self-test").click()
    expect(answer(settings, "self-test")).to_have_text("mcu_temp: its sensor has no self-test")


def test_a_bridge_that_does_not_state_ranges_and_switches_gets_no_controls_for_them(
    bridge: FakeBridge, open_page: OpenPage
) -> None:
    page = open_page()
    old = stream("imu", "mpu6050", 1000.0, [{"name": field["name"], "unit": field["unit"]} for field in IMU_FIELDS])
    del old["enabled"]
    show(bridge, page, streams=[old])
    settings = open_settings(page)
    expect(settings.get_by_label("Rate in Hz")).to_be_visible()
    expect(settings.locator("select:visible")).to_have_count(0)
    expect(settings.locator("[role=switch]:visible")).to_have_count(0)


def test_settings_stay_open_while_the_board_describes_itself_again(bridge: FakeBridge, open_page: OpenPage) -> None:
    page = open_page()
    show(bridge, page)
    settings = open_settings(page)
    bridge.show(device(streams=with_imu(rate_hz=500.0, epoch=9)))
    expect(settings.get_by_label("Rate in Hz")).to_have_value("500")
    expect(settings).to_be_visible()


def test_keys_belong_to_the_control_that_has_the_focus(bridge: FakeBridge, open_page: OpenPage) -> None:
    page = open_page()
    show(bridge, page)
    toggle = page.get_by_role("button", name="Settings of imu", exact=True)
    toggle.focus()
    page.keyboard.press("Enter")
    settings = page.get_by_role("group", name="Settings of imu", exact=True)
    page.keyboard.press("Tab")
    expect(settings.get_by_role("switch", name="On")).to_be_focused()
    bridge.results["enable_stream"] = ok()
    page.keyboard.press("Space")
    assert bridge.command("enable_stream") == {"stream": "imu", "enabled": False}
    assert not page.evaluate("telemetryPage().paused")
    for _ in range(3):
        page.keyboard.press("Tab")
    expect(settings.get_by_label("Acceleration range")).to_be_focused()


# -------------------------------------------------------------------- board


def test_settings_of_the_board_are_saved(bridge: FakeBridge, open_page: OpenPage) -> None:
    page = open_page()
    show(bridge, page)
    settings = open_settings(page, "the board")
    bridge.results["save_configuration"] = ok()
    settings.get_by_role("button", name="Save settings").click()
    expect(answer(settings, "save")).to_have_text("Saved: the board starts with these settings from now on.")
    bridge.results["save_configuration"] = refused("save_configuration: the flash did not take it", "failed")
    settings.get_by_role("button", name="Save settings").click()
    expect(answer(settings, "save")).to_have_text("save_configuration: the flash did not take it")


def test_defaults_are_restored_only_after_a_question(bridge: FakeBridge, open_page: OpenPage) -> None:
    page = open_page()
    show(bridge, page)
    settings = open_settings(page, "the board")
    bridge.results["restore_configuration"] = ok()
    restore = settings.get_by_role("button", name="Restore defaults…")
    restore.click()
    expect(settings.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Escape")
    expect(restore).to_be_focused()
    assert bridge.commands == []
    restore.click()
    settings.get_by_role("button", name="Restore", exact=True).click()
    expect(answer(settings, "restore")).to_have_text("The defaults are in force.")
    assert bridge.command("restore_configuration") == {"source": "defaults"}


def test_a_fault_is_said_until_it_is_acknowledged(bridge: FakeBridge, open_page: OpenPage) -> None:
    page = open_page()
    board = show(bridge, page)
    notice = page.locator(".fault")
    expect(notice).to_be_hidden()
    bridge.note(board["id"], "fault", FAULT)
    expect(notice).to_contain_text("HardFault at 0x0800c1a2")
    bridge.note(board["id"], "log", {"level": "warning", "text": "imu: no answer at 0x68"})
    expect(notice).to_be_visible()
    bridge.results["acknowledge_fault"] = refused("acknowledge_fault: the board is busy with another change", "busy")
    notice.get_by_role("button", name="Acknowledge").click()
    expect(notice.locator(".answer")).to_have_text("acknowledge_fault: the board is busy with another change")
    bridge.results["acknowledge_fault"] = ok()
    notice.get_by_role("button", name="Acknowledge").click()
    expect(notice).to_be_hidden()
    assert bridge.command("acknowledge_fault") == {"boot_id": "0000abcd"}


def test_a_board_that_another_program_has_says_so_and_takes_no_settings(
    bridge: FakeBridge, open_page: OpenPage
) -> None:
    page = open_page()
    show(bridge, page)
    settings = open_settings(page)
    expect(settings.get_by_label("Rate in Hz")).to_be_enabled()
    bridge.show(device(state="released"))
    expect(page.locator(".badge")).to_have_text("Released")
    expect(page.locator(".notice:visible")).to_contain_text("Another program has serial:/dev/ttyACM0 now")
    expect(page.locator(".notice:visible")).to_contain_text("telemetry-bridge resume")
    expect(settings.get_by_label("Rate in Hz")).to_be_disabled()
    bridge.show(device())
    expect(page.locator(".notice:visible")).to_have_count(0)
    expect(settings.get_by_label("Rate in Hz")).to_be_enabled()


def test_an_answer_that_the_connection_takes_with_it_is_said_to_be_unknown(
    bridge: FakeBridge, open_page: OpenPage
) -> None:
    page = open_page()
    show(bridge, page)
    settings = open_settings(page)
    settings.get_by_role("button", name="Self-test").click()
    bridge.command("self_test")
    bridge.stop()
    expect(answer(settings, "self-test")).to_contain_text("The connection to the bridge was lost")


def test_rare_events_are_shown_only_where_they_happened(bridge: FakeBridge, open_page: OpenPage) -> None:
    page = open_page()
    board = show(bridge, page)
    calm = {"nack": 0, "error": 0, "timeout": 0, "recoveries": 0}
    bridge.note(board["id"], "health", health(bus=calm, uart={"baud_fallbacks": 0}, flash_stall_ms=0.0))
    expect(page.locator("[data-fact=cpu]")).to_be_visible()
    rare = ["bus-errors", "bus-recoveries", "baud-fall-backs", "flash-stall"]
    for fact in rare:
        expect(page.locator(f"[data-fact={fact}]")).to_be_hidden()
    bridge.note(
        board["id"],
        "health",
        health(bus={**calm, "timeout": 2, "recoveries": 3}, uart={"baud_fallbacks": 1}, flash_stall_ms=412.4),
    )
    for fact, text in zip(rare, ["2", "3", "1", "412 ms"], strict=True):
        expect(page.locator(f"[data-fact={fact}] dd")).to_have_text(text)


# -------------------------------------------------------------------- looks


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize(("width", "height"), [(1280, 800), (400, 850)])
def test_open_settings_are_not_wider_than_the_window(
    bridge: FakeBridge, open_page: OpenPage, scheme: str, width: int, height: int
) -> None:
    page = open_page(width, height, scheme)
    streams = with_imu()
    streams[2] |= {"enabled": False, "state": "stopped"}
    board = show(bridge, page, streams=streams)
    t = np.arange(8000) / 1000
    waves = [np.sin(t + phase) for phase in range(6)]
    bridge.samples(board["id"], "imu", 0, time.time() - 8, 1000.0, np.stack(waves), batch=200)
    bridge.note(board["id"], "fault", FAULT)
    imu, chip, whole = open_settings(page), open_settings(page, "mcu_temp"), open_settings(page, "the board")
    bridge.results["set_rate"] = refused(REFUSED)
    imu.get_by_label("Rate in Hz").fill("8000")
    imu.get_by_label("Rate in Hz").press("Enter")
    expect(answer(imu, "rate")).to_have_text(REFUSED)
    bridge.results["self_test"] = self_test(passed=False)
    imu.get_by_role("button", name="Self-test").click()
    expect(imu.locator(".self-test tbody tr")).to_have_count(6)
    whole.get_by_role("button", name="Restore defaults…").click()
    expect(chip.get_by_role("switch", name="On")).not_to_be_checked()
    until(page, "() => telemetryPage().streams[0].received === 8000")
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"settings-{width}-{scheme}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    cut: list[str] = page.evaluate(
        """() => [...document.querySelectorAll('.setting, .setting *')].filter((e) => {
          const panel = e.closest('.panel, .board');
          return e.offsetParent && e.getBoundingClientRect().right > panel.getBoundingClientRect().right + 0.5;
        }).map((e) => e.outerHTML)"""
    )
    assert cut == []
    nameless: list[str] = page.evaluate(
        """() => [...document.querySelectorAll('button, input, select')]
          .filter((e) => !(e.textContent.trim() || e.getAttribute('aria-label') || e.labels?.length))
          .map((e) => e.outerHTML)"""
    )
    assert nameless == []
