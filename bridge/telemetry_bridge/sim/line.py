"""The simulated board's transmitter: frames leave at the pace of the baud rate, answers before waiting samples."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from telemetry_bridge.sim.rate import Rate
from telemetry_protocol import Message, encode_frame, messages

RING_BYTES: Final = 4096
"""Bytes that may wait; what does not fit is lost in the ring."""
RESERVE_BYTES: Final = 512
"""Of the ring, kept free of SAMPLES: HEALTH must get through to say what was lost."""
_FRAMING_BYTES: Final = 9
"""Type, sequence, CRC, COBS and delimiter of a short frame, for the account of what waits."""


class Line:
    """UART of the board, 8N1. A frame gets its sequence number and its last field values when its first byte leaves."""

    def __init__(self, baud: int) -> None:
        self.rate = Rate(baud)
        self.sequence = 0
        self.cut_frames = 0
        """Frames that the wire is going to swallow."""
        self.flip_frames = 0
        """Frames in which the wire is going to flip a bit."""
        self._answers: deque[tuple[int, Callable[[int], Message]]] = deque()  # queued at host ns, what
        self._waiting: deque[tuple[int, int, bytes]] = deque()  # queued at host ns, type, payload
        self._waiting_bytes = 0
        self._leaving = b""  # the frame on its way
        self._leaving_from_ns = 0
        self._left = 0  # bytes of it that have been handed out
        self._free_ns = 0

    @property
    def baud(self) -> int:
        """The rate in force."""
        return self.rate.baud

    def answer(self, make: Callable[[int], Message], now_ns: int) -> None:
        """Queue an answer ahead of what waits; ``make`` is called with the host's time of its first byte."""
        self._answers.append((now_ns, make))

    def send(self, message: Message, now_ns: int) -> bool:
        """Queue a message; False if the ring is full."""
        payload = message.pack()
        room = RING_BYTES - RESERVE_BYTES if message.TYPE == messages.Samples.TYPE else RING_BYTES
        if self._waiting_bytes + len(payload) + _FRAMING_BYTES > room:
            return False
        self._waiting.append((now_ns, message.TYPE, payload))
        self._waiting_bytes += len(payload) + _FRAMING_BYTES
        return True

    def advance(self, now_ns: int) -> bytes:
        """Bytes that have left by ``now_ns``. To be called before anything new is queued at that time."""
        out = bytearray()
        while True:
            if self._leaving:
                left = min((now_ns - self._leaving_from_ns) * self.baud // 10_000_000_000, len(self._leaving))
                out += self._leaving[self._left : left]
                self._left = max(left, self._left)
                if left < len(self._leaving):
                    break
                self._leaving = b""
            if not self._start(now_ns):
                break
        return bytes(out)

    def next_ns(self) -> int | None:
        """When the last byte of the frame on its way will have left; None while nothing moves."""
        if self._leaving:
            return self._free_ns
        moves = self._answers or self.rate.next is not None or (self._waiting and self.rate.steady)
        return self._free_ns if moves else None

    def clear(self) -> None:
        """Reset: what waits and what is on its way is gone, sequence and rate start again."""
        self.rate = Rate(self.rate.default)
        self._answers.clear()
        self._waiting.clear()
        self._waiting_bytes = 0
        self._leaving = b""
        self.sequence = 0

    def _start(self, now_ns: int) -> bool:
        """Begin with the next frame if there is one; the line has been free since ``_free_ns``."""
        if not self._answers and self._free_ns <= now_ns:
            self.rate.drained(max(self._free_ns, now_ns))
        queue = self._answers or (self._waiting if self.rate.steady else ())
        if not queue:
            return False
        start_ns = max(self._free_ns, queue[0][0])
        if start_ns > now_ns:
            return False
        if self._answers:
            _, make = self._answers.popleft()
            message = make(start_ns)
            type, payload = message.TYPE, message.pack()
        else:
            _, type, payload = self._waiting.popleft()
            self._waiting_bytes -= len(payload) + _FRAMING_BYTES
        frame = encode_frame(type, self.sequence, payload)
        self.sequence = (self.sequence + 1) & 0xFF
        self._leaving_from_ns = start_ns
        self._free_ns = start_ns + -(-len(frame) * 10_000_000_000 // self.baud)
        self._leaving, self._left = self._damage(frame), 0
        return True

    def _damage(self, frame: bytes) -> bytes:
        if self.cut_frames:
            self.cut_frames -= 1
            return b""
        if self.flip_frames:
            self.flip_frames -= 1
            middle = len(frame) // 2
            flipped = frame[middle] ^ 1 or 2  # a flip, but no delimiter
            return frame[:middle] + bytes([flipped]) + frame[middle + 1 :]
        return frame
