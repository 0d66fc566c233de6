"""Read and check the table of the wire."""

from __future__ import annotations

import json
import keyword
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

SCALARS: dict[str, int] = {"u8": 1, "u16": 2, "u32": 4, "u48": 6, "u64": 8, "i16": 2, "i32": 4, "f32": 4}
"""Types of fixed size by name, with their bytes on the wire."""

PAYLOAD_MAX = 506
_S = TypeVar("_S", bound="Struct")
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_C_KEYWORDS: frozenset[str] = frozenset(
    {"auto", "break", "case", "char", "const", "continue", "default", "do", "double", "else", "enum", "extern", "float"}
    | {"for", "goto", "if", "inline", "int", "long", "register", "restrict", "return", "short", "signed", "sizeof"}
    | {"static", "struct", "switch", "typedef", "union", "unsigned", "void", "volatile", "while"}
)
_FIELD_KEYS = frozenset({"name", "type", "doc", "unit", "enum", "flags", "deprecated"})
_NOT_IN_FINGERPRINT = ("doc", "unit")


class TableError(ValueError):
    """The table breaks a rule; the message is one line that says where."""


@dataclass(frozen=True)
class Field:
    """One field of a struct, a message or a command."""

    name: str
    type: str
    doc: str
    unit: str = ""
    enum: str = ""
    flags: str = ""

    @property
    def array_size(self) -> int:
        """N of ``bytes[N]``, else 0."""
        match = re.fullmatch(r"bytes\[(\d+)\]", self.type)
        return int(match[1]) if match else 0

    @property
    def list_of(self) -> str:
        """STRUCT of ``list[STRUCT]``, else nothing."""
        match = re.fullmatch(r"list\[(\w+)\]", self.type)
        return match[1] if match else ""

    @property
    def size(self) -> int:
        """Bytes that are always there: of ``str`` and ``list`` the length or count, of ``rest`` none."""
        if self.type in ("str", "rest") or self.list_of:
            return 0 if self.type == "rest" else 1
        return self.array_size or SCALARS[self.type]


@dataclass(frozen=True)
class Struct:
    """A named run of fields."""

    name: str
    doc: str
    fields: tuple[Field, ...]

    @property
    def size(self) -> int:
        """Bytes of the shortest encoding."""
        return sum(field.size for field in self.fields)

    @property
    def is_fixed(self) -> bool:
        """Whether no length is read from the wire (``rest`` has none)."""
        return not any(field.type == "str" or field.list_of for field in self.fields)


@dataclass(frozen=True)
class Message(Struct):
    """A struct with a message id."""

    id: int = 0
    sender: str = ""


@dataclass(frozen=True)
class Command:
    """A command with up to three structs."""

    name: str
    doc: str
    id: int
    args: Struct
    result: Struct
    refusal: Struct

    @property
    def parts(self) -> tuple[Struct, Struct, Struct]:
        """Arguments, result, refusal."""
        return self.args, self.result, self.refusal


@dataclass(frozen=True)
class Values:
    """An enum (values) or flags (bit numbers)."""

    name: str
    doc: str
    values: Mapping[str, int]


@dataclass(frozen=True)
class Table:
    """The whole table, checked."""

    protocol: int
    fingerprint: int
    enums: tuple[Values, ...]
    flags: tuple[Values, ...]
    structs: tuple[Struct, ...]
    messages: tuple[Message, ...]
    commands: tuple[Command, ...]


def crc32c(data: bytes) -> int:
    """CRC-32C, bit by bit: on purpose not the codec's, so that the generator works when the codec is broken."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def canonical(value: Any) -> bytes:
    """The canonical table of SPEC.md, "Table fingerprint"."""

    def strip(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: strip(item) for key, item in part.items() if key not in _NOT_IN_FINGERPRINT}
        return [strip(item) for item in part] if isinstance(part, list) else part

    return json.dumps(strip(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def parse(text: str) -> Table:
    """Read the table.

    Raises:
        TableError: it is not TOML or breaks a rule.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TableError(f"not TOML: {error}") from error
    _keys("the table", raw, {"protocol"}, {"enum", "flags", "struct", "message", "command"})
    enums = tuple(_values("enum", name, body, 0xFF) for name, body in _section(raw, "enum", dict).items())
    flags = tuple(_values("flags", name, body, 31) for name, body in _section(raw, "flags", dict).items())
    known = _Known({e.name for e in enums}, {f.name for f in flags})
    structs = tuple(_struct(name, body, known) for name, body in _section(raw, "struct", dict).items())
    known.structs = {s.name: s for s in structs}
    messages = tuple(_message(body, known) for body in _section(raw, "message", list))
    commands = tuple(_command(body, known) for body in _section(raw, "command", list))
    protocol = _integer("the table", raw, "protocol", 1, 0xFF)
    _unique("message id", [(m.id, m.name) for m in messages])
    _unique("command id", [(c.id, c.name) for c in commands])
    parts = [part.name for command in commands for part in command.parts]
    names = [item.name for group in (enums, flags, structs, messages) for item in group] + parts
    _unique("name", [(name, name) for name in names])
    _unique("command", [(c.name, c.name) for c in commands])
    return Table(protocol, crc32c(canonical(raw)), enums, flags, structs, messages, commands)


class _Known:
    """What a field may refer to."""

    def __init__(self, enums: set[str], flags: set[str]) -> None:
        self.enums = enums
        self.flags = flags
        self.structs: dict[str, Struct] = {}


def _section(raw: Mapping[str, Any], name: str, kind: type) -> Any:
    section = raw.get(name, kind())
    if not isinstance(section, kind):
        raise TableError(f"{name}: write [[{name}]]" if kind is list else f"{name}: write [{name}.NAME]")
    return section


def _keys(where: str, body: Any, required: set[str], optional: Iterable[str] = ()) -> None:
    if not isinstance(body, dict):
        raise TableError(f"{where}: not a table")
    for key in sorted(required - body.keys()):
        raise TableError(f"{where}: {key} is missing")
    for key in sorted(body.keys() - required - set(optional)):
        raise TableError(f"{where}: unknown key {key}")


def _name(where: str, name: Any) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name) or keyword.iskeyword(name) or name in _C_KEYWORDS:
        raise TableError(f"{where}: {name!r} cannot be a name (lower_snake_case, no keyword of C or Python)")
    return name


def _doc(where: str, body: Mapping[str, Any]) -> str:
    doc = body.get("doc")
    if not isinstance(doc, str) or not doc.strip() or "\n" in doc or '"' in doc or "*/" in doc or "\\" in doc:
        raise TableError(f"{where}: doc must be one line of text without quotes")
    return doc


def _integer(where: str, body: Mapping[str, Any], key: str, low: int, high: int) -> int:
    value = body[key]
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise TableError(f"{where}: {key} = {value!r} is not an integer in {low} … {high}")
    return value


def _unique(what: str, pairs: Iterable[tuple[Any, str]]) -> None:
    seen: dict[Any, str] = {}
    for value, owner in pairs:
        if value in seen:
            raise TableError(f"{what} {value} is used twice: {seen[value]}, {owner}")
        seen[value] = owner


def _values(kind: str, name: str, body: Any, highest: int) -> Values:
    where = f"{kind}.{name}"
    _name(where, name)
    _keys(where, body, {"doc", "values"}, {"deprecated"})
    values = body["values"]
    if not isinstance(values, dict) or not values:
        raise TableError(f"{where}: values is not a table of names and numbers")
    for key in values:
        if _name(where, key) in _NOT_IN_FINGERPRINT:
            raise TableError(f"{where}: {key} cannot be the name of a value, the fingerprint leaves it out")
        _integer(where, values, key, 0, highest)
    _unique(f"{where}: number", [(value, key) for key, value in values.items()])
    return Values(name, _doc(where, body), values)


def _struct(name: str, body: Any, known: _Known) -> Struct:
    where = f"struct.{name}"
    _name(where, name)
    _keys(where, body, {"doc", "fields"}, {"deprecated"})
    fields = _fields(where, body["fields"], known, {"str", "bytes"})
    return _fits(where, Struct(name, _doc(where, body), fields))


def _message(body: Any, known: _Known) -> Message:
    where = f"message {body.get('name', '?')}" if isinstance(body, dict) else "message"
    _keys(where, body, {"name", "id", "from", "doc", "fields"}, {"deprecated"})
    if body["from"] not in ("board", "host"):
        raise TableError(f"{where}: from = {body['from']!r} is neither board nor host")
    fields = _fields(where, body["fields"], known, {"str", "bytes", "list", "rest"})
    message_id = _integer(where, body, "id", 1, 0xFF)
    message = Message(_name(where, body["name"]), _doc(where, body), fields, message_id, body["from"])
    return _fits(where, message)


def _command(body: Any, known: _Known) -> Command:
    where = f"command {body.get('name', '?')}" if isinstance(body, dict) else "command"
    _keys(where, body, {"name", "id", "doc", "args", "result"}, {"refusal", "deprecated"})
    name = _name(where, body["name"])
    parts = []
    for part, what in (("args", "Arguments"), ("result", "Result"), ("refusal", "Refusal")):
        fields = _fields(f"{where}.{part}", body.get(part, []), known, {"str", "bytes", "list"}, may_be_empty=True)
        parts.append(_fits(where, Struct(f"{name}_{part}", f"{what} of the command {name}.", fields)))
    return Command(name, _doc(where, body), _integer(where, body, "id", 1, 0xFF), parts[0], parts[1], parts[2])


def _fits(where: str, struct: _S) -> _S:
    if struct.size > PAYLOAD_MAX:
        raise TableError(f"{where}: {struct.size} bytes at least, a frame holds {PAYLOAD_MAX}")
    return struct


def _fields(where: str, raw: Any, known: _Known, allowed: set[str], *, may_be_empty: bool = False) -> tuple[Field, ...]:
    if not isinstance(raw, list) or not (raw or may_be_empty):
        raise TableError(f"{where}: fields is not a list of fields")
    fields = tuple(_field(where, body, known, allowed) for body in raw)
    _unique(f"{where}: field", [(field.name, field.name) for field in fields])
    for field in fields[:-1]:
        if field.type == "rest":
            raise TableError(f"{where}: {field.name} is rest and not the last field")
    return fields


def _field(where: str, body: Any, known: _Known, allowed: set[str]) -> Field:
    _keys(where, body, {"name", "type", "doc"}, _FIELD_KEYS)
    where = f"{where}: field {_name(where, body['name'])}"
    if not all(isinstance(value, str) for key, value in body.items() if key != "deprecated"):
        raise TableError(f"{where}: a value is not a string")
    unit = body.get("unit", "")
    field = Field(body["name"], body["type"], _doc(where, body), unit, body.get("enum", ""), body.get("flags", ""))
    kind = "list" if field.list_of else "bytes" if field.array_size else field.type
    if kind not in SCALARS and kind not in allowed:
        if kind in ("str", "bytes", "list", "rest"):
            raise TableError(f"{where}: {field.type} is not possible here")
        raise TableError(f"{where}: unknown type {field.type}")
    if field.list_of and field.list_of not in known.structs:
        raise TableError(f"{where}: unknown struct {field.list_of}")
    for what, names, storage in (("enum", known.enums, "u8"), ("flags", known.flags, "u32")):
        name = getattr(field, what)
        if name and name not in names:
            raise TableError(f"{where}: unknown {what} {name}")
        if name and field.type != storage:
            raise TableError(f"{where}: {what} in a {field.type}, not a {storage}")
    return field
