"""Clock tree, gates and reset causes (RM0383 sections 5 and 6, RM0090 sections 6 and 7)."""

from __future__ import annotations

import pytest

from virtual_board.testing import IDLE, Probe, Run

CR, PLLCFGR, CFGR, CSR = 0x4002_3800, 0x4002_3804, 0x4002_3808, 0x4002_3874
AHB1ENR, AHB1RSTR, APB1ENR, APB2ENR = 0x4002_3830, 0x4002_3810, 0x4002_3840, 0x4002_3844
FLASH_ACR, PWR_CR, PWR_CSR = 0x4002_3C00, 0x4000_7000, 0x4000_7004
GPIOA = 0x4002_0000
HSEON, HSERDY, PLLON, PLLRDY, HSIRDY = 1 << 16, 1 << 17, 1 << 24, 1 << 25, 2
VOSRDY = 1 << 14


def start_pll(probe: Probe, m: int, n: int, p: int, *, hse: bool = True) -> None:
    if hse:
        probe.set(CR, HSEON)
        probe.wait(lambda: probe.read(CR) & HSERDY, 5000)
    probe.write(PLLCFGR, m | n << 6 | (p // 2 - 1) << 16 | hse << 22 | 4 << 24)
    probe.set(CR, PLLON)
    probe.wait(lambda: probe.read(CR) & PLLRDY, 1000)


def switch(probe: Probe, cfgr: int) -> None:
    probe.write(CFGR, cfgr)
    assert probe.read(CFGR) >> 2 & 3 == cfgr & 3


def test_reset_values(probe: Probe) -> None:
    assert probe.read(CR) & 0xFF03 == 3, "HSION and HSIRDY"
    assert probe.read(PLLCFGR) == 0x2400_3010
    assert probe.read(CFGR) == 0
    assert probe.machine.rcc.hclk_hz == 16_000_000


def test_oscillators_take_their_time(probe: Probe) -> None:
    probe.set(CR, HSEON)
    assert not probe.read(CR) & HSERDY
    assert probe.wait(lambda: probe.read(CR) & HSERDY, 5000) == pytest.approx(2000, rel=0.01), "DS10314, tSU(HSE)"


@pytest.mark.parametrize(
    ("board", "settings", "clocks"),
    [
        ("nucleo_f411re", ((4, 96, 2), 3, 3, 4 << 10), (96_000_000, 48_000_000, 96_000_000)),
        ("nucleo_f411re", ((4, 100, 2), 3, 3, 4 << 10), (100_000_000, 50_000_000, 100_000_000)),
        ("blackpill_f411ce", ((25, 192, 2), 3, 3, 4 << 10), (96_000_000, 48_000_000, 96_000_000)),
        ("netduinoplus2", ((25, 336, 2), 1, 5, 5 << 10 | 4 << 13), (168_000_000, 42_000_000, 84_000_000)),
    ],
)
def test_the_clock_tree_of_each_board(
    run: Run, board: str, settings: tuple[tuple[int, int, int], int, int, int], clocks: tuple[int, int, int]
) -> None:
    plan, vos, latency, cfgr = settings
    probe = run(IDLE, 10, board=board)
    probe.set(APB1ENR, 1 << 28)
    probe.write(PWR_CR, vos << 14)
    start_pll(probe, *plan)
    probe.wait(lambda: probe.read(PWR_CSR) & VOSRDY, 1000)
    probe.write(FLASH_ACR, latency)
    switch(probe, cfgr | 2)
    rcc = probe.machine.rcc
    assert (rcc.hclk_hz, rcc.pclk1_hz, rcc.pclk2_hz) == clocks
    assert probe.time.hclk_hz == clocks[0]
    assert rcc.timer_hz(1) == (2 * clocks[1] if clocks[1] != clocks[0] else clocks[1])
    assert probe.board.violations == {}


@pytest.mark.parametrize(
    ("settings", "note"),
    [
        ((3, 2, 4 << 10, (4, 96, 2)), "flash needs 3 wait states at 96000000 Hz"),
        ((2, 3, 4 << 10, (4, 96, 2)), "HCLK of 96000000 Hz is above the limit of voltage scale 2"),
        ((3, 3, 0, (4, 96, 2)), "APB clocks 96000000 and 96000000 Hz are above the limit"),
        ((3, 3, 4 << 10, (16, 192, 2)), "PLL input after PLLM must be 0.95 to 2.1 MHz"),
        ((3, 3, 4 << 10, (8, 60, 2)), "VCO must run at 100000000 to 432000000 Hz"),
    ],
)
def test_what_the_manual_forbids_is_noted(
    probe: Probe, settings: tuple[int, int, int, tuple[int, int, int]], note: str
) -> None:
    vos, latency, cfgr, plan = settings
    probe.set(APB1ENR, 1 << 28)
    probe.write(PWR_CR, vos << 14)
    start_pll(probe, *plan)
    probe.write(FLASH_ACR, latency)
    switch(probe, cfgr | 2)
    assert note in probe.board.violations


def test_the_regulator_of_the_f411_is_at_its_scale_behind_the_pll(probe: Probe) -> None:
    probe.set(APB1ENR, 1 << 28)
    assert not probe.read(PWR_CSR) & VOSRDY
    probe.write(PWR_CR, 3 << 14)
    start_pll(probe, 4, 96, 2)
    assert not probe.read(PWR_CSR) & VOSRDY
    probe.write(FLASH_ACR, 3)
    switch(probe, 4 << 10 | 2)
    assert probe.board.violations == {"clock from the PLL before VOSRDY (RM0383 5.4.1)": 1}


def test_a_switch_to_a_clock_that_is_not_ready_waits_for_it(probe: Probe) -> None:
    probe.set(CR, HSEON)
    probe.write(CFGR, 1)
    assert probe.read(CFGR) >> 2 & 3 == 0
    probe.pass_us(2100)
    assert probe.read(CFGR) >> 2 & 3 == 1
    assert probe.machine.rcc.hclk_hz == 8_000_000


def test_time_goes_on_evenly_over_a_change_of_clock(run: Run) -> None:
    source = """
    void exception_15(void) { OUT[0]++; }
    int main(void) { OUT[0] = 0; REG(0xE000E014u) = 999; REG(0xE000E018u) = 0; REG(0xE000E010u) = 7;
        while (OUT[0] < 8) WFI();
        REG(0x40023808u) = 9 << 4; /* HCLK = HSI / 4 */
        while (OUT[0] < 1000000) WFI();
        return 0; }"""
    probe = run(source, 8 * 62.5 + 100)
    assert probe.out(0) == 8
    probe.pass_us(250 - 100)
    before = probe.out(0)
    probe.pass_us(2500)
    assert probe.out(0) - before == 10, "a period is 250 us now"


def test_the_clock_in_use_cannot_be_switched_off(probe: Probe) -> None:
    probe.clear(CR, 1)
    assert probe.read(CR) & 3 == 3


def test_a_gate_opens_and_a_reset_bit_resets(probe: Probe) -> None:
    probe.write(GPIOA + 0x14, 0xFF)
    assert probe.read(GPIOA + 0x14) == 0
    probe.set(AHB1ENR, 1)
    probe.write(GPIOA + 0x14, 0xFF)
    assert probe.read(GPIOA + 0x14) == 0xFF
    probe.write(AHB1RSTR, 1)
    probe.write(AHB1RSTR, 0)
    assert probe.read(GPIOA + 0x14) == 0
    assert probe.board.unclocked == {"GPIOA+0x14 write": 1, "GPIOA+0x14 read": 1}


@pytest.mark.parametrize(
    ("cause", "flags"),
    [("pin", 1 << 26), ("software", 1 << 28 | 1 << 26), ("watchdog", 1 << 29 | 1 << 26), ("power", 7 << 25)],
)
def test_csr_tells_the_cause_of_a_reset(probe: Probe, cause: str, flags: int) -> None:
    probe.write(CSR, 1 << 24)
    assert probe.read(CSR) >> 25 == 0
    probe.board.reset(cause)
    assert probe.read(CSR) & 0xFE00_0000 == flags


def test_causes_add_up_until_they_are_removed(probe: Probe) -> None:
    probe.board.reset("watchdog")
    assert probe.read(CSR) >> 25 == 0b0010111, "IWDG, PIN; POR and BOR from before"


def test_registers_that_no_model_has_are_noted(probe: Probe) -> None:
    probe.read(0x4000_2800)
    probe.write(0x4002_3880 + 0x14, 1)
    assert probe.board.unmodelled == {"0x40002800 read": 1, "RCC+0x94 write": 1}


def test_bytes_and_halfwords(probe: Probe) -> None:
    probe.set(AHB1ENR, 2)
    port = 0x4002_0400
    probe.write(port + 0x14, 0xA5, 2)
    assert probe.read(port + 0x14, 1) == 0xA5
    probe.write(port + 0x1A, 0x0005, 2)  # upper half of BSRR: reset bits
    assert probe.read(port + 0x14) == 0xA0
    probe.write(port + 0x15, 0x12, 1)
    assert probe.read(port + 0x14) == 0x12A0
    assert probe.read(port + 0x14, 2) == 0x12A0
