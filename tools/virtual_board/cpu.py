"""The Cortex-M4 core: Unicorn executes instructions, this file knows how many and why it stopped.

Slices. `run(limit)` executes at most `limit` instructions. Unicorn counts each instruction itself (its own C hook,
there as soon as `emu_start` gets a count) and keeps the count and its limit in two adjacent machine words. We find
those words once per process (`_locate_counters`) and read the count at any moment, also inside a register access, which
makes every time stamp exact to the instruction at no cost. Writing the limit ends a slice early at a clean instruction
boundary; `uc_emu_stop` from inside a register access would leave the program counter on the access and execute it
twice.

An IT block runs as one piece (Unicorn cannot stop inside), so a slice may overshoot by up to three instructions; they
are counted. Instructions that their condition skips are not counted. What Unicorn does not do: trap division by zero
and unaligned LDRD/LDM (it executes them), and refuse FPU instructions while CPACR forbids them (see `Exceptions`).
"""

from __future__ import annotations

import ctypes
import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import unicorn
from unicorn import arm_const, unicorn_const
from unicorn.unicorn_py3 import unicorn as _binding

from .mpu import EXECUTE, READ, WRITE

_api: Any = unicorn
_library: Any = _binding.uclib
_NEVER = 0xFFFF_FFFE
_EXCP_SWI, _EXCP_PREFETCH_ABORT, _EXCP_BKPT, _EXCP_EXCEPTION_EXIT = 2, 3, 7, 8
_WFI, _WFE = 0xBF30, 0xBF20
_WFI_WIDE, _WFE_WIDE = (0xF3AF, 0x8003), (0xF3AF, 0x8002)


class Stop(enum.Enum):
    """Why a slice ended."""

    LIMIT = enum.auto()
    WFI = enum.auto()
    WFE = enum.auto()
    SVC = enum.auto()
    BREAKPOINT = enum.auto()
    EXCEPTION_RETURN = enum.auto()
    FAULT = enum.auto()


class FaultKind(enum.Enum):
    """What the core could not do."""

    UNDEFINED = enum.auto()
    INVALID_STATE = enum.auto()
    FETCH = enum.auto()
    READ = enum.auto()
    WRITE = enum.auto()
    WRITE_PROTECTED = enum.auto()


@dataclass(frozen=True, slots=True)
class Fault:
    """A failed instruction. The address is the data address of a failed access, else the instruction's."""

    kind: FaultKind
    address: int
    size: int = 0
    value: int = 0


_MEMORY_FAULTS = {
    unicorn_const.UC_MEM_READ_UNMAPPED: FaultKind.READ,
    unicorn_const.UC_MEM_WRITE_UNMAPPED: FaultKind.WRITE,
    unicorn_const.UC_MEM_FETCH_UNMAPPED: FaultKind.FETCH,
    unicorn_const.UC_MEM_WRITE_PROT: FaultKind.WRITE_PROTECTED,
    unicorn_const.UC_MEM_READ_PROT: FaultKind.READ,
    unicorn_const.UC_MEM_FETCH_PROT: FaultKind.FETCH,
}


def _new_core() -> Any:
    core = _api.Uc(unicorn_const.UC_ARCH_ARM, unicorn_const.UC_MODE_THUMB | unicorn_const.UC_MODE_MCLASS)
    core.ctl_set_cpu_model(arm_const.UC_CPU_ARM_CORTEX_M4)
    return core


@cache
def _locate_counters() -> int:
    """Offset of Unicorn's instruction count in its engine structure; the limit is the word after it.

    Raises:
        RuntimeError: this build of Unicorn keeps them elsewhere.
    """
    probe = _new_core()
    probe.mem_map(0, 0x1000)
    probe.mem_write(0, b"\x00\xbf" * 0x700)
    word = ctypes.sizeof(ctypes.c_size_t)
    found: set[int] | None = None
    for count in (0x2B5, 0x4C9):
        probe.emu_start(1, _NEVER, count=count)
        raw = ctypes.string_at(probe._uch.value, 2048)
        pair = (count + 1).to_bytes(word, "little") + count.to_bytes(word, "little")
        here = {offset for offset in range(0, len(raw) - 2 * word, word) if raw[offset : offset + 2 * word] == pair}
        found = here if found is None else found & here
    if not found or len(found) != 1:
        raise RuntimeError(
            "cannot find the instruction counter of this build of Unicorn; versions 2.1.x are known to work"
        )
    return found.pop()


class RegisterBatch:
    """A fixed list of core registers that is read or written in one call."""

    def __init__(self, core: Any, registers: Sequence[int], *, wide: bool = False) -> None:
        count = len(registers)
        element = ctypes.c_uint64 if wide else ctypes.c_uint32
        self._handle = core._uch
        self._count = count
        self._ids = (ctypes.c_int * count)(*registers)
        self._values = (element * count)()
        start, size = ctypes.addressof(self._values), ctypes.sizeof(element)
        self._pointers = (ctypes.c_void_p * count)(*(start + size * i for i in range(count)))

    def read(self) -> list[int]:
        """The registers' values, in the order of the list."""
        _library.uc_reg_read_batch(self._handle, self._ids, self._pointers, self._count)
        return self._values[:]

    def write(self, values: Sequence[int]) -> None:
        """Set the registers, in the order of the list."""
        self._values[:] = values
        _library.uc_reg_write_batch(self._handle, self._ids, self._pointers, self._count)


class Cpu:
    """One core with its address space."""

    def __init__(self) -> None:
        self.core = _new_core()
        self.pc = 0
        """Next instruction, bit 0 clear; after Stop.EXCEPTION_RETURN the EXC_RETURN value."""
        self.primask = self.faultmask = self.basepri = 0
        """The masks, as the last slice left them."""
        self.instructions = 0
        """Retired since power-on."""
        self.fault: Fault | None = None
        self.running = False
        base = self.core._uch.value + _locate_counters()
        self._count = ctypes.c_size_t.from_address(base)
        self._limit = ctypes.c_size_t.from_address(base + ctypes.sizeof(ctypes.c_size_t))
        self._interrupt: int | None = None
        self._memory_fault: Fault | None = None
        self._yielded_at = -1
        self._views: dict[int, Any] = {}
        self._mapped: dict[int, tuple[tuple[int, int], ...]] = {}
        self._after_slice = RegisterBatch(
            self.core,
            [
                arm_const.UC_ARM_REG_PC,
                arm_const.UC_ARM_REG_PRIMASK,
                arm_const.UC_ARM_REG_FAULTMASK,
                arm_const.UC_ARM_REG_BASEPRI,
            ],
        )
        self._state = RegisterBatch(self.core, [arm_const.UC_ARM_REG_XPSR])
        self.core.hook_add(unicorn_const.UC_HOOK_INTR, self._on_interrupt)
        self.core.hook_add(unicorn_const.UC_HOOK_MEM_INVALID, self._on_bad_access)

    # ------------------------------------------------------------ memory

    def map_memory(self, address: int, memory: bytearray, *, writable: bool) -> None:
        """Map `memory` (its length a multiple of 4 KiB) at `address`; Python and the core share it without a copy."""
        view = (ctypes.c_uint8 * len(memory)).from_buffer(memory)
        self._views[address] = view
        access = READ | EXECUTE | (WRITE if writable else 0)
        self._mapped[address] = (0, access), (len(memory), 0)
        self.core.mem_map_ptr(address, len(memory), access, ctypes.addressof(view))

    def protect(self, address: int, pieces: tuple[tuple[int, int], ...]) -> None:
        """Change what the core may do with the memory mapped at `address`: from each offset on (the first is 0, the
        last the length) it has the given access. Not while it runs."""
        old, view = self._mapped[address], self._views[address]
        if pieces == old:
            return
        # Unicorn's own mem_protect would split a mapping into copies, which Python no longer shares
        for (start, access), (end, _) in pairwise(old):
            if access:
                self.core.mem_unmap(address + start, end - start)
        for (start, access), (end, _) in pairwise(pieces):
            if access:
                self.core.mem_map_ptr(address + start, end - start, access, ctypes.addressof(view) + start)
        self._mapped[address] = pieces
        self.forget_code()

    def map_registers(
        self, base: int, size: int, read: Callable[[int, int], int], write: Callable[[int, int, int], None]
    ) -> None:
        """Map a range whose accesses call `read(address, size)` and `write(address, size, value)`."""

        def on_read(_core: Any, offset: int, width: int, _data: object) -> int:
            return read(base + offset, width)

        def on_write(_core: Any, offset: int, width: int, value: int, _data: object) -> None:
            write(base + offset, width, value)

        self.core.mmio_map(base, size, on_read, None, on_write, None)

    def forget_code(self) -> None:
        """Drop translated code; needed after program memory was changed from outside."""
        self.core.ctl_flush_tb()

    # ------------------------------------------------------------- slices

    def retired_in_slice(self) -> int:
        """Instructions of the running slice, the one in progress included."""
        return self._count.value

    def end_slice(self, after: int = 0) -> None:
        """End the running slice after `after` further instructions; 0 is after the one in progress."""
        if self.running:
            target = self._count.value + after
            self._limit.value = min(self._limit.value, target)

    def run(self, limit: int) -> tuple[Stop, int]:
        """Execute at most `limit` instructions (at least one) from `pc` on. Returns why it stopped and how many
        retired."""
        self._interrupt = None
        self._memory_fault = None
        self.fault = None
        self.running = True
        failed = False
        try:
            self.core.emu_start(self.pc | 1, _NEVER, 0, limit)
        except _api.UcError:
            failed = True
        finally:
            self.running = False
        count, stopped_at = self._count.value, self._limit.value
        self.pc, self.primask, self.faultmask, self.basepri = self._after_slice.read()
        stop, retired = self._classify(failed, count, stopped_at)
        self.instructions += retired
        return stop, retired

    def _classify(self, failed: bool, count: int, limit: int) -> tuple[Stop, int]:
        if self._interrupt == _EXCP_EXCEPTION_EXIT:
            self.pc |= 1
            return Stop.EXCEPTION_RETURN, count
        if self._interrupt == _EXCP_SWI:
            return Stop.SVC, count
        if self._interrupt == _EXCP_BKPT:
            return Stop.BREAKPOINT, count - 1
        if self._interrupt is not None:
            return self._faulted(Fault(FaultKind.FETCH, self.pc), count)
        if failed:
            if self._memory_fault is not None:
                return self._faulted(self._memory_fault, count)
            if self._waits(_WFE, _WFE_WIDE) and self._yielded_at != self.pc:
                self._yielded_at = self.pc
                return Stop.WFE, count
            return self._undefined(count)
        self._yielded_at = -1
        if count > limit:
            return Stop.LIMIT, count - 1
        if self._waits(_WFI, _WFI_WIDE):
            return Stop.WFI, count
        return self._undefined(count)

    def _faulted(self, fault: Fault, count: int) -> tuple[Stop, int]:
        self.fault = fault
        return Stop.FAULT, max(0, count - 1)

    def _undefined(self, count: int) -> tuple[Stop, int]:
        thumb = self._state.read()[0] & (1 << 24)
        return self._faulted(Fault(FaultKind.UNDEFINED if thumb else FaultKind.INVALID_STATE, self.pc), count)

    def _waits(self, narrow: int, wide: tuple[int, int]) -> bool:
        """Whether the instruction before `pc` is the given wait instruction."""
        try:
            raw = bytes(self.core.mem_read(self.pc - 4, 4))
        except _api.UcError:
            return False
        halves = (int.from_bytes(raw[:2], "little"), int.from_bytes(raw[2:], "little"))
        return halves[1] == narrow or halves == wide

    # -------------------------------------------------------------- hooks

    def _on_interrupt(self, core: Any, number: int, _data: object) -> None:
        self._interrupt = number
        core.emu_stop()

    def _on_bad_access(self, _core: Any, access: int, address: int, size: int, value: int, _data: object) -> bool:
        self._memory_fault = Fault(_MEMORY_FAULTS[access], address, size, value & 0xFFFF_FFFF)
        return False
