"""An imperfect IMU carried from pose to pose, for tests: the truth is known exactly.

The motion is exact: each turn is one rotation about a fixed axis with a smooth profile, so attitude and turn rate
belong to each other analytically. The sensor has the noise of an LSM6DSO (datasheet DS12140, table 3: 70 ug/sqrt(Hz)
and 3.8 mdps/sqrt(Hz)) and its least counts at +-4 g and +-500 deg/s (0.122 mg, 17.5 mdps).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from telemetry_bridge.calibration.recording import Chunk, Origin, Recording
from telemetry_bridge.events import FieldInfo

Array = npt.NDArray[np.float64]
GRAVITY = 9.80665
DEG = np.pi / 180
MG = GRAVITY / 1000
ACCEL_DENSITY = 70e-6 * GRAVITY
GYRO_DENSITY = 3.8e-3 * DEG
COUNTS = np.array([[0.122 * MG]] * 3 + [[17.5e-3 * DEG]] * 3)
FIELDS = (
    *(FieldInfo(f"accel_{axis}", "m/s^2", 4 * GRAVITY) for axis in "xyz"),
    *(FieldInfo(f"gyro_{axis}", "rad/s", 500 * DEG) for axis in "xyz"),
)
ORIGIN = Origin("3a0021001751363038363633", "imu", "lsm6dso", FIELDS)


@dataclass(frozen=True)
class Imperfect:
    """A sensor whose calibrated value is y = M (x - b - thermal): so what it reads is x = M^-1 y + b."""

    accel_matrix: Array
    accel_bias: Array
    gyro_matrix: Array
    gyro_bias: Array
    accel_thermal: Array = field(default_factory=lambda: np.zeros((3, 3)))  # order, axis; about 25 degC
    gyro_thermal: Array = field(default_factory=lambda: np.zeros((3, 3)))

    @classmethod
    def draw(cls, seed: int) -> Imperfect:
        """Errors of the size that datasheets allow: 2 % scale, 1.5 deg, 40 mg, 3 deg/s."""
        rng = np.random.default_rng(seed)
        accel = np.triu(rng.uniform(-1.5, 1.5, (3, 3)) * DEG, 1) + np.diag(1 + rng.uniform(-0.02, 0.02, 3))
        gyro = rng.uniform(-1.5, 1.5, (3, 3)) * DEG
        gyro[np.diag_indices(3)] = 1 + rng.uniform(-0.02, 0.02, 3)
        orders = np.array([[1.0], [0.01], [3e-4]])
        return cls(
            accel,
            rng.uniform(-40, 40, 3) * MG,
            gyro,
            rng.uniform(-3, 3, 3) * DEG,
            rng.uniform(-0.5, 0.5, (3, 3)) * MG * orders,
            rng.uniform(-0.03, 0.03, (3, 3)) * DEG * orders,
        )

    def read(self, force: Array, rate: Array, warmth: Array, rate_hz: float, rng: np.random.Generator) -> Array:
        """What it says, nominal SI, shape ``(6, n)``."""
        powers = np.array([(warmth - 25) ** order for order in (1, 2, 3)])
        accel = np.linalg.inv(self.accel_matrix) @ force + self.accel_bias[:, None] + self.accel_thermal.T @ powers
        gyro = np.linalg.inv(self.gyro_matrix) @ rate + self.gyro_bias[:, None] + self.gyro_thermal.T @ powers
        values = np.concatenate([accel, gyro])
        density = np.array([[ACCEL_DENSITY]] * 3 + [[GYRO_DENSITY]] * 3)
        values += rng.normal(size=values.shape) * density * np.sqrt(rate_hz / 2)
        return np.asarray(np.rint(values / COUNTS) * COUNTS)


def rotation(axis: Array, angle: Array) -> Array:
    """Rodrigues' formula, shape ``(n, 3, 3)``."""
    k = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    angle = np.asarray(angle)[:, None, None]
    return np.asarray(np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * (k @ k))


DIRECTIONS = [
    np.array(direction, np.float64) / np.linalg.norm(direction)
    for direction in [
        *[(0, 0, 1), (1, 0, 1), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 1, 1), (-1, 0, 1), (-1, 0, 0), (-1, -1, 0)],
        *[(0, -1, 0), (0, -1, -1), (0, 0, -1), (1, 0, -1), (1, -1, 0), (0, -1, 1), (-1, 1, 0), (0, 1, -1), (-1, 0, -1)],
    ]
]
"""Six faces and twelve edges, each next to the last."""


def walk(
    directions: list[Array],
    *,
    seed: int,
    rate_hz: float = 416.0,
    still_s: float = 3.0,
    turn_s: float = 1.5,
    wobble: float = 0.08,
    twist: float = 1.0,
) -> tuple[Array, Array, Array]:
    """The board is put with each of these directions up, in turn, each off by about `wobble` rad, as hands do it,
    and twisted by up to `twist` rad on the way.

    Returns:
        Times in s, specific force and turn rate on the board's axes, shapes ``(n,)`` and ``(3, n)``.
    """
    rng = np.random.default_rng((seed, 1))
    attitude = np.eye(3)  # board to world
    forces, rates = [], []
    for number, direction in enumerate(directions):
        wanted = direction + rng.normal(size=3) * wobble
        wanted /= np.linalg.norm(wanted)
        here = attitude.T @ np.array([0.0, 0.0, 1.0])
        if number:
            # in the board's axes: a twist about `wanted`, which leaves it where it is, then to where up is now
            across = np.cross(wanted, here)
            tilt = np.arctan2(np.linalg.norm(across), wanted @ here)
            target = (
                rotation(across / np.linalg.norm(across), np.array([tilt]))[0]
                @ rotation(wanted, rng.uniform(-twist, twist, 1))[0]
            )
            angle = float(np.arccos((np.trace(target) - 1) / 2))
            axis = np.array([target[2, 1] - target[1, 2], target[0, 2] - target[2, 0], target[1, 0] - target[0, 1]])
            axis /= 2 * np.sin(angle)
            s = np.arange(int(turn_s * rate_hz)) / (turn_s * rate_hz)
            profile = angle * (10 * s**3 - 15 * s**4 + 6 * s**5)  # minimum jerk
            speed = angle * (30 * s**2 - 60 * s**3 + 30 * s**4) / turn_s
            turned = attitude @ rotation(axis, profile)
            jerk = np.sin(2 * np.pi * s) ** 2 * rng.normal(size=(3, 1)) * 2.0  # hands also push
            forces.append(np.einsum("nji,j->in", turned, np.array([0, 0, GRAVITY])) + jerk)
            rates.append(axis[:, None] * speed)
            attitude = attitude @ target
        still = int(still_s * rate_hz)
        forces.append(np.repeat(attitude.T[:, 2:] * GRAVITY, still, axis=1))
        rates.append(np.zeros((3, still)))
    force, rate = np.concatenate(forces, axis=1), np.concatenate(rates, axis=1)
    return np.arange(force.shape[1]) / rate_hz, force, rate


def recording(
    sensor: Imperfect,
    directions: list[Array] | None = None,
    *,
    seed: int,
    rate_hz: float = 416.0,
    still_s: float = 3.0,
    temperature_c: float = 25.0,
    wobble: float = 0.08,
    twist: float = 1.0,
) -> Recording:
    """A walk through poses as the sensor sees it."""
    time_s, force, rate = walk(
        DIRECTIONS if directions is None else directions,
        seed=seed,
        rate_hz=rate_hz,
        still_s=still_s,
        wobble=wobble,
        twist=twist,
    )
    warmth = np.full(time_s.size, temperature_c)
    values = sensor.read(force, rate, warmth, rate_hz, np.random.default_rng((seed, 2)))
    return Recording(ORIGIN, Chunk(time_s, values, warmth))


def sweep(
    sensor: Imperfect, low_c: float, high_c: float, *, seed: int, minutes: float = 6.0, rate_hz: float = 52.0
) -> Recording:
    """At rest in one pose while the temperature rises, quickly at first."""
    rng = np.random.default_rng((seed, 3))
    time_s = np.arange(int(minutes * 60 * rate_hz)) / rate_hz
    rise = (1 - np.exp(-3 * time_s / time_s[-1])) / (1 - np.exp(-3))
    warmth = low_c + (high_c - low_c) * rise
    up = rng.normal(size=3)
    force = np.repeat((up / np.linalg.norm(up) * GRAVITY)[:, None], time_s.size, axis=1)
    values = sensor.read(force, np.zeros_like(force), warmth, rate_hz, rng)
    return Recording(ORIGIN, Chunk(time_s, values, warmth + rng.normal(size=time_s.size) * 0.03))


def write_csv(path: Path, given: Recording, *, units: Mapping[str, tuple[str, float]] | None = None) -> Path:
    """As docs/calibration.md describes it; `units` names other units by kind of field, and what they are in SI."""
    origin, samples = given.origin, given.samples
    columns, names = [samples.time_s], ["time [s]"]
    for info, row in zip(origin.fields, samples.values, strict=True):
        name, factor = (units or {}).get(info.name.split("_")[0], (info.unit, 1.0))
        names.append(f"{info.name} [{name}]")
        columns.append(row / factor)
    notes = f"# device: {origin.device}\n# stream: {origin.stream}\n# sensor: {origin.sensor}\n"
    notes += f"# accel_full_scale: {origin.full_scale('accel_x')}\n# gyro_full_scale: {origin.full_scale('gyro_x')}\n"
    with path.open("w") as file:
        file.write(notes + ",".join([*names, "temperature [degC]"]) + "\n")
        np.savetxt(file, np.column_stack([*columns, samples.temperature_c]), delimiter=",", fmt="%.8g")
    return path
