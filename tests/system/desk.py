"""A board on the desk: the real firmware on the virtual board, its session and the hub, in virtual time.

Nothing here waits for the wall clock, so what a test sees is the same on every machine and in every run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from elves import elf_path
from telemetry_bridge.events import Batch, CommandDone, DeviceInfo, Event, Gap, JsonMessage
from telemetry_bridge.hub import Hub
from telemetry_bridge.session import Session
from virtual_board import VirtualBoard
from virtual_board.motion import Motion

WALL_NS = 1_800_000_000_000_000_000
STEP_S = 0.002

E = TypeVar("E", bound=Event)


@dataclass
class Desk:
    """Board, session and hub, and everything that passed.

    Attributes:
        cable: what happens to the bytes on their way to the host.
        rated: the host's port has the rate that the session says, else whatever the board's is.
        events: every event so far.
    """

    board: VirtualBoard
    session: Session
    hub: Hub = field(default_factory=Hub)
    cable: Callable[[bytes], bytes] = lambda data: data
    events: list[Event] = field(default_factory=list)
    rated: bool = False

    @classmethod
    def with_board(
        cls,
        name: str = "nucleo_f411re",
        motion: Motion | None = None,
        *,
        seed: int = 1,
        noise: bool = False,
        parts: Sequence[str] = ("mpu6050",),
        spi: Sequence[str] = (),
        odr_error_ppm: float = 0.0,
        baud: int | None = None,
    ) -> Desk:
        """Switch a board on, with `parts` on its I2C bus; with `baud` that rate is wanted of it, and the host's port
        has its own rate."""
        board = VirtualBoard(
            elf_path(name),
            board=name,
            motion=motion,
            seed=seed,
            noise=noise,
            parts=parts,
            spi=spi,
            odr_error_ppm=odr_error_ppm,
        )
        session = Session("sim:desk", wall_ns=WALL_NS, monotonic_ns=0, wanted_baud=baud)
        return cls(board, session, rated=baud is not None)

    @property
    def now_ns(self) -> int:
        """Virtual time, which is also the host's monotonic time."""
        return self.board.now_us * 1000

    @property
    def device(self) -> DeviceInfo:
        """The one device."""
        (device,) = self.hub.devices.values()
        return device

    def run(self, seconds: float) -> list[Event]:
        """Let virtual time pass; returns what happened in it."""
        begin = len(self.events)
        for _ in range(round(seconds / STEP_S)):
            self._step()
        return self.events[begin:]

    async def run_async(self, seconds: float) -> None:
        """The same, with everyone else in the event loop getting their turn."""
        for _ in range(round(seconds / STEP_S)):
            self._step()
            await asyncio.sleep(0)

    def run_until(self, happened: Callable[[list[Event]], bool], limit_s: float = 5.0) -> list[Event]:
        """Let virtual time pass until what has happened meanwhile satisfies `happened`."""
        begin = len(self.events)
        end_ns = self.now_ns + round(limit_s * 1e9)
        while not happened(self.events[begin:]):
            assert self.now_ns < end_ns, f"not within {limit_s} s; events: {self.events[begin:][-5:]}"
            self._step()
        return self.events[begin:]

    def command(self, name: str, **args: float) -> CommandDone:
        """Send a command and wait for its end."""
        request = self.session.command(name, args, self.now_ns)
        events = self.run_until(lambda seen: any(isinstance(e, CommandDone) and e.request == request for e in seen))
        (done,) = [e for e in events if isinstance(e, CommandDone) and e.request == request]
        return done

    async def handle_command(self, name: str, args: object) -> CommandDone:
        """What app does for the hub."""
        assert isinstance(args, dict)
        return self.command(name, **args)

    def _step(self) -> None:
        if self.rated:
            self.board.uart.host_baud = self.session.baud
        self.board.uart.send(self.session.take_output())
        self.board.run(STEP_S)
        self._publish(self.session.receive(self.cable(self.board.uart.take()), self.now_ns))
        self._publish(self.session.poll(self.now_ns))

    def _publish(self, events: list[Event]) -> None:
        for event in events:
            self.events.append(event)
            self.hub.publish(event)


def of(events: list[Event], kind: type[E]) -> list[E]:
    """The events of one kind."""
    return [event for event in events if isinstance(event, kind)]


def batches(events: list[Event], stream: str = "imu") -> list[Batch]:
    """The batches of one stream."""
    return [batch for batch in of(events, Batch) if batch.stream == stream]


def gaps(events: list[Event], stream: str = "imu") -> list[Gap]:
    """The gaps of one stream."""
    return [gap for gap in of(events, Gap) if gap.stream == stream]


def health(events: list[Event]) -> list[JsonMessage]:
    """The HEALTH reports."""
    return [message for message in of(events, JsonMessage) if message.stream == "health"]


def logs(events: list[Event]) -> list[str]:
    """The texts of the board's log."""
    return [str(message.body["text"]) for message in of(events, JsonMessage) if message.stream == "log"]


def assert_accounted_for(events: list[Event], stream: str = "imu") -> int:
    """Within each epoch, batches and gaps follow one another without a hole; returns how many samples the gaps name."""
    expected: dict[int, int] = {}
    missing = 0
    for event in events:
        if isinstance(event, Batch | Gap) and event.stream == stream:
            if event.epoch in expected:
                assert event.index == expected[event.epoch], event
            count = event.samples if isinstance(event, Batch) else event.count
            assert count is not None
            assert count > 0
            expected[event.epoch] = event.index + count
            missing += count if isinstance(event, Gap) else 0
    return missing
