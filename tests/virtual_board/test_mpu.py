"""Memory protection (PM0214, section 4.2; ARMv7-M ARM, B3.5)."""

from __future__ import annotations

import pytest

from virtual_board.testing import Probe, Run

HEAD = """
#define CTRL REG(0xE000ED94u)
#define CFSR REG(0xE000ED28u)
#define MMFAR REG(0xE000ED34u)
#define SHCSR REG(0xE000ED24u)
__attribute__((unused)) static void region(u32 n, u32 base, u32 bits, u32 ap, u32 more)
{
    REG(0xE000ED98u) = n; REG(0xE000ED9Cu) = base; REG(0xE000EDA0u) = ap << 24 | more | (bits - 1) << 1 | 1;
}
static void on(u32 ctrl) { SHCSR = 7u << 16; CTRL = ctrl; BARRIER(); }
#define CATCH(n) __attribute__((naked)) void exception_##n(void) { __asm volatile("mov r0, sp\\n b caught"); }
CATCH(3) CATCH(4) CATCH(5)
__attribute__((used)) void caught(u32 *frame)
{
    OUT[0] = ipsr(); OUT[2] = CFSR; OUT[3] = MMFAR; OUT[1] = (u32)frame;
    if (!(CFSR & 0x10)) OUT[4] = frame[6];
    for (;;) WFI();
}
"""
FULL, READ_ONLY, NONE, XN = 3, 6, 0, 1 << 28
MEM_MANAGE, BUS_FAULT, HARD_FAULT = 4, 5, 3
IACCVIOL, DACCVIOL, MSTKERR, MMARVALID = 1 << 0, 1 << 1, 1 << 4, 1 << 7


def outcome(probe: Probe) -> tuple[int, int]:
    """Exception and CFSR."""
    return probe.out(0), probe.out(2)


def body(code: str) -> str:
    return HEAD + "int main(void) { OUT[0] = 0; OUT[8] = 0; " + code + " OUT[8] = 77; return 0; }"


@pytest.mark.parametrize(
    ("setting", "access", "cfsr"),
    [
        ("region(0, 0x20018000u, 14, 0, 0)", "OUT[9] = REG(0x20018004u)", DACCVIOL | MMARVALID),
        ("region(0, 0x20018000u, 14, 6, 0)", "REG(0x20018004u) = 1", DACCVIOL | MMARVALID),
        ("region(0, 0x20018000u, 14, 6, 0)", "OUT[9] = REG(0x20018004u)", 0),
        ("region(0, 0x20018000u, 14, 3, 0)", "REG(0x20018004u) = 1", 0),
        ("region(0, 0x20018000u, 14, 0, 0)", "REG(0x2001C000u) = 1", 0),  # behind it
        # the higher number counts where two overlap (4.2)
        ("region(0, 0x20018000u, 14, 0, 0), region(1, 0x20018000u, 12, 3, 0)", "REG(0x20018004u) = 1", 0),
        (
            "region(1, 0x20018000u, 14, 0, 0), region(0, 0x20018000u, 12, 3, 0)",
            "REG(0x20018004u) = 1",
            DACCVIOL | MMARVALID,
        ),
        # subregion 0 disabled: what lies below counts, here the default map (4.2.9)
        ("region(0, 0x20008000u, 15, 0, 1 << 8)", "REG(0x20008004u) = 1", 0),
        ("region(0, 0x20008000u, 15, 0, 1 << 8)", "REG(0x20009000u) = 1", DACCVIOL | MMARVALID),
        # where there is no memory the MPU speaks first
        ("region(0, 0x60000000u, 12, 0, 0)", "OUT[9] = REG(0x60000004u)", DACCVIOL | MMARVALID),
    ],
)
def test_regions_decide_about_loads_and_stores(run: Run, setting: str, access: str, cfsr: int) -> None:
    probe = run(body(f"{setting}; on(5); {access};"))
    if cfsr:
        assert outcome(probe) == (MEM_MANAGE, cfsr)
        assert probe.out(8) == 0, "the access faulted before it was done"
    else:
        assert probe.out(8) == 77
        assert probe.out(0) == 0


def test_a_refused_store_is_precise(run: Run) -> None:
    code = 'region(0, 0x20018000u, 14, 6, 0); on(5); __asm volatile("here: str r0, [%0]" :: "r"(0x20018010u));'
    probe = run(HEAD + "extern char here[]; int main(void) { OUT[5] = (u32)here & ~1u; " + code + " return 0; }")
    assert outcome(probe) == (MEM_MANAGE, DACCVIOL | MMARVALID)
    assert probe.out(3) == 0x2001_8010
    assert probe.out(4) == probe.out(5)


def test_execute_never_refuses_code_and_the_frame_has_the_target(run: Run) -> None:
    probe = run(
        body("REG(0x20018000u) = 0xBF00BF00u; region(0, 0x20018000u, 14, 3, 1u << 28); on(5);")
        .replace("OUT[8] = 77;", "((void (*)(void))0x20018001u)();")
    )  # fmt: skip
    assert outcome(probe) == (MEM_MANAGE, IACCVIOL)
    assert probe.out(4) == 0x2001_8000


def test_without_privdefena_what_no_region_covers_is_forbidden(run: Run) -> None:
    cover = "region(0, 0x08000000u, 20, 6, 0); region(1, 0x20000000u, 17, 3, 0);"
    assert run(body(cover + "on(1); OUT[9] = REG(0x1FFF7A10u);")).out(0) == MEM_MANAGE
    assert run(body(cover + "on(5); OUT[9] = REG(0x1FFF7A10u);")).out(8) == 77


def test_an_entry_that_cannot_stack_is_a_memmanage_with_mstkerr(run: Run) -> None:
    probe = run(
        body(
            "region(0, 0x20018000u, 14, 0, 0); on(5); REG(0xE000E010u) = 0; REG(0xE000ED20u) = 0xF0F00000u;"
            '__asm volatile("mov sp, %0" :: "r"(0x2001C008u)); REG(0xE000ED04u) = 1u << 28; BARRIER();'
        )
        .replace("caught(u32 *frame)\n{", 'caught(u32 *frame)\n{ __asm volatile("mov sp, %0" :: "r"(0x20020000u));')
    )  # fmt: skip
    exception, cfsr = outcome(probe)
    assert exception == MEM_MANAGE
    assert cfsr == MSTKERR
    assert probe.out(1) == 0x2001_C008 - 32 & ~7, "SP has moved though nothing was written"


def test_inside_hardfault_it_is_off_without_hfnmiena(run: Run) -> None:
    """A MemManage that is not enabled becomes a HardFault, and that may look at what is guarded (4.2.6)."""
    code = "region(0, 0x20018000u, 14, 0, 0); REG(0x20018000u) = 5; on(5); SHCSR = 0; OUT[9] = REG(0x20018000u);"
    probe = run(body(code).replace("OUT[0] = ipsr();", "OUT[10] = REG(0x20018000u); OUT[0] = ipsr();"))
    assert probe.out(0) == HARD_FAULT
    assert probe.out(10) == 5


def test_switching_it_off_gives_the_memory_back_with_its_contents(run: Run) -> None:
    code = "REG(0x20018000u) = 6; region(0, 0x20018000u, 14, 0, 0); on(5); on(0); OUT[9] = REG(0x20018000u);"
    probe = run(body(code))
    assert probe.out(8) == 77
    assert probe.out(9) == 6
    assert probe.machine.memory.word(0x2001_8000) == 6


def test_the_peripherals_never_run_code_even_without_it(run: Run) -> None:
    """PM0214, 2.2.1: execute never; IACCVIOL with or without an MPU (4.4.10)."""
    probe = run(body("on(0); ((void (*)(void))0x40000001u)();"))
    assert outcome(probe) == (MEM_MANAGE, IACCVIOL)


def test_a_reset_switches_it_off(run: Run) -> None:
    probe = run(body("region(0, 0x20018000u, 14, 0, 0); on(5);"))
    probe.board.reset("pin")
    assert probe.read(0xE000ED94) == 0
    assert probe.machine.mpu.access(0x2001_8000) == 7


def test_what_the_model_cannot_do_is_noted(run: Run) -> None:
    probe = run(body("region(0, 0x20018000u, 5, 0, 0); on(5);"))
    assert "MPU region that begins or ends inside a page of 4 KiB" in probe.board.unmodelled
