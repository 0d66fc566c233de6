"""Faults put into a running program from outside: changed instructions, registers and variables. The image itself has
no code for tests.

A change of code lasts until `restore`. Encodings: ARMv7-M Architecture Reference Manual, A7.7.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

from program import Program

from .board import VirtualBoard
from .chip import FLASH_BASE


def _thumb(*halves: int) -> bytes:
    return struct.pack(f"<{len(halves)}H", *halves)


LOOP = _thumb(0xE7FE)
"""`b .`"""
LOOP_WITH_INTERRUPTS_OFF = _thumb(0xB672, 0xE7FE)
"""`cpsid i; b .`"""
LOOP_WITH_INTERRUPTS_MASKED = _thumb(0x2010, 0xF380, 0x8811, 0xE7FE)
"""`movs r0, #16; msr basepri, r0; b .`: level 1 and below are masked."""
READ_NULL = _thumb(0x2000, 0x6800)
"""`movs r0, #0; ldr r0, [r0]`"""
WRITE_NULL = _thumb(0x2000, 0x6000)
"""`movs r0, #0; str r0, [r0]`"""
CALL_NULL = _thumb(0x2000, 0x4780)
"""`movs r0, #0; blx r0`"""
READ_NOWHERE = _thumb(0x2060, 0x0600, 0x6800)
"""`movs r0, #0x60; lsls r0, r0, #24; ldr r0, [r0]`: external memory, of which there is none."""
WRITE_CODE = _thumb(0x2008, 0x0600, 0x6000)
"""`movs r0, #8; lsls r0, r0, #24; str r0, [r0]`: the vector table."""
JUMP_TO_RAM = _thumb(0x2020, 0x0600, 0x3001, 0x4700)
"""`movs r0, #0x20; lsls r0, r0, #24; adds r0, #1; bx r0`"""
UNDEFINED = _thumb(0xDE00)
"""`udf #0`"""
RECURSE = _thumb(0xB5F0, 0xF7FF, 0xFFFD)
"""`push {r4-r7, lr}; bl` to itself: overflows the stack frame by frame."""
BIG_FRAME = _thumb(0xF5AD, 0x5D80, 0x9000)
"""`sub sp, #4096; str r0, [sp]`: overflows the stack in one leap."""


def branch_with_link(source: int, target: int) -> bytes:
    """`bl target`, to lie at `source`."""
    offset = (target & ~1) - source - 4
    sign = offset >> 24 & 1
    j1, j2 = (1 - (offset >> n & 1 ^ sign) for n in (23, 22))
    return _thumb(0xF000 | sign << 10 | offset >> 12 & 0x3FF, 0xD000 | j1 << 13 | j2 << 11 | offset >> 1 & 0x7FF)


class Injector:
    """Changes the program of one board."""

    def __init__(self, board: VirtualBoard, elf: Path) -> None:
        self.board = board
        self.program = Program(elf)
        self._undo: list[Callable[[], None]] = []

    def patch(self, function: str, code: bytes) -> int:
        """Put instructions at the beginning of a function; returns where that is."""
        address = self.program.symbols[function]
        self._store(address, code)
        return address

    def call(self, function: str, callee: str) -> int:
        """Make a function call another one first thing; returns the address of the call."""
        address = self.program.symbols[function]
        self._store(address, branch_with_link(address, self.program.symbols[callee]))
        return address

    def restore(self) -> None:
        """Give the program its instructions back."""
        while self._undo:
            self._undo.pop()()

    def corrupt(self, variable: str, value: int) -> int:
        """Overwrite a word of a variable, `name.member…`; returns its address."""
        address = self.program.address_of(variable)
        self.board.machine.memory.write(address, value.to_bytes(4, "little"))
        return address

    def _store(self, address: int, code: bytes) -> None:
        machine, offset = self.board.machine, address - FLASH_BASE
        before = bytes(machine.flash[offset : offset + len(code)])

        def undo() -> None:
            machine.flash[offset : offset + len(before)] = before
            machine.forget_code()

        machine.flash[offset : offset + len(code)] = code
        machine.forget_code()
        self._undo.append(undo)
