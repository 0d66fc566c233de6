"""The simulated board's settings: ranges, latencies, streams on and off, self-test, and what it keeps over a reset."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from bridge.test_sim import Host, said
from telemetry_bridge.sim import SimulatedDevice
from telemetry_bridge.sim.motion import GRAVITY, HandMotion
from telemetry_protocol import SampleLayout, messages


def a_host() -> Host:
    host = Host(SimulatedDevice())
    host.run(0.5)
    return host


def test_a_range_changes_the_scale_of_those_that_share_it_and_not_the_values() -> None:
    host = a_host()
    before = host.stream()
    status, result = said(host, "set_range", stream=0, field=1, full_scale=60.0)
    after = host.stream()
    assert (status, result["generation"]) == ("OK", after.generation)
    assert result["full_scale"] == pytest.approx(8 * GRAVITY)
    ratios = [new.scale / old.scale for old, new in zip(before.fields, after.fields, strict=True)]
    assert ratios == [pytest.approx(2)] * 3 + [1.0] * 3
    assert after.generation == (before.generation + 1) & 7
    host.run(1)
    motion = HandMotion(seed=1)
    for batch in host.samples():
        descriptor = before if batch.generation == before.generation else after
        values = SampleLayout(descriptor).si(batch.data)
        expected = motion.at(batch.time_us / 1e6 + np.arange(values.shape[1]) / 1000)
        np.testing.assert_allclose(values[:3], expected[:3], atol=0.12)


@pytest.mark.parametrize(
    ("args", "answer"),
    [
        ({"stream": 0, "field": 0, "full_scale": 4 * 9.80665}, ("OK", 4 * GRAVITY)),  # as people round it
        ({"stream": 0, "field": 5, "full_scale": 10.0}, ("OK", math.radians(1000))),
        ({"stream": 0, "field": 0, "full_scale": 200.0}, ("BAD_ARGUMENT", 16 * GRAVITY)),
        ({"stream": 0, "field": 0, "full_scale": math.nan}, ("BAD_ARGUMENT", 16 * GRAVITY)),
        ({"stream": 0, "field": 6, "full_scale": 1.0}, ("BAD_ARGUMENT", None)),
        ({"stream": 1, "field": 0, "full_scale": 1.0}, ("UNSUPPORTED", None)),
    ],
)
def test_a_range_is_the_smallest_that_holds_the_wanted_one(
    args: dict[str, float], answer: tuple[str, float | None]
) -> None:
    status, fields = said(a_host(), "set_range", **args)
    number = fields.get("full_scale", fields.get("highest"))
    assert (status, number) == (answer[0], None if answer[1] is None else pytest.approx(answer[1]))


def test_a_disabled_stream_stands_still_and_goes_on_where_it_was() -> None:
    host = a_host()
    assert said(host, "enable_stream", stream=0, enabled=0) == ("OK", {})
    assert host.stream().enabled == 0
    count = len(host.samples())
    host.run(2)
    assert len(host.samples()) == count
    health = host.health().streams[0]
    assert messages.StreamState(health.state).name == "STOPPED"
    assert (health.lost_fifo, health.lost_ring, health.lost_bus) == (0, 0, 0)
    assert said(host, "enable_stream", stream=0, enabled=1) == ("OK", {})
    host.run(1)
    for before, after in itertools.pairwise(host.samples()):
        assert after.index == before.index + len(before.data) // 12
    assert len(host.samples()) > count + 40
    assert host.samples()[count].time_us - host.samples()[count - 1].time_us > 2_000_000


def test_latency_bounds_the_batch_until_the_default_is_wanted_again() -> None:
    host = a_host()
    assert said(host, "set_latency", stream=0, latency_us=5_000) == ("OK", {"latency_us": 5_000})
    assert host.stream().latency_us == 5_000
    host.run(1)
    assert len(host.samples()[-1].data) == 5 * 12
    assert said(host, "set_latency", stream=0, latency_us=0) == ("OK", {"latency_us": 25_000})
    assert said(host, "set_latency", stream=0, latency_us=999) == (
        "BAD_ARGUMENT",
        {"needed": 1_000, "available": 1_000_000},
    )


def test_what_the_line_cannot_carry_is_refused_and_changes_nothing() -> None:
    host = Host(SimulatedDevice(baud=180_000))
    host.run(0.2)
    status, refusal = said(host, "set_latency", stream=0, latency_us=1_000)
    assert status == "OVER_LINE_BUDGET"
    assert refusal["needed"] > refusal["available"]
    assert host.stream().latency_us == 25_000
    assert said(host, "enable_stream", stream=0, enabled=0)[0] == "OK"
    assert said(host, "set_latency", stream=0, latency_us=1_000)[0] == "OK"
    assert said(host, "enable_stream", stream=0, enabled=1)[0] == "OVER_LINE_BUDGET"
    assert host.stream().enabled == 0


def test_the_self_test_passes_within_its_limits() -> None:
    status, result = said(a_host(), "self_test", stream=0)
    assert (status, result["passed"], len(result["fields"])) == ("OK", 1, 6)
    assert all(field.low <= field.response <= field.high for field in result["fields"])
    assert len({field.response for field in result["fields"]}) == 6
    assert said(a_host(), "self_test", stream=2)[0] == "UNSUPPORTED"


def test_settings_are_kept_over_a_reset_once_saved_and_defaults_forget_them() -> None:
    host = a_host()
    said(host, "set_rate", stream=0, rate_mhz=250_000)
    assert said(host, "restore_configuration", source=0) == ("OK", {})  # nothing is stored: the defaults
    assert host.stream().rate_mhz == 1_000_000
    assert said(host, "restore_configuration", source=2)[0] == "BAD_ARGUMENT"
    said(host, "set_rate", stream=0, rate_mhz=250_000)
    assert said(host, "save_configuration") == ("OK", {})
    said(host, "set_rate", stream=0, rate_mhz=500_000)
    said(host, "reset")
    host.run(0.5)
    assert host.stream().rate_mhz == 250_000
    said(host, "set_rate", stream=0, rate_mhz=500_000)
    assert said(host, "restore_configuration", source=0) == ("OK", {})
    assert host.stream().rate_mhz == 250_000
    assert said(host, "restore_configuration", source=1) == ("OK", {})
    assert host.stream().rate_mhz == 1_000_000
    said(host, "reset")
    host.run(0.5)
    assert host.stream().rate_mhz == 1_000_000


def test_counters_are_cleared_but_those_of_the_streams() -> None:
    host = a_host()
    host.device.receive(b"\0\x09broken!!\x00", host.now_ns)
    host.device.lose("imu", 7)
    host.run(0.5)
    health = host.health()
    assert (health.refused_cobs + health.refused_length + health.refused_crc, health.streams[0].lost_fifo) == (1, 7)
    assert said(host, "clear_counters") == ("OK", {})
    health = host.health()
    assert (health.refused_cobs + health.refused_length + health.refused_crc, health.streams[0].lost_fifo) == (0, 7)


def test_it_has_no_bootloader_and_no_fault_on_record() -> None:
    host = a_host()
    assert said(host, "enter_bootloader")[0] == "UNSUPPORTED"
    assert said(host, "acknowledge_fault", boot_id=1) == ("OK", {})


def test_a_command_that_changes_nothing_gives_no_new_generation() -> None:
    host = a_host()
    generation = host.stream().generation
    said(host, "set_rate", stream=0, rate_mhz=1_000_000)
    said(host, "set_range", stream=0, field=0, full_scale=4 * GRAVITY)
    said(host, "set_latency", stream=0, latency_us=25_000)
    said(host, "enable_stream", stream=0, enabled=1)
    host.ask("describe")
    assert host.stream().generation == generation
