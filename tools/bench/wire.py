"""Bytes on the wire per sample, counted behind the UART of the virtual board."""

from __future__ import annotations

from bench import firmware_run
from bench.report import Row

BOARD = "nucleo_f411re"
# MAVLink 2: header 10, SCALED_IMU2 with its extension 24 (time, nine values, temperature), checksum 2
MAVLINK_SCALED_IMU2 = 10 + 24 + 2


def run() -> tuple[str, str, list[Row]]:
    """Let the real firmware stream and count."""
    result = firmware_run.stream(BOARD)
    about = (
        f"The firmware of {BOARD} on the virtual board streams six-axis int16 samples at 1 kHz for "
        f"{firmware_run.SECONDS:.0f} virtual seconds; every byte that leaves the UART is counted, delimiters included."
    )
    return (
        "The wire",
        about,
        [
            Row("six-axis sample, all framing", result.imu_bytes / result.samples, "B", "<= 13.0"),
            Row("the same, with temperatures and health", result.all_bytes / result.samples, "B"),
            Row("one SCALED_IMU2 message of MAVLink 2, by its definition", MAVLINK_SCALED_IMU2, "B"),
        ],
    )
