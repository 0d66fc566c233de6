"""Consistent Overhead Byte Stuffing: Cheshire and Baker, IEEE/ACM Transactions on Networking 7(2), 1999."""

from __future__ import annotations

from cobs import cobs

FULL_BLOCK = 0xFF
"""The code byte that stands for 254 data bytes and no zero."""

CobsError: type[Exception] = cobs.DecodeError
"""A code byte points past the end."""

accelerated: bool = cobs._using_extension
"""Whether the C extension of `cobs` is used; pure Python costs some 100 times as much."""


def encode(data: bytes) -> bytes:
    """Encode without the delimiter. The result has no zero byte."""
    return bytes(cobs.encode(data))


def decode(encoded: bytes) -> bytes:
    """Decode what stood between two delimiters; raise `CobsError` when a code byte points past the end."""
    return bytes(cobs.decode(encoded))


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
