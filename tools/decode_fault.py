"""Say in words what a FAULT of the board means: cause, function, file and line.

From arguments:      tools/decode_fault.py --board nucleo_f411re --cause 4 --pc 0x0800e4a2 --lr 0x0800d001 --cfsr 0x82
From a bridge:       a message of the stream `fault`, one line of JSON, on standard input
Places come from firmware/build/BOARD/firmware.elf or --elf; no toolchain is needed. The image must be the one that
crashed: with --revision (HELLO has it, and so has `telemetry-bridge`'s device list) another one is refused.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from program import Program, ProgramError

BUILD = Path(__file__).resolve().parent.parent / "firmware" / "build"
ASSERT, LOOP = 0, 255
CAUSES = {
    ASSERT: "failed assertion",
    2: "NMI",
    3: "HardFault",
    4: "MemManage",
    5: "BusFault",
    6: "UsageFault",
    LOOP: "main loop stopped",
}
# PM0214 4.4.10 to 4.4.13: bit of CFSR -> name, words
CFSR = {
    0: ("IACCVIOL", "an instruction fetch from where nothing may run (NULL, RAM, a peripheral)"),
    1: ("DACCVIOL", "a load or store where the MPU forbids it (NULL, below the stack, flash)"),
    3: ("MUNSTKERR", "leaving an interrupt: its frame lies where the MPU forbids access"),
    4: ("MSTKERR", "entering an interrupt: no room on the stack, it has overflowed"),
    5: ("MLSPERR", "saving the FPU's registers: the MPU forbids it"),
    8: ("IBUSERR", "an instruction fetch from where there is nothing"),
    9: ("PRECISERR", "a load from where there is nothing"),
    10: ("IMPRECISERR", "a store to where there is nothing; pc is some instructions behind it"),
    11: ("UNSTKERR", "leaving an interrupt: its frame lies where there is no memory"),
    12: ("STKERR", "entering an interrupt: the stack pointer is where there is no memory"),
    13: ("LSPERR", "saving the FPU's registers: no memory there"),
    16: ("UNDEFINSTR", "an undefined instruction"),
    17: ("INVSTATE", "a jump to an even address: not a function"),
    18: ("INVPC", "a corrupt return address of an interrupt"),
    19: ("NOCP", "an FPU instruction, and the FPU is off"),
    24: ("UNALIGNED", "an unaligned load or store that the core cannot do"),
    25: ("DIVBYZERO", "a division by zero"),
}
MMARVALID, BFARVALID = 1 << 7, 1 << 15
# PM0214 4.4.14
HFSR = {
    1: ("VECTTBL", "the vector table could not be read"),
    30: (
        "FORCED",
        "it came where its own handler could not run: in an interrupt, with interrupts off, or a second time",
    ),
    31: ("DEBUGEVT", "a breakpoint without a debugger"),
}
FIELDS = ("cause", "pc", "lr", "sp", "psr", "cfsr", "hfsr", "mmfar", "bfar")


@dataclass(frozen=True)
class Record:
    """A FAULT."""

    cause: int | None = None
    pc: int = 0
    lr: int = 0
    sp: int = 0
    psr: int = 0
    cfsr: int = 0
    hfsr: int = 0
    mmfar: int = 0
    bfar: int = 0


def parse(values: Mapping[str, object]) -> Record:
    """A record from named values: numbers, or text in decimal, in hex, or, for the cause, in words.

    Raises:
        ValueError: no pc, or something that is no number; the message says which.
    """
    if "pc" not in values:
        raise ValueError("no pc in it")
    numbers: dict[str, int] = {}
    words = {text: number for number, text in CAUSES.items()}
    for name in FIELDS:
        value = values.get(name)
        if value is None:
            continue
        text = str(value).removeprefix("exception ")
        try:
            numbers[name] = words[text] if text in words else int(text, 0)
        except ValueError:
            raise ValueError(f"{name}: {value!r} is no number") from None
    return Record(**numbers)


def from_json(line: str) -> tuple[Record, str | None]:
    """A record, and the revision if it is told, from a message of the bridge.

    Raises:
        ValueError: it is no such message.
    """
    message = json.loads(line)
    if not isinstance(message, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004
    body = next((message[key] for key in ("data", "body", "fault") if isinstance(message.get(key), dict)), message)
    revision = message.get("revision", body.get("revision"))
    return parse(body), None if revision is None else str(revision)


def cause(record: Record) -> list[str]:
    """The cause in words, most telling first."""
    lines = []
    if record.cause == ASSERT:
        lines.append("a failed assertion: the program found itself in a state that cannot be")
    elif record.cause == LOOP:
        lines.append("the main loop had stopped for half a second: an endless loop, or an interrupt that never ends")
    else:  # of the others the status registers are as they were
        lines += [f"{words} ({name})" for bit, (name, words) in CFSR.items() if record.cfsr >> bit & 1]
        lines += [f"{words} ({name})" for bit, (name, words) in HFSR.items() if record.hfsr >> bit & 1]
        if record.cfsr & MMARVALID:
            lines.append(f"address 0x{record.mmfar:08x} (MMFAR)")
        if record.cfsr & BFARVALID:
            lines.append(f"address 0x{record.bfar:08x} (BFAR)")
    name = None if record.cause is None else CAUSES.get(record.cause, f"exception {record.cause}")
    if name is not None and record.cause not in (ASSERT, LOOP):
        lines.append(f"taken as {name}")
    return lines or ["no cause is on record"]


def _place(program: Program | None, address: int) -> str:
    if program is None:
        return "?"
    found = program.place(address)
    return str(found) if found is not None else "in no function of this image"


def decode(record: Record, program: Program | None) -> list[str]:
    """The record as lines for a human. A return address is told as the call before it."""
    overflowed = record.pc == 0 and record.psr == 0 and record.cause != ASSERT
    lines = [f"{'cause' if index == 0 else '':6}{words}" for index, words in enumerate(cause(record))]
    if overflowed:
        lines.append("pc    not known: the stack had no room left for it")
    else:
        address = record.pc - 2 if record.cause == ASSERT else record.pc
        lines.append(f"pc    0x{record.pc:08x}  {_place(program, address)}")
    if record.lr:
        what = "lowest return address on the stack: of the function that overflowed it, or its caller's"
        call = _place(program, (record.lr & ~1) - 2) if record.lr < 0xF000_0000 else "interrupted code (EXC_RETURN)"
        lines.append(f"lr    0x{record.lr:08x}  {call}" + (f"; {what}" if overflowed else ""))
    return lines


def open_program(elf: Path, revision: str | None) -> Program:
    """The image of the board that crashed.

    Raises:
        ProgramError: there is none, or it is another one.
    """
    try:
        program = Program(elf)
    except OSError as error:
        raise ProgramError(f"no image {elf}: build it (make firmware), or give --elf ({error.strerror})") from error
    built = program.string("firmware_revision")
    if revision is not None and built != revision:
        raise ProgramError(
            f"{elf} is revision {built}, the board runs {revision}: places would be wrong. "
            f"Check {revision.removesuffix('-dirty')} out and build it"
        )
    return program


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--elf", type=Path, help="image of the board (default: that of --board)")
    parser.add_argument("--board", help="board whose image in firmware/build is read")
    parser.add_argument("--revision", help="revision of the board's firmware, as HELLO tells it")
    for name in FIELDS:
        parser.add_argument(f"--{name}", metavar="NUMBER", help=f"{name} of the FAULT, e.g. 0x0800e4a2")
    args = parser.parse_args()
    try:
        if args.pc is not None:
            record, revision = parse(vars(args)), args.revision
        else:
            record, told = from_json(sys.stdin.readline())
            revision = args.revision or told
    except ValueError as error:
        print(f"decode_fault: not a fault: {error}", file=sys.stderr)
        return 2
    program = None
    elf = args.elf or (BUILD / args.board / "firmware.elf" if args.board else None)
    status = 0
    if elf is None:
        print("decode_fault: without --board or --elf no functions and lines", file=sys.stderr)
    else:
        try:
            program = open_program(elf, revision)
        except ProgramError as error:
            print(f"decode_fault: {error}", file=sys.stderr)
            status = 1
    print("\n".join(decode(record, program)))
    return status


if __name__ == "__main__":
    sys.exit(main())
