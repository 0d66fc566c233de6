"""Loss: every index is delivered once or named by a gap, with the cause that the evidence allows."""

from __future__ import annotations

import pytest

from bridge.session_helpers import Harness, assert_complete, health, online, stream, stream_health
from telemetry_bridge.events import Batch, Gap
from telemetry_bridge.session.loss import Ledger, Share, Snapshot
from telemetry_protocol import messages


def gaps(harness: Harness) -> list[tuple[int, int | None, str]]:
    return [(gap.index, gap.count, gap.cause) for gap in harness.gaps]


def say_health(harness: Harness, entry: messages.StreamHealth) -> None:
    harness.say(health(harness.device_us, entry))


# --------------------------------------------------------- by the frame sequence


def test_a_hole_with_an_unbroken_sequence_is_the_boards() -> None:
    harness = online()
    harness.send_samples(0)
    harness.send_samples(25)
    assert gaps(harness) == [(20, 5, "device")]
    assert_complete(harness.events)


def test_a_hole_with_a_hole_in_the_sequence_is_the_wires() -> None:
    harness = online()
    harness.send_samples(0)
    harness.lose(2)
    harness.send_samples(60)
    assert gaps(harness) == [(20, 40, "wire")]
    assert harness.session.stats.missing_frames == 2


def test_the_gap_comes_before_the_data_that_follows_it() -> None:
    harness = online()
    harness.send_samples(0)
    harness.lose()
    events = [event for event in harness.send_samples(40) if isinstance(event, Batch | Gap)]
    assert [type(event) for event in events] == [Gap, Batch]


def test_a_damaged_frame_is_a_hole_of_the_wire() -> None:
    harness = online()
    harness.send_samples(0)
    frame = bytearray(harness.frame(harness.samples(20)))
    frame[40] ^= 0x10
    harness.hear(bytes(frame))
    harness.send_samples(40)
    assert gaps(harness) == [(20, 20, "wire")]
    assert harness.session.stats.damaged_crc + harness.session.stats.damaged_cobs == 1


def test_frames_of_another_stream_that_were_lost_do_not_blame_the_wire_for_a_later_hole() -> None:
    harness = online(streams=(stream(), stream(1, name="temp")))
    harness.send_samples(0)
    harness.send_samples(0, 1, number=1)
    harness.lose()  # one of stream 1
    harness.send_samples(2, 1, number=1)
    harness.send_samples(20)  # nothing is missing of stream 0
    harness.send_samples(45)
    assert [(gap.stream, gap.index, gap.count, gap.cause) for gap in harness.gaps] == [
        ("temp", 1, 1, "wire"),
        ("imu", 40, 5, "device"),
    ]


def test_the_sequence_wraps_without_a_loss() -> None:
    harness = online()
    for k in range(600):
        harness.say(harness.samples(k, 1, time_us=harness.device_us))
        harness.pass_ms(1)
    assert harness.gaps == []
    assert harness.session.stats.missing_frames == 0


# -------------------------------------------------------------------- duplicates


@pytest.mark.parametrize("later", [0, 1, 5])
def test_a_frame_that_comes_twice_is_dropped_and_counted(later: int) -> None:
    harness = online()
    harness.send_samples(0)
    harness.pass_ms(20)
    again = harness.frame(harness.samples(20))
    harness.hear(again)
    for k in range(later):
        harness.send_samples(40 + 20 * k)
    harness.hear(again)
    harness.send_samples(40 + 20 * later)
    assert harness.gaps == []
    assert harness.session.stats.duplicates == 1
    assert harness.session.stats.missing_frames == 0
    assert len(harness.sent("describe")) == 1  # nobody doubts the board for it
    assert_complete(harness.events)


def test_a_health_that_comes_twice_is_no_loss() -> None:
    harness = online()
    harness.send_samples(0)
    frame = harness.frame(health(harness.device_us, stream_health(20)))
    harness.hear(frame + frame)
    harness.send_samples(25)
    assert harness.session.stats.missing_frames == 0
    assert gaps(harness) == [(20, 5, "device")]


def test_a_batch_that_overlaps_gives_only_what_is_new() -> None:
    harness = online()
    harness.send_samples(0)
    harness.pass_ms(10)
    harness.say(harness.samples(10, 20, time_us=harness.device_us - 20_000))
    first, second = harness.batches
    assert (second.index, second.samples, second.raw[:2]) == (20, 10, (20).to_bytes(2, "little"))
    assert second.time_ns - first.time_ns == pytest.approx(20_000_000, abs=1000)
    assert_complete(harness.events)


def test_an_old_frame_is_verified_and_dropped() -> None:
    harness = online()
    for k in range(40):
        harness.send_samples(20 * k)
    harness.say(harness.samples(20))  # far too old to be remembered: did the board reboot?
    harness.send_samples(800)
    assert len(harness.batches) == 40
    harness.hello()
    assert [batch.index for batch in harness.batches[39:]] == [780, 800]
    assert harness.gaps == []
    assert harness.session.stats.duplicates == 1


# --------------------------------------------------------------------- by HEALTH


def test_health_between_the_loss_and_the_next_batch_splits_a_hole_exactly() -> None:
    harness = online()
    harness.send_samples(0)
    say_health(harness, stream_health(20))
    harness.lose()  # 20 … 39
    harness.pass_ms(20)
    say_health(harness, stream_health(52, fifo=5, bus=7))  # the board lost 12 more
    harness.send_samples(52)
    assert gaps(harness) == [(20, 12, "device"), (32, 20, "wire")]
    assert not any(gap.estimated for gap in harness.gaps)
    assert_complete(harness.events)


def test_what_is_lost_after_the_snapshot_on_an_unbroken_line_is_the_boards() -> None:
    harness = online()
    harness.send_samples(0)
    say_health(harness, stream_health(20))
    harness.lose()  # 20 … 39
    say_health(harness, stream_health(40))
    harness.send_samples(48)  # the board lost 40 … 47, which no HEALTH has said yet
    assert gaps(harness) == [(20, 20, "wire"), (40, 8, "device")]


def test_losses_that_were_settled_are_not_counted_against_a_later_hole() -> None:
    harness = online()
    harness.send_samples(0)
    harness.send_samples(27)  # the board lost 7
    say_health(harness, stream_health(47, ring=7))
    harness.send_samples(47)
    harness.lose()  # 67 … 86
    say_health(harness, stream_health(87, ring=7))
    harness.send_samples(87)
    assert gaps(harness) == [(20, 7, "device"), (67, 20, "wire")]


def test_a_hole_inside_what_a_snapshot_covers_is_split_as_an_estimate() -> None:
    harness = online()
    harness.send_samples(0)
    say_health(harness, stream_health(20))
    harness.lose()
    say_health(harness, stream_health(100, fifo=8))  # but 40 … 99 wait in the board
    harness.send_samples(40)
    assert gaps(harness) == [(20, 8, "device"), (28, 12, "wire")]
    assert all(gap.estimated for gap in harness.gaps)


def test_without_a_settled_snapshot_the_sequence_decides() -> None:
    harness = online()
    harness.send_samples(1000)
    harness.lose()
    say_health(harness, stream_health(1040, fifo=500))  # of long before we came
    harness.send_samples(1040)
    assert gaps(harness) == [(1020, 20, "wire")]


def test_what_was_named_the_boards_before_the_snapshot_is_not_counted_against_a_later_hole() -> None:
    harness = online()
    harness.send_samples(0)
    say_health(harness, stream_health(20))
    harness.send_samples(25)  # the board lost 5
    say_health(harness, stream_health(60, fifo=5))
    harness.lose()  # 45 … 64
    harness.send_samples(65)
    assert gaps(harness) == [(20, 5, "device"), (45, 20, "wire")]


def test_what_may_belong_to_a_hole_that_is_named_already_is_an_estimate() -> None:
    harness = online()
    harness.send_samples(0)
    say_health(harness, stream_health(20))
    harness.lose()  # 20 … 39; and the board lost 40 … 44, as no HEALTH has said
    harness.send_samples(45)
    say_health(harness, stream_health(85, fifo=5))
    harness.lose()  # 65 … 84
    harness.send_samples(85)
    assert gaps(harness) == [(20, 25, "wire"), (65, 5, "device"), (70, 15, "wire")]
    assert [gap.estimated for gap in harness.gaps] == [False, True, True]
    harness.lose()  # 105 … 124
    say_health(harness, stream_health(125, fifo=5))
    harness.send_samples(125)
    assert gaps(harness)[3:] == [(105, 20, "wire")]


# --------------------------------------------------------------------- the tail


def quiet_after_loss() -> Harness:
    """20 samples came, the next frame was lost on the wire, then the stream fell quiet."""
    harness = online()
    harness.send_samples(0)
    say_health(harness, stream_health(20))
    harness.pass_ms(20)
    harness.lose()
    say_health(harness, stream_health(40))
    return harness


def test_a_tail_lost_on_the_wire_is_named_by_the_second_health() -> None:
    harness = quiet_after_loss()
    assert harness.gaps == []
    harness.pass_ms(1000)
    say_health(harness, stream_health(40))
    assert gaps(harness) == [(20, 20, "wire")]
    harness.pass_ms(1000)
    say_health(harness, stream_health(40))
    assert len(harness.gaps) == 1
    harness.send_samples(40)
    assert_complete(harness.events)


def test_a_tail_is_split_by_the_boards_counters() -> None:
    harness = online()
    harness.send_samples(0)
    say_health(harness, stream_health(20))
    harness.lose()
    say_health(harness, stream_health(45, bus=5))
    harness.pass_ms(1000)
    say_health(harness, stream_health(45, bus=5))
    assert gaps(harness) == [(20, 5, "device"), (25, 20, "wire")]


def test_a_tail_that_the_board_lost_needs_no_broken_line() -> None:
    harness = online()
    harness.send_samples(0)
    say_health(harness, stream_health(20))
    say_health(harness, stream_health(30, bus=10))
    harness.pass_ms(1000)
    say_health(harness, stream_health(30, bus=10))
    assert gaps(harness) == [(20, 10, "device")]


def test_no_tail_is_concluded_from_what_may_still_wait_in_the_board() -> None:
    harness = online()
    harness.send_samples(0)
    say_health(harness, stream_health(20))
    say_health(harness, stream_health(40))  # nothing was lost anywhere
    harness.pass_ms(1000)
    say_health(harness, stream_health(40))
    assert harness.gaps == []
    harness.send_samples(20)
    assert harness.gaps == []


def test_no_tail_is_concluded_too_soon() -> None:
    harness = quiet_after_loss()
    harness.pass_ms(100)
    say_health(harness, stream_health(40))
    assert harness.gaps == []


def test_a_late_frame_of_a_tail_already_named_is_not_delivered_twice() -> None:
    harness = quiet_after_loss()
    harness.pass_ms(1000)
    say_health(harness, stream_health(40))
    harness.say(harness.samples(20))
    assert [batch.index for batch in harness.batches] == [0]
    assert harness.session.stats.duplicates == 1


# -------------------------------------------------------------------- the ledger


def test_the_ledger_counts_modulo_two_to_the_32() -> None:
    ledger = Ledger(since_boot=True)
    ledger.health(100, 0, Snapshot(100, 0xFFFF_FFF0, 0, 0))
    ledger.account(100)
    ledger.health(100, 0, Snapshot(150, 0x0000_0010, 1, 1))
    assert ledger.share_out(100, 150, mark=1, unbroken=False) == [
        Share(32, "device", estimated=False),
        Share(18, "wire", estimated=False),
    ]


def test_shares_always_fill_the_hole() -> None:
    for lost in (0, 3, 10, 1000):
        for next_index in (5, 12, 20, 40):
            for mark in (1, 2):
                ledger = Ledger(since_boot=True)
                ledger.health(10, 0, Snapshot(next_index, lost, 0, 1))
                shares = ledger.share_out(10, 20, mark=mark, unbroken=False)
                assert sum(share.samples for share in shares) == 10
                assert all(share.samples > 0 for share in shares)
