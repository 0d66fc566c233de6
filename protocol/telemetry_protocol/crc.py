"""CRC-32C (Castagnoli), the checksum of a frame: RFC 3720 appendix B.4; crcmod calls it ``crc-32c``.

crcmod installs without complaint where there is no C compiler and is then some hundred times slower.
`accelerated` tells; who starts the bridge should warn when it is false.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from crcmod.crcmod import _usingExtension as _using_extension
from crcmod.predefined import mkPredefinedCrcFun

crc32c: Final[Callable[[bytes], int]] = mkPredefinedCrcFun("crc-32c")
"""CRC-32C of some bytes; ``crc32c(b"123456789") == 0xE3069283``."""

accelerated: Final[bool] = bool(_using_extension)
"""Whether crcmod runs its C extension. Without it a frame of 260 bytes costs about 80 us instead of 1."""

RESIDUE: Final = 0x48674BC7
"""CRC-32C of anything followed by its own CRC-32C, little-endian (the constant of RFC 3720 in this bit order)."""
