"""How far device time on the host's axis is off, and whether the stated uncertainty is true; beside it, other methods.

Everything is simulated: the truth is known, and no machine's clock has a part in it (but for the processor time).
"""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from bench.clock_line import BAUD, Read, Scenario, play, usb_from_board, usb_to_board
from bench.clock_rivals import Klipper, Ours, ReceiveTime, Regression
from bench.report import Row
from telemetry_bridge.clock import DeviceClock, Exchange
from telemetry_bridge.session.timing import SampleTimes

SECONDS: Final = 900.0
RUNS: Final = 16
EVERY: Final = 7
"""Frames from one look at the error to the next: 42 ms."""
EARLY: Final = (10.0, 30.0)
LATE: Final = (300.0, SECONDS)
ODR: Final = 1.03
JITTER_US: Final = 100.0


class Method(Protocol):
    """A way to tell the host's time of a device time."""

    def exchange(self, exchange: Exchange) -> None:
        """A ping was answered."""

    def read(self, read: Read) -> None:
        """A frame of samples was read."""

    def host_ns(self, device_ns: int) -> float | None:
        """Host's time."""


METHODS: Final[dict[str, Callable[[], Method]]] = {
    "bridge": Ours,
    "receive time": ReceiveTime,
    "Klipper's method": Klipper,
    "decayed regression, 30 s": lambda: Regression(30.0),
    "decayed regression, 150 s": lambda: Regression(150.0),
}


@dataclass
class Errors:
    """What a method's times were off by, us, by the time since the start, and what the bridge stated."""

    early: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    stated: list[float] = field(default_factory=list)
    inside: int = 0
    told: int = 0

    def note(self, at_s: float, error_us: float, stated_us: float | None) -> None:
        """Take an error."""
        if EARLY[0] <= at_s < EARLY[1]:
            self.early.append(error_us)
        if LATE[0] <= at_s < LATE[1]:
            self.late.append(error_us)
            if stated_us is not None:
                self.stated.append(stated_us)
        if stated_us is not None:
            self.told += 1
            self.inside += error_us <= stated_us


def percentile(values: list[float], percent: float) -> float:
    """By rank."""
    return sorted(values)[int(percent / 100 * (len(values) - 1))]


def watch(scenario: Scenario) -> dict[str, Errors]:
    """Every method on the same exchanges and frames."""
    found: dict[str, Errors] = defaultdict(Errors)
    for seed in range(RUNS):
        methods = {name: make() for name, make in METHODS.items()}
        for count, happened in enumerate(play(scenario, SECONDS, seed)):
            if isinstance(happened, Exchange):
                for method in methods.values():
                    method.exchange(happened)
                continue
            for method in methods.values():
                method.read(happened)
            if count % EVERY:
                continue
            for name, method in methods.items():
                host_ns = method.host_ns(happened.device_ns)
                if host_ns is not None:
                    stated_us = method.uncertainty_ns / 1000 if isinstance(method, Ours) else None
                    error_us = abs(host_ns - happened.taken_ns) / 1000
                    found[name].note(happened.device_ns / 1e9, error_us, stated_us)
    return found


def clock_rows(scenario: Scenario, *, early: str = "", late: str = "") -> list[Row]:
    """A scenario's part of the table; the targets are the bridge's."""
    found = watch(scenario)
    rows = []
    for name in METHODS:
        errors = found[name]
        mine = name == "bridge"
        rows += [
            Row(f"{scenario.name}: {name}, 10 to 30 s, p99", percentile(errors.early, 99), "us", early if mine else ""),
            Row(
                f"{scenario.name}: {name}, from 5 min on, p99", percentile(errors.late, 99), "us", late if mine else ""
            ),
        ]
    ours = found["bridge"]
    rows += [
        Row(f"{scenario.name}: true error within the stated uncertainty", 100 * ours.inside / ours.told, "%", ">= 99"),
        Row(f"{scenario.name}: stated uncertainty from 5 min on, median", percentile(ours.stated, 50), "us"),
    ]
    return rows


def sample_rows() -> list[Row]:
    """Index against time: a sensor that is 3 % fast, whose stamps are off by up to 100 us."""
    stamped, lined, rates, inside = [], [], [], 0
    for seed in range(RUNS):
        rng = random.Random(seed)
        times = SampleTimes(1000.0)
        for batch in range(3000):
            truth_us = 1e6 + batch * 20 * 1000.0 / ODR
            stamp_us = int(truth_us + (2 * rng.random() - 1) * JITTER_US)
            times.add(batch * 20, stamp_us, 20)
            inside += abs(times.time_us - truth_us) <= times.error_us
            if batch >= 50:
                stamped.append(abs(stamp_us - truth_us))
                lined.append(abs(times.time_us - truth_us))
                assert times.period_us is not None
                rates.append(abs(1000.0 / times.period_us / ODR - 1) * 1e6)
    about = "1 kHz, 3 % fast, stamps off by up to 100 us"
    return [
        Row(f"{about}: the stamp of the batch, p99", percentile(stamped, 99), "us"),
        Row(f"{about}: time by the line, p99", percentile(lined, 99), "us"),
        Row(f"{about}: measured rate, p99 of its error", percentile(rates, 99), "ppm"),
        Row(f"{about}: true error within the line's stated one", 100 * inside / (RUNS * 3000), "%", ">= 99"),
    ]


def cost_rows() -> list[Row]:
    """Processor time of this thread."""
    exchanges = [happened for happened in play(Scenario("steady"), 600, 1) if isinstance(happened, Exchange)]
    per_exchange, per_batch = [], []
    for _ in range(5):
        clock = DeviceClock(BAUD)
        start = time.thread_time()
        for exchange in exchanges:
            clock.add(exchange)
        per_exchange.append((time.thread_time() - start) / len(exchanges))
        times = SampleTimes(150.0)
        start = time.thread_time()
        for batch in range(20_000):
            times.add(batch * 40, 600_000_000 + batch * 6000, 40)
            clock.stamp(int((times.time_us - 100) * 1000))
        per_batch.append((time.thread_time() - start) / 20_000)
    return [
        Row("processor time of an exchange", min(per_exchange) * 1e6, "us"),
        Row("processor time of a batch's time and uncertainty", min(per_batch) * 1e6, "us"),
    ]


def run() -> tuple[str, str, list[Row]]:
    """All scenarios."""
    rows = [
        *clock_rows(Scenario("steady"), early="<= 200", late="<= 50"),
        *clock_rows(Scenario("warming", bend_ppm_per_min=1.0)),
        *clock_rows(Scenario("USB adapter", to_board=usb_to_board, from_board=usb_from_board)),
        *sample_rows(),
        *cost_rows(),
    ]
    about = (
        f"Simulated, {RUNS} runs of {SECONDS / 60:.0f} minutes each, every method on the same exchanges. "
        "*steady*: each way delays by 0 to 1 ms, evenly and independently, 1 % of the exchanges are held up by "
        "20 ms, the clocks differ by 200 ppm, samples fill 91 % of the line (frames of 40 of a 6.667 kHz "
        "sensor, which answers have to wait for), 10 pings a second for 30 s, then one. *warming*: the same, "
        "and from 2 minutes on the drift changes by 1 ppm a minute. *USB adapter*: 50 us and an exponential 80 "
        "us on the way to the board, 0.3 to 1.3 ms back; what the two differ by at the least, 125 us of error, "
        "no method can see. Errors are of the last sample of a frame. *receive time*: the sample is taken to "
        "have been made when its frame was read; 5.4 ms of that is the frame's own time on the line. *Klipper's "
        "method*: decayed regression of the device's time on the time of sending, moved by half the least round "
        "trip (on the USB adapter the quick way there makes up for what it neglects). *decayed regression*: of "
        "the middles of the exchanges, weighted by their round trip."
    )
    return "Clocks", about, rows
