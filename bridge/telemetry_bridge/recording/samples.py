"""The samples of one stream of a run as arrays."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from telemetry_bridge.errors import RunError
from telemetry_bridge.events import EpochStarted, FieldInfo
from telemetry_bridge.recording.format import RecordedBatch, RecordedGap
from telemetry_protocol import SampleLayout, messages

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


@dataclass(eq=False)
class Piece:
    """One epoch of one stream: its batches in the order of the file, each with what it was made with.

    Attributes:
        start: how the epoch was announced; its ``next_index`` is where the recording of it begins.
        calibrations: id of the calibration of each batch; None: nominal.
    """

    start: EpochStarted
    batches: list[RecordedBatch] = field(default_factory=list)
    descriptors: list[messages.Stream | None] = field(default_factory=list)
    calibrations: list[str | None] = field(default_factory=list)
    gaps: list[RecordedGap] = field(default_factory=list)

    @property
    def samples(self) -> int:
        """How many there are."""
        return sum(batch.samples for batch in self.batches)

    @property
    def unaccounted(self) -> int:
        """Samples between the first and the last that neither are here nor are named by a gap; 0 in a whole run."""
        known = [(batch.index, batch.samples) for batch in self.batches]
        known += [(gap.index, gap.count) for gap in self.gaps if gap.count is not None]
        if not known:
            return 0
        end = max(index + count for index, count in known)
        return end - self.start.next_index - sum(count for _, count in known)


class Samples:
    """What a run has of one stream, all epochs in one.

    Attributes:
        fields: of the stream, in the order of the rows of ``values``.
        gaps: what is missing, in the order of the file.
    """

    def __init__(self, device: str, stream: str, pieces: Sequence[Piece]) -> None:
        """Put epochs together.

        Raises:
            RunError: the stream had other fields in another epoch.
        """
        self.device = device
        self.stream = stream
        self.pieces = tuple(pieces)
        if len({tuple((one.name, one.unit) for one in piece.start.fields) for piece in pieces}) > 1:
            raise RunError(f"{device} {stream}: the fields change within the run; take its epochs one by one")
        self.fields: tuple[FieldInfo, ...] = pieces[-1].start.fields
        self.gaps = tuple(gap for piece in pieces for gap in piece.gaps)
        self._batches = [batch for piece in pieces for batch in piece.batches]
        self._counts = np.array([batch.samples for batch in self._batches], np.int64)

    def __len__(self) -> int:
        return int(self._counts.sum())

    def _each(self, name: str) -> Integers:
        return np.repeat(np.array([getattr(batch, name) for batch in self._batches], np.int64), self._counts)

    @cached_property
    def _within(self) -> Integers:
        """Place of each sample in its batch."""
        return np.arange(len(self)) - np.repeat(np.cumsum(self._counts) - self._counts, self._counts)

    @cached_property
    def index(self) -> Integers:
        """Index of each sample within its epoch."""
        return self._each("index") + self._within

    @cached_property
    def epoch(self) -> Integers:
        """Epoch of each sample."""
        return self._each("epoch")

    @cached_property
    def time_ns(self) -> Integers:
        """Unix time of each sample, ns."""
        return self._each("time_ns") + self._within * self._each("period_ns")

    @cached_property
    def uncertainty_ns(self) -> Integers:
        """Bound on the error of each time, ns."""
        return self._each("uncertainty_ns")

    @cached_property
    def values(self) -> Floats:
        """SI values as they were delivered, calibrated where a calibration was in force; ``(fields, samples)``."""
        return _joined([batch.values for batch in self._batches], len(self.fields))

    @cached_property
    def nominal(self) -> Floats:
        """SI values without calibration, from the raw samples; ``(fields, samples)``."""
        made = []
        for piece in self.pieces:
            paired = zip(piece.batches, piece.descriptors, strict=True)
            for _, group in itertools.groupby(paired, key=lambda pair: (id(pair[1]), bool(pair[0].raw))):
                batches, descriptors = zip(*group, strict=True)
                if descriptors[0] is None or not batches[0].raw:
                    made += [batch.values for batch in batches]
                else:
                    made.append(SampleLayout(descriptors[0]).si(b"".join(batch.raw for batch in batches)))
        return _joined(made, len(self.fields))

    @property
    def calibrations(self) -> tuple[str, ...]:
        """Ids of the calibrations that ``values`` were made with, in the order of the file."""
        ids = (one for piece in self.pieces for one in piece.calibrations if one is not None)
        return tuple(dict.fromkeys(ids))

    @property
    def descriptors(self) -> tuple[messages.Stream, ...]:
        """The descriptors that the raw samples were made with, in the order of the file."""
        found = (one for piece in self.pieces for one in piece.descriptors if one is not None)
        return tuple({id(one): one for one in found}.values())

    @property
    def unaccounted(self) -> int:
        """Samples that neither are here nor are named by a gap; 0 in every run that this recorder made."""
        return sum(piece.unaccounted for piece in self.pieces)

    @property
    def span_ns(self) -> tuple[int, int] | None:
        """Unix times of the first and the last sample; None if there is none."""
        if not self._batches:
            return None
        ends = [batch.time_ns + (batch.samples - 1) * batch.period_ns for batch in self._batches]
        return min(batch.time_ns for batch in self._batches), max(ends)


def _joined(parts: Sequence[Floats], fields: int) -> Floats:
    return np.concatenate(parts, axis=1) if parts else np.zeros((fields, 0), np.float32)
