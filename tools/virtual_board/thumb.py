"""Just enough of the Thumb encoding (ARMv7-M ARM, A5) to know how far straight-line code runs."""

from __future__ import annotations

from .memory import BusError, Memory

_LOOKAHEAD = 32


def is_wide(half: int) -> bool:
    """Whether a halfword begins a 32-bit instruction."""
    return half >> 11 in (0x1D, 0x1E, 0x1F)


def _wide_may_end(half: int, second: int) -> bool:
    if half >> 11 == 0x1E:  # branches and miscellaneous control; barriers and MRS are harmless
        return bool(second & 0x8000) and half not in (0xF3BF, 0xF3EF)
    if half & 0xFE50 == 0xE810:  # LDM, with the PC in its list
        return bool(second & 0x8000)
    if half & 0xFFF0 == 0xE8D0:  # TBB, TBH
        return True
    return half & 0xFE70 == 0xF850 and second >> 12 == 15  # LDR to the PC


def _may_end(half: int) -> bool:
    """Branches, CPS, WFI, BKPT, SVC and whatever writes the PC."""
    top = half >> 12
    if top in (0xD, 0xE):
        return True
    if top == 0xB:
        cbz = half & 0x0500 == 0x0100
        return cbz or half & 0xFF00 in (0xB600, 0xBD00, 0xBE00) or half in (0xBF20, 0xBF30)
    if half & 0xFC00 == 0x4400:  # ADD, CMP, MOV with high registers; BX and BLX
        return half & 0xFF00 == 0x4700 or (half & 0xFF00 != 0x4500 and half & 0x87 == 0x87)
    return False


def unmask_distance(memory: Memory, pc: int) -> int:
    """A number of instructions that can retire from `pc` on before one that may branch or lift a mask has retired too
    many.

    At least 1; instructions of an IT block count as none, because their condition may skip them.
    """
    count = conditional = 0
    while count < _LOOKAHEAD:
        try:
            half, second = (int.from_bytes(part, "little") for part in _halves(memory, pc))
        except BusError:
            break
        wide = is_wide(half)
        if conditional:
            conditional -= 1
        else:
            count += 1
        if half & 0xFF00 == 0xBF00 and half & 0xF:
            conditional = 4 - ((half & -half).bit_length() - 1)
        elif _wide_may_end(half, second) if wide else _may_end(half):
            break
        pc += 4 if wide else 2
    return max(1, count)


def _halves(memory: Memory, pc: int) -> tuple[bytes, bytes]:
    raw = memory.read(pc, 4)
    return raw[:2], raw[2:]
