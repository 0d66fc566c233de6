"""The I2C controller against the sequences of RM0383 18.3.3, with a target that writes everything down."""

from __future__ import annotations

import pytest

from virtual_board.sensors.i2c_bus import I2cTarget
from virtual_board.testing import Probe

RCC_AHB1ENR, RCC_APB1ENR = 0x4002_3830, 0x4002_3840
GPIOB = 0x4002_0400
CR1, CR2, DR, SR1, SR2, CCR = (0x4000_5400 + offset for offset in (0x00, 0x04, 0x10, 0x14, 0x18, 0x1C))
PE, START, STOP, ACK, POS, SWRST = 1, 1 << 8, 1 << 9, 1 << 10, 1 << 11, 1 << 15
SB, ADDR, BTF, RXNE, TXE, ARLO, AF = 1, 2, 4, 1 << 6, 1 << 7, 1 << 9, 1 << 10
ITERREN, ITEVTEN, ITBUFEN, DMAEN, LAST = 1 << 8, 1 << 9, 1 << 10, 1 << 11, 1 << 12
BUSY = 2
STREAM0 = 0x4002_6000 + 0x10
SCL_US = 2.5


class Recorder(I2cTarget):
    """Acknowledges `accept` bytes and reads out 1, 2, 3, ..."""

    def __init__(self, address: int = 0x42, accept: int = 99) -> None:
        self.address = address
        self.accept = accept
        self.log: list[str] = []
        self.next = 1

    def start(self, *, read: bool) -> bool:
        self.log.append("R" if read else "W")
        return True

    def write(self, byte: int) -> bool:
        self.log.append(f"{byte:02X}")
        self.accept -= 1
        return self.accept >= 0

    def read(self) -> int:
        self.next += 1
        self.log.append(f"<{self.next - 1}")
        return self.next - 1

    def stop(self) -> None:
        self.log.append("P")


@pytest.fixture
def target() -> Recorder:
    return Recorder()


@pytest.fixture
def i2c(probe: Probe, target: Recorder) -> Probe:
    """I2C1 on PB8 and PB9, SCL at 400 kHz; Sm mode, because 16 MHz / 3 does not make that rate in Fm."""
    probe.set(RCC_AHB1ENR, 1 << 1 | 1 << 21)
    probe.set(RCC_APB1ENR, 1 << 21)
    probe.set(GPIOB, 2 << 16 | 2 << 18)
    probe.set(GPIOB + 0x04, 3 << 8)
    probe.set(GPIOB + 0x24, 4 << 0 | 4 << 4)
    probe.write(CR2, 16)
    probe.write(CCR, 20)  # 2 * 20 / 16 MHz = 2.5 us, 400 kHz
    probe.write(CR1, PE)
    probe.board.i2c_bus.attach(target)
    return probe


def flag(probe: Probe, bits: int) -> float:
    return probe.wait(lambda: probe.read(SR1) & bits, 2000)


def address(probe: Probe, byte: int) -> None:
    flag(probe, SB)
    probe.write(DR, byte)
    flag(probe, ADDR | AF)


def begin(probe: Probe, byte: int, control: int = PE | ACK) -> None:
    probe.write(CR1, control | START)
    address(probe, byte)


def test_master_transmitter(i2c: Probe, target: Recorder) -> None:
    begin(i2c, 0x84)
    assert i2c.read(SR1) & TXE == 0
    assert i2c.read(SR2) == 7, "MSL, BUSY, TRA; and ADDR is clear"
    assert i2c.read(SR1) & (ADDR | TXE) == TXE, "EV8_1"
    i2c.write(DR, 0x11)
    assert i2c.read(SR1) & TXE, "EV8: shift register taken, DR empty"
    i2c.write(DR, 0x22)
    assert not i2c.read(SR1) & TXE
    assert flag(i2c, TXE) == pytest.approx(9 * SCL_US, abs=0.3)
    assert flag(i2c, BTF) == pytest.approx(9 * SCL_US, abs=0.3), "EV8_2"
    i2c.write(CR1, PE | STOP)
    i2c.wait(lambda: not i2c.read(SR2) & BUSY)
    assert i2c.read(CR1) & STOP == 0
    assert target.log == ["W", "11", "22", "P"]


def test_the_timing_of_start_and_address(i2c: Probe) -> None:
    i2c.write(CR1, PE | START)
    assert flag(i2c, SB) == pytest.approx(SCL_US, abs=0.2)
    assert i2c.read(CR1) & START == 0
    i2c.write(DR, 0x84)
    assert flag(i2c, ADDR) == pytest.approx(9 * SCL_US, abs=0.2)


@pytest.mark.parametrize(("ccr", "period_ns"), [(80, 10_000), (1 << 15 | 14, 2625), (1 << 15 | 1 << 14 | 2, 3125)])
def test_scl_follows_ccr(i2c: Probe, ccr: int, period_ns: int) -> None:
    """18.6.8: 2 CCR in Sm mode, 3 CCR in Fm, 25 CCR with DUTY."""
    i2c.write(CR1, 0)
    i2c.write(CCR, ccr)
    assert i2c.machine.i2cs["I2C1"].scl_ps == period_ns * 1000


def test_nobody_answers(i2c: Probe) -> None:
    i2c.write(CR2, 16 | ITERREN)
    begin(i2c, 0x20)
    assert i2c.read(SR1) & (AF | ADDR) == AF
    assert i2c.line(32)
    i2c.write(SR1, 0xFFFF & ~AF)
    assert not i2c.line(32)
    i2c.write(CR1, PE | STOP)
    i2c.wait(lambda: not i2c.read(SR2) & BUSY)


def test_a_data_byte_is_refused(i2c: Probe, target: Recorder) -> None:
    target.accept = 1
    begin(i2c, 0x84)
    i2c.read(SR2)
    i2c.write(DR, 0x11)
    i2c.write(DR, 0x22)
    flag(i2c, AF)
    assert target.log == ["W", "11", "22"]
    i2c.write(CR1, PE | STOP)
    i2c.wait(lambda: not i2c.read(SR2) & BUSY)


def test_reading_one_byte(i2c: Probe, target: Recorder) -> None:
    """Figure 166, case of one byte: ACK off before ADDR is cleared, STOP right after."""
    begin(i2c, 0x85)
    i2c.write(CR1, PE)
    i2c.read(SR2)
    i2c.write(CR1, PE | STOP)
    assert flag(i2c, RXNE) == pytest.approx(9 * SCL_US, abs=0.3)
    assert i2c.read(DR) == 1
    i2c.wait(lambda: not i2c.read(SR2) & BUSY)
    assert target.log == ["R", "<1", "P"]


def test_reading_two_bytes_with_pos(i2c: Probe, target: Recorder) -> None:
    begin(i2c, 0x85, PE | ACK | POS)
    i2c.read(SR2)
    i2c.write(CR1, PE | POS)
    flag(i2c, BTF)
    i2c.write(CR1, PE | POS | STOP)
    assert (i2c.read(DR), i2c.read(DR)) == (1, 2)
    i2c.wait(lambda: not i2c.read(SR2) & BUSY)
    assert target.log == ["R", "<1", "<2", "P"]


def test_reading_five_bytes_by_polling(i2c: Probe, target: Recorder) -> None:
    """Figure 166: with three left wait for BTF, ACK off, read; STOP, read; wait for RXNE, read."""
    begin(i2c, 0x85)
    i2c.read(SR2)
    data = []
    for _ in range(2):
        flag(i2c, RXNE)
        data.append(i2c.read(DR))
    flag(i2c, BTF)
    i2c.write(CR1, PE)
    data.append(i2c.read(DR))
    i2c.write(CR1, PE | STOP)
    data.append(i2c.read(DR))
    flag(i2c, RXNE)
    data.append(i2c.read(DR))
    assert data == [1, 2, 3, 4, 5]
    i2c.wait(lambda: not i2c.read(SR2) & BUSY)
    assert target.log == ["R", "<1", "<2", "<3", "<4", "<5", "P"]


def test_the_clock_is_stretched_while_nobody_reads(i2c: Probe, target: Recorder) -> None:
    begin(i2c, 0x85)
    i2c.read(SR2)
    i2c.pass_us(1000)
    assert i2c.read(SR1) & (RXNE | BTF) == RXNE | BTF
    assert target.log == ["R", "<1", "<2"], "one in DR, one in the shift register, no more"


def test_a_repeated_start_turns_the_direction(i2c: Probe, target: Recorder) -> None:
    begin(i2c, 0x84)
    i2c.read(SR2)
    i2c.write(DR, 0x3B)
    flag(i2c, BTF)
    i2c.write(CR1, PE | ACK | START)
    address(i2c, 0x85)
    i2c.write(CR1, PE)
    i2c.read(SR2)
    i2c.write(CR1, PE | STOP)
    flag(i2c, RXNE)
    assert i2c.read(DR) == 1
    i2c.wait(lambda: not i2c.read(SR2) & BUSY)
    assert target.log == ["W", "3B", "R", "<1", "P"]


def test_btf_is_cleared_by_sr1_then_a_read_of_dr_also_in_transmission(i2c: Probe) -> None:
    """18.6.6, BTF: "by either a read or write in the DR register"."""
    begin(i2c, 0x84)
    i2c.read(SR2)
    i2c.write(DR, 1)
    flag(i2c, BTF)
    i2c.read(DR)
    assert not i2c.read(SR1) & BTF


def test_events_interrupt(i2c: Probe) -> None:
    i2c.write(CR2, 16 | ITEVTEN)
    i2c.write(CR1, PE | START)
    i2c.wait(lambda: i2c.line(31))
    i2c.read(SR1)
    i2c.write(DR, 0x84)
    assert not i2c.line(31)
    i2c.wait(lambda: i2c.line(31))
    i2c.read(SR1)
    i2c.read(SR2)
    assert not i2c.line(31), "TXE needs ITBUFEN"
    i2c.write(CR2, 16 | ITEVTEN | ITBUFEN)
    assert i2c.line(31)


def read_by_dma(i2c: Probe, count: int, last: int = LAST) -> None:
    i2c.write(STREAM0 + 0x08, DR)
    i2c.write(STREAM0 + 0x0C, 0x2000_8000)
    i2c.write(STREAM0 + 0x04, count)
    i2c.write(STREAM0, 1 << 25 | 1 << 10 | 1 << 4 | 1)
    begin(i2c, 0x85)
    i2c.write(CR2, 16 | DMAEN | last)
    i2c.read(SR2)


@pytest.mark.parametrize("count", [2, 3, 14])
def test_dma_reads_and_last_refuses_the_last_byte(i2c: Probe, target: Recorder, count: int) -> None:
    read_by_dma(i2c, count)
    assert i2c.wait(lambda: i2c.line(11), 5000) == pytest.approx(count * 9 * SCL_US, abs=0.3)
    assert i2c.machine.memory.read(0x2000_8000, count) == bytes(range(1, count + 1))
    i2c.pass_us(500)
    assert len(target.log) == count + 2, "no further byte: refused, then the target is done"
    i2c.write(CR1, PE | STOP)
    i2c.wait(lambda: not i2c.read(SR2) & BUSY)


def test_dma_without_last_goes_on_reading(i2c: Probe, target: Recorder) -> None:
    read_by_dma(i2c, 4, last=0)
    i2c.pass_us(1000)
    assert target.log == ["R", "<1", "<2", "<3", "<4", "<5", "<6"], "two more, for DR and the shift register"


def test_a_look_into_a_running_dma_transfer_sees_what_has_come(i2c: Probe) -> None:
    read_by_dma(i2c, 10)
    i2c.pass_us(3.5 * 9 * SCL_US)
    assert i2c.read(STREAM0 + 0x04) == 7
    assert i2c.machine.memory.read(0x2000_8000, 3) == b"\x01\x02\x03"
    assert i2c.wait(lambda: i2c.line(11), 5000) == pytest.approx(6.5 * 9 * SCL_US, abs=0.3), "the look has no effect"


def test_dma_transmission(i2c: Probe, target: Recorder) -> None:
    stream6 = 0x4002_6000 + 0x10 + 0x18 * 6
    i2c.machine.memory.write(0x2000_8000, b"\xaa\xbb\xcc")
    i2c.write(stream6 + 0x08, DR)
    i2c.write(stream6 + 0x0C, 0x2000_8000)
    i2c.write(stream6 + 0x04, 3)
    i2c.write(stream6, 1 << 25 | 1 << 10 | 1 << 6 | 1)
    begin(i2c, 0x84)
    i2c.write(CR2, 16 | DMAEN)
    i2c.read(SR2)
    flag(i2c, BTF)
    assert target.log == ["W", "AA", "BB", "CC"]


def test_a_stuck_sda_keeps_the_bus_busy_and_the_start_waits(i2c: Probe) -> None:
    i2c.board.i2c_bus.stick_sda(9)
    i2c.write(CR1, PE | START)
    i2c.pass_us(1000)
    assert i2c.read(SR2) & BUSY
    assert not i2c.read(SR1) & SB
    i2c.board.i2c_bus.stick_sda(0)
    assert flag(i2c, SB) < 10


def test_nine_clocks_by_hand_free_the_bus(i2c: Probe) -> None:
    """UM10204 3.1.16, with the pins as open-drain outputs."""
    i2c.board.i2c_bus.stick_sda(9)
    i2c.write(CR1, 0)
    i2c.write(GPIOB + 0x18, 3 << 8)
    i2c.write(GPIOB, i2c.read(GPIOB) & ~(15 << 16) | 1 << 16 | 1 << 18)
    clocks = 0
    while not i2c.read(GPIOB + 0x10) >> 9 & 1:
        i2c.write(GPIOB + 0x18, 1 << 24)
        assert not i2c.read(GPIOB + 0x10) >> 8 & 1
        i2c.write(GPIOB + 0x18, 1 << 8)
        clocks += 1
        assert clocks < 20
    assert clocks == 9


def test_sda_held_low_while_sending_is_a_lost_arbitration(i2c: Probe) -> None:
    begin(i2c, 0x84)
    i2c.read(SR2)
    i2c.board.i2c_bus.stick_sda(99)
    i2c.write(DR, 0xFF)
    flag(i2c, ARLO)
    assert not i2c.read(SR2) & 1, "no longer master"


@pytest.mark.parametrize("sent", [0, 1, 2])
def test_another_controller_may_win_the_bus_once(i2c: Probe, target: Recorder, sent: int) -> None:
    """RM0383 18.6.6, ARLO: set by hardware when arbitration is lost, the interface goes back to slave mode."""
    i2c.machine.i2cs["I2C1"].contended_after = sent
    i2c.write(CR1, PE | ACK | START)
    flag(i2c, SB)
    i2c.write(DR, 0x84)
    for byte in range(sent):
        flag(i2c, ADDR if byte == 0 else BTF)
        i2c.read(SR2)
        i2c.write(DR, byte)
    flag(i2c, ARLO)
    assert not i2c.read(SR1) & (AF | BTF | ADDR)
    assert not i2c.read(SR2) & 1, "no longer master"
    assert target.log == [[], ["W", "P"], ["W", "00", "P"]][sent]
    i2c.write(SR1, 0xFFFF & ~ARLO)
    begin(i2c, 0x84)
    assert i2c.read(SR1) & ADDR, "the next one is answered"


def test_swrst_lets_go_of_everything(i2c: Probe) -> None:
    begin(i2c, 0x84)
    i2c.write(CR1, SWRST)
    i2c.write(CR1, 0)
    assert i2c.read(SR1) == 0
    assert i2c.read(SR2) == 0


def test_a_wrong_freq_is_noted(i2c: Probe) -> None:
    i2c.write(CR2, 8)
    assert "I2C1: CR2.FREQ is 8, PCLK1 is 16000000 Hz" in i2c.board.violations


def test_pins_that_are_not_given_to_i2c_reach_nobody(i2c: Probe, target: Recorder) -> None:
    i2c.clear(GPIOB, 3 << 16)
    begin(i2c, 0x84)
    assert i2c.read(SR1) & AF
    assert target.log == []


def test_slave_features_are_noted_as_unmodelled(i2c: Probe) -> None:
    i2c.write(CR1, PE | 1 << 6)
    assert "I2C1+0x00 bits 0x0040" in i2c.board.unmodelled
