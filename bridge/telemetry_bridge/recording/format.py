"""What stands in a run: an MCAP file (https://mcap.dev/spec) whose messages viewers understand without us.

    metadata ``run``                      who recorded what, at the beginning; ``end``, when and why it ended
    /DEVICE/STREAM                        protobuf: one batch a message; log time: that of its first sample
    /DEVICE/STREAM/{descriptor,epoch,gap,calibration}    JSON
    /DEVICE/{device,health,log,fault}     JSON; log time: when the recorder took it
    /marks                                JSON

The order in the file is that in which the events passed through the hub: a descriptor, a calibration or an epoch
holds for the batches behind it. The encoding of a batch is checked against protobuf's own library in the tests.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from telemetry_bridge import __version__
from telemetry_bridge.events import Batch, FieldInfo, GapCause
from telemetry_protocol import messages

FORMAT: Final = 1
LIBRARY: Final = f"stm32-telemetry-bridge {__version__}"
RUN: Final = "run"
END: Final = "end"
STOPPED: Final = "stopped"
"""Why a run ended that ended as asked."""


class RunInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is about.

    Attributes:
        started_ns: Unix time.
        software: what recorded it.
    """

    title: str = ""
    notes: str = ""
    tags: tuple[str, ...] = ()
    started_ns: int = 0
    software: str = LIBRARY
    format: int = FORMAT

    def metadata(self) -> dict[str, str]:
        """As MCAP keeps it: texts; the tags in one, with commas between them."""
        texts = {name: str(getattr(self, name)) for name in self.__struct_fields__}
        return texts | {"tags": ",".join(self.tags)}

    @classmethod
    def of(cls, metadata: Mapping[str, str]) -> RunInfo:
        """From what a file holds.

        Raises:
            ValueError: it is of no run, or of one that only a later version reads.
        """
        info = msgspec.convert({**metadata, "tags": _tags(metadata.get("tags", ""))}, cls, strict=False)
        if info.format != FORMAT:
            raise ValueError(f"the run has format {info.format}, this version reads {FORMAT}")
        return info


def _tags(text: str) -> tuple[str, ...]:
    return tuple(tag for tag in text.split(",") if tag)


@dataclass(frozen=True, slots=True)
class RecordedGap:
    """A gap as it stands in the file; ``by_recorder``: it was the recorder that lost the samples."""

    device: str
    stream: str
    epoch: int
    index: int
    count: int | None
    cause: GapCause
    estimated: bool = False
    by_recorder: bool = False


@dataclass(frozen=True, slots=True)
class RecordedDescriptor:
    """How the raw samples behind it are to be read; ``wire`` is the STREAM message in hex, the rest is for people."""

    device: str
    stream: str
    wire: str
    generation: int
    sensor: str
    rate_hz: float
    fields: tuple[dict[str, Any], ...]

    @classmethod
    def of(cls, device: str, stream: str, message: messages.Stream) -> RecordedDescriptor:
        """From the message that came from the board."""
        fields = tuple(
            {
                "name": field.name,
                "unit": field.unit,
                "type": messages.FieldType.label(field.type),
                "scale": field.scale,
                "offset": field.offset,
                "full_scale": field.full_scale,
            }
            for field in message.fields
        )
        wire = message.pack().hex()
        return cls(device, stream, wire, message.generation, message.sensor, message.rate_mhz / 1000, fields)

    def message(self) -> messages.Stream:
        """The message itself.

        Raises:
            ValueError: it is none.
        """
        found = messages.unpack(messages.Stream.TYPE, bytes.fromhex(self.wire))
        if not isinstance(found, messages.Stream):
            raise ValueError(f"{self.stream}: the descriptor in the file is none")  # noqa: TRY004 - of the file, not of an argument
        return found


def schema_of(value: object) -> dict[str, Any]:
    """A JSON schema for values like this one, without references or unions, which viewers do not follow."""
    match value:
        case dict():
            known = {str(key): schema_of(item) for key, item in value.items() if item is not None}
            return {"type": "object", "properties": known}
        case list():
            return {"type": "array", "items": schema_of(value[0])} if value else {"type": "array"}
        case bool():
            return {"type": "boolean"}
        case int() | float():
            return {"type": "number"}
        case _:
            return {"type": "string"}


# ------------------------------------------------------------------ batches

_FIXED64, _BYTES, _FIXED32 = 1, 2, 5  # wire types (Protocol Buffers, "Encoding")
_NUMBERS: Final = ("index", "time_ns", "epoch", "period_ns", "uncertainty_ns", "received_ns", "samples", "generation")
_TYPES: Final = (6, 16, 6, 6, 6, 16, 7, 7)  # FieldDescriptorProto.Type: fixed64, sfixed64, fixed32
_WIRE: Final = (_FIXED64, _FIXED64, _FIXED64, _FIXED64, _FIXED64, _FIXED64, _FIXED32, _FIXED32)
_HEAD: Final = struct.Struct("<BQBqBQBQBQBqBIBI")
_TAGS: Final = tuple(number << 3 | wire for number, wire in enumerate(_WIRE, start=1))
RAW_FIELD: Final = 9
FIRST_COLUMN: Final = 16
"""Number of the first field with values; one for each field of the stream, in its order."""


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _bytes(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(data)) + data


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


class BatchFormat:
    """The protobuf message of the batches of one stream.

    The fields of a message always stand in the order of their numbers and none is left out, so that a reader may
    take it apart with numpy. Values are as they were delivered: calibrated where a calibration was in force.
    """

    def __init__(self, stream: str, fields: Sequence[FieldInfo]) -> None:
        self.name = f"telemetry_bridge.{_identifier(stream, set())}"
        self._numbers = tuple(range(FIRST_COLUMN, FIRST_COLUMN + len(fields)))
        used = {name.replace("_", "") for name in (*_NUMBERS, "raw")}
        self._names = tuple(_identifier(field.name, used) for field in fields)
        self._prefixes: dict[int, tuple[bytes, ...]] = {}

    def schema(self) -> bytes:
        """The FileDescriptorSet (google/protobuf/descriptor.proto) that describes the message."""
        fields = [
            _bytes(1, name.encode()) + _number(3, number) + _number(4, 1) + _number(5, kind)
            for number, (name, kind) in enumerate(zip((*_NUMBERS, "raw"), (*_TYPES, 12), strict=True), start=1)
        ]
        fields += [
            _bytes(1, name.encode()) + _number(3, number) + _number(4, 3) + _number(5, 2)  # repeated float
            for name, number in zip(self._names, self._numbers, strict=True)
        ]
        package, _, name = self.name.partition(".")
        message = _bytes(1, name.encode()) + b"".join(_bytes(2, field) for field in fields)
        texts = _bytes(1, f"{name}.proto".encode()) + _bytes(2, package.encode())
        return _bytes(1, texts + _bytes(4, message) + _bytes(12, b"proto3"))

    def encode(self, batch: Batch) -> bytes:
        """A batch as a message."""
        count = batch.samples
        prefixes = self._prefixes.get(count)
        if prefixes is None:
            size = _varint(4 * count)
            prefixes = tuple(_varint(number << 3 | _BYTES) + size for number in self._numbers)
            self._prefixes = {count: prefixes}  # batches of a stream mostly have one length
        numbers = (
            batch.index,
            batch.time_ns,
            batch.epoch,
            batch.period_ns,
            batch.uncertainty_ns,
            batch.received_ns,
            count,
            batch.generation,
        )
        parts = [_HEAD.pack(*(item for pair in zip(_TAGS, numbers, strict=True) for item in pair))]
        parts.append(_bytes(RAW_FIELD, batch.raw))
        for prefix, row in zip(prefixes, batch.values, strict=True):
            parts += (prefix, row.tobytes())
        return b"".join(parts)


@dataclass(frozen=True, slots=True, eq=False)
class RecordedBatch:
    """A batch out of a file; see :class:`telemetry_bridge.events.Batch`."""

    index: int
    time_ns: int
    epoch: int
    period_ns: int
    uncertainty_ns: int
    received_ns: int
    samples: int
    generation: int
    raw: bytes
    values: npt.NDArray[np.float32]


def decode_batch(data: bytes, fields: int) -> RecordedBatch:
    """Take a message of a stream with so many fields apart.

    Raises:
        ValueError: it is not as :class:`BatchFormat` makes it.
    """
    if len(data) < _HEAD.size + 2:
        raise ValueError("a batch is too short")
    head = _HEAD.unpack_from(data)
    if head[::2] != _TAGS or data[_HEAD.size] != RAW_FIELD << 3 | _BYTES:
        raise ValueError("a batch has other fields")
    size, start = 0, _HEAD.size + 1
    for shift in range(0, 35, 7):
        byte = data[start]
        start += 1
        size |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
    count = head[13]
    raw = data[start : start + size]
    body = np.frombuffer(data, np.uint8, offset=min(start + size, len(data)))
    prefix = 2 + len(_varint(4 * count))
    if body.size != fields * (prefix + 4 * count) or len(raw) != size:
        raise ValueError("a batch is not as long as it says")
    columns = body.reshape(fields, prefix + 4 * count)[:, prefix:]
    index, time_ns, epoch, period_ns, uncertainty_ns, received_ns, _, generation = head[1::2]
    values = np.ascontiguousarray(columns).view("<f4")
    return RecordedBatch(index, time_ns, epoch, period_ns, uncertainty_ns, received_ns, count, generation, raw, values)


def _identifier(text: str, used: set[str]) -> str:
    """A name as protobuf takes it, and no other field has it."""
    name = re.sub(r"\W", "_", text, flags=re.ASCII)
    name = name if re.match("[A-Za-z_]", name) else f"f{name}"
    made, number = name, 1
    while (plain := made.replace("_", "").lower()) in used:  # as the name in JSON is made, which has to be unique too
        number += 1
        made = f"{name}{number}"
    used.add(plain)
    return made
