"""CRC-32C (Castagnoli), the checksum of a frame: RFC 3720 appendix B.4; crcmod calls it ``crc-32c``.

crcmod installs without complaint where there is no C compiler and is then some hundred times slower.
`accelerated` tells; who starts the bridge should warn when it is false.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Final

from crcmod.crcmod import _usingExtension as _using_extension
from crcmod.predefined import mkPredefinedCrcFun

crcmod_crc32c: Final[Callable[[bytes], int]] = mkPredefinedCrcFun("crc-32c")
"""What there always is."""


def _fastest() -> Callable[[bytes], int]:
    """google-crc32c takes the processor's own instruction, a tenth of crcmod's time; it is an extra (``fast``)."""
    try:
        value: Callable[[bytes], int] = importlib.import_module("google_crc32c").value
    except ImportError:
        return crcmod_crc32c
    return value


crc32c: Final = _fastest()
"""CRC-32C of some bytes; ``crc32c(b"123456789") == 0xE3069283``."""

accelerated: Final[bool] = crc32c is not crcmod_crc32c or bool(_using_extension)
"""Whether it is compiled. In Python a frame of 260 bytes costs about 80 us instead of 1."""

RESIDUE: Final = 0x48674BC7
"""CRC-32C of anything followed by its own CRC-32C, little-endian (the constant of RFC 3720 in this bit order)."""


def all_right(frames: Sequence[bytes]) -> bool:
    """Whether each of these ends with the CRC-32C of what is before it, little-endian."""
    return list(map(crc32c, frames)).count(RESIDUE) == len(frames)
