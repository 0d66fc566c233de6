"""Applies calibrations to what passes from the session to the hub.

A batch of 40 samples of an IMU costs about 4 us (part of tools/bench/decode.py). The arithmetic is float32: against
float64 it errs by less than 4 x 2^-24 of the largest value of the sample, 37 um/s^2 at 16 g, where one count is 4,800.
"""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from telemetry_bridge.calibration.model import Calibration, Curve, Triad
from telemetry_bridge.calibration.store import Store
from telemetry_bridge.events import Batch, DeviceChanged, DeviceInfo, EpochStarted, Event

Floats: TypeAlias = npt.NDArray[np.float32]

_log = logging.getLogger(__name__)


class Correction:
    """The calibration of one stream, ready for its batches.

    All axes are one matrix product and one subtraction, y = A x - A b: a stream's other fields have a row of the unit
    matrix. The temperature is the latest of the sensor's own thermometer; before its first value, and for a stream
    that has none, it is the T0 of the calibration: the bias then is b0. A value that is not finite spoils its sample
    only.
    """

    def __init__(self, calibration: Calibration, fields: Sequence[str]) -> None:
        """Prepare for a stream with these fields."""
        size = len(fields)
        self.calibration = calibration
        self.fields = tuple(fields)
        self._matrix = np.eye(size, dtype=np.float32)
        self._triads: list[tuple[Triad, list[int]]] = []
        for name, triad in calibration.triads().items():
            wanted = [f"{name}_{axis}" for axis in "xyz"]
            if all(field in fields for field in wanted):
                rows = [fields.index(field) for field in wanted]
                self._matrix[np.ix_(rows, rows)] = triad.matrix
                self._triads.append((triad, rows))
        self._curve = calibration.temperature if "temperature" in fields else None
        self._row = fields.index("temperature") if "temperature" in fields else 0
        self._shift = np.zeros((size, 1), np.float32)
        self.depends_on_temperature = any(triad.thermal is not None for triad, _ in self._triads)
        self.temperature_c = math.nan
        self.warm_to(math.nan)

    @property
    def changes_anything(self) -> bool:
        """Whether the stream has any of the fields that the calibration is for."""
        return bool(self._triads) or self._curve is not None

    def warm_to(self, temperature_c: float) -> None:
        """Take the bias at a temperature; nan: unknown."""
        self.temperature_c = temperature_c
        for triad, rows in self._triads:
            self._shift[rows, 0] = np.array(triad.matrix) @ bias_at(triad, temperature_c)

    def apply(self, values: Floats) -> Floats:
        """Calibrated values from nominal ones, shape ``(fields, samples)``; read-only."""
        made: Floats = self._matrix @ values
        made -= self._shift
        if self._curve is not None:
            made[self._row] = corrected_temperature(self._curve, values[self._row])
        made.setflags(write=False)
        return made


def bias_at(triad: Triad, temperature_c: float) -> npt.NDArray[np.float64]:
    """b(T); with the temperature unknown (nan) b0, outside the range of the sweep that of its end.

    At T0 it is b0, also where T0 is outside: then the drift is taken to begin at the end of the range that is nearer.
    """
    bias = np.array(triad.bias)
    thermal = triad.thermal
    if thermal is not None and triad.temperature_c is not None and math.isfinite(temperature_c):
        low, high = thermal.range_c
        warmth = min(max(temperature_c, low), high) - triad.temperature_c
        start = min(max(triad.temperature_c, low), high) - triad.temperature_c
        for order, coefficients in enumerate(thermal.coefficients, start=1):
            bias += np.array(coefficients) * (warmth**order - start**order)
    return bias


def corrected_temperature(curve: Curve, nominal_c: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """A thermometer's calibrated values, degC."""
    inside = np.clip(nominal_c.astype(np.float64), *curve.range_c)
    return np.asarray(np.polynomial.polynomial.polyval(inside, curve.coefficients) + (nominal_c - inside))


class Calibrator:
    """A stage of a line (``telemetry_bridge.line.Stage``): nominal batches in, calibrated ones out.

    One belongs to one line; the store may be shared. What has no calibration passes untouched.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._devices: dict[str, DeviceInfo] = {}  # as the session told them
        self._corrections: dict[tuple[str, str], Correction] = {}
        self._thermometers: dict[tuple[str, str], Correction] = {}  # whom a stream keeps warm
        self._changed: list[Event] = []

    def reload(self) -> None:
        """Take what the store has now into force, from the next event on; the devices are announced again before it."""
        self._changed = [self._learn(device) for device in self._devices.values()]

    def process(self, event: Event) -> Iterable[Event]:
        """The same event, a batch with calibrated values, or a device with the ids of its calibrations."""
        if self._changed:
            changed, self._changed = self._changed, []
            return [*changed, *self._one(event)]
        return self._one(event)

    def _one(self, event: Event) -> tuple[Event, ...]:
        if type(event) is Batch:
            key = event.device, event.stream
            warmed = self._thermometers.get(key)
            if warmed is not None:
                warmed.warm_to(float(event.values[0, -1]))
            correction = self._corrections.get(key)
            return (event,) if correction is None else (_replaced(event, correction),)
        if type(event) is DeviceChanged:
            return (self._learn(event.device),)
        if type(event) is EpochStarted:
            self._fit_to(event)
        return (event,)

    def _learn(self, device: DeviceInfo) -> DeviceChanged:
        """Look up the calibrations of a device that appeared or changed."""
        self._devices[device.id] = device
        streams = []
        for stream in device.streams:
            found = self._store.find(device.id, stream.name, stream.sensor)
            names = tuple(field.name for field in stream.fields)
            identifier = self._use(device.id, stream.name, found, names)
            streams.append(dataclasses.replace(stream, calibration=identifier))
        return DeviceChanged(dataclasses.replace(device, streams=tuple(streams)))

    def _fit_to(self, epoch: EpochStarted) -> None:
        """An epoch may bring other fields before its device is told again."""
        correction = self._corrections.get((epoch.device, epoch.stream))
        if correction is not None:
            names = tuple(field.name for field in epoch.fields)
            self._use(epoch.device, epoch.stream, correction.calibration, names)

    def _use(self, device: str, stream: str, found: Calibration | None, fields: tuple[str, ...]) -> str | None:
        """Apply a calibration to a stream from now on; its id, None if there is nothing to apply."""
        key, thermometer = (device, stream), (device, f"{stream}_temp")
        known = self._corrections.get(key)
        if found is None:
            self._corrections.pop(key, None)
            self._thermometers.pop(thermometer, None)
            return None
        if known is not None and known.calibration.id == found.id and known.fields == fields:
            return found.id
        correction = Correction(found, fields)
        if not correction.changes_anything:
            _log.warning(
                "%s %s: calibration %s is for other fields: not used",
                device,
                stream,
                found.id,
                extra={"device": device, "stream": stream},
            )
            return self._use(device, stream, None, fields)
        if known is not None:
            correction.warm_to(known.temperature_c)
        self._corrections[key] = correction
        self._thermometers.pop(thermometer, None)
        if correction.depends_on_temperature:
            self._thermometers[thermometer] = correction
        said = {"device": device, "stream": stream, "calibration": found.id}
        _log.info("%s %s: calibration %s", device, stream, found.id, extra=said)
        return found.id


def _replaced(batch: Batch, correction: Correction) -> Batch:
    # not dataclasses.replace, which costs twice as much as the arithmetic
    return Batch(
        batch.device,
        batch.stream,
        batch.epoch,
        batch.index,
        batch.time_ns,
        batch.period_ns,
        batch.uncertainty_ns,
        correction.apply(batch.values),
        batch.generation,
        batch.raw,
        batch.received_ns,
        batch.values,
        batch.descriptor,
    )
