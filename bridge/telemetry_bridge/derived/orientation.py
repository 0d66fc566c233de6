"""Orientation of an IMU from gravity and angular rate, by the filter of imufusion.

S. Madgwick, "AHRS algorithms and calibration solutions to facilitate new applications using low-cost MEMS" (PhD
thesis, University of Bristol, 2014), chapter 7. Without a magnetometer nothing holds the heading: it starts at 0 and
drifts by what the gyroscope's bias leaves (which is learnt whenever the sensor lies still).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Final

import imufusion
import numpy as np
import numpy.typing as npt

from telemetry_bridge.events import FieldInfo

STANDARD_GRAVITY: Final = 9.80665
"""m/s^2 (3rd CGPM, 1901)."""
PAUSE_MAX_S: Final = 0.5
"""What is missing for longer is not bridged with the angular rate behind it: the tilt is taken from gravity anew."""
START_S: Final = 0.02
"""So much acceleration is averaged for the tilt to start with."""
REJECTION_DEG: Final = 10.0
"""An acceleration that points this far off what is believed to be down is motion, and ignored …"""
RECOVERY_S: Final = 5.0
"""… for so long at most. Both as in the library's example for moving sensors."""


class Orientation:
    """The quaternion that turns a vector of the sensor's axes into one of the Earth's, whose z points up (REP-103)."""

    name: ClassVar[str] = "orientation"
    maker: ClassVar[str] = "imufusion"
    inputs: ClassVar[tuple[str, ...]] = ("accel_x", "accel_y", "accel_z", "gyro_x", "gyro_y", "gyro_z")
    fields: ClassVar[tuple[FieldInfo, ...]] = tuple(FieldInfo(f"q_{part}", "1", 1.0) for part in "wxyz")

    def __init__(self, full_scale: Mapping[str, float]) -> None:
        self._range_dps = _range_dps(full_scale)
        self._filter = imufusion.Ahrs()
        self._bias = imufusion.Bias()
        self._rate_hz = 0.0
        self._started = False

    def set_ranges(self, full_scale: Mapping[str, float]) -> None:
        """Beyond its range the gyroscope is not believed: that is another one now."""
        self._range_dps = _range_dps(full_scale)
        if self._rate_hz:
            self._set_filter()

    def compute(self, values: npt.NDArray[np.float32], period_s: float, pause_s: float) -> npt.NDArray[np.float32]:
        """Quaternions ``w, x, y, z`` of unit length; NaN where an input is."""
        self._follow_rate(1.0 / period_s)
        acceleration = np.ascontiguousarray(values[:3].T) / np.float32(STANDARD_GRAVITY)
        angular_rate = np.degrees(np.ascontiguousarray(values[3:].T))
        usable = np.asarray(np.isfinite(values).all(axis=0))
        quaternions = np.full((values.shape[1], 4), np.nan, np.float32)
        update, unbias, quaternion = self._filter.update_no_magnetometer, self._bias.update, self._filter.get_quaternion
        missing_s = pause_s if pause_s <= PAUSE_MAX_S else 0.0
        if not self._started or pause_s > PAUSE_MAX_S:
            self._start(acceleration[usable][: max(1, round(START_S / period_s))])
        self._filter.set_sample_period(period_s + missing_s)
        for k in range(len(quaternions)):
            if not usable[k]:
                missing_s += period_s
                self._filter.set_sample_period(period_s + missing_s)
                continue
            update(unbias(angular_rate[k]), acceleration[k])
            quaternions[k] = quaternion()
            if missing_s:
                missing_s = 0.0
                self._filter.set_sample_period(period_s)
        return np.ascontiguousarray(quaternions.T)

    def _start(self, acceleration: npt.NDArray[np.float32]) -> None:
        """Tilt from gravity, heading as it was: the library's own start holds the heading for three seconds."""
        if not len(acceleration):
            return
        w, x, y, z = (float(part) for part in self._filter.get_quaternion())
        yaw = math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z)) if self._started else 0.0
        ax, ay, az = (float(part) for part in acceleration.mean(axis=0))
        roll, pitch = math.atan2(ay, az), math.atan2(-ax, math.hypot(ay, az))
        self._filter.set_quaternion(_quaternion(roll, pitch, yaw))
        self._filter.skip_startup()
        self._started = True

    def _follow_rate(self, rate_hz: float) -> None:
        """Times of the settings are counted in samples: give them the rate, unless it has hardly changed."""
        if abs(rate_hz - self._rate_hz) <= 0.05 * self._rate_hz:
            return
        self._rate_hz = rate_hz
        self._set_filter()
        bias = imufusion.BiasSettings()
        bias.sample_rate = rate_hz
        self._bias.set_settings(bias)

    def _set_filter(self) -> None:
        settings = imufusion.AhrsSettings()
        settings.convention = imufusion.CONVENTION_ENU
        settings.gyroscope_range = self._range_dps
        settings.acceleration_rejection = REJECTION_DEG
        settings.rejection_timeout = RECOVERY_S
        settings.sample_rate = self._rate_hz
        self._filter.set_settings(settings)


def _range_dps(full_scale: Mapping[str, float]) -> float:
    return math.degrees(full_scale.get("gyro_x", 0.0))


def _quaternion(roll: float, pitch: float, yaw: float) -> npt.NDArray[np.float32]:
    """Of a turn about z, then the new y, then the new x; radians."""
    (cx, sx), (cy, sy), (cz, sz) = ((math.cos(angle / 2), math.sin(angle / 2)) for angle in (roll, pitch, yaw))
    return np.array(
        [
            cx * cy * cz + sx * sy * sz,
            sx * cy * cz - cx * sy * sz,
            cx * sy * cz + sx * cy * sz,
            cx * cy * sz - sx * sy * cz,
        ],
        np.float32,
    )
