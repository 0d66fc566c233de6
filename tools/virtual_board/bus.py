"""The register bus: finds the peripheral behind an address and notes every access that no model answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import ClassVar

Reader = Callable[[], int]
Writer = Callable[[int], None]


class Peripheral:
    """A block of 32-bit registers.

    A subclass names its registers with their reset values in `RESET` (offset to value). A register without a handler is
    plain storage.
    """

    RESET: ClassVar[Mapping[int, int]] = {}

    def __init__(self, name: str, base: int) -> None:
        self.name = name
        self.base = base
        self.clocked = True
        self.reset_values: dict[int, int] = dict(self.RESET)
        self.registers: dict[int, int] = dict(self.reset_values)
        self.readers: dict[int, Reader] = {}
        self.writers: dict[int, Writer] = {}
        self.read_only: frozenset[int] = frozenset()
        self.write_only: frozenset[int] = frozenset()
        self.write_to_clear: frozenset[int] = frozenset()

    def reset(self) -> None:
        """Take every register back to its reset value."""
        self.registers = dict(self.reset_values)

    def merge_base(self, offset: int) -> int:
        """What a store of less than a word merges with: the stored value, 0 where that would set or clear something."""
        return 0 if offset in self.write_only or offset in self.write_to_clear else self.registers.get(offset, 0)


class Bus:
    """Dispatch by blocks of 16 bytes: fine enough for the private peripheral bus, where the debug block follows the
    SCB."""

    def __init__(self) -> None:
        self._pages: dict[int, Peripheral] = {}
        self.unmodelled: Counter[str] = Counter()
        """Accesses to registers that no model has, by `NAME+0xOFFSET read|write`."""
        self.unclocked: Counter[str] = Counter()
        """Accesses to peripherals whose clock is off in RCC; they read 0 and ignore writes, as on silicon."""
        self.violations: Counter[str] = Counter()
        """Uses that the reference manual forbids, as sentences."""

    def add(self, peripheral: Peripheral, size: int = 0x400) -> None:
        """Put a peripheral on the bus."""
        self.add_range(peripheral, peripheral.base, size)

    def add_range(self, peripheral: Peripheral, start: int, size: int) -> None:
        """Put a peripheral on the bus at pages that need not begin at its base."""
        for page in range(start >> 4, (start + size - 1 >> 4) + 1):
            self._pages[page] = peripheral

    def peripheral_at(self, address: int) -> Peripheral | None:
        """The peripheral whose page holds `address`."""
        return self._pages.get(address >> 4)

    def read(self, address: int, size: int) -> int:
        """A load of `size` bytes."""
        peripheral = self._pages.get(address >> 4)
        if peripheral is None:
            self.unmodelled[f"0x{address & ~3:08X} read"] += 1
            return 0
        offset = address - peripheral.base & ~3
        if not peripheral.clocked:
            self.unclocked[f"{peripheral.name}+0x{offset:02X} read"] += 1
            return 0
        reader = peripheral.readers.get(offset)
        if reader is not None:
            value = reader()
        elif offset in peripheral.registers:
            value = 0 if offset in peripheral.write_only else peripheral.registers[offset]
        else:
            self.unmodelled[f"{peripheral.name}+0x{offset:02X} read"] += 1
            return 0
        if size == 4:
            return value
        return value >> 8 * (address & 3) & (1 << 8 * size) - 1

    def write(self, address: int, size: int, value: int) -> None:
        """A store of `size` bytes."""
        peripheral = self._pages.get(address >> 4)
        if peripheral is None:
            self.unmodelled[f"0x{address & ~3:08X} write"] += 1
            return
        offset = address - peripheral.base & ~3
        if not peripheral.clocked:
            self.unclocked[f"{peripheral.name}+0x{offset:02X} write"] += 1
            return
        writer = peripheral.writers.get(offset)
        if writer is None and offset not in peripheral.registers and offset not in peripheral.read_only:
            self.unmodelled[f"{peripheral.name}+0x{offset:02X} write"] += 1
            return
        if size != 4:
            shift = 8 * (address & 3)
            mask = (1 << 8 * size) - 1 << shift
            value = peripheral.merge_base(offset) & ~mask | value << shift & mask
        if writer is not None:
            writer(value)
        elif offset not in peripheral.read_only:
            peripheral.registers[offset] = value
