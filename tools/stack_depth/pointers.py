"""Where calls through pointers lead: the table firmware/indirect-calls.toml, and constant objects of the image.

A call is known by how the source writes it: the debug information has file, line and column of each call. The last two
names of the expression are looked up: of `imu->port->bus->start(...)` it is "bus.start", then "bus", each first with
the file ("imu.c:bus.start"), so that one file may say more exactly what a pointer of its own can be.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from program import Function, Program

_EXPRESSION = re.compile(r"([A-Za-z_]\w*(?:\s*(?:->|\.)\s*\w+|\[[^\]]*\])*)\s*\(")
_LINES_OF_A_CALL = 4


def label(function: Function) -> str:
    """Name of a function as the table has it: "poll" is one of many, "imu.c:poll" is one."""
    return f"{function.file}:{function.name}" if function.file is not None else function.name


@dataclass
class Pointers:
    """Resolves calls through pointers.

    Attributes:
        program: the image.
        table: [calls] of the table.
        sources: folder that the file names of the debug information start from.
        problems: what is wrong with the table, one line each.
        used: keys of the table that a call needed.
        reached: addresses of functions that are called through a pointer.
    """

    program: Program
    table: dict[str, str | list[str]]
    sources: Path
    problems: list[str] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    reached: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        starts = {function.address: function for function in self.program.functions}
        self.taken = {word & ~1: starts[word & ~1] for word in _words(self.program) if word & 1 and word & ~1 in starts}
        """Functions whose address lies somewhere in the image: these can be called through a pointer."""
        structs = {entry.removeprefix("struct ") for entry in self.table.values() if isinstance(entry, str)}
        self._structs = {name: self.program.function_pointers(name) for name in sorted(structs)}

    def targets(self, caller: Function, address: int) -> set[int]:
        """Addresses of the functions that a call may lead to; what is not known becomes a problem."""
        where, expressions = self._expressions(caller, address)
        if not expressions:
            self._problem(
                f"{where}: a call through a pointer that is not written `object->member(...)`: write it so, with the "
                "name of the member, to have it found in the table"
            )
        found: set[int] = set()
        for expression in expressions:
            found |= self._targets(where, expression)
        self.reached |= found
        return found

    def _targets(self, where: str, expression: str) -> set[int]:
        names = re.findall(r"\w+", re.sub(r"\[[^\]]*\]", "", expression))[-2:]
        file = Path(where.split(":", maxsplit=1)[0]).name
        keys = [f"{file}:{'.'.join(names)}", f"{file}:{names[0]}", ".".join(names), names[0]]
        key = next((key for key in keys if key in self.table), None)
        if key is None:
            self._problem(
                f'{where}: no entry for the call `{expression}(...)`: add `"{".".join(names)}" = ["function", '
                f'"file.c:static_function"]` with all that it may reach, or, where it is a member of constant objects '
                f'of a struct, `"{names[0]}" = "struct NAME"`'
            )
            return set()
        self.used.add(key)
        entry = self.table[key]
        return self._of_struct(key, entry, names[-1]) if isinstance(entry, str) else self._listed(key, entry)

    def check(self, known: set[str]) -> None:
        """After all calls are resolved: entries that nothing needs, functions that nothing seems to call.

        Args:
            known: labels of functions that are entered otherwise (interrupts, reset).
        """
        for key in sorted(set(self.table) - self.used):
            self._problem(f'entry "{key}": no call is written so (any more): remove or correct it')
        for address, function in self.taken.items():
            if address not in self.reached and label(function) not in known:
                self._problem(
                    f"the address of {label(function)} is taken, but no entry says that a call leads to it: "
                    "add it to the entry of the pointer that it goes to"
                )

    def _problem(self, text: str) -> None:
        if text not in self.problems:
            self.problems.append(text)

    def _of_struct(self, key: str, entry: str, member: str) -> set[int]:
        found = self._structs[entry.removeprefix("struct ")].get(member)
        if not found:
            self._problem(f'entry "{key}": no initialised object of {entry} has a function as .{member}')
        return {address for address in found or () if address in self.taken}

    def _listed(self, key: str, patterns: list[str]) -> set[int]:
        addresses: set[int] = set()
        for pattern in patterns:
            found = {address for address, function in self.taken.items() if fnmatchcase(label(function), pattern)}
            if not found:
                self._problem(f'entry "{key}": no function "{pattern}" has its address taken (any more): correct it')
            addresses |= found
        return addresses

    def _expressions(self, caller: Function, address: int) -> tuple[str, list[str]]:
        """("file:line", what is called there as the source writes it).

        More than one where the arguments of a call have calls through pointers too: the compiler does not always tell
        them apart, so any of them may be meant.
        """
        place = self.program.source(address)
        if place is None:
            return f"{label(caller)} (without debug information)", []
        name, line, column = place
        path = (self.sources / name).resolve()
        where = f"{path.relative_to(self.sources) if path.is_relative_to(self.sources) else path}:{line}"
        try:
            lines = path.read_text(encoding="utf-8").split("\n")
        except OSError:
            return f"{where} (cannot be read)", []
        text = "\n".join([lines[line - 1][max(column - 1, 0) :], *lines[line : line + _LINES_OF_A_CALL]])
        if text.startswith("__asm"):
            return where, ["__asm"]
        call = _EXPRESSION.match(text) if column else None
        if call is None:
            return where, []
        found = [re.sub(r"\s+", "", each[1]) for each in _EXPRESSION.finditer(text[: _closing(text, call.end())])]
        return where, sorted({each for each in found if re.search(r"->|\.", each)}) or found[:1]


def _closing(text: str, start: int) -> int:
    """Where the parenthesis closes that was opened before `start`."""
    depth = 1
    for index in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[index], 0)
        if depth == 0:
            return index
    return len(text)


def _words(program: Program) -> Iterator[int]:
    for _, data in program.segments:
        for offset in range(0, len(data) - 3, 4):
            yield int.from_bytes(data[offset : offset + 4], "little")
