"""Bytes in, frames and damage out. No I/O, no clock; nothing raises; memory is bounded by one frame."""

from __future__ import annotations

from dataclasses import dataclass

from .cobs_codec import CobsError, decode, decoded_size_before_break
from .crc import RESIDUE, crc32c
from .frames import CRC_SIZE, DECODED_MAX, DECODED_MIN, ENCODED_MAX, HEADER_SIZE, Damage, Frame

_new_frame = tuple.__new__  # half the time of Frame(...)


@dataclass(slots=True)
class Counters:
    """What a decoder has seen since it was made. Each chunk between two delimiters is counted once."""

    bytes: int = 0
    """Every byte fed, delimiters included."""
    frames: int = 0
    cobs: int = 0
    crc: int = 0
    short: int = 0
    long: int = 0
    partial: int = 0

    @property
    def damaged(self) -> int:
        """Chunks that the line damaged: all but the good and the partial."""
        return self.cobs + self.crc + self.short + self.long


def judge(chunk: bytes) -> Frame | Damage:
    """Give the verdict of SPEC.md, "Receiving", on what stood between two delimiters: at least a byte, no zero."""
    if len(chunk) >= ENCODED_MAX:
        return Damage("long", chunk[:ENCODED_MAX])
    try:
        decoded = decode(chunk)
    except CobsError:
        return Damage("long" if decoded_size_before_break(chunk) > DECODED_MAX else "cobs", chunk)
    size = len(decoded)
    if size > DECODED_MAX:
        return Damage("long", chunk)
    if size < DECODED_MIN:
        return Damage("short", chunk)
    if crc32c(decoded) != RESIDUE:
        return Damage("crc", chunk)
    return _new_frame(Frame, (decoded[0], decoded[1], decoded[HEADER_SIZE:-CRC_SIZE], chunk))


class Decoder:
    """Finds the frames in a stream of bytes.

    How the stream is cut into calls of `feed` makes no difference to what comes out. A chunk is judged when its
    delimiter arrives, never before.
    """

    def __init__(self) -> None:
        self.counters = Counters()
        self._pending = b""  # since the last delimiter; never more than ENCODED_MAX bytes, which say "long"
        self._synchronised = False  # a delimiter has been seen

    def feed(self, data: bytes) -> list[Frame | Damage]:
        """Take the next bytes of the stream and return what is complete now, in order."""
        counters = self.counters
        counters.bytes += len(data)
        chunks = data.split(b"\x00")
        rest = chunks.pop()
        if not chunks:
            if len(self._pending) < ENCODED_MAX:
                self._pending = (self._pending + rest)[:ENCODED_MAX]
            return []
        chunks[0] = self._pending + chunks[0]
        self._pending = rest[:ENCODED_MAX]
        out: list[Frame | Damage] = []
        for chunk in chunks:
            if chunk:
                verdict = judge(chunk)
                if isinstance(verdict, Frame):
                    counters.frames += 1
                else:
                    if not self._synchronised:  # the receiver came in mid-frame
                        verdict = Damage("partial", verdict.raw)
                    setattr(counters, verdict.kind, getattr(counters, verdict.kind) + 1)
                out.append(verdict)
            self._synchronised = True
        return out
