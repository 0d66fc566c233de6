"""The SPI controller against RM0383 section 20, with a device that writes everything down; then a real one."""

from __future__ import annotations

import pytest

from virtual_board import VirtualBoard
from virtual_board.net import Net
from virtual_board.testing import IDLE, Probe, compile_program

RCC_AHB1ENR, RCC_APB1ENR, RCC_APB2ENR = 0x4002_3830, 0x4002_3840, 0x4002_3844
GPIOA, GPIOB = 0x4002_0000, 0x4002_0400
CR1, CR2, SR, DR = (0x4001_3000 + offset for offset in (0x00, 0x04, 0x08, 0x0C))
CPHA, CPOL, MSTR, SPE, SSI, SSM = 1, 2, 4, 1 << 6, 1 << 8, 1 << 9
MODE3 = CPHA | CPOL | MSTR | SSI | SSM
DIV16 = 3 << 3
RXNE, TXE, MODF, OVR, BSY = 1, 2, 1 << 5, 1 << 6, 1 << 7
RXDMAEN, TXDMAEN, ERRIE, RXNEIE, TXEIE = 1, 2, 1 << 5, 1 << 6, 1 << 7
RX_STREAM, TX_STREAM = 0x4002_6410, 0x4002_6410 + 3 * 0x18
LISR, LIFCR = 0x4002_6400, 0x4002_6408
BYTE_US = 8.0  # 8 bits at 16 MHz / 16
OUT, IN = 0x2000_8000, 0x2000_9000


class Recorder:
    """Answers each byte with its complement."""

    name = "RECORDER"
    modes = frozenset((0, 3))
    max_sck_hz = 2_000_000

    def __init__(self) -> None:
        self.log: list[str] = []

    def select(self) -> None:
        self.log.append("S")

    def transfer(self, data: bytes) -> bytes | None:
        self.log += [f"{byte:02X}" for byte in data]
        return bytes(byte ^ 0xFF for byte in data)

    def deselect(self) -> None:
        self.log.append("P")


@pytest.fixture
def device() -> Recorder:
    return Recorder()


@pytest.fixture
def spi(probe: Probe, device: Recorder) -> Probe:
    """SPI1 on PA5, PA6 and PA7, 1 MHz, mode 3; chip select PB6, high."""
    probe.set(RCC_AHB1ENR, 3 | 1 << 22)
    probe.set(RCC_APB2ENR, 1 << 12)
    probe.set(GPIOA, 2 << 10 | 2 << 12 | 2 << 14)
    probe.set(GPIOA + 0x20, 5 << 20 | 5 << 24 | 5 << 28)
    chip_select = Net("CS", pull=True)
    probe.machine.gpio["B"].connect(6, chip_select)
    probe.board.spi_bus.attach(device, chip_select)
    probe.write(GPIOB + 0x18, 1 << 6)
    probe.set(GPIOB, 1 << 12)
    probe.write(CR1, MODE3 | DIV16)
    probe.write(CR1, MODE3 | DIV16 | SPE)
    return probe


def select(probe: Probe, *, on: bool = True) -> None:
    probe.write(GPIOB + 0x18, 1 << (22 if on else 6))


def flag(probe: Probe, bits: int) -> float:
    return probe.wait(lambda: probe.read(SR) & bits, 2000)


def dma(probe: Probe, out: bytes, *, same: bool = False, keep: bool = True) -> None:
    """Both directions: RX stream first, as 20.3.9 has it."""
    memory = probe.machine.memory
    memory.write(OUT, out)
    for stream, address, count, control in (
        (RX_STREAM, IN, len(out), 3 << 25 | 1 << 4 | (1 << 10 if keep else 0)),
        (TX_STREAM, OUT, len(out), 3 << 25 | 1 << 6 | (0 if same else 1 << 10)),
    ):
        probe.write(stream + 0x08, DR)
        probe.write(stream + 0x0C, address)
        probe.write(stream + 0x04, count)
        probe.write(stream, control | 1)
    probe.write(CR2, RXDMAEN | TXDMAEN)


def received(probe: Probe, count: int) -> bytes:
    return probe.machine.memory.read(IN, count)


def test_registers_after_reset(probe: Probe) -> None:
    """20.5: SR has TXE, CRCPR 7."""
    probe.set(RCC_APB2ENR, 1 << 12)
    assert [probe.read(CR1 + offset) for offset in range(0, 0x24, 4)] == [0, 0, 2, 0, 7, 0, 0, 0, 2]


def test_a_byte_goes_both_ways(spi: Probe, device: Recorder) -> None:
    select(spi)
    spi.write(DR, 0xA5)
    assert spi.read(SR) & (TXE | BSY | RXNE) == TXE | BSY, "the shift register took it"
    assert flag(spi, RXNE) == pytest.approx(BYTE_US, abs=0.2)
    assert spi.read(SR) & BSY == 0
    assert spi.read(DR) == 0x5A
    assert spi.read(SR) & RXNE == 0
    select(spi, on=False)
    assert device.log == ["S", "A5", "P"]


def test_the_buffer_holds_one_byte_behind_the_one_on_the_wire(spi: Probe) -> None:
    """20.3.5: TXE falls when both are full; no gap between the bytes."""
    select(spi)
    spi.write(DR, 1)
    spi.write(DR, 2)
    assert spi.read(SR) & TXE == 0
    assert flag(spi, TXE) == pytest.approx(BYTE_US, abs=0.2)
    assert spi.read(DR) == 0xFE
    assert flag(spi, RXNE) == pytest.approx(BYTE_US, abs=0.2)


@pytest.mark.parametrize("divider", range(8))
def test_the_baud_rate_divider(spi: Probe, divider: int) -> None:
    """20.5.1, BR: fPCLK / 2 ... 256."""
    spi.write(CR1, MODE3 | divider << 3)
    spi.write(CR1, MODE3 | divider << 3 | SPE)
    assert spi.machine.spis["SPI1"].sck_hz == 16_000_000 >> divider + 1
    spi.write(DR, 0)
    assert flag(spi, RXNE) == pytest.approx(8 * 2 ** (divider + 1) / 16, abs=0.2)


def test_what_is_not_read_is_kept_and_the_next_byte_lost(spi: Probe) -> None:
    """20.3.10, OVR: cleared by reading DR, then SR."""
    spi.write(CR2, ERRIE)
    select(spi)
    spi.write(DR, 1)
    spi.write(DR, 2)
    spi.pass_us(3 * BYTE_US)
    assert spi.read(SR) & (OVR | RXNE) == OVR | RXNE
    assert spi.line(35)
    assert spi.read(DR) == 0xFE
    spi.read(SR)
    assert spi.read(SR) & OVR == 0
    assert not spi.line(35)


def test_interrupts(spi: Probe) -> None:
    """20.3.11."""
    assert not spi.line(35)
    spi.write(CR2, TXEIE)
    assert spi.line(35)
    spi.write(CR2, RXNEIE)
    assert not spi.line(35)
    spi.write(DR, 0)
    spi.wait(lambda: spi.line(35))
    spi.read(DR)
    assert not spi.line(35)


def test_nothing_moves_before_it_is_enabled(spi: Probe, device: Recorder) -> None:
    spi.write(CR1, MODE3 | DIV16)
    select(spi)
    spi.write(DR, 0x42)
    spi.pass_us(100)
    assert device.log == ["S"]
    assert spi.read(SR) & (TXE | BSY) == 0
    spi.write(CR1, MODE3 | DIV16 | SPE)
    spi.pass_us(10)
    assert device.log == ["S", "42"]


def test_a_low_internal_nss_is_a_mode_fault(spi: Probe) -> None:
    """20.3.10, MODF: SPE and MSTR fall; cleared by reading SR, then writing CR1."""
    spi.write(CR1, (MODE3 | DIV16 | SPE) & ~SSI)
    assert spi.read(CR1) & (SPE | MSTR) == 0
    assert spi.read(SR) & MODF
    spi.write(CR1, MODE3 | DIV16)
    assert spi.read(SR) & MODF == 0


def test_dma_moves_a_block_both_ways(spi: Probe, device: Recorder) -> None:
    """20.3.9. DMA2 stream 0 and 3, channel 3 (table 28)."""
    select(spi)
    dma(spi, bytes(range(100)))
    elapsed = spi.wait(lambda: spi.line(56))
    assert elapsed == pytest.approx(100 * BYTE_US, abs=0.5)
    assert received(spi, 100) == bytes(byte ^ 0xFF for byte in range(100))
    assert spi.read(SR) & (BSY | OVR | RXNE) == 0
    select(spi, on=False)
    assert device.log == ["S", *(f"{byte:02X}" for byte in range(100)), "P"]
    assert not spi.board.violations
    assert not spi.board.unmodelled


def test_the_transmitter_runs_two_bytes_ahead(spi: Probe) -> None:
    """One byte is shifted, one waits in DR: the TX stream is done before the wire is."""
    select(spi)
    dma(spi, bytes(10))
    assert spi.wait(lambda: spi.read(LISR) >> 22 & 0x20) == pytest.approx(8 * BYTE_US, abs=0.5)
    assert spi.read(RX_STREAM + 4) == 2
    assert spi.read(SR) & BSY


def test_a_dummy_byte_may_be_sent_over_and_over_and_what_comes_in_thrown_away(spi: Probe, device: Recorder) -> None:
    """DMA without MINC, either side."""
    select(spi)
    dma(spi, b"\x55" + bytes(19), same=True)
    spi.wait(lambda: spi.line(56))
    assert device.log == ["S", *["55"] * 20]
    assert received(spi, 20) == b"\xaa" * 20
    spi.write(LIFCR, 0xFFFF_FFFF)
    dma(spi, bytes(range(20)), keep=False)
    spi.wait(lambda: spi.line(56))
    assert received(spi, 20) == bytes((19 ^ 0xFF,)) + b"\xaa" * 19


def test_a_look_at_the_counter_sees_the_bytes_that_have_passed(spi: Probe, device: Recorder) -> None:
    select(spi)
    dma(spi, bytes(range(50)))
    spi.pass_us(10.5 * BYTE_US)
    assert spi.read(RX_STREAM + 4) == 40
    assert len(device.log) == 11
    assert spi.wait(lambda: spi.line(56)) == pytest.approx(39.5 * BYTE_US, abs=0.5)
    assert received(spi, 50) == bytes(byte ^ 0xFF for byte in range(50))


def test_chip_select_in_mid_block_cuts_at_that_byte(spi: Probe, device: Recorder) -> None:
    select(spi)
    dma(spi, bytes(range(20)))
    spi.pass_us(5.5 * BYTE_US)
    select(spi, on=False)
    spi.wait(lambda: spi.line(56))
    assert device.log == ["S", "00", "01", "02", "03", "04", "P"]
    assert received(spi, 20)[5:] == bytes(15), "nobody drives MISO, no pull-up"


def test_an_undriven_input_reads_its_pull(spi: Probe) -> None:
    spi.set(GPIOA + 0x0C, 1 << 12)
    spi.write(DR, 0)
    flag(spi, RXNE)
    assert spi.read(DR) == 0xFF


@pytest.mark.parametrize(
    ("control", "note"),
    [
        (MODE3 & ~CPHA | DIV16, "SPI1: mode 2, not for RECORDER"),
        (MODE3 | 1 << 3, "SPI1: 4000000 Hz, too fast for RECORDER"),
    ],
)
def test_a_device_does_not_understand_a_wrong_clock(spi: Probe, device: Recorder, control: int, note: str) -> None:
    spi.write(CR1, control)
    spi.write(CR1, control | SPE)
    select(spi)
    spi.write(DR, 1)
    spi.pass_us(100)
    assert device.log == ["S"]
    assert note in spi.board.violations


@pytest.mark.parametrize(
    ("bits", "note"),
    [(1 << 11, "SPI1+0x00 bits 0x0800"), (1 << 13, "SPI1+0x00 bits 0x2000"), (1 << 7, "SPI1+0x00 bits 0x0080")],
)
def test_modes_that_are_left_out_are_noted(spi: Probe, bits: int, note: str) -> None:
    spi.write(CR1, MODE3 | bits)
    assert note in spi.board.unmodelled


def test_misuse_is_noted(spi: Probe) -> None:
    spi.write(DR, 1)
    spi.write(DR, 2)
    spi.write(DR, 3)
    spi.write(CR1, MODE3 | SPE)
    spi.write(CR1, MODE3)
    assert set(spi.board.violations) == {
        "SPI1: DR written while TXE is 0",
        "SPI1: clock changed during a transfer",
        "SPI1: disabled during a transfer",
    }


def test_pins_that_are_not_given_to_it_carry_nothing(spi: Probe, device: Recorder) -> None:
    spi.clear(GPIOA, 3 << 14)
    select(spi)
    spi.write(DR, 1)
    flag(spi, RXNE)
    assert device.log == ["S"]


# ------------------------------------------------------------------- with an LSM6DSO


@pytest.fixture
def lsm6dso(tmp_path_factory: pytest.TempPathFactory) -> Probe:
    """An STM32F405, whose SPI2 has DMA1 streams 3 and 4, channel 0 (RM0090 table 42); the header's supply is on."""
    elf = compile_program(IDLE, tmp_path_factory.mktemp("program"))
    probe = Probe(VirtualBoard(elf, board="netduinoplus2", spi=("lsm6dso",), noise=False))
    probe.set(RCC_AHB1ENR, 3 | 1 << 21)
    probe.set(RCC_APB1ENR, 1 << 14)
    probe.write(GPIOB + 0x18, 1 << 2 | 1 << 10)
    probe.set(GPIOB, 1 << 4 | 1 << 20 | 2 << 26 | 2 << 28 | 2 << 30)
    probe.set(GPIOB + 0x24, 5 << 20 | 5 << 24 | 5 << 28)
    probe.write(0x4000_3800, MODE3)  # 16 MHz / 2
    probe.write(0x4000_3800, MODE3 | SPE)
    probe.pass_us(11_000)
    return probe


def exchange(probe: Probe, data: bytes) -> bytes:
    probe.write(GPIOB + 0x18, 1 << 26)
    probe.machine.memory.write(OUT, data)
    rx, tx = 0x4002_6010 + 3 * 0x18, 0x4002_6010 + 4 * 0x18
    for stream, address, control in ((rx, IN, 1 << 4 | 1 << 10), (tx, OUT, 1 << 6 | 1 << 10)):
        probe.write(stream + 0x08, 0x4000_380C)
        probe.write(stream + 0x0C, address)
        probe.write(stream + 0x04, len(data))
        probe.write(stream, control | 1)
    probe.write(0x4000_3804, RXDMAEN | TXDMAEN)
    probe.wait(lambda: probe.line(14), 20_000)
    probe.write(0x4000_3804, 0)
    probe.write(0x4002_6008, 0xFFFF_FFFF)
    probe.write(0x4002_600C, 0xFFFF_FFFF)
    probe.write(GPIOB + 0x18, 1 << 10)
    return received(probe, len(data))[1:]


def test_the_whole_way_to_an_lsm6dso(lsm6dso: Probe) -> None:
    assert exchange(lsm6dso, b"\x8f\0") == b"\x6c"
    exchange(lsm6dso, b"\x09\xaa\x06")
    exchange(lsm6dso, b"\x07\x28\x00")
    exchange(lsm6dso, b"\x0d\x08")
    exchange(lsm6dso, b"\x10\xa0\xa0")
    device = lsm6dso.board.lsm6dso
    assert device is not None
    lsm6dso.wait(lambda: device.interrupt.level)
    assert lsm6dso.read(0x4002_0010) >> 6 & 1, "PA6"
    status = exchange(lsm6dso, b"\xba\0\0")
    assert status == b"\x28\x80"
    words = exchange(lsm6dso, b"\xf8" + bytes(7 * 40))
    assert not device.interrupt.level
    assert [words[at] >> 3 for at in range(0, 280, 7)] == [1, 2] * 20
    assert 2 <= exchange(lsm6dso, b"\xba\0\0")[0] <= 6, "a slot each 150 us went in during the burst of 281 us"
    assert not lsm6dso.board.violations
    assert not lsm6dso.board.unmodelled


def test_its_supply_is_the_header(lsm6dso: Probe) -> None:
    lsm6dso.write(GPIOB + 0x18, 1 << 18)
    assert exchange(lsm6dso, b"\x8f\0") == b"\x00"
    lsm6dso.write(GPIOB + 0x18, 1 << 2)
    lsm6dso.pass_us(11_000)
    assert exchange(lsm6dso, b"\x8f\0") == b"\x6c"
