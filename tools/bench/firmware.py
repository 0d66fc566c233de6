"""Flash, RAM and retired instructions of the firmware."""

from __future__ import annotations

import check_size
from bench import firmware_run
from bench.report import Row

BOARDS = ("nucleo_f411re", "blackpill_f411ce", "netduinoplus2")


def run() -> tuple[str, str, list[Row]]:
    """Build, weigh and run every board's image."""
    rows = []
    for board in BOARDS:
        size = check_size.measure(firmware_run.elf(board))
        result = firmware_run.stream(board)
        rows += [
            Row(f"{board}: flash", size.flash, "B", "<= 65536"),
            Row(f"{board}: RAM, reserved stack included", size.ram, "B", "<= 32768"),
            Row(f"{board}: instructions per six-axis sample", result.instructions / result.samples, "", "<= 600"),
        ]
    about = (
        f"Sections of the ELF, and instructions retired outside WFI in {firmware_run.SECONDS:.0f} virtual seconds of "
        "streaming at 1 kHz over 400 kHz I2C, everything included (interrupts, temperatures, health), divided by the "
        "samples. Instructions are not cycles: the virtual board knows no wait states."
    )
    return "Firmware", about, rows
