"""The image of netduinoplus2 in QEMU: boot, conversation, crash record."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from elves import elf_path
from firmware.qemu import Qemu, symbol
from telemetry_protocol import messages

UNSUPPORTED = 7
RESET_FAULT = 8
SP, PC = 13, 15
# what emulation.md says QEMU does not model and the firmware touches: blocks, never an address outside of one
UNMODELLED = re.compile(r"(RCC|GPIO[A-I]|I2S2ext|PWR|Flash Int): unimplemented device (read|write) ")


@pytest.fixture(scope="module")
def elf() -> Path:
    return elf_path("netduinoplus2")


@pytest.fixture
def qemu(elf: Path) -> Iterator[Qemu]:
    with Qemu(elf) as machine:
        yield machine
        assert len(machine.damage) <= machine.crashes  # a crash may cut the frame that is on the line


def test_it_boots_and_says_who_it_is(qemu: Qemu) -> None:
    hello = qemu.wait_for(messages.Hello)
    assert hello.board == "netduinoplus2"
    assert hello.fingerprint == messages.FINGERPRINT
    assert hello.clock_hz == 168_000_000
    assert hello.uid == bytes(12)  # not readable there
    assert hello.capabilities == messages.Capabilities.BAUD_CHANGE  # neither DMA nor a sensor bus
    assert abs(hello.baud - 921_600) <= 9_216
    assert re.fullmatch(r"[0-9a-f]{12}(-dirty)?|unknown", hello.revision)


def test_it_answers_describe_ping_and_health(qemu: Qemu) -> None:
    qemu.wait_for(messages.Hello)
    mark = len(qemu.received)
    assert qemu.command("describe", request=1).status == 0
    qemu.wait_for(messages.Hello, after=mark)
    answer = qemu.command("ping", request=2, host_ns=123_456_789)
    values = messages.COMMANDS["ping"].unpack_result(answer.data)
    assert isinstance(values, dict)
    assert values["host_ns"] == 123_456_789
    assert 0 < values["received_us"] < values["sent_us"]
    mark = len(qemu.received)
    assert qemu.command("get_health", request=3).status == 0
    health = qemu.wait_for(messages.Health, after=mark)
    assert health.time_us >= values["sent_us"]
    assert health.stack_free >= 512
    assert len(health.streams) == 4


def test_health_comes_by_itself_so_the_core_wakes_from_sleep(qemu: Qemu) -> None:
    first = qemu.wait_for(messages.Health)
    second = qemu.wait_for(messages.Health, after=qemu.received.index(first) + 1)
    assert second.time_us - first.time_us == pytest.approx(1_000_000, abs=50_000)
    assert [stream.state for stream in second.streams] == [
        2,
        2,
        2,
        4,
    ]  # no bus, no ADC: missing, and said; the optional one absent
    assert any("sensor bus" in m.text for m in qemu.received if isinstance(m, messages.Log))


def test_it_touches_nothing_but_known_blocks(qemu: Qemu) -> None:
    qemu.wait_for(messages.Health)
    lines = qemu.accesses.read_text().splitlines()
    assert lines
    assert [line for line in lines if not UNMODELLED.match(line)] == []


def test_a_seed_makes_the_first_boot_id(elf: Path) -> None:
    ids = set()
    for seed in (1, 2):
        with Qemu(elf, boot_seed=seed) as machine:
            ids.add(machine.wait_for(messages.Hello).boot_id)
    assert len(ids) == 2


def test_there_is_no_flash_to_store_anything_in(qemu: Qemu) -> None:
    qemu.wait_for(messages.Hello)
    assert qemu.command("save_configuration", request=1).status == UNSUPPORTED
    assert qemu.command("restore_configuration", request=2, source=0).status == UNSUPPORTED
    assert qemu.command("restore_configuration", request=3, source=1).status == 0  # the defaults can be had


def test_reset_is_answered_and_counts_the_boot_on(qemu: Qemu) -> None:
    first = qemu.wait_for(messages.Hello)
    mark = len(qemu.received)
    assert qemu.command("reset", request=7).status == 0
    second = qemu.wait_for(messages.Hello, after=mark)
    assert second.boot_id == first.boot_id + 1
    assert second.time_us < 1_000_000
    stream = qemu.wait_for(messages.Stream, after=qemu.received.index(second))
    assert stream.stream_gen >> 5 == second.boot_id & 7


def test_a_crash_is_recorded_and_reported_by_the_next_boot(qemu: Qemu, elf: Path) -> None:
    first = qemu.wait_for(messages.Hello)
    mark = len(qemu.received)
    qemu.crash(PC, 0x6000_0000)  # no memory there
    second = qemu.wait_for(messages.Hello, after=mark)
    assert second.reset_cause == RESET_FAULT
    assert second.boot_id == first.boot_id + 1
    fault = qemu.wait_for(messages.Fault, after=mark)
    assert fault.boot_id == first.boot_id
    assert fault.cause in (3, 4, 5, 6)
    assert fault.pc == 0x6000_0000
    assert fault.psr & 1 << 24  # Thumb
    assert fault.sp < symbol(elf, "stack_end")
    assert fault.cfsr != 0
    mark = len(qemu.received)
    qemu.command("describe", request=1)  # kept until acknowledged
    assert qemu.wait_for(messages.Fault, after=mark) == fault
    qemu.command("reset", request=2)
    third = qemu.wait_for(messages.Hello, after=len(qemu.received))
    assert third.reset_cause != RESET_FAULT  # the record is not fresh any more


@pytest.mark.parametrize("target", [0, 0x2000_1000], ids=["NULL", "RAM"])
def test_a_jump_to_where_no_code_is_is_refused_by_the_mpu(qemu: Qemu, target: int) -> None:
    """QEMU's own model of the MPU, PM0214 4.4.11: IACCVIOL."""
    qemu.wait_for(messages.Hello)
    mark = len(qemu.received)
    qemu.crash(PC, target)
    assert qemu.wait_for(messages.Hello, after=mark).reset_cause == RESET_FAULT
    fault = qemu.wait_for(messages.Fault, after=mark)
    assert fault.pc == target
    assert fault.cfsr == 1


def test_a_failed_assert_takes_the_same_path(qemu: Qemu, elf: Path) -> None:
    qemu.wait_for(messages.Hello)
    mark = len(qemu.received)
    qemu.crash(PC, symbol(elf, "assert_failed") & ~1)
    assert qemu.wait_for(messages.Hello, after=mark).reset_cause == RESET_FAULT
    assert qemu.wait_for(messages.Fault, after=mark).cause == 0


def test_a_stack_overflow_is_recorded_too(qemu: Qemu, elf: Path) -> None:
    first = qemu.wait_for(messages.Health)
    assert first.stack_free > 0
    mark = len(qemu.received)
    qemu.crash(SP, symbol(elf, "stack_start") + 8)  # the next interrupt has no room: below lies the guard
    assert qemu.wait_for(messages.Hello, after=mark).reset_cause == RESET_FAULT
    fault = qemu.wait_for(messages.Fault, after=mark)
    assert fault.sp < symbol(elf, "stack_start")
    assert fault.cfsr & 1 << 4  # MSTKERR, PM0214 4.4.11
