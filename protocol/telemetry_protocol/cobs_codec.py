"""Consistent Overhead Byte Stuffing: Cheshire and Baker, IEEE/ACM Transactions on Networking 7(2), 1999."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cobs import cobs

FULL_BLOCK: Final = 0xFF
"""The code byte that stands for 254 data bytes and no zero."""

CobsError: Final[type[Exception]] = cobs.DecodeError
"""A code byte points past the end."""

accelerated: Final[bool] = cobs._using_extension
"""Whether the C extension of `cobs` is used; pure Python costs some 100 times as much."""


encode: Final[Callable[[bytes], bytes]] = cobs.encode
"""Encode without the delimiter. The result has no zero byte."""

decode: Final[Callable[[bytes], bytes]] = cobs.decode
"""Decode what stood between two delimiters; raise `CobsError` when a code byte points past the end."""


def decoded_size_before_break(encoded: bytes) -> int:
    """Count the bytes that decode before the code byte that points past the end.

    The zero of a block is counted when the next code byte confirms it, as a byte-wise decoder does.
    """
    position = decoded = 0
    zero_is_due = False
    while position < len(encoded):
        code = encoded[position]
        decoded += zero_is_due + min(code - 1, len(encoded) - position - 1)
        position += code
        zero_is_due = code != FULL_BLOCK
    return decoded
