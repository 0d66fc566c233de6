"""What each function pushes, and what it has pushed where it calls another: from the disassembly.

The optimised code, not the source, has the truth: functions are inlined, called by a plain branch after the frame is
gone (tail calls), and push where they need it. So the stack pointer is followed along every path through a function.
Thumb-2 of a Cortex-M without FPU registers (ARMv7-M ARM, A7.7). What is not understood is an error, never a guess.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from program import Function, Program

from . import StackError

OBJDUMP = "arm-none-eabi-objdump"
WORD = 4
_LINE = re.compile(r"^\s*([0-9a-f]+):\t(\S+)(?:\t([^@;]*))?")
_CONDITION = r"(eq|ne|cs|hs|cc|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)?"
_BRANCH = re.compile(rf"(bl|blx|bx|b|cbn?z){_CONDITION}")
_MOVES_SP = re.compile(rf"(push|pop|stmdb|ldmia|strd?|ldrd?|addw?|subw?){_CONDITION}")
_TABLE_BRANCH = frozenset(("tbb", "tbh"))
_ENDS = frozenset(("udf", "bkpt"))  # __builtin_trap()
_READS_ONLY = frozenset(("cmp", "cmn", "tst", "teq"))


@dataclass(frozen=True, slots=True)
class Instruction:
    """One line of the disassembly; `mnemonic` without width."""

    address: int
    mnemonic: str
    operands: str


@dataclass(frozen=True, slots=True)
class Call:
    """A call, or a branch to another function.

    Attributes:
        address: of the instruction.
        depth: bytes that the caller has on the stack there.
        target: address that is called; None through a register.
    """

    address: int
    depth: int
    target: int | None


@dataclass(frozen=True, slots=True)
class Body:
    """What a function does to the stack.

    Attributes:
        frame: bytes at most, without those of the functions it calls.
        calls: what it calls.
        sets_sp: it moves the stack pointer somewhere else.
        spilled: bytes of the frame for arguments that come in registers and go on on the stack of the caller.
    """

    function: Function
    frame: int
    calls: tuple[Call, ...]
    sets_sp: bool
    spilled: int


def disassemble(elf: Path) -> Iterator[Instruction]:
    """Instructions of an image, in the order of their addresses; data between them have mnemonics with a dot.

    Raises:
        StackError: there is no objdump, or it failed.
    """
    try:
        done = subprocess.run(
            [OBJDUMP, "-d", "-w", "-z", "--no-show-raw-insn", str(elf)], capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise StackError(f"{OBJDUMP} not found: run `make setup`") from error
    if done.returncode != 0:
        raise StackError(f"{OBJDUMP} failed: {done.stderr.strip()}")
    for line in done.stdout.splitlines():
        if found := _LINE.match(line):
            mnemonic = re.sub(r"(?<=.)\.[nw]$", "", found[2])
            yield Instruction(int(found[1], 16), mnemonic, (found[3] or "").strip())


def bodies(program: Program) -> dict[int, Body]:
    """Every function of an image by its address.

    Raises:
        StackError: an instruction moves the stack pointer in a way that is not understood.
    """
    parts: dict[int, list[Instruction]] = {}
    starts = {function.address: function for function in program.functions}
    current: Function | None = None
    before: list[Instruction] = []  # code between two functions belongs to the second (newlib's strcmp has some)
    for instruction in disassemble(program.path):
        if instruction.address in starts:
            current = starts[instruction.address]
            parts[current.address], before = before, []
        if current is not None and instruction.address < current.address + (current.size or 1 << 32):
            parts[current.address].append(instruction)
        else:
            before.append(instruction)
    return {address: _Walk(program, starts[address], code).body() for address, code in parts.items()}


class _Walk:
    """Follows the stack pointer through one function."""

    def __init__(self, program: Program, function: Function, code: Iterable[Instruction]) -> None:
        self.program, self.function = program, function
        self.code = [instruction for instruction in code if not instruction.mnemonic.startswith(".")]
        self.index = {instruction.address: index for index, instruction in enumerate(self.code)}
        self.depths: dict[int, int] = {}
        self.calls: dict[int, Call] = {}
        self.frame = 0
        self.sets_sp = False

    def body(self) -> Body:
        self._follow([(self.index[self.function.address], 0)])
        tables = [i for i in self.depths if self.code[i].mnemonic in _TABLE_BRANCH]
        if tables:  # what only a table of branches leads to: the cases of a switch, with the frame of the switch
            depth = max(self.depths[i] for i in tables)
            for index, instruction in enumerate(self.code):
                if index not in self.depths and instruction.mnemonic != "nop":
                    self._follow([(index, depth)])
        calls = tuple(self.calls[address] for address in sorted(self.calls))
        return Body(self.function, self.frame, calls, self.sets_sp, self._spilled())

    def _spilled(self) -> int:
        first = self.index[self.function.address]
        if first + 1 < len(self.code) and self.code[first + 1].mnemonic in ("push", "stmdb"):
            found = re.fullmatch(r"sp, #(\d+)", self.code[first].operands)
            return int(found[1]) if found is not None and self.code[first].mnemonic == "sub" else 0
        return 0

    def _follow(self, to_do: list[tuple[int, int]]) -> None:
        while to_do:
            index, depth = to_do.pop()
            if self.depths.get(index, -1) >= depth:
                continue
            self.depths[index] = depth
            for target, new_depth in self._step(self.code[index], depth):
                if new_depth > 1 << 20:
                    raise self._error(self.code[index], "pushes in a loop")
                self.frame = max(self.frame, new_depth)
                if target in self.index:
                    to_do.append((self.index[target], new_depth))
                elif self.code[index].mnemonic != "bl":  # a call that is last does not return
                    self._note(self.code[index], new_depth, target)

    def _note(self, instruction: Instruction, depth: int, target: int | None) -> None:
        known = self.calls.get(instruction.address)
        self.calls[instruction.address] = Call(
            instruction.address, max(depth, known.depth if known is not None else 0), target
        )

    def _step(self, instruction: Instruction, depth: int) -> Iterator[tuple[int, int]]:
        """Where the core goes on after an instruction, and how deep the stack is there."""
        index = self.index[instruction.address] + 1
        following = self.code[index].address if index < len(self.code) else -1
        mnemonic, operands = instruction.mnemonic, instruction.operands
        if found := _BRANCH.fullmatch(mnemonic):
            kind, conditional = found[1], found[2] is not None
            if kind in ("bl", "blx"):
                register = operands.split()[0] if kind == "blx" else None
                self._note(instruction, depth, int(operands.split()[0], 16) if register is None else None)
                if following >= 0:
                    yield following, depth
                return
            if kind == "bx":
                if operands != "lr":
                    self._note(instruction, depth, None)
            else:
                yield int(operands.split(",")[-1].split()[0], 16), depth
            if (conditional or kind.startswith("cb")) and following >= 0:
                yield following, depth
            return
        if mnemonic in _ENDS or mnemonic in _TABLE_BRANCH or (mnemonic == "nop" and following < 0):
            return  # a nop at the end fills up behind a call that does not return
        pushed, conditional, returns = self._effect(instruction)
        new_depth = depth + pushed
        if new_depth < 0:
            raise self._error(instruction, "pops more than it has pushed")
        self.frame = max(self.frame, new_depth)
        if returns and not conditional:
            return
        yield (
            following if following >= 0 else self.function.address + self.function.size,
            depth if returns else max(depth, new_depth) if conditional else new_depth,
        )

    def _effect(self, instruction: Instruction) -> tuple[int, bool, bool]:
        """(bytes pushed, only under a condition, returns) of an instruction that is no branch."""
        operands = instruction.operands
        found = _MOVES_SP.fullmatch(instruction.mnemonic)
        if found is not None:
            kind, conditional = found[1], found[2] is not None
            if kind in ("push", "pop") or operands.startswith("sp!"):
                if "-" in operands:
                    raise self._error(instruction, "has a register list that is not understood")
                size = WORD * (operands.count(",") + (0 if operands.startswith("sp!") else 1))
                push = kind in ("push", "stmdb")
                return (size if push else -size), conditional, not push and "pc" in operands
            if stepped := re.fullmatch(r".*\[sp(?:, #-(\d+)\]!|\], #(\d+))", operands):
                size = int(stepped[1]) if stepped[1] else -int(stepped[2])
                return size, conditional, kind == "ldr" and operands.startswith("pc")
            if moved := re.fullmatch(r"sp, (?:sp, )?#(\d+)", operands):
                return (int(moved[1]) if kind.startswith("sub") else -int(moved[1])), conditional, False
        first = operands.split(",")[0]
        if (instruction.mnemonic, first) == ("mov", "sp") or (instruction.mnemonic, first.lower()) == ("msr", "msp"):
            self.sets_sp = True
        elif first == "sp" and instruction.mnemonic not in _READS_ONLY and not instruction.mnemonic.startswith("st"):
            raise self._error(instruction, "has a frame of variable size (alloca, or an array of variable length)")
        elif "sp!" in operands or "[sp]," in operands:
            raise self._error(instruction, "moves the stack pointer in a way that is not understood")
        elif first == "pc":
            raise self._error(instruction, "jumps in a way that is not understood")
        return 0, False, False

    def _error(self, instruction: Instruction, what: str) -> StackError:
        place = self.program.place(instruction.address)
        return StackError(f"{place}: {what}: {instruction.mnemonic} {instruction.operands}")
