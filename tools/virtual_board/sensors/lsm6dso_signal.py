"""What an LSM6DSO makes of motion: rates, ranges, noise, self-test.

Sources: DS = DS12140 (datasheet), AN = AN5192 (application note). A sample is the motion one filter delay before its
tick. No document gives the delays; taken is that of a second-order Butterworth filter of the stated bandwidth. Left
out: what a filter takes off an amplitude, the low-power modes' higher noise, the accelerometer's settling after a
change (AN, samples to be discarded), offsets.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ..motion import STANDARD_GRAVITY, Motion, over
from ..timebase import PS_PER_S

Words = npt.NDArray[np.int16]
Ticks = npt.NDArray[np.int64]

BASE_HZ = 6667
"""Highest data rate; the others are this divided by a power of two (AN, INTERNAL_FREQ_FINE)."""
EVERY: Mapping[int, int] = {code: 1024 >> code for code in range(1, 11)}
"""Ticks of `BASE_HZ` a sample: ODR code 1 is 12.5 Hz, 10 is 6,667 Hz (DS 9.12, 9.13)."""
ACCEL_MG = (0.061, 0.488, 0.122, 0.244)
"""mg per LSB by FS_XL: 2, 16, 4, 8 g (DS table 2, 9.12)."""
GYRO_MDPS = (8.75, 17.5, 35.0, 70.0, 4.375)
"""mdps per LSB by FS_G: 250, 500, 1000, 2000 dps; last: FS_125 (DS table 2, 9.13)."""
ACCEL_NOISE_UG = (70.0, 110.0, 75.0, 80.0)
"""ug per root hertz by FS_XL, high-performance mode, typical (DS table 2)."""
GYRO_NOISE_MDPS = 3.8
"""mdps per root hertz, high-performance mode, any range (DS table 2)."""
GYRO_BANDWIDTH_HZ: Mapping[int, float] = dict(
    zip(range(1, 11), (4.2, 8.3, 16.6, 33.0, 66.8, 135.9, 295.5, 1108.1, 1320.7, 1441.8), strict=True)
)
"""LPF2 by ODR, LPF1 off (AN, gyroscope LPF2 cut-off)."""
TEMPERATURE_LSB_PER_C, TEMPERATURE_ZERO_C = 256.0, 25.0
"""DS table 4."""
GYRO_TURN_ON_PS = 35 * PS_PER_S // 1000
"""From power-down until the output is valid, typical (DS table 2, Ton); until then it grows from zero to the truth."""


def accel_bandwidth_hz(code: int) -> float:
    """LPF2 off: half the data rate (DS 9.12)."""
    return BASE_HZ / EVERY[code] / 2


def delay_s(bandwidth_hz: float) -> float:
    """Group delay at low frequency of a second-order Butterworth filter: sqrt(2) / (2 pi f)."""
    return math.sqrt(2) / (2 * math.pi * bandwidth_hz)


def tag(sensor: int, count: int) -> int:
    """FIFO_DATA_OUT_TAG (DS 9.75): TAG_SENSOR, TAG_CNT, and a parity bit that makes the number of ones even (AN)."""
    value = sensor << 3 | (count & 3) << 1
    return value | value.bit_count() & 1


class SampleClock:
    """The internal oscillator: ticks at 6,667 Hz times one plus its error, counted from `start`."""

    def __init__(self) -> None:
        self._anchor_ps = self._anchor = 0
        self._microhertz = BASE_HZ * 10**6

    def start(self, ps: int) -> None:
        """Tick 0 is at `ps`."""
        self._anchor_ps, self._anchor = ps, 0

    def set_error(self, ppm: float, tick: int) -> None:
        """Change the rate at a tick."""
        self._anchor_ps, self._anchor = self.ps_of(tick), tick
        self._microhertz = round(BASE_HZ * (10**6 + ppm))

    def ps_of(self, tick: int) -> int:
        """When a tick is, rounded up."""
        return self._anchor_ps - -(tick - self._anchor) * 10**6 * PS_PER_S // self._microhertz

    def tick_at(self, ps: int) -> int:
        """The last tick that is not after `ps`."""
        return self._anchor + (ps - self._anchor_ps) * self._microhertz // (10**6 * PS_PER_S)

    def seconds(self, ticks: Ticks) -> npt.NDArray[np.float64]:
        """Times of many ticks."""
        times: npt.NDArray[np.float64] = (ticks - self._anchor).astype(np.float64)
        return times * (10**6 / self._microhertz) + self._anchor_ps / PS_PER_S


class Signal:
    """Samples of one device."""

    def __init__(self, motion: Motion, *, seed: int, noise: bool) -> None:
        self.motion = motion
        self.noise = noise
        self.self_test_g = (0.4, 0.4, 0.4)
        """What the actuators add; DS table 2 wants 0.05 to 1.7 g."""
        self.self_test_dps = (50.0, 400.0)
        """At 250 dps and below, and above; DS table 2 wants 20 to 80 dps at 250 and 150 to 700 dps at 2,000."""
        self.gyro_on_ps = 0
        self._random = np.random.default_rng(np.random.SeedSequence([seed & 0xFFFF_FFFF, 0x6C]))

    def _quantise(self, values: npt.NDArray[np.float64], sigma: float) -> Words:
        if self.noise:
            values = values + sigma * self._random.standard_normal(values.shape)
        return np.clip(np.rint(values), -32768, 32767).astype(np.int16)

    def accel(self, times: npt.NDArray[np.float64], ctrl1: int, self_test: int) -> Words:
        """(times, 3) of the accelerometer; `self_test`: ST_XL, 1 positive, 2 negative (DS 9.16)."""
        bandwidth, scale = accel_bandwidth_hz(_code(ctrl1)), ACCEL_MG[ctrl1 >> 2 & 3]
        acceleration, _, _ = over(self.motion, times - delay_s(bandwidth))
        mg = acceleration * (1000 / STANDARD_GRAVITY)
        mg = mg + np.array(self.self_test_g)[:, None] * {1: 1000.0, 2: -1000.0}.get(self_test, 0.0)
        sigma = ACCEL_NOISE_UG[ctrl1 >> 2 & 3] / 1000 * math.sqrt(bandwidth)
        return self._quantise(mg.T / scale, sigma / scale)

    def gyro(self, times: npt.NDArray[np.float64], ctrl2: int, self_test: int) -> Words:
        """(times, 3) of the gyroscope; `self_test`: ST_G, 1 positive, 3 negative (DS 9.16)."""
        bandwidth = GYRO_BANDWIDTH_HZ[_code(ctrl2)]
        full_scale = 4 if ctrl2 & 2 else ctrl2 >> 2 & 3
        scale = GYRO_MDPS[full_scale]
        _, rate, _ = over(self.motion, times - delay_s(bandwidth))
        forced = self.self_test_dps[0 if full_scale in (0, 4) else 1] * {1: 1000.0, 3: -1000.0}.get(self_test, 0.0)
        mdps = rate * (180_000 / math.pi) + forced
        valid = (times - self.gyro_on_ps / PS_PER_S) * (PS_PER_S / GYRO_TURN_ON_PS)
        mdps = mdps * np.clip(valid, 0.0, 1.0)
        return self._quantise(mdps.T / scale, GYRO_NOISE_MDPS * math.sqrt(bandwidth) / scale)

    def temperature(self, times: npt.NDArray[np.float64]) -> Words:
        """(times,) of the temperature sensor (DS table 4)."""
        _, _, celsius = over(self.motion, times)
        counts = np.rint((celsius - TEMPERATURE_ZERO_C) * TEMPERATURE_LSB_PER_C)
        return np.clip(counts, -32768, 32767).astype(np.int16)


def _code(control: int) -> int:
    """ODR of CTRL1_XL or CTRL2_G; code 11, 1.6 Hz, is 12.5 Hz in high-performance mode (DS 9.12)."""
    code = control >> 4
    return 1 if code == 11 else code


def every(control: int) -> int | None:
    """Ticks a sample by CTRL1_XL or CTRL2_G, None in power-down."""
    return EVERY.get(_code(control))
