"""The table as C: constants, structs, and a writer and a reader for each."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from .table import Field, Struct, Table, Values

_C_TYPES = {
    "u8": "uint8_t",
    "u16": "uint16_t",
    "u32": "uint32_t",
    "u48": "uint64_t",
    "u64": "uint64_t",
    "i16": "int16_t",
    "i32": "int32_t",
    "f32": "float",
    "str": "struct tp_str",
    "rest": "struct tp_bytes",
}
_SOURCE = "Generated from protocol/messages.toml by tools/generate_protocol.py; do not edit."
_HOW_TO_USE = """ *
 * tp_NAME_write encodes and returns the size in bytes; 0 when it does not fit room, a text is longer than
 * 255 bytes or a u48 is too large. tp_NAME_read decodes; false when n bytes are too few, and *m is then not
 * to be used. Bytes after the last field are ignored, so that newer messages can be read. Texts and trailing
 * bytes that were read point into the input. TP_NAME_SIZE is the size of the shortest encoding.
"""
_LIST = """/* A run of {name}.
 * To write one, set items and count. Before reading one, set storage and room: the first room structs are
 * stored there, items then points to them, and count says how many the message holds, which may be more. */
struct tp_{name}_list {{
const struct tp_{name} *items;
uint8_t count;
uint8_t room;
struct tp_{name} *storage;
}};
"""
_WIDTH = 108


def c_header(table: Table) -> str:
    """Source of ``tp_messages.h``, before clang-format."""
    return "\n".join(_header(table))


def c_source(table: Table) -> str:
    """Source of ``tp_messages.c``, before clang-format."""
    return "\n".join(_source(table))


def _header(table: Table) -> Iterator[str]:
    yield f"/* Messages of the wire. {_SOURCE}\n{_HOW_TO_USE} */"
    yield "#ifndef TP_MESSAGES_H\n#define TP_MESSAGES_H\n"
    yield '#include <stdbool.h>\n#include <stddef.h>\n#include <stdint.h>\n\n#include "tp_types.h"\n'
    yield f"#define TP_PROTOCOL {table.protocol}u"
    yield f"#define TP_FINGERPRINT {table.fingerprint:#010X}u /* CRC-32C of the canonical table */\n".replace(
        "0X", "0x"
    )
    ids = [(f"{message.name} = {message.id:#04x}", message.doc) for message in table.messages]
    yield from _enum("message_type", "message", "Message ids.", ids)
    commands = [(f"{command.name} = {command.id}", command.doc) for command in table.commands]
    yield from _enum("command_id", "command", "Command ids.", commands)
    for enum in table.enums:
        yield from _enum(
            enum.name, enum.name, enum.doc, [(f"{key} = {value}", "") for key, value in enum.values.items()]
        )
    for flags in table.flags:
        yield from _flags(flags)
    lists = {field.list_of for struct in _coded(table) for field in struct.fields if field.list_of}
    for struct in table.structs:
        yield from _struct(struct)
        if struct.name in lists:
            yield _LIST.format(name=struct.name)
    for struct in _coded(table):
        yield from _struct(struct)
        yield from _prototypes(struct, ";")
    yield "#endif\n"


def _source(table: Table) -> Iterator[str]:
    yield f"/* Messages of the wire. {_SOURCE} */"
    yield '#include "tp_messages.h"\n\n#include "tp_pack.h"\n'
    for struct in table.structs:
        name = struct.name
        yield f"static void put_{name}(struct tp_writer *w, const struct tp_{name} *m)\n{{"
        yield from _puts(struct, "w")
        yield f"}}\n\nstatic void get_{name}(struct tp_reader *r, struct tp_{name} *m)\n{{"
        yield from _gets(struct, "r")
        yield "}\n"
    for struct in _coded(table):
        write, read = _prototypes(struct, "")
        yield f"{write}\n{{\nstruct tp_writer w = tp_writer(out, room);\n"
        yield from _puts(struct, "&w")
        yield f"return tp_written(&w);\n}}\n\n{read}\n{{\nstruct tp_reader r = tp_reader(in, n);\n"
        yield from _gets(struct, "&r")
        yield "return !r.failed;\n}\n"


def _coded(table: Table) -> Iterator[Struct]:
    """What has a writer and a reader: messages, and the parts of commands that have fields."""
    yield from table.messages
    yield from (part for part in itertools.chain.from_iterable(c.parts for c in table.commands) if part.fields)


def _enum(name: str, prefix: str, doc: str, members: list[tuple[str, str]]) -> Iterator[str]:
    yield f"/* {doc} */\nenum tp_{name} {{"
    for member, note in members:
        key, _, value = member.partition(" = ")
        if note:
            yield f"/* {note} */"
        yield f"TP_{prefix.upper()}_{key.upper()} = {value},"
    yield "};\n"


def _flags(flags: Values) -> Iterator[str]:
    yield f"/* {flags.doc} */"
    for name, bit in flags.values.items():
        yield f"#define TP_{flags.name.upper()}_{name.upper()} (UINT32_C(1) << {bit})"
    yield ""


def _struct(struct: Struct) -> Iterator[str]:
    upper = struct.name.upper()
    yield f"/* {struct.doc} */\n#define TP_{upper}_SIZE {struct.size}u\n\nstruct tp_{struct.name} {{"
    column = max(len(_declaration(field)) for field in struct.fields)
    for field in struct.fields:
        note = f"/* {_note(field)} */"
        fits = 4 + column + 2 + len(note) <= _WIDTH
        yield f"{_declaration(field)}; {note}" if fits else f"{note}\n{_declaration(field)};"
    yield "};\n"


def _prototypes(struct: Struct, end: str) -> tuple[str, str]:
    name = struct.name
    check = "TP_MUST_CHECK " if end else ""
    return (
        f"{check}size_t tp_{name}_write(uint8_t *out, size_t room, const struct tp_{name} *m){end}",
        f"{check}bool tp_{name}_read(struct tp_{name} *m, const uint8_t *in, size_t n){end}" + ("\n" if end else ""),
    )


def _puts(struct: Struct, writer: str) -> Iterator[str]:
    for field in struct.fields:
        name = f"m->{field.name}"
        if field.list_of:
            yield f"tp_put_u8({writer}, {name}.count);"
            yield f"for (size_t i = 0; i < {name}.count; i++) {{ put_{field.list_of}({writer}, &{name}.items[i]); }}"
        elif field.array_size:
            yield f"tp_put_bytes({writer}, {name}, sizeof {name});"
        elif field.type == "rest":
            yield f"tp_put_bytes({writer}, {name}.data, {name}.size);"
        else:
            yield f"tp_put_{field.type}({writer}, {name});"


def _gets(struct: Struct, reader: str) -> Iterator[str]:
    for field in struct.fields:
        name = f"m->{field.name}"
        if field.list_of:
            yield f"{name}.items = {name}.storage;\n{name}.count = tp_get_u8({reader});"
            yield f"for (size_t i = 0; i < {name}.count; i++) {{\nstruct tp_{field.list_of} skipped;\n"
            yield f"get_{field.list_of}({reader}, i < {name}.room ? &{name}.storage[i] : &skipped);\n}}"
        elif field.array_size:
            yield f"tp_get_bytes({reader}, {name}, sizeof {name});"
        else:
            yield f"{name} = tp_get_{field.type}({reader});"


def _declaration(field: Field) -> str:
    if field.list_of:
        return f"struct tp_{field.list_of}_list {field.name}"
    if field.array_size:
        return f"uint8_t {field.name}[{field.array_size}]"
    return f"{_C_TYPES[field.type]} {field.name}"


def _note(field: Field) -> str:
    known = f"enum tp_{field.enum}" if field.enum else f"TP_{field.flags.upper()}_*" if field.flags else ""
    notes = [note for note in (field.unit, known) if note]
    return f"{field.doc} [{', '.join(notes)}]" if notes else field.doc
