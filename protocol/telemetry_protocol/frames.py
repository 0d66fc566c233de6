"""A frame: ``COBS(type u8 | sequence u8 | payload | CRC-32C u32) 0x00``. See SPEC.md, "Frame"."""

from __future__ import annotations

from typing import Literal, NamedTuple

from . import cobs_codec
from .crc import crc32c

HEADER_SIZE = 2
"""Bytes before the payload: type and sequence."""
CRC_SIZE = 4
DECODED_MIN = HEADER_SIZE + CRC_SIZE
DECODED_MAX = 512
PAYLOAD_MAX = DECODED_MAX - DECODED_MIN
ENCODED_MAX = 516
"""Bytes of the longest encoded frame, its delimiter included."""
DELIMITER = b"\x00"

DamageKind = Literal["cobs", "crc", "short", "long", "partial"]
"""Verdicts of SPEC.md, "Receiving". ``partial`` stood before the first delimiter; it is no damage of the line."""


class Frame(NamedTuple):
    """A frame whose CRC is right."""

    type: int
    """Message id, 0 … 255; known or not."""
    sequence: int
    """Counts the frames of this direction, modulo 256."""
    payload: bytes
    raw: bytes
    """Encoded bytes as received, without the delimiter."""


class Damage(NamedTuple):
    """Bytes up to a delimiter that are not a frame."""

    kind: DamageKind
    raw: bytes
    """Encoded bytes as received, without the delimiter; cut to 516 bytes, one more than a frame can have."""


def encode_frame(type: int, sequence: int, payload: bytes) -> bytes:
    """Encode one frame, delimiter included.

    Args:
        type: message id, 0 … 255.
        sequence: number of the frame; taken modulo 256.
        payload: 0 … 506 bytes.

    Raises:
        ValueError: the payload is too long, or `type` is not a byte.
    """
    if len(payload) > PAYLOAD_MAX:
        raise ValueError(f"payload of {len(payload)} bytes: a frame holds {PAYLOAD_MAX}")
    if not 0 <= type <= 0xFF:
        raise ValueError(f"message type {type} is not in 0 … 255")
    body = bytes((type, sequence & 0xFF)) + payload
    return cobs_codec.encode(body + crc32c(body).to_bytes(CRC_SIZE, "little")) + DELIMITER
