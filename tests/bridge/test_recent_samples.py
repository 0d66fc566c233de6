"""The ring of recent samples: bounded in bytes and in seconds, and where a subscriber goes on that comes back."""

from __future__ import annotations

import pytest

from bridge.server_helpers import batch, epoch_started
from telemetry_bridge.events import Gap
from telemetry_bridge.server.ring import OVERHEAD_BYTES, RecentSamples, RecentStreams


def ring_of(batches: int, *, max_bytes: int = 10**9, max_s: float = 1e6) -> RecentSamples:
    """Batches of 20 samples, 20 ms each."""
    ring = RecentSamples(max_bytes, max_s)
    ring.add(epoch_started())
    for number in range(batches):
        ring.add(batch(number * 20))
    return ring


def test_bytes_are_bounded() -> None:
    size = OVERHEAD_BYTES + 20 * 6 * 4
    ring = ring_of(100, max_bytes=10 * size)
    assert (ring.first, ring.end) == (91, 101)
    assert ring[ring.first].index == 90 * 20


def test_seconds_are_bounded_by_the_time_of_the_samples() -> None:
    ring = ring_of(200, max_s=1.0)
    assert ring.end - ring.first == 51, "a second, and the batch that has just reached that age"


def test_a_batch_that_does_not_fit_leaves_nothing() -> None:
    ring = ring_of(3, max_bytes=900)
    assert ring.first == ring.end == 4
    assert ring.find(7, 60) == ring.end, "the epoch goes on, so it is known"


@pytest.mark.parametrize(("index", "number"), [(0, 1), (19, 1), (20, 2), (45, 3), (200, 11), (1000, 11)])
def test_a_subscriber_goes_on_at_the_entry_that_has_its_index(index: int, number: int) -> None:
    assert ring_of(10).find(7, index) == number


def test_an_epoch_is_known_for_as_long_as_something_of_it_is_there() -> None:
    ring = ring_of(10)
    assert ring.find(6, 0) is None
    ring.add(epoch_started(epoch=8))
    assert ring.find(7, 100) == 6
    assert ring.find(7, 200) == 11, "the entry that begins the next epoch"
    assert ring.find(8, 0) == 12
    small = RecentSamples(20_000, 1e6)
    small.add(epoch_started())
    small.add(batch(0))
    small.add(epoch_started(epoch=8))
    for number in range(100):
        small.add(batch(number * 20, epoch=8))
    assert small.find(7, 0) is None


def test_a_gap_is_kept_in_its_place() -> None:
    ring = ring_of(2)
    ring.add(Gap("dev-a", "imu", 7, 40, 10, "wire"))
    ring.add(batch(50))
    assert ring.find(7, 45) == 3
    assert ring[3].event == Gap("dev-a", "imu", 7, 40, 10, "wire")
    assert ring.find(7, 50) == 4


def test_the_last_seconds_begin_with_the_sample_that_is_no_older() -> None:
    ring = ring_of(10)
    oldest = ring.oldest(0.05)
    assert oldest is not None
    assert (oldest.index, oldest.samples) == (150, 10)
    everything, nothing = ring.oldest(1e9), ring.oldest(0)
    assert everything is not None
    assert everything.index == 0
    assert nothing is None


def test_the_last_seconds_begin_right_wherever_they_begin_within_a_period() -> None:
    ring = ring_of(5)  # 0 … 99 ms, one sample a millisecond, to 100 ms
    for tenths in range(1, 1000):
        oldest = ring.oldest(tenths / 10_000)
        assert (None if oldest is None else oldest.index) == (None if tenths < 10 else 100 - tenths // 10), tenths


def test_the_last_seconds_do_not_reach_into_the_epoch_before() -> None:
    ring = ring_of(10)
    ring.add(epoch_started(epoch=8))
    assert ring.oldest(1e9) is None
    ring.add(batch(0, epoch=8))
    oldest = ring.oldest(1e9)
    assert oldest is not None
    assert (oldest.epoch, oldest.index) == (8, 0)


def test_each_stream_has_a_ring_of_its_own() -> None:
    streams = RecentStreams(10**6, 60.0, 10**9)
    streams.add(epoch_started())
    streams.add(epoch_started(stream="mcu_temp"))
    streams.add(batch(0))
    assert streams.ring("dev-a", "imu").end == 2
    assert streams.ring("dev-a", "mcu_temp").end == 1
    assert streams.ring("dev-b", "imu").end == 0


def test_of_boards_that_come_and_go_the_latest_are_kept() -> None:
    size = OVERHEAD_BYTES + 20 * 6 * 4
    streams = RecentStreams(10**6, 60.0, 10 * size)
    for number in range(100):
        streams.add(epoch_started(f"dev-{number}"))
        streams.add(batch(0, device=f"dev-{number}"))
        streams.add(batch(20, device=f"dev-{number}"))
        assert streams.bytes <= 10 * size
        assert streams.bytes == sum(streams.ring(f"dev-{other}", "imu").bytes for other in range(number + 1))
    assert [number for number in range(100) if streams.ring(f"dev-{number}", "imu").bytes] == [95, 96, 97, 98, 99]
    assert streams.ring("dev-0", "imu").first == streams.ring("dev-0", "imu").end == 3, "its numbers are not used again"
