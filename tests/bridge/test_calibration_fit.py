"""The multi-position method finds the errors of a synthetic LSM6DSO, and refuses what cannot be fitted."""

from __future__ import annotations

import numpy as np
import pytest

from bridge.imu_synthesis import (
    ACCEL_DENSITY,
    DEG,
    DIRECTIONS,
    GRAVITY,
    GYRO_DENSITY,
    MG,
    Array,
    Imperfect,
    recording,
    rotation,
)
from telemetry_bridge.calibrate.outcome import parameter_table
from telemetry_bridge.calibration.coverage import coverage
from telemetry_bridge.calibration.multi_position import Fit, fit_accel, fit_gyro, gyro_bias
from telemetry_bridge.calibration.poses import Pose, PoseFinder
from telemetry_bridge.calibration.recording import Recording
from telemetry_bridge.calibration.rotation import Turns, into_end_axes, multiply
from telemetry_bridge.errors import CalibrationError

SEEDS = range(6)


def found(given: Recording, chunk_s: float = 0.1) -> PoseFinder:
    finder = PoseFinder(given.origin)
    for chunk in given.chunks(chunk_s):
        finder.feed(chunk)
    finder.finish()
    return finder


def errors(fit: Fit, matrix: Array, bias: Array) -> tuple[float, float, float]:
    """Of scale (1), misalignment (rad) and bias (SI), the largest."""
    off = fit.matrix - matrix
    scale = np.abs(np.diag(off) / np.diag(matrix)).max()
    misalignment = np.abs(off - np.diag(np.diag(off))).max()
    return float(scale), float(misalignment), float(np.abs(fit.bias - bias).max())


@pytest.mark.parametrize("seed", SEEDS)
def test_accelerometer_and_gyroscope_are_found_within_the_promised_errors(seed: int) -> None:
    sensor = Imperfect.draw(seed)
    walk = found(recording(sensor, seed=seed))
    assert len(walk.poses) == len(DIRECTIONS)
    assert not any(turn.flaw for turn in walk.turns)

    accel = fit_accel(walk.poses, GRAVITY)
    scale, misalignment, bias = errors(accel, sensor.accel_matrix, sensor.accel_bias)
    assert scale < 0.0005
    assert misalignment < 0.05 * DEG
    assert bias < 1 * MG

    gyro = fit_gyro(walk.poses, walk.turns, accel.matrix, accel.bias)
    scale, misalignment, bias = errors(gyro, sensor.gyro_matrix, sensor.gyro_bias)
    assert scale < 0.0005
    assert misalignment < 0.05 * DEG
    assert bias < 0.02 * DEG

    # on poses that no part of the fit has seen
    other = found(recording(sensor, DIRECTIONS[::-1], seed=seed + 100))
    felt = (np.array([pose.accel for pose in other.poses]) - accel.bias) @ accel.matrix.T
    residual = np.linalg.norm(felt, axis=1) - GRAVITY
    assert np.sqrt(np.mean(residual**2)) < 5 * MG
    nominal = np.linalg.norm([pose.accel for pose in other.poses], axis=1) - GRAVITY
    assert np.sqrt(np.mean(nominal**2)) > 5 * MG


@pytest.mark.parametrize("seed", SEEDS)
def test_the_stated_errors_and_the_held_out_residual_are_honest(seed: int) -> None:
    sensor = Imperfect.draw(seed)
    walk = found(recording(sensor, seed=seed))
    accel = fit_accel(walk.poses, GRAVITY)
    assert accel.held_out
    assert np.abs(accel.bias - sensor.accel_bias).max() < 5 * accel.bias_error.max()
    assert np.abs(accel.matrix - sensor.accel_matrix).max() < 5 * accel.matrix_error.max()
    expected = ACCEL_DENSITY / np.sqrt(2 * 2.4)  # mean over 2.4 s
    assert expected / 4 < np.sqrt(np.mean(accel.after**2)) < 6 * expected


@pytest.mark.parametrize("seed", SEEDS)
def test_three_seconds_of_rest_give_the_gyroscopes_bias(seed: int) -> None:
    sensor = Imperfect.draw(seed)
    walk = found(recording(sensor, DIRECTIONS[:1], seed=seed, still_s=3.0))
    bias, error = gyro_bias(walk.poses)
    assert np.abs(bias - sensor.gyro_bias).max() < 0.02 * DEG
    assert 0.3 < error.max() / (GYRO_DENSITY / np.sqrt(2 * 2.4)) < 3


def test_a_perfect_sensor_comes_out_perfect() -> None:
    perfect = Imperfect(np.eye(3), np.zeros(3), np.eye(3), np.zeros(3))
    walk = found(recording(perfect, seed=1))
    accel = fit_accel(walk.poses, GRAVITY)
    gyro = fit_gyro(walk.poses, walk.turns, accel.matrix, accel.bias)
    np.testing.assert_allclose(accel.matrix, np.eye(3), atol=3e-4)
    np.testing.assert_allclose(gyro.matrix, np.eye(3), atol=3e-4)


def test_what_the_report_says_of_a_sensor_is_what_it_does() -> None:
    """Made from where each axis points and how much it reads, not from M: z, and the plane of y and z, stay."""
    senses = np.diag([1.01, 0.985, 1.02]) @ np.array(
        [[np.sqrt(1 - 0.02**2 - 0.01**2), 0.02, -0.01], [0.0, np.cos(0.015), np.sin(0.015)], [0.0, 0.0, 1.0]]
    )
    sensor = Imperfect(np.linalg.inv(senses), np.array([20.0, 0.0, 0.0]) * MG, np.eye(3), np.zeros(3))
    table = parameter_table("accel", fit_accel(found(recording(sensor, seed=1)).poses, GRAVITY))
    told = {row[0]: float(row[1].split()[0]) for row in table.rows}
    assert told["scale correction x"] == pytest.approx(-1.0, abs=0.06)  # reads 1 % too much
    assert told["scale correction y"] == pytest.approx(1.5, abs=0.06)
    assert told["misalignment xy"] == pytest.approx(-np.degrees(0.02), abs=0.02)  # x leans towards +y
    assert told["misalignment yz"] == pytest.approx(-np.degrees(0.015), abs=0.02)
    assert told["misalignment xz"] == pytest.approx(np.degrees(0.01 + 0.02 * 0.015), abs=0.02)
    assert told["bias x"] == pytest.approx(20.0, abs=0.5)


def test_gravity_scales_the_accelerometer() -> None:
    walk = found(recording(Imperfect.draw(1), seed=1))
    here, there = fit_accel(walk.poses, GRAVITY), fit_accel(walk.poses, GRAVITY * 1.005)
    np.testing.assert_allclose(there.matrix, here.matrix * 1.005, rtol=1e-6, atol=1e-9)


def test_a_pose_that_was_touched_is_left_out() -> None:
    walk = found(recording(Imperfect.draw(2), seed=2))
    honest = fit_accel(walk.poses, GRAVITY)
    touched = walk.poses[4]
    walk.poses[4] = Pose(
        touched.start_s, touched.end_s, touched.mean * 1.05, touched.deviation, touched.samples, touched.temperature_c
    )
    fit = fit_accel(walk.poses, GRAVITY)
    assert not fit.used[4]
    assert fit.used.sum() >= len(fit.used) - 2  # a neighbour may go with it
    assert np.abs(fit.bias - honest.bias).max() < 0.2 * MG


def test_poses_that_do_not_fit_together_are_refused() -> None:
    walk = found(recording(Imperfect.draw(2), seed=2))
    rng = np.random.default_rng(1)
    for number in range(0, len(walk.poses), 2):
        old = walk.poses[number]
        mean = old.mean * rng.uniform(0.8, 1.2)
        walk.poses[number] = Pose(old.start_s, old.end_s, mean, old.deviation, old.samples, old.temperature_c)
    with pytest.raises(CalibrationError):
        fit_accel(walk.poses, GRAVITY)


@pytest.mark.parametrize(
    ("directions", "message"),
    [
        (DIRECTIONS[:5], "too few"),
        ([np.array([np.sin(a), 0.05, np.cos(a)]) for a in np.linspace(0, 6, 15)], "open|determine"),
    ],
    ids=["five poses", "all about one axis"],
)
def test_what_does_not_determine_the_accelerometer_is_refused(directions: list[Array], message: str) -> None:
    unit = [direction / np.linalg.norm(direction) for direction in directions]
    walk = found(recording(Imperfect.draw(3), unit, seed=3, wobble=0.0))
    with pytest.raises(CalibrationError, match=message):
        fit_accel(walk.poses, GRAVITY)


def test_turns_about_one_axis_do_not_determine_the_gyroscope() -> None:
    sensor = Imperfect.draw(3)
    directions = [np.array([np.sin(angle), 0.0, np.cos(angle)]) for angle in np.linspace(0, 10, 12)]
    walk = found(recording(sensor, directions, seed=3, wobble=0.0, twist=0.0))
    turned = coverage(walk.poses, walk.turns).turned_deg
    assert turned["y"] > 300
    assert turned["x"] < 100
    with pytest.raises(CalibrationError, match=r"open|determine"):
        fit_gyro(walk.poses, walk.turns, sensor.accel_matrix, sensor.accel_bias)


def test_a_rotation_is_integrated_to_the_fourth_order() -> None:
    """A coning motion has a closed form, so the error can be seen to fall by 16 when the step is halved."""
    cone, speed = 0.3, 9.0

    def attitude(t: float) -> Array:
        return np.asarray(
            rotation(np.array([0.0, 0.0, 1.0]), np.array([speed * t]))[0]
            @ rotation(np.array([1.0, 0.0, 0.0]), np.array([cone]))[0]
            @ rotation(np.array([0.0, 0.0, 1.0]), np.array([-speed * t]))[0]
        )

    def rates(time_s: Array) -> Array:
        step = 1e-6
        columns = []
        for t in time_s:
            change = attitude(t).T @ (attitude(t + step) - attitude(t - step)) / (2 * step)
            columns.append([change[2, 1], change[0, 2], change[1, 0]])
        return np.array(columns).T

    up = np.array([[0.0, 0.0, 1.0]])
    expected = attitude(1.0).T @ attitude(0.0) @ up[0]
    off = []
    for steps in (50, 100):
        time_s = np.linspace(0, 1, steps + 1)
        turned = Turns([time_s], [rates(time_s)]).rotations(np.eye(3), np.zeros((1, 3)))
        off.append(float(np.linalg.norm(into_end_axes(turned, up)[0] - expected)))
    assert off[0] < 2e-3
    assert off[1] < off[0] / 3.5  # rates between samples are taken as linear: second order in the samples


def test_turns_of_different_length_do_not_disturb_each_other() -> None:
    rng = np.random.default_rng(4)
    times = [np.linspace(0, 1, count) for count in (3, 50, 129)]
    rates = [rng.normal(size=(3, time_s.size)) for time_s in times]
    together = Turns(times, rates).rotations(np.eye(3), np.full((3, 3), 0.1))
    for number in range(3):
        alone = Turns(times[number : number + 1], rates[number : number + 1]).rotations(np.eye(3), np.full((1, 3), 0.1))
        np.testing.assert_allclose(together[number], alone[0], atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(multiply(together, together), axis=1), 1.0)
