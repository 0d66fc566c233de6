"""Frames one by one: what goes in comes out, and both languages write the same bytes."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bench.c_codec import CCodec
from protocol.support import Codec, payloads, repeatable
from protocol_generator.table import crc32c as crc32c_bit_by_bit
from telemetry_protocol import ENCODED_MAX, PAYLOAD_MAX, Frame, cobs_codec, crc, encode_frame

BYTES = st.integers(0, 255)


@repeatable
@given(type=BYTES, sequence=BYTES, payload=payloads)
@example(type=0, sequence=0, payload=b"")
@example(type=255, sequence=255, payload=b"\xff" * PAYLOAD_MAX)
def test_a_frame_comes_out_as_it_went_in(codec: Codec, type: int, sequence: int, payload: bytes) -> None:
    encoded = codec.encode_frame(type, sequence, payload)
    assert encoded.count(0) == 1
    assert encoded[-1] == 0
    assert len(encoded) <= ENCODED_MAX
    assert codec.decoder().feed(encoded) == [Frame(type, sequence, payload, encoded[:-1])]


@repeatable
@given(type=BYTES, sequence=BYTES, payload=payloads)
def test_c_and_python_encode_the_same_bytes(c_codec: CCodec, type: int, sequence: int, payload: bytes) -> None:
    assert c_codec.encode_frame(type, sequence, payload) == encode_frame(type, sequence, payload)


@pytest.mark.parametrize("size", [PAYLOAD_MAX + 1, PAYLOAD_MAX + 100, 70_000])
def test_a_payload_that_is_too_long_is_refused(codec: Codec, size: int) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 the two codecs word it differently
        codec.encode_frame(1, 0, bytes(size))


@pytest.mark.parametrize("type", [-1, 256])
def test_a_type_that_is_no_byte_is_refused(type: int) -> None:
    with pytest.raises(ValueError, match="not in 0 … 255"):
        encode_frame(type, 0, b"")


def test_the_sequence_is_taken_modulo_256(codec: Codec) -> None:
    assert codec.encode_frame(1, 256 + 7, b"x") == codec.encode_frame(1, 7, b"x")


@pytest.mark.parametrize("size", [0, 1, 247, 248, 249, 501, 502, 503, 506])
def test_c_needs_exactly_the_room_that_the_header_states(c_codec: CCodec, size: int) -> None:
    body = size + 6
    room = body + -(-body // 254) + 1  # TP_ENCODED_SIZE, and what COBS takes at most (Cheshire and Baker, section 3)
    assert len(c_codec.encode_frame(1, 2, b"\xa5" * size, room)) <= room
    with pytest.raises(ValueError, match="returned 0"):
        c_codec.encode_frame(1, 2, b"\xa5" * size, room - 1)


@repeatable
@given(data=st.binary(max_size=300), cut=st.integers(0, 300))
def test_crc_is_the_definition_and_may_be_chained(codec: Codec, c_codec: CCodec, data: bytes, cut: int) -> None:
    expected = crc32c_bit_by_bit(data)
    assert codec.crc32c(data) == expected
    assert c_codec.crc32c(data[cut:], c_codec.crc32c(data[:cut])) == expected
    assert crc.crc32c(data + expected.to_bytes(4, "little")) == crc.RESIDUE


def test_every_entry_of_the_table_of_the_crc_is_right(c_codec: CCodec) -> None:
    """The CRC goes by words: each value of each of the four bytes looks up an entry of its own."""
    for place in range(4):
        for value in range(256):
            word = bytes(place) + bytes([value]) + bytes(3 - place)
            assert c_codec.crc32c(word) == crc32c_bit_by_bit(word)


def test_the_fast_libraries_are_in_use() -> None:
    """The suite runs where a compiler is; without it the bridge has to warn, by these two flags."""
    assert crc.accelerated is True
    assert cobs_codec.accelerated is True


# The examples of the COBS article in Wikipedia, which are those of the paper and more.
@pytest.mark.parametrize(
    ("data", "encoded"),
    [
        ("00", "01 01"),
        ("00 00", "01 01 01"),
        ("00 11 00", "01 02 11 01"),
        ("11 22 00 33", "03 11 22 02 33"),
        ("11 22 33 44", "05 11 22 33 44"),
        ("11 00 00 00", "02 11 01 01 01"),
    ],
)
def test_cobs_examples(data: str, encoded: str) -> None:
    assert cobs_codec.encode(bytes.fromhex(data)) == bytes.fromhex(encoded)
    assert cobs_codec.decode(bytes.fromhex(encoded)) == bytes.fromhex(data)


def test_cobs_of_254_bytes_has_no_code_byte_at_the_end() -> None:
    run = bytes(range(1, 255))
    assert cobs_codec.encode(run) == b"\xff" + run
    assert cobs_codec.decode(b"\xff" + run) == cobs_codec.decode(b"\xff" + run + b"\x01") == run
