"""Erasing and programming flash: RM0383 3.5 and 3.8 (RM0090 3.6 and 3.9); times of DS10314 and DS8626, table "Flash
memory programming"."""

from __future__ import annotations

import pytest

from virtual_board import VirtualBoard
from virtual_board.elf import ImageError
from virtual_board.peripherals.flash_ctrl import sectors
from virtual_board.testing import IDLE, Probe, Run, compile_program

BASE = 0x4002_3C00
ACR, KEYR, OPTKEYR, SR, CR, OPTCR = (BASE + offset for offset in (0x00, 0x04, 0x08, 0x0C, 0x10, 0x14))
KEYS = (0x4567_0123, 0xCDEF_89AB)
PG, SER, MER, X32, STRT, EOPIE, ERRIE, LOCK = 1, 2, 4, 2 << 8, 1 << 16, 1 << 24, 1 << 25, 1 << 31
EOP, OPERR, WRPERR, PGAERR, PGPERR, PGSERR, BSY = 1, 2, 1 << 4, 1 << 5, 1 << 6, 1 << 7, 1 << 16
SECTOR_1, FLASH_IRQ = 0x4000, 4


def unlock(probe: Probe) -> None:
    for key in KEYS:
        probe.write(KEYR, key)


def store(probe: Probe, offset: int, value: int, size: int = 4) -> None:
    probe.machine.flash_controller.store(offset, size, value)


def program(probe: Probe, offset: int, value: int) -> None:
    """One word, from unlock to the end."""
    unlock(probe)
    probe.write(CR, X32 | PG)
    store(probe, offset, value)
    probe.wait(lambda: not probe.read(SR) & BSY)
    probe.write(CR, LOCK)


def erase_ms(probe: Probe, number: int, width: int = 2) -> float:
    """Erase a sector; how long it took."""
    unlock(probe)
    probe.write(CR, SER | number << 3 | width << 8)
    probe.set(CR, STRT)
    begin = probe.time.now_ps
    while probe.read(SR) & BSY:
        probe.pass_us(1000)
    probe.write(CR, LOCK)
    return (probe.time.now_ps - begin) / 1e9


def word(probe: Probe, offset: int) -> int:
    return int.from_bytes(probe.board.flash[offset : offset + 4], "little")


# ---- the lock, 3.5.1


def test_it_is_locked_until_both_keys_came_and_can_be_locked_again(probe: Probe) -> None:
    assert probe.read(CR) == LOCK
    unlock(probe)
    assert probe.read(CR) == 0
    probe.write(CR, LOCK)
    assert probe.read(CR) == LOCK
    assert not probe.board.violations
    unlock(probe)
    assert probe.read(CR) == 0


@pytest.mark.parametrize("keys", [(1,), (KEYS[1],), (KEYS[0], 1)])
def test_a_wrong_key_locks_it_until_the_next_reset(probe: Probe, keys: tuple[int, ...]) -> None:
    for key in keys:
        probe.write(KEYR, key)
    unlock(probe)
    assert probe.read(CR) == LOCK
    assert probe.board.violations["FLASH_KEYR: wrong key"]
    probe.board.reset()
    probe.pass_us(10)
    unlock(probe)
    assert probe.read(CR) == 0


def test_a_locked_control_register_takes_nothing(probe: Probe) -> None:
    probe.write(CR, PG)
    assert probe.read(CR) == LOCK
    assert probe.board.violations == {"FLASH_CR written while locked": 1}


# ---- sectors, RM0383 table 4, RM0090 table 5


@pytest.mark.parametrize(("kib", "last"), [(512, (0x6_0000, 0x2_0000)), (1024, (0xE_0000, 0x2_0000))])
def test_sectors_are_four_of_16_one_of_64_and_the_rest_of_128_kib(kib: int, last: tuple[int, int]) -> None:
    found = sectors(kib)
    assert found[:6] == [
        (0x0, 0x4000),
        (0x4000, 0x4000),
        (0x8000, 0x4000),
        (0xC000, 0x4000),
        (0x1_0000, 0x1_0000),
        (0x2_0000, 0x2_0000),
    ]
    assert found[-1] == last
    assert sum(size for _, size in found) == kib << 10


# ---- programming, 3.5.4


def test_programming_clears_bits_and_never_sets_one(probe: Probe) -> None:
    program(probe, SECTOR_1, 0xF0F0_F0F0)
    program(probe, SECTOR_1, 0x3333_3333)
    assert word(probe, SECTOR_1) == 0x3030_3030
    assert probe.read(SR) == 0


def test_a_word_takes_16_us_and_100_at_most_and_reads_busy_meanwhile(probe: Probe) -> None:
    unlock(probe)
    probe.write(CR, X32 | PG)
    store(probe, SECTOR_1, 0)
    assert probe.read(SR) == BSY
    assert probe.wait(lambda: not probe.read(SR) & BSY) == pytest.approx(16, abs=0.2)
    probe.machine.flash_controller.slowest = True
    store(probe, SECTOR_1 + 4, 0)
    assert probe.wait(lambda: not probe.read(SR) & BSY) == pytest.approx(100, abs=0.2)


@pytest.mark.parametrize(
    ("control", "offset", "size", "flag"),
    [
        (X32, SECTOR_1, 4, PGSERR),
        (SER | PG | X32, SECTOR_1, 4, PGSERR),
        (PG, SECTOR_1, 4, PGPERR),
        (PG | X32, SECTOR_1, 2, PGPERR),
        (PG | X32, SECTOR_1 + 2, 4, PGPERR),
        (PG | X32, SECTOR_1 + 14, 4, PGAERR),
    ],
)
def test_an_access_that_does_not_fit_sets_its_flag_and_programs_nothing(
    probe: Probe, control: int, offset: int, size: int, flag: int
) -> None:
    unlock(probe)
    probe.write(CR, control)
    store(probe, offset, 0, size)
    assert probe.read(SR) == flag
    probe.pass_us(200)
    assert word(probe, SECTOR_1) == 0xFFFF_FFFF
    probe.write(SR, flag)  # 3.8.4: cleared by writing 1
    assert probe.read(SR) == 0


def test_a_write_protected_sector_takes_neither(probe: Probe) -> None:
    probe.machine.flash_controller.registers[0x14] &= ~(1 << 17)  # OPTCR.nWRP1
    unlock(probe)
    probe.write(CR, PG | X32)
    store(probe, SECTOR_1, 0)
    assert probe.read(SR) == WRPERR
    probe.write(SR, WRPERR)
    probe.write(CR, SER | 1 << 3 | X32)
    probe.set(CR, STRT)
    assert probe.read(SR) == WRPERR
    assert probe.machine.flash_controller.operations == 0


# ---- erasing, 3.5.3


@pytest.mark.parametrize(
    ("number", "width", "typical", "longest"),
    [
        (1, 0, 400, 800),
        (1, 1, 300, 600),
        (1, 2, 250, 500),
        (4, 2, 550, 1100),
        (5, 2, 1000, 2000),
    ],
)
def test_an_erase_takes_its_time_by_sector_and_width(
    probe: Probe, number: int, width: int, typical: int, longest: int
) -> None:
    assert erase_ms(probe, number, width) == pytest.approx(typical, abs=1.1)
    probe.machine.flash_controller.slowest = True
    assert erase_ms(probe, number, width) == pytest.approx(longest, abs=1.1)


def test_an_erase_erases_its_sector_and_no_other(probe: Probe) -> None:
    for offset in (0x4000, 0x7FFC, 0x8000, 0xBFFC):
        program(probe, offset, 0)
    erase_ms(probe, 1)
    assert [word(probe, offset) for offset in (0x4000, 0x7FFC, 0x8000, 0xBFFC)] == [0xFFFF_FFFF] * 2 + [0] * 2
    assert probe.machine.flash_controller.erases[:4] == [0, 1, 0, 0]


def test_the_f405_has_twelve_sectors_the_f411_eight(run: Run) -> None:
    for board, last in (("netduinoplus2", 11), ("nucleo_f411re", 7)):
        probe = run(IDLE, 10, board=board)
        erase_ms(probe, last)
        assert not probe.board.violations
        erase_ms(probe, last + 1)
        assert probe.board.violations == {f"erase of sector {last + 1}, which there is not": 1}


def test_a_mass_erase_takes_all(probe: Probe) -> None:
    program(probe, 0x4_0000, 0)
    unlock(probe)
    probe.write(CR, MER | X32)
    probe.set(CR, STRT)
    probe.pass_us(3.9e6)
    assert probe.read(SR) == BSY
    probe.pass_us(0.2e6)
    assert probe.read(SR) == 0
    assert probe.board.flash == b"\xff" * (512 << 10)


@pytest.mark.parametrize("control", [0, SER | MER])
def test_a_start_without_exactly_one_of_both_does_nothing(probe: Probe, control: int) -> None:
    unlock(probe)
    probe.write(CR, control | X32 | STRT)
    assert not probe.read(SR) & BSY
    assert probe.board.violations == {"FLASH_CR.STRT without exactly one of SER and MER": 1}


def test_the_data_cache_is_reset_after_an_erase_and_only_while_it_is_off(probe: Probe) -> None:
    """3.5.3 and 3.8.1; 3.5.4: programming keeps the cache right by itself."""
    on, reset = 1 << 10, 1 << 12
    probe.write(ACR, on)
    program(probe, SECTOR_1, 0)
    assert not probe.board.violations
    unlock(probe)
    probe.write(CR, SER | 1 << 3 | X32 | STRT)
    probe.pass_us(260_000)
    probe.write(ACR, 0)
    probe.write(ACR, reset)
    probe.write(ACR, on)
    probe.write(CR, LOCK)
    assert not probe.board.violations
    erase_ms(probe, 1)
    assert probe.board.violations == {"data cache not reset after an erase (RM0383 3.5.3)": 1}
    probe.write(ACR, on | reset)
    assert probe.board.violations["data cache reset while it is on (RM0383 3.8.1)"] == 1


# ---- interrupts, 3.5.5 and 3.8.4


def test_the_end_is_flagged_and_interrupts_only_where_that_is_enabled(probe: Probe) -> None:
    unlock(probe)
    probe.write(CR, PG | X32 | EOPIE)
    store(probe, SECTOR_1, 0)
    probe.pass_us(15)
    assert not probe.line(FLASH_IRQ)
    probe.pass_us(2)
    assert probe.read(SR) == EOP
    assert probe.line(FLASH_IRQ)
    probe.write(SR, EOP)
    assert not probe.line(FLASH_IRQ)


def test_an_error_interrupts_where_that_is_enabled(probe: Probe) -> None:
    unlock(probe)
    probe.write(CR, PG | ERRIE)
    store(probe, SECTOR_1, 0)
    assert probe.read(SR) == PGPERR | OPERR
    assert probe.line(FLASH_IRQ)


# ---- the core meanwhile, 3.5

ERASE_AND_COUNT = """
void exception_15(void) { OUT[0]++; }
int main(void) {
    REG(0xE000EDFCu) |= 1u << 24; REG(0xE0001000u) |= 1;
    REG(0xE000E014u) = 159999; REG(0xE000E018u) = 0; OUT[0] = 0; REG(0xE000E010u) = 7;
    REG(0x40023C04u) = 0x45670123u; REG(0x40023C04u) = 0xCDEF89ABu;
    u32 before = REG(0xE0001004u);
    REG(0x40023C10u) = 0x20Au; REG(0x40023C10u) = 0x1020Au;
    OUT[1] = REG(0x40023C0Cu);
    OUT[2] = REG(0xE0001004u) - before;
    BARRIER(); OUT[3] = OUT[0];
    before = REG(0xE0001004u);
    REG(0x40023C10u) = 0x201u; REG(0x08004000u) = 0x12345678u;
    OUT[4] = REG(0x08004000u);
    OUT[5] = REG(0xE0001004u) - before;
    return 0; }
"""


def test_the_core_stands_still_its_clock_runs_and_missed_ticks_come_as_one(run: Run) -> None:
    """DWT CYCCNT counts the stall; the system timer pends once, however often it wrapped (PM0214 4.3)."""
    probe = run(ERASE_AND_COUNT, 260_000)
    assert probe.out(1) == 0  # by the time it can look, the erase is over
    assert probe.out(2) == pytest.approx(16_000 * 250, abs=60)
    assert probe.out(3) == 1  # of 25
    assert probe.out(4) == 0x1234_5678
    assert probe.out(5) == pytest.approx(16 * 16, abs=40)
    stalled_us = probe.board.counters.stalled_ps / 1e6
    assert stalled_us == pytest.approx(250_000 + 16, abs=2)


def test_code_in_ram_goes_on_and_sees_it_busy(run: Run) -> None:
    probe = run(
        """
        void erase(void) {
            REG(0x40023C10u) = 0x1020Au; OUT[0] = REG(0x40023C0Cu);
            OUT[1] = 0; while (REG(0x40023C0Cu) & 1u << 16) OUT[1]++;
        }
        int main(void) {
            REG(0x40023C04u) = 0x45670123u; REG(0x40023C04u) = 0xCDEF89ABu; REG(0x40023C10u) = 0x20Au;
            for (u32 i = 0; i < 128; i += 4) REG(0x20008000u + i) = REG(((u32)erase & ~1u) + i);
            ((void (*)(void))0x20008001u)(); return 0; }
        """,
        260_000,
    )
    assert probe.out(0) & BSY
    assert probe.out(1) > 100_000


# ---- power cuts and resets in the middle


def test_a_reset_in_the_middle_of_a_word_leaves_some_of_its_bits(probe: Probe) -> None:
    unlock(probe)
    probe.write(CR, PG | X32)
    seen = set()
    for offset in range(SECTOR_1, SECTOR_1 + 64, 4):
        unlock(probe)
        probe.write(CR, PG | X32)
        store(probe, offset, 0x0000_FFFF)
        probe.pass_us(8)
        probe.board.reset()
        probe.pass_us(10)
        seen.add(word(probe, offset))
        assert word(probe, offset) & 0xFFFF == 0xFFFF  # 1 is not programmed
    assert len(seen) > 10


def test_the_power_fails_in_the_middle_of_the_wanted_operation_and_flash_outlives_it(probe: Probe) -> None:
    for offset in range(0x4000, 0x8000, 4):
        probe.machine.flash[offset : offset + 4] = b"\x00\x01\x02\x03"
    resets = probe.board.counters.resets
    probe.board.cut_power_at_flash_operation(2)
    program(probe, 0x8000, 0)
    assert probe.board.counters.resets == resets
    unlock(probe)
    probe.write(CR, SER | 1 << 3 | X32 | STRT)
    probe.pass_us(130_000)
    assert probe.board.counters.resets == resets + 1
    assert probe.read(CR) == LOCK
    assert word(probe, 0x8000) == 0
    half = probe.board.flash[0x4000:0x8000]
    words = {half[i : i + 4] for i in range(0, len(half), 4)}
    assert len(words) > 3  # neither as it was nor erased


def test_flash_outlives_resets_and_can_be_handed_to_another_board(probe: Probe, programs: object) -> None:
    program(probe, SECTOR_1, 0x1234_5678)
    for cause in ("pin", "power"):
        probe.board.reset(cause)
        probe.pass_us(10)
        assert word(probe, SECTOR_1) == 0x1234_5678
    elf = compile_program(IDLE, programs)  # type: ignore[arg-type]
    other = VirtualBoard(elf, flash=probe.board.flash)
    assert other.flash == probe.board.flash
    with pytest.raises(ImageError, match="bytes are not the flash of netduinoplus2"):
        VirtualBoard(elf, board="netduinoplus2", flash=probe.board.flash)
