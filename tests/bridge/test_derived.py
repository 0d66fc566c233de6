"""Derived streams: the stage that adds them, and the orientation of an IMU."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Mapping
from importlib.metadata import EntryPoint, EntryPoints
from typing import ClassVar

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry_bridge.derived import DerivedStream, Deriver, deriver, installed
from telemetry_bridge.derived.orientation import STANDARD_GRAVITY, Orientation
from telemetry_bridge.events import (
    Batch,
    ClockInfo,
    DeviceChanged,
    DeviceInfo,
    EpochStarted,
    Event,
    FieldInfo,
    Gap,
    JsonMessage,
    LinkStats,
    StreamInfo,
)

IMU = tuple(
    FieldInfo(f"{kind}_{axis}", unit, span)
    for kind, unit, span in (("accel", "m/s^2", 39.2), ("gyro", "rad/s", math.radians(500)))
    for axis in "xyz"
)
TEMPERATURE = (FieldInfo("temperature", "degC"),)
MS = 1_000_000


class Norm:
    """Length of the acceleration; remembers what it was told."""

    name: ClassVar[str] = "norm"
    maker: ClassVar[str] = "test"
    inputs: ClassVar[tuple[str, ...]] = ("accel_x", "accel_y", "accel_z")
    fields: ClassVar[tuple[FieldInfo, ...]] = (FieldInfo("norm", "m/s^2"),)
    made: ClassVar[list[Norm]] = []

    def __init__(self, full_scale: Mapping[str, float]) -> None:
        self.full_scale = full_scale
        self.calls: list[tuple[float, float]] = []
        self.told: list[Mapping[str, float]] = []
        self.made.append(self)

    def set_ranges(self, full_scale: Mapping[str, float]) -> None:
        self.told.append(full_scale)

    def compute(self, values: npt.NDArray[np.float32], period_s: float, pause_s: float) -> npt.NDArray[np.float32]:
        self.calls.append((period_s, pause_s))
        return np.asarray(np.linalg.norm(values, axis=0, keepdims=True), np.float32)


@pytest.fixture(autouse=True)
def _forget() -> None:
    Norm.made.clear()


def epoch(
    stream: str = "imu", fields: tuple[FieldInfo, ...] = IMU, number: int = 1, next_index: int = 0
) -> EpochStarted:
    return EpochStarted("d", stream, number, "boot", fields, next_index)


def batch(index: int, samples: int, *, time_ns: int | None = None, period_ns: int = MS, stream: str = "imu") -> Batch:
    values = np.arange(6 * samples, dtype=np.float32).reshape(6, samples)
    start = index * MS if time_ns is None else time_ns
    return Batch("d", stream, 1, index, start, period_ns, 500, values, 3, b"raw", 77)


def through(stage: Deriver, *events: Event) -> list[Event]:
    return [made for event in events for made in stage.process(event)]


def device(*streams: tuple[str, tuple[FieldInfo, ...]]) -> DeviceInfo:
    infos = tuple(
        StreamInfo(
            number, name, "mpu6050", fields, 1000.0, 1003.0, 1, 1, 0, "streaming", 10_000, True, calibration="c1"
        )
        for number, (name, fields) in enumerate(streams)
    )
    return DeviceInfo("d", "online", "b", "f", "r", "u", "boot", "por", 921600, "sim:", ClockInfo(), infos, LinkStats())


def test_a_derived_batch_has_index_time_and_uncertainty_of_its_source_and_comes_behind_it() -> None:
    source = batch(5, 3)
    first, derived = through(Deriver([Norm]), epoch(next_index=5), source)[2:]
    assert first is source
    assert isinstance(derived, Batch)
    expected = msgspec.structs.replace(source, stream="norm", values=derived.values, raw=b"")
    assert msgspec.structs.asdict(derived) == msgspec.structs.asdict(expected)
    np.testing.assert_allclose(derived.values[0], np.linalg.norm(source.values[:3], axis=0))
    assert not derived.values.flags.writeable


def test_its_epochs_begin_with_those_of_its_source_and_start_it_anew() -> None:
    stage = Deriver([Norm])
    assert through(stage, epoch(next_index=9)) == [
        epoch(next_index=9),
        EpochStarted("d", "norm", 1, "boot", Norm.fields, 9),
    ]
    through(stage, epoch(number=2))
    assert len(Norm.made) == 2
    assert Norm.made[0].full_scale["accel_x"] == 39.2


def test_it_is_told_a_change_of_range_which_starts_no_epoch() -> None:
    stage = Deriver([Norm])
    wider = tuple(dataclasses.replace(field, full_scale=2 * field.full_scale) for field in IMU)
    through(stage, epoch(), DeviceChanged(device(("imu", IMU))), batch(0, 3), DeviceChanged(device(("imu", wider))))
    through(stage, batch(3, 3), DeviceChanged(device(("imu", wider))), batch(6, 3))
    (norm,) = Norm.made
    assert norm.told == [{field.name: field.full_scale for field in wider}]


def test_it_has_the_gaps_of_its_source_with_their_cause() -> None:
    gap = Gap("d", "imu", 1, 4, 7, "wire", True)
    assert through(Deriver([Norm]), epoch(), gap)[2:] == [gap, dataclasses.replace(gap, stream="norm")]


def test_what_is_not_a_source_passes_as_it_is() -> None:
    stage = Deriver([Norm])
    health = JsonMessage("d", "health", None, {})
    temperature = epoch("imu_temp", TEMPERATURE)
    warm = batch(0, 1, stream="imu_temp")
    assert through(stage, temperature, warm, health) == [temperature, warm, health]


def test_the_device_lists_it_as_derived_and_uncalibrated() -> None:
    (told,) = through(Deriver([Norm]), DeviceChanged(device(("imu", IMU), ("imu_temp", TEMPERATURE), ("imu2", IMU))))
    assert isinstance(told, DeviceChanged)
    assert [(s.name, s.sensor, s.derived_from, s.calibration) for s in told.device.streams] == [
        ("imu", "mpu6050", None, "c1"),
        ("imu_temp", "mpu6050", None, "c1"),
        ("imu2", "mpu6050", None, "c1"),
        ("norm", "test", "imu", None),
        ("imu2.norm", "test", "imu2", None),
    ]
    assert told.device.streams[3].fields == Norm.fields
    assert told.device.streams[3].rate_hz == 1000.0


def test_it_is_told_the_period_and_what_is_missing() -> None:
    through(
        Deriver([Norm]),
        epoch(),
        batch(0, 10),
        batch(10, 10),
        batch(25, 10),
        batch(35, 1, time_ns=36 * MS, period_ns=0),
        batch(36, 1, time_ns=40 * MS, period_ns=0),
    )
    calls = Norm.made[0].calls
    expected = [(1e-3, 0.0), (1e-3, 0.0), (1e-3, 5e-3), (2e-3, 0.0), (4e-3, 0.0)]
    np.testing.assert_allclose(calls, expected, atol=1e-9)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 50)), max_size=20))
def test_every_sample_of_the_source_is_a_sample_or_in_a_gap_of_it(pieces: list[tuple[int, int]]) -> None:
    stage = Deriver([Norm])
    events, index = through(stage, epoch()), 0
    for missing, samples in pieces:
        if missing:
            events += through(stage, Gap("d", "imu", 1, index, missing, "device"))
            index += missing
        events += through(stage, batch(index, samples))
        index += samples
    accounted = 0
    for event in events:
        if isinstance(event, Batch | Gap) and event.stream == "norm":
            assert event.index == accounted
            accounted += event.samples if isinstance(event, Batch) else event.count or 0
    assert accounted == index


class Failing(Norm):
    name: ClassVar[str] = "failing"

    def compute(self, values: npt.NDArray[np.float32], period_s: float, pause_s: float) -> npt.NDArray[np.float32]:
        if len(self.calls) == 1:
            return values  # the wrong shape
        return super().compute(values, period_s, pause_s)


def test_one_that_fails_becomes_gaps_says_so_once_and_keeps_nobody_else_from_going_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stage = Deriver([Failing, Norm])
    with caplog.at_level(logging.ERROR):
        events = through(stage, epoch(), batch(0, 10), batch(10, 10), batch(20, 10))
    assert [type(e).__name__ for e in events if getattr(e, "stream", "") == "failing"] == [
        "EpochStarted", "Batch", "Gap", "Gap",
    ]  # fmt: skip
    assert Gap("d", "failing", 1, 10, 10, "host") in events
    assert len([e for e in events if isinstance(e, Batch) and e.stream == "norm"]) == 3
    assert len(caplog.records) == 1
    assert any(isinstance(e, Batch) and e.stream == "failing" for e in through(stage, epoch(number=2), batch(0, 1)))


def test_the_installed_ones_are_found_and_broken_or_unknown_ones_are_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert Orientation in installed()
    assert installed([]) == []
    points = EntryPoints(
        [
            EntryPoint("broken", "no.such.module:Thing", deriver.GROUP),
            EntryPoint("orientation", "telemetry_bridge.derived.orientation:Orientation", deriver.GROUP),
        ]
    )
    monkeypatch.setattr(deriver, "entry_points", lambda group: points.select(group=group))
    assert installed() == [Orientation]
    assert installed(["orientation", "heading"]) == [Orientation]
    assert "broken" in caplog.text
    assert "heading" in caplog.text


# ------------------------------------------------------------------ orientation


def rotate(q: npt.NDArray[np.float64], v: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """v turned by the unit quaternion q = (w, x, y, z)."""
    w, u = q[0], q[1:]
    return np.asarray(v + 2 * w * np.cross(u, v) + 2 * np.cross(u, np.cross(u, v)), np.float64)


def turning(rate_hz: float, seconds: float, omega: npt.NDArray[np.float64], start: npt.NDArray[np.float64]) -> tuple[
    npt.NDArray[np.float32], list[npt.NDArray[np.float64]]
]:  # fmt: skip
    """What an ideal IMU measures that turns with ``omega`` (rad/s, in its own axes), and its true orientation."""
    q, rows, truth = start.astype(float), [], []
    angle = float(np.linalg.norm(omega)) / rate_hz
    axis = omega / np.linalg.norm(omega) if angle else omega
    step = np.array([math.cos(angle / 2), *(math.sin(angle / 2) * axis)])
    for _ in range(int(rate_hz * seconds)):
        w1, x1, y1, z1 = q
        w2, x2, y2, z2 = step
        q = np.array([
            w1 * w2 - x1 * x2 - y1 * y2 - z1 * z2, w1 * x2 + x1 * w2 + y1 * z2 - z1 * y2,
            w1 * y2 - x1 * z2 + y1 * w2 + z1 * x2, w1 * z2 + x1 * y2 - y1 * x2 + z1 * w2,
        ])  # fmt: skip
        up = rotate(q * [1, -1, -1, -1], np.array([0.0, 0.0, STANDARD_GRAVITY]))
        rows.append([*up, *omega])
        truth.append(q)
    return np.array(rows, np.float32).T, truth


def apart_deg(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    return math.degrees(2 * math.acos(min(1.0, abs(float(np.dot(a, b))))))


LEVEL = np.array([1.0, 0.0, 0.0, 0.0])
TILTED = np.array([math.cos(0.4), math.sin(0.4), 0.0, 0.0])  # 45.8 deg about x


def scale() -> dict[str, float]:
    return {field.name: field.full_scale for field in IMU}


@pytest.mark.parametrize("rate_hz", [100.0, 6667.0])
def test_a_tilted_sensor_at_rest_points_up_where_up_is(rate_hz: float) -> None:
    values, truth = turning(rate_hz, 1.0, np.zeros(3), TILTED)
    out = Orientation(scale()).compute(values, 1 / rate_hz, 0.0)
    assert out.shape == (4, values.shape[1])
    np.testing.assert_allclose(np.linalg.norm(out, axis=0), 1.0, atol=1e-5)
    assert apart_deg(out[:, -1].astype(float), truth[-1]) < 0.5
    np.testing.assert_allclose(
        rotate(out[:, -1].astype(float), values[:3, -1].astype(float)), [0, 0, 9.80665], atol=0.1
    )


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_it_follows_a_turn_about_each_axis(axis: int) -> None:
    omega = np.zeros(3)
    omega[axis] = math.radians(60)
    values, truth = turning(1000.0, 4.0, omega, LEVEL)
    out = Orientation(scale()).compute(values, 1e-3, 0.0)
    assert apart_deg(out[:, -1].astype(float), truth[-1]) < 2.0


def test_a_wider_range_lets_it_believe_a_faster_turn() -> None:
    still, _ = turning(1000.0, 4.0, np.zeros(3), LEVEL)
    values, _ = turning(1000.0, 0.5, np.radians([200.0, 0.0, 0.0]), LEVEL)
    values[0] += 3.0  # m/s^2: nothing to take the tilt from
    narrow, wide = Orientation(scale() | {"gyro_x": math.radians(125)}), Orientation(scale())
    narrow.compute(still, 1e-3, 0.0)
    narrow.set_ranges(scale())
    wide.compute(still, 1e-3, 0.0)
    np.testing.assert_array_equal(narrow.compute(values, 1e-3, 0.0), wide.compute(values, 1e-3, 0.0))


def test_in_batches_it_is_the_same_as_at_once() -> None:
    values, _ = turning(1000.0, 1.0, np.array([0.5, 0.2, -0.3]), TILTED)
    whole = Orientation(scale()).compute(values, 1e-3, 0.0)
    cut = Orientation(scale())
    parts = [cut.compute(values[:, k : k + 37], 1e-3, 0.0) for k in range(0, 1000, 37)]
    np.testing.assert_array_equal(np.hstack(parts), whole)


def test_a_short_hole_is_bridged_with_the_angular_rate() -> None:
    values, truth = turning(1000.0, 6.0, np.array([0.0, 0.0, math.radians(90)]), LEVEL)
    filter_ = Orientation(scale())
    filter_.compute(values[:, :5000], 1e-3, 0.0)
    out = filter_.compute(values[:, 5200:], 1e-3, 0.2)
    assert apart_deg(out[:, -1].astype(float), truth[-1]) < 1.0  # 18 deg if the hole were ignored


def test_after_a_long_hole_it_finds_gravity_anew() -> None:
    level, _ = turning(1000.0, 4.0, np.zeros(3), LEVEL)
    tilted, truth = turning(1000.0, 1.0, np.zeros(3), TILTED)
    filter_ = Orientation(scale())
    filter_.compute(level, 1e-3, 0.0)
    out = filter_.compute(tilted, 1e-3, math.inf)
    assert apart_deg(out[:, -1].astype(float), truth[-1]) < 0.5


def test_a_value_that_is_none_makes_that_sample_none_and_harms_no_later_one() -> None:
    values, truth = turning(1000.0, 4.0, np.array([0.0, 0.0, 1.0]), TILTED)
    values[2, 2000:2100] = np.nan
    values[4, 3000] = np.inf
    out = Orientation(scale()).compute(values, 1e-3, 0.0)
    assert np.isnan(out[:, 2000:2100]).all()
    assert np.isnan(out[:, 3000]).all()
    assert np.isfinite(np.delete(out, [*range(2000, 2100), 3000], axis=1)).all()
    assert apart_deg(out[:, -1].astype(float), truth[-1]) < 3.0


def test_the_gyroscope_s_bias_is_learnt_while_the_sensor_lies_still() -> None:
    values, _ = turning(1000.0, 60.0, np.zeros(3), LEVEL)
    values[5] += math.radians(0.5)
    out = Orientation(scale()).compute(values, 1e-3, 0.0)
    heading = np.degrees(2 * np.arctan2(out[3], out[0]))
    late = heading[-1] - heading[-20_000]
    assert abs(late) < 2.0  # 10 deg in these 20 s if nothing were learnt


def test_a_push_does_not_tilt_it() -> None:
    still, truth = turning(1000.0, 6.0, np.zeros(3), LEVEL)
    still[0, 4000:4500] += 5.0  # half a second along x
    out = Orientation(scale()).compute(still, 1e-3, 0.0)
    assert apart_deg(out[:, 4499].astype(float), truth[-1]) < 2.0  # 5 deg and more without rejection


def test_it_fits_the_shape_of_a_derived_stream() -> None:
    kind: type[DerivedStream] = Orientation
    assert len(kind.fields) == 4
