"""The decoder on a stream: chunking makes no difference, noise costs little, nothing raises, memory is bounded."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.c_codec import CCodec
from protocol.support import Codec, frames, repeatable
from telemetry_protocol import ENCODED_MAX, Damage, Decoder, Frame, encode_frame

garbage = st.one_of(
    st.binary(max_size=600),
    st.lists(st.sampled_from([b"\x00", b"\x01", b"\x02", b"\xff", b"\x01" * 500, b"\xa5" * 400]), max_size=8).map(
        b"".join
    ),
)
"""What noise, another protocol or a wrong baud rate looks like."""

encoded_frames = frames.map(lambda frame: encode_frame(frame.type, frame.sequence, frame.payload))
streams = st.lists(st.one_of(garbage, encoded_frames), max_size=6).map(b"".join)


@repeatable
@given(stream=streams, cuts=st.lists(st.integers(0, 4000), max_size=20))
def test_any_chunking_gives_the_same(codec: Codec, stream: bytes, cuts: list[int]) -> None:
    whole = codec.decoder()
    expected = whole.feed(stream)
    in_parts, edges = codec.decoder(), [0, *sorted(cuts), len(stream)]
    parts = [in_parts.feed(stream[begin:end]) for begin, end in itertools.pairwise(edges)]
    assert [one for part in parts for one in part] == expected
    assert in_parts.counters == whole.counters


@repeatable
@given(stream=streams)
def test_byte_by_byte_gives_the_same(codec: Codec, stream: bytes) -> None:
    whole, single = codec.decoder(), codec.decoder()
    out = [one for byte in stream for one in single.feed(bytes([byte]))]
    assert out == whole.feed(stream)
    assert single.counters == whole.counters


@repeatable
@given(stream=streams)
def test_c_and_python_agree_on_any_bytes(c_codec: CCodec, stream: bytes) -> None:
    ours, theirs = Decoder(), c_codec.decoder()
    assert ours.feed(stream) == theirs.feed(stream)
    assert ours.counters == theirs.counters


def test_c_and_python_agree_around_every_limit(c_codec: CCodec) -> None:
    """Chunks of every length around the longest, made of short and of full blocks, whole and cut."""
    rng = random.Random(5)
    stream = bytearray(b"\0")
    for size in range(500, 525):
        for _ in range(40):
            chunk = bytes(rng.choice((1, 1, 1, 2, 3, 255)) for _ in range(size))
            stream += chunk + b"\0" + (b"\xff" + b"\xa5" * 254) * 2 + chunk[: size - 510] + b"\0"
    ours, theirs = Decoder(), c_codec.decoder()
    assert ours.feed(bytes(stream)) == theirs.feed(bytes(stream))
    assert ours.counters == theirs.counters
    assert min(ours.counters.long, ours.counters.cobs, ours.counters.crc) > 10  # the stream does reach every limit


@repeatable
@given(
    before=st.lists(encoded_frames, max_size=3), noise=garbage, after=st.lists(encoded_frames, min_size=1, max_size=4)
)
def test_noise_between_frames_costs_at_most_the_next(
    codec: Codec, before: list[bytes], noise: bytes, after: list[bytes]
) -> None:
    got = [
        one.raw + b"\0"
        for one in codec.decoder().feed(b"".join(before) + noise + b"".join(after))
        if isinstance(one, Frame)
    ]
    assert got[: len(before)] == before
    assert got[-len(after[1:]) or len(got) :] == after[1:]


@repeatable
@given(
    sent=st.lists(encoded_frames, min_size=3, max_size=5),
    victim=st.integers(0, 4),
    at=st.floats(0, 1, exclude_max=True),
    noise=st.binary(min_size=1, max_size=4),
)
def test_noise_in_a_frame_costs_at_most_that_and_the_next(
    codec: Codec, sent: list[bytes], victim: int, at: float, noise: bytes
) -> None:
    victim %= len(sent)
    hit = bytearray(sent[victim])
    place = int(at * len(hit))
    hit[place : place + len(noise)] = noise[: len(hit) - place]
    damaged = [*sent[:victim], bytes(hit), *sent[victim + 1 :]]
    got = [one.raw + b"\0" for one in codec.decoder().feed(b"".join(damaged)) if isinstance(one, Frame)]
    assert got[:victim] == sent[:victim]
    rest = sent[victim + 2 :]
    assert got[len(got) - len(rest) :] == rest


def test_a_frame_is_judged_when_its_delimiter_comes_and_not_before(codec: Codec) -> None:
    decoder = codec.decoder()
    encoded = encode_frame(1, 2, b"abc")
    assert decoder.feed(encoded[:-1]) == []
    assert decoder.counters.frames == 0
    assert decoder.feed(b"\0") == [Frame(1, 2, b"abc", encoded[:-1])]
    assert decoder.feed(b"\0") == []


def test_a_line_that_never_sends_a_delimiter_takes_no_memory() -> None:
    decoder = Decoder()
    for _ in range(100):
        assert decoder.feed(b"\xa5" * 10_000) == []
        assert len(decoder._pending) <= ENCODED_MAX
    assert decoder.feed(b"\0") == [Damage("partial", b"\xa5" * ENCODED_MAX)]


def test_the_bytes_of_an_overlong_chunk_are_cut(codec: Codec) -> None:
    for size in (ENCODED_MAX - 1, ENCODED_MAX, ENCODED_MAX + 1, 3 * ENCODED_MAX):
        (damage,) = codec.decoder().feed(b"\0" + b"\x01" * size + b"\0")
        assert damage == Damage("long", b"\x01" * min(size, ENCODED_MAX))


def test_damaged_is_the_sum_without_the_partial(codec: Codec) -> None:
    decoder = codec.decoder()
    decoder.feed(b"\x05\0\x05\0\x01\0" + b"\x01" * 7 + b"\0" + b"\x01" * 600 + b"\0")
    counters = decoder.counters
    assert (counters.partial, counters.cobs, counters.short, counters.crc, counters.long) == (1, 1, 1, 1, 1)
    assert counters.damaged == 4


class _Forgetful(Decoder):
    """A decoder with a defect that the property tests are there to find: it forgets a byte between two feeds."""

    def feed(self, data: bytes) -> list[Frame | Damage]:
        out = super().feed(data)
        self._pending = self._pending[:-1]
        return out


def test_the_chunking_property_can_fail() -> None:
    """Negative control."""
    stream = b"\0" + encode_frame(1, 2, b"abc")
    broken = _Forgetful()
    assert [one for byte in stream for one in broken.feed(bytes([byte]))] != Decoder().feed(stream)


@pytest.mark.parametrize("kind", ["cobs", "crc", "short", "long"])
def test_damage_keeps_the_bytes_as_they_came(codec: Codec, kind: str) -> None:
    chunk = {"cobs": b"\x05\x7f", "crc": b"\x02\x7e\x05\xa8\xa9\x41\xa9", "short": b"\x02\x41", "long": b"\x01" * 515}[
        kind
    ]
    assert codec.decoder().feed(b"\0" + chunk + b"\0") == [Damage(kind, chunk)]  # type: ignore[arg-type]
