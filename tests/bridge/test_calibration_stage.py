"""The stage makes calibrated values of nominal ones, keeps the nominal ones, and changes nothing else."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from bridge.calibration_samples import ACCEL, CURVE, DEVICE, GYRO, IMU, calibration, device, stream
from telemetry_bridge.calibration import Calibrations, Calibrator, Store, Triad
from telemetry_bridge.events import Batch, DeviceChanged, EpochStarted, Event, FieldInfo, Gap

TEMPERATURE = ("temperature",)


def batch(values: npt.ArrayLike, name: str = "imu") -> Batch:
    array = np.ascontiguousarray(values, np.float32)
    array.setflags(write=False)
    return Batch(DEVICE, name, 7, 100, 5_000, 2_400_000, 10, array, 3, b"raw", 99)


def through(stage: Calibrator, event: Event) -> list[Event]:
    return list(stage.process(event))


def calibrated(stage: Calibrator, event: Batch) -> npt.NDArray[np.float32]:
    (made,) = through(stage, event)
    assert isinstance(made, Batch)
    return made.values


def started(tmp_path: Path, accel: Triad | None = ACCEL, gyro: Triad | None = GYRO) -> Calibrator:
    store = Store(tmp_path)
    store.save(msgspec.structs.replace(calibration(), accel=accel, gyro=gyro))
    stage = Calibrator(store)
    through(stage, DeviceChanged(device(stream(), stream("imu_temp", TEMPERATURE))))
    return stage


def expected(values: npt.NDArray[np.float64], warmth: float | None = None) -> npt.NDArray[np.float64]:
    """The model, written out."""
    made = np.empty_like(values)
    for rows, triad in ((slice(0, 3), ACCEL), (slice(3, 6), GYRO)):
        bias = np.array(triad.bias)
        if warmth is not None and triad.thermal is not None and triad.temperature_c is not None:
            low, high = triad.thermal.range_c
            rise = min(max(warmth, low), high) - triad.temperature_c
            bias = bias + sum(np.array(c) * rise ** (k + 1) for k, c in enumerate(triad.thermal.coefficients))
        made[rows] = np.array(triad.matrix) @ (values[rows] - bias[:, None])
    return made


VALUES = np.random.default_rng(1).normal(size=(6, 40)) * np.array([[20.0]] * 3 + [[5.0]] * 3)


def test_values_are_calibrated_and_the_rest_of_the_batch_is_as_it_was(tmp_path: Path) -> None:
    given = batch(VALUES)
    (made,) = through(started(tmp_path), given)
    assert isinstance(made, Batch)
    assert made.nominal is given.values
    assert made.values.dtype == np.float32
    assert made.values.flags.c_contiguous
    assert not made.values.flags.writeable
    np.testing.assert_allclose(made.values, expected(VALUES), rtol=0, atol=1e-5)
    assert msgspec.structs.replace(made, values=given.values, nominal=None).raw == given.raw
    for name in ("device", "stream", "epoch", "index", "time_ns", "period_ns", "uncertainty_ns", "generation"):
        assert getattr(made, name) == getattr(given, name)
    assert made.received_ns == given.received_ns


def test_single_precision_costs_less_than_a_hundredth_of_a_count(tmp_path: Path) -> None:
    full = np.random.default_rng(2).uniform(-1, 1, (6, 10_000)) * np.array([[157.0]] * 3 + [[35.0]] * 3)
    nominal = full.astype(np.float32).astype(np.float64)
    error = np.abs(calibrated(started(tmp_path), batch(full)) - expected(nominal)).max(axis=1)
    # 16 bits at +-16 g and +-2000 deg/s
    assert error[:3].max() < 4 * 2**-24 * 157 < 0.01 * 157 / 32768
    assert error[3:].max() < 4 * 2**-24 * 35 < 0.01 * 35 / 32768


def test_the_bias_follows_the_sensors_own_thermometer_as_far_as_it_was_swept(tmp_path: Path) -> None:
    stage = started(tmp_path)
    np.testing.assert_allclose(calibrated(stage, batch(VALUES)), expected(VALUES), atol=1e-5)
    for warmth in (35.0, 12.0, 80.0, -40.0):
        calibrated(stage, batch([[20.0, warmth]], "imu_temp"))
        np.testing.assert_allclose(calibrated(stage, batch(VALUES)), expected(VALUES, warmth), atol=1e-5)
    calibrated(stage, batch([[float("nan")]], "imu_temp"))
    np.testing.assert_allclose(calibrated(stage, batch(VALUES)), expected(VALUES), atol=1e-5)


def test_the_device_says_which_calibration_it_has(tmp_path: Path) -> None:
    stage = started(tmp_path)
    (told,) = through(stage, DeviceChanged(device(stream(), stream("imu_temp", TEMPERATURE))))
    assert isinstance(told, DeviceChanged)
    known = Store(tmp_path).find(DEVICE, "imu", "lsm6dso")
    assert known is not None
    assert [info.calibration for info in told.device.streams] == [known.id, None]


def test_another_part_gets_nothing(tmp_path: Path) -> None:
    stage = started(tmp_path)
    (told,) = through(stage, DeviceChanged(device(stream(sensor="mpu6050"))))
    assert isinstance(told, DeviceChanged)
    assert told.device.streams[0].calibration is None
    given = batch(VALUES)
    assert through(stage, given) == [given]


def test_what_has_no_calibration_passes_untouched(tmp_path: Path) -> None:
    stage = Calibrator(Store(tmp_path))
    events: list[Event] = [
        DeviceChanged(device(stream())),
        EpochStarted(DEVICE, "imu", 7, "1", (FieldInfo("accel_x", "m/s^2"),), 0),
        batch(VALUES),
        Gap(DEVICE, "imu", 7, 140, 3, "wire"),
    ]
    assert [through(stage, event) for event in events] == [[event] for event in events]


def test_a_new_calibration_is_taken_while_running_and_announced_before_its_first_batch(tmp_path: Path) -> None:
    store = Store(tmp_path)
    stage = Calibrator(store)
    through(stage, DeviceChanged(device(stream())))
    saved, _ = Store(tmp_path).save(calibration())
    given = batch(VALUES)
    assert through(stage, given) == [given]
    store.reload()
    stage.reload()
    told, made = through(stage, given)
    assert isinstance(told, DeviceChanged)
    assert told.device.streams[0].calibration == saved.id
    assert isinstance(made, Batch)
    np.testing.assert_allclose(made.values, expected(VALUES), atol=1e-5)
    assert len(through(stage, given)) == 1


def test_a_reload_keeps_the_temperature(tmp_path: Path) -> None:
    stage = started(tmp_path)
    calibrated(stage, batch([[35.0]], "imu_temp"))
    store = Store(tmp_path)
    store.save(calibration(days=1))
    stage._store = store
    stage.reload()
    through(stage, batch([[35.0]], "mcu_temp"))
    np.testing.assert_allclose(calibrated(stage, batch(VALUES)), expected(VALUES, 35.0), atol=1e-5)


def test_an_epoch_with_other_fields_is_calibrated_by_their_names(tmp_path: Path) -> None:
    stage = started(tmp_path, gyro=None)
    fields = ("temperature", *IMU[3:], *IMU[:3])
    through(stage, EpochStarted(DEVICE, "imu", 8, "1", tuple(FieldInfo(name, "") for name in fields), 0))
    values = np.concatenate([np.full((1, 40), 25.0), VALUES[3:], VALUES[:3]])
    made = calibrated(stage, batch(values))
    np.testing.assert_allclose(made[:4], values[:4].astype(np.float32))
    np.testing.assert_allclose(made[4:], expected(VALUES)[:3], atol=1e-5)


def test_a_stream_without_the_fields_keeps_its_values(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = Store(tmp_path)
    store.save(calibration())
    stage = Calibrator(store)
    (told,) = through(stage, DeviceChanged(device(stream(fields=("voltage",)))))
    assert isinstance(told, DeviceChanged)
    assert told.device.streams[0].calibration is None
    assert "other fields" in caplog.text
    given = batch([[1.0]])
    assert through(stage, given) == [given]


def test_a_thermometers_curve_ends_with_its_range(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save(calibration(stream="mcu_temp", sensor="stm32", temperature=CURVE))
    stage = Calibrator(store)
    through(stage, DeviceChanged(device(stream("mcu_temp", TEMPERATURE, "stm32"))))
    made = calibrated(stage, batch([[20.0, 60.0, 70.0, -10.0]], "mcu_temp"))
    at_end = 0.5 + 1.02 * 60 - 1e-4 * 3600
    np.testing.assert_allclose(made[0], [0.5 + 20.4 - 0.04, at_end, at_end + 10, 0.5 - 10], rtol=1e-6)


def test_a_value_that_is_no_number_spoils_its_own_sample_only(tmp_path: Path) -> None:
    values = VALUES.copy()
    values[1, 5] = np.nan
    made = calibrated(started(tmp_path), batch(values))
    good = np.delete(np.arange(40), 5)
    assert not np.isfinite(made[:, 5]).any()
    np.testing.assert_allclose(made[:, good], expected(VALUES)[:, good], atol=1e-5)


def test_full_scale_does_not_matter(tmp_path: Path) -> None:
    """Nominal values are SI at any range, so is what is applied to them."""
    other = msgspec.structs.replace(ACCEL, full_scale=4 * ACCEL.full_scale)
    np.testing.assert_array_equal(
        calibrated(started(tmp_path / "a"), batch(VALUES)),
        calibrated(started(tmp_path / "b", accel=other), batch(VALUES)),
    )


def test_a_file_that_comes_or_goes_is_seen_and_reaches_every_line(tmp_path: Path) -> None:
    watched = Calibrations(Store(tmp_path / "folder"))
    stages = [watched.stage(), watched.stage()]
    for stage in stages:
        through(stage, DeviceChanged(device(stream())))
    given = batch(VALUES)
    watched.look()
    assert [through(stage, given) for stage in stages] == [[given], [given]]
    _, path = Store(tmp_path / "folder").save(calibration())
    watched.look()
    for stage in stages:
        assert [type(event) for event in through(stage, given)] == [DeviceChanged, Batch]
        np.testing.assert_allclose(calibrated(stage, given), expected(VALUES), atol=1e-5)
    watched.look()
    assert len(through(stages[0], given)) == 1
    path.unlink()
    watched.look()
    told, made = through(stages[0], given)
    assert isinstance(told, DeviceChanged)
    assert told.device.streams[0].calibration is None
    assert made is given
