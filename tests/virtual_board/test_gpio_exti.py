"""Pins, wires and external interrupts (RM0383 sections 7, 8 and 10)."""

from __future__ import annotations

import pytest

from virtual_board.net import Net
from virtual_board.testing import Probe

AHB1ENR, APB2ENR = 0x4002_3830, 0x4002_3844
PORT_C = 0x4002_0800
MODER, OTYPER, PUPDR, IDR, ODR, BSRR = (PORT_C + offset for offset in (0x00, 0x04, 0x0C, 0x10, 0x14, 0x18))
EXTICR2 = 0x4001_380C
IMR, RTSR, FTSR, SWIER, PR = (0x4001_3C00 + offset for offset in (0x00, 0x08, 0x0C, 0x10, 0x14))
PIN = 5


@pytest.fixture
def net() -> Net:
    return Net("wire", pull=True)


@pytest.fixture
def pin(probe: Probe, net: Net) -> Probe:
    probe.set(AHB1ENR, 1 << 2)
    probe.set(APB2ENR, 1 << 14)
    probe.machine.gpio["C"].connect(PIN, net)
    return probe


def level(probe: Probe) -> int:
    return probe.read(IDR) >> PIN & 1


def test_an_input_shows_the_wire(pin: Probe, net: Net) -> None:
    assert level(pin) == 1, "the wire's pull-up"
    net.drive("somebody", level=False)
    assert level(pin) == 0


def test_push_pull_drives_both_ways_and_open_drain_only_down(pin: Probe, net: Net) -> None:
    pin.write(MODER, 1 << 2 * PIN)
    assert not net.level
    pin.write(BSRR, 1 << PIN)
    assert net.level
    pin.write(OTYPER, 1 << PIN)
    net.drive("somebody", level=False)
    assert level(pin) == 0, "somebody else holds it"
    net.drive("somebody", level=None)
    assert level(pin) == 1
    pin.write(BSRR, 1 << PIN + 16)
    assert not net.level


def test_set_wins_over_reset_in_bsrr(pin: Probe) -> None:
    pin.write(BSRR, 1 << PIN | 1 << PIN + 16)
    assert pin.read(ODR) == 1 << PIN
    assert pin.read(BSRR) == 0, "write-only"


def test_an_analog_pin_reads_0(pin: Probe) -> None:
    pin.write(MODER, 3 << 2 * PIN)
    assert level(pin) == 0


def test_a_pin_with_nothing_on_it_rests_at_its_pull(pin: Probe) -> None:
    assert pin.read(IDR) >> 7 & 1 == 0
    pin.write(PUPDR, 1 << 14)
    assert pin.read(IDR) >> 7 & 1 == 1
    pin.write(MODER, 1 << 14)
    assert pin.read(IDR) >> 7 & 1 == 0
    pin.write(ODR, 1 << 7)
    assert pin.read(IDR) >> 7 & 1 == 1


def test_reset_values_of_the_debug_pins(pin: Probe) -> None:
    pin.set(AHB1ENR, 3)
    assert pin.read(0x4002_0000) == 0xA800_0000
    assert pin.read(0x4002_0400) == 0x0000_0280


@pytest.mark.parametrize(
    ("rising", "falling", "expected"), [(1, 0, [0, 1]), (0, 1, [1, 0]), (1, 1, [1, 1]), (0, 0, [0, 0])]
)
def test_edges_pend_as_selected(pin: Probe, net: Net, rising: int, falling: int, expected: list[int]) -> None:
    pin.write(EXTICR2, 2 << 4)
    pin.write(RTSR, rising << PIN)
    pin.write(FTSR, falling << PIN)
    seen = []
    for new in (False, True):
        net.drive("somebody", level=new)
        seen.append(pin.read(PR) >> PIN & 1)
        pin.write(PR, 1 << PIN)
    assert seen == expected


def test_syscfg_selects_the_port(pin: Probe, net: Net) -> None:
    pin.write(RTSR, 1 << PIN)
    pin.write(FTSR, 1 << PIN)
    net.drive("somebody", level=False)
    assert pin.read(PR) == 0, "EXTI5 listens to port A after reset"


@pytest.mark.parametrize(("line", "irq"), [(0, 6), (4, 10), (5, 23), (9, 23), (10, 40), (15, 40)])
def test_the_interrupt_of_each_line(pin: Probe, line: int, irq: int) -> None:
    pin.write(IMR, 1 << line)
    pin.write(SWIER, 1 << line)
    assert pin.line(irq)
    pin.write(PR, 1 << line)
    assert not pin.line(irq)
    assert pin.read(SWIER) == 0


def test_a_masked_line_pends_without_an_interrupt(pin: Probe, net: Net) -> None:
    pin.write(EXTICR2, 2 << 4)
    pin.write(FTSR, 1 << PIN)
    net.drive("somebody", level=False)
    assert pin.read(PR) == 1 << PIN
    assert not pin.line(23)
    pin.write(IMR, 1 << PIN)
    assert pin.line(23)


def test_a_byte_store_to_pr_clears_nothing_else(pin: Probe) -> None:
    pin.write(IMR, 1 << 0 | 1 << 9)
    pin.write(SWIER, 1 << 0 | 1 << 9)
    pin.write(PR, 1, 1)
    assert pin.read(PR) == 1 << 9
