"""Priorities, nesting, tail-chaining, masks, stacks and the FPU frame (PM0214 2.3; ARMv7-M ARM B1.5)."""

from __future__ import annotations

import pytest

from virtual_board.testing import Probe, Run

HEAD = """
#define ISER0 REG(0xE000E100u)
#define ISPR0 REG(0xE000E200u)
#define PRIORITY(irq) (*(volatile unsigned char *)(0xE000E400u + (irq)))
#define AIRCR REG(0xE000ED0Cu)
#define ICSR REG(0xE000ED04u)
static volatile u32 n;
static inline void note(u32 what) { OUT[n] = what; n = n + 1; }
static inline void enable(u32 irq, u32 priority) { PRIORITY(irq) = (unsigned char)priority; ISER0 = 1u << irq; }
static inline void pend(u32 irq) { ISPR0 = 1u << irq; BARRIER(); }
static inline void cpsid(void) { __asm volatile("cpsid i" ::: "memory"); }
static inline void cpsie(void) { __asm volatile("cpsie i" ::: "memory"); }
#define BEGIN int main(void) { n = 0; for (u32 i = 0; i < 64; i++) OUT[i] = 0;
"""


def trace(probe: Probe) -> list[int]:
    values = [probe.out(index) for index in range(64)]
    while values and values[-1] == 0:
        values.pop()
    return values


def test_a_more_urgent_interrupt_nests_and_a_less_urgent_one_waits(run: Run) -> None:
    probe = run(
        HEAD
        + """
        void exception_16(void) { note(1); pend(1); note(2); pend(2); note(3); }
        void exception_17(void) { note(10); }
        void exception_18(void) { note(20); }
        BEGIN enable(0, 0x80); enable(1, 0x40); enable(2, 0xC0); pend(0); note(99); return 0; }"""
    )
    assert trace(probe) == [1, 10, 2, 3, 20, 99]


def test_equal_priority_does_not_preempt_and_the_lower_number_goes_first(run: Run) -> None:
    probe = run(
        HEAD
        + """
        void exception_19(void) { note(3); pend(2); pend(1); note(30); }
        void exception_18(void) { note(2); }
        void exception_17(void) { note(1); }
        BEGIN enable(1, 0x40); enable(2, 0x40); enable(3, 0x40); pend(3); return 0; }"""
    )
    assert trace(probe) == [3, 30, 1, 2]


@pytest.mark.parametrize(
    ("group", "expected"),
    [(3, [1, 10, 2]), (5, [1, 2, 10])],  # AIRCR.PRIGROUP 5: two group bits, 0x90 and 0x80 are one group (4.4.5)
)
def test_prigroup_decides_what_preempts(run: Run, group: int, expected: list[int]) -> None:
    probe = run(
        HEAD
        + f"""
        void exception_16(void) {{ note(1); pend(1); note(2); }}
        void exception_17(void) {{ note(10); }}
        BEGIN AIRCR = 0x05FA0000u | {group}u << 8; enable(0, 0x90); enable(1, 0x80); pend(0); return 0; }}"""
    )
    assert trace(probe) == expected


def test_only_four_priority_bits_exist(run: Run) -> None:
    probe = run(HEAD + "BEGIN PRIORITY(5) = 0xFF; OUT[0] = PRIORITY(5); return 0; }")
    assert probe.out(0) == 0xF0


def test_primask_holds_an_interrupt_back_until_the_instruction_that_lifts_it(run: Run) -> None:
    probe = run(
        HEAD
        + """
        __attribute__((naked)) void exception_16(void) {
            __asm volatile("ldr r0, [sp, #24]\\n ldr r1, =0x20010004\\n str r0, [r1]\\n bx lr"); }
        extern char here[];
        BEGIN enable(0, 0x80); cpsid(); pend(0); OUT[0] = ICSR >> 12 & 0x3FF; OUT[2] = (u32)here & ~1u;
        __asm volatile("nop\\n nop\\n cpsie i\\n here: nop\\n nop" ::: "memory"); OUT[3] = 7; return 0; }"""
    )
    assert probe.out(0) == 16, "VECTPENDING"
    assert probe.out(1) == probe.out(2), "taken right after CPSIE"
    assert probe.out(3) == 7


def test_a_timer_that_fires_under_primask_is_taken_at_the_end_of_the_section(run: Run) -> None:
    """The section branches, calls and has IT blocks: whatever its shape, nothing gets in."""
    probe = run(
        HEAD
        + """
        void exception_15(void) { OUT[1] = OUT[0]; OUT[2]++; REG(0xE000E010u) = 0; }
        __attribute__((noinline)) static u32 work(u32 x) { return x & 1 ? x * 3 + 1 : x / 2; }
        BEGIN REG(0xE000E014u) = 200; REG(0xE000E018u) = 0; REG(0xE000E010u) = 7; cpsid();
        u32 x = 27; for (u32 i = 0; i < 100; i++) { x = work(x); OUT[0] = i; }
        cpsie(); OUT[3] = x; return 0; }"""
    )
    assert probe.out(1) == 99
    assert probe.out(2) == 1
    assert probe.board.counters.max_latency_cycles["SysTick"] > 400


def test_basepri_holds_back_what_is_not_more_urgent(run: Run) -> None:
    probe = run(
        HEAD
        + """
        void exception_16(void) { note(1); }
        void exception_17(void) { note(2); }
        BEGIN enable(0, 0x40); enable(1, 0x80);
        __asm volatile("msr basepri, %0" :: "r"(0x80)); pend(1); note(5); pend(0); note(6);
        __asm volatile("msr basepri, %0" :: "r"(0)); note(7); return 0; }"""
    )
    assert trace(probe) == [5, 1, 6, 2, 7]


def test_what_priority_0_leaves_to_pendsv_waits_for_basepri_and_for_the_level_of_pendsv(run: Run) -> None:
    """ICSR.PENDSVSET (PM0214 4.4.3), the priority of PendSV in SHPR3 (4.4.8), BASEPRI (2.1.3): 0x10 masks priority
    1 and below, never 0."""
    probe = run(
        HEAD
        + """
        void exception_16(void) { note(1); ICSR = 1u << 28; note(2); }
        void exception_14(void) { note(ICSR >> 28 & 1 ? 90 : 3); }
        void exception_17(void) { note(10); pend(0); note(11); }
        BEGIN REG(0xE000ED20u) = 0x10u << 16; enable(0, 0); enable(1, 0x10);
        __asm volatile("msr basepri, %0" :: "r"(0x10)); pend(0); note(4); pend(1); note(5);
        __asm volatile("msr basepri, %0" :: "r"(0)); note(6);
        pend(1); note(7); return 0; }"""
    )
    # PendSV comes before interrupt 1 of the same priority, for its number is lower (2.3.5)
    assert trace(probe) == [1, 2, 4, 5, 3, 10, 1, 2, 11, 3, 6, 10, 1, 2, 11, 3, 7]


def test_pendsv_is_chained_to_the_handler_that_pends_it(run: Run) -> None:
    """Tail-chaining (PM0214 2.3.7): PendSV finds the stack where the interrupt found it, and the same frame."""
    probe = run(
        HEAD
        + """
        __attribute__((naked)) void exception_16(void) {
            __asm volatile("ldr r0, =0x20010000\\n str sp, [r0]\\n ldr r2, [sp, #24]\\n str r2, [r0, #4]\\n"
                           "ldr r1, =0xE000ED04\\n mov r2, #0x10000000\\n str r2, [r1]\\n bx lr"); }
        __attribute__((naked)) void exception_14(void) {
            __asm volatile("ldr r0, =0x20010000\\n str sp, [r0, #8]\\n ldr r2, [sp, #24]\\n str r2, [r0, #12]\\n"
                           "str lr, [r0, #16]\\n bx lr"); }
        BEGIN REG(0xE000ED20u) = 0x10u << 16; enable(0, 0); pend(0); OUT[5] = 7; return 0; }"""
    )
    assert probe.out(0) == probe.out(2) != 0
    assert probe.out(1) == probe.out(3) != 0, "the return address"
    assert probe.out(4) == 0xFFFF_FFF9, "back to Thread mode on the main stack (2.3.7)"
    assert probe.out(5) == 7


def test_faultmask_holds_everything_back_and_ends_with_the_handler(run: Run) -> None:
    probe = run(
        HEAD
        + """
        void exception_16(void) { note(1); __asm volatile("cpsid f" ::: "memory"); pend(1); note(2); }
        void exception_17(void) { note(10); }
        BEGIN enable(0, 0x80); enable(1, 0x00); pend(0); u32 m;
        __asm volatile("mrs %0, faultmask" : "=r"(m)); note(50 + m);
        return 0; }"""
    )
    assert trace(probe) == [1, 2, 10, 50]


def test_tail_chaining_leaves_the_frame_where_it_is(run: Run) -> None:
    """2.3.7: the second handler starts with the same stack pointer and EXC_RETURN, without unstacking."""
    probe = run(
        HEAD
        + """
        __attribute__((naked)) void exception_16(void) {
            __asm volatile("ldr r0, =0x20010000\\n str sp, [r0]\\n str lr, [r0, #4]\\n mov r1, #0x55\\n"
                "str r1, [sp]\\n bx lr"); }
        __attribute__((naked)) void exception_17(void) {
            __asm volatile("ldr r0, =0x20010000\\n str sp, [r0, #8]\\n str lr, [r0, #12]\\n ldr r1, [sp]\\n"
                "str r1, [r0, #16]\\n bx lr"); }
        BEGIN enable(0, 0x40); enable(1, 0x80); cpsid(); pend(0); pend(1); cpsie(); BARRIER(); return 0; }"""
    )
    assert probe.out(0) == probe.out(2)
    assert probe.out(1) == probe.out(3) == 0xFFFFFFF9
    assert probe.out(4) == 0x55, "nothing was pushed in between"


def test_svc_and_pendsv(run: Run) -> None:
    probe = run(
        HEAD
        + """
        void exception_11(void) { note(1); ICSR = 1u << 28; BARRIER(); note(2); }
        void exception_14(void) { note(3); }
        BEGIN REG(0xE000ED20u) = 0xFFu << 16; __asm volatile("svc 0" ::: "memory"); note(4); return 0; }"""
    )
    assert trace(probe) == [1, 2, 3, 4]


def test_a_handler_keeps_the_registers_of_what_it_interrupts(run: Run) -> None:
    probe = run(
        HEAD
        + """
        void exception_16(void) { __asm volatile("mov r0, #0\\n mov r1, r0\\n mov r2, r0\\n mov r3, r0\\n"
            "mov ip, r0\\n cmp r0, #1"
            ::: "r0", "r1", "r2", "r3", "ip", "cc"); }
        BEGIN enable(0, 0x80);
        __asm volatile("ldr r4, =0xE000E200\\n mov r5, #1\\n mov r0, #10\\n mov r1, #11\\n mov r2, #12\\n"
            "mov r3, #13\\n mov ip, #14\\n"
            "cmp r0, r0\\n str r5, [r4]\\n dsb\\n isb\\n ite eq\\n moveq r6, #1\\n movne r6, #2\\n"
            "ldr r4, =0x20010000\\n stmia r4!, {r0-r3}\\n str ip, [r4], #4\\n str r6, [r4]"
            ::: "r0", "r1", "r2", "r3", "r4", "r5", "r6", "ip", "cc", "memory");
        return 0; }"""
    )
    assert [probe.out(index) for index in range(6)] == [10, 11, 12, 13, 14, 1]


@pytest.mark.parametrize(("offset", "padded"), [(0, 0), (4, 1)])
def test_the_frame_is_aligned_to_eight_bytes_and_says_so(run: Run, offset: int, padded: int) -> None:
    probe = run(
        HEAD
        + f"""
        __attribute__((naked)) void exception_11(void) {{
            __asm volatile("ldr r0, =0x20010000\\n str sp, [r0]\\n ldr r1, [sp, #28]\\n str r1, [r0, #4]\\n bx lr"); }}
        BEGIN u32 before, after;
        __asm volatile("mov r4, sp\\n ldr r0, =0x20018000 - {offset}\\n mov sp, r0\\n mov %0, sp\\n svc 0\\n"
            "mov %1, sp\\n mov sp, r4"
            : "=&r"(before), "=&r"(after) :: "r0", "r4", "memory");
        OUT[2] = before; OUT[3] = after; return 0; }}"""
    )
    assert probe.out(0) % 8 == 0
    assert probe.out(1) >> 9 & 1 == padded
    assert probe.out(3) == probe.out(2) == 0x20018000 - offset


def test_thread_mode_can_use_the_process_stack(run: Run) -> None:
    probe = run(
        HEAD
        + """
        __attribute__((naked)) void exception_11(void) {
            __asm volatile("ldr r0, =0x20010000\\n str lr, [r0]\\n mrs r1, psp\\n str r1, [r0, #4]\\n"
                "str sp, [r0, #8]\\n bx lr"); }
        BEGIN __asm volatile("ldr r0, =0x20018000\\n msr psp, r0\\n mov r0, #2\\n msr control, r0\\n isb\\n"
            "svc 0\\n mov r1, sp\\n"
            "ldr r0, =0x20010000\\n str r1, [r0, #12]\\n mov r0, #0\\n msr control, r0\\n"
                "isb" ::: "r0", "r1", "memory");
        return 0; }"""
    )
    assert probe.out(0) == 0xFFFFFFFD
    assert probe.out(1) == 0x20018000 - 32
    assert 0x2001F000 < probe.out(2) <= 0x20020000, "the handler runs on the main stack"
    assert probe.out(3) == 0x20018000


def test_fpu_state_is_stacked_with_the_long_frame_and_restored(run: Run) -> None:
    """2.3.7 and 4.6: EXC_RETURN bit 4 clear, 26 words, S0 survives a handler that uses it."""
    probe = run(
        HEAD
        + """
        __attribute__((naked)) void exception_16(void) {
            __asm volatile("ldr r0, =0x20010000\\n str lr, [r0]\\n str sp, [r0, #4]\\n vmov.f32 s0, #2.0\\n"
                "vmov.f32 s15, #2.0\\n bx lr"); }
        BEGIN REG(0xE000ED88u) = 0xFu << 20; BARRIER(); enable(0, 0x80); u32 a, b, sp;
        __asm volatile("vmov.f32 s0, #1.0\\n vmov.f32 s15, #3.0" ::: "s0", "s15");
        __asm volatile("mov %0, sp" : "=r"(sp));
        pend(0);
        __asm volatile("vmov %0, s0\\n vmov %1, s15" : "=r"(a), "=r"(b));
        OUT[2] = a; OUT[3] = b; OUT[4] = sp; return 0; }"""
    )
    assert probe.out(0) == 0xFFFFFFE9
    assert probe.out(4) - probe.out(1) == 104
    assert probe.out(2) == 0x3F800000
    assert probe.out(3) == 0x40400000
    assert probe.machine.exceptions.coprocessor_violations == 0


def test_without_fpu_use_the_frame_is_short(run: Run) -> None:
    probe = run(
        HEAD
        + """
        __attribute__((naked)) void exception_16(void) { __asm volatile("ldr r0, =0x20010000\\n str lr, [r0]\\n"
            "bx lr"); }
        BEGIN enable(0, 0x80); pend(0); return 0; }"""
    )
    assert probe.out(0) == 0xFFFFFFF9


def test_an_illegal_exc_return_is_a_usage_fault(run: Run) -> None:
    probe = run(
        HEAD
        + """
        void exception_3(void) { OUT[0] = REG(0xE000ED28u); for (;;) WFI(); }
        __attribute__((naked)) void exception_16(void) { __asm volatile("ldr r0, =0xFFFFFFF5\\n bx r0"); }
        BEGIN enable(0, 0x80); pend(0); OUT[1] = 1; return 0; }"""
    )
    assert probe.out(0) & 1 << 18  # INVPC
    assert probe.out(1) == 0


def test_wfi_wakes_under_primask_without_entering_the_handler(run: Run) -> None:
    """2.5.3: the usual race-free way to sleep."""
    probe = run(
        HEAD
        + """
        void exception_15(void) { note(2); REG(0xE000E010u) = 0; }
        BEGIN REG(0xE000E014u) = 5000; REG(0xE000E018u) = 0; REG(0xE000E010u) = 7;
        cpsid(); WFI(); note(1); cpsie(); note(3); return 0; }"""
    )
    assert trace(probe) == [1, 2, 3]
    assert probe.board.counters.asleep_ps > 100e6


def test_wfi_does_not_wake_for_a_disabled_interrupt(run: Run) -> None:
    probe = run(HEAD + "BEGIN note(1); ISPR0 = 1u << 3; WFI(); note(2); return 0; }")
    assert trace(probe) == [1]


def test_sleep_on_exit(run: Run) -> None:
    """4.4.6, SLEEPONEXIT: Thread mode runs no further."""
    probe = run(
        HEAD
        + """
        void exception_15(void) { note(1); if (n == 3) REG(0xE000ED10u) = 0; }
        BEGIN REG(0xE000ED10u) = 2; REG(0xE000E014u) = 999; REG(0xE000E018u) = 0; REG(0xE000E010u) = 7; WFI(); note(9);
        REG(0xE000E010u) = 0; return 0; }"""
    )
    assert trace(probe) == [1, 1, 1, 9]


def test_a_wait_for_event_sleeps_too(run: Run) -> None:
    probe = run(
        HEAD
        + """
        void exception_15(void) { note(1); REG(0xE000E010u) = 0; }
        BEGIN REG(0xE000E014u) = 999; REG(0xE000E018u) = 0; REG(0xE000E010u) = 7;
        __asm volatile("wfe"); note(2); return 0; }"""
    )
    assert trace(probe) == [1, 2]


def test_an_exception_nobody_handles_shows_up(run: Run) -> None:
    probe = run(HEAD + "BEGIN enable(7, 0); pend(7); return 0; }")
    assert probe.out(255) == 16 + 7


def test_systick_counts_core_clocks_exactly(run: Run) -> None:
    """4.5: a period is RELOAD + 1 clocks, also while the core sleeps."""
    probe = run(
        "void exception_15(void) { OUT[0]++; }"
        " int main(void) { OUT[0] = 0; REG(0xE000E014u) = 15999; REG(0xE000E018u) = 0;"
        " REG(0xE000E010u) = 7; OUT[1] = REG(0xE000E018u); OUT[2] = REG(0xE000E018u); return 0; }",
        1_000_500,
    )
    assert probe.out(0) == 1000
    assert 1 <= probe.out(1) - probe.out(2) <= 4, "two loads and a store apart"


def test_systick_countflag_and_the_slow_clock(run: Run) -> None:
    probe = run(
        "int main(void) { REG(0xE000E014u) = 99; REG(0xE000E018u) = 0; REG(0xE000E010u) = 1; u32 waited = 0;"
        " while (!(REG(0xE000E010u) >> 16)) waited++; OUT[0] = waited; OUT[1] = REG(0xE000E010u); return 0; }"
    )
    loop_instructions = 4
    assert probe.out(0) * loop_instructions == pytest.approx(800, rel=0.3), "100 counts of HCLK/8"
    assert probe.out(1) >> 16 == 0, "reading CTRL clears COUNTFLAG"


def test_level_interrupts_pend_again_while_their_line_is_high(probe: Probe) -> None:
    nvic = probe.machine.nvic
    probe.write(0xE000E104, 1 << 5)  # IRQ37
    nvic.set_line(37, level=True)
    assert probe.read(0xE000E204) == 1 << 5
    nvic.activate(16 + 37)
    assert probe.read(0xE000E204) == 0
    assert probe.read(0xE000E304) == 1 << 5
    nvic.deactivate(16 + 37)
    assert probe.read(0xE000E204) == 1 << 5
    probe.write(0xE000E284, 1 << 5)
    assert probe.read(0xE000E204) == 1 << 5, "ICPR cannot clear a line that is high (4.3.5)"
    nvic.set_line(37, level=False)
    probe.write(0xE000E284, 1 << 5)
    assert probe.read(0xE000E204) == 0
