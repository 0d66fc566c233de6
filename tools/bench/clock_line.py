"""A board with a known clock at the end of a loaded line: what is exchanged over it, and when it really happened."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from telemetry_bridge.clock import Exchange

MS: Final = 1_000_000
SECOND: Final = 1_000_000_000
BAUD: Final = 921_600
BYTE_NS: Final = 10e9 / BAUD
COMMAND_BYTES: Final = 19
ANSWER_BYTES: Final = 32
FRAME_BYTES: Final = 502
SAMPLE_HZ: Final = 6667
FRAME_SAMPLES: Final = 40
"""Six axes at 6.667 kHz: 91 % of the line with pings and health."""
FAST_FOR_S: Final = 30.0
Delay = Callable[[random.Random], float]


def uniform(rng: random.Random) -> float:
    """Delay in ns: 0 to 1 ms."""
    return rng.random() * 1e6


def usb_to_board(rng: random.Random) -> float:
    """Delay in ns of a USB adapter on the way to the board."""
    return 50e3 + rng.expovariate(1 / 80e3)


def usb_from_board(rng: random.Random) -> float:
    """The same on the way back: it collects characters until its timer or the host's poll ends."""
    return 300e3 + rng.random() * 1e6


@dataclass(frozen=True)
class Scenario:
    """What the line and the board's clock are like.

    Attributes:
        drift_ppm: how much slower the device's clock runs than the host's.
        bend_ppm_per_min: how fast that changes, from two minutes on.
        stalled: share of the exchanges held up by 20 ms, in one direction or the other.
    """

    name: str
    drift_ppm: float = 200.0
    bend_ppm_per_min: float = 0.0
    to_board: Delay = uniform
    from_board: Delay = uniform
    stalled: float = 0.01

    def offset_ns(self, device_ns: float) -> float:
        """True time of the host minus the device's."""
        bending = max(device_ns - 120e9, 0.0)
        return 7 * SECOND + device_ns * self.drift_ppm * 1e-6 + 0.5 * self.bend_ppm_per_min * 1e-6 / 60e9 * bending**2

    def host_ns(self, device_ns: float) -> float:
        """True time of the host."""
        return device_ns + self.offset_ns(device_ns)

    def device_ns(self, host_ns: float) -> float:
        """The same, the other way."""
        device_ns = host_ns - 7 * SECOND
        for _ in range(4):  # converges by the drift, 2e-4, with each step
            device_ns = host_ns - self.offset_ns(device_ns)
        return device_ns


@dataclass(frozen=True)
class Read:
    """A frame of samples was read.

    Attributes:
        taken_ns: true host time of its last sample.
        device_ns: device time of that.
        arrived_ns: host time at which its last byte was read.
    """

    taken_ns: float
    device_ns: int
    arrived_ns: int


def play(scenario: Scenario, seconds: float, seed: int) -> Iterator[Exchange | Read]:
    """Exchanges and frames in the order in which they end: pings at 10 Hz for 30 s, then at 1 Hz."""
    rng = random.Random(seed)
    pings = _pings(scenario, seconds, rng)
    exchange, answer = next(pings)
    busy_until = 0.0  # of the line to the host, device ns
    frame_ns = FRAME_SAMPLES / SAMPLE_HZ * 1e9
    ready = frame_ns
    while True:
        free = max(ready, busy_until)
        if answer is not None and answer <= free:  # an answer goes before samples that wait
            sent = max(answer, busy_until)
            busy_until = sent + ANSWER_BYTES * BYTE_NS
            yield exchange(sent)
            exchange, answer = next(pings, (exchange, None))
            continue
        if ready > seconds * 1e9:
            return
        busy_until = free + FRAME_BYTES * BYTE_NS
        late = scenario.from_board(rng) + (20 * MS if rng.random() < scenario.stalled / 2 else 0)
        yield Read(scenario.host_ns(ready), int(ready), int(scenario.host_ns(busy_until) + late) + 1)
        ready += frame_ns


def _pings(
    scenario: Scenario, seconds: float, rng: random.Random
) -> Iterator[tuple[Callable[[float], Exchange], float | None]]:
    """For each ping: what makes an exchange of the device time at which its answer starts, and the earliest such."""
    at = 0.05
    while at < seconds:
        sent_ns = int(scenario.host_ns(at * 1e9))
        stall = rng.random() < scenario.stalled
        stalled_going = rng.random() < 0.5
        going = scenario.to_board(rng) + (20 * MS if stall and stalled_going else 0)
        coming = scenario.from_board(rng) + (20 * MS if stall and not stalled_going else 0)
        received = scenario.device_ns(sent_ns + COMMAND_BYTES * BYTE_NS + going)

        def exchange(
            answered: float, sent_ns: int = sent_ns, received: float = received, coming: float = coming
        ) -> Exchange:
            arrived = scenario.host_ns(answered) + ANSWER_BYTES * BYTE_NS + coming
            return Exchange(
                sent_ns, int(received / 1000), int(answered / 1000), int(arrived) + 1, COMMAND_BYTES, ANSWER_BYTES
            )

        yield exchange, received + 100e3  # the main loop's turn
        at += 0.1 if at < FAST_FOR_S else 1.0
