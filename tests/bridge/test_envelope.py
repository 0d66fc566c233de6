"""The envelope of a stream: aligned intervals, no spike lost, empty ones said, nothing merged across a cut."""

from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.typing as npt

from telemetry_bridge.server.envelope import EMPTY_MAX, Envelope, Rows

MS = 1_000_000
NAN = float("nan")


def column(*values: float) -> npt.NDArray[np.float32]:
    """One field."""
    return np.array([values], np.float32)


def said(rows: list[Rows]) -> list[tuple[int, int, int, list[list[float | None]]]]:
    """Index, samples, time in ms and the rows of each message; NaN as None."""
    return [
        (
            item.index,
            item.samples,
            item.time_ns // MS,
            [[None if math.isnan(x) else x for x in row] for row in item.values.T.tolist()],
        )
        for item in rows
    ]


def test_an_interval_goes_out_with_the_first_sample_behind_it() -> None:
    envelope = Envelope(10 * MS)
    assert envelope.add(0, 12 * MS, 2 * MS, column(3.0, 1.0, 5.0)) == []
    assert (envelope.index, envelope.samples) == (0, 3)
    assert said(envelope.add(3, 18 * MS, 2 * MS, column(-1.0, 7.0))) == [(0, 4, 10, [[-1.0, 5.0, 2.0]])]
    assert (envelope.index, envelope.samples) == (4, 1)
    assert said(envelope.cut()) == [(4, 1, 20, [[7.0, 7.0, 7.0]])]
    assert (envelope.index, envelope.samples) == (None, 0)


def test_a_spike_of_one_sample_in_a_thousand_is_seen() -> None:
    envelope = Envelope(100 * MS)
    values = np.zeros((1, 1000), np.float32)
    values[0, 517] = -40.0
    rows = said([*envelope.add(0, 0, MS, values), *envelope.cut()])
    lows = [row[0] for _, _, _, block in rows for row in block]
    assert lows == [0.0] * 5 + [-40.0] + [0.0] * 4


def test_nan_among_the_samples_is_left_out_and_nothing_else_is_nan() -> None:
    envelope = Envelope(10 * MS)
    envelope.add(0, 0, MS, np.array([[NAN, 2.0, NAN], [NAN, NAN, NAN]], np.float32))
    (rows,) = envelope.cut()
    assert rows.values[:, 0].tolist()[:3] == [2.0, 2.0, 2.0]
    assert np.isnan(rows.values[3:, 0]).all()
    assert rows.samples == 3


def test_empty_intervals_between_samples_are_nan() -> None:
    envelope = Envelope(10 * MS)
    rows = envelope.add(0, 5 * MS, 25 * MS, column(1.0, 2.0, 3.0))
    empty = [None, None, None]
    assert said(rows) == [(0, 2, 0, [[1.0, 1.0, 1.0], empty, empty, [2.0, 2.0, 2.0]])]
    assert said(envelope.cut()) == [(2, 1, 40, [empty, [3.0, 3.0, 3.0]])]


def test_what_comes_of_an_interval_behind_a_cut_is_a_row_of_its_own() -> None:
    envelope = Envelope(10 * MS)
    envelope.add(0, 0, MS, column(1.0, 2.0))
    assert said(envelope.cut()) == [(0, 2, 0, [[1.0, 2.0, 1.5]])]
    envelope.add(5, 5 * MS, MS, column(9.0))
    assert said(envelope.cut()) == [(5, 1, 0, [[9.0, 9.0, 9.0]])]


def test_another_epoch_may_begin_earlier_and_leaves_no_empty_interval() -> None:
    envelope = Envelope(10 * MS)
    envelope.add(0, 1000 * MS, MS, column(1.0))
    assert said(envelope.restart()) == [(0, 1, 1000, [[1.0, 1.0, 1.0]])]
    envelope.add(0, 50 * MS, MS, column(2.0))
    assert said(envelope.restart()) == [(0, 1, 50, [[2.0, 2.0, 2.0]])]
    envelope.add(0, 5000 * MS, MS, column(3.0))
    assert said(envelope.cut()) == [(0, 1, 5000, [[3.0, 3.0, 3.0]])]


def test_time_that_falls_back_a_little_stays_in_the_open_interval() -> None:
    envelope = Envelope(10 * MS)
    envelope.add(0, 20 * MS, MS, column(1.0))
    assert envelope.add(1, 20 * MS - 1, 0, column(5.0)) == []
    assert said(envelope.cut()) == [(0, 2, 20, [[1.0, 5.0, 3.0]])]
    envelope.add(2, 19 * MS, 0, column(6.0))
    assert said(envelope.cut()) == [(2, 1, 20, [[6.0, 6.0, 6.0]])]


def test_of_many_empty_intervals_only_the_last_ones_are_said() -> None:
    envelope = Envelope(MS)
    envelope.add(0, 0, MS, column(1.0))
    envelope.cut()
    day = 86_400_000
    envelope.add(1, day * MS, MS, column(2.0))
    (rows,) = envelope.cut()
    assert rows.values.shape == (3, EMPTY_MAX + 1)
    assert rows.time_ns == (day - EMPTY_MAX) * MS
    assert np.isnan(rows.values[:, :-1]).all()
    assert rows.values[:, -1].tolist() == [2.0, 2.0, 2.0]


def test_slow_samples_at_a_high_rate_are_split_where_too_much_is_empty() -> None:
    envelope = Envelope(MS)
    messages = envelope.add(10, 0, 2000 * MS, column(1.0, 2.0, 3.0, 4.0))
    assert [(item.index, item.samples, item.time_ns // MS) for item in messages] == [
        (10, 1, 0), (11, 1, 2000 - EMPTY_MAX), (12, 1, 4000 - EMPTY_MAX)
    ]  # fmt: skip
    assert [item.values.shape[1] for item in messages] == [1, EMPTY_MAX + 1, EMPTY_MAX + 1]


def test_more_rows_than_a_message_can_say_are_several() -> None:
    envelope = Envelope(MS)
    messages = [*envelope.add(0, 0, 1000 * MS, np.arange(100, dtype=np.float32)[None, :]), *envelope.cut()]
    assert max(item.values.shape[1] for item in messages) == 65_535
    assert sum(item.samples for item in messages) == 100
    whole = np.concatenate([item.values for item in messages], axis=1)
    assert whole.shape[1] == 99_001
    assert np.flatnonzero(~np.isnan(whole[0])).tolist() == [1000 * k for k in range(100)]
    for before, after in itertools.pairwise(messages):
        assert after.time_ns == before.time_ns + before.values.shape[1] * MS
        assert after.index == before.index + before.samples


def test_an_interval_longer_than_a_period_can_say_is_a_message_of_its_own() -> None:
    envelope = Envelope(5_000 * MS)
    messages = [*envelope.add(0, 0, 4_000 * MS, column(1.0, 2.0, 3.0)), *envelope.add(3, 30_000 * MS, 1, column(4.0))]
    assert said(messages) == [
        (0, 2, 0, [[1.0, 2.0, 1.5]]),
        (2, 1, 5_000, [[3.0, 3.0, 3.0]]),
    ]
    empty = [[None, None, None]]
    assert said(envelope.cut()) == [
        (3, 0, 10_000, empty), (3, 0, 15_000, empty), (3, 0, 20_000, empty), (3, 0, 25_000, empty),
        (3, 1, 30_000, [[4.0, 4.0, 4.0]]),
    ]  # fmt: skip
