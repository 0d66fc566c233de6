"""The session: who is there, descriptors and generations, epochs, what is told."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from bridge.session_helpers import (
    ACCEL,
    GYRO,
    HELLO,
    MS,
    SECOND,
    TEMPERATURE,
    UID,
    URI,
    WALL_NS,
    Harness,
    assert_complete,
    health,
    online,
    stream,
    stream_health,
)
from telemetry_bridge.events import Batch, ClockInfo, DeviceChanged, EpochStarted
from telemetry_bridge.session import Session
from telemetry_bridge.session.board import UNCLAIMED_MAX
from telemetry_bridge.session.streams import HELD_MAX
from telemetry_protocol import encode_frame, messages

# ------------------------------------------------------------------ handshake


def test_the_board_is_asked_at_once_and_each_second_until_it_says_hello() -> None:
    harness = Harness()
    harness.exchange()
    assert len(harness.sent("describe")) == 1
    harness.pass_ms(3500)
    assert len(harness.sent("describe")) == 4
    harness.hello()
    harness.say(stream())
    harness.pass_ms(1000)
    assert len(harness.sent("describe")) == 4


def test_the_handshake_tells_silence_from_garbage_from_a_board() -> None:
    harness = Harness()
    assert harness.handshake == "waiting_silent"
    harness.hear(b"$GPGGA,123519,4807.038,N*47\r\n")
    assert harness.handshake == "waiting_garbage"
    harness.hear(b"\0")
    harness.hello()
    assert harness.handshake == "online"
    assert harness.session.stats.partial == 1


def test_hello_makes_the_device_known() -> None:
    harness = Harness()
    harness.hello()
    (changed,) = harness.devices
    device = changed.device
    assert device.id == device.uid == UID.hex()
    assert (device.state, device.board, device.firmware, device.revision) == (
        "online",
        "nucleo_f411re",
        "0.1.0",
        "abc1234",
    )
    assert (device.boot_id, device.reset_cause, device.baud, device.link) == ("00001001", "pin", 921_600, URI)
    assert device.clock == ClockInfo()
    assert device.warning == ""


def test_a_board_without_a_unique_id_is_known_by_its_link() -> None:
    first, second = Harness(), Harness()
    for harness in (first, second):
        harness.hello(uid=bytes(12))
    assert first.devices[0].device.id == second.devices[0].device.id
    assert first.devices[0].device.id.startswith("link-")
    assert first.devices[0].device.uid == ""
    elsewhere = Session("tcp:localhost:1", wall_ns=0, monotonic_ns=0)
    (event,) = elsewhere.receive(encode_frame(1, 0, dataclasses.replace(HELLO, uid=bytes(12)).pack()), 0)
    assert isinstance(event, DeviceChanged)
    assert event.device.id != first.devices[0].device.id


def test_an_id_that_another_board_has_is_derived_from_the_link() -> None:
    session = Session(URI, wall_ns=0, monotonic_ns=0, is_taken=lambda device: device == UID.hex())
    (event,) = session.receive(encode_frame(1, 0, HELLO.pack()), 0)
    assert isinstance(event, DeviceChanged)
    assert event.device.id.startswith("link-")
    assert event.device.uid == UID.hex()


def test_another_table_is_said_with_what_to_flash() -> None:
    harness = Harness()
    harness.hello(fingerprint=0xDEADBEEF)
    warning = harness.devices[0].device.warning
    assert "deadbeef" in warning
    assert "flash the nucleo_f411re image" in warning
    harness.hello()
    assert harness.devices[-1].device.warning == ""


def test_another_protocol_is_refused_and_nothing_is_delivered() -> None:
    harness = Harness()
    harness.hello(protocol=9)
    assert harness.handshake == "refused"
    assert "protocol 9" in harness.session.refusal
    assert "flash" in harness.session.refusal
    harness.say(stream())
    harness.send_samples(0)
    assert harness.events == []
    harness.hello()
    assert harness.handshake == "online"
    assert harness.session.refusal == ""


def test_a_board_that_falls_silent_is_offline_until_it_is_heard_again() -> None:
    harness = online()
    harness.answer_pings = False
    harness.pass_ms(2900)
    assert harness.state == "online"
    harness.pass_ms(200)
    assert harness.state == "offline"
    assert harness.handshake == "waiting_silent"
    asked = len(harness.sent("describe"))
    harness.pass_ms(2000)
    assert len(harness.sent("describe")) >= asked + 2
    harness.hello()
    assert harness.state == "online"


# -------------------------------------------------------------------- samples


def test_samples_become_si_units_with_the_scale_and_offset_of_their_descriptor() -> None:
    harness = online()
    harness.send_samples(7, 3)
    (batch,) = harness.batches
    assert batch.values.dtype == np.float32
    assert batch.values.shape == (2, 3)
    assert batch.values.flags.c_contiguous
    assert not batch.values.flags.writeable
    np.testing.assert_array_equal(batch.values, [[3.5, 4.0, 4.5], [2.75, 3.0, 3.25]])
    assert (batch.device, batch.stream, batch.index, batch.generation) == (UID.hex(), "imu", 7, 1)
    assert batch.raw == bytes.fromhex("070007000800080009000900")
    assert batch.received_ns == harness.now_ns


def test_the_epoch_is_announced_between_the_device_and_the_first_batch() -> None:
    harness = online()
    events = harness.send_samples(100)
    assert [type(event) for event in events[-3:]] == [DeviceChanged, EpochStarted, Batch]
    (epoch,) = harness.epochs
    assert (epoch.epoch, epoch.next_index, epoch.boot_id) == (1, 100, "00001001")
    assert [field.name for field in epoch.fields] == ["accel_x", "gyro_x"]
    changed = events[-3]
    assert isinstance(changed, DeviceChanged)
    assert changed.device.streams[0].epoch == 1
    assert harness.batches[0].epoch == 1


def test_several_frames_and_any_cut_give_the_same_batches() -> None:
    whole, bytewise = online(), online()
    data = b""
    for harness in (whole, bytewise):
        harness.pass_ms(60)
        data = b"".join(harness.frame(harness.samples(k, time_us=10_000_000 + 1000 * k)) for k in (0, 20, 40))
    whole.hear(data)
    for k in range(len(data)):
        bytewise.hear(data[k : k + 1])
    assert [batch.raw for batch in whole.batches] == [batch.raw for batch in bytewise.batches]
    assert [batch.time_ns for batch in whole.batches] == [batch.time_ns for batch in bytewise.batches]


def test_index_and_time_go_on_past_their_width() -> None:
    harness = online()
    harness.boot_ns = harness.now_ns - ((1 << 48) - 30_000) * 1000  # the board's clock is about to wrap
    harness.hello(boot_id=0x2001, time_us=harness.device_us % (1 << 48))
    harness.say(stream())
    harness.exchange()
    for index in ((1 << 32) - 30, (1 << 32) - 10, (1 << 32) + 10, (1 << 32) + 30):
        harness.send_samples(index)
    batches = harness.batches
    assert [batch.index for batch in batches[-2:]] == [(1 << 32) + 10, (1 << 32) + 30]
    assert {b.time_ns - a.time_ns for a, b in itertools.pairwise(batches)} == {20 * MS}
    assert_complete([event for event in harness.events if getattr(event, "epoch", 2) == batches[-1].epoch])


def test_the_filter_delay_is_taken_off_the_time() -> None:
    plain, filtered = online(), online(streams=(stream(group_delay_us=1900),))
    for harness in (plain, filtered):
        harness.send_samples(0)
    assert plain.batches[0].time_ns - filtered.batches[0].time_ns == 1_900_000
    assert filtered.devices[-1].device.streams[0].group_delay_us == 1900


def test_the_rate_is_measured_by_the_boards_clock() -> None:
    harness = online()
    for k in range(60):
        harness.pass_ms(19.8)
        harness.say(harness.samples(20 * k, time_us=10_000_000 + round(990 * 20 * k)))
    harness.say(health(harness.device_us, stream_health(1200)))
    info = harness.devices[-1].device.streams[0]
    assert info.rate_hz == 1000.0
    assert info.measured_rate_hz == pytest.approx(1e6 / 990, rel=1e-6)
    assert harness.batches[-1].period_ns == pytest.approx(990_000, abs=20)


def test_batches_of_an_epoch_never_overlap_in_time_whatever_the_stamps() -> None:
    harness = online()
    rng = np.random.default_rng(3)
    for k in range(100):
        harness.pass_ms(20)
        jitter = int(rng.integers(-30_000, 30_000))
        harness.say(harness.samples(20 * k, time_us=harness.device_us - 20_000 + jitter))
    batches = harness.batches
    assert len(batches) == 100
    for before, after in itertools.pairwise(batches):
        assert after.time_ns > before.time_ns + 19 * before.period_ns


def test_a_stream_is_taken_to_run_until_health_says_otherwise() -> None:
    harness = online()
    assert [info.state for info in harness.devices[-1].device.streams] == ["streaming"]
    harness.say(health(harness.device_us, dataclasses.replace(stream_health(0), state=messages.StreamState.MISSING)))
    assert [info.state for info in harness.devices[-1].device.streams] == ["missing"]


def test_a_period_of_four_seconds_is_stated_and_a_longer_one_is_not() -> None:
    harness = online(streams=(stream(rate_hz=0.25), stream(1, rate_hz=0.249, name="slow")))
    harness.say(harness.samples(0, 1), harness.samples(0, 1, number=1))
    imu, slow = harness.batches
    assert imu.period_ns == pytest.approx(4 * SECOND, rel=1e-3)
    assert slow.period_ns == 0


def test_a_slow_or_irregular_stream_goes_out_sample_by_sample() -> None:
    harness = online(streams=(stream(rate_hz=0.2), stream(1, rate_hz=0, name="event")))
    harness.pass_ms(100)
    harness.say(harness.samples(0, 3))
    harness.say(harness.samples(0, 3, number=1))
    for name in ("imu", "event"):
        batches = [batch for batch in harness.batches if batch.stream == name]
        assert [(batch.index, batch.samples, batch.period_ns) for batch in batches] == [(0, 1, 0), (1, 1, 0), (2, 1, 0)]
        assert batches[0].time_ns < batches[1].time_ns < batches[2].time_ns
        assert b"".join(batch.raw for batch in batches) == bytes.fromhex("000000000100010002000200")


# ----------------------------------------------------- generations and holding


def test_samples_of_an_unknown_generation_wait_for_their_descriptor() -> None:
    harness = online()
    harness.pass_ms(1000)
    harness.send_samples(0)
    asked = len(harness.sent("describe"))
    harness.lose()  # the STREAM of generation 2
    harness.send_samples(20, generation=2)
    harness.send_samples(40, generation=2)
    assert len(harness.batches) == 1
    harness.exchange()
    assert len(harness.sent("describe")) == asked + 1
    doubled = dataclasses.replace(ACCEL, scale=1.0)
    harness.hello()
    harness.say(stream(generation=2, fields=(doubled, GYRO)))
    first, second, third = harness.batches
    np.testing.assert_array_equal(first.values[0, :2], [0.0, 0.5])
    np.testing.assert_array_equal(second.values[0, :2], [20.0, 21.0])
    assert (second.generation, third.index) == (2, 40)
    assert harness.gaps == []
    assert second.epoch == first.epoch  # a range is no other field


def test_a_generation_that_comes_round_again_is_not_scaled_with_its_old_descriptor() -> None:
    harness = online()
    harness.send_samples(0)
    for generation in (2, 3):
        harness.say(stream(generation=generation))
    harness.send_samples(20, generation=1)  # eight changes later, its STREAM lost
    assert len(harness.batches) == 1
    harness.say(stream(generation=1, fields=(dataclasses.replace(ACCEL, scale=2.0), GYRO)))
    assert harness.batches[1].values[0, 0] == 40.0


def test_the_previous_generation_is_still_understood() -> None:
    harness = online()
    harness.say(stream(generation=2, rate_hz=500))
    harness.send_samples(0, generation=1)
    assert [batch.generation for batch in harness.batches] == [1]


def test_a_generation_that_was_replaced_before_it_was_described_is_lost_and_said() -> None:
    harness = online()
    harness.send_samples(0)
    harness.send_samples(20, generation=2)
    harness.say(stream(generation=3))
    harness.send_samples(40, generation=3)
    (gap,) = harness.gaps
    assert (gap.index, gap.count, gap.cause) == (20, 20, "host")
    assert harness.session.stats.held_dropped == 1
    assert_complete(harness.events)


def test_what_is_held_is_bounded_and_the_oldest_becomes_a_gap() -> None:
    harness = online()
    harness.send_samples(0)
    for k in range(1, HELD_MAX + 6):
        harness.send_samples(20 * k, generation=2)
    harness.say(stream(generation=2))
    (gap,) = harness.gaps
    assert (gap.index, gap.count, gap.cause) == (20, 100, "host")
    assert harness.session.stats.held_dropped == 5
    assert len(harness.batches) == 1 + HELD_MAX
    assert_complete(harness.events)


def test_what_comes_before_hello_is_kept_and_bounded() -> None:
    harness = Harness()
    harness.boot_ns -= 10 * SECOND
    for k in range(UNCLAIMED_MAX + 3):
        harness.now_ns += MS
        harness.say(harness.samples(20 * k))
    assert harness.events == []
    harness.hello()
    harness.say(stream())
    harness.exchange()
    assert harness.session.stats.held_dropped == 3
    assert len(harness.batches) == UNCLAIMED_MAX
    assert harness.epochs[0].next_index == 60


def test_descriptors_are_asked_for_once_a_second_while_something_waits() -> None:
    harness = online()
    harness.pass_ms(2000)
    asked = len(harness.sent("describe"))
    for k in range(100):
        harness.send_samples(20 * k, generation=5)
    assert len(harness.sent("describe")) - asked in {2, 3}


def test_a_descriptor_that_cannot_be_used_is_said_and_its_samples_are_gaps() -> None:
    harness = online()
    harness.send_samples(0)
    harness.say(stream(generation=2, fields=(dataclasses.replace(ACCEL, scale=float("nan")), GYRO)))
    assert "accel_x" in harness.devices[-1].device.warning
    harness.send_samples(20, generation=2)
    asked = len(harness.sent("describe"))
    harness.pass_ms(2000)
    assert len(harness.sent("describe")) == asked  # asking again would not help
    harness.say(stream(generation=3))
    assert harness.devices[-1].device.warning == ""
    harness.pass_ms(0)
    harness.say(harness.samples(40, generation=3, time_us=harness.device_us))
    (gap,) = harness.gaps
    assert (gap.index, gap.count, gap.cause) == (20, 20, "host")


@pytest.mark.parametrize("data", [b"", b"\0\0\0", b"\0" * 21])
def test_a_block_that_is_no_whole_number_of_samples_is_refused(data: bytes) -> None:
    harness = online()
    harness.send_samples(0)
    harness.pass_ms(20)
    harness.say(dataclasses.replace(harness.samples(20), data=data))
    assert harness.session.stats.refused_length == 1
    harness.send_samples(40)
    assert_complete(harness.events)


def test_a_scale_that_leaves_float32_gives_infinity_and_no_warning() -> None:
    harness = online(streams=(stream(fields=(dataclasses.replace(ACCEL, scale=3e38), GYRO)),))
    harness.send_samples(5, 2)
    assert np.isinf(harness.batches[0].values[0]).all()


def test_two_streams_of_one_name_are_kept_apart() -> None:
    harness = online(streams=(stream(0), stream(1), stream(2, name="")))
    assert [info.name for info in harness.devices[-1].device.streams] == ["imu", "imu_1", "stream2"]


# ------------------------------------------------------------ epochs and boots


def test_other_fields_start_a_new_epoch_after_the_losses_of_the_old() -> None:
    harness = online()
    harness.send_samples(0)
    harness.say(stream(generation=2, fields=(TEMPERATURE,)))
    harness.pass_ms(20)
    harness.send_samples(40, generation=2, fields=1)
    first, second = harness.epochs
    (gap,) = harness.gaps
    assert (gap.epoch, gap.index, gap.count) == (first.epoch, 20, 20)
    assert (second.epoch, second.next_index) == (first.epoch + 1, 40)
    assert [field.name for field in second.fields] == ["temperature"]
    assert harness.events.index(gap) < harness.events.index(second)
    assert harness.batches[-1].epoch == second.epoch


def test_another_rate_goes_on_in_the_same_epoch() -> None:
    harness = online()
    harness.send_samples(0)
    harness.say(stream(generation=2, rate_hz=500))
    harness.pass_ms(40)
    harness.say(harness.samples(20, generation=2, time_us=harness.device_us - 40_000))
    assert len(harness.epochs) == 1
    assert harness.batches[1].period_ns == pytest.approx(2_000_000, rel=1e-3)
    assert harness.devices[-1].device.streams[0].rate_hz == 500


def test_another_range_goes_on_in_the_same_epoch_and_each_sample_has_its_own_scale() -> None:
    harness = online()
    harness.send_samples(0)
    wider = dataclasses.replace(ACCEL, scale=1.0, full_scale=200.0)
    harness.say(stream(generation=2, fields=(wider, GYRO)))
    harness.send_samples(20, generation=1)  # was on its way
    harness.send_samples(40, generation=2)
    assert len(harness.epochs) == 1
    assert [batch.values[0, 1] for batch in harness.batches] == [0.5, 10.5, 41.0]
    assert [batch.generation for batch in harness.batches] == [1, 1, 2]
    assert [field.full_scale for field in harness.devices[-1].device.streams[0].fields] == [200.0, 50.0]
    assert harness.gaps == []


def test_a_disabled_stream_leaves_no_gap_and_no_false_rate_behind() -> None:
    harness = online()
    for k in range(10):
        harness.send_samples(20 * k)
    harness.say(dataclasses.replace(stream(generation=2), enabled=0))
    info = harness.devices[-1].device.streams[0]
    assert (info.enabled, info.state, info.measured_rate_hz) == (False, "stopped", None)
    for _ in range(5):
        harness.pass_ms(1000)
        stopped = dataclasses.replace(stream_health(200), state=messages.StreamState.STOPPED)
        harness.say(dataclasses.replace(health(harness.device_us, stopped), sensors=()))
    harness.say(stream(generation=3))
    info = harness.devices[-1].device.streams[0]
    assert (info.enabled, info.state) == (True, "streaming")
    for k in range(10, 20):
        harness.send_samples(20 * k, generation=3)
    harness.say(health(harness.device_us, stream_health(400)))
    assert (len(harness.epochs), harness.gaps) == (1, [])
    assert harness.batches[10].time_ns - harness.batches[9].time_ns == pytest.approx(5_020_000_000, abs=2 * MS)
    assert harness.batches[10].period_ns == pytest.approx(1_000_000, rel=1e-2)
    assert harness.devices[-1].device.streams[0].measured_rate_hz == pytest.approx(1000, rel=1e-2)


def test_another_latency_is_told_and_changes_nothing_else() -> None:
    harness = online()
    harness.send_samples(0)
    assert harness.devices[-1].device.streams[0].latency_us == 20_000
    harness.say(dataclasses.replace(stream(generation=2), latency_us=5_000))
    harness.send_samples(20, generation=2)
    assert harness.devices[-1].device.streams[0].latency_us == 5_000
    assert (len(harness.epochs), harness.gaps) == (1, [])


def test_the_rate_that_the_board_measures_is_told_until_the_samples_show_it() -> None:
    harness = online()
    measured = (messages.SensorHealth(0, 1_050_000, 2_500),)
    harness.say(dataclasses.replace(health(harness.device_us, stream_health(0)), sensors=measured))
    assert harness.devices[-1].device.streams[0].measured_rate_hz == 1050.0
    for k in range(5):
        harness.send_samples(20 * k)
    harness.say(dataclasses.replace(health(harness.device_us, stream_health(100)), sensors=measured))
    assert harness.devices[-1].device.streams[0].measured_rate_hz == pytest.approx(1000, rel=1e-2)
    harness.say(stream(generation=2, rate_hz=500))
    assert harness.devices[-1].device.streams[0].measured_rate_hz is None  # both are of the rate before


def test_a_reboot_starts_a_new_epoch_at_zero() -> None:
    harness = online()
    harness.send_samples(500)
    harness.reboot()
    harness.hello(boot_id=0x1002)
    harness.say(stream(generation=2))
    harness.exchange()
    harness.send_samples(0, generation=2)
    first, second = harness.epochs
    assert (second.epoch, second.boot_id, second.next_index) == (first.epoch + 1, "00001002", 0)
    assert harness.batches[-1].epoch == second.epoch
    assert harness.gaps == []
    assert harness.session.stats.missing_frames == 0


def test_what_a_board_lost_before_its_first_batch_after_a_reboot_is_said() -> None:
    harness = online()
    harness.send_samples(500)
    harness.reboot()
    harness.hello(boot_id=0x1002)
    harness.say(stream(generation=2))
    harness.exchange()
    harness.lose()
    harness.pass_ms(20)
    harness.send_samples(20, generation=2)
    (gap,) = harness.gaps
    assert (gap.epoch, gap.index, gap.count, gap.cause) == (2, 0, 20, "wire")


@pytest.mark.parametrize("generation", [1, 2])
def test_a_reboot_whose_hello_was_lost_is_found_out_before_a_sample_is_delivered(generation: int) -> None:
    harness = online()
    harness.send_samples(500)
    harness.pass_ms(100)
    harness.reboot()
    harness.lose()  # HELLO
    harness.say(stream(generation=generation, fields=(dataclasses.replace(ACCEL, scale=1.0), GYRO)))
    harness.send_samples(0, generation=generation)
    harness.send_samples(20, generation=generation)
    assert len(harness.batches) == 1
    harness.exchange()
    harness.hello(boot_id=0x1002)
    harness.say(stream(generation=generation, fields=(dataclasses.replace(ACCEL, scale=1.0), GYRO)))
    harness.exchange()
    batches = harness.batches
    assert [(batch.epoch, batch.index) for batch in batches] == [(1, 500), (2, 0), (2, 20)]
    assert batches[1].values[0, 1] == 1.0
    assert harness.gaps == []


def test_a_reboot_is_found_out_by_the_time_alone() -> None:
    harness = online()
    harness.send_samples(0)
    harness.answer_pings = False  # their stamps would give it away as well
    harness.reboot()
    harness.pass_ms(60)
    harness.lose(3)  # HELLO, STREAM and the first batches: the index has overtaken what it was before
    harness.send_samples(60)
    assert len(harness.batches) == 1
    harness.answer_pings = True
    harness.hello(boot_id=0x1002)
    harness.say(stream())
    harness.exchange()
    assert [(batch.epoch, batch.index) for batch in harness.batches] == [(1, 0), (2, 60)]
    (gap,) = harness.gaps
    assert (gap.epoch, gap.index, gap.count, gap.cause) == (2, 0, 60, "wire")


def test_what_a_board_itself_lost_after_a_reboot_is_not_blamed_on_the_wire() -> None:
    harness = online()
    harness.send_samples(500)
    harness.reboot()
    harness.hello(boot_id=0x1002)
    harness.say(stream(generation=2))
    harness.exchange()
    harness.pass_ms(4)
    harness.send_samples(4, generation=2)
    (gap,) = harness.gaps
    assert (gap.epoch, gap.index, gap.count, gap.cause) == (2, 0, 4, "device")


def test_another_board_on_the_same_link_is_another_device() -> None:
    harness = online()
    harness.send_samples(0)
    harness.hello(uid=bytes(reversed(UID)), boot_id=0x77)
    states = [(changed.device.id, changed.device.state) for changed in harness.devices[-2:]]
    assert states == [(UID.hex(), "offline"), (bytes(reversed(UID)).hex(), "online")]
    harness.say(stream())
    harness.exchange()
    harness.send_samples(300)
    assert harness.gaps == []  # nobody has watched it boot
    assert harness.batches[-1].device == bytes(reversed(UID)).hex()


def test_after_a_lost_link_the_same_boot_goes_on_with_its_losses_named() -> None:
    harness = online()
    harness.send_samples(0)
    closing = harness.session.closed(harness.now_ns)
    assert [event.device.state for event in closing if isinstance(event, DeviceChanged)] == ["offline"]
    assert harness.session.closed(harness.now_ns) == []
    assert harness.session.receive(b"anything\0", harness.now_ns) == []
    assert harness.session.poll(harness.now_ns) == []
    harness.now_ns += 5 * SECOND
    harness.events += harness.session.opened(harness.now_ns)
    harness.sequence = 99
    harness.send_samples(5020)
    assert len(harness.batches) == 1  # not before HELLO and STREAM have come again
    harness.hello()
    harness.say(stream())
    first, second = harness.batches
    assert first.epoch == second.epoch
    (gap,) = harness.gaps
    assert (gap.index, gap.count, gap.cause) == (20, 5000, "wire")
    assert second.time_ns - first.time_ns == pytest.approx(5020 * MS, abs=MS)


def test_a_reboot_while_the_link_was_down_is_a_loss_at_the_end_of_one_epoch_and_the_start_of_the_next() -> None:
    harness = online(streams=(stream(), stream(1, name="temp")))
    harness.send_samples(500)  # of the other stream nothing came: it had no epoch
    harness.session.closed(harness.now_ns)
    harness.now_ns += SECOND
    harness.events += harness.session.opened(harness.now_ns)
    harness.boot_ns = harness.now_ns - SECOND // 2
    harness.hello(boot_id=0x1002)
    harness.say(stream(generation=2))
    harness.exchange()
    harness.send_samples(480, generation=2)
    first, second = harness.epochs
    end, start = harness.gaps
    assert (end.stream, end.epoch, end.index, end.count, end.cause) == ("imu", first.epoch, 520, None, "wire")
    assert second.next_index == 0
    assert (start.epoch, start.index, start.count, start.cause) == (second.epoch, 0, 480, "wire")
    assert harness.events.index(end) < harness.events.index(second) < harness.events.index(start)
    assert_complete(harness.events)


def test_a_reboot_while_the_board_was_not_heard_is_such_a_loss_as_well() -> None:
    harness = online()
    harness.send_samples(500)
    harness.answer_pings = False
    harness.pass_ms(4000)
    assert harness.state == "offline"
    harness.boot_ns = harness.now_ns - SECOND // 2
    harness.answer_pings = True
    harness.hello(boot_id=0x1002)
    harness.say(stream(generation=2))
    harness.exchange()
    harness.send_samples(480, generation=2)
    assert [(gap.epoch, gap.index, gap.count, gap.cause) for gap in harness.gaps] == [
        (1, 520, None, "wire"),
        (2, 0, 480, "wire"),
    ]


def test_a_reboot_that_was_watched_leaves_no_gap_of_unknown_length() -> None:
    harness = online()
    harness.send_samples(500)
    harness.reboot()
    harness.hello(boot_id=0x1002)
    harness.say(stream(generation=2))
    harness.exchange()
    harness.send_samples(0, generation=2)
    assert harness.gaps == []


def test_no_stream_vanishes_when_a_board_reboots() -> None:
    streams = (stream(), stream(1, name="temp"))
    harness = online(streams=streams)
    seen = len(harness.devices)
    harness.reboot()
    harness.hello(boot_id=0x1002, streams=2)
    harness.say(messages.Log(0, messages.LogLevel.INFO, "reset by its pin"))
    for said in streams:
        harness.say(said)
    told = [changed.device for changed in harness.devices[seen:]]
    assert [info.name for info in told[0].streams] == ["imu", "temp"]
    assert {len(device.streams) for device in told} == {2}
    assert told[0].boot_id == "00001002"


def test_a_reboot_is_told_after_a_second_even_if_a_descriptor_was_lost() -> None:
    harness = online()
    seen = len(harness.devices)
    harness.reboot()
    harness.hello(boot_id=0x1002, streams=2)
    harness.say(stream())
    harness.pass_ms(999)
    assert len(harness.devices) == seen
    harness.pass_ms(1)
    told = harness.devices[seen].device
    assert (told.boot_id, [info.name for info in told.streams]) == ("00001002", ["imu"])


def test_samples_after_a_reboot_do_not_wait_for_the_descriptor_of_another_stream() -> None:
    harness = online()
    harness.reboot()
    harness.hello(boot_id=0x1002, streams=2)
    harness.say(stream())
    harness.exchange()
    events = harness.send_samples(0)
    assert [type(event) for event in events[-3:]] == [DeviceChanged, EpochStarted, Batch]


def test_a_board_that_was_halted_goes_on_after_it_was_asked() -> None:
    harness = online()
    harness.send_samples(0)
    harness.answer_pings = False
    harness.now_ns += 60 * SECOND  # in a debugger: its clock stood still
    harness.boot_ns += 60 * SECOND
    harness.send_samples(20)
    assert len(harness.batches) == 1
    harness.hello()
    harness.say(stream())
    assert [batch.index for batch in harness.batches] == [0, 20]
    assert harness.gaps == []


# ------------------------------------------------------------------- the clock


def test_samples_wait_for_the_first_ping_and_no_longer() -> None:
    harness = Harness()
    harness.boot_ns -= 10 * SECOND
    harness.hello()
    harness.say(stream())
    harness.say(harness.samples(0))
    assert harness.batches == []
    harness.exchange()
    (batch,) = harness.batches
    assert batch.uncertainty_ns < MS


def test_without_any_answer_samples_go_out_after_half_a_second_with_an_honest_uncertainty() -> None:
    harness = Harness(ping=False)
    harness.boot_ns -= 10 * SECOND
    harness.hello()
    harness.say(stream())
    first = harness.now_ns
    for k in range(24):
        harness.send_samples(20 * k)
    assert harness.batches == []
    for k in range(24, 30):
        harness.send_samples(20 * k)
    assert len(harness.batches) == 30
    assert harness.batches[-1].uncertainty_ns >= 500 * MS
    truth = WALL_NS + first  # the tick of index 0
    assert abs(harness.batches[0].time_ns - truth) < 500 * MS
    assert harness.devices[-1].device.clock.state == "unsynced"
    assert_complete(harness.events)


def test_times_are_the_hosts_axis_anchored_once_at_unix_time() -> None:
    harness = online()
    harness.pass_ms(5000)
    tick = harness.now_ns
    harness.send_samples(0)
    (batch,) = harness.batches
    assert abs(batch.time_ns - (WALL_NS + tick)) <= batch.uncertainty_ns
    harness.say(health(harness.device_us, stream_health(20)))
    assert harness.reports[-1].time_ns == pytest.approx(WALL_NS + harness.now_ns, abs=MS)
    clock = harness.devices[-1].device.clock
    assert clock.state == "locked"
    assert clock.offset_ns == pytest.approx(WALL_NS + harness.boot_ns, abs=MS)


def test_a_reconnect_moves_no_sample() -> None:
    harness = Harness()
    harness.hello()
    harness.say(stream())
    harness.exchange()
    for k in range(4):
        harness.send_samples(20 * k)
    harness.session.closed(harness.now_ns)
    harness.session.opened(harness.now_ns)
    harness.hello()
    harness.say(stream())
    harness.exchange()
    for k in range(4, 8):
        harness.send_samples(20 * k)
    times = [batch.time_ns for batch in harness.batches]
    assert len(times) == 8
    for before, after in itertools.pairwise(times):
        assert after - before == pytest.approx(20 * MS, abs=MS // 2)
    assert harness.devices[-1].device.clock.offset_ns == pytest.approx(WALL_NS + harness.boot_ns, abs=MS)


def test_a_reboot_starts_a_clock_of_its_own() -> None:
    harness = online()
    for k in range(5):
        harness.send_samples(20 * k)
    harness.pass_ms(5000)
    assert harness.devices[-1].device.clock.state == "locked"
    harness.reboot()
    harness.hello(boot_id=0x1002)
    harness.say(stream(generation=2))
    assert harness.devices[-1].device.clock.state != "locked"
    harness.exchange()
    harness.send_samples(0, generation=2)
    batch = harness.batches[-1]
    tick = harness.now_ns - 20 * MS
    assert abs(batch.time_ns - (WALL_NS + tick)) <= batch.uncertainty_ns < 2 * MS


def test_pings_come_ten_a_second_and_later_one() -> None:
    harness = online()
    before = len(harness.sent("ping"))
    harness.pass_ms(4000)
    assert len(harness.sent("ping")) - before in range(38, 42)
    harness.pass_ms(27_000)
    before = len(harness.sent("ping"))
    harness.pass_ms(10_000)
    assert len(harness.sent("ping")) - before in range(9, 12)


def test_a_clock_that_was_upset_is_learnt_anew_quickly() -> None:
    harness = online()
    harness.pass_ms(40_000)
    assert harness.devices[-1].device.clock.state == "locked"
    harness.boot_ns -= 300 * MS  # the board's clock jumps ahead, as an emulator's may
    before = len(harness.sent("ping"))
    harness.pass_ms(5_000)
    assert len(harness.sent("ping")) - before > 35
    harness.say(health(harness.device_us))
    clock = harness.devices[-1].device.clock
    assert clock.state == "locked"
    assert clock.offset_ns == pytest.approx(WALL_NS + harness.boot_ns, abs=5 * MS)


# --------------------------------------------------------------------- reports


def test_health_is_told_in_si_units_and_names() -> None:
    harness = online()
    harness.send_samples(0)
    harness.say(health(harness.device_us, stream_health(25, fifo=3), uptime_s=12, supply_mv=3300, mcu_cdegc=2512))
    report = harness.reports[-1]
    assert (report.stream, report.device) == ("health", UID.hex())
    body = report.body
    assert (body["uptime_s"], body["cpu"], body["supply_v"], body["mcu_temperature_degc"]) == (12, 0.031, 3.3, 25.12)
    assert body["streams"] == {
        "imu": {
            "state": "streaming",
            "next_index": 25,
            "lost_fifo": 3,
            "lost_ring": 0,
            "lost_bus": 0,
            "measured_rate_hz": 1000.0,
            "sensor_temperature_degc": 25.0,
            "received": 20,
            "gap_device": 0,
            "gap_wire": 0,
            "gap_host": 0,
        }
    }
    assert body["link"]["frames"] == harness.session.stats.frames  # type: ignore[index]
    assert harness.devices[-1].device.streams[0].state == "streaming"


def test_health_says_none_for_what_the_board_does_not_know() -> None:
    harness = online()
    harness.say(health(harness.device_us))
    body = harness.reports[-1].body
    assert body["supply_v"] is None
    assert body["mcu_temperature_degc"] is None
    report = dataclasses.replace(health(harness.device_us, stream_health(0)), sensors=(), flash_stall_us=250_016)
    harness.say(report)
    body = harness.reports[-1].body
    assert body["flash_stall_ms"] == 250.016
    imu = body["streams"]["imu"]  # type: ignore[index]
    assert (imu["measured_rate_hz"], imu["sensor_temperature_degc"]) == (None, None)
    harness.say(dataclasses.replace(report, sensors=(messages.SensorHealth(0, 0, -32768),)))
    imu = harness.reports[-1].body["streams"]["imu"]  # type: ignore[index]
    assert (imu["measured_rate_hz"], imu["sensor_temperature_degc"]) == (None, None)


def test_log_lines_carry_their_level_and_time() -> None:
    harness = online()
    harness.say(messages.Log(harness.device_us, messages.LogLevel.WARNING, "imu does not answer"))
    report = harness.reports[-1]
    assert report.stream == "log"
    assert report.body == {"level": "warning", "text": "imu does not answer"}
    assert report.time_ns == pytest.approx(WALL_NS + harness.now_ns, abs=MS)


def test_a_fault_is_told_once_however_often_the_board_repeats_it() -> None:
    harness = online()
    fault = messages.Fault(
        0x1000, 123_456_789, 3, 0x08001234, 0x08004321, 0x20001FF0, 0x61000000, 0x8200, 1 << 30, 0, 4
    )
    for _ in range(3):
        harness.say(fault)
    (report,) = harness.reports
    assert report.stream == "fault"
    assert report.body["cause"] == "HardFault"
    assert report.body["pc"] == "0x08001234"
    assert report.body["boot_id"] == "00001000"


# ----------------------------------------------------------------------- damage


def test_what_is_refused_is_counted() -> None:
    harness = online()
    harness.hear(encode_frame(0x7F, harness.sequence, b"future"))
    harness.sequence += 1
    harness.hear(encode_frame(messages.Health.TYPE, harness.sequence, b"short"))
    harness.sequence += 1
    harness.hear(b"\x05\x01\x00")
    stats = harness.session.stats
    assert (stats.refused_type, stats.refused_length, stats.damaged_cobs, stats.missing_frames) == (1, 1, 1, 0)
    assert harness.handshake == "online"


def test_a_host_that_slept_loses_samples_and_no_time() -> None:
    harness = online()
    for index in range(0, 4000, 20):
        harness.send_samples(index)
    harness.lose(7)
    harness.now_ns += 3600 * SECOND  # nobody reads, nobody polls; the host's clock counts it, as that of the board does
    harness.exchange()
    harness.hello()
    harness.say(stream())
    for index in range(3_604_000, 3_605_000, 20):
        harness.send_samples(index)
    assert [(gap.count, gap.cause) for gap in harness.gaps] == [(3_600_000, "wire")]
    last = harness.batches[-1]
    assert last.epoch == harness.batches[0].epoch
    error_ns = last.time_ns - (WALL_NS + harness.now_ns - 20 * MS)
    assert abs(error_ns) <= last.uncertainty_ns < 50 * MS
