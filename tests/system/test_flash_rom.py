"""The flashing client against the model of the ROM, in virtual time."""

from __future__ import annotations

from pathlib import Path

import pytest

from elves import elf_path
from telemetry_bridge.errors import FlashError
from telemetry_bridge.flash.image import Image, load
from telemetry_bridge.flash.rom import Rom
from virtual_board import VirtualBoard

BOARD = "blackpill_f411ce"
CONFIGURATION = slice(0x4000, 0xC000)


class BoardPort:
    """The board's line as a serial port that blocks in virtual time."""

    def __init__(self, board: VirtualBoard) -> None:
        self.board = board
        self.timeout: float | None = 1.0
        self.cut_after: int | None = None
        self._received = bytearray()

    def write(self, data: bytes) -> int:
        if self.cut_after is not None:
            self.cut_after -= len(data)
            if self.cut_after < 0:
                raise OSError("the cable is out")
        self.board.uart.send(bytes(data))
        return len(data)

    def read(self, size: int = 1) -> bytes:
        def enough() -> bool:
            self._received += self.board.uart.take()
            return len(self._received) >= size

        if not enough():
            self.board.run_until(enough, limit_s=self.timeout or 0)
        data = bytes(self._received[:size])
        del self._received[:size]
        return data


def ignore(_phase: str, _done: int, _total: int) -> None:
    """Nobody watches."""


@pytest.fixture
def image() -> Image:
    return load(elf_path(BOARD))


@pytest.fixture
def port() -> BoardPort:
    """A blank chip that holds a configuration, in its ROM."""
    board = VirtualBoard(elf_path(BOARD), board=BOARD, seed=1)
    board.machine.flash[:] = b"\x55" * len(board.flash)
    board.machine.boot0 = True
    board.reset()
    board.run(0.01)
    return BoardPort(board)


def test_the_header_says_what_the_build_is(image: Image) -> None:
    header = image.header
    assert (header.board, header.chip) == (BOARD, "STM32F411")
    assert header.version
    assert header.revision


def test_elf_and_bin_are_the_same_image(image: Image) -> None:
    assert load(elf_path(BOARD).with_suffix(".bin")) == image


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    for name, content in {"text": b"hello", "short": b"\x7fELF", "zeros": bytes(4096)}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FlashError, match="not an image of this firmware"):
            load(tmp_path / name)


def test_an_image_in_the_sectors_of_the_configuration_is_refused(tmp_path: Path, image: Image) -> None:
    data = bytearray(image.data)
    data[0x8000] = 0
    (tmp_path / "firmware.bin").write_bytes(data)
    with pytest.raises(FlashError, match="sectors 1 and 2"):
        load(tmp_path / "firmware.bin")


def test_the_image_is_in_flash_and_the_configuration_is_left_alone(port: BoardPort, image: Image) -> None:
    rom = Rom(port)
    assert rom.chip == "STM32F411"
    phases = []
    rom.program(image, lambda phase, done, _total: phases.append(phase) if not done else None)
    assert phases == ["erasing", "writing", "verifying"]
    flash = port.board.flash
    assert flash[CONFIGURATION] == b"\x55" * 0x8000
    assert flash[: len(image.data)].replace(b"\x55" * 0x8000, b"\xff" * 0x8000) == image.data
    assert rom.read_header() == image.header
    rom.start()
    port.board.run(0.5)
    assert not port.board.rom.active
    assert not port.board.violations


def test_a_byte_that_is_not_as_written_is_found(port: BoardPort, image: Image) -> None:
    rom = Rom(port)

    def wear(phase: str, done: int, _total: int) -> None:
        if (phase, done) == ("verifying", 0):
            port.board.machine.flash[0xC123] ^= 1

    with pytest.raises(FlashError, match="0x0800c123"):
        rom.program(image, wear)


@pytest.mark.parametrize("sent", [30, 700, 3000, 3100, 3271])
def test_cut_off_anywhere_the_old_vectors_are_gone_and_the_next_run_succeeds(
    port: BoardPort, image: Image, sent: int
) -> None:
    port.cut_after = sent
    with pytest.raises((FlashError, OSError)):
        Rom(port).program(image, ignore)
    port.cut_after = None
    assert port.board.flash[:0x4000] in {b"\xff" * 0x4000, b"\x55" * 0x4000}
    Rom(port).program(image, ignore)
    assert port.board.flash[:0x200] == image.data[:0x200]


def test_silence_is_said(port: BoardPort) -> None:
    port.board.machine.boot0 = False
    port.board.reset()
    with pytest.raises(FlashError, match="does not answer"):
        Rom(port)


def test_a_blank_chip_is_silent_until_boot0_is_high(port: BoardPort) -> None:
    port.board.machine.flash[:] = b"\xff" * len(port.board.flash)
    port.board.machine.boot0 = False
    port.board.reset()
    with pytest.raises(FlashError, match="does not answer"):
        Rom(port)
    port.board.machine.boot0 = True
    port.board.reset()
    assert Rom(port).read_header() is None


def test_a_refusal_of_the_bootloader_is_said(port: BoardPort, image: Image) -> None:
    rom = Rom(port)
    port.board.rom.protected = True
    with pytest.raises(FlashError, match="erasing sector 0 failed"):
        rom.program(image, ignore)
