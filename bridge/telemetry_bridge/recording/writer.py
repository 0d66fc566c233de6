"""Events into records: channels as they are needed, chunks that are closed by size and by time."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import IO, Any, Final, cast

import msgspec
import numpy as np
from mcap.records import Metadata
from mcap.writer import Writer

from telemetry_bridge.calibration import Calibration
from telemetry_bridge.events import (
    Batch,
    CommandDone,
    DeviceChanged,
    DeviceInfo,
    EpochStarted,
    FieldInfo,
    Gap,
    JsonMessage,
    Mark,
)
from telemetry_bridge.recording.backlog import Dropped, Item
from telemetry_bridge.recording.format import (
    END,
    LIBRARY,
    RUN,
    BatchFormat,
    RecordedDescriptor,
    RecordedGap,
    RunInfo,
    schema_of,
)
from telemetry_bridge.recording.run_file import RunFile
from telemetry_protocol import messages

CHUNK_BYTES: Final = 65536
CHUNK_S: Final = 0.125
"""How long a chunk is open. A kill costs that and what a busy machine takes to wake the thread: 250 ms are promised."""
SYNC_S: Final = 5.0
"""How often the file is made to last a power failure."""

CalibrationFinder = Callable[[str], Calibration | None]
_LARGEST_TIME: Final = 2**63 - 1


def _plain(value: object) -> object:
    """What msgspec does not know: numbers of numpy, from a stream that somebody's package derives."""
    if isinstance(value, np.generic):
        return value.item()
    raise NotImplementedError(f"{type(value).__name__} in an event")


_JSON: Final = msgspec.json.Encoder(enc_hook=_plain)


class _Channel:
    """A topic, and how many messages it has."""

    __slots__ = ("fields", "format", "messages", "number")

    def __init__(self, number: int, fields: tuple[FieldInfo, ...] = (), form: BatchFormat | None = None) -> None:
        self.number = number
        self.messages = 0
        self.fields = fields
        self.format = form


class RunWriter:
    """Writes the events of a run into its file; reads the clock for the age of the chunk only.

    Attributes:
        samples: how many are in the file, or in the chunk that is open.
    """

    def __init__(self, file: RunFile, info: RunInfo, calibration: CalibrationFinder = lambda _: None) -> None:
        """Begin the file.

        Raises:
            OSError: there is no room.
        """
        self.samples = 0
        self._file = file
        self._find_calibration = calibration
        self._writer = Writer(cast(IO[Any], file), chunk_size=CHUNK_BYTES)
        self._topics: dict[str, _Channel] = {}
        self._streams: dict[tuple[str, str], _Channel] = {}
        self._fields: dict[tuple[str, str], tuple[FieldInfo, ...]] = {}
        self._descriptors: dict[tuple[str, str], messages.Stream] = {}
        self._calibrations: dict[tuple[str, str], str] = {}
        self._opened_s: float | None = None  # when the first message of the open chunk came
        self._synced_s = time.monotonic()
        self._writer.start(library=LIBRARY)
        self._writer.add_metadata(RUN, info.metadata())
        file.flush()

    @property
    def closes_s(self) -> float | None:
        """When :meth:`tick` has to close the chunk, by the monotonic clock; None while it is empty."""
        return None if self._opened_s is None else self._opened_s + CHUNK_S

    def write(self, item: Item) -> None:
        """Add an event.

        Raises:
            OSError: no room, or the disk fails.
        """
        match item:
            case Batch():
                self._batch(item)
            case Dropped():
                lost = RecordedGap(item.device, item.stream, item.epoch, item.index, item.count, "host", False, True)
                self._json(f"/{item.device}/{item.stream}/gap", lost, time.time_ns())
            case Gap():
                kept = RecordedGap(**{field.name: getattr(item, field.name) for field in dataclasses.fields(item)})
                self._json(f"/{item.device}/{item.stream}/gap", kept, time.time_ns())
            case EpochStarted():
                self._fields[item.device, item.stream] = item.fields
                self._json(f"/{item.device}/{item.stream}/epoch", item, time.time_ns())
            case DeviceChanged(device=device):
                self._json(f"/{device.id}/device", device, time.time_ns())
                self._calibrations_of(device)
            case JsonMessage():
                stamp = time.time_ns() if item.time_ns is None else item.time_ns
                self._json(f"/{item.device}/{item.stream}", item, stamp)
            case Mark():
                self._json("/marks", item, item.time_ns)
            case CommandDone():
                pass  # an answer to one client; what it changed the device tells

    def tick(self) -> None:
        """Close the chunk if it is old enough.

        Raises:
            OSError: no room, or the disk fails.
        """
        now_s = time.monotonic()
        if self._opened_s is not None and now_s >= self._opened_s + CHUNK_S:
            self.flush()
        if now_s >= self._synced_s + SYNC_S:
            self._synced_s = now_s
            self._file.sync()

    def flush(self) -> None:
        """Close the chunk and hand it to the system.

        Raises:
            OSError: no room, or the disk fails.
        """
        self._writer.flush()  # type: ignore[no-untyped-call]
        self._opened_s = None

    def finish(self, reason: str) -> None:
        """Write the end and the index.

        Raises:
            OSError: no room, or the disk fails.
        """
        self.flush()  # the samples first: the index may find no room
        end = self.end(reason)
        self._writer.add_metadata(end.name, end.metadata)
        self._writer.finish()  # type: ignore[no-untyped-call]
        self._file.flush()
        self._file.sync()

    @staticmethod
    def end(reason: str) -> Metadata:
        """The record that says when and why a run ended."""
        return Metadata(name=END, metadata={"ended_ns": str(time.time_ns()), "reason": reason})

    # ------------------------------------------------------------- messages

    def _batch(self, batch: Batch) -> None:
        key = batch.device, batch.stream
        descriptor = batch.descriptor
        if descriptor is not None and self._descriptors.get(key) is not descriptor:
            self._descriptors[key] = descriptor
            told = RecordedDescriptor.of(batch.device, batch.stream, descriptor)
            self._json(f"/{batch.device}/{batch.stream}/descriptor", told, batch.time_ns)
        fields = self._fields.get(key)
        if fields is None or len(fields) != batch.values.shape[0]:
            return  # of no epoch that was announced: the hub lets none pass
        channel = self._streams.get(key)
        if channel is None or channel.fields != fields:
            channel = self._streams[key] = self._stream_channel(batch, fields)
        assert channel.format is not None
        self._message(channel, channel.format.encode(batch), batch.time_ns)
        self.samples += batch.samples

    def _stream_channel(self, batch: Batch, fields: tuple[FieldInfo, ...]) -> _Channel:
        form = BatchFormat(batch.stream, fields)
        schema = self._writer.register_schema(form.name, "protobuf", form.schema())
        about = {
            "device": batch.device,
            "stream": batch.stream,
            "fields": _JSON.encode(fields).decode(),
            **{f"unit.{field.name}": field.unit for field in fields},
        }
        number = self._writer.register_channel(f"/{batch.device}/{batch.stream}", "protobuf", schema, about)
        return _Channel(number, fields, form)

    def _calibrations_of(self, device: DeviceInfo) -> None:
        """Keep the contents of each calibration that comes into force, so that the file explains its values."""
        for stream in device.streams:
            key = device.id, stream.name
            if stream.calibration is None:
                self._calibrations.pop(key, None)
            elif self._calibrations.get(key) != stream.calibration:
                self._calibrations[key] = stream.calibration
                found = self._find_calibration(stream.calibration)
                if found is not None:
                    self._json(f"/{device.id}/{stream.name}/calibration", found, time.time_ns())

    def _json(self, topic: str, value: object, stamp_ns: int) -> None:
        data = _JSON.encode(value)
        channel = self._topics.get(topic)
        if channel is None:
            schema = msgspec.json.encode(schema_of(msgspec.json.decode(data)))
            name = f"telemetry_bridge.{topic.rpartition('/')[2]}"
            number = self._writer.register_schema(name, "jsonschema", schema)
            channel = self._topics[topic] = _Channel(self._writer.register_channel(topic, "json", number))
        self._message(channel, data, stamp_ns)

    def _message(self, channel: _Channel, data: bytes, stamp_ns: int) -> None:
        if self._opened_s is None:
            self._opened_s = time.monotonic()
        stamp_ns = min(max(stamp_ns, 0), _LARGEST_TIME)
        self._writer.add_message(channel.number, stamp_ns, data, stamp_ns, channel.messages & 0xFFFFFFFF)
        channel.messages += 1
        if self._file.is_waiting:  # the chunk was closed for its size
            self._file.flush()
            self._opened_s = None
