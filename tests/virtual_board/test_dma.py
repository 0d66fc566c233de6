"""What is the DMA controller's own (RM0383 section 9); its work with peripherals is in their tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from virtual_board.testing import Probe, Run

RCC_AHB1ENR, RCC_APB1ENR = 0x4002_3830, 0x4002_3840
STREAM6 = 0x4002_6000 + 0x10 + 0x18 * 6
HISR, HIFCR = 0x4002_6004, 0x4002_600C
USART2 = 0x4000_4400
START = 4 << 25 | 1 << 10 | 1 << 6 | 1


@pytest.fixture
def dma(probe: Probe) -> Probe:
    probe.set(RCC_AHB1ENR, 1 | 1 << 21)
    probe.set(RCC_APB1ENR, 1 << 17)
    probe.write(USART2 + 0x08, 16)
    probe.write(USART2 + 0x0C, 1 << 13 | 1 << 3)
    probe.write(USART2 + 0x14, 1 << 7)
    probe.write(STREAM6 + 0x08, USART2 + 4)
    probe.write(STREAM6 + 0x0C, 0x2000_8000)
    probe.write(STREAM6 + 0x04, 8)
    return probe


def test_half_and_complete_flags_rise_in_order_and_clear_by_their_bits(dma: Probe) -> None:
    dma.write(STREAM6, START)
    dma.wait(lambda: dma.read(HISR) >> 16 & 0x10)
    assert not dma.read(HISR) >> 16 & 0x20
    dma.wait(lambda: dma.read(HISR) >> 16 & 0x20)
    dma.write(HIFCR, 0x10 << 16)
    assert dma.read(HISR) >> 16 & 0x3D == 0x20
    dma.write(HIFCR, 0x20 << 16)
    assert dma.read(HISR) == 0


def test_memory_that_dma_cannot_reach_is_a_transfer_error(dma: Probe) -> None:
    dma.write(STREAM6 + 0x0C, 0x3000_0000)
    dma.write(STREAM6, START | 1 << 2)
    assert dma.read(HISR) >> 16 & 0x3D == 8, "TEIF"
    assert dma.read(STREAM6) & 1 == 0
    assert dma.line(17)


@pytest.mark.parametrize("passed", [0, 3, 4, 7])
def test_a_transfer_error_on_demand_stops_the_stream_behind_so_many_items_once(dma: Probe, passed: int) -> None:
    """RM0383 9.3.18: the hardware clears EN; NDTR keeps what was left."""
    request = dma.machine.usarts["USART2"].tx_dma
    request.error_after = passed
    dma.write(STREAM6, START | 1 << 2)
    dma.pass_us(1000)
    assert dma.read(HISR) >> 16 & 0x28 == 8, "TEIF, not TCIF"
    assert dma.read(STREAM6) & 1 == 0
    assert dma.read(STREAM6 + 0x04) == 8 - passed
    assert dma.line(17)
    dma.write(HIFCR, 0x3D << 16)
    dma.write(STREAM6 + 0x04, 8)
    dma.write(STREAM6, START)
    dma.pass_us(1000)
    assert dma.read(HISR) >> 16 & 0x28 == 0x20, "the next one ends well"


def test_ccm_is_out_of_reach_on_the_f405(run: Run) -> None:
    """RM0090 2.3.1: CCM hangs on the core's data bus only."""
    from virtual_board.testing import IDLE

    probe = run(IDLE, 10, board="netduinoplus2")
    memory = probe.machine.memory
    memory.write(0x1000_0000, b"x")
    assert memory.read(0x1000_0000, 1) == b"x"
    with pytest.raises(Exception, match="no memory at 0x10000000"):
        memory.read(0x1000_0000, 1, dma=True)


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (lambda dma: dma.write(STREAM6 + 0x08, USART2), "DMA1 stream 6: PAR is not the data register of USART2_TX"),
        (lambda dma: dma.write(STREAM6, START & ~(1 << 6)), "DMA1 stream 6: wrong direction for USART2_TX"),
    ],
)
def test_a_stream_set_up_wrongly_moves_nothing_and_is_noted(
    dma: Probe, change: Callable[[Probe], None], note: str
) -> None:
    change(dma)
    dma.write(STREAM6, START)
    dma.pass_us(500)
    assert dma.board.uart.sent == 0
    assert note in dma.board.violations


def test_registers_are_locked_while_the_stream_is_enabled(dma: Probe) -> None:
    dma.write(STREAM6, START)
    dma.write(STREAM6 + 0x04, 99)
    assert dma.read(STREAM6 + 0x04) < 9
    assert "DMA1 stream 6: ndtr written while enabled" in dma.board.violations


def test_a_start_with_old_flags_is_noted(dma: Probe) -> None:
    dma.write(STREAM6, START)
    dma.wait(lambda: dma.read(HISR) >> 16 & 0x20)
    dma.write(STREAM6 + 0x04, 8)
    dma.write(STREAM6, START)
    assert "DMA1 stream 6 enabled with its flags still set" in dma.board.violations


def test_fifo_mode_and_unknown_channels_are_noted_as_unmodelled(dma: Probe) -> None:
    dma.write(STREAM6 + 0x14, 0x25)
    dma.write(STREAM6, START)
    dma.write(STREAM6, 0)
    dma.write(STREAM6 + 0x04, 8)
    dma.write(STREAM6, START | 7 << 25)
    assert any("FCR=0x25" in name for name in dma.board.unmodelled)
    assert "DMA1 stream 6 channel 7" in dma.board.unmodelled


def test_a_transfer_of_nothing_does_not_start(dma: Probe) -> None:
    dma.write(STREAM6 + 0x04, 0)
    dma.write(STREAM6, START)
    assert dma.read(STREAM6) & 1 == 0
