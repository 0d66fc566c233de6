"""The benchmark `endurance`, for a second: nothing is lost at the highest rates."""

import pytest

from bench.endurance import SETTINGS, Setting, endure


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.label)
def test_nothing_is_lost_refused_or_left_unanswered(setting: Setting) -> None:
    outcome = endure(setting, 1.0)
    assert outcome.samples == pytest.approx(setting.rate_mhz / 1000 * (1 + setting.odr_error_ppm / 1e6), rel=0.05)
    assert (outcome.lost, outcome.refused, outcome.unanswered) == (0, 0, 0)
    assert outcome.line_percent <= 100
    assert outcome.instructions <= 700  # 600 over minutes: the benchmark; here a second with its descriptors
