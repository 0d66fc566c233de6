"""Where an image lies in flash: flashing it leaves the sectors of the configuration alone."""

from __future__ import annotations

import pytest

from elves import BOARDS, elf_path
from virtual_board.elf import load_segments, symbols

FLASH = 0x0800_0000
SLOTS = range(0x0800_4000, 0x0800_C000)  # sectors 1 and 2: RM0383 table 4, RM0090 table 5


@pytest.mark.parametrize("board", BOARDS)
def test_an_image_has_vectors_and_code_and_nothing_in_the_slots(board: str) -> None:
    elf = elf_path(board)
    flash = sorted(segment for segment in load_segments(elf) if segment[0] >= FLASH)
    assert flash[0][0] == FLASH
    assert SLOTS.stop in [start for start, _ in flash]
    assert not [start for start, data in flash if start < SLOTS.stop and start + len(data) > SLOTS.start]
    assert symbols(elf)["nvstore_start"] == SLOTS.start


@pytest.mark.parametrize("board", BOARDS)
def test_the_plain_image_holds_the_same_bytes_and_erased_flash_between_them(board: str) -> None:
    elf = elf_path(board)
    image = elf.with_suffix(".bin").read_bytes()
    rest = bytearray(b"\xff" * len(image))
    for start, data in load_segments(elf):
        rest[start - FLASH : start - FLASH + len(data)] = data
    assert image == rest
