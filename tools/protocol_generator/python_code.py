"""The table as Python: construct declarations and frozen dataclasses."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from .table import Command, Field, Message, Struct, Table, Values

_CONSTRUCT = {
    "u8": "Int8ul",
    "u16": "Int16ul",
    "u32": "Int32ul",
    "u48": "U48",
    "u64": "Int64ul",
    "i16": "Int16sl",
    "i32": "Int32sl",
    "f32": "Float32l",
    "str": "Text",
    "rest": "GreedyBytes",
}
_STRUCT = {"u8": "B", "u16": "H", "u32": "I", "u48": "IH", "u64": "Q", "i16": "h", "i32": "i", "f32": "f", "rest": ""}
_PYTHON = {"f32": "float", "str": "str", "rest": "bytes"}
_FROM_CONSTRUCT = ("Bytes", "Float32l", "GreedyBytes", "Int8ul", "Int16sl", "Int16ul", "Int32sl", "Int32ul", "Int64ul")
_FROM_WIRE_TYPES = ("HasStream", "list_of", "Text", "U48", "WireEnum")
_DOC_WIDTH = 108
_TEXT_WIDTH = 88
_SOURCE = "Generated from protocol/messages.toml by tools/generate_protocol.py; do not edit."
_HEADER = f'"""Messages of the wire. {_SOURCE}"""'


def python_code(table: Table) -> str:
    """Source of ``telemetry_protocol/messages.py``, before ruff format."""
    body = "\n".join(_body(table))
    construct = ", ".join(sorted([name for name in _FROM_CONSTRUCT if name in body] + ["Construct", "Struct"]))
    used = [name for name in _FROM_WIRE_TYPES if name in body]
    own = ", ".join(sorted([*used, "CommandSpec", "FieldSpec", "Message", "Record", "Refused", "unpack_as"]))
    enums = "from enum import IntFlag\n" if table.flags else ""
    fixed = any(message.is_fixed for message in table.messages)
    return (
        f"{_HEADER}\n\nfrom __future__ import annotations\n\n{'import struct' if fixed else ''}\n"
        f"from dataclasses import dataclass\n{enums}"
        f"from typing import ClassVar, Final{', Self' if fixed else ''}\n\nfrom construct import {construct}\n\n"
        f"from .wire_types import {own}\n\n{body}"
    )


def class_name(name: str) -> str:
    """``reset_cause`` -> ``ResetCause``."""
    return "".join(part.capitalize() for part in name.split("_"))


def _body(table: Table) -> Iterator[str]:
    yield f"PROTOCOL: Final = {table.protocol}\n" + '"""Protocol version of the table."""\n'
    yield f"FINGERPRINT: Final = {table.fingerprint:#010x}\n" + '"""CRC-32C of the canonical table."""\n'
    for enum in table.enums:
        yield _enum(enum, "WireEnum", "{}")
    for flags in table.flags:
        yield _enum(flags, "IntFlag", "1 << {}")
    for struct in table.structs:
        yield "\n".join(_class(struct, "Record", ()))
    for message in table.messages:
        yield "\n".join(_message(message))
    names = [class_name(message.name) for message in table.messages]
    yield "MESSAGES: Final[dict[int, type[Message]]] = {"
    yield f"    message.TYPE: message for message in ({', '.join(names)},)"
    yield '}\n"""Every message by its id."""\n'
    yield "\nCOMMANDS: Final[dict[str, CommandSpec]] = {"
    for command in table.commands:
        yield f'    "{command.name}": {_command(command)},'
    yield '}\n"""Every command by its name."""\n'
    yield textwrap.dedent('''
        COMMAND_NAMES: Final[dict[int, str]] = {command.id: name for name, command in COMMANDS.items()}
        """Name of every command by its id."""


        def unpack(type: int, payload: bytes) -> Message | Refused:
            """Read the payload of a frame; bytes after the last known field are ignored. Never raises."""
            message = MESSAGES.get(type)
            if message is None:
                return Refused("type", type, payload, f"unknown message type {type:#04x}")
            return unpack_as(message, payload)
        ''')


def _enum(enum: Values, base: str, value: str) -> str:
    lines = [f"\nclass {class_name(enum.name)}({base}):", f"    {_docstring(enum.doc)}\n"]
    lines += [f"    {name.upper()} = {value.format(number)}" for name, number in enum.values.items()]
    return "\n".join(lines) + "\n"


def _class(struct: Struct, base: str, class_variables: tuple[str, ...]) -> Iterator[str]:
    yield "\n@dataclass(frozen=True, slots=True)"
    yield f"class {class_name(struct.name)}({base}):"
    yield f"    {_docstring(struct.doc)}\n"
    for field in struct.fields:
        yield f"    {field.name}: {_annotation(field)}"
        yield f'    """{_folded(_sentence(field))}"""'
    yield ""
    for line in class_variables:
        yield f"    {line}"
    yield "    LAYOUT: ClassVar[Construct] = Struct("
    for field in struct.fields:
        yield f'        "{field.name}" / {_layout(field)},'
    yield "    )"


def _message(message: Message) -> Iterator[str]:
    has_stream = any(field.name == "stream_gen" for field in message.fields)
    constants = (
        f"TYPE: ClassVar[int] = {message.id:#04x}",
        f'NAME: ClassVar[str] = "{message.name}"',
        f"SIZE: ClassVar[int] = {message.size}",
    )
    yield from _class(message, "HasStream, Message" if has_stream else "Message", constants)
    if message.is_fixed:
        yield from _fixed_parser(message)
    yield ""


def _fixed_parser(message: Message) -> Iterator[str]:
    """A `_parse` that needs no construct, for a message without lengths in it."""
    names, values = [], []
    for field in message.fields:
        if field.type == "u48":
            names += [f"{field.name}_low", f"{field.name}_high"]
            values.append(f"{field.name}_low | {field.name}_high << 32")
        elif field.type == "rest":
            values.append(f"payload[{message.size}:]")
        else:
            names.append(field.name)
            values.append(field.name)
    codes = "".join(f"{field.array_size}s" if field.array_size else _STRUCT[field.type] for field in message.fields)
    yield f'    _FIXED: ClassVar[struct.Struct] = struct.Struct("<{codes}")\n'
    yield "    @classmethod"
    yield "    def _parse(cls, payload: bytes) -> Self:"
    yield f"        {', '.join(names)}{',' if len(names) == 1 else ''} = cls._FIXED.unpack_from(payload)"
    yield f"        return cls({', '.join(values)})"


def _command(command: Command) -> str:
    parts = [
        f"{part}=({''.join(_field_spec(field) + ', ' for field in struct.fields)})"
        for part, struct in zip(("args", "result", "refusal"), command.parts, strict=True)
    ]
    return f'CommandSpec(id={command.id}, name="{command.name}", doc={_text(command.doc)}, {", ".join(parts)},)'


def _field_spec(field: Field) -> str:
    unit = f', unit="{field.unit}"' if field.unit else ""
    return f'FieldSpec("{field.name}", "{field.type}", {_layout(field)}, {_text(field.doc)}{unit})'


def _annotation(field: Field) -> str:
    if field.list_of:
        return f"tuple[{class_name(field.list_of)}, ...]"
    return "bytes" if field.array_size else _PYTHON.get(field.type, "int")


def _layout(field: Field) -> str:
    if field.list_of:
        return f"list_of({class_name(field.list_of)})"
    return f"Bytes({field.array_size})" if field.array_size else _CONSTRUCT[field.type]


def _text(doc: str) -> str:
    """A string literal; a long one in pieces."""
    pieces = textwrap.wrap(doc, _TEXT_WIDTH, drop_whitespace=False)
    literals = " ".join(f'"{piece}"' for piece in pieces)
    return literals if len(pieces) == 1 else f"({literals})"


def _docstring(doc: str) -> str:
    if len(doc) <= _DOC_WIDTH:
        return f'"""{doc}"""'
    summary, _, rest = doc.partition(". ")
    return f'"""{summary}.\n\n    {_folded(rest)}\n    """'


def _folded(text: str) -> str:
    """Text in the indentation of a class, in as many lines as it needs."""
    return text if len(text) <= _DOC_WIDTH else textwrap.fill(text, _DOC_WIDTH + 6).replace("\n", "\n    ")


def _sentence(field: Field) -> str:
    known = field.enum or field.flags
    notes = [note for note in (field.unit, class_name(known) if known else "") if note]
    return f"{field.doc} [{', '.join(notes)}]" if notes else field.doc
