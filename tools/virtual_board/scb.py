"""System control block: vector table, reset request, fault status, coprocessor access (PM0214, section 4.4), FPU
control (4.6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from .bus import Peripheral
from .nvic import BUS_FAULT, FIRST_IRQ, MEM_MANAGE, NMI, PEND_SV, SV_CALL, SYS_TICK, USAGE_FAULT, Nvic

_ICSR, _VTOR, _AIRCR, _SCR, _CCR = 0x04, 0x08, 0x0C, 0x10, 0x14
_SHPR1, _SHCSR, _CFSR, _HFSR, _DFSR, _MMFAR, _BFAR = 0x18, 0x24, 0x28, 0x2C, 0x30, 0x34, 0x38
_CPACR = 0x88
_VECTKEY = 0x05FA
_SHCSR_ENABLES = {MEM_MANAGE: 16, BUS_FAULT: 17, USAGE_FAULT: 18}
_SHCSR_ACTIVE = {MEM_MANAGE: 0, BUS_FAULT: 1, USAGE_FAULT: 3, SV_CALL: 7, 12: 8, PEND_SV: 10, SYS_TICK: 11}
_SHCSR_PENDING = {USAGE_FAULT: 12, MEM_MANAGE: 13, BUS_FAULT: 14, SV_CALL: 15}


class Scb(Peripheral):
    """Registers 0xE000ED00 to 0xE000ED8F."""

    RESET: ClassVar = {
        0x00: 0x410FC241,  # CPUID: Cortex-M4 r0p1
        _ICSR: 0,
        _VTOR: 0,
        _AIRCR: 0xFA050000,
        _SCR: 0,
        _CCR: 0x200,
        0x18: 0,
        0x1C: 0,
        0x20: 0,
        _SHCSR: 0,
        _CFSR: 0,
        _HFSR: 0,
        _DFSR: 0,
        _MMFAR: 0,
        _BFAR: 0,
        0x3C: 0,
        _CPACR: 0,
    }

    def __init__(self, nvic: Nvic) -> None:
        super().__init__("SCB", 0xE000ED00)
        self.read_only = frozenset((0x00,))
        self._nvic = nvic
        self.on_reset_request: Callable[[], None] = lambda: None
        self.readers = {_ICSR: self._read_icsr, _AIRCR: self._read_aircr, _SHCSR: self._read_shcsr}
        self.writers = {
            _ICSR: self._write_icsr,
            _VTOR: lambda value: self.registers.__setitem__(_VTOR, value & 0x3FFF_FE00),
            _AIRCR: self._write_aircr,
            _CFSR: lambda value: self._clear_bits(_CFSR, value),
            _HFSR: lambda value: self._clear_bits(_HFSR, value),
            _DFSR: lambda value: self._clear_bits(_DFSR, value),
            _SHCSR: self._write_shcsr,
        }
        for index in range(3):
            first = 4 + 4 * index
            self.readers[_SHPR1 + 4 * index] = lambda n=first: self._read_priorities(n)  # type: ignore[misc]
            self.writers[_SHPR1 + 4 * index] = lambda v, n=first: self._write_priorities(n, v)  # type: ignore[misc]

    # ------------------------------------------------------------ what others ask

    @property
    def vector_table(self) -> int:
        """VTOR."""
        return self.registers[_VTOR]

    @property
    def stack_aligned(self) -> bool:
        """CCR.STKALIGN: exception entry aligns the stack to 8 bytes."""
        return bool(self.registers[_CCR] & 0x200)

    @property
    def sleep_on_exit(self) -> bool:
        """SCR.SLEEPONEXIT."""
        return bool(self.registers[_SCR] & 2)

    @property
    def fpu_accessible(self) -> bool:
        """CPACR grants access to CP10 and CP11 (PM0214, 4.6.1)."""
        return self.registers[_CPACR] >> 20 & 0xF in (0x5, 0xF)

    def fault_enabled(self, exception: int) -> bool:
        """Whether SHCSR lets this fault have its own handler."""
        return bool(self.registers[_SHCSR] >> _SHCSR_ENABLES[exception] & 1)

    def note_fault(self, bits: int, *, bus_address: int | None = None, memory_address: int | None = None) -> None:
        """Set bits of CFSR; with an address also BFAR and BFARVALID, or MMFAR and MMARVALID."""
        if memory_address is not None:
            bits |= 1 << 7
            self.registers[_MMFAR] = memory_address
        if bus_address is not None:
            bits |= 1 << 15
            self.registers[_BFAR] = bus_address
        self.registers[_CFSR] |= bits

    def note_hard_fault(self, bits: int) -> None:
        """Set bits of HFSR."""
        self.registers[_HFSR] |= bits

    # ------------------------------------------------------------------ registers

    def _clear_bits(self, offset: int, value: int) -> None:
        self.registers[offset] &= ~value

    def merge_base(self, offset: int) -> int:
        """Registers with write-one-to-clear bits merge sub-word writes with 0."""
        if offset in (_CFSR, _HFSR, _DFSR, _ICSR):
            return 0
        reader = self.readers.get(offset)
        return reader() if reader is not None else self.registers[offset]

    def _read_icsr(self) -> int:
        nvic = self._nvic
        active = [n for n in range(nvic.active.bit_length()) if nvic.active >> n & 1]
        value = self.current_exception()
        if len(active) <= 1:
            value |= 1 << 11  # RETTOBASE
        candidate = nvic.candidate()
        if candidate is not None:
            value |= candidate << 12
        if nvic.pending >> FIRST_IRQ:
            value |= 1 << 22
        for exception, bit in ((SYS_TICK, 26), (PEND_SV, 28), (NMI, 31)):
            value |= (nvic.pending >> exception & 1) << bit
        return value

    current_exception: Callable[[], int] = staticmethod(lambda: 0)
    """Gives IPSR; set by the board."""

    def _write_icsr(self, value: int) -> None:
        nvic = self._nvic
        if value >> 31 & 1:
            nvic.pend(NMI)
        if value >> 28 & 1:
            nvic.pend(PEND_SV)
        if value >> 27 & 1:
            nvic.unpend(PEND_SV)
        if value >> 26 & 1:
            nvic.pend(SYS_TICK)
        if value >> 25 & 1:
            nvic.unpend(SYS_TICK)

    def _read_aircr(self) -> int:
        return 0xFA05_0000 | self._nvic.priority_group << 8

    def _write_aircr(self, value: int) -> None:
        if value >> 16 != _VECTKEY:
            return
        self._nvic.priority_group = value >> 8 & 7
        self._nvic.changed()
        if value & 4:
            self.on_reset_request()

    def _read_shcsr(self) -> int:
        value = self.registers[_SHCSR] & 0x0007_0000
        for exception, bit in _SHCSR_ACTIVE.items():
            value |= (self._nvic.active >> exception & 1) << bit
        for exception, bit in _SHCSR_PENDING.items():
            value |= (self._nvic.pending >> exception & 1) << bit
        return value

    def _write_shcsr(self, value: int) -> None:
        self.registers[_SHCSR] = value & 0x0007_0000

    def _read_priorities(self, first: int) -> int:
        return int.from_bytes(bytes(self._nvic.priorities[first : first + 4]), "little")

    def _write_priorities(self, first: int, value: int) -> None:
        for index in range(4):
            self._nvic.priorities[first + index] = value >> 8 * index & 0xF0
        self._nvic.changed()


class Fpu(Peripheral):
    """FPCCR, FPCAR, FPDSCR and the STIR of the same page. Stacking of FPU registers is done at entry, never
    deferred."""

    RESET: ClassVar = {0x34: 0xC000_0000, 0x38: 0, 0x3C: 0, 0x40: 0x10110021, 0x44: 0x11000011}

    def __init__(self, nvic: Nvic) -> None:
        super().__init__("FPU", 0xE000EF00)
        self.read_only = frozenset((0x40, 0x44))
        self.writers = {
            0x00: lambda value: nvic.pend(FIRST_IRQ + (value & 0x1FF)),
        }

    @property
    def automatic(self) -> bool:
        """FPCCR.ASPEN: FPU registers are stacked on exception entry."""
        return bool(self.registers[0x34] >> 31)
