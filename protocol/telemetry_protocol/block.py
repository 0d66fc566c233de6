"""Many frames at once: what a recording holds, decoded some times faster than as it came.

The verdicts are those of :class:`~telemetry_protocol.decoder.Decoder`, the values those of
:class:`~telemetry_protocol.samples.SampleLayout`; only the order of the work differs. The samples of all frames of a
stream become one array instead of one array a frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from .cobs_codec import CobsError, decode
from .crc import all_right
from .decoder import judge
from .frames import CRC_SIZE, DECODED_MAX, DECODED_MIN, ENCODED_MAX, HEADER_SIZE, Damage, Frame
from .messages import Samples
from .samples import SampleLayout

_HEADER: Final = np.dtype(
    [
        ("type", "u1"),
        ("sequence", "u1"),
        ("stream_gen", "u1"),
        ("index", "<u4"),
        ("time_low", "<u4"),
        ("time_high", "<u2"),
    ]
)
"""A SAMPLES frame up to its data (SPEC.md, SAMPLES)."""
_SEGMENT: Final = 256
"""Frames that are decoded together; one that is damaged sends its segment the slow way."""


@dataclass(frozen=True, slots=True, eq=False)
class SampleBlock:
    """All SAMPLES frames of one stream and one generation of its descriptor, in order.

    Generations come round again after eight: where the descriptor changes in between, ``position`` beside that of the
    STREAM messages tells which frames are of which.

    Attributes:
        stream_gen: stream and generation, as on the wire.
        position: int64 [frames], place of each frame among all that was decoded.
        sequence: uint8 [frames], the frames' sequence numbers.
        index: uint32 [frames], index of each frame's first sample.
        time_us: uint64 [frames], device time of each frame's first sample.
        sizes: int64 [frames], bytes of samples in each frame.
        data: the samples of all frames, one behind the other.
    """

    stream_gen: int
    position: npt.NDArray[np.int64]
    sequence: npt.NDArray[np.uint8]
    index: npt.NDArray[np.uint32]
    time_us: npt.NDArray[np.uint64]
    sizes: npt.NDArray[np.int64]
    data: bytes

    def si(self, layout: SampleLayout) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Samples of each frame, int64 [frames], and all of them in SI units, float32 [fields, samples].

        A frame that is not a whole number of samples has none.
        """
        counts, rest = np.divmod(self.sizes, layout.size)
        if not rest.any():
            return counts, layout.si(self.data)
        ends = np.cumsum(self.sizes)
        whole = [self.data[end - size : end] for end, size, odd in zip(ends, self.sizes, rest, strict=True) if not odd]
        return np.where(rest, 0, counts), layout.si(b"".join(whole))


@dataclass(frozen=True, slots=True)
class Block:
    """What some bytes held.

    Attributes:
        samples: SAMPLES by their ``stream_gen``.
        others: all other frames and the damage, each with its place among all that was decoded.
        total: how many frames and pieces of damage there were.
        rest: bytes behind the last delimiter, for the next block to start with.
    """

    samples: dict[int, SampleBlock]
    others: list[tuple[int, Frame | Damage]]
    total: int
    rest: bytes


def decode_block(data: bytes, *, synchronised: bool = False) -> Block:
    """Decode whole recorded bytes, or a part of them.

    Args:
        data: any number of frames; memory of about three times its size is used, and 64 KiB to 1 MiB are fastest.
        synchronised: a delimiter stood right before ``data``; else damage before the first one is ``partial``.
    """
    chunks = data.split(b"\x00")
    rest = chunks.pop()
    others: list[tuple[int, Frame | Damage]] = []
    if chunks and chunks[0] and not synchronised:
        verdict = judge(chunks[0])
        if isinstance(verdict, Damage):
            others.append((0, Damage("partial", verdict.raw)))
            chunks[0] = b""
    chunks = [chunk for chunk in chunks if chunk]
    places = np.arange(len(chunks)) + len(others)
    total = len(chunks) + len(others)
    bodies: list[bytes] = []
    damaged: list[int] = []
    for start in range(0, len(chunks), _SEGMENT):
        segment = chunks[start : start + _SEGMENT]
        decoded = _decode_clean(segment)
        if decoded is None:
            decoded = []
            for number, chunk in enumerate(segment, start):
                verdict = judge(chunk)
                if isinstance(verdict, Damage):
                    others.append((int(places[number]), verdict))
                    damaged.append(number)
                else:
                    decoded.append(decode(chunk))
        bodies += decoded
    if damaged:
        gone = set(damaged)
        chunks = [chunk for number, chunk in enumerate(chunks) if number not in gone]
        places = np.delete(places, damaged)
    return Block(_sort(bodies, chunks, places, others), sorted(others, key=_place), total, rest)


def _place(item: tuple[int, Frame | Damage]) -> int:
    return item[0]


def _decode_clean(chunks: list[bytes]) -> list[bytes] | None:
    """The decoded frames; None if one of them is damaged."""
    try:
        bodies = [decode(chunk) for chunk in chunks]
    except CobsError:
        return None
    sizes = [len(body) for body in bodies]
    if min(sizes) < DECODED_MIN or max(sizes) > DECODED_MAX or max(map(len, chunks)) >= ENCODED_MAX:
        return None
    return bodies if all_right(bodies) else None


def _sort(
    bodies: list[bytes],
    chunks: list[bytes],
    places: npt.NDArray[np.int64],
    others: list[tuple[int, Frame | Damage]],
) -> dict[int, SampleBlock]:
    """Samples by their ``stream_gen``; every other frame goes to ``others``."""
    start = _HEADER.itemsize
    sizes = np.fromiter(map(len, bodies), np.int64, len(bodies)) - (start + CRC_SIZE)
    starts = [body[:start] for body in bodies]
    if len(bodies) and sizes.min() < -CRC_SIZE:  # a frame shorter than the header of SAMPLES
        starts = [one.ljust(start, b"\0") for one in starts]
    heads = np.frombuffer(b"".join(starts), _HEADER)
    is_samples = (heads["type"] == Samples.TYPE) & (sizes >= 0)
    for number in np.flatnonzero(~is_samples):
        body = bodies[number]
        frame = Frame(body[0], body[1], body[HEADER_SIZE:-CRC_SIZE], chunks[number])
        others.append((int(places[number]), frame))
    found = {}
    for key in np.unique(heads["stream_gen"][is_samples]):
        mine = np.flatnonzero(is_samples & (heads["stream_gen"] == key))
        head = heads[mine]
        found[int(key)] = SampleBlock(
            int(key),
            places[mine],
            head["sequence"].copy(),
            head["index"].copy(),
            head["time_low"] + (head["time_high"].astype(np.uint64) << np.uint64(32)),
            sizes[mine],
            b"".join([bodies[number][start:-CRC_SIZE] for number in mine.tolist()]),
        )
    return found
