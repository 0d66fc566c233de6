"""Samples of a recorded run, to compute a calibration from."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from telemetry_bridge.calibration.recording import Array, Chunk, Origin, Recording
from telemetry_bridge.errors import CalibrationError
from telemetry_bridge.events import FieldInfo
from telemetry_bridge.recording import Samples, read


def read_run(path: Path, device: str, stream: str, thermometer: str) -> Recording:
    """Nominal samples of one stream, whatever calibration was in force, with the temperature beside them.

    Args:
        device: id, or the start of one; empty: the only one that has the stream.
        thermometer: stream of the temperature that goes with the samples, if it was recorded.

    Raises:
        BridgeError: the file holds no run, or not what is needed. One line.
    """
    run = read(path)
    found = [owner for owner, name in run.streams if name == stream and owner.startswith(device)]
    if len(found) != 1:
        what = (
            "more than one board, say which (--device)"
            if found
            else f"no board {device} with a stream {stream}; it has"
        )
        names = ", ".join(found or (f"{owner} {name}" for owner, name in run.streams)) or "nothing"
        raise CalibrationError(f"{path}: there is {what}: {names}")
    samples = run.samples(found[0], stream)
    if len(samples) < 2:
        raise CalibrationError(f"{path}: there are {len(samples)} samples of {stream}")
    time_ns = samples.time_ns
    if not np.all(np.diff(time_ns) > 0):
        raise CalibrationError(f"{path}: the times of {stream} do not go forward: was the board reset meanwhile?")
    warmth = np.full(time_ns.size, np.nan)
    if (found[0], thermometer) in run.streams:
        warmth = _beside(run.samples(found[0], thermometer), samples)
    info = next((one for one in run.devices[found[0]].streams if one.name == stream), None)
    origin = Origin(found[0], stream, "" if info is None else info.sensor, _fields(samples))
    return Recording(origin, Chunk((time_ns - time_ns[0]) / 1e9, samples.nominal.astype(np.float64), warmth))


def _beside(thermometer: Samples, samples: Samples) -> Array:
    """The last temperature before each sample, as a live session takes it; nan before the first."""
    places = np.searchsorted(thermometer.time_ns, samples.time_ns, side="right") - 1
    known = np.append(thermometer.nominal[0].astype(np.float64), np.nan)
    return np.asarray(known[places])


def _fields(samples: Samples) -> tuple[FieldInfo, ...]:
    """The fields with the smallest range that they had: a sample beyond it may have been clipped."""
    scales: dict[str, list[float]] = {}
    for descriptor in samples.descriptors:
        for field in descriptor.fields:
            scales.setdefault(field.name, []).append(field.full_scale)
    return tuple(
        dataclasses.replace(field, full_scale=min(scales.get(field.name, [field.full_scale])))
        for field in samples.fields
    )
