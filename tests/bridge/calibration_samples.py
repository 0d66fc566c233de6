"""Calibrations and devices for tests."""

from __future__ import annotations

import datetime

from telemetry_bridge.calibration import Calibration, Curve, Residuals, Thermal, Triad
from telemetry_bridge.events import ClockInfo, DeviceInfo, FieldInfo, LinkStats, StreamInfo

DATE = datetime.datetime(2026, 5, 1, 12, 0, tzinfo=datetime.UTC)
DEVICE = "3a0021001751363038363633"
IMU = tuple(f"{kind}_{axis}" for kind in ("accel", "gyro") for axis in "xyz")
RESIDUALS = Residuals(before=0.3, after=0.001, unit="m/s^2", of="magnitude of gravity in each pose", held_out=True)
THERMAL = Thermal(
    coefficients=((0.001, -0.002, 0.0), (1e-5, 0.0, 2e-5)),
    range_c=(10.0, 50.0),
    date=DATE,
    method="sweep",
    residuals=RESIDUALS,
    counts={"stretches": 40},
)
ACCEL = Triad(
    unit="m/s^2",
    matrix=((1.01, 0.002, -0.003), (0.0, 0.99, 0.001), (0.0, 0.0, 1.02)),
    bias=(0.1, -0.2, 0.3),
    date=DATE,
    method="multi-position",
    residuals=RESIDUALS,
    counts={"poses": 18, "samples": 20000},
    temperature_c=25.0,
    full_scale=39.2,
    thermal=THERMAL,
)
GYRO = Triad(
    unit="rad/s",
    matrix=((0.98, 0.01, 0.0), (0.002, 1.0, -0.004), (0.0, 0.003, 1.01)),
    bias=(0.01, 0.02, -0.03),
    date=DATE,
    method="multi-position",
    residuals=RESIDUALS,
    counts={"turns": 17},
)
CURVE = Curve(
    coefficients=(0.5, 1.02, -1e-4), range_c=(0.0, 60.0), date=DATE, method="against", residuals=RESIDUALS, counts={}
)


def calibration(*, days: int = 0, stream: str = "imu", sensor: str = "lsm6dso", **parts: Triad | Curve) -> Calibration:
    return Calibration(
        device=DEVICE,
        stream=stream,
        sensor=sensor,
        date=DATE + datetime.timedelta(days=days),
        **(parts or {"accel": ACCEL, "gyro": GYRO}),  # type: ignore[arg-type]
    )


def stream(name: str = "imu", fields: tuple[str, ...] = IMU, sensor: str = "lsm6dso") -> StreamInfo:
    infos = tuple(FieldInfo(field, "") for field in fields)
    return StreamInfo(0, name, sensor, infos, 416.0, None, 1, 7, 0, "streaming", 20_000, True)


def device(*streams: StreamInfo) -> DeviceInfo:
    return DeviceInfo(
        DEVICE, "online", "nucleo_f411re", "0.1.0", "abc", DEVICE, "1", "pin", 921600, "sim:", ClockInfo(), streams,
        LinkStats(),
    )  # fmt: skip
