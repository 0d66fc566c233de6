"""Noise by the overlapping Allan deviation, in the terms of IEEE Std 952-1997, annex C (and IEEE Std 1293 for
accelerometers).

With S(f) two-sided, as the standard has it:

    white noise (angle or velocity random walk)   S = N^2             sigma^2 = N^2 / tau
    flicker noise (bias instability)              S = B^2 / (2 pi f)  sigma^2 = B^2 2 ln 2 / pi
    rate or acceleration random walk              S = K^2 / (2 pi f)^2  sigma^2 = K^2 tau / 3
    quantisation                                                      sigma^2 = 3 Q^2 / tau^2

Datasheets state noise as a one-sided density, which is sqrt(2) N.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np

from telemetry_bridge.calibration.recording import Array
from telemetry_bridge.errors import CalibrationError

POINTS_PER_DECADE: Final = 12
LEAST_CLUSTERS: Final = 9
"""Averaging times up to this fraction of the record: beyond, a deviation is off by more than a third."""
LEAST_SAMPLES: Final = 1000
FLICKER: Final = 2 * np.log(2) / np.pi
MODEL_ERROR: Final = 0.01
"""Share of a deviation by which a real curve is off a sum of four slopes, however long the record."""
PENALTY: Final = 6.0
"""What a further kind of noise must gain in chi^2 to be believed: about 2.5 sigma."""


@dataclass(frozen=True, slots=True, eq=False)
class Noise:
    """Noise of one field of unit u.

    Attributes:
        tau_s: averaging times, shape ``(n,)``.
        deviation: overlapping Allan deviation, u.
        error: its standard error, u.
        white: N, u/sqrt(Hz) (u sqrt(s)).
        instability: B, u; 0 where none stands out.
        random_walk: K, u/sqrt(s); 0 where none stands out.
        quantisation: Q, u s; 0 where none stands out.
    """

    tau_s: Array
    deviation: Array
    error: Array
    white: float
    instability: float
    random_walk: float
    quantisation: float

    @property
    def density(self) -> float:
        """One-sided white noise density as in datasheets, u/sqrt(Hz)."""
        return float(np.sqrt(2) * self.white)

    @property
    def lowest(self) -> tuple[float, float]:
        """Averaging time and value at the lowest point of the curve: averaging longer does not help."""
        place = int(np.argmin(self.deviation))
        return float(self.tau_s[place]), float(self.deviation[place])

    def model(self, tau_s: Array) -> Array:
        """Deviation that the four numbers give."""
        numbers = np.array([self.quantisation, self.white, self.instability, self.random_walk])
        return np.asarray(np.sqrt(_shapes(tau_s) @ numbers**2))


def noise(values: Array, rate_hz: float) -> Noise:
    """Analyse samples of a sensor at rest.

    Args:
        values: evenly spaced, without a hole, shape ``(n,)``.

    Raises:
        CalibrationError: too few samples.
    """
    if values.size < LEAST_SAMPLES:
        raise CalibrationError(f"{values.size} samples are too few for an Allan deviation: {LEAST_SAMPLES} at least")
    tau_s, deviation = allan_deviation(values, rate_hz)
    # of independent clusters there are n/m - 1; overlapping ones tell a bit more (IEEE 952, C.1.3: 1/sqrt(2 (K - 1)))
    relative = 1 / np.sqrt(2 * (values.size / (tau_s * rate_hz) - 1))
    quantisation, white, instability, walk = _fit(tau_s, deviation, relative)
    return Noise(tau_s, deviation, relative * deviation, white, instability, walk, quantisation)


def allan_deviation(values: Array, rate_hz: float) -> tuple[Array, Array]:
    """Averaging times in s and overlapping Allan deviation, both shape ``(k,)``."""
    largest = values.size // LEAST_CLUSTERS
    decades = np.log10(largest)
    sizes = np.unique(np.rint(np.logspace(0, decades, int(decades * POINTS_PER_DECADE) + 1)).astype(int))
    total = np.concatenate([[0.0], np.cumsum(values - values.mean())])
    variances = []
    for size in sizes:
        second = total[2 * size :] - 2 * total[size:-size] + total[: -2 * size]
        variances.append(np.mean(second**2) / (2 * size**2))
    return sizes / rate_hz, np.sqrt(variances)


def _shapes(tau_s: Array) -> Array:
    return np.column_stack([3 / tau_s**2, 1 / tau_s, np.full_like(tau_s, FLICKER), tau_s / 3])


def _fit(tau_s: Array, deviation: Array, relative: Array) -> Array:
    """Q, N, B and K: those of the kinds of noise that the curve shows, by weighted least squares on the variance."""
    variance = deviation**2
    weights = 1 / np.maximum(2 * np.hypot(relative, MODEL_ERROR) * variance, 1e-300)
    shapes = _shapes(tau_s) * weights[:, np.newaxis]
    wanted = variance * weights
    best, best_cost = np.zeros(4), np.inf
    for count in range(1, 5):
        for kinds in combinations(range(4), count):
            found, *_ = np.linalg.lstsq(shapes[:, kinds], wanted, rcond=None)
            if np.all(found > 0):
                cost = float(np.sum((shapes[:, kinds] @ found - wanted) ** 2)) + PENALTY * count
                if cost < best_cost:
                    best, best_cost = np.zeros(4), cost
                    best[list(kinds)] = np.sqrt(found)
    return best
