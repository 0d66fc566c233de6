"""A firmware image: its bytes, and its header (firmware/app/image.c)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from telemetry_bridge.errors import FlashError

FLASH_BASE = 0x0800_0000
HEADER = FLASH_BASE + 0x200
MAGIC = 0x474D4954
CHIPS = {0x431: "STM32F411", 0x413: "STM32F405"}
"""Names by DEV_ID (RM0383 23.6.1, RM0090 38.6.1)."""
_KEPT = range(0x4000, 0xC000)
"""Offsets of sectors 1 and 2, where the board stores its configuration."""
_FIELDS = struct.Struct("<8I")
_PT_LOAD = 1
_EM_ARM = 40


@dataclass(frozen=True, slots=True)
class Header:
    """What an image says of itself.

    Attributes:
        device_id: of the chip it was linked for.
        fingerprint: of its table of messages.
    """

    device_id: int
    board: str
    version: str
    revision: str
    fingerprint: int

    @property
    def chip(self) -> str:
        """Name of the chip."""
        return CHIPS.get(self.device_id, f"chip 0x{self.device_id:03x}")


@dataclass(frozen=True, slots=True)
class Image:
    """What is to be in flash, from its start on; 0xFF where the file has nothing."""

    header: Header
    data: bytes


def load(path: Path) -> Image:
    """Read an ``.elf`` or ``.bin`` file.

    Raises:
        FlashError: cannot be read, is no image of this firmware, or has something where the configuration is kept.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise FlashError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        data = _from_elf(raw) if raw.startswith(b"\x7fELF") else raw
        header = parse_header(data)
    except (struct.error, ValueError):
        header, data = None, b""
    if header is None:
        raise FlashError(
            f"{path}: not an image of this firmware (no header at 0x{HEADER:08x}); "
            "`make firmware` leaves firmware.elf and firmware.bin in firmware/build/BOARD/"
        )
    if data[_KEPT.start : _KEPT.stop].strip(b"\xff"):
        raise FlashError(f"{path}: the image reaches into sectors 1 and 2, where the board keeps its configuration")
    return Image(header, data)


def parse_header(data: bytes) -> Header | None:
    """The header in the bytes at the start of flash; None if there is none."""
    at = HEADER - FLASH_BASE
    if len(data) < at + _FIELDS.size:
        return None
    magic, size, device_id, _end, *strings, fingerprint = _FIELDS.unpack_from(data, at)
    if magic != MAGIC or size < _FIELDS.size:
        return None
    board, version, revision = (_text(data, address - FLASH_BASE) for address in strings)
    return Header(device_id, board, version, revision, fingerprint)


def _text(data: bytes, at: int) -> str:
    end = data.find(b"\0", at, at + 64) if at >= 0 else -1
    return data[at:end].decode("ascii", "replace") if end >= 0 else "?"


def _from_elf(raw: bytes) -> bytes:
    """Load segments of a 32-bit little-endian ARM ELF file (ELF specification, program header)."""
    if raw[4:6] != b"\x01\x01" or struct.unpack_from("<H", raw, 18)[0] != _EM_ARM:
        raise ValueError("not for a 32-bit ARM")
    offset, size, count = (
        struct.unpack_from("<I", raw, 28)[0],
        *struct.unpack_from("<2H", raw, 42),
    )
    data = bytearray()
    for index in range(count):
        kind, at, _virtual, address, length = struct.unpack_from("<5I", raw, offset + index * size)
        start = address - FLASH_BASE
        if kind != _PT_LOAD or not length:
            continue
        if not 0 <= start <= start + length <= 1 << 20 or at + length > len(raw):
            raise ValueError("a segment that is not in flash")
        data.extend(b"\xff" * (start + length - len(data)))
        data[start : start + length] = raw[at : at + length]
    return bytes(data)
