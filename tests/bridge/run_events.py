"""Events to record: a board's as the hub would pass them on, and what a run of them must hold."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bridge import session_helpers
from telemetry_bridge.events import (
    Batch,
    ClockInfo,
    DeviceChanged,
    DeviceInfo,
    EpochStarted,
    Event,
    FieldInfo,
    LinkStats,
    StreamInfo,
)
from telemetry_bridge.recording import Recorder, Run, RunInfo, read
from telemetry_bridge.recording.run_file import RunFile
from telemetry_protocol import SampleLayout, messages

DEVICE = "000102030405060708090a0b"
START_NS = 1_700_000_000_000_000_000
PERIOD_NS = 1_000_000
FIELDS = (FieldInfo("accel_x", "m/s^2", 100.0), FieldInfo("gyro_x", "rad/s", 50.0))
DESCRIPTOR = session_helpers.stream()
WIDER = session_helpers.stream(
    generation=2, fields=(dataclasses.replace(session_helpers.ACCEL, scale=0.75), session_helpers.GYRO)
)


def device(calibration: str | None = None) -> DeviceChanged:
    stream = StreamInfo(0, "imu", "lsm6dso", FIELDS, 1000.0, None, 1, 7, 0, "streaming", 10_000, True, calibration)
    info = DeviceInfo(
        DEVICE,
        "online",
        "nucleo",
        "1",
        "abc",
        DEVICE,
        "1001",
        "pin",
        921_600,
        "sim:",
        ClockInfo(),
        (stream,),
        LinkStats(),
    )
    return DeviceChanged(info)


def epoch(number: int = 7, next_index: int = 0, stream: str = "imu") -> EpochStarted:
    return EpochStarted(DEVICE, stream, number, "1001", FIELDS, next_index)


def batch(
    index: int,
    count: int = 10,
    *,
    epoch: int = 7,
    stream: str = "imu",
    descriptor: messages.Stream = DESCRIPTOR,
    seed: int = 0,
    gain: float | None = None,
) -> Batch:
    """Samples as the session makes them; `gain`: as a calibration of that gain leaves them."""
    counts = np.random.default_rng((seed, index)).integers(-32768, 32768, (count, 2), np.int16)
    raw = counts.astype("<i2").tobytes()
    nominal = SampleLayout(descriptor).si(raw)
    values: npt.NDArray[np.float32] = nominal if gain is None else (nominal * np.float32(gain)).astype(np.float32)
    time_ns = START_NS + index * PERIOD_NS
    return Batch(
        DEVICE,
        stream,
        epoch,
        index,
        time_ns,
        PERIOD_NS,
        1000 + index,
        values,
        descriptor.generation,
        raw,
        index,
        None if gain is None else nominal,
        descriptor,
    )


def record(path: Path, events: Sequence[Event], info: RunInfo | None = None) -> Run:
    """A run of these events."""
    recorder = Recorder(path, info or RunInfo(started_ns=START_NS))
    recorder.start()
    for event in events:
        recorder.handle(event)
    assert recorder.close()
    assert recorder.failure == ""
    return read(path)


class HeldFile(RunFile):
    """A disk that takes nothing until it is let go; the test knows when the thread waits for it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.goes = threading.Event()
        self.goes.set()
        self.waits = threading.Event()

    def flush(self) -> None:
        if self.is_waiting and not self.goes.is_set():
            self.waits.set()
            assert self.goes.wait(60)
        super().flush()
