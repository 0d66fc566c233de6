"""The core: instruction counts, faults, sleep. Sections are those of PM0214 unless another manual is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from virtual_board import VirtualBoard
from virtual_board.testing import Probe, Run, compile_program

HEAD = """
#define CYCCNT REG(0xE0001004u)
#define CFSR REG(0xE000ED28u)
#define HFSR REG(0xE000ED2Cu)
#define BFAR REG(0xE000ED38u)
#define SHCSR REG(0xE000ED24u)
static inline void count_cycles(void) { REG(0xE000EDFCu) = 1u << 24; CYCCNT = 0; REG(0xE0001000u) = 1; }
"""
# notes the frame of a fault and ends
CATCH = """
__attribute__((naked)) void exception_%d(void) { __asm volatile("mov r0, sp\\n mov r1, lr\\n b caught"); }
__attribute__((used)) void caught(u32 *frame, u32 link)
{
    OUT[0] = ipsr(); OUT[1] = frame[6]; OUT[2] = CFSR; OUT[3] = HFSR; OUT[4] = BFAR; OUT[5] = link; OUT[6] = frame[7];
    OUT[7]++;
    for (;;) WFI();
}
"""


@pytest.mark.parametrize("count", [0, 1, 7, 100])
def test_the_cycle_counter_moves_by_one_per_instruction_even_inside_a_slice(run: Run, count: int) -> None:
    nops = "nop\\n" * count
    probe: Probe = run(
        HEAD
        + f"""
        int main(void) {{
            count_cycles();
            u32 before, after;
            __asm volatile("ldr %0, [%2]\\n {nops} ldr %1, [%2]" : "=&r"(before), "=&r"(after) : "r"(0xE0001004u));
            OUT[0] = after - before;
            return 0;
        }}"""
    )
    assert probe.out(0) == count + 1


def test_an_it_block_counts_only_what_its_condition_lets_through(run: Run) -> None:
    probe: Probe = run(
        HEAD
        + """
        int main(void) {
            count_cycles();
            u32 before, after;
            __asm volatile("ldr %0, [%2]\\n cmp %2, #0\\n ittt eq\\n moveq r3, #1\\n moveq r3, #2\\n"
                "moveq r3, #3\\n ldr %1, [%2]"
                           : "=&r"(before), "=&r"(after) : "r"(0xE0001004u) : "r3", "cc");
            OUT[0] = after - before;
            return 0;
        }"""
    )
    assert probe.out(0) == 3  # cmp, ittt, ldr


def test_two_instances_count_the_same_and_time_is_instructions_over_the_clock(run: Run) -> None:
    source = 'int main(void) { for (;;) __asm volatile("nop"); }'
    first: Probe = run(source, 1000)
    second: Probe = run(source, 1000)
    assert first.board.instructions == second.board.instructions
    assert first.board.instructions == pytest.approx(16_000, abs=4)  # HSI, 16 MHz
    assert first.board.counters.asleep_ps == 0


def test_a_sleeping_core_retires_nothing(run: Run) -> None:
    probe: Probe = run("int main(void) { return 0; }", 100)
    before = probe.board.instructions
    probe.pass_us(100_000)
    assert probe.board.instructions == before
    assert probe.board.counters.asleep_ps == pytest.approx(100_100e6, rel=0.01)


@pytest.mark.parametrize(
    ("name", "code", "cfsr"),
    [
        ("undefined instruction", '__asm volatile("here: udf #1");', 1 << 16),  # UNDEFINSTR, 4.4.13
        ("load from nowhere", '__asm volatile("here: ldr r0, [%0]" :: "r"(0x60000000u) : "r0");', 1 << 9 | 1 << 15),
        (
            "load from the gap after SRAM",
            '__asm volatile("here: ldr r0, [%0]" :: "r"(0x20020000u) : "r0");',
            1 << 9 | 1 << 15,
        ),
    ],
)
def test_a_fault_without_its_own_handler_becomes_a_hard_fault(run: Run, name: str, code: str, cfsr: int) -> None:
    probe: Probe = run(
        HEAD + CATCH % 3 + f"extern char here[]; int main(void) {{ OUT[7] = 0; OUT[8] = (u32)here; {code} return 0; }}"
    )
    assert probe.out(0) == 3, name
    assert probe.out(7) == 1
    assert probe.out(1) == probe.out(8) & ~1, "the stacked PC is the instruction's"
    assert probe.out(2) == cfsr
    assert probe.out(3) == 1 << 30, "FORCED, 4.4.14"
    assert probe.out(5) == 0xFFFFFFF9
    assert probe.board.counters.exceptions["HardFault"] == 1


def test_a_precise_bus_fault_tells_the_address(run: Run) -> None:
    probe: Probe = run(HEAD + CATCH % 3 + "int main(void) { OUT[7] = 0; OUT[9] = REG(0x60000124u); return 0; }")
    assert probe.out(4) == 0x60000124


def test_a_store_to_nowhere_is_imprecise(run: Run) -> None:
    """2.4.1: the write buffer; the core is past the store and BFAR says nothing."""
    probe: Probe = run(
        HEAD
        + CATCH % 3
        + "extern char after[]; int main(void) { OUT[7] = 0; OUT[8] = (u32)after;"
        + '__asm volatile("str r0, [%0]\\n after: nop" :: "r"(0x60000000u)); return 0; }'
    )
    assert probe.out(2) == 1 << 10
    assert probe.out(1) == probe.out(8) & ~1


def test_a_bus_fault_goes_to_its_own_handler_when_that_is_enabled(run: Run) -> None:
    probe: Probe = run(
        HEAD + CATCH % 5 + "int main(void) { OUT[7] = 0; SHCSR = 1u << 17; OUT[9] = REG(0x60000000u); return 0; }"
    )
    assert probe.out(0) == 5
    assert probe.out(3) == 0, "not forced"


def test_a_jump_to_an_even_address_is_an_invalid_state(run: Run) -> None:
    probe: Probe = run(HEAD + CATCH % 3 + "int main(void) { OUT[7] = 0; ((void (*)(void))0x08000100u)(); return 0; }")
    assert probe.out(2) == 1 << 17  # INVSTATE
    assert probe.out(1) == 0x08000100
    assert probe.out(6) >> 24 & 1 == 0, "the stacked T bit"


def test_a_jump_to_nowhere_is_an_instruction_bus_error(run: Run) -> None:
    probe: Probe = run(HEAD + CATCH % 3 + "int main(void) { OUT[7] = 0; ((void (*)(void))0x30000001u)(); return 0; }")
    assert probe.out(2) == 1 << 8  # IBUSERR
    assert probe.out(1) == 0x30000000


def test_bkpt_without_a_debugger_is_a_hard_fault(run: Run) -> None:
    probe: Probe = run(HEAD + CATCH % 3 + 'int main(void) { OUT[7] = 0; __asm volatile("bkpt"); return 0; }')
    assert probe.out(3) == 1 << 31  # DEBUGEVT


def test_an_svc_that_may_not_preempt_escalates(run: Run) -> None:
    probe: Probe = run(
        HEAD + CATCH % 3 + 'int main(void) { OUT[7] = 0; __asm volatile("cpsid i\\n svc 1"); return 0; }'
    )
    assert probe.out(0) == 3
    assert probe.out(3) == 1 << 30


def test_a_fault_in_the_hard_fault_handler_locks_up_until_a_reset(run: Run) -> None:
    """2.4.4; on a real board only the watchdog helps then."""
    probe: Probe = run(
        "void exception_3(void) { OUT[0]++; REG(0x60000000u); }"
        " int main(void) { OUT[0] = 0; REG(0x60000000u); return 0; }"
    )
    assert probe.out(0) == 1
    assert probe.board.counters.lockups == 1
    before = probe.board.instructions
    probe.pass_us(10_000)
    assert probe.board.instructions == before
    probe.board.reset("pin")
    probe.pass_us(1000)
    assert probe.board.instructions > before


def test_a_stack_outside_memory_is_a_stacking_error(run: Run) -> None:
    probe: Probe = run(
        HEAD
        + "__attribute__((naked)) void exception_3(void) {"
        + ' __asm volatile("ldr r0, =0x20010000\\n ldr r1, =0xE000ED28\\n ldr r1, [r1]\\n str r1, [r0]\\n b ."); }'
        + 'int main(void) { __asm volatile("ldr r0, =0x30000000\\n mov sp, r0\\n svc 0" ::: "r0"); return 0; }'
        + "void exception_11(void) { OUT[1] = 1; }"
    )
    assert probe.out(0) & 1 << 12  # STKERR, 4.4.13


def test_a_store_to_flash_does_nothing_but_set_an_error_flag(run: Run) -> None:
    """RM0383 3.6.3, PGSERR."""
    probe: Probe = run(
        "int main(void) { REG(0x08000000u) = 0; OUT[0] = REG(0x08000000u);"
        " OUT[1] = REG(0x40023C0Cu); OUT[2] = 7; return 0; }"
    )
    assert probe.out(0) == 0x20020000
    assert probe.out(1) == 1 << 7
    assert probe.out(2) == 7


def test_flash_is_also_at_zero_and_bit_bands_work(run: Run) -> None:
    """RM0383 2.4 (boot from flash), PM0214 2.2.5."""
    probe: Probe = run(
        "int main(void) { OUT[0] = REG(4); OUT[1] = REG(0x08000004u);"
        " OUT[2] = 0; REG(0x22000000u + (0x10008u * 32) + 5 * 4) = 1;"
        " OUT[3] = REG(0x22000000u + (0x10008u * 32) + 5 * 4);"
        " REG(0x42000000u + (0x23830u * 32) + 0 * 4) = 1; OUT[4] = REG(0x40023830u); return 0; }"
    )
    assert probe.out(0) == probe.out(1)
    assert probe.out(2) == 1 << 5
    assert probe.out(3) == 1
    assert probe.out(4) & 1, "GPIOAEN by its bit-band alias"


def test_the_image_must_be_for_arm_and_fit(tmp_path: Path, programs: Path) -> None:
    from virtual_board import ImageError

    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"not an ELF file")
    with pytest.raises(ImageError, match="not an ELF file"):
        VirtualBoard(garbage)
    with pytest.raises(ImageError, match="not for ARM"):
        VirtualBoard("/bin/true")
    with pytest.raises(OSError, match="No such file"):
        VirtualBoard(tmp_path / "missing")
    assert compile_program("int main(void) { return 0; }", programs).exists()
