"""Memory protection unit (PM0214, section 4.2; ARMv7-M ARM, B3.5): regions, subregions, permissions, execute never.

What a program may do with memory is put into the core's page table when the regions change, so an access costs nothing
more. Hence the two limits of this model, both noted as unmodelled accesses of the bus when a program meets them: a
region or subregion that begins or ends inside a page of 4 KiB of memory, and one that forbids accesses to peripherals.
Only privileged code is modelled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from .bus import Bus, Peripheral

PAGE = 0x1000
READ, WRITE, EXECUTE = 1, 2, 4
_TYPE, _CTRL, _RNR, _RBAR, _RASR = 0x00, 0x04, 0x08, 0x0C, 0x10
_ENABLE, _HFNMIENA, _PRIVDEFENA = 1, 2, 4
_REGIONS = 8
_PRIVILEGED = (0, READ | WRITE, READ | WRITE, READ | WRITE, 0, READ, READ, READ)
"""By AP, privileged (PM0214, 4.2.1; 4 is reserved)."""
_PERIPHERALS = ((0x4000_0000, 0x6000_0000), (0xE000_0000, 1 << 32))


@dataclass(frozen=True, slots=True)
class Range:
    """An enabled region, or an enabled part of one."""

    start: int
    end: int
    access: int


def default_access(address: int) -> int:
    """The system address map: nothing runs in the peripheral and system ranges (PM0214, 2.2.1)."""
    top = address >> 29
    return READ | WRITE | (0 if top in (2, 5, 6, 7) else EXECUTE)


class Mpu(Peripheral):
    """Registers 0xE000ED90 to 0xE000EDBB."""

    RESET: ClassVar = {_TYPE: _REGIONS << 8, _CTRL: 0, _RNR: 0, _RBAR: 0, _RASR: 0}

    def __init__(self, bus: Bus) -> None:
        super().__init__("MPU", 0xE000_ED90)
        self.read_only = frozenset((_TYPE,))
        self._bus = bus
        self._settings = [[0, 0] for _ in range(_REGIONS)]
        self._ranges: list[Range] = []
        self._pages: dict[int, int] = {}
        self.bypassed = False
        """Not in force for now."""
        self.generation = 0
        """Counts the changes."""
        self.changed: Callable[[], None] = lambda: None
        """Called with each change, so that a running slice ends."""
        for alias in range(4):  # RBAR and RASR have three aliases (PM0214, 4.2.10)
            self.readers[_RBAR + 8 * alias] = self._read_base
            self.readers[_RASR + 8 * alias] = self._read_attributes
            self.writers[_RBAR + 8 * alias] = self._write_base
            self.writers[_RASR + 8 * alias] = self._write_attributes
        self.writers[_CTRL] = self._write_control
        self.writers[_RNR] = lambda value: self.registers.__setitem__(_RNR, value & 7)

    def reset(self) -> None:
        """Off."""
        super().reset()
        self._settings = [[0, 0] for _ in range(_REGIONS)]
        self._changed()

    @property
    def enabled(self) -> bool:
        """CTRL.ENABLE."""
        return bool(self.registers[_CTRL] & _ENABLE)

    @property
    def in_handlers(self) -> bool:
        """CTRL.HFNMIENA: in force in HardFault and NMI too."""
        return bool(self.registers[_CTRL] & _HFNMIENA)

    def bypass(self, *, wanted: bool) -> None:
        """Take the MPU out of force, or put it back: HardFault, NMI and FAULTMASK without HFNMIENA (PM0214, 4.2.6)."""
        if wanted != self.bypassed:
            self.bypassed = wanted
            self._pages.clear()
            self.generation += 1

    def access(self, address: int) -> int:
        """What privileged code may do at an address: bits READ, WRITE, EXECUTE."""
        page = address >> 12
        found = self._pages.get(page)
        if found is None:
            found = self._pages[page] = self._lookup(address)
        return found

    def allows(self, address: int, size: int, access: int) -> bool:
        """Whether all bytes of a range, shorter than a page, may be accessed so."""
        last = address + size - 1 & 0xFFFF_FFFF
        return bool(self.access(address) & access) and bool(self.access(last) & access)

    def _lookup(self, address: int) -> int:
        if (
            not self.enabled or self.bypassed or address >> 20 == 0xE00
        ):  # the private peripheral bus is never checked (B3.5.1)
            return default_access(address)
        for part in self._ranges:
            if part.start <= address < part.end:
                return part.access & ~EXECUTE if address >> 29 == 7 else part.access
        return default_access(address) if self.registers[_CTRL] & _PRIVDEFENA else 0

    # ------------------------------------------------------------------ registers

    def _read_base(self) -> int:
        number = self.registers[_RNR]
        return self._settings[number][0] | number

    def _read_attributes(self) -> int:
        return self._settings[self.registers[_RNR]][1]

    def _write_base(self, value: int) -> None:
        if value & 0x10:  # VALID: the region is in the low bits
            self.registers[_RNR] = value & 7
        self._settings[self.registers[_RNR]][0] = value & ~0x1F
        self._changed()

    def _write_attributes(self, value: int) -> None:
        self._settings[self.registers[_RNR]][1] = value & 0x173F_FF3F
        self._changed()

    def _write_control(self, value: int) -> None:
        self.registers[_CTRL] = value & 7
        self._changed()

    def _changed(self) -> None:
        self._ranges = [part for base, attributes in reversed(self._settings) for part in self._parts(base, attributes)]
        self._pages.clear()
        self.generation += 1
        self.changed()
        if self.enabled:
            self._note_limits()

    @staticmethod
    def _parts(base: int, attributes: int) -> list[Range]:
        """The enabled subregions of a region; those of less than 256 bytes have none (PM0214, 4.2.9)."""
        bits = (attributes >> 1 & 0x1F) + 1
        if not attributes & 1 or bits < 5:
            return []
        access = _PRIVILEGED[attributes >> 24 & 7]
        if access & READ and not attributes >> 28 & 1:
            access |= EXECUTE
        start = base >> bits << bits
        count, disabled = (8, attributes >> 8 & 0xFF) if bits >= 8 else (1, 0)
        size = (1 << bits) // count
        return [Range(start + n * size, start + (n + 1) * size, access) for n in range(count) if not disabled >> n & 1]

    def _note_limits(self) -> None:
        for part in self._ranges:
            if part.start % PAGE or part.end % PAGE:
                self._bus.unmodelled["MPU region that begins or ends inside a page of 4 KiB"] += 1
            shared = any(part.start < end and part.end > start for start, end in _PERIPHERALS)
            if shared and part.access & (READ | WRITE) != READ | WRITE:
                self._bus.unmodelled["MPU region that forbids accesses to peripherals"] += 1
