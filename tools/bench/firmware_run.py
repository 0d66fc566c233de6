"""The firmware on the virtual board, for the benchmarks that count what it does."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import demo
from telemetry_protocol import Decoder, Frame, messages
from virtual_board import VirtualBoard
from virtual_board.motion import Hand

WARM_UP_S = 1.0
SECONDS = 10.0
IMU = 0


@dataclass(frozen=True)
class Run:
    """What ten virtual seconds brought.

    Attributes:
        samples: of the stream imu.
        imu_bytes: bytes on the wire of the frames that carried them, all framing included.
        all_bytes: bytes on the wire altogether.
        instructions: retired outside WFI.
    """

    samples: int
    imu_bytes: int
    all_bytes: int
    instructions: int


def elf(board: str) -> Path:
    """The image of a board, built if need be."""
    return demo.build(board)


def stream(board: str) -> Run:
    """Let the firmware stream at its default rate.

    Raises:
        RuntimeError: the sensor did not stream, or frames were damaged.
    """
    machine = VirtualBoard(elf(board), board=board, motion=Hand(seed=1), seed=1)
    machine.run(seconds=WARM_UP_S)
    machine.uart.take()
    begin = machine.instructions
    machine.run(seconds=SECONDS)
    data = machine.uart.take()
    samples = imu_bytes = 0
    decoder = Decoder()
    for item in decoder.feed(data):
        if not isinstance(item, Frame):
            continue  # the first piece, cut by the warm-up
        message = messages.unpack(item.type, item.payload)
        if isinstance(message, messages.Samples) and message.stream == IMU:
            samples += len(message.data) // 12
            imu_bytes += len(item.raw) + 1
    if decoder.counters.damaged or samples < 0.9 * 1000 * SECONDS:
        raise RuntimeError(f"{board}: {samples} samples, {decoder.counters} in {SECONDS} virtual seconds")
    return Run(samples, imu_bytes, len(data), machine.instructions - begin)


if __name__ == "__main__":
    print(stream(sys.argv[1]))
