"""The highest rates for minutes: is anything lost, refused or late while commands, pings and health go on?

The real firmware on the virtual board, a host session beside it, both in virtual time. Run by `make bench` for ten
virtual minutes at each rate; the tests run the same for a second.
"""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from bench import firmware_run
from bench.report import Row
from telemetry_bridge.events import Batch, CommandDone, Event, Gap, JsonMessage
from telemetry_bridge.session import Session
from virtual_board import VirtualBoard
from virtual_board.motion import Hand

BOARD = "nucleo_f411re"
MINUTES = 10.0
STEP_S = 0.01
START_S = 3.0  # probing, descriptors, the change of rate
COMMAND_EVERY_S = 0.5
LINE_BITS = 921_600
BITS_PER_BYTE = 10
WALL_NS = 1_800_000_000_000_000_000


@dataclass(frozen=True)
class Setting:
    """What streams, and how fast.

    Attributes:
        label: for the table.
        i2c: parts on the I2C bus.
        spi: parts on the SPI bus.
        rate_mhz: rate asked for.
        odr_error_ppm: how much faster the sensor's oscillator runs than it says.
    """

    label: str
    i2c: tuple[str, ...]
    spi: tuple[str, ...]
    rate_mhz: int
    odr_error_ppm: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """What came of it.

    Attributes:
        samples: of the stream imu, delivered by the session.
        lost: samples that gaps name, of all streams.
        refused: frames damaged on the way to the host, or refused by the board.
        unanswered: commands without an answer of `ok`.
        instructions: retired outside WFI, per sample of imu.
        line_percent: share of 921,600 baud.
    """

    samples: int
    lost: int
    refused: int
    unanswered: int
    instructions: float
    line_percent: float


class _Host:
    """A session that reads everything and asks something twice a second."""

    def __init__(self, board: VirtualBoard) -> None:
        self.board = board
        self.session = Session("sim:endurance", wall_ns=WALL_NS, monotonic_ns=0)
        self.samples = self.lost = self.bytes = self.asked = self.answered = 0
        self.refused = 0
        self.done: list[CommandDone] = []

    @property
    def now_ns(self) -> int:
        return self.board.now_us * 1000

    @property
    def damaged(self) -> int:
        stats = self.session.stats
        kinds = (stats.damaged_cobs, stats.damaged_crc, stats.damaged_short, stats.damaged_long, stats.missing_frames)
        return sum(kinds) + stats.refused_type + stats.refused_length

    def step(self) -> None:
        self.board.uart.send(self.session.take_output())
        self.board.run(STEP_S)
        data = self.board.uart.take()
        self.bytes += len(data)
        for event in (*self.session.receive(data, self.now_ns), *self.session.poll(self.now_ns)):
            self._count(event)

    def _count(self, event: Event) -> None:
        match event:
            case Batch(stream="imu"):
                self.samples += event.samples
            case Gap():
                self.lost += event.count or 1
            case CommandDone():
                self.answered += event.status == "ok"
                self.done.append(event)
            case JsonMessage(stream="health"):
                refused = event.body["refused"]
                assert isinstance(refused, dict)
                self.refused = sum(refused.values())

    def run(self, seconds: float) -> None:
        until_ns = self.now_ns + round(seconds * 1e9)
        ask_ns = self.now_ns
        commands = ("get_health", "describe")
        while self.now_ns < until_ns:
            if self.now_ns >= ask_ns:
                ask_ns += round(COMMAND_EVERY_S * 1e9)
                self.session.command(commands[self.asked % 2], {}, self.now_ns)
                self.asked += 1
            self.step()

    def set_rate(self, rate_mhz: int) -> None:
        """Raises RuntimeError when the board refuses or is silent."""
        self.session.command("set_rate", {"stream": firmware_run.IMU, "rate_mhz": rate_mhz}, self.now_ns)
        for _ in range(round(START_S / STEP_S)):
            self.step()
            if done := [one for one in self.done if one.name == "set_rate"]:
                if done[0].status != "ok":
                    raise RuntimeError(f"{rate_mhz} mHz: {done[0]}")
                return
        raise RuntimeError(f"{rate_mhz} mHz: no answer")


def endure(setting: Setting, seconds: float, board: str = BOARD) -> Outcome:
    """Stream for some virtual seconds behind the start.

    Raises:
        RuntimeError: the board did not take the rate, or nothing came.
    """
    machine = VirtualBoard(
        firmware_run.elf(board),
        board=board,
        motion=Hand(seed=1),
        seed=1,
        parts=setting.i2c,
        spi=setting.spi,
        odr_error_ppm=setting.odr_error_ppm,
    )
    host = _Host(machine)
    host.session.opened(0)
    for _ in range(round(START_S / STEP_S)):
        host.step()
    host.set_rate(setting.rate_mhz)
    for _ in range(round(START_S / STEP_S)):
        host.step()
    host.samples = host.lost = host.bytes = host.asked = host.answered = 0
    damaged = host.damaged
    instructions = machine.instructions
    host.run(seconds)
    if not host.samples:
        raise RuntimeError(f"{setting.label}: no samples")
    refused = host.refused + host.damaged - damaged
    return Outcome(
        samples=host.samples,
        lost=host.lost,
        refused=refused,
        unanswered=host.asked - host.answered,
        instructions=(machine.instructions - instructions) / host.samples,
        line_percent=100 * host.bytes * BITS_PER_BYTE / seconds / LINE_BITS,
    )


SETTINGS = (
    Setting("MPU-6050, I2C, 1 kHz", ("mpu6050",), (), 1_000_000),
    Setting("LSM6DSO, I2C, 1.667 kHz", ("lsm6dso",), (), 1_667_000),
    Setting("LSM6DSO, SPI, 6.667 kHz", (), ("lsm6dso",), 6_667_000),
    Setting("LSM6DSO, SPI, 6.667 kHz, ODR +5 %", (), ("lsm6dso",), 6_667_000, 50_000.0),
)


def run() -> tuple[str, str, list[Row]]:
    """Every setting for MINUTES."""
    rows = []
    firmware_run.elf(BOARD)  # built before the processes need it
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        outcomes = list(pool.map(endure, SETTINGS, [MINUTES * 60] * len(SETTINGS)))
    for setting, outcome in zip(SETTINGS, outcomes, strict=True):
        label = setting.label
        nominal = "SPI" in label and not setting.odr_error_ppm
        rows += [
            Row(f"{label}: samples", outcome.samples, ""),
            Row(f"{label}: lost, all streams", outcome.lost, "", "<= 0"),
            Row(f"{label}: frames refused or damaged", outcome.refused, "", "<= 0"),
            Row(f"{label}: commands not answered `ok`", outcome.unanswered, "", "<= 0"),
            Row(f"{label}: retired instructions per sample", outcome.instructions, "", "<= 600"),
            Row(f"{label}: share of 921,600 baud", outcome.line_percent, "%", "<= 92" if nominal else "<= 100"),
        ]
    about = (
        f"The firmware of {BOARD} on the virtual board through 921,600 baud for {MINUTES:g} virtual minutes each, with "
        "pings (10 Hz for the first half minute, then 1 Hz), HEALTH at 1 Hz and a command every half second. "
        "Instructions are those retired outside WFI, everything included, divided by the samples of imu."
    )
    return "Ten minutes at the highest rates", about, rows
