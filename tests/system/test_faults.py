"""Faults injected into the real firmware: each comes back as a streaming board that says what happened and where."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

import pytest

from elves import BOARDS, elf_path
from program import Program
from telemetry_protocol import Decoder, Frame, Message, messages
from virtual_board import VirtualBoard, inject
from virtual_board.inject import Injector

BACK_WITHIN_S = 2.0
RESET_SOFTWARE, RESET_WATCHDOG, RESET_FAULT = 4, 5, 8
ASSERT, HARD_FAULT, MEM_MANAGE, BUS_FAULT, USAGE_FAULT, LOOP = 0, 3, 4, 5, 6, 255
# CFSR: PM0214 4.4.10
IACCVIOL, DACCVIOL, MSTKERR, MMARVALID = 1 << 0, 1 << 1, 1 << 4, 1 << 7
PRECISERR, BFARVALID, UNDEFINSTR = 1 << 9, 1 << 15, 1 << 16
M = TypeVar("M", bound=Message)
VICTIM = "health_report"
"""Runs once a second, in the main loop."""


@dataclass
class Patient:
    """A board that streams, and what it says."""

    board: VirtualBoard
    injector: Injector
    program: Program
    decoder: Decoder = field(default_factory=Decoder)
    said: list[Message] = field(default_factory=list)

    @classmethod
    def healthy(cls, name: str = "nucleo_f411re") -> Patient:
        """A board 1.2 s after power-on: it has streamed and has reported its health once."""
        elf = elf_path(name)
        board = VirtualBoard(elf, board=name, seed=1)
        patient = cls(board, Injector(board, elf), Program(elf))
        patient.run(1.2)
        assert any(isinstance(message, messages.Samples) for message in patient.said)
        return patient

    def run(self, seconds: float) -> list[Message]:
        self.board.run(seconds)
        heard = [
            messages.unpack(item.type, item.payload)
            for item in self.decoder.feed(self.board.uart.take())
            if isinstance(item, Frame)
        ]
        new = [message for message in heard if isinstance(message, Message)]
        self.said += new
        return new

    def recover(self) -> tuple[messages.Hello, messages.Fault | None]:
        """Let the injected fault strike, take it out as the board resets, and wait until it streams again."""
        resets = self.board.counters.resets
        assert self.board.run_until(lambda: self.board.counters.resets > resets, limit_s=2.5)
        self.injector.restore()
        return self.back()

    def back(self) -> tuple[messages.Hello, messages.Fault | None]:
        """Wait until the board, just reset, streams again."""
        begin = self.board.now_us
        self.said.clear()
        while not (self.of(messages.Hello) and any(s.stream == 0 for s in self.of(messages.Samples))):
            assert self.board.now_us - begin < BACK_WITHIN_S * 1e6
            self.run(0.005)
        self.run(0.05)  # FAULT may come behind the first samples
        faults = self.of(messages.Fault)
        return self.of(messages.Hello)[0], faults[0] if faults else None

    def of(self, kind: type[M]) -> list[M]:
        return [message for message in self.said if isinstance(message, kind)]

    def function(self, address: int) -> str:
        found = self.program.function_at(address)
        return found.name if found else "nowhere"


@dataclass(frozen=True)
class Crash:
    """Instructions at the beginning of the victim, and what must be on record."""

    code: bytes
    cause: int
    cfsr: int = 0
    offset: int | None = None  # of pc in the victim; None: elsewhere
    pc: int | None = None
    address: int | None = None  # MMFAR or BFAR


CRASHES = {
    "bad pointer": Crash(inject.READ_NOWHERE, BUS_FAULT, PRECISERR | BFARVALID, 4, address=0x6000_0000),
    "NULL read": Crash(inject.READ_NULL, MEM_MANAGE, DACCVIOL | MMARVALID, 2, address=0),
    "NULL write": Crash(inject.WRITE_NULL, MEM_MANAGE, DACCVIOL | MMARVALID, 2, address=0),
    "NULL call": Crash(inject.CALL_NULL, MEM_MANAGE, IACCVIOL, pc=0),
    "code overwritten": Crash(inject.WRITE_CODE, MEM_MANAGE, DACCVIOL | MMARVALID, 4, address=0x0800_0000),
    "jump to RAM": Crash(inject.JUMP_TO_RAM, MEM_MANAGE, IACCVIOL, pc=0x2000_0000),
    "undefined instruction": Crash(inject.UNDEFINED, USAGE_FAULT, UNDEFINSTR, 0),
    "endless loop": Crash(inject.LOOP, LOOP, 0, 0),
    "endless loop with interrupts masked": Crash(inject.LOOP_WITH_INTERRUPTS_MASKED, LOOP, 0, 6),
}


@pytest.mark.parametrize("name", CRASHES)
def test_a_crash_is_on_record_with_its_place_and_the_board_streams_again(name: str) -> None:
    crash = CRASHES[name]
    patient = Patient.healthy()
    before = patient.of(messages.Hello)[0]
    victim = patient.injector.patch(VICTIM, crash.code)
    hello, fault = patient.recover()
    assert hello.reset_cause == RESET_FAULT
    assert hello.boot_id == before.boot_id + 1
    assert fault is not None
    assert fault.boot_id == before.boot_id
    assert fault.cause == crash.cause
    assert fault.cfsr == crash.cfsr
    assert fault.pc == (victim + crash.offset if crash.offset is not None else crash.pc)
    if name == "NULL call":
        assert fault.lr == victim + 4 | 1
    if crash.address is not None:
        assert (fault.mmfar if crash.cfsr & MMARVALID else fault.bfar) == crash.address


@pytest.mark.parametrize("name", BOARDS)
def test_a_loop_with_interrupts_off_is_ended_by_the_independent_watchdog(name: str) -> None:
    """It leaves no record: no program ran that could have written one."""
    patient = Patient.healthy(name)
    patient.injector.patch(VICTIM, inject.LOOP_WITH_INTERRUPTS_OFF)
    hello, fault = patient.recover()
    assert hello.reset_cause == RESET_WATCHDOG
    assert fault is None


@pytest.mark.parametrize("name", BOARDS)
def test_a_recursion_without_end_runs_into_the_guard(name: str) -> None:
    patient = Patient.healthy(name)
    victim = patient.injector.patch(VICTIM, inject.RECURSE)
    hello, fault = patient.recover()
    assert hello.reset_cause == RESET_FAULT
    assert fault is not None
    assert fault.cause in (MEM_MANAGE, HARD_FAULT)
    assert fault.cfsr & (MSTKERR | DACCVIOL)
    assert victim in (fault.pc & ~1, fault.lr - 6 & ~1), "the call in the function that recurs"
    assert fault.sp < patient.program.symbols["stack_start"] + 64


def test_a_frame_too_big_for_the_stack_runs_into_the_guard_too() -> None:
    patient = Patient.healthy()
    patient.injector.patch(VICTIM, inject.BIG_FRAME)
    _, fault = patient.recover()
    assert fault is not None
    assert fault.cause == HARD_FAULT, "a second MemManage, from stacking for the first, becomes a HardFault"
    assert fault.cfsr & (DACCVIOL | MSTKERR) == DACCVIOL | MSTKERR
    assert fault.pc == 0, "the frame had no room"
    assert 0x1FFF_8000 <= fault.mmfar < 0x2000_0000
    assert patient.program.function_at(fault.lr) is not None


def test_a_failed_assert_tells_who_called() -> None:
    patient = Patient.healthy()
    call = patient.injector.call(VICTIM, "assert_failed")
    hello, fault = patient.recover()
    assert hello.reset_cause == RESET_FAULT
    assert fault is not None
    assert fault.cause == ASSERT
    assert fault.pc == call + 4


def test_a_pointer_that_was_overwritten_faults_where_it_is_used() -> None:
    patient = Patient.healthy()
    patient.injector.corrupt("app.telemetry.streams", 0x7000_0000)
    hello, fault = patient.recover()
    assert hello.reset_cause == RESET_FAULT
    assert fault is not None
    assert fault.cause in (BUS_FAULT, HARD_FAULT)
    assert fault.cfsr & PRECISERR
    assert fault.bfar >> 28 == 7
    assert patient.function(fault.pc) != "nowhere"


def test_the_first_of_several_crashes_is_kept_and_each_is_seen() -> None:
    patient = Patient.healthy()
    patient.injector.patch(VICTIM, inject.READ_NULL)
    resets = patient.board.counters.resets
    assert patient.board.run_until(lambda: patient.board.counters.resets == resets + 1, limit_s=2)
    first_hello, first = patient.back()
    assert patient.board.run_until(lambda: patient.board.counters.resets == resets + 2, limit_s=3)
    second_hello, second = patient.back()
    assert first_hello.reset_cause == second_hello.reset_cause == RESET_FAULT
    assert second_hello.boot_id == first_hello.boot_id + 1
    assert first is not None
    assert second == first
    patient.injector.restore()
    patient.board.reset("pin")
    third_hello, third = patient.back()
    assert third_hello.reset_cause != RESET_FAULT
    assert third == first


def test_a_fault_in_an_interrupt_is_recorded() -> None:
    """In PendSV, which is as urgent as nothing else: MemManage itself would wait behind level 0 only."""
    patient = Patient.healthy()
    victim = patient.injector.patch("hal_time_on_tick", inject.READ_NULL)
    hello, fault = patient.recover()
    assert hello.reset_cause == RESET_FAULT
    assert fault is not None
    assert fault.cause in (MEM_MANAGE, HARD_FAULT)
    assert fault.pc == victim + 2
