"""Holds a header against the reference: every difference, and everything the reference knows nothing of, is a
finding."""

from __future__ import annotations

import re
from collections.abc import Iterator

from firmware.registers import reference
from firmware.registers.probe import Header, Member
from firmware.registers.svd import Register


class Comparison:
    """One header, and which entries of the reference's tables it has needed."""

    def __init__(self, header: Header) -> None:
        self._header = header
        self._device = reference.device()
        self.used: set[str] = set()
        """Keys of PERIPHERALS, PREFIXES, REGISTERS, ARRAYS, FIELDS, CHOICES, FIXED and WORDS that were looked up."""
        self._groups: dict[str, list[str]] = {}
        for name, pointer in header.pointers.items():
            if pointer.struct is not None:
                prefix = self._spelled(reference.PREFIXES, pointer.struct, pointer.struct.upper())
                self._groups.setdefault(prefix, []).append(self._peripheral(name))

    def findings(self) -> list[str]:
        """Everything that is wrong, as sentences."""
        return [*self._macros(), *self._pointers(), *self._numbers(), *self._interrupts()]

    def unused(self) -> set[str]:
        """Entries of the tables that the header has no need for, after `findings`."""
        tables = (reference.PERIPHERALS, reference.PREFIXES, reference.ARRAYS, reference.FIELDS)
        keys = {key for table in (*tables, reference.CHOICES, reference.FIXED, reference.WORDS) for key in table}
        return (keys | {name for _, name in reference.REGISTERS}) - self.used

    # ------------------------------------------------------------------ names

    def _spelled(self, table: dict[str, str], name: str, default: str) -> str:
        if name in table:
            self.used.add(name)
        return table.get(name, default)

    def _peripheral(self, name: str) -> str:
        return self._spelled(reference.PERIPHERALS, name, name)

    def _register(self, peripheral: str, path: str) -> tuple[Register | None, int]:
        """The register behind a member's path, and the number of its first byte that the member is."""
        registers = self._device.registers.get(peripheral, {})
        byte = 0
        if stream := re.fullmatch(r"S\[(\d+)\]\.(\w+)", path):
            path = f"S{stream[1]}{stream[2]}"
        elif element := re.fullmatch(r"(\w+)\[(\d+)\]", path):
            array, index = element[1], int(element[2])
            if array not in reference.ARRAYS:
                return None, 0
            self.used.add(array)
            if array in reference.BYTES:
                index, byte = divmod(index, 4)
            path = f"{array}{index + reference.ARRAYS[array]}"
        if (peripheral, path) in reference.REGISTERS:
            self.used.add(path)
            path = reference.REGISTERS[peripheral, path]
        return registers.get(path), byte

    # -------------------------------------------------------------- structures

    def _macros(self) -> Iterator[str]:
        for name in self._header.function_macros - set(reference.CALLS):
            yield f"{name}(): checked against nothing"

    def _pointers(self) -> Iterator[str]:
        for name, pointer in self._header.pointers.items():
            if pointer.struct is None:
                yield from self._word(name)
                continue
            peripheral = self._peripheral(name)
            if peripheral not in self._device.registers:
                yield f"{name}: checked against nothing"
            for member in pointer.members:
                yield from self._member(name, peripheral, pointer.address + member.offset, member)
        reached = {member.struct for pointer in self._header.pointers.values() for member in pointer.members}
        reached |= {pointer.struct for pointer in self._header.pointers.values()}
        for struct in self._header.structs - reached:
            yield f"struct {struct}: nothing points to it, so it is checked against nothing"

    def _word(self, name: str) -> Iterator[str]:
        if name not in reference.WORDS:
            yield f"{name}: checked against nothing"
            return
        self.used.add(name)
        (member,) = self._header.pointers[name].members
        found = (self._header.pointers[name].address, member.size)
        *expected, source = reference.WORDS[name]
        if list(found) != expected:
            yield f"{name}: {found[1]} bytes at 0x{found[0]:08X}; {source} has {expected[1]} at 0x{expected[0]:08X}"

    def _member(self, name: str, peripheral: str, address: int, member: Member) -> Iterator[str]:
        where = f"{name}->{member.path} at 0x{address:08X}"
        if member.path.startswith("reserved"):
            for other, register in self._device.registers.get(peripheral, {}).items():
                if address <= register.address < address + member.size:
                    yield f"{where}: {register.source} has {peripheral}.{other} there"
            return
        if not member.volatile:
            yield f"{where}: not volatile"
        known, byte = self._register(peripheral, member.path)
        if known is None:
            yield f"{where}: checked against nothing"
        elif address != known.address + byte:
            yield f"{where}: {known.source} has it at 0x{known.address + byte:08X}"
        elif member.size != known.size and not self._is_byte(member):
            yield f"{where}: {member.size} bytes; {known.source} has {known.size}"

    @staticmethod
    def _is_byte(member: Member) -> bool:
        return member.size == 1 and member.path.partition("[")[0] in reference.BYTES

    # --------------------------------------------------------------- constants

    def _numbers(self) -> Iterator[str]:
        for name, value in self._header.numbers.items():
            expected = list(self._expected(name))
            if not expected:
                yield f"{name}: checked against nothing"
            for number, source in expected:
                if value != number:
                    yield f"{name} is 0x{value:X}; {source} has 0x{number:X}"

    def _expected(self, name: str) -> Iterator[tuple[int, str]]:
        """The values a constant must have, each with its source; none: nothing is known of it."""
        if name in reference.FIXED:
            self.used.add(name)
            yield reference.FIXED[name]
        elif name in reference.CHOICES:
            self.used.add(name)
            choice = reference.CHOICES[name]
            for mask, _ in self._masks(choice.field):
                yield choice.value * (mask & -mask), choice.source
        elif name.endswith("_Pos"):
            for mask, source in self._masks(name.removesuffix("_Pos")):
                yield (mask & -mask).bit_length() - 1, source
        else:
            yield from self._masks(name)

    def _masks(self, name: str) -> Iterator[tuple[int, str]]:
        """The mask of a field, PREFIX_REGISTER_FIELD, in every peripheral and register that has it."""
        prefix, _, rest = name.partition("_")
        register, _, field = rest.partition("_")
        if name in reference.FIELDS:
            self.used.add(name)
        parts = reference.FIELDS.get(name, (field,))
        for peripheral in self._groups.get(prefix, ()):
            registers = self._device.registers.get(peripheral, {})
            spelled = reference.REGISTERS.get((peripheral, register), register)
            for known in [f"S{n}CR" for n in range(8)] if register == "SxCR" else [spelled]:
                if known not in registers:
                    continue
                fields = registers[known].fields
                if not all(part in fields for part in parts):
                    continue
                yield sum(fields[part].mask for part in parts), f"{registers[known].source} {peripheral}.{known}"

    def _interrupts(self) -> Iterator[str]:
        known = {f"IRQ_{name.removesuffix('_IRQ').upper()}": at for name, at in self._device.interrupts.items()}
        for name, value in self._header.enumerators.items():
            if name in reference.FIXED:
                self.used.add(name)
            expected, source = reference.FIXED.get(name, (known.get(name), "SVD"))
            if expected is None:
                yield f"{name}: checked against nothing"
            elif value != expected:
                yield f"{name} is {value}; {source} has {expected}"
