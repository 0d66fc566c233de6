"""Put the firmware of a board onto it through its ST-LINK (or another probe that pyocd knows): `make flash BOARD=...`.

Only the sectors that the image has something in are erased: the stored configuration in sectors 1 and 2 stays.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

FIRMWARE = Path(__file__).resolve().parents[1] / "firmware"

TARGETS = {"nucleo_f411re": "stm32f412xe", "blackpill_f411ce": "stm32f412xe", "netduinoplus2": "stm32f412xg"}
"""pyocd's built-in target by board. It has none of the STM32F411 and F405; the STM32F412 has the same flash controller
and sectors and at least their RAM at the same place, docs/decisions/0005."""


def probes() -> list[str]:
    """A line for each debug probe on USB."""
    from pyocd.core.helpers import ConnectHelper

    found = ConnectHelper.get_all_connected_probes(blocking=False, print_wait_message=False)
    return [f"{probe.unique_id}  {probe.description}" for probe in found]


def command(board: str, probe: str | None) -> list[str]:
    """What programs the image of a board and starts it."""
    which = ["--probe", probe] if probe else []
    elf = FIRMWARE / "build" / board / "firmware.elf"
    return [
        *(sys.executable, "-m", "pyocd", "flash", "--no-wait"),
        *("--target", TARGETS[board], "--erase", "sector", *which, str(elf)),
    ]


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(description="Flash a board through its ST-LINK.")
    parser.add_argument("board", nargs="?", default="", metavar="BOARD", help=", ".join(TARGETS))
    parser.add_argument("--probe", metavar="ID", help="which probe, when there are several: the begin of its id")
    options = parser.parse_args(arguments)
    if options.board not in TARGETS:
        print(f"make flash BOARD=NAME: NAME is one of {', '.join(TARGETS)}", file=sys.stderr)
        return 2
    there = probes()
    if not there:
        print(
            "no debug probe: plug in the board's ST-LINK with a USB cable that carries data; on Linux without root it "
            "needs the udev rules of https://pyocd.io/docs/installing (a NUCLEO also takes firmware.bin on its drive)",
            file=sys.stderr,
        )
        return 1
    if len(there) > 1 and options.probe is None:
        listed = "\n  ".join(there)
        print(f'several probes; make flash BOARD={options.board} ARGS="--probe ID":\n  {listed}', file=sys.stderr)
        return 1
    return subprocess.run(command(options.board, options.probe), check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
