"""The measured rate of a stream, whatever the sensor does in between."""

from __future__ import annotations

import pytest

from telemetry_bridge.session.timing import PAUSES_MAX, RateFit


def feed(fit: RateFit, batches: int, period_us: float, *, index: int = 0, time_us: float = 0) -> tuple[int, float]:
    """Batches of 20 samples; index and time of the batch that would be next."""
    for _ in range(batches):
        fit.add(index, round(time_us))
        index, time_us = index + 20, time_us + 20 * period_us
    return index, time_us


@pytest.mark.parametrize("batches", [1, 2, 100])
def test_a_pause_is_no_period(batches: int) -> None:
    fit = RateFit(1000.0)
    index, time_us = feed(fit, batches, 1004)
    before = fit.period_us
    fit.add(index, round(time_us + 3_000_000))
    assert fit.period_us == before
    feed(fit, 5, 1004, index=index + 20, time_us=time_us + 3_000_000 + 20 * 1004)
    assert fit.period_us == pytest.approx(1004, rel=1e-4)


def test_pause_after_pause_leaves_the_period_alone() -> None:
    fit = RateFit(1000.0)
    index, time_us = feed(fit, 10, 1004)
    for _ in range(3):
        index, time_us = feed(fit, 1, 1004, index=index, time_us=time_us + 500_000)
    assert fit.period_us == pytest.approx(1004, rel=1e-4)


def test_a_stream_that_is_slower_than_described_is_measured_all_the_same() -> None:
    fit = RateFit(1000.0)
    feed(fit, PAUSES_MAX + 2, 2500)
    assert fit.period_us == pytest.approx(2500)
