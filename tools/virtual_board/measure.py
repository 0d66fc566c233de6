"""Measurements on a running board: how late an edge is stamped, how long interrupts are masked, how deep the stack is.

In cycles of the virtual board, which are retired instructions: it knows neither wait states nor the 12 cycles that
entering an exception takes on silicon (ARM DDI 0439B, 3.9.1). Instructions that change a mask are hooked where they
are, so nothing else runs slower.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unicorn import arm_const as arm
from unicorn import unicorn_const

from program import Program

from .board import VirtualBoard
from .chip import FLASH_BASE, SRAM_BASE
from .nvic import FIRST_IRQ

_CPSID, _CPSIE = 0xB672, 0xB662
_MSR, _PRIMASK, _BASEPRI = 0xF380, 0x8810, 0x8811
_SYSTICK_VAL = 0x18
_PAINT = (0xA5A5_A5A5).to_bytes(4, "little")
_EXTI_IRQS = frozenset((6, 7, 8, 9, 10, 23, 40))


@dataclass(slots=True)
class Masked:
    """Time with one kind of mask set.

    Attributes:
        longest: cycles of the longest section; sleep in it does not count, for whatever comes ends it.
        function: where that section began, and who had called that.
        sections: how many there were.
    """

    longest: int = 0
    function: str = ""
    sections: int = 0
    _since: int | None = field(default=None, repr=False)
    _where: tuple[int, int] = field(default=(0, 0), repr=False)


class Measurement:
    """Watches a board from now on."""

    def __init__(self, board: VirtualBoard, elf: Path) -> None:
        self.board = board
        self.program = Program(elf)
        self.primask, self.basepri = Masked(), Masked()
        self.stamp_latencies: list[int] = []
        """Cycles from each edge of a data-ready line that is stamped to the read of the clock in its interrupt."""
        self._edge: int | None = None
        self._hook_masks()
        self._hook_stamps()
        board.machine.forget_code()  # what was translated before has no hooks

    # ---------------------------------------------------------------------- stack

    def stack_used(self) -> int:
        """Bytes of the stack that have been written since start-up painted it."""
        start, end = (self.program.symbols[name] - SRAM_BASE for name in ("stack_start", "stack_end"))
        stack = bytes(self.board.machine.sram[start:end])
        unused = 0
        while stack[unused : unused + 4] == _PAINT:
            unused += 4
        return len(stack) - unused

    # -------------------------------------------------------------------- latency

    def _hook_stamps(self) -> None:
        machine = self.board.machine
        read = machine.systick.readers[_SYSTICK_VAL]
        for pin in (self.board.spec.data_ready, self.board.spec.data_ready_spi):
            self._hook_pin(pin[1], int(pin[2:]))

        def on_read() -> int:
            if self._edge is not None and machine.exceptions.ipsr() - FIRST_IRQ in _EXTI_IRQS:
                self.stamp_latencies.append(machine.time.now_cycle - self._edge)
                self._edge = None
            return read()

        machine.systick.readers[_SYSTICK_VAL] = on_read

    def _hook_pin(self, letter: str, number: int) -> None:
        machine = self.board.machine
        changed = machine.gpio[letter].on_input

        def on_input(pin: int, level: bool) -> None:
            if pin == number and level:
                self._edge = machine.time.now_cycle
            changed(pin, level)

        machine.gpio[letter].on_input = on_input

    # ---------------------------------------------------------------------- masks

    def _hook_masks(self) -> None:
        core, flash = self.board.machine.cpu.core, self.board.machine.flash
        for function in self.program.functions:
            offset = function.address - FLASH_BASE
            for at in range(offset, offset + function.size, 2):
                half = int.from_bytes(flash[at : at + 2], "little")
                second = int.from_bytes(flash[at + 2 : at + 4], "little")
                writes = half & 0xFFF0 == _MSR and second in (_PRIMASK, _BASEPRI)
                if half in (_CPSID, _CPSIE) or writes:
                    address = FLASH_BASE + at
                    core.hook_add(unicorn_const.UC_HOOK_CODE, self._on_mask, (half, second), address, address)

    def _on_mask(self, core: Any, address: int, _size: int, code: tuple[int, int]) -> None:
        half, second = code
        if half in (_CPSID, _CPSIE):
            self._note(self.primask, address, masked=half == _CPSID)
        else:
            value = core.reg_read(arm.UC_ARM_REG_R0 + (half & 0xF))
            self._note(self.primask if second == _PRIMASK else self.basepri, address, masked=bool(value))

    def _name(self, address: int) -> str:
        found = self.program.function_at(address)
        return found.name if found is not None else f"0x{address:08x}"

    def _note(self, mask: Masked, address: int, *, masked: bool) -> None:
        now = self.board.machine.awake_cycle
        if masked and mask._since is None:
            mask._since, mask._where = now, (address, self.board.machine.cpu.core.reg_read(arm.UC_ARM_REG_LR))
            mask.sections += 1
        elif not masked and mask._since is not None:
            if now - mask._since > mask.longest:
                mask.longest = now - mask._since
                mask.function = " from ".join(self._name(address) for address in mask._where)
            mask._since = None
