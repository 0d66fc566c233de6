"""A board on the host: the whole application in a harness program, its interrupts raised from here.

The MPU-6050 is a model of its registers after RM-MPU-6000A-00 rev. 4.2; it knows nothing of the driver.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from firmware.host_build import Harness
from telemetry_protocol import Decoder, Frame, Message, encode_frame, messages

TICK_US = 10_000
OK, NACK, ARBITRATION, TIMEOUT = range(4)
BURST_US = 400  # a burst of 14 bytes at 400 kHz


@dataclass
class Mpu6050:
    """Registers of the sensor. Sections refer to RM-MPU-6000A-00."""

    values: Callable[[int], tuple[int, ...]] = lambda n: (n % 32768, -(n % 32768), 8192, 4000, n % 7, -1, -2)
    """Sample number -> accelerometer x y z, temperature, gyroscope x y z (4.17 to 4.19), each int16."""
    registers: bytearray = field(default_factory=lambda: Mpu6050.power_on())  # noqa: PLW0108 - the class is not complete yet
    samples: int = 0

    @staticmethod
    def power_on() -> bytearray:
        """All zero but PWR_MGMT_1 (asleep) and WHO_AM_I (section 3)."""
        registers = bytearray(128)
        registers[0x6B] = 0x40
        registers[0x75] = 0x68
        return registers

    def write(self, register: int, data: bytes) -> None:
        """A write transfer; DEVICE_RESET (4.28) brings the defaults back."""
        for offset, value in enumerate(data):
            if register + offset == 0x6B and value & 0x80:
                self.registers = self.power_on()
            else:
                self.registers[register + offset] = value

    def read(self, register: int, size: int) -> bytes:
        """A read transfer."""
        return bytes(self.registers[register : register + size])

    @property
    def period_us(self) -> int | None:
        """Distance of data-ready edges: Fs / (1 + SMPLRT_DIV) (4.2), None while asleep or not enabled (4.15)."""
        awake = not self.registers[0x6B] & 0x40
        if not awake or not self.registers[0x38] & 0x01:
            return None
        filtered = self.registers[0x1A] & 7 not in (0, 7)
        return (1000 if filtered else 125) * (1 + self.registers[0x19])

    def convert(self) -> None:
        """A new sample goes into the data registers, big-endian."""
        struct.pack_into(">7h", self.registers, 0x3B, *self.values(self.samples))
        self.samples += 1


class HostBoard:
    """One boot of the application. Time moves in run(); nothing else happens by itself."""

    def __init__(self, *, bus: bool = True, adc: bool = True, baud: int = 921_600, imu: Mpu6050 | None = None) -> None:
        self.imu = imu or Mpu6050()
        self.imu_status = OK  # what the next transfers end with; None: they never end
        self.imu_answers = True
        self.imu_takes_half = False  # writes end, not acknowledged, behind their first byte
        self.edges_connected = True
        self.line_blocked = False
        self.now_us = 0
        self.received: list[Message] = []
        self.frames: list[Frame] = []
        self.reset = False
        self.feeds = 0
        self._decoder = Decoder()
        self._sequence = 0
        self._next_tick_us = TICK_US
        self._next_edge_us = 0
        self._transfer_ends_us: int | None = None
        self._adc_ends_us: int | None = None
        self._block_ends_us: int | None = None
        self._block = self._transfer = "-"
        self.harness = Harness("board")
        self._update(self.harness.ask(f"boot {int(bus)} {int(adc)} {baud}"))

    def close(self) -> None:
        """End the program."""
        self.harness.close()

    # -- raising interrupts

    def _update(self, answer: str) -> None:
        self._block, self._transfer, converting, reset, feeds, baud = answer.split()
        self.baud = int(baud)
        self.reset = reset == "1"
        self.feeds = int(feeds)
        if self._transfer == "-":
            self._transfer_ends_us = None
        elif self._transfer_ends_us is None and self.imu_answers:
            self._transfer_ends_us = self.now_us + BURST_US
        if converting == "1" and self._adc_ends_us is None:
            self._adc_ends_us = self.now_us + 800
        if self._block == "-":
            self._block_ends_us = None
        elif self._block_ends_us is None:
            self._block_ends_us = self.now_us + len(self._block) // 2 * 10_000_000 // self.baud + 1

    def ask(self, line: str) -> None:
        """Raise one interrupt, at the time it is now."""
        self.harness.ask(f"time {self.now_us}")
        self._update(self.harness.ask(line))

    def _finish_transfer(self) -> None:
        kind, _, register, rest = self._transfer.split(":")
        self._transfer_ends_us = None
        if self.imu_status != OK:
            self.ask(f"finish {self.imu_status}")
        elif kind == "w" and self.imu_takes_half:
            self.imu.write(int(register), bytes.fromhex(rest)[:1])
            self.ask(f"finish {NACK}")
        elif kind == "w":
            self.imu.write(int(register), bytes.fromhex(rest))
            self.ask(f"finish {OK}")
        else:
            self.ask(f"finish {OK} {self.imu.read(int(register), int(rest)).hex()}")

    def _finish_block(self) -> None:
        for item in self._decoder.feed(bytes.fromhex(self._block)):
            assert isinstance(item, Frame), item
            self.frames.append(item)
            message = messages.unpack(item.type, item.payload)
            assert isinstance(message, Message), message
            self.received.append(message)
        self._block_ends_us = None
        self._block = "-"
        self.ask("sent")

    def _edge(self) -> None:
        period_us = self.imu.period_us
        assert period_us is not None
        self._next_edge_us = self.now_us + period_us
        self.imu.convert()
        if self.edges_connected:
            self.ask("edge")

    def _tick(self) -> None:
        self._next_tick_us += TICK_US
        self.ask("tick")

    def _finish_series(self) -> None:
        self._adc_ends_us = None
        self.ask("adc 15760 24000")

    def run(self, seconds: float) -> None:
        """Let virtual time pass."""
        end_us = self.now_us + round(seconds * 1e6)
        while not self.reset:
            period_us = self.imu.period_us
            if period_us is not None and self._next_edge_us < self.now_us:
                self._next_edge_us = self.now_us + period_us
            due: list[tuple[int | None, Callable[[], None]]] = [
                (self._transfer_ends_us, self._finish_transfer),
                (self._next_edge_us if period_us is not None else None, self._edge),
                (self._next_tick_us, self._tick),
                (self._adc_ends_us, self._finish_series),
                (None if self.line_blocked else self._block_ends_us, self._finish_block),
            ]
            at, handle = min(((at, what) for at, what in due if at is not None), key=lambda entry: entry[0])
            if at > end_us:
                break
            self.now_us = max(self.now_us, at)
            handle()
        self.now_us = end_us

    # -- the line

    def send(self, data: bytes) -> None:
        """Bytes from the host, as they are."""
        self.ask(f"rx {data.hex()}")

    def command(self, name: str, *, request: int = 1, **args: int) -> None:
        """Send a command of the table."""
        spec = messages.COMMANDS[name]
        payload = messages.Command(request=request, command=spec.id, args=spec.pack_args(**args)).pack()
        self._sequence += 1
        self.send(encode_frame(messages.Command.TYPE, self._sequence & 0xFF, payload))

    def responses(self) -> list[messages.Response]:
        """Every answer so far."""
        return [message for message in self.received if isinstance(message, messages.Response)]

    def call(self, name: str, *, request: int = 1, **args: int) -> messages.Response:
        """Send a command and run until its one answer is here."""
        before = len(self.responses())
        self.command(name, request=request, **args)
        for _ in range(100):
            self.run(0.01)
            answers = self.responses()[before:]
            if answers:
                assert len(answers) == 1
                return answers[0]
        raise AssertionError(f"no answer to {name}")

    def samples(self, stream: int) -> list[messages.Samples]:
        """SAMPLES of a stream so far."""
        return [
            message
            for message in self.received
            if isinstance(message, messages.Samples) and message.stream_gen & 31 == stream
        ]

    def logs(self) -> list[str]:
        """Texts of LOG so far."""
        return [message.text for message in self.received if isinstance(message, messages.Log)]

    def health(self) -> messages.Health:
        """A HEALTH of now."""
        self.call("get_health")
        self.run(0.02)
        return [message for message in self.received if isinstance(message, messages.Health)][-1]
