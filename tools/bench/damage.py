"""A million damaged frames through the decoders: how many are taken for good."""

from __future__ import annotations

from bench import damage_campaign
from bench.report import Row

FRAMES = 1_000_000
PYTHON_FRAMES = 100_000


def run() -> tuple[str, str, list[Row]]:
    """Run the campaign with its default seed."""
    rows: list[Row] = []
    kinds: dict[str, None] = {}
    for report in damage_campaign.run(FRAMES, seed=1, python_trials=PYTHON_FRAMES):
        kinds |= dict.fromkeys(report.kinds)
        rows += [
            Row(f"{report.decoder} decoder: damaged frames", report.tried, "", f">= {FRAMES}" if not rows else ""),
            Row(f"{report.decoder} decoder: taken for good", report.accepted, "", "<= 0"),
            Row(f"{report.decoder} decoder: not in step two frames later", report.out_of_step, "", "<= 0"),
        ]
    about = (
        "Frames as the board sends them, each damaged in one way and followed by good ones. The same number of each: "
        f"{', '.join(kinds)}."
    )
    return "Damaged frames", about, rows
