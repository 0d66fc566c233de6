"""The methods that the clock is compared with are made fairly: where their assumptions hold they are right."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from bench.clock_line import BYTE_NS, FRAME_BYTES, Read, Scenario, play
from bench.clock_rivals import Klipper, Ours, ReceiveTime, Regression
from telemetry_bridge.clock import Exchange


def steady(_: random.Random) -> float:
    return 30e3


QUIET = Scenario("no jitter", drift_ppm=150.0, to_board=steady, from_board=steady, stalled=0.0)
METHODS = (Ours, Klipper, lambda: Regression(30.0))


def errors(method: Ours | Klipper | Regression | ReceiveTime, scenario: Scenario, seconds: float) -> list[float]:
    """Errors in ns from 20 s on."""
    found = []
    for happened in play(scenario, seconds, 1):
        if isinstance(happened, Exchange):
            method.exchange(happened)
            continue
        method.read(happened)
        if happened.device_ns > 20e9:
            host_ns = method.host_ns(happened.device_ns)
            assert host_ns is not None
            found.append(host_ns - happened.taken_ns)
    return found


@pytest.mark.parametrize("make", METHODS)
def test_without_jitter_each_method_is_right_to_ten_microseconds(make: Callable[[], Ours]) -> None:
    assert max(abs(error) for error in errors(make(), QUIET, 60)) < 10_000


def test_receive_time_is_late_by_the_frames_time_on_the_line_and_its_delay() -> None:
    found = errors(ReceiveTime(), QUIET, 30)
    assert min(found) == pytest.approx(FRAME_BYTES * BYTE_NS + 30e3, rel=1e-3)
    assert max(found) < 7e6


def test_klippers_method_drops_a_stalled_command_and_follows_when_all_are_late() -> None:
    method = Klipper()
    last = [happened for happened in play(QUIET, 60, 1) if isinstance(happened, Exchange)]
    for exchange in last:
        method.exchange(exchange)
    device_ns = last[-1].received_us * 1000
    before = method.host_ns(device_ns)
    assert before is not None
    for k in range(1, 40):  # the device's time of receipt is 3 ms late from now on
        method.exchange(
            Exchange(
                last[-1].sent_ns + k * 10**9,
                last[-1].received_us + k * 10**6 + 3000,
                last[-1].sent_us + k * 10**6 + 3000,
                last[-1].arrived_ns + k * 10**9 + 3 * 10**6,
                last[-1].command_bytes,
                last[-1].answer_bytes,
            )
        )
        if k == 5:
            assert method.host_ns(device_ns) == before
    assert method.host_ns(device_ns) != before


def test_a_loaded_line_is_as_loaded_as_it_is_said_to_be() -> None:
    frames = [happened for happened in play(Scenario("steady"), 20, 1) if isinstance(happened, Read)]
    exchanges = [happened for happened in play(Scenario("steady"), 20, 1) if isinstance(happened, Exchange)]
    assert len(frames) * FRAME_BYTES * BYTE_NS / 20e9 == pytest.approx(0.908, abs=0.002)
    waits = [exchange.sent_us - exchange.received_us for exchange in exchanges]
    assert len(exchanges) == pytest.approx(200, abs=1)
    assert min(waits) >= 100
    assert 5_000 < max(waits) < 6_500
