"""What the tests of the wire share: the two codecs behind one API, the golden vectors, and strategies."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from hypothesis import settings
from hypothesis import strategies as st

from bench.c_codec import TABLE
from protocol_generator.python_code import class_name
from protocol_generator.table import Field, Struct
from telemetry_protocol import COMMANDS, Counters, Damage, Decoder, Frame, Message, Refused, encode_frame, messages
from telemetry_protocol.crc import crc32c

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "protocol" / "vectors"
C_LIBRARY = "TELEMETRY_PROTOCOL_C_LIBRARY"
"""Environment variable: run against this build of the C codec instead of a fresh one (the sanitizer run sets it)."""

repeatable = settings(
    deadline=None, derandomize=True, print_blob=True, max_examples=25 if C_LIBRARY in os.environ else 100
)
"""The same examples in each run; a time limit per example would only measure the machine."""


# ------------------------------------------------------------------------------------------------------- codecs


class AnyDecoder(Protocol):
    """A decoder of either language."""

    @property
    def counters(self) -> Counters: ...

    def feed(self, data: bytes) -> list[Frame | Damage]: ...


class Codec(Protocol):
    """What the suite asks of a codec."""

    def crc32c(self, data: bytes) -> int: ...
    def encode_frame(self, type: int, sequence: int, payload: bytes) -> bytes: ...
    def decoder(self) -> AnyDecoder: ...
    def pack(self, message: Message) -> bytes: ...
    def unpack(self, type: int, payload: bytes) -> Message | Refused: ...
    def write(self, name: str, values: dict[str, Any]) -> bytes: ...
    def read(self, name: str, data: bytes) -> dict[str, Any] | None: ...


class PythonCodec:
    """The Python codec, with the few names that the C codec calls otherwise."""

    encode_frame = staticmethod(encode_frame)
    unpack = staticmethod(messages.unpack)
    decoder: Callable[[], Decoder] = Decoder

    def crc32c(self, data: bytes) -> int:
        return crc32c(data)

    def pack(self, message: Message) -> bytes:
        return message.pack()

    def write(self, name: str, values: dict[str, Any]) -> bytes:
        """Encode the arguments of a command, named as in C: ``set_rate_args``."""
        command, _, part = name.rpartition("_")
        assert part == "args", "the host writes arguments only"
        return COMMANDS[command].pack_args(**values)

    def read(self, name: str, data: bytes) -> dict[str, Any] | None:
        """Decode a result or a refusal; nothing when it is too short."""
        command, _, part = name.rpartition("_")
        unpack = {"result": COMMANDS[command].unpack_result, "refusal": COMMANDS[command].unpack_refusal}[part]
        values = unpack(data)
        return None if isinstance(values, Refused) else values


# ------------------------------------------------------------------------------------------------------ vectors


def load(name: str) -> list[dict[str, Any]]:
    """The entries of a vector file, which has one list of tables and nothing else."""
    document = tomllib.loads((VECTORS / name).read_text(encoding="utf-8"))
    ((_, entries),) = document.items()
    assert isinstance(entries, list)
    assert entries
    return entries


def names(entries: list[dict[str, Any]]) -> list[str]:
    """Test ids."""
    return [str(entry["name"]) for entry in entries]


def unhex(text: str) -> bytes:
    """Bytes of a vector: hexadecimal, ``XX*N`` for repeats, ``#`` for remarks."""
    tokens = re.sub(r"#[^\n]*", "", text).split()
    parts = (token.partition("*") for token in tokens)
    return b"".join(bytes.fromhex(one) * int(times or 1) for one, _, times in parts)


def message_of(type: int, fields: dict[str, Any]) -> Message:
    """The message that a vector's fields describe."""
    struct = next(item for item in TABLE.messages if item.id == type)
    return messages.MESSAGES[type](**with_records(struct, fields))


def with_records(struct: Struct, fields: dict[str, Any]) -> dict[str, Any]:
    """A vector's fields as the codecs take them: bytes for hexadecimal, records for the tables of a list."""
    return {field.name: _value(field, fields[field.name]) for field in struct.fields}


def _value(field: Field, value: Any) -> Any:
    if isinstance(value, dict):
        return unhex(value["hex"])
    if field.list_of:
        return tuple(getattr(messages, class_name(field.list_of))(**item) for item in value)
    return value


# --------------------------------------------------------------------------------------------------- strategies

_INTEGERS = {
    "u8": (0, 0xFF),
    "u16": (0, 0xFFFF),
    "u32": (0, 0xFFFFFFFF),
    "u48": (0, 0xFFFFFFFFFFFF),
    "u64": (0, 0xFFFFFFFFFFFFFFFF),
    "i16": (-0x8000, 0x7FFF),
    "i32": (-0x80000000, 0x7FFFFFFF),
}

payloads = st.one_of(
    st.binary(max_size=506),
    st.lists(st.sampled_from([b"\x00", b"\x01", b"\xff", b"\xa5" * 253, b"\xa5"]), max_size=300).map(b"".join),
).map(lambda data: data[:506])
"""Payloads of every length, rich in what matters to COBS: zeros and long runs without one."""

frames = st.builds(Frame, st.integers(0, 255), st.integers(0, 255), payloads, st.just(b""))
"""Frames without their encoded bytes."""


def values_of(struct: Struct) -> st.SearchStrategy[dict[str, Any]]:
    """Values of every field of a struct of the table, edges included."""
    return st.fixed_dictionaries({field.name: _values(field) for field in struct.fields})


def messages_of(struct: Struct) -> st.SearchStrategy[Message]:
    """Messages of one kind that fit a frame."""
    message: Any = getattr(messages, class_name(struct.name))
    return values_of(struct).map(lambda values: message(**values)).filter(lambda one: len(one.pack()) <= 506)


def _values(field: Field) -> st.SearchStrategy[Any]:
    if field.list_of:
        inner = next(item for item in TABLE.structs if item.name == field.list_of)
        record: Any = getattr(messages, class_name(inner.name))
        return st.lists(values_of(inner).map(lambda values: record(**values)), max_size=4).map(tuple)
    if field.array_size:
        return st.binary(min_size=field.array_size, max_size=field.array_size)
    if field.type == "f32":
        return st.floats(width=32, allow_nan=False)
    if field.type == "str":
        return st.text(max_size=20)
    if field.type == "rest":
        return st.binary(max_size=495)
    low, high = _INTEGERS[field.type]
    return st.one_of(st.integers(low, high), st.sampled_from([low, high]))


# ---------------------------------------------------------------------------------------------------- processes


def run_python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run this interpreter in a process of its own, from the root of the repository."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
