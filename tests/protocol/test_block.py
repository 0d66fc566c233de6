"""Decoding many frames at once gives what decoding them one by one gives."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry_protocol import Damage, Decoder, Frame, SampleLayout, crc, encode_frame, messages, unpack
from telemetry_protocol.block import Block, decode_block


def layout(types: list[messages.FieldType]) -> SampleLayout:
    fields = tuple(
        messages.FieldDescriptor(type=one, scale=0.001 * (n + 1), offset=0.0, full_scale=0.0, name=f"f{n}", unit="1")
        for n, one in enumerate(types)
    )
    return SampleLayout(
        messages.Stream(
            stream_gen=0,
            rate_mhz=1,
            group_delay_us=0,
            fifo_depth=0,
            name="s",
            sensor="",
            fields=fields,
            latency_us=0,
            enabled=1,
        )
    )


IMU = layout([messages.FieldType.I16] * 6)

sample_frames = st.builds(
    lambda key, index, time_us, data, sequence: encode_frame(
        messages.Samples.TYPE, sequence, messages.Samples(key, index, time_us, data).pack()
    ),
    st.sampled_from([0, 1, 0x21]),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**48 - 1),
    st.one_of(st.binary(max_size=300), st.integers(0, 40).map(lambda n: bytes(range(12)) * n)),
    st.integers(0, 255),
)
other_frames = st.builds(encode_frame, st.integers(0, 255), st.integers(0, 255), st.binary(max_size=60))
noise = st.one_of(st.binary(max_size=40), st.binary(min_size=515, max_size=520).map(lambda b: b.replace(b"\0", b"\1")))


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    frame = bytearray(draw(sample_frames))
    frame[draw(st.integers(0, len(frame) - 1))] ^= 1 << draw(st.integers(0, 7))
    return bytes(frame)


recordings = st.lists(st.one_of(sample_frames, other_frames, noise, damaged()), max_size=30).map(b"".join)


def in_order(block: Block) -> list[object]:
    """The block as a list of what a decoder gives, SAMPLES as messages with their sequence."""
    found: dict[int, object] = dict(block.others)
    for key, samples in block.samples.items():
        ends = np.cumsum(samples.sizes)
        for n in range(len(ends)):
            data = samples.data[ends[n] - samples.sizes[n] : ends[n]]
            message = messages.Samples(key, int(samples.index[n]), int(samples.time_us[n]), data)
            found[int(samples.position[n])] = (int(samples.sequence[n]), message)
    assert sorted(found) == list(range(block.total))
    return [found[position] for position in range(block.total)]


def one_by_one(verdicts: list[Frame | Damage]) -> list[object]:
    out: list[object] = []
    for verdict in verdicts:
        message = unpack(verdict.type, verdict.payload) if isinstance(verdict, Frame) else None
        if isinstance(verdict, Frame) and isinstance(message, messages.Samples):
            out.append((verdict.sequence, message))
        else:
            out.append(verdict)
    return out


@given(recordings)
def test_frames_samples_and_damage_are_those_of_the_decoder(data: bytes) -> None:
    decoder = Decoder()
    assert in_order(decode_block(data)) == one_by_one(decoder.feed(data))


@given(recordings, recordings)
def test_a_recording_may_be_cut_anywhere(first: bytes, second: bytes) -> None:
    decoder = Decoder()
    whole = one_by_one(decoder.feed(first + second))
    head = decode_block(first)
    tail = decode_block(head.rest + second, synchronised=b"\0" in first)
    assert in_order(head) + in_order(tail) == whole


@given(recordings)
def test_values_are_those_of_the_frames(data: bytes) -> None:
    for key, samples in decode_block(data).samples.items():
        counts, values = samples.si(IMU)
        pieces = []
        for verdict in Decoder().feed(data):
            message = unpack(verdict.type, verdict.payload) if isinstance(verdict, Frame) else None
            if isinstance(message, messages.Samples) and message.stream_gen == key:
                whole = len(message.data) % IMU.size == 0
                pieces.append(IMU.si(message.data if whole else b""))
        assert counts.tolist() == [piece.shape[1] for piece in pieces]
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values, np.hstack(pieces))


def test_nothing_is_nothing() -> None:
    block = decode_block(b"")
    assert (block.samples, block.others, block.total, block.rest) == ({}, [], 0, b"")


def test_a_frame_of_samples_without_samples_has_none() -> None:
    frame = encode_frame(messages.Samples.TYPE, 7, messages.Samples(1, 5, 2**47, b"").pack())
    samples = decode_block(frame).samples[1]
    counts, values = samples.si(IMU)
    assert counts.tolist() == [0]
    assert values.shape == (6, 0)
    assert samples.time_us.tolist() == [2**47]
    assert samples.sequence.tolist() == [7]


@given(st.lists(st.binary(max_size=520), max_size=8), st.booleans())
def test_both_checksums_agree(bodies: list[bytes], spoil: bool) -> None:
    right = [body + crc.crc32c(body).to_bytes(4, "little") for body in bodies]
    if spoil and right:
        right[-1] = bytes([right[-1][0] ^ 1]) + right[-1][1:]
    spoilt = spoil and bool(right)
    assert crc.all_right(right) is not spoilt
    assert (list(map(crc.crcmod_crc32c, right)).count(crc.RESIDUE) == len(right)) is not spoilt


def test_without_the_processor_s_checksum_it_is_crcmod_s(monkeypatch: pytest.MonkeyPatch) -> None:
    assert crc.crc32c is not crc.crcmod_crc32c, "pip install google-crc32c"
    monkeypatch.setitem(sys.modules, "google_crc32c", None)
    assert crc._fastest() is crc.crcmod_crc32c
