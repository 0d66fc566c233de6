"""Show how much flash and RAM each firmware image takes and fail over budget (firmware/size-budget.toml)."""

from __future__ import annotations

import argparse
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile

ROOT = Path(__file__).resolve().parent.parent
BUDGET = ROOT / "firmware" / "size-budget.toml"
BUILD = ROOT / "firmware" / "build"
RAM_START = 0x1000_0000  # CCM and SRAM lie above, flash and system memory are told apart by their section type


@dataclass(frozen=True)
class Size:
    """Bytes an image takes.

    Attributes:
        flash: code, constants and the initial values of variables.
        ram: variables, buffers that survive a reset, and the reserved stack.
    """

    flash: int
    ram: int


def measure(elf: Path) -> Size:
    """Sum up the sections of an image.

    Raises:
        FileNotFoundError: the image has not been built.
    """
    flash = ram = 0
    with elf.open("rb") as stream:
        for section in ELFFile(stream).iter_sections():
            if not section["sh_flags"] & SH_FLAGS.SHF_ALLOC:
                continue
            stored = section["sh_type"] != "SHT_NOBITS"
            in_ram = section["sh_addr"] >= RAM_START
            flash += section["sh_size"] if stored else 0
            ram += section["sh_size"] if in_ram else 0
    return Size(flash, ram)


def check(build: Path, budget: Path, boards: list[str] | None = None) -> tuple[list[str], bool]:
    """Lines of a table, one board and memory each, and whether every image is within its budget."""
    table = tomllib.loads(budget.read_text(encoding="utf-8"))["board"]
    lines = [f"{'board':18} {'memory':6} {'used':>7} {'budget':>7} {'free':>7} {'used %':>7}"]
    within = True
    for board in boards or sorted(table):
        size = measure(build / board / "firmware.elf")
        for memory, used in (("flash", size.flash), ("ram", size.ram)):
            allowed = table[board][memory]
            over = used > allowed
            within = within and not over
            lines.append(
                f"{board:18} {memory:6} {used:7} {allowed:7} {allowed - used:7} {100 * used / allowed:6.1f}%"
                + ("  OVER BUDGET" if over else "")
            )
    return lines, within


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--board", action="append", help="only this board (default: every board of the budget)")
    parser.add_argument("--build", type=Path, default=BUILD, help="folder with a folder per board")
    parser.add_argument("--budget", type=Path, default=BUDGET, help="budget file")
    args = parser.parse_args()
    try:
        lines, within = check(args.build, args.budget, args.board)
    except FileNotFoundError as error:
        print(f"check_size: no image {error.filename}: run `make firmware` first", file=sys.stderr)
        return 2
    except KeyError as error:
        print(f"check_size: no budget for board {error} in {args.budget}", file=sys.stderr)
        return 2
    print("\n".join(lines))
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
