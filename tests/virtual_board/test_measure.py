"""What the measurements say of programs whose figures are known, and of the firmware under load."""

from __future__ import annotations

from pathlib import Path

from bench import interrupts
from elves import elf_path
from virtual_board import VirtualBoard
from virtual_board.inject import Injector
from virtual_board.measure import Masked, Measurement
from virtual_board.testing import compile_program

SECTIONS = """
__attribute__((noinline)) void short_one(void);
void short_one(void) { __asm volatile("cpsid i\\n nop\\n nop\\n cpsie i"); }
__attribute__((noinline)) void long_one(void);
void long_one(void) { __asm volatile("cpsid i\\n .rept 40\\n nop\\n .endr\\n cpsie i"); }
__attribute__((noinline)) void raised(void);
void raised(void) {
    __asm volatile("movs r0, #16\\n msr basepri, r0\\n nop\\n movs r0, #0\\n msr basepri, r0" ::: "r0"); }
__attribute__((noinline)) void asleep(void);
void asleep(void) { REG(0xE000E014u) = 5000; REG(0xE000E018u) = 0; REG(0xE000E010u) = 7;
    __asm volatile("cpsid i\\n wfi\\n nop\\n cpsie i"); REG(0xE000E010u) = 0; }
void exception_15(void) {}
int main(void) { for (volatile int i = 0; i < 40; i++) {} short_one(); long_one(); raised(); %s return 0; }
"""


def measured(programs: Path, more: str = "") -> Measurement:
    elf = compile_program(SECTIONS % more, programs)
    board = VirtualBoard(elf)
    measurement = Measurement(board, elf)
    board.run(0.01)
    return measurement


def test_the_longest_masked_section_is_found_with_its_length_and_place(programs: Path) -> None:
    measurement = measured(programs)
    assert measurement.primask.longest == 41
    assert measurement.primask.function == "long_one from main"
    assert measurement.primask.sections == 2
    assert measurement.basepri.longest == 3
    assert measurement.basepri.sections == 1


def test_sleep_with_interrupts_masked_does_not_count(programs: Path) -> None:
    measurement = measured(programs, "asleep();")
    assert measurement.primask.sections == 3
    assert measurement.primask.longest == 41


def test_the_firmware_under_load_keeps_its_promises() -> None:
    load = interrupts.loaded("nucleo_f411re", seconds=1.0)
    assert 0 < load.stamp <= 200
    primask, basepri = load.measurement.primask, load.measurement.basepri
    assert 0 < primask.longest <= 60, primask
    assert primask.longest < basepri.longest, basepri
    assert isinstance(basepri, Masked)
    size = load.measurement.program.symbols["stack_end"] - load.measurement.program.symbols["stack_start"]
    assert 256 <= load.measurement.stack_used() <= 0.75 * size


def test_a_stamp_behind_a_masked_section_is_measured_late() -> None:
    """The negative control: every interrupt masked for a millisecond, so an edge waits."""
    elf = elf_path("nucleo_f411re")
    board = VirtualBoard(elf, seed=1)
    board.run(0.5)
    measurement = Measurement(board, elf)
    # cpsid i; movw r0, #60000; subs r0, #1; bne to the subs; cpsie i; b .
    Injector(board, elf).patch("application_handle", bytes.fromhex("72b6 4ef6 6020 0138 fdd1 62b6 fee7"))
    board.run(0.05)
    assert max(measurement.stamp_latencies) > 1000
