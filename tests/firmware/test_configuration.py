"""Stored settings, on a board on the host that boots again and again with the same flash."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from firmware.host_board import I2C, SPI, HostBoard
from store_image import SLOT, record, slots, stream
from telemetry_protocol import messages

OK, BAD_ARGUMENT, OVER_LINE_BUDGET, FAILED = 0, 3, 5, 9
STORED, DEFAULTS = 0, 1
DEFAULT_MHZ = 1_000_000

Boot = Callable[..., HostBoard]


@pytest.fixture
def flash(tmp_path: Path) -> Path:
    return tmp_path / "flash"


@pytest.fixture
def boot(make_board: Callable[..., HostBoard], flash: Path) -> Boot:
    """Boot a board on this flash and let it find its sensor."""
    if not flash.exists():
        flash.write_bytes(slots())

    def start(*, sensor_answers: bool = True, **options: object) -> HostBoard:
        board = make_board(flash=flash, **options)
        board.imu.present = sensor_answers
        board.run(0.4)
        return board

    return start


def rate(board: HostBoard, number: int = 0) -> int:
    """Rate in force, which the descriptor and get_rate agree on."""
    result = messages.COMMANDS["get_rate"].unpack_result(board.call("get_rate", stream=number).data)
    assert isinstance(result, dict)
    assert descriptor(board, number).rate_mhz == result["rate_mhz"]
    return int(result["rate_mhz"])


def descriptor(board: HostBoard, number: int) -> messages.Stream:
    """The latest of a stream."""
    return [m for m in board.received if isinstance(m, messages.Stream) and m.stream_gen & 31 == number][-1]


def test_the_capability_is_stated(boot: Boot) -> None:
    (hello,) = [message for message in boot().received if isinstance(message, messages.Hello)]
    assert hello.capabilities & 1 << 5


def test_a_board_that_never_stored_anything_has_the_defaults_and_says_nothing(boot: Boot, flash: Path) -> None:
    board = boot()
    assert rate(board) == DEFAULT_MHZ
    assert not [text for text in board.logs() if "configuration" in text]
    assert board.call("restore_configuration", source=STORED).status == OK
    assert board.call("restore_configuration", source=DEFAULTS).status == OK
    assert flash.read_bytes() == slots()  # nothing to clear


def test_saved_settings_are_in_force_after_the_next_boot(boot: Boot) -> None:
    board = boot()
    assert board.call("set_rate", stream=0, rate_mhz=250_000).status == OK
    assert board.call("set_rate", stream=2, rate_mhz=2_000).status == OK
    assert board.call("save_configuration").status == OK
    again = boot()
    assert rate(again) == 250_000
    assert rate(again, 2) == 2_000
    board.run(0.5)
    assert again.samples(0)
    first = next(message for message in again.received if isinstance(message, messages.Stream))
    assert first.rate_mhz == 250_000  # before any sample


def test_settings_of_a_part_come_back_though_another_is_described_until_it_is_found(boot: Boot) -> None:
    lsm = {"part": "lsm6dso", "line": SPI}
    slow_dps = 125 * math.pi / 180  # the MPU-6050, described at boot, has neither this range nor this rate
    board = boot(**lsm)
    assert board.call("set_rate", stream=0, rate_mhz=3_333_500).status == OK
    assert board.call("set_range", stream=0, field=3, full_scale=slow_dps).status == OK
    assert board.call("save_configuration").status == OK
    for sensor_answers in (True, False, True):  # saved without it, they are not those of the MPU-6050 either
        again = boot(**lsm, sensor_answers=sensor_answers)
        if sensor_answers:
            assert rate(again) == 3_333_500
            assert descriptor(again, 0).fields[3].full_scale == pytest.approx(slow_dps, rel=1e-3)
        assert again.call("save_configuration").status == OK


def test_settings_that_were_not_saved_are_gone(boot: Boot) -> None:
    board = boot()
    board.call("save_configuration")
    board.call("set_rate", stream=0, rate_mhz=250_000)
    assert rate(boot()) == DEFAULT_MHZ


def test_saving_twice_writes_once(boot: Boot, flash: Path) -> None:
    board = boot()
    board.call("save_configuration")
    once = flash.read_bytes()
    assert board.call("save_configuration").status == OK
    assert flash.read_bytes() == once


def test_stored_and_default_settings_can_be_restored_while_it_streams(boot: Boot) -> None:
    board = boot()
    board.call("set_rate", stream=0, rate_mhz=250_000)
    board.call("save_configuration")
    board.call("set_rate", stream=0, rate_mhz=100_000)
    assert board.call("restore_configuration", source=STORED).status == OK
    assert rate(board) == 250_000
    assert board.call("restore_configuration", source=STORED).status == OK  # again: nothing to do
    assert board.call("restore_configuration", source=DEFAULTS).status == OK
    assert rate(board) == DEFAULT_MHZ
    assert rate(boot()) == DEFAULT_MHZ  # the store says so too


def test_the_answer_comes_when_the_sensor_has_taken_it_and_meanwhile_the_board_is_busy(boot: Boot) -> None:
    board = boot()
    board.call("set_rate", stream=0, rate_mhz=250_000)
    board.call("save_configuration")
    board.call("set_rate", stream=0, rate_mhz=100_000)
    before = len(board.responses())
    board.imu_answers = False
    board.command("restore_configuration", request=7, source=STORED)
    board.command("restore_configuration", request=7, source=STORED)  # the host repeats itself
    for request, name in ((8, "save_configuration"), (9, "restore_configuration")):
        board.command(name, request=request, **({"source": DEFAULTS} if request == 9 else {}))
    board.run(0.005)
    busy = 8
    assert [(r.request, r.status) for r in board.responses()[before:]] == [(8, busy), (9, busy)]
    board.imu_answers = True
    board.run(0.3)
    assert [(r.request, r.status) for r in board.responses()[before + 2 :]] == [(7, OK)]
    assert rate(board) == 250_000


def test_a_source_that_there_is_not_is_refused(boot: Boot) -> None:
    assert boot().call("restore_configuration", source=2).status == BAD_ARGUMENT


def test_latency_and_enabled_are_stored_per_stream(boot: Boot, flash: Path) -> None:
    words = stream(200_000, latency_us=7_000) + stream(10_000, enabled=False) + stream(1_000)
    flash.write_bytes(slots([record(1, words)]))
    board = boot()
    assert descriptor(board, 0).rate_mhz == 200_000
    assert [descriptor(board, n).latency_us for n in (0, 2)] == [7_000, 50_000]
    assert [descriptor(board, n).enabled for n in range(3)] == [1, 0, 1]
    assert not board.samples(1)


def test_the_newest_record_counts_in_whichever_slot_it_is(boot: Boot, flash: Path) -> None:
    def of(sequence: int, rate_mhz: int) -> bytes:
        return record(sequence, stream(rate_mhz) + stream(10_000) + stream(10_000))

    flash.write_bytes(slots([of(4, 100_000), of(6, 200_000)], [of(5, 250_000)]))
    assert rate(boot()) == 200_000
    flash.write_bytes(slots([of(4, 100_000), of(6, 200_000)], [of(7, 250_000)]))
    assert rate(boot()) == 250_000


def test_a_record_with_a_flipped_bit_does_not_count(boot: Boot, flash: Path) -> None:
    words = stream(250_000) + stream(10_000) + stream(10_000)
    good, bad = record(1, words), bytearray(record(2, stream(100_000) + words[4:]))
    for bit in range(0, 16 * 32, 37):
        bad[bit // 8] ^= 1 << bit % 8
        flash.write_bytes(slots([good, bytes(bad)]))
        assert rate(boot()) == 250_000
        bad[bit // 8] ^= 1 << bit % 8


def test_a_corrupted_store_boots_with_defaults_says_so_and_can_be_cleared(boot: Boot, flash: Path) -> None:
    flash.write_bytes(random.Random(1).randbytes(2 * SLOT))
    board = boot()
    assert rate(board) == DEFAULT_MHZ
    assert "configuration: what is stored cannot be read: defaults" in board.logs()
    assert board.call("restore_configuration", source=STORED).status == FAILED
    board.call("set_rate", stream=0, rate_mhz=250_000)
    assert board.call("restore_configuration", source=DEFAULTS).status == OK
    assert rate(board) == DEFAULT_MHZ
    again = boot()
    assert rate(again) == DEFAULT_MHZ
    assert not [text for text in again.logs() if "configuration" in text]
    assert again.call("restore_configuration", source=STORED).status == OK


def test_a_record_of_another_version_is_left_alone_until_one_is_saved(boot: Boot, flash: Path) -> None:
    flash.write_bytes(slots([record(1, [1, 2, 3], version=2)]))
    board = boot()
    assert rate(board) == DEFAULT_MHZ
    assert "configuration: stored by another version of the firmware: defaults" in board.logs()
    assert board.call("restore_configuration", source=STORED).status == FAILED
    assert flash.read_bytes() == slots([record(1, [1, 2, 3], version=2)])
    board.call("set_rate", stream=0, rate_mhz=250_000)
    assert board.call("save_configuration").status == OK
    assert board.call("restore_configuration", source=STORED).status == OK
    assert rate(boot()) == 250_000


def test_a_stored_rate_that_does_not_fit_falls_back_and_says_so(boot: Boot, flash: Path) -> None:
    words = stream(1_000_000, latency_us=1_000) + stream(10_000) + stream(2_000)
    flash.write_bytes(slots([record(1, words)]))
    board = boot(baud=145_000)  # a frame for each reading of the FIFO: more than this line carries
    assert "configuration: over budget, defaults for imu" in board.logs()
    assert descriptor(board, 0).latency_us == 25_000
    assert rate(board, 2) == 2_000  # the others have what was stored


def test_a_stored_rate_that_the_bus_does_not_carry_is_not_restored(boot: Boot, flash: Path) -> None:
    flash.write_bytes(slots([record(1, stream(6_667_000))]))
    board = boot(part="lsm6dso", line=I2C)
    assert rate(board) == 1_666_750  # lowered when the part was found, and still wanted
    assert board.call("restore_configuration", source=STORED).status == OK
    assert rate(board) == 1_666_750
    assert not [text for text in board.logs() if "configuration" in text]
    assert board.call("set_rate", stream=0, rate_mhz=416_688).status == OK
    assert board.call("restore_configuration", source=STORED).status == OK
    assert rate(board) == 833_375
    assert "configuration: over budget, defaults for imu" in board.logs()


def test_nonsense_in_a_good_record_is_brought_within_the_limits(boot: Boot, flash: Path) -> None:
    nan = 0x7FC0_0000
    words = [0, 0xFFFF_FFFF, nan, nan, 0xFFFF_FFFF, 0xFFFF_FFFF, 0, 0, 0, 1 << 31, nan, 0x8000_0000]
    flash.write_bytes(slots([record(1, words)]))
    board = boot()
    assert rate(board) == 3_906  # the slowest that an MPU-6050 has: 1 kHz / 256, RM-MPU-6000A-00 4.2
    assert descriptor(board, 0).latency_us in (25_000, 50_000)
    board.run(0.5)
    assert board.samples(0)
