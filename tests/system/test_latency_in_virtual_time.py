"""The latency bound of a stream, on the wire: how old the oldest sample of a frame is when the frame begins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from elves import elf_path
from telemetry_bridge.session import Session
from telemetry_protocol import Decoder, Frame, messages
from virtual_board import VirtualBoard

BOARD = "nucleo_f411re"
STEP_S = 0.001
PING = messages.COMMANDS["ping"]
IDLE_US = 100
"""A frame that begins so long behind the end of the one before did not wait for the line."""
ENCODE_US = 400
"""From the end of a reading to the first bit: the main loop takes the batch and encodes it."""


@dataclass
class Wire:
    """A host that talks to the board, and notes when the frames of its imu begin.

    Attributes:
        frames: begin in us, and what it holds, of each SAMPLES frame of imu that did not wait for the line.
        power_on_us: when the device's clock began; the answer to a ping has the time of its own first bit.
    """

    board: VirtualBoard
    session: Session = field(default_factory=lambda: Session("sim:wire", wall_ns=0, monotonic_ns=0))
    frames: list[tuple[float, messages.Samples]] = field(default_factory=list)
    stream: messages.Stream | None = None
    power_on_us: float = 0.0
    _decoder: Decoder = field(default_factory=Decoder)
    _begin_us: float | None = None
    _ended_us: float = 0.0

    def run(self, seconds: float) -> None:
        """Let virtual time pass."""
        for _ in range(round(seconds / STEP_S)):
            now_ns = self.board.now_us * 1000
            self.session.poll(now_ns)
            self.board.uart.send(self.session.take_output())
            self.board.run(STEP_S)
            for end_us, byte in self._bytes():
                self.session.receive(bytes([byte]), self.board.now_us * 1000)
                self._take(end_us, byte)

    def _bytes(self) -> Iterator[tuple[float, int]]:
        byte_us = 10e6 / 921_600
        for end_ps, data in self.board.uart.take_timed():
            for at, byte in enumerate(data):
                yield end_ps / 1e6 - (len(data) - 1 - at) * byte_us, byte

    def _take(self, end_us: float, byte: int) -> None:
        if self._begin_us is None:
            self._begin_us = end_us - 10e6 / 921_600
        for item in self._decoder.feed(bytes([byte])):
            waited = self._begin_us - self._ended_us < IDLE_US
            message = messages.unpack(item.type, item.payload) if isinstance(item, Frame) else None
            if isinstance(message, messages.Samples) and message.stream_gen & 31 == 0 and not waited:
                self.frames.append((self._begin_us, message))
            if isinstance(message, messages.Stream) and message.stream_gen & 31 == 0:
                self.stream = message
            if isinstance(message, messages.Response) and message.command == PING.id:
                result = PING.unpack_result(message.data)
                assert isinstance(result, dict)
                self.power_on_us = self._begin_us - int(result["sent_us"])
        if byte == 0:
            self._begin_us, self._ended_us = None, end_us

    def set(self, name: str, **args: float) -> None:
        """A command; it must be taken."""
        self.session.command(name, args, self.board.now_us * 1000)
        self.run(0.3)


def begun(i2c: tuple[str, ...], spi: tuple[str, ...], ppm: float) -> Wire:
    wire = Wire(VirtualBoard(elf_path(BOARD), board=BOARD, parts=i2c, spi=spi, seed=1, odr_error_ppm=ppm))
    wire.run(0.5)
    return wire


PLACES = pytest.mark.parametrize(
    ("i2c", "spi", "rate_mhz"),
    [
        (("mpu6050",), (), 1_000_000),
        (("mpu6500",), (), 200_000),
        (("lsm6dso",), (), 1_666_750),
        ((), ("lsm6dso",), 6_667_000),
        ((), ("lsm6dso",), 833_375),
    ],
    ids=str,
)


@PLACES
@pytest.mark.parametrize("wanted_us", [1_000, 0])
def test_no_sample_is_older_than_the_bound_that_is_announced(
    i2c: tuple[str, ...], spi: tuple[str, ...], rate_mhz: int, wanted_us: int
) -> None:
    wire = begun(i2c, spi, -50_000)  # as slow as a sensor's clock may be
    wire.set("set_rate", stream=0, rate_mhz=rate_mhz)
    wire.set("set_latency", stream=0, latency_us=wanted_us)
    assert wire.stream is not None
    assert wire.power_on_us > 0
    assert wire.stream.rate_mhz == rate_mhz
    assert wire.stream.latency_us >= wanted_us
    wire.frames.clear()
    wire.run(0.6)
    assert len(wire.frames) >= 8
    ages = [begin_us - wire.power_on_us - samples.time_us for begin_us, samples in wire.frames]
    assert max(ages) <= wire.stream.latency_us + ENCODE_US, (max(ages), wire.stream.latency_us)
