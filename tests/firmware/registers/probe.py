"""What the cross compiler makes of a header of register definitions: values and types, not text.

A probe is compiled that includes the header and keeps every macro in a constant of the macro's own type:

    const __typeof__(RCC) value_RCC = RCC;

Values are read from the object file's data, structure layouts and enumerations from its debug information. Which
macros there are says the preprocessor.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from elftools.dwarf.die import DIE
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

GCC = "arm-none-eabi-gcc"
CORE = ("-std=c11", "-mcpu=cortex-m4", "-mthumb")
STANDARD_HEADERS = "#include <stddef.h>\n#include <stdint.h>\n"


@dataclass(frozen=True)
class Member:
    """One scalar of a structure: path such as `S[3].CR`, byte offset, bytes, whether it is volatile; the innermost
    structure that holds it."""

    path: str
    offset: int
    size: int
    volatile: bool
    struct: str | None


@dataclass(frozen=True)
class Pointer:
    """A macro that is a pointer: the address, and what it says to be there.

    `struct` is None for a pointer to a scalar; `members` then holds that scalar, without a path.
    """

    address: int
    struct: str | None
    members: tuple[Member, ...]


@dataclass(frozen=True)
class Header:
    """Everything a header defines."""

    pointers: Mapping[str, Pointer]
    numbers: Mapping[str, int]
    enumerators: Mapping[str, int]
    structs: frozenset[str]
    function_macros: frozenset[str]


def _gcc(*arguments: str, source: str) -> str:
    """Run the compiler on C text.

    Raises:
        subprocess.CalledProcessError: it does not compile; the compiler's messages are on stderr.
        FileNotFoundError: no cross compiler (`make setup` installs it).
    """
    command = [GCC, *CORE, *arguments, "-x", "c", "-"]
    return subprocess.run(command, input=source, stdout=subprocess.PIPE, text=True, check=True).stdout


def _macros(source: str) -> dict[str, str]:
    """Macros after `source`, name with parameters to body."""
    lines = _gcc("-E", "-dM", source=source).splitlines()
    macros = {}
    for line in lines:
        head, _, body = line.removeprefix("#define ").partition(" ")
        macros[head] = body
    return macros


def _target(die: DIE) -> tuple[DIE, bool]:
    """The type behind a variable or member, typedefs and qualifiers taken off; whether one of them was volatile."""
    volatile = False
    kind = die.get_DIE_from_attribute("DW_AT_type")
    while kind.tag in ("DW_TAG_const_type", "DW_TAG_volatile_type", "DW_TAG_typedef"):
        volatile |= kind.tag == "DW_TAG_volatile_type"
        kind = kind.get_DIE_from_attribute("DW_AT_type")
    return kind, volatile


def _name(die: DIE) -> str:
    return str(die.attributes["DW_AT_name"].value.decode())


def _members(kind: DIE, path: str, offset: int, volatile: bool, struct: str | None = None) -> Iterator[Member]:
    """The scalars of a type, arrays and structures taken apart."""
    if kind.tag == "DW_TAG_structure_type":
        struct = _name(kind)
        for child in kind.iter_children():
            inner, qualified = _target(child)
            start = offset + child.attributes["DW_AT_data_member_location"].value
            yield from _members(inner, f"{path}.{_name(child)}".removeprefix("."), start, volatile or qualified, struct)
    elif kind.tag == "DW_TAG_array_type":
        inner, qualified = _target(kind)
        (dimension,) = kind.iter_children()
        stride = _size(inner)
        for index in range(dimension.attributes["DW_AT_upper_bound"].value + 1):
            yield from _members(inner, f"{path}[{index}]", offset + index * stride, volatile or qualified, struct)
    else:
        yield Member(path, offset, _size(kind), volatile, struct)


def _size(kind: DIE) -> int:
    return int(kind.attributes["DW_AT_byte_size"].value)


class _Object:
    """The compiled probe."""

    def __init__(self, file: ELFFile, header: Path) -> None:
        self._elf = file
        (self._unit,) = file.get_dwarf_info().iter_CUs()
        table = file.get_section_by_name(".symtab")
        assert isinstance(table, SymbolTableSection)
        self._symbols = {symbol.name: symbol.entry for symbol in table.iter_symbols()}
        lines = file.get_dwarf_info().line_program_for_CU(self._unit)
        assert lines is not None
        files = enumerate(lines.header.file_entry, start=1)
        self._own_files = {number for number, entry in files if entry.name.decode() == header.name}

    def _dies(self, tag: str) -> Iterator[DIE]:
        return (die for die in self._unit.get_top_DIE().iter_children() if die.tag == tag)

    def declared(self, tag: str) -> Iterator[DIE]:
        """Types that the header itself declares."""
        return (die for die in self._dies(tag) if die.attributes["DW_AT_decl_file"].value in self._own_files)

    def values(self) -> Iterator[tuple[str, int, DIE]]:
        """The constants of the probe: macro, value, type."""
        for die in self._dies("DW_TAG_variable"):
            symbol = self._symbols[_name(die)]
            data = self._elf.get_section(symbol["st_shndx"]).data()
            raw = data[symbol["st_value"] : symbol["st_value"] + symbol["st_size"]]
            yield _name(die).removeprefix("value_"), int.from_bytes(raw, "little"), _target(die)[0]


def _pointer(address: int, kind: DIE) -> Pointer:
    inner, volatile = _target(kind)
    struct = _name(inner) if inner.tag == "DW_TAG_structure_type" else None
    return Pointer(address, struct, tuple(_members(inner, "", 0, volatile)))


def read(header: Path, calls: Mapping[str, str]) -> Header:
    """Compile the probe for a header and read it.

    Args:
        header: the file; it needs nothing but the standard headers.
        calls: macros with parameters are seen only called: name for the result, and the call (`GPIO(0)`).

    Raises:
        subprocess.CalledProcessError: the header does not compile.
    """
    include = f'#include "{header}"\n'
    standard = _macros(STANDARD_HEADERS)
    own = {name: body for name, body in _macros(include).items() if name not in standard}
    functions = frozenset(name.partition("(")[0] for name in own if "(" in name)
    expressions = {name: name for name, body in own.items() if "(" not in name and body} | dict(calls)
    probe = include + "".join(f"const __typeof__({e}) value_{n} = {e};\n" for n, e in expressions.items())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "probe.o"
        _gcc("-c", "-gdwarf-4", "-fno-eliminate-unused-debug-types", "-o", str(path), source=probe)
        with path.open("rb") as file:
            compiled = _Object(ELFFile(file), header)
            values = list(compiled.values())
            pointers = {n: _pointer(value, kind) for n, value, kind in values if kind.tag == "DW_TAG_pointer_type"}
            numbers = {n: value for n, value, kind in values if kind.tag == "DW_TAG_base_type"}
            assert len(pointers) + len(numbers) == len(expressions), "a macro that is neither pointer nor number"
            return Header(
                pointers,
                numbers,
                {
                    _name(one): one.attributes["DW_AT_const_value"].value
                    for enumeration in compiled.declared("DW_TAG_enumeration_type")
                    for one in enumeration.iter_children()
                },
                frozenset(_name(die) for die in compiled.declared("DW_TAG_structure_type")),
                functions,
            )
