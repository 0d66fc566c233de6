"""The drift of the biases with temperature is found, with the order that it has, and applied."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from bridge.calibration_samples import DATE, THERMAL
from bridge.imu_synthesis import DEG, MG, ORIGIN, Array, Imperfect, sweep
from telemetry_bridge import cli
from telemetry_bridge.calibrate.outcome import as_vector
from telemetry_bridge.calibrate.session import Task, calibrate
from telemetry_bridge.calibrate.sweep import SweepGuide
from telemetry_bridge.calibration import Calibration, Store, Thermal, Triad
from telemetry_bridge.calibration.model import IDENTITY
from telemetry_bridge.calibration.poses import PoseFinder
from telemetry_bridge.calibration.recording import Chunk, Recording
from telemetry_bridge.calibration.stage import Correction, bias_at
from telemetry_bridge.calibration.thermal import STRETCH_S, Sweep, fit_curve, fit_sweep, rebased
from telemetry_bridge.errors import CalibrationError

QUIET = Console(quiet=True)


def fitted(given: Recording, first: int, *, levels: bool, reference_c: float = 25.0) -> Sweep:
    finder = PoseFinder(given.origin, STRETCH_S / 2, STRETCH_S)
    for chunk in given.chunks():
        finder.feed(chunk)
    finder.finish()
    return fit_sweep(finder.poses, first, reference_c, levels=levels)


@pytest.mark.parametrize("seed", range(4))
def test_what_is_left_is_below_a_tenth_of_the_drift(seed: int, tmp_path: Path) -> None:
    """Seen where it counts: in what the stage makes of another sweep of the same sensor."""
    sensor = Imperfect.draw(seed)
    store = Store(tmp_path)
    task = Task(lambda base: SweepGuide(ORIGIN, base))
    made = calibrate(task, sweep(sensor, 15.0, 45.0, seed=seed), store, QUIET, QUIET)
    assert made is not None
    other = sweep(sensor, 16.0, 44.0, seed=seed + 50)
    correction = Correction(made, [field.name for field in ORIGIN.fields])
    for first in (0, 3):
        nominal, kept = [], []
        for chunk in other.chunks(4.0):
            correction.warm_to(float(chunk.temperature_c.mean()))
            nominal.append(chunk.values[first : first + 3].mean(axis=1))
            kept.append(correction.apply(chunk.values.astype(np.float32))[first : first + 3].mean(axis=1))
        span = np.ptp(nominal, axis=0).max()
        left = np.std(kept, axis=0).max()
        assert left < 0.1 * span
        assert span > (5 * MG if first == 0 else 0.2 * DEG)


def drifting(orders: int, seed: int) -> Imperfect:
    """A sensor whose drift is a polynomial of this order."""
    thermal = np.zeros((3, 3))
    thermal[:orders] = np.array([[0.5 * MG], [0.02 * MG], [8e-4 * MG]])[:orders] * [1.0, -0.7, 0.4]
    rates = np.zeros((3, 3))
    rates[:orders] = np.array([[0.02 * DEG], [8e-4 * DEG], [4e-5 * DEG]])[:orders] * [0.5, 1.0, -0.8]
    plain = Imperfect.draw(seed)
    return Imperfect(plain.accel_matrix, plain.accel_bias, plain.gyro_matrix, plain.gyro_bias, thermal, rates)


@pytest.mark.parametrize("orders", [1, 2, 3])
@pytest.mark.parametrize(("first", "levels"), [(0, True), (3, False)], ids=["accel", "gyro"])
def test_the_order_is_that_of_the_drift(orders: int, first: int, levels: bool) -> None:
    found = fitted(sweep(drifting(orders, 3), 5.0, 45.0, seed=3), first, levels=levels)
    assert len(found.coefficients) == orders


def test_a_sensor_without_drift_gets_no_polynomial(tmp_path: Path) -> None:
    still = drifting(0, 4)
    assert fitted(sweep(still, 5.0, 45.0, seed=4), 3, levels=False).coefficients.shape == (0, 3)
    with pytest.raises(CalibrationError, match="nothing to compensate"):
        calibrate(
            Task(lambda base: SweepGuide(ORIGIN, base)), sweep(still, 5.0, 45.0, seed=4), Store(tmp_path), QUIET, QUIET
        )


def joined(*parts: Recording) -> Recording:
    """One after the other, without a hole."""
    end, times = 0.0, []
    for one in parts:
        step = one.samples.time_s[1] - one.samples.time_s[0]
        times.append(one.samples.time_s - one.samples.time_s[0] + end)
        end = float(times[-1][-1] + step)
    return Recording(
        ORIGIN,
        Chunk(
            np.concatenate(times),
            np.concatenate([one.samples.values for one in parts], axis=1),
            np.concatenate([one.samples.temperature_c for one in parts]),
        ),
    )


def test_the_board_may_be_moved_in_between() -> None:
    sensor = drifting(2, 5)
    cool, warm = sweep(sensor, 15.0, 28.0, seed=5), sweep(sensor, 28.0, 45.0, seed=6)  # in two directions
    found = fitted(joined(cool, warm), 0, levels=True)
    drift = np.ptp(found.drift, axis=0).max()
    assert np.sqrt(np.mean(found.after**2)) < 0.05 * drift
    np.testing.assert_allclose(found.coefficients[0], sensor.accel_thermal[0], atol=0.05 * MG)


def unknown(given: Recording) -> Recording:
    """Without a thermometer."""
    samples = given.samples
    return Recording(ORIGIN, Chunk(samples.time_s, samples.values, np.full_like(samples.temperature_c, np.nan)))


def rest(seconds: float, low_c: float, high_c: float) -> Recording:
    return sweep(Imperfect.draw(1), low_c, high_c, seed=1, minutes=seconds / 60)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (rest(30, 20.0, 40.0), "too short"),
        (rest(120, 24.0, 26.0), "moved by"),
        (unknown(rest(120, 20.0, 40.0)), "no temperature"),
    ],
    ids=["short", "no warmth", "no thermometer"],
)
def test_what_tells_nothing_about_temperature_is_refused(tmp_path: Path, given: Recording, message: str) -> None:
    with pytest.raises(CalibrationError, match=message):
        calibrate(Task(lambda base: SweepGuide(ORIGIN, base)), given, Store(tmp_path), QUIET, QUIET)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("made_at", "message"), [(None, "without its temperature"), (80.0, "not in this sweep")])
def test_a_calibration_made_elsewhere_is_not_extended(tmp_path: Path, made_at: float | None, message: str) -> None:
    store = Store(tmp_path)
    triad = Triad(
        unit="m/s^2",
        matrix=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
        bias=(0.0, 0.0, 0.0),
        date=DATE,
        method="test",
        residuals=THERMAL.residuals,
        counts={},
        temperature_c=made_at,
    )
    store.save(Calibration(device=ORIGIN.device, stream="imu", sensor="lsm6dso", date=DATE, accel=triad))
    with pytest.raises(CalibrationError, match=message):
        calibrate(Task(lambda base: SweepGuide(ORIGIN, base)), rest(240, 15.0, 45.0), store, QUIET, QUIET)


def test_the_drift_is_the_same_about_another_temperature() -> None:
    def drift(thermal: Thermal, about_c: float, at_c: float) -> Array:
        rows = np.array(thermal.coefficients)
        return np.asarray(rows.T @ np.array([(at_c - about_c) ** (k + 1) for k in range(len(rows))]))

    moved = rebased(THERMAL, 25.0, 37.0)
    for at_c in (10.0, 30.0, 50.0):
        expected = drift(THERMAL, 25.0, at_c) - drift(THERMAL, 25.0, 37.0)
        np.testing.assert_allclose(drift(moved, 37.0, at_c), expected, atol=1e-12)
    assert moved.residuals == THERMAL.residuals


def test_the_bias_beyond_the_sweep_is_that_of_its_end() -> None:
    triad = Triad(
        unit="m/s^2",
        matrix=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
        bias=(0.1, 0.2, 0.3),
        date=DATE,
        method="test",
        residuals=THERMAL.residuals,
        counts={},
        temperature_c=25.0,
        thermal=THERMAL,
    )
    np.testing.assert_array_equal(bias_at(triad, 500.0), bias_at(triad, 50.0))
    np.testing.assert_array_equal(bias_at(triad, -300.0), bias_at(triad, 10.0))
    np.testing.assert_array_equal(bias_at(triad, float("nan")), triad.bias)


def test_at_its_own_temperature_a_bias_is_what_was_measured_there_also_beyond_the_sweep() -> None:
    """The gyroscope's bias of today, taken at 60 degC, where the sweep ended at 50 degC."""
    moved = rebased(THERMAL, 25.0, 60.0)
    triad = Triad("rad/s", IDENTITY, (0.1, 0.2, 0.3), DATE, "rest", THERMAL.residuals, {}, 60.0, thermal=moved)
    np.testing.assert_allclose(bias_at(triad, 60.0), triad.bias, atol=1e-12)
    np.testing.assert_allclose(bias_at(triad, 55.0), triad.bias, atol=1e-12)
    rows = np.array(THERMAL.coefficients)
    drift = rows[0] * (30 - 50) + rows[1] * ((30 - 25) ** 2 - (50 - 25) ** 2)
    np.testing.assert_allclose(bias_at(triad, 30.0), np.array(triad.bias) + drift, atol=1e-12)


def test_a_sweep_that_begins_beside_the_calibration_reaches_as_far(tmp_path: Path) -> None:
    sensor, store = drifting(1, 3), Store(tmp_path)
    powers = np.array([[-10.7], [10.7**2], [-(10.7**3)]])  # at 14.3 degC; its zero is at 25
    bias = as_vector(sensor.gyro_bias + np.sum(sensor.gyro_thermal * powers, axis=0))
    triad = Triad("rad/s", IDENTITY, bias, DATE, "rest", THERMAL.residuals, {}, 14.3)
    store.save(Calibration(device=ORIGIN.device, stream="imu", sensor="lsm6dso", date=DATE, gyro=triad))
    warm = sweep(sensor, 15.0, 45.0, seed=3)
    made = calibrate(Task(lambda base: SweepGuide(ORIGIN, base)), warm, store, QUIET, QUIET)
    assert made is not None
    assert made.gyro is not None
    np.testing.assert_array_equal(bias_at(made.gyro, 14.3), bias)
    np.testing.assert_allclose(bias_at(made.gyro, 25.0), sensor.gyro_bias, atol=0.02 * DEG)


@pytest.mark.parametrize(
    ("polynomial", "order"), [([0.7, 1.0], 0), ([0.5, 1.03], 1), ([0.5, 1.03, -4e-4], 2), ([0.5, 1.03, -4e-4, 2e-5], 3)]
)
def test_a_thermometer_comes_to_agree_with_a_better_one(polynomial: list[float], order: int) -> None:
    rng = np.random.default_rng(order)
    nominal = np.linspace(-10, 60, 200)
    better = np.polynomial.polynomial.polyval(nominal, polynomial)
    coefficients, after = fit_curve(nominal + rng.normal(size=200) * 0.01, better + rng.normal(size=200) * 0.01)
    assert len(coefficients) == max(order, 1) + 1
    made = np.polynomial.polynomial.polyval(nominal, coefficients)
    assert np.abs(made - better).max() < 0.02
    assert np.sqrt(np.mean(after**2)) < 0.02


def test_a_thermometer_is_calibrated_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    time_s = np.arange(600.0)
    better = 20 + 25 * time_s / 600
    rows = "".join(f"{t},{t_c * 1.02 - 1.3:.3f},{t_c:.3f}\n" for t, t_c in zip(time_s, better, strict=True))
    file = tmp_path / "both.csv"
    file.write_text(
        "# device: d\n# stream: mcu_temp\n# sensor: stm32\ntime [s],temperature [degC],reference [degC]\n" + rows
    )
    command = ["calibrate", "temperature", "--reference", "tmp117", "--csv", str(file)]
    assert cli.main(command) == 0
    made = Store(tmp_path / "telemetry-bridge" / "calibrations").find("d", "mcu_temp", "stm32")
    assert made is not None
    correction = Correction(made, ["temperature"])
    np.testing.assert_allclose(
        correction.apply(np.array([[20 * 1.02 - 1.3, 45 * 1.02 - 1.3]], np.float32)), [[20, 45]], atol=0.02
    )
