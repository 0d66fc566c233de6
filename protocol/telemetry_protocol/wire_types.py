"""What the generated `messages` is made of: field types, the base of all messages, refusals, commands.

construct declares and builds every message, and reads those with a ``str`` or a ``list``. Messages of fixed size, of
which SAMPLES comes a thousand times as often as all others, are read by `struct` in generated code: a quarter of the
time of compiled construct, which moreover reads truncated input without a word. A test holds the three together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, ClassVar, Literal, Self

from construct import (
    Adapter,
    BytesInteger,
    Construct,
    ConstructError,
    GreedyBytes,
    Int8ul,
    Prefixed,
    PrefixedArray,
    StreamError,
    Struct,
)


class _TextAdapter(Adapter):  # type: ignore[misc]
    """UTF-8 in a `Prefixed`; what is not UTF-8 is replaced by U+FFFD, for the frame is good."""

    def _decode(self, obj: bytes, *_: object) -> str:
        return obj.decode("utf-8", errors="replace")

    def _encode(self, obj: str, *_: object) -> bytes:
        return obj.encode("utf-8")


class _TupleAdapter(Adapter):  # type: ignore[misc]
    """A construct array as a tuple, which a frozen message may hold."""

    def _decode(self, obj: list[Any], *_: object) -> tuple[Any, ...]:
        return tuple(obj)

    def _encode(self, obj: tuple[Any, ...], *_: object) -> list[Any]:
        return list(obj)


class _RecordAdapter(Adapter):  # type: ignore[misc]
    """A `Struct` as the `Record` that declares it."""

    def __init__(self, record: type[Record]) -> None:
        super().__init__(record.LAYOUT)
        self._record = record

    def _decode(self, obj: dict[str, Any], *_: object) -> Record:
        return self._record(**_without_io(obj))

    def _encode(self, obj: Record, *_: object) -> dict[str, Any]:
        return obj.by_name()


def _without_io(parsed: dict[str, Any]) -> dict[str, Any]:
    parsed.pop("_io", None)  # the interpreted parser leaves its stream there
    return parsed


U48: Construct = BytesInteger(6, swapped=True)
"""Unsigned, 48 bits, little-endian."""

Text: Construct = _TextAdapter(Prefixed(Int8ul, GreedyBytes))
"""``str``: u8 length, then UTF-8."""


def list_of(record: type[Record]) -> Construct:
    """``list[STRUCT]``: u8 count, then the structs; parses to a tuple of `record`."""
    return _TupleAdapter(PrefixedArray(Int8ul, _RecordAdapter(record)))


class WireEnum(IntEnum):
    """An enum of the table. Fields hold plain integers, because a newer board may send a value that is not here."""

    @classmethod
    def label(cls, value: int) -> str:
        """Name of a value in the table's spelling; the number itself where the table does not know it."""
        member = cls._value2member_map_.get(value)
        return str(value) if member is None else member.name.lower()


class Record:
    """Base of every struct and message: a frozen dataclass with the construct declaration of its bytes."""

    __slots__ = ()
    LAYOUT: ClassVar[Construct]

    def by_name(self) -> dict[str, Any]:
        """Values by field name, in the order of the table; ``dataclasses.asdict`` also goes into the lists."""
        return {name: getattr(self, name) for name in self.__match_args__}  # type: ignore[attr-defined]

    def to_bytes(self) -> bytes:
        """Encode the fields.

        Raises:
            ValueError: a value does not fit its field.
        """
        return _build(type(self).__name__, self.LAYOUT, self.by_name())


class Message(Record):
    """Base of every message of the table."""

    __slots__ = ()
    TYPE: ClassVar[int]
    """Message id."""
    NAME: ClassVar[str]
    SIZE: ClassVar[int]
    """Bytes of the shortest payload: what is fixed, and the lengths and counts of what is not."""

    @classmethod
    def _parse(cls, payload: bytes) -> Self:
        """Read a payload of at least `SIZE` bytes; raise `StreamError` where a length in it points past its end."""
        return cls(**_without_io(cls.LAYOUT.parse(payload)))

    def pack(self) -> bytes:
        """Payload of this message.

        Raises:
            ValueError: a value does not fit its field.
        """
        return self.to_bytes()


class HasStream:
    """Takes ``stream_gen`` apart: stream number in bits 0 … 4, generation in bits 5 … 7."""

    __slots__ = ()
    stream_gen: int

    @property
    def stream(self) -> int:
        """Stream number, 0 … 31."""
        return self.stream_gen & 0x1F

    @property
    def generation(self) -> int:
        """Generation of the descriptor, 0 … 7."""
        return self.stream_gen >> 5 & 0x7


def stream_gen(stream: int, generation: int) -> int:
    """Join a stream number (0 … 31) and a generation (taken modulo 8).

    Raises:
        ValueError: there is no such stream number.
    """
    if not 0 <= stream <= 0x1F:
        raise ValueError(f"stream {stream} is not in 0 … 31")
    return stream | (generation & 0x7) << 5


@dataclass(frozen=True, slots=True)
class Refused:
    """A payload that cannot be read although its CRC is right."""

    kind: Literal["type", "length"]
    """``type``: the table has no such message. ``length``: shorter than its fields or than a length in it claims."""
    type: int
    payload: bytes
    reason: str
    """One line for a human."""


def unpack_as(message: type[Message], payload: bytes) -> Message | Refused:
    """Read a payload as that message; bytes after its last field are ignored. Never raises."""
    if len(payload) < message.SIZE:
        reason = f"{message.NAME}: {len(payload)} bytes, the fixed fields need {message.SIZE}"
        return Refused("length", message.TYPE, payload, reason)
    try:
        return message._parse(payload)
    except StreamError:
        reason = f"{message.NAME}: {len(payload)} bytes, a length in it claims more"
        return Refused("length", message.TYPE, payload, reason)


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One argument, result or refusal field of a command."""

    name: str
    type: str
    """In the table's words: ``u8``, ``u48``, …"""
    layout: Construct
    doc: str
    unit: str = ""


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """One command of the table."""

    id: int
    name: str
    doc: str
    args: tuple[FieldSpec, ...]
    result: tuple[FieldSpec, ...]
    refusal: tuple[FieldSpec, ...]
    _layouts: tuple[Construct, Construct, Construct] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        layouts = tuple(Struct(*(f.name / f.layout for f in part)) for part in (self.args, self.result, self.refusal))
        object.__setattr__(self, "_layouts", layouts)

    def pack_args(self, **values: object) -> bytes:
        """Argument bytes of the COMMAND.

        Raises:
            ValueError: an argument is missing, unknown, or does not fit its field. The message is one line.
        """
        for argument in self.args:
            if argument.name not in values:
                raise ValueError(f"{self.name}: argument {argument.name} is missing")
        names = {argument.name for argument in self.args}
        for name, value in values.items():
            if name not in names:
                raise ValueError(f"{self.name}: there is no argument {name}")
            if isinstance(value, bool):
                raise ValueError(f"{self.name}: {name} is true or false, not a number")  # noqa: TRY004
        return _build(self.name, self._layouts[0], values)

    def unpack_args(self, data: bytes) -> dict[str, Any] | Refused:
        """Argument fields of a COMMAND. Never raises."""
        return self._unpack(self._layouts[0], "arguments", data)

    def pack_result(self, **values: object) -> bytes:
        """Data of a RESPONSE whose status is ok.

        Raises:
            ValueError: a field is missing, or does not fit. The message is one line.
        """
        return _build(self.name, self._layouts[1], values)

    def pack_refusal(self, **values: object) -> bytes:
        """Data of a RESPONSE whose status is not ok, where it has some; raises as :meth:`pack_result`."""
        return _build(self.name, self._layouts[2], values)

    def unpack_result(self, data: bytes) -> dict[str, Any] | Refused:
        """Result fields of a RESPONSE whose status is ok. Never raises."""
        return self._unpack(self._layouts[1], "result", data)

    def unpack_refusal(self, data: bytes) -> dict[str, Any] | Refused:
        """Refusal fields of a RESPONSE whose status is not ok; none when the board sent none. Never raises."""
        return self._unpack(self._layouts[2], "refusal", data) if data else {}

    def _unpack(self, layout: Construct, what: str, data: bytes) -> dict[str, Any] | Refused:
        try:
            return dict(_without_io(layout.parse(data)))
        except StreamError:
            return Refused("length", self.id, data, f"{self.name}: {what} of {len(data)} bytes: too short")


def _build(name: str, layout: Construct, values: Mapping[str, Any]) -> bytes:
    try:
        return bytes(layout.build(values))
    except (ConstructError, AttributeError, TypeError, ValueError, OverflowError) as error:
        cause = " ".join(str(error).split("\n")[-1].split()) or error.__class__.__name__
        raise ValueError(f"{name}: a value does not fit its field: {cause}") from error
