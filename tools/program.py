"""What the ELF file of a program says about its code and variables: symbols, functions, lines, members (pyelftools).

No toolchain is needed. An image without debug information still has its functions.
"""

from __future__ import annotations

import bisect
import contextlib
import io
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

_DW_OP_ADDR = 0x03  # DWARF 5, 7.7.1


class ProgramError(Exception):
    """The file is no program, or has not what was asked for; the message says which."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the source an instruction comes from; file and line are None where that is not known."""

    function: str
    offset: int
    file: str | None
    line: int | None

    def __str__(self) -> str:
        where = f" ({self.file}:{self.line})" if self.file is not None else ""
        return f"{self.function}+{self.offset:#x}{where}"


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the symbol table; bit 0 of its address is clear. `file`, without folder, of a static one."""

    name: str
    address: int
    size: int
    file: str | None = None


class Program:
    """One ELF file, read as it is asked.

    Raises:
        ProgramError: it is no ELF file.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._elf = ELFFile(io.BytesIO(path.read_bytes()))
        except ELFError as error:
            raise ProgramError(f"{path}: not an ELF file ({error})") from error

    @cached_property
    def symbols(self) -> dict[str, int]:
        """Addresses by name, bit 0 of functions clear. Of several of one name the last."""
        return {
            s.name: s["st_value"] & ~1 if s["st_info"]["type"] == "STT_FUNC" else s["st_value"]
            for s in self._symbol_table()
            if s.name
        }

    @cached_property
    def functions(self) -> list[Function]:
        """In the order of their addresses."""
        found: dict[int, Function] = {}
        file = None
        for s in self._symbol_table():
            if s["st_info"]["type"] == "STT_FILE":  # local symbols follow the name of their file (ELF, "Symbol Table")
                file = s.name
            elif s["st_info"]["type"] == "STT_FUNC":
                address = s["st_value"] & ~1
                local = s["st_info"]["bind"] == "STB_LOCAL"
                found[address] = Function(s.name, address, s["st_size"], file if local else None)
        return [found[address] for address in sorted(found)]

    def _symbol_table(self) -> list[Any]:
        section = self._elf.get_section_by_name(".symtab")
        return list(section.iter_symbols()) if isinstance(section, SymbolTableSection) else []

    @cached_property
    def segments(self) -> list[tuple[int, bytes]]:
        """Address and bytes of everything that the image loads."""
        return [(s["p_vaddr"], bytes(s.data())) for s in self._elf.iter_segments() if s["p_type"] == "PT_LOAD"]

    def read(self, address: int, size: int) -> bytes:
        """Bytes of the image.

        Raises:
            ProgramError: the image has nothing there.
        """
        for start, data in self.segments:
            if start <= address and address + size <= start + len(data):
                return data[address - start : address - start + size]
        raise ProgramError(f"{self.path}: nothing at 0x{address:08x}")

    def string(self, name: str) -> str | None:
        """The text that a `const char name[]` holds; None where there is no such symbol."""
        address = self.symbols.get(name)
        if address is None:
            return None
        text = b""
        while (byte := self.read(address + len(text), 1)) != b"\0":
            text += byte
        return text.decode("ascii", "replace")

    # ---------------------------------------------------------------------- code

    def function_at(self, address: int) -> Function | None:
        """The function that holds an instruction."""
        address &= ~1
        index = bisect.bisect_right(self.functions, address, key=lambda function: function.address) - 1
        if index < 0:
            return None
        function = self.functions[index]
        return function if address < function.address + max(function.size, 2) else None

    def place(self, address: int) -> Place | None:
        """Function, file and line of an instruction; None outside of every function."""
        function = self.function_at(address)
        if function is None:
            return None
        file, line, _ = self.source(address) or (None, None, 0)
        return Place(function.name, (address & ~1) - function.address, file, line)

    @cached_property
    def _lines(self) -> list[tuple[int, int, str, int, int]]:
        """(start, end, file, line, column) of every run of instructions, by address."""
        runs: list[tuple[int, int, str, int, int]] = []
        if not self._elf.has_dwarf_info():
            return runs
        dwarf = self._elf.get_dwarf_info()
        for unit in dwarf.iter_CUs():
            program = dwarf.line_program_for_CU(unit)
            if program is None:
                continue
            last: Any = None
            for entry in program.get_entries():
                state = entry.state
                if state is None:
                    continue
                if last is not None and state.address > last.address:
                    name = _file_name(program, last.file)
                    runs.append((last.address, state.address, name, last.line, last.column))
                last = None if state.end_sequence else state
        return sorted(runs)

    def source(self, address: int) -> tuple[str, int, int] | None:
        """File, line and column (from 1; 0 is unknown) of an instruction; None where that is not known."""
        index = bisect.bisect_right(self._lines, address & ~1, key=lambda run: run[0]) - 1
        if index >= 0:
            _, end, file, line, column = self._lines[index]
            if address & ~1 < end:
                return file, line, column
        return None

    # ----------------------------------------------------------------- variables

    def address_of(self, path: str) -> int:
        """Address of a variable or of a member of one: `app.telemetry.streams`.

        Raises:
            ProgramError: there is no such variable or member.
        """
        name, *members = path.split(".")
        if name not in self.symbols:
            raise ProgramError(f"{self.path}: no symbol {name}")
        address = self.symbols[name]
        if not members:
            return address
        die = self._variable(name)
        for member in members:
            die, offset = self._member(die, member, path)
            address += offset
        return address

    def _variable(self, name: str) -> Any:
        for unit in self._elf.get_dwarf_info().iter_CUs():
            for die in unit.get_top_DIE().iter_children():
                found = die.attributes.get("DW_AT_name")
                if die.tag == "DW_TAG_variable" and found is not None and found.value.decode() == name:
                    return die
        raise ProgramError(f"{self.path}: no debug information for {name}")

    def function_pointers(self, struct: str) -> dict[str, set[int]]:
        """Where the function pointers in initialised objects of a struct lead, by member; bit 0 of the addresses clear.

        Objects of file scope, also in arrays and within other structs; those that the linker has left out do not count.
        """
        found: dict[str, set[int]] = {}
        for unit in self._elf.get_dwarf_info().iter_CUs():
            for die in unit.get_top_DIE().iter_children():
                location = die.attributes.get("DW_AT_location")
                if die.tag != "DW_TAG_variable" or location is None or location.value[0] != _DW_OP_ADDR:
                    continue
                address = int.from_bytes(bytes(location.value[1:5]), "little")
                if address and "DW_AT_type" in die.attributes:
                    self._pointers(_type(die), address, struct, False, found)
                elif address and "DW_AT_specification" in die.attributes:
                    declared = die.get_DIE_from_attribute("DW_AT_specification")
                    self._pointers(_type(declared), address, struct, False, found)
        return found

    def _pointers(self, kind: Any, address: int, struct: str, within: bool, found: dict[str, set[int]]) -> None:
        if kind.tag == "DW_TAG_array_type":
            counts = [child.attributes.get("DW_AT_upper_bound") for child in kind.iter_children()]
            element = _type(kind)
            size = element.attributes.get("DW_AT_byte_size")
            if size is not None and len(counts) == 1 and counts[0] is not None:
                for index in range(counts[0].value + 1):
                    self._pointers(element, address + index * size.value, struct, within, found)
        elif kind.tag == "DW_TAG_structure_type":
            name = kind.attributes.get("DW_AT_name")
            within = name is not None and name.value.decode() == struct
            for child in kind.iter_children():
                if child.tag != "DW_TAG_member" or "DW_AT_data_member_location" not in child.attributes:
                    continue
                member, place = _type(child), address + child.attributes["DW_AT_data_member_location"].value
                if member.tag != "DW_TAG_pointer_type":
                    self._pointers(member, place, struct, within, found)
                elif within and "DW_AT_type" in member.attributes and _type(member).tag == "DW_TAG_subroutine_type":
                    values = found.setdefault(child.attributes["DW_AT_name"].value.decode(), set())
                    with contextlib.suppress(ProgramError):  # in .bss: not initialised
                        values |= {int.from_bytes(self.read(place, 4), "little") & ~1} - {0}

    def _member(self, die: Any, name: str, path: str) -> tuple[Any, int]:
        for child in _type(die).iter_children():
            found = child.attributes.get("DW_AT_name")
            if child.tag == "DW_TAG_member" and found is not None and found.value.decode() == name:
                return child, int(child.attributes["DW_AT_data_member_location"].value)
        raise ProgramError(f"{self.path}: {path}: no member {name}")


def _type(die: Any) -> Any:
    """The type of a variable, member, pointer or element, without its qualifiers."""
    kind = die.get_DIE_from_attribute("DW_AT_type")
    while (
        kind.tag in ("DW_TAG_typedef", "DW_TAG_const_type", "DW_TAG_volatile_type") and "DW_AT_type" in kind.attributes
    ):
        kind = kind.get_DIE_from_attribute("DW_AT_type")
    return kind


def _file_name(program: Any, number: int) -> str:
    """File of a line program with its folder; numbers and folders count from 0 in DWARF 5, from 1 before."""
    header = program.header
    first = 0 if header.version >= 5 else 1
    entry = header.file_entry[number - first]
    folders = header.include_directory
    index = entry.dir_index - first
    folder = folders[index].decode() if 0 <= index < len(folders) else ""
    return str(PurePosixPath(folder) / entry.name.decode())
