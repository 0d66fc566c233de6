"""The Allan deviation tells the kinds of noise apart and states each within a tenth."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from telemetry_bridge.calibration.allan import allan_deviation, noise
from telemetry_bridge.errors import CalibrationError

Array = npt.NDArray[np.float64]
RATE_HZ = 50.0
SAMPLES = int(2 * 3600 * RATE_HZ)


def shaped(rng: np.random.Generator, power: Array) -> Array:
    """Gaussian noise with this two-sided spectrum, given at the frequencies of rfft."""
    spectrum = (rng.normal(size=power.size) + 1j * rng.normal(size=power.size)) / np.sqrt(2)
    return np.asarray(np.fft.irfft(spectrum * np.sqrt(power * SAMPLES * RATE_HZ), SAMPLES))


def synthetic(seed: int, white: float, instability: float, walk: float) -> Array:
    """With the spectra of IEEE Std 952-1997, annex C: N^2, B^2 / (2 pi f), K^2 / (2 pi f)^2."""
    rng = np.random.default_rng(seed)
    f = np.fft.rfftfreq(SAMPLES, 1 / RATE_HZ)
    flicker = np.zeros_like(f)
    flicker[1:] = instability**2 / (2 * np.pi * f[1:])
    values = shaped(rng, np.full_like(f, white**2)) + shaped(rng, flicker)
    return np.asarray(values + np.cumsum(rng.normal(size=SAMPLES)) * walk / np.sqrt(RATE_HZ))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("white", "instability"), [(1.0, 1.2), (5e-4, 2e-4)])
def test_white_noise_and_bias_instability_are_found_within_a_tenth(seed: int, white: float, instability: float) -> None:
    found = noise(synthetic(seed, white, instability, 0.0), RATE_HZ)
    assert found.white == pytest.approx(white, rel=0.1)
    assert found.instability == pytest.approx(instability, rel=0.1)
    assert found.random_walk == 0.0
    assert found.density == pytest.approx(np.sqrt(2) * white, rel=0.1)


def test_a_random_walk_is_told_apart() -> None:
    """It shows in the longest averaging times, of which a record has few: one of two hours tells K to about 15 %."""
    found = [noise(synthetic(seed, 1.0, 0.0, 0.05), RATE_HZ) for seed in range(8)]
    for one in found:
        assert one.white == pytest.approx(1.0, rel=0.02)
        assert one.random_walk == pytest.approx(0.05, rel=0.3)
        assert one.instability < 0.5
    assert np.mean([one.random_walk for one in found]) == pytest.approx(0.05, rel=0.12)


@pytest.mark.parametrize("seed", range(5))
def test_white_noise_alone_is_white_noise_alone(seed: int) -> None:
    found = noise(np.random.default_rng(seed).normal(size=SAMPLES) * 0.7, RATE_HZ)
    assert found.white == pytest.approx(0.7 / np.sqrt(RATE_HZ), rel=0.02)
    assert found.instability == found.random_walk == found.quantisation == 0.0


def test_quantisation_shows_where_it_dominates() -> None:
    """A position in counts, differentiated: 3 Q^2 / tau^2 with Q = count / sqrt(12) of the angle."""
    rng = np.random.default_rng(1)
    dithered = np.floor(np.arange(SAMPLES) * 0.37 + rng.uniform(size=SAMPLES))
    found = noise(np.diff(dithered) * RATE_HZ, RATE_HZ)
    assert found.quantisation == pytest.approx(1 / np.sqrt(6), rel=0.1)  # two errors of 1/12 each: dither and rounding


def test_the_deviation_is_that_of_its_definition() -> None:
    """NIST SP 1065 (Riley, 2008), equation 11, written out for a few averaging times."""
    values = np.random.default_rng(5).normal(size=1200) + 3.0
    tau_s, deviation = allan_deviation(values, 10.0)
    for place in range(0, tau_s.size, 5):
        size = round(tau_s[place] * 10)
        means = np.array([values[start : start + size].mean() for start in range(values.size - size + 1)])
        differences = means[size:] - means[:-size]
        assert deviation[place] == pytest.approx(np.sqrt(np.mean(differences**2) / 2), rel=1e-9)


def test_too_short_a_record_is_refused() -> None:
    with pytest.raises(CalibrationError, match="too few"):
        noise(np.zeros(999), 100.0)


def test_a_sensor_that_repeats_one_value_has_no_noise() -> None:
    found = noise(np.full(2000, 9.81), 100.0)
    assert found.white == found.instability == 0.0
