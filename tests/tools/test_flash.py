"""`make flash`, as far as it goes without a probe."""

from __future__ import annotations

import importlib

import pytest
from pyocd.core.memory_map import MemoryMap, MemoryType
from pyocd.target.builtin import BUILTIN_TARGETS

import flash
from elves import BOARDS, elf_path
from virtual_board.boards import BOARDS as SPECS
from virtual_board.elf import load_segments
from virtual_board.peripherals.flash_ctrl import sectors

BASE = 0x0800_0000


def memory_map(board: str) -> MemoryMap:
    target: MemoryMap = BUILTIN_TARGETS[flash.TARGETS[board]].MEMORY_MAP
    return target


def test_every_board_has_a_target() -> None:
    assert set(flash.TARGETS) == set(BOARDS)


@pytest.mark.parametrize("board", BOARDS)
def test_the_target_has_the_sectors_of_the_chip(board: str) -> None:
    found = []
    for region in memory_map(board).iter_matching_regions(type=MemoryType.FLASH):
        found += [(start - BASE, region.blocksize) for start in range(region.start, region.end + 1, region.blocksize)]
    assert found == sectors(SPECS[board].part.flash_kib)


@pytest.mark.parametrize("board", BOARDS)
def test_no_sector_of_the_configuration_is_erased(board: str) -> None:
    erased = set()
    for start, data in load_segments(elf_path(board)):
        for address in range(start, start + len(data)):
            region = memory_map(board).get_region_for_address(address)
            erased.add(address - (address - region.start) % region.blocksize)
    assert BASE in erased
    assert not erased & {0x0800_4000, 0x0800_8000}
    assert "sector" in flash.command(board, None)
    assert "chip" not in flash.command(board, None)


def test_without_a_probe_one_line_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(flash, "probes", list)
    assert flash.main(["nucleo_f411re"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("no debug probe: ")
    assert said.count("\n") == 1


def test_several_probes_are_listed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(flash, "probes", lambda: ["0667FF  STM32 STLink", "E660  Picoprobe"])
    assert flash.main(["nucleo_f411re"]) == 1
    assert "0667FF" in capsys.readouterr().err
    assert flash.command("nucleo_f411re", "0667")[-3:-1] == ["--probe", "0667"]


def test_a_board_that_there_is_not_is_said_with_those_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert flash.main([]) == 2
    assert "blackpill_f411ce" in capsys.readouterr().err


def test_pyocd_takes_the_options() -> None:
    module = importlib.import_module("pyocd.__main__")
    parser = module.PyOCDTool().build_parser()
    options = parser.parse_args(flash.command("nucleo_f411re", "0667")[3:])
    assert options.target_override == "stm32f412xe"
