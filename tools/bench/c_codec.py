"""The C codec behind the Python codec's API: built with the host's gcc, called through ctypes.

The ctypes structures are made from messages.toml itself, not from the generated C, so that a wrong declaration there
shows as a difference.
"""

from __future__ import annotations

import ctypes as ct
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from protocol_generator.python_code import class_name
from protocol_generator.table import Field, Struct, parse
from telemetry_protocol import ENCODED_MAX, PAYLOAD_MAX, Counters, Damage, Frame, Message, Refused, messages
from telemetry_protocol.frames import DamageKind

ROOT = Path(__file__).resolve().parents[2]
SOURCES: Final = (*sorted((ROOT / "protocol/c").glob("*.c")), Path(__file__).with_name("c_codec_shim.c"))
TABLE: Final = parse((ROOT / "protocol/messages.toml").read_text(encoding="utf-8"))

WARNINGS: Final = ("-std=c11", "-Wall", "-Wextra", "-Werror", "-Wshadow", "-Wconversion")
SANITIZE: Final = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")

_SCALARS: Final[dict[str, Any]] = {
    "u8": ct.c_uint8,
    "u16": ct.c_uint16,
    "u32": ct.c_uint32,
    "u48": ct.c_uint64,
    "u64": ct.c_uint64,
    "i16": ct.c_int16,
    "i32": ct.c_int32,
    "f32": ct.c_float,
}
_KINDS: Final[tuple[DamageKind | None, ...]] = (None, None, "cobs", "crc", "short", "long", "partial")
_COUNTERS = ("bytes", "frames", "cobs", "crc", "short", "long", "partial")
_ROOM = 4096  # bytes of payload that a pack may take here; the C side must stop at less


def build_library(
    target: Path, options: Sequence[str] = ("-O2",), sources: Sequence[Path] = SOURCES, include: Sequence[Path] = ()
) -> Path:
    """Compile the codec into a shared library.

    Raises:
        subprocess.CalledProcessError: gcc refused; its words are in ``stderr``.
    """
    folders = [f"-I{folder}" for folder in (*include, ROOT / "protocol/c/include", ROOT / "protocol/c")]
    command = ["gcc", *WARNINGS, *options, "-shared", "-fPIC", *folders, "-o", str(target), *map(str, sources)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return target


class _Str(ct.Structure):
    _fields_ = (("data", ct.c_void_p), ("size", ct.c_size_t))


class _DecoderHead(ct.Structure):
    """The public counters, which lead struct tp_decoder."""

    _fields_ = tuple((name, ct.c_uint32) for name in _COUNTERS)


class _Event(ct.Structure):
    _fields_ = (
        ("end", ct.c_uint32),
        ("payload_size", ct.c_uint16),
        ("verdict", ct.c_uint8),
        ("type", ct.c_uint8),
        ("sequence", ct.c_uint8),
        ("payload", ct.c_uint8 * PAYLOAD_MAX),
    )


def _array_type(name: str) -> type[ct.Structure]:
    fields = (("items", ct.c_void_p), ("count", ct.c_uint8), ("room", ct.c_uint8), ("storage", ct.c_void_p))
    return type(f"{name}_list", (ct.Structure,), {"_fields_": fields})


def _field_type(field: Field) -> Any:
    if field.list_of:
        return _LISTS[field.list_of]
    if field.array_size:
        return ct.c_uint8 * field.array_size
    return _SCALARS.get(field.type, _Str)


def _structure(struct: Struct) -> type[ct.Structure]:
    fields = tuple((field.name, _field_type(field)) for field in struct.fields)
    return type(struct.name, (ct.Structure,), {"_fields_": fields})


_LISTS: Final = {struct.name: _array_type(struct.name) for struct in TABLE.structs}
_PARTS: Final = {part.name: part for command in TABLE.commands for part in command.parts if part.fields}
_STRUCTS: Final[dict[str, Struct]] = {item.name: item for item in (*TABLE.structs, *TABLE.messages)} | _PARTS
_STRUCTURES: Final = {name: _structure(struct) for name, struct in _STRUCTS.items()}
_BY_TYPE: Final = {message.id: message.name for message in TABLE.messages}


class CDecoder:
    """`telemetry_protocol.Decoder`, done by tp_decoder_push."""

    def __init__(self, library: ct.CDLL) -> None:
        self._library = library
        self._state = ct.create_string_buffer(library.shim_decoder_size())
        library.tp_decoder_init(self._state)
        self._chunk = b""  # what came since the last delimiter; the C side keeps no encoded bytes

    @property
    def counters(self) -> Counters:
        """The counters of the C decoder."""
        head = _DecoderHead.from_buffer(self._state)
        return Counters(**{name: getattr(head, name) for name in _COUNTERS})

    def feed(self, data: bytes) -> list[Frame | Damage]:
        """See `telemetry_protocol.Decoder.feed`."""
        out: list[Frame | Damage] = []
        begin = 0
        for event in self.events(data):
            raw = (self._chunk + data[begin : event.end - 1]).split(b"\0")[-1]
            self._chunk, begin = b"", event.end
            kind = _KINDS[event.verdict]
            if kind is None:
                out.append(Frame(event.type, event.sequence, bytes(event.payload[: event.payload_size]), raw))
            else:
                out.append(Damage(kind, raw[:ENCODED_MAX]))
        self._chunk = (self._chunk + data[begin:]).split(b"\0")[-1][:ENCODED_MAX]
        return out

    def events(self, data: bytes) -> ct.Array[_Event]:
        """Verdicts as the C side gives them, without the encoded bytes."""
        room = data.count(0) + 1  # one more than can be used, so that the feed goes on to the end
        events = (_Event * room)()
        count = self._library.shim_decoder_feed(self._state, data, len(data), events, room)
        events_type: Any = _Event * count
        return events_type.from_buffer(events) if count else events_type()  # type: ignore[no-any-return]


class CCodec:
    """The C codec with the names of the Python codec."""

    def __init__(self, library: Path) -> None:
        self._library = ct.CDLL(str(library))
        size_t, pointer = ct.c_size_t, ct.c_void_p
        self._library.tp_crc32c.restype = ct.c_uint32
        self._library.tp_crc32c.argtypes = [ct.c_uint32, ct.c_char_p, size_t]
        self._library.tp_frame_encode.restype = size_t
        self._library.tp_frame_encode.argtypes = [pointer, size_t, ct.c_uint8, ct.c_uint8, ct.c_char_p, size_t]
        self._library.shim_decoder_size.restype = size_t
        self._library.shim_decoder_feed.restype = size_t
        self._library.shim_decoder_feed.argtypes = [pointer, ct.c_char_p, size_t, pointer, size_t]
        self._library.tp_decoder_init.restype = None
        self._library.tp_decoder_init.argtypes = [pointer]

    def crc32c(self, data: bytes, crc: int = 0) -> int:
        """CRC-32C, going on from `crc`."""
        return int(self._library.tp_crc32c(crc, data, len(data)))

    def encode_frame(self, type: int, sequence: int, payload: bytes, room: int = ENCODED_MAX) -> bytes:
        """One frame with its delimiter.

        Raises:
            ValueError: tp_frame_encode returned 0.
        """
        out = ct.create_string_buffer(room)
        size = self._library.tp_frame_encode(out, room, type, sequence & 0xFF, payload, len(payload))
        if not size:
            raise ValueError("tp_frame_encode returned 0")
        return out.raw[:size]

    def decoder(self) -> CDecoder:
        """A decoder that has seen nothing."""
        return CDecoder(self._library)

    def pack(self, message: Message) -> bytes:
        """Payload of a message.

        Raises:
            ValueError: tp_NAME_write returned 0.
        """
        return self.write(message.NAME, message.by_name())

    def unpack(self, type: int, payload: bytes) -> Message | Refused:
        """See `telemetry_protocol.unpack`."""
        name = _BY_TYPE.get(type)
        if name is None:
            return Refused("type", type, payload, "")
        values = self.read(name, payload)
        if values is None:
            return Refused("length", type, payload, "")
        return messages.MESSAGES[type](**values)

    def write(self, name: str, values: dict[str, Any], room: int = _ROOM) -> bytes:
        """Run tp_NAME_write; `room` is what C is told there is, and all there is.

        Raises:
            ValueError: it returned 0.
        """
        keep: list[Any] = []
        structure = _to_c(_STRUCTS[name], values, keep)
        out = ct.create_string_buffer(max(room, 1))
        write = getattr(self._library, f"tp_{name}_write")
        write.restype = ct.c_size_t
        size = write(out, ct.c_size_t(room), ct.byref(structure))
        if not size:
            raise ValueError(f"tp_{name}_write returned 0")
        return out.raw[:size]

    def read(self, name: str, data: bytes, list_room: int = 255) -> dict[str, Any] | None:
        """Run tp_NAME_read; nothing when it returned false. Of a list at most `list_room` items come back."""
        source = ct.create_string_buffer(data, len(data)) if data else ct.create_string_buffer(1)
        structure = _STRUCTURES[name]()
        keep = []
        for field in _STRUCTS[name].fields:
            if field.list_of:
                storage = (_STRUCTURES[field.list_of] * max(list_room, 1))()
                keep.append(storage)
                array = getattr(structure, field.name)
                array.storage, array.room = ct.addressof(storage), list_room
        read = getattr(self._library, f"tp_{name}_read")
        read.restype = ct.c_bool
        if not read(ct.byref(structure), source, ct.c_size_t(len(data))):
            return None
        return _from_c(_STRUCTS[name], structure)


def _to_c(struct: Struct, values: dict[str, Any], keep: list[Any]) -> ct.Structure:
    structure = _STRUCTURES[struct.name]()
    for field in struct.fields:
        value = values[field.name]
        if field.list_of:
            inner = _STRUCTS[field.list_of]
            items = [_to_c(inner, item.by_name(), keep) for item in value]
            array = (_STRUCTURES[field.list_of] * len(items))(*items)
            keep.append(array)
            target = getattr(structure, field.name)
            target.items, target.count = ct.addressof(array), len(items)
        elif field.array_size:
            getattr(structure, field.name)[:] = value
        elif field.type in ("str", "rest"):
            data = value.encode() if field.type == "str" else value
            buffer = ct.create_string_buffer(data, max(len(data), 1))
            keep.append(buffer)
            target = getattr(structure, field.name)
            target.data, target.size = ct.addressof(buffer), len(data)
        else:
            setattr(structure, field.name, value)
    return structure


def _from_c(struct: Struct, structure: ct.Structure) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for field in struct.fields:
        value = getattr(structure, field.name)
        if field.list_of:
            count = min(value.count, value.room)
            array = (_STRUCTURES[field.list_of] * count).from_address(value.items) if count else ()
            record = getattr(messages, class_name(field.list_of))
            value = tuple(record(**_from_c(_STRUCTS[field.list_of], item)) for item in array)
        elif field.array_size:
            value = bytes(value)
        elif field.type in ("str", "rest"):
            value = ct.string_at(value.data, value.size) if value.size else b""
            value = value.decode("utf-8", errors="replace") if field.type == "str" else value
        values[field.name] = value
    return values
