"""What the tests of inertial sensors have in common."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from firmware.host_board import HostBoard
from telemetry_protocol import SampleLayout, messages
from virtual_board.motion import STANDARD_GRAVITY, Feeling

IMU, IMU_TEMP = 0, 1
STREAMING, MISSING, FAILING = 1, 2, 3


@dataclass(frozen=True)
class Ramp:
    """Every sample differs: accel_x grows by `lsb` (at +-4 g) a period of `rate_hz`."""

    rate_hz: float = 1000.0
    lsb: float = STANDARD_GRAVITY / 8192

    def at(self, t: float) -> Feeling:
        """Gravity, and the ramp."""
        return Feeling((t * self.rate_hz * self.lsb, 0.0, STANDARD_GRAVITY), (0.0, 0.0, 0.0), 25.0)


@dataclass(frozen=True)
class Constant:
    """All six axes differ."""

    def at(self, t: float) -> Feeling:  # noqa: ARG002
        """m/s^2, rad/s, degC."""
        return Feeling((9.0, -4.5, 1.25), (0.5, -1.5, 3.0), 31.25)


def descriptor(board: HostBoard, stream: int) -> messages.Stream:
    """The latest of a stream."""
    found = [m for m in board.received if isinstance(m, messages.Stream) and m.stream_gen & 31 == stream]
    return found[-1]


def assert_constant_in_si(board: HostBoard, *, temperature_lsb: float) -> None:
    """The first samples are what :class:`Constant` lets feel, to the resolution at +-4 g and +-500 deg/s."""
    values = SampleLayout(descriptor(board, IMU)).si(board.samples(IMU)[0].data)
    np.testing.assert_allclose(values[:, 0], [9.0, -4.5, 1.25, 0.5, -1.5, 3.0], atol=0.0007)
    temperature = SampleLayout(descriptor(board, IMU_TEMP)).si(board.samples(IMU_TEMP)[0].data)
    np.testing.assert_allclose(temperature[0, 0], 31.25, atol=temperature_lsb)


def ticks(board: HostBoard, stream: int) -> list[int]:
    """Indexes of all samples that came."""
    size = 12 if stream == IMU else 2
    return [batch.index + i for batch in board.samples(stream) for i in range(len(batch.data) // size)]


def raw(board: HostBoard, generation: int | None = None) -> list[int]:
    """accel_x of every sample, or of those of a generation."""
    return [
        int.from_bytes(batch.data[at : at + 2], "little", signed=True)
        for batch in board.samples(IMU)
        if generation is None or batch.stream_gen >> 5 == generation
        for at in range(0, len(batch.data), 12)
    ]


def assert_times_are_edges(board: HostBoard, *, begin_us: int = 0, period_us: float = 0, within_us: float = 4) -> None:
    """Each batch begins at a tick of the sensor: at a data-ready edge, or whole periods before one."""
    edges = np.array(board.edges)
    seen = [batch.time_us for batch in board.samples(IMU) if batch.time_us > begin_us]
    assert seen
    for time in seen:
        edge = edges[np.searchsorted(edges, time - within_us)] if time <= edges[-1] + within_us else edges[-1]
        off = edge - time
        if period_us:
            off -= round(off / period_us) * period_us
        assert abs(off) <= within_us, (time, edge, off)


def assert_holes_are(board: HostBoard, lost: int, *, step: int = 1) -> None:
    """The index tells of as many missing samples as were counted, and each hole is where the samples are missing."""
    indexes, values = ticks(board, IMU), raw(board)
    assert indexes[-1] + 1 - len(indexes) == lost
    offsets = {value - step * index for value, index in zip(values, indexes, strict=True)}
    assert max(offsets) - min(offsets) <= step - 1, offsets
