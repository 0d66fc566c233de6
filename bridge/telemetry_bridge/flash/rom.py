"""Programming through the bootloader in the ROM of an STM32F4 (AN3155), by the library stm32loader.

Sector 0, with the vectors, is erased first and written last: whatever happens in between, half an image never runs.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from telemetry_bridge.errors import FlashError
from telemetry_bridge.flash.image import CHIPS, FLASH_BASE, HEADER, Header, Image, parse_header

BAUD = 115_200
"""The highest that the ROM measures reliably (AN3155 2.2)."""
KNOCK_S = 0.5
"""Longest wait for the answer of a bootloader that may not be there."""
REPLY_S = 5.0
"""Longest wait for the answer of one that is: a block takes 25 ms, but the adapter or this machine may be busy. An
erase has 30 s (stm32loader)."""
BLOCK = 256
_SYNCHRONISE, _ACK, _NACK = b"\x7f", b"\x79", b"\x1f"
_LONGEST_EXCHANGE = 264
"""Bytes: number, 256 bytes of data and a checksum, and some more."""

_DRAINS = 4
"""Blocks of left-over answers; the ROM has fewer than the longest exchange has bytes."""

Progress = Callable[[str, int, int], None]
"""What is being done, how far it is, of how much."""


class BlockingPort(Protocol):
    """A serial port at 8E1."""

    timeout: float | None

    def read(self, size: int = 1) -> bytes:
        """Up to ``size`` bytes; fewer after the timeout."""

    def write(self, data: bytes) -> object:
        """Send."""


def sectors(data: Sequence[int] | bytes) -> list[tuple[int, range]]:
    """Sectors that an image from the start of flash on needs: number and offsets. 16 KiB four times, 64 KiB, then 128
    KiB each (RM0383 table 4, RM0090 table 5); 1 and 2 are the configuration's."""
    found, start = [], 0
    for number in range(12):
        size = (16 if number < 4 else 64 if number == 4 else 128) << 10
        if start < len(data) and number not in (1, 2):
            found.append((number, range(start, min(start + size, len(data)))))
        start += size
    return found


def load_library() -> Any:
    """The library; it is an extra, for its licence is not this package's.

    Raises:
        FlashError: it is not installed.
    """
    try:
        from stm32loader import bootloader
    except ImportError:
        raise FlashError("flashing needs stm32loader: pip install 'stm32-telemetry-bridge[flash]'") from None
    return bootloader


class Rom:
    """A board in its bootloader."""

    def __init__(self, port: BlockingPort) -> None:
        """Find the bootloader at the other end, whatever it has been in the middle of.

        Raises:
            FlashError: nobody there speaks AN3155.
        """
        library = load_library()
        self._failed: type[Exception] = library.Stm32LoaderError
        self._port = port
        self._loader = library.Stm32Bootloader(port, device_family="F4", verbosity=0)
        port.timeout = KNOCK_S
        if not self._synchronise():
            raise FlashError("the bootloader does not answer")
        port.timeout = REPLY_S
        with self._explained("it does not tell its commands"):
            self._loader.get()
            self.device_id: int = self._loader.get_id()

    def _synchronise(self) -> bool:
        """0x7F is the first byte that the ROM waits for (AN3155 1), and half a wrong command later on; one that was cut
        off in the middle of a block is fed until it complains."""
        if self._knock(4):
            return True
        self._port.write(_SYNCHRONISE * _LONGEST_EXCHANGE)
        self._drain()
        return self._knock(4)

    def _knock(self, times: int) -> bool:
        for _ in range(times):
            self._port.write(_SYNCHRONISE)
            if self._port.read() in {_ACK, _NACK}:
                self._drain()
                return True
        return False

    def _drain(self) -> None:
        self._port.timeout = 0.1
        for _ in range(_DRAINS):  # firmware that streams would never pause
            if not self._port.read(BLOCK):
                break
        self._port.timeout = KNOCK_S

    @property
    def chip(self) -> str:
        """Name of the chip."""
        return CHIPS.get(self.device_id, f"chip 0x{self.device_id:03x}")

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            with contextlib.redirect_stderr(io.StringIO()):  # the library prints while it erases
                yield
        except (self._failed, IndexError) as error:  # IndexError: the library reads past an answer that did not come
            raise FlashError(f"{what}: {error}") from error

    def _read(self, address: int, size: int) -> bytes:
        with self._explained(f"reading at 0x{address:08x} failed"):
            return bytes(self._loader.read_memory(address, size))

    def read_header(self) -> Header | None:
        """The header of the image that is in flash."""
        start = self._read(HEADER, 32)
        data = bytearray(b"\xff" * (HEADER - FLASH_BASE) + start)
        if parse_header(bytes(data)) is None:
            return None
        for address in (int.from_bytes(start[at : at + 4], "little") for at in (16, 20, 24)):
            offset = address - FLASH_BASE
            if not 0 <= offset < 1 << 19:
                return None
            data.extend(b"\xff" * (offset + 64 - len(data)))
            data[offset : offset + 64] = self._read(address, 64)
        return parse_header(bytes(data))

    def program(self, image: Image, progress: Progress) -> None:
        """Erase what the image needs, write it, and read it back.

        Raises:
            FlashError: the bootloader refuses or falls silent, or flash holds something else afterwards.
        """
        needed = sectors(image.data)
        for done, (number, _) in enumerate(needed):
            progress("erasing", done, len(needed))
            with self._explained(f"erasing sector {number} failed"):
                self._loader.erase_memory([number])
        offsets = [offset for _, span in (*needed[1:], needed[0]) for offset in span[::BLOCK]]
        offsets = [offset for offset in offsets if image.data[offset : offset + BLOCK].strip(b"\xff")]
        for done, offset in enumerate(offsets):
            progress("writing", done, len(offsets))
            with self._explained(f"writing at 0x{FLASH_BASE + offset:08x} failed"):
                self._loader.write_memory(FLASH_BASE + offset, image.data[offset : offset + BLOCK])
        for done, offset in enumerate(offsets):
            progress("verifying", done, len(offsets))
            wanted = image.data[offset : offset + BLOCK]
            found = self._read(FLASH_BASE + offset, len(wanted))
            if found != wanted:
                at = next(
                    (i for i, pair in enumerate(zip(found, wanted, strict=False)) if pair[0] != pair[1]), len(found)
                )
                raise FlashError(
                    f"flash holds something else than was written, from 0x{FLASH_BASE + offset + at:08x} on"
                )
        progress("verifying", len(offsets), len(offsets))

    def start(self) -> None:
        """Leave the bootloader for the image.

        Raises:
            FlashError: it refuses.
        """
        with self._explained("the image cannot be started"):
            self._loader.go(FLASH_BASE)
