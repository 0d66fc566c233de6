"""Calibration: the model, where it is kept, how it is applied, and how it is computed."""

from telemetry_bridge.calibration.model import Calibration, Curve, Residuals, Thermal, Triad
from telemetry_bridge.calibration.stage import Calibrator
from telemetry_bridge.calibration.store import Store, default_folder
from telemetry_bridge.calibration.watch import Calibrations

__all__ = [
    "Calibration",
    "Calibrations",
    "Calibrator",
    "Curve",
    "Residuals",
    "Store",
    "Thermal",
    "Triad",
    "default_folder",
]
