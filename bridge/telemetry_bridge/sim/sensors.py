"""The streams of the simulated board: what they measure, their descriptors, and their ticks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from telemetry_bridge.sim.motion import GRAVITY, Array, HandMotion, Motion
from telemetry_bridge.sim.poses import Errors, Poses, Rest
from telemetry_protocol import messages, stream_gen

BATCH_BYTES: Final = 480
"""SPEC.md, "Streams": a frame is sent when the next sample would not fit in this."""
FAST_LATENCY_US: Final = 25_000
SLOW_LATENCY_US: Final = 50_000
FAST_HZ: Final = 500.0
LATENCY_MIN_US: Final = 1_000
LATENCY_MAX_US: Final = 1_000_000
NEVER_NS: Final = 1 << 62

ACCEL_SCALE: Final = GRAVITY / 8192
"""MPU-6050 product specification, table 6.2: 8192 LSB/g at +-4 g."""
GYRO_SCALE: Final = math.radians(1 / 65.5)
"""MPU-6050 product specification, table 6.1: 65.5 LSB/(deg/s) at +-500 deg/s."""
IMU_FILTER_US: Final = 1_900
"""MPU-6050 register map, register 26: delay of the 184/188 Hz low-pass filter, 2.0 ms and 1.9 ms."""
IMU_SELF_TEST_PERCENT: Final = 14.0
"""MPU-6050 product specification, tables 6.1 and 6.2: change of the self-test response from the factory trim."""


@dataclass(frozen=True)
class Settings:
    """What the host may change of a stream.

    Attributes:
        full_scales: of each field; 0 where it has none.
        wanted_latency_us: 0 for the default of the rate.
    """

    rate_mhz: int
    full_scales: tuple[float, ...]
    wanted_latency_us: int = 0
    enabled: bool = True

    @property
    def latency_us(self) -> int:
        """How old a sample is at most when its batch is sent."""
        default_us = FAST_LATENCY_US if self.rate_mhz >= FAST_HZ * 1000 else SLOW_LATENCY_US
        return self.wanted_latency_us or default_us


@dataclass(frozen=True)
class Sensor:
    """What a stream measures.

    Attributes:
        rate_hz: nominal rate after boot.
        rates_hz: lowest and highest rate that set_rate takes.
        measure: SI values, shape ``(fields, n)``, at times in s, shape ``(n,)``.
        noise: standard deviation of each field, SI.
        ranges: the full scales that each field can have, from the smallest; fields that share them have one object.
        self_test_limit: responses of the self-test pass from minus to plus this, in percent; 0 where there is none.
    """

    name: str
    part: str
    rate_hz: float
    rates_hz: tuple[float, float]
    group_delay_us: int
    fields: tuple[messages.FieldDescriptor, ...]
    measure: Callable[[Array], Array]
    noise: tuple[float, ...]
    ranges: tuple[tuple[float, ...], ...]
    self_test_limit: float = 0.0

    @property
    def defaults(self) -> Settings:
        """What is in force when nothing is stored."""
        return Settings(round(self.rate_hz * 1000), tuple(field.full_scale for field in self.fields))

    def fields_at(self, settings: Settings) -> tuple[messages.FieldDescriptor, ...]:
        """The fields at these full scales: the scale goes with them."""
        return tuple(
            replace(field, full_scale=full_scale, scale=_f32(field.scale * full_scale / field.full_scale))
            if full_scale != field.full_scale
            else field
            for field, full_scale in zip(self.fields, settings.full_scales, strict=True)
        )

    @property
    def sample_bytes(self) -> int:
        """Size of a raw sample; all fields have two bytes."""
        return 2 * len(self.fields)

    def raw(self, time_s: Array, rng: np.random.Generator, settings: Settings) -> bytes:
        """Samples at ``time_s`` as they go into a SAMPLES frame."""
        fields = self.fields_at(settings)
        values = self.measure(time_s) + rng.normal(size=(len(self.fields), time_s.size)) * np.array([self.noise]).T
        scale = np.array([[field.scale] for field in fields])
        offset = np.array([[field.offset] for field in fields])
        counts = np.clip(np.rint((values - offset) / scale), -32768, 32767)
        return np.ascontiguousarray(counts.T, "<i2").tobytes()


MOTIONS: Final[Mapping[str, Callable[[int], Motion]]] = {"hand": HandMotion, "poses": Poses, "rest": lambda _: Rest()}
"""How the board moves, by name, given a seed."""


def sensors(seed: int, imu_hz: float, motion: str = "hand", errors: int = 0) -> tuple[Sensor, ...]:
    """The board's sensors, by stream number.

    Args:
        motion: one of :data:`MOTIONS`.
        errors: which specimen of the IMU; 0: a perfect one.
    """
    felt = MOTIONS[motion](seed).at
    specimen = Errors.draw(errors)
    accel = tuple(_f32(g * GRAVITY) for g in (2, 4, 8, 16))
    gyro = tuple(_f32(math.radians(dps)) for dps in (250, 500, 1000, 2000))
    return (
        Sensor(
            name="imu",
            part="simulated",
            rate_hz=imu_hz,
            rates_hz=(1.0, 8000.0),
            group_delay_us=IMU_FILTER_US,
            fields=(
                *(_field(f"accel_{axis}", "m/s^2", ACCEL_SCALE, 4 * GRAVITY) for axis in "xyz"),
                *(_field(f"gyro_{axis}", "rad/s", GYRO_SCALE, math.radians(500)) for axis in "xyz"),
            ),
            measure=(lambda time_s: specimen.spoil(felt(time_s))) if errors else felt,
            noise=(0.02,) * 3 + (0.001,) * 3,
            ranges=(accel,) * 3 + (gyro,) * 3,
            self_test_limit=IMU_SELF_TEST_PERCENT,
        ),
        _thermometer("imu_temp", 10.0, scale=1 / 340, offset=36.53, start=24.0, rise=7.0, time_constant_s=90.0),
        _thermometer("mcu_temp", 1.0, scale=0.01, offset=0.0, start=25.0, rise=9.0, time_constant_s=60.0),
    )


def _thermometer(
    name: str, rate_hz: float, *, scale: float, offset: float, start: float, rise: float, time_constant_s: float
) -> Sensor:
    """A die that warms up after power-on."""

    def measure(time_s: Array) -> Array:
        return np.asarray(start + rise * (1 - np.exp(-time_s / time_constant_s)))[np.newaxis, :]

    fields = (_field("temperature", "degC", scale, 0.0, offset),)
    return Sensor(name, "simulated", rate_hz, (0.1, 100.0), 0, fields, measure, (0.02,), ((),))


def _field(name: str, unit: str, scale: float, full_scale: float, offset: float = 0.0) -> messages.FieldDescriptor:
    return messages.FieldDescriptor(messages.FieldType.I16, _f32(scale), _f32(offset), _f32(full_scale), name, unit)


def _f32(value: float) -> float:
    return float(np.float32(value))


class Stream:
    """One stream since boot: its ticks in device time, its open batch, its losses."""

    def __init__(
        self,
        number: int,
        sensor: Sensor,
        *,
        generation: int,
        start_ns: int,
        odr_ppm: float,
        rng: np.random.Generator,
        settings: Settings | None = None,
    ) -> None:
        """Begin at device time ``start_ns``; the sensor's own oscillator is off by ``odr_ppm``."""
        self.number = number
        self._odr_ppm = odr_ppm
        self.sensor = sensor
        self.generation = generation
        self.settings = sensor.defaults if settings is None else settings
        self.next_index = 0
        self.lost = {"fifo": 0, "ring": 0, "bus": 0}
        self.is_missing = False
        """The sensor does not answer: no ticks."""
        self._rng = rng
        self._origin_index = 0
        self._origin_ns = start_ns
        self._open_index = 0
        self._to_lose = 0
        self._lose_cause = "fifo"

    def tick_ns(self, index: int) -> int:
        """Device time of a tick in ns: exact, so that the rate holds however long it runs."""
        return self._origin_ns + (index - self._origin_index) * 10**15 // self._rate_uhz

    @property
    def _rate_uhz(self) -> int:
        """What the sensor really does, in millionths of a hertz."""
        return round(self.settings.rate_mhz * (1000 + self._odr_ppm / 1000))

    @property
    def due_ns(self) -> int:
        """Device time at which the open batch is sent: full, or old."""
        if self._is_silent:
            return NEVER_NS
        return self.tick_ns(self._open_index + self.samples_in(self.settings) - 1)

    @property
    def _is_silent(self) -> bool:
        """No ticks: the index stands still."""
        return self.is_missing or not self.settings.enabled

    def samples_in(self, settings: Settings) -> int:
        """Samples in a frame: those that fit, or that come before the latency bound less half a period."""
        in_time = math.ceil(settings.latency_us * settings.rate_mhz / 1e9 - 0.5)
        return max(1, min(in_time, BATCH_BYTES // self.sensor.sample_bytes))

    def descriptor(self) -> messages.Stream:
        """STREAM message in force."""
        return messages.Stream(
            stream_gen=stream_gen(self.number, self.generation),
            rate_mhz=self.settings.rate_mhz,
            group_delay_us=self.sensor.group_delay_us,
            fifo_depth=0,
            name=self.sensor.name,
            sensor=self.sensor.part,
            fields=self.sensor.fields_at(self.settings),
            latency_us=self.settings.latency_us,
            enabled=int(self.settings.enabled),
        )

    def health(self, device_ns: int) -> messages.StreamHealth:
        """Entry in HEALTH at a device time."""
        state = messages.StreamState.MISSING if self.is_missing else messages.StreamState.STREAMING
        if not self.settings.enabled:
            state = messages.StreamState.STOPPED
        self._count(device_ns)
        lost = self.lost
        return messages.StreamHealth(self.number, state, self.next_index, lost["fifo"], lost["ring"], lost["bus"])

    def sensor_health(self, temperature_cdegc: int) -> messages.SensorHealth:
        """Entry of the sensor behind this stream in HEALTH, with the temperature of its die."""
        return messages.SensorHealth(self.number, round(self._rate_uhz / 1000), temperature_cdegc)

    def lose(self, samples: int, cause: str) -> None:
        """Let the sensor lose the next samples: ``fifo``, ``ring`` or ``bus``."""
        self._to_lose, self._lose_cause = samples, cause

    def go_missing(self, device_ns: int) -> messages.Samples | None:
        """Take the sensor away; the open batch."""
        batch = self.flush(device_ns)
        self.is_missing = True
        return batch

    def come_back(self, device_ns: int) -> None:
        """The sensor is there again: its ticks go on from now."""
        self._origin_index, self._origin_ns = self.next_index, device_ns
        self.is_missing = False

    def change(self, settings: Settings, device_ns: int) -> messages.Samples | None:
        """Take settings into force, with a new generation; the index goes on. The open batch, which is sent first."""
        batch = self.flush(device_ns)
        next_ns = device_ns if self._is_silent else max(device_ns, self.tick_ns(self.next_index))
        self._origin_index, self._origin_ns = self.next_index, next_ns
        self.settings = settings
        self.generation = (self.generation + 1) & 7
        return batch

    def flush(self, device_ns: int) -> messages.Samples | None:
        """The open batch as of ``device_ns``, closed; None if there is nothing in it."""
        self._count(device_ns)
        first, end = self._open_index, self.next_index
        lost = min(self._to_lose, end - first)
        self._to_lose -= lost
        self.lost[self._lose_cause] += lost
        first += lost
        self._open_index = end
        if first == end:
            return None
        first_ns = self.tick_ns(first)
        time_s = first_ns / 1e9 + np.arange(end - first) * (1e6 / self._rate_uhz)
        data = self.sensor.raw(np.asarray(time_s, np.float64), self._rng, self.settings)
        return messages.Samples(
            stream_gen(self.number, self.generation),
            first & 0xFFFF_FFFF,
            first_ns // 1000 & 0xFFFF_FFFF_FFFF,
            data,
        )

    def _count(self, device_ns: int) -> None:
        """Let the ticks up to ``device_ns`` pass."""
        if self._is_silent:
            return
        passed = (device_ns - self._origin_ns) * self._rate_uhz // 10**15 + 1 + self._origin_index
        while self.tick_ns(passed) <= device_ns:  # the floor of a tick's time may let one more pass
            passed += 1
        self.next_index = max(self.next_index, passed)
