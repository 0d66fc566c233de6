from __future__ import annotations

import time
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from playwright.sync_api import Locator, Page, expect

from page.conftest import ARTIFACTS, OpenPage
from page.fake_bridge import IMU_FIELDS, FakeBridge, Json, device, health, stream
from page.waiting import until

RATE = 1000.0
Samples = npt.NDArray[np.float64]


def panel(page: Page, name: str, unit: str) -> Locator:
    return page.locator(f'.panel[data-stream="{name}"][data-unit="{unit}"]')


def number(page: Page, name: str, field: str, value: str) -> float:
    cell = page.locator(f'.panel[data-stream="{name}"] tr[data-field="{field}"] [data-value="{value}"]')
    return float(cell.inner_text().replace("−", "-"))


def wait_received(page: Page, name: str, count: int) -> None:
    until(
        page,
        "([name, count]) => telemetryPage().streams.find((s) => s.stream === name)?.received === count",
        [name, count],
    )


def wait_number(page: Page, name: str, field: str, value: str, text: str) -> None:
    cell = page.locator(f'.panel[data-stream="{name}"] tr[data-field="{field}"] [data-value="{value}"]')
    expect(cell).to_have_text(text)


def wait_near(page: Page, name: str, field: str, value: str, *, expected: float, tolerance: float) -> None:
    """The view moves on until it holds all that was sent, so the numbers get there."""
    until(
        page,
        """([name, field, value, expected, tolerance]) => {
          const panel = `.panel[data-stream="${name}"]`;
          const cell = document.querySelector(`${panel} tr[data-field="${field}"] [data-value="${value}"]`);
          return Math.abs(Number(cell.textContent.replace('−', '-')) - expected) <= tolerance;
        }""",
        [name, field, value, expected, tolerance],
    )


def state(page: Page, name: str) -> Json:
    streams: list[Json] = page.evaluate("telemetryPage().streams")
    return next(one for one in streams if one["stream"] == name)


def motion(seconds: float) -> Samples:
    """Six axes with known extremes: rotation about x, some vibration."""
    t = np.arange(round(seconds * RATE)) / RATE
    angle = 0.4 * np.sin(2 * np.pi * 0.5 * t)
    shake = 0.2 * np.sin(2 * np.pi * 11 * t)
    return np.stack(
        [
            shake,
            9.80665 * np.sin(angle),
            9.80665 * np.cos(angle),
            0.4 * np.pi * np.cos(2 * np.pi * 0.5 * t),
            0.05 * np.sin(7 * t),
            0.02 * np.cos(3 * t),
        ]
    )


def constant(seconds: float, *values: float) -> Samples:
    return np.repeat(np.array(values)[:, None], round(seconds * RATE), axis=1)


def show_board(bridge: FakeBridge, page: Page, **changes: Any) -> str:
    board = device(**changes)
    bridge.show(board)
    until(page, "() => telemetryPage().streams.length >= 1")
    identity: str = board["id"]
    return identity


def canvas(page: Page, name: str, unit: str) -> str:
    """What is drawn, as a string to compare."""
    drawn: str = panel(page, name, unit).locator("canvas").evaluate("(canvas) => canvas.toDataURL()")
    return drawn


def coloured_columns(page: Page, name: str, unit: str) -> list[bool]:
    """For each pixel column of the plotting area, whether it has the colour of the first series in it."""
    columns: list[bool] = (
        panel(page, name, unit)
        .locator("canvas")
        .evaluate(
            """(canvas) => {
          const over = canvas.parentElement.querySelector('.u-over');
          const scale = canvas.width / canvas.clientWidth;
          const [left, top] = [over.offsetLeft * scale, over.offsetTop * scale].map(Math.round);
          const [width, height] = [over.clientWidth * scale, over.clientHeight * scale].map(Math.round);
          const { data } = canvas.getContext('2d').getImageData(left, top, width, height);
          const probe = document.createElement('canvas').getContext('2d');
          probe.fillStyle = getComputedStyle(document.documentElement).getPropertyValue('--series-x');
          probe.fillRect(0, 0, 1, 1);
          const want = probe.getImageData(0, 0, 1, 1).data;
          const near = (i) => [0, 1, 2].every((k) => Math.abs(data[i + k] - want[k]) < 40);
          return Array.from({ length: width }, (_, x) => {
            for (let y = 0; y < height; y++) if (near(4 * (y * width + x))) return true;
            return false;
          });
        }"""
        )
    )
    return columns


def wait_drawn(page: Page) -> None:
    """Wait until a whole frame was drawn after now."""
    frames = page.evaluate("telemetryPage().frames.frames")
    until(page, "(frames) => telemetryPage().frames.frames > frames + 1", frames)


# ------------------------------------------------------------------ states


def test_without_a_board_the_page_says_what_to_do(open_page: OpenPage) -> None:
    page = open_page()
    expect(page.get_by_role("heading", name="No board yet")).to_be_visible()
    expect(page.get_by_text("telemetry-bridge ports")).to_be_visible()
    expect(page.get_by_role("status").first).to_have_text("Connected")


def test_a_board_is_shown_with_all_it_says_of_itself(bridge: FakeBridge, open_page: OpenPage) -> None:
    page = open_page()
    board = show_board(bridge, page)
    expect(page.get_by_role("heading", name="nucleo_f411re")).to_be_visible()
    expect(page.locator(".badge")).to_have_text("Online")
    for text in (board, "firmware 0.1.0", "serial:/dev/ttyACM0"):
        expect(page.locator(".identity")).to_contain_text(text)
    expect(page.locator("[data-fact=clock] dd")).to_have_text("locked ±84 µs")
    expect(page.locator("[data-fact=cpu]")).to_be_hidden()
    bridge.note(board, "health", health())
    expect(page.locator("[data-fact=cpu] dd")).to_have_text("7.2 %")
    expect(page.locator("[data-fact=supply] dd")).to_have_text("3.29 V")
    expect(page.locator("[data-fact=uptime] dd")).to_have_text("1 h 13 min")
    expect(page.locator("[data-fact=bus-errors]")).to_be_hidden()
    bridge.note(board, "health", health(bus={"nack": 40, "error": 1, "timeout": 0}))
    expect(page.locator("[data-fact=bus-errors] dd")).to_have_text("41")


def test_a_board_that_goes_is_said_to_be_offline(bridge: FakeBridge, open_page: OpenPage) -> None:
    page = open_page()
    show_board(bridge, page)
    bridge.show(device(state="offline"))
    expect(page.locator(".badge")).to_have_text("Offline")
    expect(page.locator(".notice")).to_contain_text("Waiting for it to come back")


def test_a_missing_sensor_is_named_and_the_rest_goes_on(bridge: FakeBridge, open_page: OpenPage) -> None:
    page = open_page()
    board = show_board(bridge, page)
    bridge.note(board, "health", health(streams={"imu": {"state": "missing"}, "mcu_temp": {"state": "streaming"}}))
    bridge.samples(board, "mcu_temp", 0, time.time(), 10.0, [[31.5]])
    expect(panel(page, "imu", "m/s^2").locator(".plot-message")).to_contain_text("mpu6050 does not answer")
    wait_number(page, "mcu_temp", "temperature", "now", "31.50")


def test_an_optional_sensor_has_no_plot_until_it_is_found(bridge: FakeBridge, open_page: OpenPage) -> None:
    page = open_page()
    board = device()
    absent = stream("ext_temp", "", 1.0, board["streams"][1]["fields"], "absent")
    board["streams"].append(absent)
    show_board(bridge, page, streams=board["streams"])
    bridge.samples(board["id"], "mcu_temp", 0, time.time(), 10.0, [[31.5]])
    wait_number(page, "mcu_temp", "temperature", "now", "31.50")
    expect(page.locator(".panel")).to_have_count(4)
    board["streams"][-1] = {**absent, "sensor": "tmp117", "state": "streaming"}
    bridge.show(board)
    expect(page.locator(".panel")).to_have_count(5)


def test_a_warning_of_a_sensor_goes_when_it_streams_again(bridge: FakeBridge, open_page: OpenPage) -> None:
    page = open_page()
    board = show_board(bridge, page)
    bridge.note(board, "log", {"level": "warning", "text": "imu: no answer at 0x68"})
    bridge.note(board, "health", health(streams={"imu": {"state": "missing"}}))
    expect(page.locator(".notice")).to_have_text("imu: no answer at 0x68")
    bridge.note(board, "health", health(streams={"imu": {"state": "streaming"}}))
    expect(page.locator(".notice")).to_be_hidden()


def test_what_is_said_of_a_sensor_stands_on_the_panel_and_not_on_the_curve(
    bridge: FakeBridge, open_page: OpenPage
) -> None:
    page = open_page()
    board = show_board(bridge, page)
    bridge.samples(board, "imu", 0, time.time() - 8, RATE, motion(8.0), batch=200)
    bridge.note(board, "health", health(streams={"imu": {"state": "missing"}}))
    imu = panel(page, "imu", "m/s^2")
    words = imu.get_by_text("mpu6050 does not answer")
    expect(words).to_be_visible()
    background = "(element) => getComputedStyle(element).backgroundColor"
    assert words.evaluate(background) == imu.evaluate(background)
    wait_received(page, "imu", 8000)
    wait_drawn(page)
    page.screenshot(path=ARTIFACTS / "page-missing.png", full_page=True)


def test_the_last_label_of_the_time_axis_has_room(bridge: FakeBridge, open_page: OpenPage) -> None:
    page = open_page()
    show_board(bridge, page)
    room, half_label = (
        panel(page, "imu", "m/s^2")
        .locator("canvas")
        .evaluate(
            """(canvas) => {
          const over = canvas.parentElement.querySelector('.u-over');
          const pen = document.createElement('canvas').getContext('2d');
          pen.font = `11px ${getComputedStyle(document.documentElement).getPropertyValue('--font')}`;
          const room = canvas.clientWidth - over.offsetLeft - over.clientWidth;
          return [room, pen.measureText('20:08:08.888').width / 2];
        }"""
        )
    )
    assert room >= half_label


def test_what_is_lost_is_said_to_count_from_when_the_page_was_opened(bridge: FakeBridge, open_page: OpenPage) -> None:
    page = open_page()
    show_board(bridge, page)
    expect(page.locator("[data-fact=lost]")).to_have_attribute(
        "title", "Samples lost since this page was opened, by cause"
    )


def test_a_clock_that_is_not_known_yet_is_said_so(bridge: FakeBridge, open_page: OpenPage) -> None:
    page = open_page()
    show_board(bridge, page, clock={"state": "unsynced", "offset_ns": None, "drift_ppm": None, "uncertainty_ns": None})
    expect(page.locator("[data-fact=clock] dd")).to_have_text("not synchronised")


# ------------------------------------------------------------------ curves


def test_the_readouts_are_what_was_sent(bridge: FakeBridge, open_page: OpenPage) -> None:
    page = open_page()
    board = show_board(bridge, page)
    values = motion(4.0)
    bridge.samples(board, "imu", 0, time.time() - 4.0, RATE, values)
    wait_received(page, "imu", 4000)
    for row, field in enumerate(field["name"] for field in IMU_FIELDS):
        sent = values[row]
        for key, value in (("min", sent.min()), ("max", sent.max()), ("rms", np.sqrt(np.mean(sent**2)))):
            wait_near(
                page, "imu", field, key, expected=float(value), tolerance=0.011 if field.startswith("accel") else 0.0011
            )


def test_the_newest_value_is_the_last_one_sent(bridge: FakeBridge, open_page: OpenPage) -> None:
    page = open_page()
    board = show_board(bridge, page)
    bridge.samples(board, "imu", 0, time.time() - 1, RATE, constant(1.0, 1.5, -2.25, 9.75, 0.5, -0.25, 0.125))
    for field, text in (("accel_x", "1.50"), ("accel_y", "−2.25"), ("accel_z", "9.75"), ("gyro_z", "0.1250")):
        wait_number(page, "imu", field, "now", text)


def test_the_curves_move(bridge: FakeBridge, open_page: OpenPage) -> None:
    page = open_page()
    board = show_board(bridge, page)
    start, values = time.time() - 6, motion(6.0)
    index = bridge.samples(board, "imu", 0, start, RATE, values[:, :3000])
    wait_received(page, "imu", 3000)
    wait_drawn(page)
    before = canvas(page, "imu", "m/s^2")
    bridge.samples(board, "imu", index, start + 3, RATE, values[:, 3000:])
    wait_received(page, "imu", 6000)
    until(page, "(before) => document.querySelector('.panel canvas').toDataURL() !== before", before)
    assert sum(coloured_columns(page, "imu", "m/s^2")) > 200


def test_a_unit_nobody_has_heard_of_gets_its_plot(bridge: FakeBridge, open_page: OpenPage) -> None:
    page = open_page()
    fields = [{"name": "soil_moisture", "unit": "%VWC"}, {"name": "salinity", "unit": "S/m"}]
    board = show_board(bridge, page, streams=[stream("garden", "probe9", 10.0, fields)])
    bridge.samples(board, "garden", 0, time.time(), 10.0, [[23.5], [0.25]])
    expect(panel(page, "garden", "%VWC").get_by_role("heading")).to_have_text("Soil moisture %VWC")
    wait_number(page, "garden", "soil_moisture", "now", "23.50")
    wait_number(page, "garden", "salinity", "now", "0.2500")


def test_a_gap_is_a_gap_in_the_curve_and_counted_by_cause(bridge: FakeBridge, open_page: OpenPage) -> None:
    page = open_page()
    board = show_board(bridge, page)
    start, values = time.time() - 10, constant(10.0, 1, 2, 3, 4, 5, 6)
    bridge.samples(board, "imu", 0, start, RATE, values[:, :4000])
    bridge.gap(board, "imu", 4000, 2000, "wire")
    bridge.samples(board, "imu", 6000, start + 6, RATE, values[:, 6000:])
    wait_received(page, "imu", 8000)
    wait_drawn(page)
    expect(page.locator("[data-fact=lost] dd")).to_have_text("2\u202f000 (20.0 %) · wire 2\u202f000")
    columns = coloured_columns(page, "imu", "m/s^2")
    drawn = [x for x, coloured in enumerate(columns) if coloured]
    holes = [b - a for a, b in pairwise(drawn) if b - a > 3]
    assert len(holes) == 1
    assert holes[0] == pytest.approx(0.2 * len(columns), rel=0.05)
    assert state(page, "imu")["lostByCause"] == {"wire": 2000}


def test_without_a_gap_the_same_curve_has_no_hole(bridge: FakeBridge, open_page: OpenPage) -> None:
    page = open_page()
    board = show_board(bridge, page)
    bridge.samples(board, "imu", 0, time.time() - 10, RATE, constant(10.0, 1, 2, 3, 4, 5, 6))
    wait_received(page, "imu", 10_000)
    wait_drawn(page)
    drawn = [x for x, coloured in enumerate(coloured_columns(page, "imu", "m/s^2")) if coloured]
    assert max(b - a for a, b in pairwise(drawn)) <= 3


def test_a_new_epoch_goes_on_without_a_loss(bridge: FakeBridge, open_page: OpenPage) -> None:
    page = open_page()
    board = show_board(bridge, page)
    start = time.time() - 3
    bridge.samples(board, "imu", 500, start, RATE, constant(1.0, 1, 1, 1, 1, 1, 1))
    bridge.epoch(board, "imu", 8, IMU_FIELDS)
    bridge.samples(board, "imu", 0, start + 2, RATE, constant(1.0, 3, 1, 1, 1, 1, 1))
    wait_received(page, "imu", 2000)
    assert state(page, "imu")["epoch"] == 8
    assert state(page, "imu")["lostByCause"] == {}
    wait_number(page, "imu", "accel_x", "now", "3.000")


def test_an_epoch_with_other_fields_gets_other_plots(bridge: FakeBridge, open_page: OpenPage) -> None:
    page = open_page()
    board = show_board(bridge, page)
    bridge.samples(board, "imu", 0, time.time(), RATE, constant(0.1, 1, 1, 1, 1, 1, 1))
    fields = [{"name": "field_x", "unit": "T"}]
    bridge.epoch(board, "imu", 8, fields)
    bridge.samples(board, "imu", 0, time.time(), RATE, constant(0.1, 2e-5))
    expect(panel(page, "imu", "T")).to_be_visible()
    expect(panel(page, "imu", "m/s^2")).to_have_count(0)


# ---------------------------------------------------------------- controls


def test_units_switch_to_g_and_degrees_and_back(bridge: FakeBridge, open_page: OpenPage) -> None:
    page = open_page()
    board = show_board(bridge, page)
    bridge.samples(board, "imu", 0, time.time() - 1, RATE, constant(1.0, 0, 0, 9.80665, np.pi, 0, 0))
    wait_number(page, "imu", "accel_z", "now", "9.81")
    page.get_by_label("g, °/s").check()
    wait_number(page, "imu", "accel_z", "now", "1.000")
    wait_number(page, "imu", "gyro_x", "now", "180.0")
    expect(panel(page, "imu", "m/s^2").locator(".unit")).to_have_text("g")
    expect(panel(page, "imu", "rad/s").locator(".unit")).to_have_text("°/s")
    page.get_by_label("SI").check()
    wait_number(page, "imu", "gyro_x", "now", "3.142")


def test_what_was_chosen_is_kept_over_a_reload(open_page: OpenPage) -> None:
    page = open_page()
    page.get_by_label("60 s").check()
    page.get_by_label("g, °/s").check()
    page.reload()
    expect(page.get_by_label("60 s")).to_be_checked()
    expect(page.get_by_label("g, °/s")).to_be_checked()


def test_pause_freezes_the_view_and_nothing_is_missing_after_it(bridge: FakeBridge, open_page: OpenPage) -> None:
    page = open_page()
    board = show_board(bridge, page)
    start = time.time() - 2
    index = bridge.samples(board, "imu", 0, start, RATE, constant(1.0, 1, 0, 0, 0, 0, 0))
    wait_number(page, "imu", "accel_x", "now", "1.000")
    page.keyboard.press("Space")
    expect(page.locator("button.pause")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("button.pause")).to_contain_text("Resume")
    wait_drawn(page)
    before = canvas(page, "imu", "m/s^2")
    bridge.samples(board, "imu", index, start + 1, RATE, constant(1.0, 2, 0, 0, 0, 0, 0))
    wait_received(page, "imu", 2000)
    wait_drawn(page)
    assert canvas(page, "imu", "m/s^2") == before
    assert number(page, "imu", "accel_x", "now") == 1.0
    page.keyboard.press("Space")
    wait_number(page, "imu", "accel_x", "now", "2.000")
    wait_number(page, "imu", "accel_x", "min", "1.000")
    assert state(page, "imu")["kept"] == 2000


def test_a_drag_zooms_and_a_double_click_goes_back(bridge: FakeBridge, open_page: OpenPage) -> None:
    page = open_page()
    board = show_board(bridge, page)
    values = constant(10.0, 1, 0, 0, 0, 0, 0)
    values[0, 5000:] = 3
    bridge.samples(board, "imu", 0, time.time() - 10, RATE, values)
    wait_received(page, "imu", 10_000)
    wait_number(page, "imu", "accel_x", "max", "3.000")
    box = panel(page, "imu", "m/s^2").locator(".u-over").bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.1 * box["width"], middle)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.3 * box["width"], middle, steps=4)
    page.mouse.up()
    expect(page.locator("button.pause")).to_contain_text("zoomed")
    wait_number(page, "imu", "accel_x", "max", "1.000")
    page.mouse.dblclick(box["x"] + 0.5 * box["width"], middle)
    expect(page.locator("button.pause")).to_have_text("Pause")
    wait_number(page, "imu", "accel_x", "max", "3.000")


def test_a_fixed_scale_stays_and_takes_limits(bridge: FakeBridge, open_page: OpenPage) -> None:
    page = open_page()
    board = show_board(bridge, page)
    start = time.time() - 2
    index = bridge.samples(board, "imu", 0, start, RATE, constant(1.0, -1, 0, 1, 0, 0, 0))
    wait_number(page, "imu", "accel_x", "now", "−1.000")
    page.get_by_label("Fixed").check()
    upper = page.get_by_label("Acceleration: upper limit")
    expect(upper).to_have_value("1.5")
    bridge.samples(board, "imu", index, start + 1, RATE, constant(1.0, -100, 0, 1, 0, 0, 0))
    wait_received(page, "imu", 2000)
    wait_drawn(page)
    expect(upper).to_have_value("1.5")
    lower = page.get_by_label("Acceleration: lower limit")
    lower.fill("5")
    lower.press("Enter")
    expect(lower).to_have_attribute("aria-invalid", "true")
    lower.fill("-120")
    lower.press("Enter")
    expect(lower).to_have_attribute("aria-invalid", "false")
    page.get_by_label("g, °/s").check()
    expect(lower).to_have_value("-12.2366")


def test_one_of_several_boards_can_be_chosen(bridge: FakeBridge, open_page: OpenPage) -> None:
    page = open_page()
    show_board(bridge, page)
    expect(page.locator(".devices")).to_be_hidden()
    bridge.show(device("00000000000000000000000b", board="blackpill_f411ce"))
    expect(page.locator(".board")).to_have_count(2)
    page.get_by_role("button", name="blackpill_f411ce").click()
    expect(page.locator(".board")).to_have_count(1)
    expect(page.get_by_role("heading", name="blackpill_f411ce")).to_be_visible()
    page.get_by_role("button", name="All boards").click()
    expect(page.locator(".board")).to_have_count(2)


# -------------------------------------------------------------- connection


@pytest.mark.parametrize("accepts_since", [True, False])
def test_the_page_reconnects_by_itself_and_goes_on(
    bridge: FakeBridge, open_page: OpenPage, *, accepts_since: bool
) -> None:
    bridge.accepts_since = accepts_since
    page = open_page()
    board = show_board(bridge, page)
    start = time.time() - 3
    index = bridge.samples(board, "imu", 0, start, RATE, constant(1.0, 1, 0, 0, 0, 0, 0))
    wait_received(page, "imu", 1000)
    bridge.stop()
    expect(page.locator(".banner")).to_be_visible()
    expect(page.locator(".banner")).to_contain_text("The curves stand still")
    expect(page.locator(".badge")).to_have_text("Not known")
    bridge.requests.clear()
    bridge.start()
    until(page, "() => telemetryPage().connection === 'open'")
    expect(page.locator(".banner")).to_be_hidden()
    bridge.samples(board, "imu", index, start + 2, RATE, constant(1.0, 2, 0, 0, 0, 0, 0))
    wait_number(page, "imu", "accel_x", "now", "2.000")
    assert state(page, "imu")["lostByCause"] == {}
    resumed = [request.get("since") for request in bridge.requests if request["stream"] == "imu"]
    assert resumed[0] == {"epoch": 7, "index": 1000}
    assert len(resumed) == (1 if accepts_since else 2)


def test_after_a_reset_of_the_board_every_stream_goes_on(bridge: FakeBridge, open_page: OpenPage) -> None:
    page = open_page()
    board = show_board(bridge, page)
    names = ["imu", "imu_temp", "mcu_temp"]
    subs = [bridge.sub(board, name) for name in names]
    before: dict[str, npt.ArrayLike] = {
        "imu": constant(0.1, 1, 0, 0, 0, 0, 0),
        "imu_temp": [[20.0]],
        "mcu_temp": [[30.0]],
    }
    start = time.time() - 1
    for name in names:
        bridge.samples(board, name, 0, start, RATE, before[name])
    wait_received(page, "mcu_temp", 1)
    streams = device()["streams"]
    for known in range(len(streams) + 1):  # a board that has started describes its streams one by one
        bridge.show(device(boot_id="00000002", streams=streams[:known]))
        shown = names[: known or len(names)]  # without any, the curves stay
        until(
            page,
            "(names) => telemetryPage().streams.map((s) => s.stream).join() === names.join()",
            shown,
        )
        wait_drawn(page)
    assert [bridge.sub(board, name) for name in names] == subs
    for name, fields in zip(names, (one["fields"] for one in streams), strict=True):
        bridge.epoch(board, name, 8, fields)
    after: dict[str, npt.ArrayLike] = {
        "imu": constant(0.1, 2, 0, 0, 0, 0, 0),
        "imu_temp": [[21.0]],
        "mcu_temp": [[31.0]],
    }
    for name in names:
        bridge.samples(board, name, 0, start + 1, RATE, after[name])
    wait_number(page, "imu", "accel_x", "now", "2.000")
    wait_number(page, "imu_temp", "temperature", "now", "21.00")
    wait_number(page, "mcu_temp", "temperature", "now", "31.00")
    expect(page.locator(".panel")).to_have_count(4)


def test_messages_that_make_no_sense_are_survived(bridge: FakeBridge, open_page: OpenPage) -> None:
    page = open_page()
    board = show_board(bridge, page)
    bridge.sub(board, "imu")
    for message in (
        "",
        "{",
        "[]",
        '{"op":"device"}',
        '{"op":"gap","sub":"x"}',
        '{"op":"new"}',
        b"",
        b"\x01",
        bytes(64),
    ):
        bridge.raw(message)
    bridge.samples(board, "imu", 0, time.time(), RATE, constant(0.1, 1, 2))  # two fields, not six
    bridge.samples(board, "imu", 0, time.time(), RATE, constant(0.1, 4, 0, 0, 0, 0, 0))
    wait_number(page, "imu", "accel_x", "now", "4.000")
    assert state(page, "imu")["misfits"] == 5


def test_what_a_board_says_is_text_and_nothing_else(bridge: FakeBridge, open_page: OpenPage) -> None:
    evil = "<img src=x onerror=\"document.title='owned'\"><b>bold</b>"
    page = open_page()
    fields = [{"name": evil, "unit": evil}, {"name": "__proto__", "unit": "constructor"}]
    board = show_board(
        bridge,
        page,
        board=evil,
        firmware=evil,
        link=evil,
        warning=evil,
        streams=[stream(evil, evil, 10.0, fields), stream("__proto__", "toString", 10.0, fields)],
    )
    bridge.note(board, "log", {"level": "error", "text": evil})
    bridge.samples(board, evil, 0, time.time(), 10.0, [[1.0], [2.0]])
    expect(page.locator(".board h2")).to_have_text(evil)
    expect(page.locator(".notice")).to_have_text(evil)
    wait_received(page, evil, 1)
    assert page.locator("img, b").count() == 0
    assert "owned" not in page.title()


# ------------------------------------------------------------------ looks


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize(("width", "height"), [(1440, 900), (390, 844)])
def test_nothing_is_wider_than_the_window(
    bridge: FakeBridge, open_page: OpenPage, scheme: str, width: int, height: int
) -> None:
    page = open_page(width, height, scheme)
    board = show_board(bridge, page)
    start, values = time.time() - 12, motion(12.0)
    bridge.samples(board, "imu", 0, start, RATE, values[:, :8000], batch=200)
    bridge.gap(board, "imu", 8000, 150, "wire")
    bridge.samples(board, "imu", 8150, start + 8.15, RATE, values[:, 8150:], batch=200)
    slow = np.arange(120) / 10
    for name, base in (("imu_temp", 31.2), ("mcu_temp", 36.5)):
        bridge.samples(board, name, 0, start, 10.0, (base + 0.3 * np.sin(0.4 * slow))[None])
        wait_received(page, name, 120)
    bridge.note(board, "health", health())
    wait_received(page, "imu", 11_850)
    expect(page.locator("[data-fact=cpu]")).to_be_visible()
    wait_drawn(page)
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"page-{width}x{height}-{scheme}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    overflowing: list[str] = page.evaluate(
        """() => [...document.querySelectorAll('.panel, .readout td, .fact dd, button, .segments')]
          .filter((e) => e.offsetParent && e.getBoundingClientRect().right > innerWidth + 0.5)
          .map((e) => e.className)"""
    )
    assert overflowing == []


def test_everything_that_can_be_operated_has_a_name_and_a_place_in_the_tab_order(open_page: OpenPage) -> None:
    page = open_page()
    nameless: list[str] = page.evaluate(
        """() => [...document.querySelectorAll('button:not([hidden]), input')]
          .filter((e) => !(e.textContent.trim() || e.getAttribute('aria-label') || e.labels?.length))
          .map((e) => e.outerHTML)"""
    )
    assert nameless == []
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.name") == "window"
