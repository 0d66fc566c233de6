"""Show the worst-case stack of each firmware image, computed from the build, and fail when it is more than there is.

The sum of the deepest chain of calls of the main loop and, for every interrupt priority, of an exception frame and the
deepest chain of its worst handler: they all nest. Frames and calls come from the disassembly of the image, each frame
is compared with what the compiler says (-fstack-usage). Where calls through pointers lead stands in
firmware/indirect-calls.toml; one that is missing there is an error that says what to add. So is recursion.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from stack_depth import StackError
from stack_depth.levels import EXCEPTION_FRAME, Table, Worst, worst_case

ROOT = Path(__file__).resolve().parent.parent
FIRMWARE = ROOT / "firmware"
TABLE = FIRMWARE / "indirect-calls.toml"
BUILD = FIRMWARE / "build"


def measure(elf: Path, table: Path = TABLE, sources: Path = ROOT) -> Worst:
    """The worst case of an image.

    Raises:
        StackError: it has no bound, or the table is not complete.
        OSError: image or table cannot be read.
    """
    return worst_case(elf, Table.read(table), sources)


def report(worst: Worst) -> list[str]:
    """Lines about one image, without its name: what nests, each function with its bytes on the stack, and the sum."""
    lines = [f"  main loop {worst.main.bytes:6}  {worst.main}"]
    for level, chain in worst.levels.items():
        lines.append(f"  level {level}   {chain.bytes + EXCEPTION_FRAME:6}  exception {EXCEPTION_FRAME} > {chain}")
    if worst.fault is not None:
        lines.append(
            f"  fault     {EXCEPTION_FRAME:6}  exception {EXCEPTION_FRAME}; its handler ({worst.fault.bytes}) "
            "starts at the top of the stack where there is no room"
        )
    free = worst.size - worst.total
    lines.append(
        f"  worst     {worst.total:6}  of {worst.size} B, {free} free ({worst.functions} functions, the compiler says "
        f"the same of {worst.compared})" + ("" if free >= 0 else "  OVER BUDGET: STACK_SIZE in port/stm32f4/stm32f4.ld")
    )
    return lines


def check(build: Path, table: Path, boards: list[str]) -> tuple[list[str], bool]:
    """Lines about every image, those that are alike together, and whether each has enough stack.

    Raises:
        StackError: as `measure`.
        OSError: as `measure`.
    """
    alike: dict[tuple[str, ...], list[str]] = {}
    enough = True
    for board in boards:
        worst = measure(build / board / "firmware.elf", table)
        enough = enough and worst.total <= worst.size
        alike.setdefault(tuple(report(worst)), []).append(board)
    return [line for lines, names in alike.items() for line in (f"stack: {', '.join(names)}", *lines)], enough


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--board", action="append", help="only this board (default: every folder of firmware/boards)")
    parser.add_argument("--build", type=Path, default=BUILD, help="folder with a folder per board")
    parser.add_argument("--table", type=Path, default=TABLE, help="where calls through pointers lead")
    args = parser.parse_args()
    boards = args.board or sorted(path.name for path in (FIRMWARE / "boards").iterdir() if path.is_dir())
    try:
        lines, enough = check(args.build, args.table, boards)
    except FileNotFoundError as error:
        print(f"check_stack: no {error.filename}: run `make firmware` first", file=sys.stderr)
        return 2
    except StackError as error:
        for line in str(error).splitlines():
            print(f"check_stack: {line}", file=sys.stderr)
        print(f"check_stack: entries are those of {args.table}, [calls]", file=sys.stderr)
        return 2
    print("\n".join(lines))
    return 0 if enough else 1


if __name__ == "__main__":
    sys.exit(main())
