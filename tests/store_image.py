"""What lies in the configuration slots of a board's flash (firmware/app/store.h and configuration.c), made by hand."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from telemetry_protocol.crc import crc32c

SLOT, CELL = 16384, 128
SLOTS = slice(0x4000, 0xC000)
"""Both slots in a board's flash."""
CELLS = SLOT // CELL
MAGIC = 0x53425454


def record(sequence: int, words: Sequence[int], version: int = 1) -> bytes:
    """One cell."""
    head = struct.pack("<3I", MAGIC, sequence, len(words) << 16 | version)
    data = head + struct.pack(f"<{len(words)}I", *words)
    return (data + struct.pack("<I", crc32c(data))).ljust(CELL, b"\xff")


def stream(rate_mhz: int, *, latency_us: int = 0, enabled: bool = True) -> list[int]:
    """Settings of one stream; its ranges are left alone."""
    return [rate_mhz, latency_us | enabled << 31, 0, 0]


def slots(first: Sequence[bytes] = (), second: Sequence[bytes] = ()) -> bytes:
    """Both slots with these cells."""
    return b"".join(b"".join(cells).ljust(SLOT, b"\xff") for cells in (first, second))
