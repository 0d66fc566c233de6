"""Adds up the worst case: the deepest chain of calls of the main loop, and interrupts of every level nested on it."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from program import Program, ProgramError

from . import StackError, usage
from .frames import WORD, Body, bodies
from .pointers import Pointers, label

EXCEPTION_FRAME = 8 * WORD + 4
"""Bytes that entering an exception stacks: eight words, and one to align them (PM0214, 2.3.7 and CCR.STKALIGN).
There is no FPU in use: with its registers it would be 26 words."""


@dataclass(frozen=True, slots=True)
class Table:
    """firmware/indirect-calls.toml.

    Attributes:
        entry: what the reset vector names.
        interrupts: handlers by priority; a lower number preempts a higher one.
        fault: the handler of faults; it sees to its own stack.
        fault_room: bytes below which it does not go on on the stack that it found.
        sets_sp: functions, beside the fault handler, that may set the stack pointer: they never return.
        calls: where pointers lead.
    """

    entry: str
    interrupts: dict[int, list[str]]
    fault: str | None
    fault_room: int
    sets_sp: tuple[str, ...]
    calls: dict[str, str | list[str]]

    @classmethod
    def read(cls, path: Path) -> Table:
        """Read the file.

        Raises:
            StackError: something is missing or of a wrong kind.
            OSError: it cannot be read.
        """
        try:
            raw: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
            fault = raw.get("fault", {})
            interrupts = {int(level): list(handlers) for level, handlers in raw.get("interrupts", {}).items()}
            calls = raw.get("calls", {})
            for key, entry in calls.items():
                if not (isinstance(entry, list) or (isinstance(entry, str) and entry.startswith("struct "))):
                    raise StackError(f'{path}: entry "{key}": neither a list of functions nor "struct NAME"')
            return cls(
                raw["entry"],
                interrupts,
                fault.get("handler"),
                int(fault.get("room", 0)),
                tuple(raw.get("sets_sp", ())),
                calls,
            )
        except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise StackError(f"{path}: {error!r}") from error


@dataclass(frozen=True, slots=True)
class Chain:
    """The deepest chain of calls from a function on: bytes of it all, and each function with what it has on the stack
    where it calls the next one."""

    bytes: int
    path: tuple[tuple[str, int], ...]

    def __str__(self) -> str:
        return " > ".join(f"{name} {depth}" for name, depth in self.path)


@dataclass(frozen=True, slots=True)
class Worst:
    """The worst case of an image.

    Attributes:
        size: bytes of the stack.
        main: of the main loop.
        levels: of the worst handler of each priority, without the frame of its exception.
        fault: of the fault handler; not part of the sum, for it needs no more than what is there.
        functions: how many there are.
        compared: of these, how many have the frame that the compiler says too.
    """

    size: int
    main: Chain
    levels: dict[int, Chain]
    fault: Chain | None
    functions: int
    compared: int

    @property
    def total(self) -> int:
        """Bytes: everything nested, and the frame that a fault would stack at the deepest place."""
        nested = sum(chain.bytes + EXCEPTION_FRAME for chain in self.levels.values())
        return self.main.bytes + nested + (EXCEPTION_FRAME if self.fault is not None else 0)


class _Graph:
    def __init__(self, program: Program, table: Table, pointers: Pointers) -> None:
        self.program, self.table, self.pointers = program, table, pointers
        self.bodies: dict[int, Body] = bodies(program)
        self.problems: list[str] = []
        self._edges: dict[int, list[tuple[int, int]]] = {}
        self._chains: dict[int, Chain] = {}
        self._open: list[int] = []
        self._starts = {label(body.function): address for address, body in self.bodies.items()}

    def resolve(self) -> None:
        """Find what every function calls: (its address, bytes on the stack)."""
        for address, body in self.bodies.items():
            edges = self._edges.setdefault(address, [])
            for call in body.calls:
                if call.target is None:
                    targets = self.pointers.targets(body.function, call.address)
                else:
                    function = self.program.function_at(call.target)
                    targets = {function.address} if function is not None else set()
                    if function is None:
                        self.problems.append(f"{self.program.place(call.address)}: calls into no function")
                edges += [(target, call.depth) for target in sorted(targets)]

    def chain(self, name: str) -> Chain:
        """Deepest chain from a function on.

        Raises:
            StackError: there is no such function, or recursion.
        """
        if name not in self._starts:
            raise StackError(f"no function {name} in {self.program.path}: correct it in the table")
        return self._chain(self._starts[name])

    def _chain(self, address: int) -> Chain:
        if address in self._chains:
            return self._chains[address]
        if address in self._open:
            cycle = [*self._open[self._open.index(address) :], address]
            names = " > ".join(label(self.bodies[at].function) for at in cycle)
            raise StackError(f"recursion, so the stack has no bound: {names}")
        body = self.bodies[address]
        name = label(body.function)
        self._open.append(address)
        best = Chain(body.frame, ((name, body.frame),))
        for target, depth in self._edges[address]:
            below = self._chain(target)
            if depth + below.bytes > best.bytes:
                best = Chain(depth + below.bytes, ((name, depth), *below.path))
        self._open.pop()
        self._chains[address] = best
        return best


def worst_case(elf: Path, table: Table, sources: Path) -> Worst:
    """Compute the worst case of an image.

    Args:
        elf: the image, with debug information; the .su files of its build lie below its folder.
        table: where pointers lead, who handles what.
        sources: folder that the file names of the debug information start from.

    Raises:
        StackError: it has no bound, or the table is not complete; one line for each thing to correct.
        OSError: the image cannot be read.
    """
    try:
        program = Program(elf)
    except ProgramError as error:
        raise StackError(str(error)) from error
    pointers = Pointers(program, table.calls, sources)
    graph = _Graph(program, table, pointers)
    graph.resolve()
    handlers = [name for level in table.interrupts.values() for name in level]
    taken = {label(function) for function in pointers.taken.values()}
    problems = graph.problems
    problems += [
        f'interrupts: no vector leads to "{name}" (any more): correct it' for name in handlers if name not in taken
    ]
    pointers.check({*handlers, table.entry, table.fault or table.entry})
    problems += [
        f"{label(body.function)} sets the stack pointer: only {table.fault} and what is entered there may"
        for body in graph.bodies.values()
        if body.sets_sp and body.function.name not in (table.fault, *table.sets_sp)
    ]
    compared, different = usage.differences(graph.bodies.values(), usage.read(elf.parent))
    problems += different
    problems += pointers.problems
    if problems:
        raise StackError("\n".join(problems))
    levels = {
        level: max((graph.chain(name) for name in names), key=lambda chain: chain.bytes)
        for level, names in sorted(table.interrupts.items(), reverse=True)
    }
    main = graph.chain(table.entry)
    fault = _fault(program, graph, table)
    size = program.symbols["stack_end"] - program.symbols["stack_start"]
    return Worst(size, main, levels, fault, len(graph.bodies), compared)


def _fault(program: Program, graph: _Graph, table: Table) -> Chain | None:
    """The fault handler's chain.

    Raises:
        StackError: it needs more than it makes sure to have.
    """
    if table.fault is None:
        return None
    chain = graph.chain(table.fault)
    function = next(function for function in program.functions if function.name == table.fault)
    code = program.read(function.address, function.size)
    limit = (program.symbols["stack_start"] + table.fault_room).to_bytes(4, "little")
    if limit not in code:
        raise StackError(f"{table.fault} does not compare with stack_start + {table.fault_room}: correct [fault] room")
    if chain.bytes > table.fault_room:
        raise StackError(f"{table.fault} needs {chain.bytes} B and makes sure of {table.fault_room} B: {chain}")
    return chain
