"""A board on the host: the whole application in a harness program, its interrupts raised from here.

Its sensors are the register models of the virtual board, on buses without wires: a transfer happens at once, when its
time is over.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from firmware.host_build import Harness
from telemetry_protocol import Decoder, Frame, Message, encode_frame, messages
from virtual_board.motion import Motion, Still
from virtual_board.net import Net
from virtual_board.sensors import lsm6dso, mpu6050, mpu6500
from virtual_board.timebase import Timebase

TICK_US = 10_000
OK, NACK, ARBITRATION, TIMEOUT = range(4)
ADDRESS_US, BYTE_US = 80, 22.5
"""On I2C at 400 kHz: start, addresses and register; a byte."""
I2C, SPI = range(2)


class Sensor(Protocol):
    """A device with registers and an interrupt pin."""

    address: int
    interrupt: Net
    present: bool
    odr_error_ppm: float

    @property
    def samples(self) -> int:
        """Taken since power-on."""

    def start(self, *, read: bool) -> bool:
        """Addressed."""

    def write(self, byte: int) -> bool:
        """A byte to it."""

    def read_block(self, count: int) -> bytes:
        """Bytes from it."""

    def stop(self) -> None:
        """The transfer is over."""

    def power_on(self) -> None:
        """Its supply comes up."""

    def power_off(self) -> None:
        """Its supply is gone."""


MODELS: dict[str, Callable[..., Sensor]] = {
    "mpu6050": mpu6050.Mpu6050,
    "mpu6500": mpu6500.Mpu6500,
    "lsm6dso": lsm6dso.Lsm6dso,
}


class HostBoard:
    """One boot of the application. Time moves in run(); nothing else happens by itself."""

    def __init__(
        self,
        *,
        bus: bool = True,
        adc: bool = True,
        baud: int = 921_600,
        part: str = "mpu6050",
        motion: Motion | None = None,
        address: int | None = None,
        line: int = I2C,
        flash: Path | None = None,
    ) -> None:
        """Boot. `flash`: the file with the two configuration slots; it need not be there yet."""
        self.time = Timebase(1_000_000)  # a cycle is a microsecond
        where = {} if address is None else {"address": address}
        self.imu = MODELS[part](self.time, motion or Still(), noise=False, **where)
        self.line = line
        self.edges: list[int] = []  # when the data-ready line rose
        self.imu.interrupt.watchers.append(self._line_changed)
        self.imu_status = OK  # what the next transfers end with; None: they never end
        self.imu_answers = True
        self.writes = 0  # that the sensor took
        self.refused_write = -1  # number of the one that it takes, but does not acknowledge
        self._lines: list[int] = []
        self.edges_connected = True
        self.rising_edges_lost = 0  # so many of the next change the level, but raise no interrupt
        self.line_blocked = False
        self.now_us = 0
        self.received: list[Message] = []
        self.frames: list[Frame] = []
        self.reset = False
        self.feeds = 0
        self.nobody = 0  # transfers to an I2C address that nobody acknowledged
        self._decoder = Decoder()
        self._sequence = 0
        self._next_tick_us = TICK_US
        self._transfer_ends_us: list[int | None] = [None, None]
        self._adc_ends_us: int | None = None
        self._block_ends_us: int | None = None
        self._block = "-"
        self._transfers = ["-", "-"]
        self.harness = Harness("board")
        if flash is not None:
            self.harness.ask(f"flash {flash}")
        self._update(self.harness.ask(f"boot {int(bus)} {int(adc)} {baud}"))

    def close(self) -> None:
        """End the program."""
        self.harness.close()

    # -- raising interrupts

    def _update(self, answer: str) -> None:
        self._block, *self._transfers, converting, reset, feeds, baud = answer.split()
        self.baud = int(baud)
        self.reset = reset == "1"
        self.feeds = int(feeds)
        for bus, transfer in enumerate(self._transfers):
            if transfer == "-":
                self._transfer_ends_us[bus] = None
            elif self._transfer_ends_us[bus] is None and (self.imu_answers or bus != self.line):
                self._transfer_ends_us[bus] = self.now_us + self._duration_us(bus)
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

    @property
    def transfer(self) -> str:
        """What is under way on the sensor's bus, as the harness tells it."""
        return self._transfers[self.line]

    def end_transfer(self) -> None:
        """Let a transfer that hangs end now."""
        self._transfer_ends_us[self.line] = self.now_us

    def _duration_us(self, bus: int) -> int:
        kind, _, _, rest = self._transfers[bus].split(":")
        size = len(rest) // 2 if kind == "w" else int(rest)
        return round(ADDRESS_US + size * BYTE_US) if bus == I2C else size + 1

    @property
    def registers(self) -> bytearray:
        """Those of the sensor."""
        registers: bytearray = self.imu._registers  # type: ignore[attr-defined]
        return registers

    def _finish_transfer(self, bus: int) -> None:
        """On SPI nobody acknowledges, and nobody there reads as 0xFF; a register is a register on either bus."""
        kind, address, register, rest = self._transfers[bus].split(":")
        self._transfer_ends_us[bus] = None
        imu, finish = self.imu, "finish" if bus == I2C else "spi finish"
        if self.imu_status != OK and bus == self.line:
            self.ask(f"{finish} {self.imu_status}")
            return
        there = bus == self.line and (bus == SPI or int(address) == imu.address)
        if not there or not imu.start(read=False):
            self.nobody += bus == I2C
            open_line = b"\xff" * int(rest) if kind == "r" else b""
            self.ask(f"{finish} {NACK}" if bus == I2C else f"{finish} {OK} {open_line.hex()}")
            return
        imu.write(int(register))
        if kind == "w":
            for byte in bytes.fromhex(rest):
                imu.write(byte)
            imu.stop()
            self.writes += 1
            taken = self.writes != self.refused_write
            self.ask(f"{finish} {OK if taken else NACK}")
        else:
            imu.start(read=True)
            data = imu.read_block(int(rest))
            imu.stop()
            self.ask(f"{finish} {OK} {data.hex()}")

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

    def _line_changed(self, level: bool) -> None:
        if level:
            self.edges.append(self.time.now_ps // 1_000_000)
        if self.edges_connected:
            self._lines.append(int(level))

    def _run_models(self) -> None:
        self.time.cycle = self.now_us
        self.time.run_due()
        self._tell_lines()

    def _tell_lines(self) -> None:
        while self._lines:
            level = self._lines.pop(0)
            if level and self.rising_edges_lost:
                self.rising_edges_lost -= 1
                level = 2
            self.ask(f"line {self.line} {level}")

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
            due: list[tuple[int | None, Callable[[], None]]] = [
                (self._transfer_ends_us[I2C], lambda: self._finish_transfer(I2C)),
                (self._transfer_ends_us[SPI], lambda: self._finish_transfer(SPI)),
                (self.time.due_cycle, self._run_models),
                (self._next_tick_us, self._tick),
                (self._adc_ends_us, self._finish_series),
                (None if self.line_blocked else self._block_ends_us, self._finish_block),
            ]
            at, handle = min(((at, what) for at, what in due if at is not None), key=lambda entry: entry[0])
            if at > end_us:
                break
            self.now_us = max(self.now_us, at)
            self.time.cycle = self.now_us
            handle()
            self._tell_lines()
        self.now_us = self.time.cycle = end_us

    # -- the line

    def send(self, data: bytes) -> None:
        """Bytes from the host, as they are."""
        self.ask(f"rx {data.hex()}")

    def command(self, name: str, *, request: int = 1, **args: float) -> None:
        """Send a command of the table."""
        spec = messages.COMMANDS[name]
        payload = messages.Command(request=request, command=spec.id, args=spec.pack_args(**args)).pack()
        self._sequence += 1
        self.send(encode_frame(messages.Command.TYPE, self._sequence & 0xFF, payload))

    def responses(self) -> list[messages.Response]:
        """Every answer so far."""
        return [message for message in self.received if isinstance(message, messages.Response)]

    def call(self, name: str, *, request: int = 1, wait_s: float = 1.0, **args: float) -> messages.Response:
        """Send a command and run until its one answer is here."""
        before = len(self.responses())
        self.command(name, request=request, **args)
        for _ in range(round(wait_s * 100)):
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
