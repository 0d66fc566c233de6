"""USART: pace, flags, interrupts and DMA as RM0383 section 19 has them."""

from __future__ import annotations

import pytest

from virtual_board.testing import Probe
from virtual_board.timebase import PS_PER_S

RCC_AHB1ENR, RCC_APB1ENR = 0x4002_3830, 0x4002_3840
GPIOA = 0x4002_0000
SR, DR, BRR, CR1, CR2, CR3 = (0x4000_4400 + offset for offset in range(0, 0x18, 4))
TXE, TC, RXNE, IDLE, ORE, NF, FE = 1 << 7, 1 << 6, 1 << 5, 1 << 4, 1 << 3, 1 << 2, 1 << 1
UE, TE, RE, RXNEIE, TCIE, TXEIE, IDLEIE = 1 << 13, 1 << 3, 1 << 2, 1 << 5, 1 << 6, 1 << 7, 1 << 4
IRQ = 38
DMAR, EIE = 1 << 6, 1 << 0
STREAM5, STREAM6 = (0x4002_6000 + 0x10 + 0x18 * stream for stream in (5, 6))
RING = 0x2000_8000
DMA_HISR, DMA_HIFCR = 0x4002_6004, 0x4002_600C
PCLK = 16_000_000


def frame_us(brr: int, bits: float = 10) -> float:
    return bits * brr / PCLK * 1e6


@pytest.fixture
def uart(probe: Probe) -> Probe:
    """USART2 on PA2 and PA3, 16 MHz / 139 = 115,108 baud."""
    probe.set(RCC_AHB1ENR, 1 | 1 << 21)
    probe.set(RCC_APB1ENR, 1 << 17)
    probe.set(GPIOA, 2 << 4 | 2 << 6)
    probe.set(GPIOA + 0x20, 7 << 8 | 7 << 12)
    probe.write(BRR, 139)
    probe.write(CR1, UE | TE | RE)
    return probe


@pytest.mark.parametrize(
    ("brr", "over8", "clocks_per_bit"),
    [(139, False, 139), (17, False, 17), (0x8B, True, 8 * 8 + 3), (0x10, True, 8)],  # 19.3.4
)
def test_a_character_takes_ten_bits_of_the_divider(uart: Probe, brr: int, over8: bool, clocks_per_bit: int) -> None:
    uart.write(CR1, UE | TE | (1 << 15 if over8 else 0))
    uart.write(BRR, brr)
    start = uart.time.now_ps
    uart.write(DR, 0x55)
    uart.pass_us(frame_us(clocks_per_bit) * 2)
    ((end, data),) = uart.board.uart.take_timed()
    assert data == b"\x55"
    assert end - start == 10 * clocks_per_bit * PS_PER_S // PCLK


@pytest.mark.parametrize(("stop", "bits"), [(0, 10), (1, 9.5), (2, 11), (3, 10.5)])
def test_stop_bits_lengthen_the_character(uart: Probe, stop: int, bits: float) -> None:
    uart.write(CR2, stop << 12)
    start = uart.time.now_ps
    uart.write(DR, 0)
    uart.pass_us(200)
    assert uart.board.uart.take_timed()[0][0] - start == int(bits * 139 * PS_PER_S / PCLK)


def test_txe_and_tc_follow_the_shift_register(uart: Probe) -> None:
    assert uart.read(SR) & (TXE | TC) == TXE | TC
    uart.write(DR, 1)
    assert uart.read(SR) & (TXE | TC) == TXE, "into the shift register at once"
    uart.write(DR, 2)
    assert uart.read(SR) & (TXE | TC) == 0
    assert uart.wait(lambda: uart.read(SR) & TXE) == pytest.approx(frame_us(139), abs=0.2)
    assert not uart.read(SR) & TC
    assert uart.wait(lambda: uart.read(SR) & TC) == pytest.approx(frame_us(139), abs=0.2)
    assert uart.board.uart.take() == b"\x01\x02"


def test_dr_written_while_txe_is_0_replaces_the_waiting_byte_and_is_noted(uart: Probe) -> None:
    for byte in (1, 2, 3):
        uart.write(DR, byte)
    uart.pass_us(300)
    assert uart.board.uart.take() == b"\x01\x03"
    assert uart.board.violations == {"USART2: DR written while TXE is 0": 1}


def test_interrupts_of_the_transmitter(uart: Probe) -> None:
    assert uart.read(SR) & TC
    uart.write(DR, 1)
    uart.write(DR, 2)
    uart.set(CR1, TXEIE)
    assert not uart.line(IRQ)
    assert uart.wait(lambda: uart.line(IRQ)) == pytest.approx(frame_us(139), abs=0.2)
    uart.clear(CR1, TXEIE)
    assert not uart.line(IRQ)
    uart.set(CR1, TCIE)
    assert not uart.line(IRQ)
    assert uart.wait(lambda: uart.line(IRQ)) == pytest.approx(frame_us(139), abs=0.2)
    uart.write(SR, ~TC & 0x3FF)
    assert not uart.line(IRQ)


def test_tc_is_cleared_by_reading_sr_and_writing_dr(uart: Probe) -> None:
    uart.write(DR, 1)
    uart.pass_us(200)
    assert uart.read(SR) & TC
    uart.write(DR, 2)
    assert not uart.read(SR) & TC


@pytest.mark.parametrize("length", [1, 2, 3, 31, 32, 33, 64, 200])
def test_dma_feeds_the_transmitter_without_a_gap(uart: Probe, length: int) -> None:
    data = bytes(range(length))
    uart.machine.memory.write(0x2000_8000, data)
    uart.write(CR3, 1 << 7)
    uart.write(STREAM6 + 0x08, DR)
    uart.write(STREAM6 + 0x0C, 0x2000_8000)
    uart.write(STREAM6 + 0x04, length)
    start = uart.time.now_ps
    uart.write(STREAM6, 4 << 25 | 1 << 10 | 1 << 6 | 1 << 4 | 1)
    assert uart.read(SR) & TC, "DMA's write does not clear it (19.3.13)"
    uart.write(SR, ~TC & 0x3FF)
    frame = frame_us(139)
    assert uart.wait(lambda: uart.line(17), 40_000) == pytest.approx(max(0, length - 2) * frame, abs=0.3), (
        "TCIF: last byte fetched"
    )
    assert uart.read(DMA_HISR) >> 16 & 0x20
    assert uart.read(STREAM6) & 1 == 0
    assert uart.read(STREAM6 + 0x04) == 0
    uart.wait(lambda: uart.read(SR) & TC)
    runs = uart.board.uart.take_timed()
    assert b"".join(part for _, part in runs) == data
    assert runs[-1][0] - start == length * (10 * 139 * PS_PER_S // PCLK)


def test_a_block_that_is_started_while_the_last_one_ends_follows_without_a_gap(uart: Probe) -> None:
    """DMA fills DR as soon as TXE is set (RM0383 19.3.13), not when a run of bytes could have gone."""
    uart.machine.memory.write(0x2000_8000, bytes(range(200)))
    uart.write(CR3, 1 << 7)
    uart.write(STREAM6 + 0x08, DR)
    begin = uart.time.now_ps
    for first, length in ((0, 100), (100, 100)):
        uart.write(STREAM6 + 0x0C, 0x2000_8000 + first)
        uart.write(STREAM6 + 0x04, length)
        uart.write(STREAM6, 4 << 25 | 1 << 10 | 1 << 6 | 1 << 4 | 1)
        uart.wait(lambda: uart.line(17), 40_000)
        uart.write(DMA_HISR + 8, 0x3D << 16)
    uart.pass_us(40_000)
    runs = uart.board.uart.take_timed()
    assert b"".join(part for _, part in runs) == bytes(range(200))
    assert runs[-1][0] - begin == 200 * (10 * 139 * PS_PER_S // PCLK)


def test_ndtr_counts_down_with_the_line(uart: Probe) -> None:
    uart.write(CR3, 1 << 7)
    uart.write(STREAM6 + 0x08, DR)
    uart.write(STREAM6 + 0x0C, 0x2000_8000)
    uart.write(STREAM6 + 0x04, 100)
    uart.write(STREAM6, 4 << 25 | 1 << 10 | 1 << 6 | 1)
    uart.pass_us(10.5 * frame_us(139))
    assert uart.read(STREAM6 + 0x04) == 100 - 12, "one in the shift register, one in DR"


def test_disabling_the_stream_stops_after_what_was_fetched(uart: Probe) -> None:
    uart.machine.memory.write(0x2000_8000, bytes(range(100)))
    uart.write(CR3, 1 << 7)
    uart.write(STREAM6 + 0x08, DR)
    uart.write(STREAM6 + 0x0C, 0x2000_8000)
    uart.write(STREAM6 + 0x04, 100)
    uart.write(STREAM6, 4 << 25 | 1 << 10 | 1 << 6 | 1)
    uart.pass_us(9.5 * frame_us(139))
    uart.write(STREAM6, 0)
    uart.pass_us(10_000)
    assert uart.board.uart.take() == bytes(range(11))
    assert uart.read(DMA_HISR) >> 16 & 0x20, "RM0383 9.3.14"


def test_switching_the_transmitter_off_cuts_the_byte(uart: Probe) -> None:
    uart.write(DR, 1)
    uart.write(DR, 2)
    uart.pass_us(frame_us(139) * 1.5)
    uart.write(CR1, 0)
    uart.pass_us(1000)
    assert uart.board.uart.take() == b"\x01"


def test_a_reset_cuts_the_byte_on_the_wire(uart: Probe) -> None:
    for byte in (1, 2):
        uart.write(DR, byte)
    uart.pass_us(frame_us(139) * 1.5)
    uart.board.reset("pin")
    uart.pass_us(1000)
    assert uart.board.uart.take() == b"\x01"
    assert uart.board.uart.sent == 1


def test_a_character_arrives_after_ten_bits_and_is_read_once(uart: Probe) -> None:
    uart.set(CR1, RXNEIE)
    uart.board.uart.send(b"Z")
    assert uart.wait(lambda: uart.line(IRQ)) == pytest.approx(frame_us(139), abs=0.2)
    assert uart.read(SR) & RXNE
    assert uart.read(DR) == ord("Z")
    assert not uart.read(SR) & RXNE
    assert not uart.line(IRQ)


def test_an_unread_character_makes_the_next_one_an_overrun(uart: Probe) -> None:
    uart.board.uart.send(b"ab")
    uart.pass_us(2.5 * frame_us(139))
    assert uart.read(SR) & (ORE | RXNE) == ORE | RXNE
    assert uart.read(DR) == ord("a"), "the old character stays (19.3.3)"
    assert uart.read(SR) & (ORE | RXNE) == 0


def test_the_line_goes_idle_one_character_after_the_last(uart: Probe) -> None:
    uart.set(CR1, IDLEIE)
    uart.board.uart.send(b"abc")
    seen = 0
    for _ in range(3):
        uart.wait(lambda: uart.read(SR) & RXNE)
        uart.read(DR)
        seen += uart.line(IRQ)
    assert seen == 0
    assert uart.wait(lambda: uart.line(IRQ)) == pytest.approx(frame_us(139), abs=0.3)
    assert uart.read(SR) & IDLE
    uart.read(DR)
    assert not uart.line(IRQ)


def test_noise_flips_a_bit_and_sets_the_flag(uart: Probe) -> None:
    uart.board.uart.noise(to_board=1)
    uart.board.uart.send(b"\x00")
    uart.pass_us(100)
    assert uart.read(SR) & NF
    assert bin(uart.read(DR)).count("1") == 1
    assert uart.board.uart.damaged == 1


def test_a_host_at_another_rate_is_garbage_with_framing_errors(uart: Probe) -> None:
    uart.board.uart.host_baud = 9600
    uart.board.uart.send(b"\x00")
    uart.pass_us(1100)
    assert uart.read(SR) & FE
    assert uart.read(DR) != 0
    uart.write(DR, 0x41)
    uart.pass_us(1100)
    assert uart.board.uart.take() != b"\x41"


def test_noise_towards_the_host_damages_exactly_as_many_bytes(uart: Probe) -> None:
    uart.write(BRR, 16)
    uart.board.uart.noise(5)
    received = bytearray()
    for _ in range(4000):
        uart.write(DR, 0)
        uart.pass_us(10.1)
        received += uart.board.uart.take()
    assert len(received) == 4000
    assert sum(bin(byte).count("1") for byte in received) == 5


@pytest.fixture
def ring(uart: Probe) -> Probe:
    """Reception into a ring of four bytes at RING, with the interrupts of half and whole (9.3.8, 19.3.13)."""
    uart.write(CR3, DMAR | EIE)
    uart.write(STREAM5 + 0x08, DR)
    uart.write(STREAM5 + 0x0C, RING)
    uart.write(STREAM5 + 0x04, 4)
    uart.write(STREAM5, 4 << 25 | 1 << 10 | 1 << 8 | 1 << 4 | 1 << 3 | 1)
    return uart


def test_reception_by_circular_dma(ring: Probe) -> None:
    """NDTR is reloaded at the end and can be read at any time (RM0383 9.3.8, 9.5.6)."""
    counts = []
    for byte in b"abcdef":
        ring.board.uart.send(bytes((byte,)))
        ring.pass_us(frame_us(139) + 1)
        counts.append((ring.read(STREAM5 + 0x04), ring.read(DMA_HISR) >> 6 & 0x3D))
        ring.write(DMA_HIFCR, 0x3D << 6)
    half, whole = 0x10, 0x20
    assert counts == [(3, 0), (2, half), (1, 0), (4, whole), (3, 0), (2, half)]
    assert ring.machine.memory.read(RING, 4) == b"efcd"


def test_half_and_whole_of_a_ring_interrupt(ring: Probe) -> None:
    moments = []
    ring.board.uart.send(b"abcdefgh")
    for _ in range(4):
        moments.append(ring.wait(lambda: ring.line(16)))
        ring.write(DMA_HIFCR, 0x3D << 6)
        assert not ring.line(16)
    assert moments == [pytest.approx(2 * frame_us(139), abs=0.2)] * 4


def test_idle_interrupts_behind_data_that_dma_took(ring: Probe) -> None:
    ring.set(CR1, IDLEIE)
    for text in (b"ab", b"c"):
        ring.board.uart.send(text)
        assert ring.wait(lambda: ring.line(IRQ)) == pytest.approx((len(text) + 1) * frame_us(139), abs=0.3)
        assert ring.read(SR) & (IDLE | RXNE) == IDLE
        ring.read(DR)
        assert not ring.line(IRQ)
        ring.pass_us(500)
        assert not ring.read(SR) & IDLE, "not again before RXNE has been set (19.6.1)"


def test_dma_s_own_read_of_dr_ends_what_sr_has_shown(ring: Probe) -> None:
    """The software sequence "SR, then DR" (19.6.1) does not ask who reads DR."""
    ring.board.uart.send(b"a")
    ring.wait(lambda: ring.read(SR) & IDLE)
    ring.board.uart.send(b"b")
    ring.pass_us(1.5 * frame_us(139))
    assert not ring.read(SR) & IDLE


@pytest.mark.parametrize(("enabled", "interrupts"), [(True, True), (False, False)])
def test_errors_of_reception_by_dma_interrupt_by_eie(ring: Probe, enabled: bool, interrupts: bool) -> None:
    """FE, ORE and NF with DMAR: CR3.EIE (19.6.6); the character is transferred all the same (19.3.3)."""
    ring.write(CR3, DMAR | (EIE if enabled else 0))
    ring.board.uart.noise(to_board=1)
    ring.board.uart.send(b"\x00b")
    ring.pass_us(1.5 * frame_us(139))
    assert ring.line(IRQ) == interrupts
    assert ring.read(SR) & (NF | RXNE) == NF
    ring.read(DR)
    assert ring.read(SR) & NF == 0
    assert not ring.line(IRQ)
    ring.pass_us(frame_us(139))
    assert ring.read(STREAM5 + 0x04) == 2


def test_a_ring_without_dmar_overruns(ring: Probe) -> None:
    ring.write(CR3, EIE)
    ring.board.uart.send(b"ab")
    ring.pass_us(3 * frame_us(139))
    assert ring.read(SR) & ORE
    assert ring.read(STREAM5 + 0x04) == 4
    assert not ring.line(IRQ), "EIE is for DMAR (19.6.6)"


def test_a_pin_that_is_not_given_to_the_usart_stays_silent(uart: Probe) -> None:
    uart.clear(GPIOA, 3 << 4)
    uart.write(DR, 1)
    uart.pass_us(200)
    assert uart.board.uart.take() == b""
    uart.clear(GPIOA, 3 << 6)
    uart.board.uart.send(b"x")
    uart.pass_us(200)
    assert not uart.read(SR) & RXNE


def test_without_its_clock_the_usart_reads_0_and_is_noted(probe: Probe) -> None:
    probe.write(BRR, 139)
    assert probe.read(SR) == 0
    assert probe.board.unclocked == {"USART2+0x08 write": 1, "USART2+0x00 read": 1}


def test_a_mode_that_is_not_modelled_is_noted(uart: Probe) -> None:
    uart.write(CR2, 1 << 11)
    assert uart.board.unmodelled == {"USART2+0x10 bits 0x0800": 1}
