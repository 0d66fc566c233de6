"""TIM2 to TIM5, the independent watchdog and the cycle counter."""

from __future__ import annotations

import pytest

from virtual_board.testing import Probe, Run

APB1ENR = 0x4002_3840
TIM2, TIM3 = 0x4000_0000, 0x4000_0400
CR1, DIER, SR, EGR, CNT, PSC, ARR = 0x00, 0x0C, 0x10, 0x14, 0x24, 0x28, 0x2C
KR, PR, RLR, IWDG_SR = (0x4000_3000 + offset for offset in (0, 4, 8, 12))


@pytest.fixture
def timer(probe: Probe) -> Probe:
    probe.set(APB1ENR, 3)
    return probe


def test_a_timer_counts_its_prescaled_clock_and_updates(timer: Probe) -> None:
    """RM0383 13.3.1; 16 MHz / 16 / 1000 = 1 kHz."""
    timer.write(TIM2 + PSC, 15)
    timer.write(TIM2 + ARR, 999)
    timer.write(TIM2 + EGR, 1)
    assert timer.read(TIM2 + SR) == 1
    timer.write(TIM2 + SR, 0)
    timer.write(TIM2 + DIER, 1)
    timer.write(TIM2 + CR1, 1)
    timer.pass_us(500)
    assert timer.read(TIM2 + CNT) in (500, 501)
    assert timer.wait(lambda: timer.line(28)) == pytest.approx(500, abs=0.3)
    assert timer.read(TIM2 + CNT) == 0
    timer.write(TIM2 + SR, 0)
    assert not timer.line(28)
    assert timer.wait(lambda: timer.line(28)) == pytest.approx(1000, abs=0.3)


def test_one_pulse_mode_stops_at_the_update(timer: Probe) -> None:
    timer.write(TIM3 + ARR, 159)
    timer.write(TIM3 + CR1, 9)
    timer.wait(lambda: timer.read(TIM3 + SR) & 1)
    assert timer.read(TIM3 + CR1) & 1 == 0
    timer.pass_us(100)
    assert timer.read(TIM3 + CNT) == 0


def test_widths(timer: Probe) -> None:
    assert timer.read(TIM2 + ARR) == 0xFFFF_FFFF
    assert timer.read(TIM3 + ARR) == 0xFFFF


def test_the_counter_can_be_set_and_stands_while_disabled(timer: Probe) -> None:
    timer.write(TIM2 + CNT, 1234)
    timer.pass_us(100)
    assert timer.read(TIM2 + CNT) == 1234
    timer.write(TIM2 + CR1, 1)
    timer.pass_us(10)
    assert timer.read(TIM2 + CNT) == pytest.approx(1234 + 160, abs=2)


@pytest.mark.parametrize(("prescaler", "reload", "ms"), [(0, 0xFFF, 512), (3, 999, 1000), (6, 124, 1000)])
def test_the_watchdog_resets_after_its_time(probe: Probe, prescaler: int, reload: int, ms: float) -> None:
    """RM0383 table 61: (RLR + 1) * 4 * 2^PR / 32 kHz."""
    probe.write(KR, 0x5555)
    probe.write(PR, prescaler)
    probe.write(RLR, reload)
    assert probe.read(IWDG_SR) == 3
    probe.pass_us(200)
    assert probe.read(IWDG_SR) == 0
    probe.write(KR, 0xCCCC)
    resets = probe.board.counters.resets
    probe.pass_us(ms * 1000 - 5)
    assert probe.board.counters.resets == resets
    probe.pass_us(10)
    assert probe.board.counters.resets == resets + 1
    assert probe.read(0x4002_3874) >> 29 & 1, "IWDGRSTF"


def test_a_refresh_puts_the_reset_off_and_stopping_is_impossible(probe: Probe) -> None:
    probe.write(KR, 0xCCCC)
    for _ in range(5):
        probe.pass_us(400_000)
        probe.write(KR, 0xAAAA)
    assert probe.board.counters.resets == 1
    probe.pass_us(511_900)
    assert probe.board.counters.resets == 1
    probe.pass_us(200)
    assert probe.board.counters.resets == 2


def test_the_watchdogs_registers_are_locked(probe: Probe) -> None:
    probe.write(RLR, 1)
    assert probe.read(RLR) == 0xFFF
    assert "IWDG_PR or IWDG_RLR written without 0x5555" in probe.board.violations


def test_cyccnt_stands_while_the_core_sleeps_unless_the_debug_unit_says_otherwise(run: Run) -> None:
    """RM0383 23.16.1, DBG_SLEEP."""
    source = """
    void exception_15(void) {}
    static u32 nap(void) { u32 before = REG(0xE0001004u); WFI(); return REG(0xE0001004u) - before; }
    int main(void) {
        OUT[9] = REG(0xE0001004u);
        REG(0xE000EDFCu) = 1u << 24; REG(0xE0001004u) = 0; REG(0xE0001000u) = 1;
        REG(0xE000E014u) = 15999; REG(0xE000E018u) = 0; REG(0xE000E010u) = 7;
        OUT[0] = nap(); REG(0xE0042004u) = 1; OUT[1] = nap(); return 0; }"""
    probe = run(source, 5000)
    assert probe.out(9) == 0
    assert probe.out(0) < 20
    assert 15_900 < probe.out(1) <= 16_000
