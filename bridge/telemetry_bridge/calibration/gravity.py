"""Local gravity, the one reference of the multi-position method. Between equator and pole it differs by 0.5 %."""

from __future__ import annotations

import math

from telemetry_bridge.calibration.recording import GRAVITY


def local_gravity(latitude_deg: float | None, height_m: float = 0.0) -> float:
    """Normal gravity in m/s^2 at a latitude and a height above the sea; None: the standard value.

    Somigliana's formula with the constants of WGS 84 and its expansion for height (NIMA TR8350.2, third edition,
    equations 4-1 and 4-3). What mountains and the density of the ground do to it is below 0.05 %.
    """
    if latitude_deg is None:
        return GRAVITY
    semi_major_m, flattening, rotation_ratio = 6_378_137.0, 1 / 298.257223563, 0.00344978650684
    sin2 = math.sin(math.radians(latitude_deg)) ** 2
    at_ellipsoid = 9.7803253359 * (1 + 0.00193185265241 * sin2) / math.sqrt(1 - 0.00669437999013 * sin2)
    linear = 2 / semi_major_m * (1 + flattening + rotation_ratio - 2 * flattening * sin2) * height_m
    return at_ellipsoid * (1 - linear + 3 * (height_m / semi_major_m) ** 2)
