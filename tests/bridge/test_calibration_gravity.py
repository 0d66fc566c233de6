"""Local gravity is that of WGS 84 (NIMA TR8350.2, third edition, table 3.4 and section 4)."""

from __future__ import annotations

import pytest

from telemetry_bridge.calibration.gravity import local_gravity


@pytest.mark.parametrize(("latitude", "expected"), [(0.0, 9.7803253359), (90.0, 9.8321849378), (-90.0, 9.8321849378)])
def test_on_the_ellipsoid_it_is_the_normal_gravity(latitude: float, expected: float) -> None:
    assert local_gravity(latitude) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("latitude", [0.0, 47.4, -80.0])
def test_it_falls_with_height_as_free_air_does(latitude: float) -> None:
    """0.3086 mGal a metre near the ground, the usual free-air gradient."""
    fall = local_gravity(latitude, 0.0) - local_gravity(latitude, 1000.0)
    assert fall == pytest.approx(3.086e-3, rel=0.005)


def test_without_a_latitude_it_is_the_standard_value() -> None:
    assert local_gravity(None, 500.0) == 9.80665
