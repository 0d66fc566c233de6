"""Just enough of the Thumb encoding (ARMv7-M ARM, A5) to know how far straight-line code runs."""

from __future__ import annotations

from .memory import BusError, Memory

_LOOKAHEAD = 32


def is_wide(half: int) -> bool:
    """Whether a halfword begins a 32-bit instruction."""
    return half >> 11 in (0x1D, 0x1E, 0x1F)


def _may_end(half: int) -> bool:
    """Branches, CPS, IT, anything that writes PC, and every 32-bit instruction that may be a branch or MSR."""
    if is_wide(half):
        return half >> 11 == 0x1E or half & 0xFE50 == 0xE810 or half & 0xFE40 == 0xE840 or half & 0xFE70 == 0xF850
    top = half >> 12
    if top in (0xD, 0xE):
        return True
    if top == 0xB:  # CBZ, CBNZ, CPS, POP, BKPT, IT and hints
        return half & 0x0500 == 0x0100 or half & 0xFF00 in (0xB600, 0xBD00, 0xBE00, 0xBF00)
    return half & 0xFC00 == 0x4400  # ADD, CMP, MOV with high registers, BX, BLX


def unmask_distance(memory: Memory, pc: int) -> int:
    """Instructions from `pc` up to and including the first that may branch or lift an interrupt mask; at least 1."""
    count = 0
    while count < _LOOKAHEAD:
        count += 1
        try:
            half = int.from_bytes(memory.read(pc, 2), "little")
        except BusError:
            break
        if _may_end(half):
            break
        pc += 4 if is_wide(half) else 2
    return count
