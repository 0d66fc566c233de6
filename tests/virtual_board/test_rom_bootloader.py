"""The ROM's bootloader at its pins: AN3155 Rev 14, section by section, and AN2606 for how the chip gets there."""

from __future__ import annotations

import struct
from functools import reduce
from operator import xor

import pytest

from elves import elf_path
from telemetry_protocol import Decoder, Frame, encode_frame, messages
from virtual_board import VirtualBoard
from virtual_board.rom_bootloader import RAM_USED

ACK, NACK = b"\x79", b"\x1f"
FLASH, SRAM = 0x0800_0000, 0x2000_0000
BLACKPILL = "blackpill_f411ce"


def new_board(name: str = BLACKPILL) -> VirtualBoard:
    return VirtualBoard(elf_path(name), board=name, seed=1)


@pytest.fixture
def board() -> VirtualBoard:
    """A board that was reset with BOOT0 high."""
    board = new_board()
    board.machine.boot0 = True
    board.reset()
    board.run(0.01)
    return board


@pytest.fixture
def synchronised(board: VirtualBoard) -> VirtualBoard:
    assert exchange(board, b"\x7f") == ACK
    return board


def exchange(board: VirtualBoard, data: bytes, seconds: float = 0.03) -> bytes:
    board.uart.send(data)
    board.run(len(data) * 11 / 115_200 + seconds)
    return board.uart.take()


def command(board: VirtualBoard, code: int, seconds: float = 0.03) -> bytes:
    return exchange(board, bytes((code, code ^ 0xFF)), seconds)


def checked(data: bytes) -> bytes:
    return data + bytes((reduce(xor, data),))


def address(value: int) -> bytes:
    return checked(struct.pack(">I", value))


def read(board: VirtualBoard, where: int, count: int) -> bytes:
    assert command(board, 0x11) == ACK
    assert exchange(board, address(where)) == ACK
    answer = exchange(board, bytes((count - 1, count - 1 ^ 0xFF)))
    assert answer[:1] == ACK
    return answer[1:]


def write(board: VirtualBoard, where: int, data: bytes) -> bytes:
    assert command(board, 0x31) == ACK
    first = exchange(board, address(where))
    return first if first != ACK else exchange(board, checked(bytes((len(data) - 1,)) + data))


def erase(board: VirtualBoard, payload: bytes, seconds: float = 1) -> bytes:
    assert command(board, 0x44) == ACK
    return exchange(board, checked(payload), seconds)


# ------------------------------------------------------------------ how it starts


def test_boot0_high_at_a_reset_starts_it_and_low_the_firmware(board: VirtualBoard) -> None:  # RM0383 2.4
    assert board.rom.active
    board.machine.boot0 = False
    board.run(0.01)
    assert board.rom.active
    board.reset()
    board.run(0.01)
    assert not board.rom.active


def test_it_waits_for_7f_and_answers_what_comes_before_with_nothing(board: VirtualBoard) -> None:  # AN3155 1
    assert exchange(board, b"\x00\xff") == b""
    assert exchange(board, b"\x7f") == ACK


@pytest.mark.parametrize(("baud", "answer"), [(1200, ACK), (57_600, ACK), (115_200, ACK), (600, b""), (921_600, b"")])
def test_it_measures_the_rate_of_the_first_byte(board: VirtualBoard, baud: int, answer: bytes) -> None:  # AN3155 2
    board.uart.host_baud = baud
    assert exchange(board, b"\x7f") == answer


def test_another_rate_afterwards_is_garbage(synchronised: VirtualBoard) -> None:
    synchronised.uart.host_baud = 9600
    assert command(synchronised, 0x00) not in {ACK, b"\x79\x0b\x31"}


@pytest.mark.parametrize("name", ["nucleo_f411re", "netduinoplus2"])
def test_it_is_deaf_on_a_board_whose_uart_it_does_not_serve(name: str) -> None:  # AN2606, STM32F411xx and STM32F40xxx
    board = new_board(name)
    board.machine.boot0 = True
    board.reset()
    board.run(0.01)
    assert board.rom.active
    assert exchange(board, b"\x7f") == b""


# ------------------------------------------------------------------------ commands


def test_get_lists_version_and_commands(synchronised: VirtualBoard) -> None:  # AN3155 3.1
    answer = command(synchronised, 0x00)
    assert answer == ACK + bytes.fromhex("0b 31 00 01 02 11 21 31 44 63 73 82 92") + ACK


def test_get_version_has_two_option_bytes(synchronised: VirtualBoard) -> None:  # AN3155 3.2
    assert command(synchronised, 0x01) == ACK + b"\x31\x00\x00" + ACK


def test_get_id_is_the_product_id(synchronised: VirtualBoard) -> None:  # AN3155 3.3; RM0383 23.6.1: 0x431
    assert command(synchronised, 0x02) == ACK + b"\x01\x04\x31" + ACK


@pytest.mark.parametrize("code", [0x43, 0x99, 0xFF])
def test_a_command_it_does_not_have_is_nacked(synchronised: VirtualBoard, code: int) -> None:  # AN3155 3, table 2
    assert command(synchronised, code) == NACK


def test_a_command_without_its_complement_is_nacked(synchronised: VirtualBoard) -> None:  # AN3155 3
    assert exchange(synchronised, b"\x00\xfe") == NACK
    assert command(synchronised, 0x01)[:1] == ACK


def test_read_memory(synchronised: VirtualBoard) -> None:  # AN3155 3.4
    board = synchronised
    assert read(board, FLASH, 256) == board.flash[:256]
    assert len(read(board, 0x1FFF_7A10, 12)) == 12  # system memory too
    assert command(board, 0x11) == ACK
    assert exchange(board, address(FLASH)[:4] + b"\x00") == NACK  # checksum
    assert command(board, 0x11) == ACK
    assert exchange(board, address(0x4002_0000)) == NACK  # no memory
    assert command(board, 0x11) == ACK
    assert exchange(board, address(FLASH)) == ACK
    assert exchange(board, b"\x10\x10") == NACK  # not the complement


def test_write_memory_to_ram_and_erased_flash(synchronised: VirtualBoard) -> None:  # AN3155 3.6
    board = synchronised
    data = bytes(range(256))
    assert write(board, SRAM + RAM_USED, data) == ACK
    assert read(board, SRAM + RAM_USED, 256) == data
    assert write(board, FLASH + 0x4_0000, data) == ACK
    assert board.flash[0x4_0000:0x4_0100] == data


def test_flash_that_is_not_erased_keeps_its_zeros(synchronised: VirtualBoard) -> None:  # RM0383 3.5
    board = synchronised
    assert write(board, FLASH + 0x4_0000, b"\xf0\xf0\xf0\xf0") == ACK
    assert write(board, FLASH + 0x4_0000, b"\x0f\x0f\x0f\xff") == ACK
    assert read(board, FLASH + 0x4_0000, 4) == b"\x00\x00\x00\xf0"


def test_write_memory_refuses(synchronised: VirtualBoard) -> None:  # AN3155 3.6; AN2606: RAM that the ROM uses
    board = synchronised
    assert write(board, SRAM, b"1234") == NACK
    assert write(board, 0x1FFF_0000, b"1234") == NACK
    assert write(board, FLASH + 0x4_0002, b"1234") == NACK
    assert write(board, FLASH + 0x4_0000, b"123") == NACK
    assert command(board, 0x31) == ACK
    assert exchange(board, address(FLASH + 0x4_0000)) == ACK
    assert exchange(board, b"\x03" + b"1234" + b"\x00") == NACK  # checksum
    assert board.flash[0x4_0000:0x4_0004] == b"\xff" * 4


def test_erase_takes_its_time_and_only_the_sectors_named(synchronised: VirtualBoard) -> None:  # AN3155 3.8, DS10314
    board = synchronised
    board.machine.flash[:] = bytes(len(board.flash))
    assert command(board, 0x44) == ACK
    assert exchange(board, checked(struct.pack(">3H", 1, 0, 3)), 0.7) == b""
    assert not exchange(board, b"\x00\xff", 0)  # it listens to nothing meanwhile
    board.run(0.2)
    assert board.uart.take().startswith(ACK)
    erased = [start for start in range(0, 0x2_0000, 0x4000) if board.flash[start : start + 0x4000] == b"\xff" * 0x4000]
    assert erased == [0x0000, 0xC000]
    assert board.machine.flash_controller.erases[:5] == [1, 0, 0, 1, 0]


def test_mass_erase_and_what_is_refused(synchronised: VirtualBoard) -> None:  # AN3155 3.8: special codes
    board = synchronised
    assert erase(board, b"\x00\x00\x00\x08") == NACK  # sector 8 of 8
    assert erase(board, b"\xff\xfe") == NACK  # bank 1 of a chip with one
    assert command(board, 0x44) == ACK
    assert exchange(board, b"\x00\x00\x00\x03\x77") == NACK  # checksum
    assert board.machine.flash_controller.erases == [0] * 8
    assert erase(board, b"\xff\xff", 9) == ACK
    assert set(board.flash) == {0xFF}


def test_readout_protection_leaves_get_and_costs_the_flash(synchronised: VirtualBoard) -> None:  # AN3155 3.11, 3.12
    board = synchronised
    assert command(board, 0x82) == ACK + ACK
    board.run(0.01)
    assert exchange(board, b"\x7f") == ACK  # it has been reset
    assert command(board, 0x11) == command(board, 0x31) == command(board, 0x44) == NACK
    assert command(board, 0x02)[:1] == ACK
    assert command(board, 0x92, 9) == ACK + ACK
    assert set(board.flash) == {0xFF}
    assert exchange(board, b"\x7f") == ACK
    assert command(board, 0x11) == ACK


def test_write_protection_is_acknowledged_twice_and_resets(synchronised: VirtualBoard) -> None:  # AN3155 3.9, 3.10
    board = synchronised
    assert command(board, 0x73) == ACK + ACK
    board.run(0.01)
    assert exchange(board, b"\x7f") == ACK
    assert command(board, 0x63) == ACK
    assert exchange(board, checked(b"\x00\x01")) == ACK
    board.run(0.01)
    assert exchange(board, b"\x7f") == ACK


# -------------------------------------------------------------- with the firmware


def hello(board: VirtualBoard) -> messages.Hello:
    decoder = Decoder()
    found: list[messages.Hello] = []

    def look() -> bool:
        for frame in decoder.feed(board.uart.take()):
            message = messages.unpack(frame.type, frame.payload) if isinstance(frame, Frame) else None
            if isinstance(message, messages.Hello):
                found.append(message)
        return bool(found)

    assert board.run_until(look, limit_s=1)
    return found[0]


def enter_bootloader(board: VirtualBoard) -> list[messages.Response]:
    args = messages.Command(request=9, command=messages.COMMANDS["enter_bootloader"].id, args=b"").pack()
    board.uart.take()
    board.uart.send(b"\0" + encode_frame(messages.Command.TYPE, 0, args))
    board.run(0.1)
    frames = [frame for frame in Decoder().feed(board.uart.take()) if isinstance(frame, Frame)]
    answers = [messages.unpack(frame.type, frame.payload) for frame in frames]
    return [answer for answer in answers if isinstance(answer, messages.Response)]


def test_the_firmware_answers_and_then_enters_it_with_the_chip_as_after_a_reset() -> None:  # AN2606
    board = new_board()
    hello(board)
    assert [(answer.request, answer.status) for answer in enter_bootloader(board)] == [(9, 0)]
    assert board.rom.active
    assert not board.violations
    assert exchange(board, b"\x7f") == ACK


def test_go_starts_the_firmware_at_its_own_clock_whatever_the_rom_left(board: VirtualBoard) -> None:  # AN3155 3.5
    assert exchange(board, b"\x7f") == ACK
    assert command(board, 0x21) == ACK
    assert exchange(board, address(FLASH), 0) == b""
    board.run(0.001)
    assert board.uart.take()[:1] == ACK
    said = hello(board)
    assert said.clock_hz == board.machine.rcc.hclk_hz == 96_000_000
    assert not board.violations
    assert not board.unmodelled


def test_go_to_a_wrong_address_is_nacked(synchronised: VirtualBoard) -> None:  # AN3155 3.5
    assert command(synchronised, 0x21) == ACK
    assert exchange(synchronised, address(0x1FFF_0000)) == NACK
    assert synchronised.rom.active


def test_the_wish_for_the_bootloader_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("virtual_board.rom_bootloader.RAM_USED", 0)  # a ROM that would leave the mark where it is
    board = new_board()
    hello(board)
    enter_bootloader(board)
    for cause in ("pin", "watchdog"):
        board.reset(cause)
        hello(board)
        assert not board.rom.active


def test_a_wish_that_was_never_carried_out_does_not_outlive_a_power_cycle() -> None:
    board = new_board()
    hello(board)
    before = bytes(board.machine.sram)
    enter_bootloader(board)
    board.reset("power")
    board.run(0.01)
    assert not board.rom.active
    assert bytes(board.machine.sram) != before


@pytest.mark.parametrize("name", ["nucleo_f411re", "netduinoplus2"])
def test_a_board_whose_line_the_rom_does_not_serve_refuses(name: str) -> None:
    board = new_board(name)
    said = hello(board)
    assert not said.capabilities & messages.Capabilities.ROM_BOOTLOADER
    (answer,) = enter_bootloader(board)
    assert messages.Status(answer.status) is messages.Status.UNSUPPORTED
    assert not board.rom.active
