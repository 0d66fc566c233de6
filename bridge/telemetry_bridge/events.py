"""What passes from the session through the hub to the sinks. Every event is an immutable value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from telemetry_protocol import messages

DeviceState: TypeAlias = Literal["online", "offline", "released", "replay"]
ClockState: TypeAlias = Literal["unsynced", "converging", "locked"]
GapCause: TypeAlias = Literal["device", "wire", "host", "subscriber"]
JsonStream: TypeAlias = Literal["health", "log", "fault", "mark"]
WireArgs: TypeAlias = Mapping[str, float]
"""Arguments of a command by the names and in the units of the wire's table; whole numbers where that says so."""
WireData: TypeAlias = Mapping[str, Any]
"""Result or refusal of a command: numbers, or tuples of the table's records."""


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """One field of a stream.

    Attributes:
        name: ``accel_x``, ``gyro_z``, ``temperature`` …
        unit: SI unit of the values: ``m/s^2``, ``rad/s``, ``degC``, ``V``.
        full_scale: largest magnitude the sensor can report, in ``unit``; 0 where it has none.
    """

    name: str
    unit: str
    full_scale: float = 0.0


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """A stream as its newest descriptor and the newest HEALTH state it.

    Attributes:
        number: stream number on the wire, 0 … 31.
        rate_hz: nominal output data rate.
        measured_rate_hz: rate by the board's clock, as the samples show it, else as the board says; None until known.
        epoch: the run of the index that goes on now.
        latency_us: how old a sample is at most when its batch is ready for the line.
        enabled: False if the host has disabled it: no samples, and the index stands still.
        state: ``streaming``, ``stopped``, ``missing``, ``failing``, ``absent``.
        calibration: id of the calibration that its values are made with; None: nominal.
        derived_from: name of the stream that the bridge computes this one from; None: it is the board's own.
    """

    number: int
    name: str
    sensor: str
    fields: tuple[FieldInfo, ...]
    rate_hz: float
    measured_rate_hz: float | None
    generation: int
    epoch: int
    group_delay_us: int
    state: str
    latency_us: int
    enabled: bool
    calibration: str | None = None
    derived_from: str | None = None


@dataclass(frozen=True, slots=True)
class ClockInfo:
    """How well the device's clock is known on the host's time axis.

    Attributes:
        offset_ns: Unix time minus device time, None while unsynced.
        drift_ppm: how much faster the device's clock runs than the host's.
        uncertainty_ns: bound on the error of a time stamp made now, None while unsynced.
    """

    state: ClockState = "unsynced"
    offset_ns: int | None = None
    drift_ppm: float | None = None
    uncertainty_ns: int | None = None


@dataclass(frozen=True, slots=True)
class LinkStats:
    """What the line has done since it was opened: the decoder's counters and what the session refused."""

    bytes: int = 0
    frames: int = 0
    damaged_cobs: int = 0
    damaged_crc: int = 0
    damaged_short: int = 0
    damaged_long: int = 0
    partial: int = 0
    refused_type: int = 0
    refused_length: int = 0
    missing_frames: int = 0
    duplicates: int = 0
    held_dropped: int = 0
    unknown_answers: int = 0


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """A board, or what is known of it.

    Attributes:
        id: stable: the MCU's unique id in hex, else derived from the link.
        link: URI of the link.
        warning: something a human should know, e.g. a protocol table that differs; empty if none.
    """

    id: str
    state: DeviceState
    board: str
    firmware: str
    revision: str
    uid: str
    boot_id: str
    reset_cause: str
    baud: int
    link: str
    clock: ClockInfo
    streams: tuple[StreamInfo, ...]
    stats: LinkStats
    warning: str = ""


@dataclass(frozen=True, slots=True)
class DeviceChanged:
    """A device appeared, changed or went (``state`` offline)."""

    device: DeviceInfo


@dataclass(frozen=True, slots=True)
class EpochStarted:
    """A stream's index starts anew: first seen, reboot, or other fields. Comes before the first data of the epoch."""

    device: str
    stream: str
    epoch: int
    boot_id: str
    fields: tuple[FieldInfo, ...]
    next_index: int


class Batch(msgspec.Struct, frozen=True, eq=False):
    """Samples without a hole, of one epoch and one rate.

    Attributes:
        index: index of the first sample within the epoch, 64 bits.
        time_ns: Unix time of the first sample.
        period_ns: time between samples of the stream; 0, and a single sample, if irregular or slower than 4 s.
        uncertainty_ns: bound on the error of ``time_ns``.
        values: float32, shape ``(fields, samples)``, C-contiguous, SI units, read-only.
        generation: generation of the descriptor that made ``values``.
        raw: the sample block as it came, for recorders and recalibration.
        received_ns: host's monotonic time at which the last byte was read.
        nominal: ``values`` without calibration; None where none was applied, so that both are the same.
        descriptor: what ``raw`` was read with; None for a stream that the bridge computes, which has no ``raw``.

    There are thousands a second: a Struct is made in a fifth of the time of a frozen dataclass.
    """

    device: str
    stream: str
    epoch: int
    index: int
    time_ns: int
    period_ns: int
    uncertainty_ns: int
    values: npt.NDArray[np.float32]
    generation: int
    raw: bytes
    received_ns: int
    nominal: npt.NDArray[np.float32] | None = None
    descriptor: messages.Stream | None = None

    @property
    def samples(self) -> int:
        """Number of samples in the batch."""
        return int(self.values.shape[1])

    def part(self, start: int, stop: int) -> Batch:
        """The samples ``start … stop - 1``; those of an irregular batch (``period_ns`` 0) keep its one time."""
        size = len(self.raw) // self.samples
        return msgspec.structs.replace(
            self,
            index=self.index + start,
            time_ns=self.time_ns + start * self.period_ns,
            values=self.values[:, start:stop],
            raw=self.raw[start * size : stop * size],
            nominal=None if self.nominal is None else self.nominal[:, start:stop],
        )


@dataclass(frozen=True, slots=True)
class Gap:
    """Samples that will never come.

    Attributes:
        index: first missing index.
        count: how many, None if that cannot be known.
        estimated: whether ``count`` is an estimate.
        cause: ``device``, ``wire``, ``host`` or ``subscriber``.
    """

    device: str
    stream: str
    epoch: int
    index: int
    count: int | None
    cause: GapCause
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class JsonMessage:
    """Health, a log line or a fault record, as JSON-ready values in SI units.

    Attributes:
        time_ns: Unix time of the snapshot, None while the clock is unsynced.
        body: e.g. for health ``{"uptime_s": 12, "cpu": 0.031, "supply_v": 3.3, …, "streams": {"imu": {…}}}``.
    """

    device: str
    stream: JsonStream
    time_ns: int | None
    body: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Mark:
    """A note that a client has put on the time axis.

    Attributes:
        device: id of the device that it is about, or ``*``.
        time_ns: Unix time at which the bridge took it.
    """

    device: str
    time_ns: int
    text: str


@dataclass(frozen=True, slots=True)
class CommandDone:
    """The one end of a command.

    Attributes:
        request: what :meth:`Session.command` returned.
        status: name of the wire's status, or ``timeout``.
        data: the result or refusal fields.
        message: one line for a human; empty when ok.
        args: as the command was sent; empty where it was not answered.
    """

    device: str
    request: int
    name: str
    status: str
    data: WireData
    message: str = ""
    args: WireArgs = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether the command was carried out."""
        return self.status == "ok"


Event: TypeAlias = DeviceChanged | EpochStarted | Batch | Gap | JsonMessage | Mark | CommandDone
