"""A real fault of the firmware becomes function and line; what is no fault, or of another image, is refused."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

import decode_fault
from elves import elf_path
from program import Program, ProgramError
from system.test_faults import VICTIM, Patient
from telemetry_bridge.session import reports
from virtual_board import inject

ROOT = Path(__file__).resolve().parents[2]
BOARD = "nucleo_f411re"


@pytest.fixture(scope="module")
def fault() -> dict[str, object]:
    """What the bridge says of a NULL read in the main loop."""
    patient = Patient.healthy(BOARD)
    patient.injector.patch(VICTIM, inject.READ_NULL)
    _, record = patient.recover()
    assert record is not None
    return reports.fault(record)


def test_a_message_of_the_bridge_becomes_cause_function_and_line(fault: dict[str, object]) -> None:
    record, revision = decode_fault.from_json(json.dumps({"op": "fault", "device": "x", "data": fault}))
    assert revision is None
    text = "\n".join(decode_fault.decode(record, Program(elf_path(BOARD))))
    assert "DACCVIOL" in text
    assert "address 0x00000000 (MMFAR)" in text
    assert "taken as MemManage" in text
    assert f"{VICTIM}+0x2 (" in text
    assert "health.c:" in text
    assert "application.c:" in text, "the caller"


def test_the_line_is_the_one_that_the_toolchain_names() -> None:
    program = Program(elf_path(BOARD))
    for function in ("main", VICTIM, "systick_isr"):
        address = program.symbols[function]
        told = subprocess.run(
            ["arm-none-eabi-addr2line", "-e", str(elf_path(BOARD)), hex(address)],
            capture_output=True, text=True, check=True,
        ).stdout.split()[0]  # fmt: skip
        place = program.place(address)
        assert place is not None
        assert place.function == function
        assert place.file is not None
        assert told.endswith(f"{Path(place.file).name}:{place.line}")


def test_a_stack_overflow_is_told_by_its_lowest_return_address() -> None:
    program = Program(elf_path(BOARD))
    record = decode_fault.Record(cause=3, lr=program.symbols[VICTIM] + 6 | 1, cfsr=1 << 4 | 1 << 1)
    text = "\n".join(decode_fault.decode(record, program))
    assert "it has overflowed (MSTKERR)" in text
    assert "pc    not known" in text
    assert f"{VICTIM}+0x4" in text


@pytest.mark.parametrize("line", ["", "[]", "{}", '{"pc": "somewhere"}', '{"pc": 1, "cause": "bad luck"}', "null"])
def test_what_is_no_fault_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_fault.from_json(line)


def test_another_image_is_refused_and_the_cause_is_told_all_the_same(
    fault: dict[str, object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["decode_fault", "--elf", str(elf_path(BOARD))])
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps({**fault, "revision": "0123456789ab"})))
    assert decode_fault.main() == 1
    out, err = capsys.readouterr()
    assert "the board runs 0123456789ab" in err
    assert "DACCVIOL" in out
    assert VICTIM not in out


def test_a_file_that_is_no_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "firmware.elf").write_text("no")
    with pytest.raises(ProgramError, match="not an ELF file"):
        decode_fault.open_program(tmp_path / "firmware.elf", None)
    with pytest.raises(ProgramError, match="make firmware"):
        decode_fault.open_program(tmp_path / "absent.elf", None)


def test_the_command_takes_numbers_and_says_where() -> None:
    program = Program(elf_path(BOARD))
    done = subprocess.run(
        [sys.executable, "tools/decode_fault.py", "--elf", str(elf_path(BOARD)), "--cause", "255",
         "--pc", hex(program.symbols["main"]), "--lr", "0"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "the main loop had stopped" in done.stdout
    assert "main+0x0 (" in done.stdout
