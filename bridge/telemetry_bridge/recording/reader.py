"""A run read back: all of a whole file, and of one that is cut everything up to the last whole chunk."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
import zstandard
from mcap.exceptions import InvalidMagic, McapError
from mcap.records import Channel, McapRecord, Message, Metadata
from mcap.stream_reader import StreamReader

from telemetry_bridge.calibration import Calibration
from telemetry_bridge.errors import RunError
from telemetry_bridge.events import DeviceInfo, EpochStarted, FieldInfo, JsonMessage, Mark
from telemetry_bridge.recording.format import (
    END,
    RUN,
    STOPPED,
    RecordedBatch,
    RecordedDescriptor,
    RecordedGap,
    RunInfo,
    decode_batch,
)
from telemetry_bridge.recording.samples import Piece, Samples
from telemetry_protocol import messages

LARGEST_RECORD: Final = 256 * 1024 * 1024
"""A record that says it is longer is damage: ours are of some 64 KiB, the index of a day of 100 MB at most."""
_DAMAGE: Final = (McapError, struct.error, ValueError, zstandard.ZstdError, MemoryError)
"""What the library and ours raise on bytes that are no records; EndOfFile is a McapError."""


@dataclass(eq=False)
class Run:
    """What is in a run.

    Attributes:
        ended: why it ended, as the recorder wrote it; empty if it could not.
        trouble: where and why the file cannot be read on; empty if it is whole.
        devices: as they were told last, by id.
        calibrations: those that were in force, by id.
        messages: health, log and faults, in the order of the file.
    """

    path: Path
    size: int
    info: RunInfo
    ended: str = ""
    ended_ns: int | None = None
    trouble: str = ""
    devices: dict[str, DeviceInfo] = field(default_factory=dict)
    calibrations: dict[str, Calibration] = field(default_factory=dict)
    marks: list[Mark] = field(default_factory=list)
    messages: list[JsonMessage] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """The file has its end."""
        return not self.trouble

    @property
    def streams(self) -> list[tuple[str, str]]:
        """Device and name of each stream that had an epoch, in the order of the file."""
        return list(dict.fromkeys((piece.start.device, piece.start.stream) for piece in self.pieces))

    def samples(self, device: str, stream: str) -> Samples:
        """The samples of one stream.

        Raises:
            RunError: it is not in the run, or its fields change within it.
        """
        found = [piece for piece in self.pieces if (piece.start.device, piece.start.stream) == (device, stream)]
        if not found:
            there = ", ".join(f"{owner} {name}" for owner, name in self.streams) or "none"
            raise RunError(f"{self.path}: there is no stream {stream} of {device}; there are: {there}")
        return Samples(device, stream, found)

    @property
    def lost_by_recorder(self) -> int:
        """Samples that came to the recorder and are not in the file, as far as the file knows."""
        return sum(gap.count or 0 for piece in self.pieces for gap in piece.gaps if gap.by_recorder)

    @property
    def is_complete(self) -> bool:
        """Everything that came while the run was meant to go on is in it."""
        return self.is_whole and self.ended == STOPPED and not self.lost_by_recorder


def read(path: Path) -> Run:
    """Read a run.

    Raises:
        RunError: the file cannot be opened or holds no run. One line.
    """
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            return _Assembly(path, size).run(file)
    except OSError as error:
        raise RunError(f"{path}: {error.strerror}") from None


@dataclass(slots=True)
class _Stream:
    """Where one stream stands while the file is read."""

    piece: Piece | None = None
    descriptor: messages.Stream | None = None
    calibration: str | None = None


class _Assembly:
    """Puts a run together, record by record."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size
        self._run: Run | None = None
        self._channels: dict[int, tuple[Channel, int, tuple[str, str]]] = {}  # with fields and stream of batches
        self._streams: dict[tuple[str, str], _Stream] = {}

    def run(self, file: BinaryIO) -> Run:
        """Read to the end, or to where the file cannot be read on."""
        trouble, cut = "", False
        try:
            for record in self._records(file):
                self._take(record)
        except InvalidMagic:
            if self._run is None:
                raise RunError(f"{self._path}: this is no MCAP file") from None
            cut = True
        except _DAMAGE as error:
            cut, trouble = True, str(error) if isinstance(error, ValueError) else ""
        if self._run is None:
            raise RunError(f"{self._path}: there is no run in it" + (f": {trouble}" if trouble else ""))
        if cut:
            at = file.tell()
            self._run.trouble = "it is cut" if at >= self._size else f"it is damaged before byte {at:,} ({trouble})"
        return self._run

    @staticmethod
    def _records(file: BinaryIO) -> Iterator[McapRecord]:
        yield from StreamReader(file, validate_crcs=True, record_size_limit=LARGEST_RECORD).records

    def _take(self, record: McapRecord) -> None:
        match record:
            case Metadata(name=name, metadata=metadata) if name == RUN:
                self._run = Run(self._path, self._size, RunInfo.of(metadata))
            case Metadata(name=name, metadata=metadata) if name == END and self._run is not None:
                self._run.ended = metadata.get("reason", "")
                self._run.ended_ns = int(metadata.get("ended_ns", "0"))
            case Channel():
                self._channels[record.id] = (record, *_stream_of(record))
            case Message() if self._run is not None:
                if record.channel_id not in self._channels:
                    raise ValueError("a message of an unknown channel")
                channel, fields, key = self._channels[record.channel_id]
                if channel.message_encoding == "protobuf":
                    self._batch(key, decode_batch(record.data, fields))
                else:
                    self._event(self._run, channel.topic, record.data)
            case _:
                pass

    def _batch(self, key: tuple[str, str], batch: RecordedBatch) -> None:
        stream = self._streams.get(key)
        if stream is None or stream.piece is None:
            raise ValueError("a batch of no epoch")
        stream.piece.batches.append(batch)
        stream.piece.descriptors.append(stream.descriptor)
        stream.piece.calibrations.append(stream.calibration)

    def _event(self, run: Run, topic: str, data: bytes) -> None:
        kind = topic.rpartition("/")[2]
        if kind == "device":
            device = msgspec.json.decode(data, type=DeviceInfo)
            run.devices[device.id] = device
            for info in device.streams:
                self._stream(device.id, info.name).calibration = info.calibration
        elif kind == "epoch":
            start = msgspec.json.decode(data, type=EpochStarted)
            stream = self._stream(start.device, start.stream)
            stream.piece = Piece(start)
            run.pieces.append(stream.piece)
        elif kind == "gap":
            gap = msgspec.json.decode(data, type=RecordedGap)
            piece = self._stream(gap.device, gap.stream).piece
            if piece is None:
                raise ValueError("a gap of no epoch")
            piece.gaps.append(gap)
        elif kind == "descriptor":
            descriptor = msgspec.json.decode(data, type=RecordedDescriptor)
            self._stream(descriptor.device, descriptor.stream).descriptor = descriptor.message()
        elif kind == "calibration":
            calibration = msgspec.json.decode(data, type=Calibration)
            run.calibrations[calibration.id] = calibration
        elif kind == "marks":
            run.marks.append(msgspec.json.decode(data, type=Mark))
        elif kind in {"health", "log", "fault", "mark"}:
            run.messages.append(msgspec.json.decode(data, type=JsonMessage))

    def _stream(self, device: str, name: str) -> _Stream:
        return self._streams.setdefault((device, name), _Stream())


def _stream_of(channel: Channel) -> tuple[int, tuple[str, str]]:
    """Number of fields, device and stream of a channel of batches."""
    if channel.message_encoding != "protobuf":
        return 0, ("", "")
    fields = msgspec.json.decode(channel.metadata["fields"], type=tuple[FieldInfo, ...])
    return len(fields), (channel.metadata["device"], channel.metadata["stream"])
