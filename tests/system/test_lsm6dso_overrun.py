"""An LSM6DSO whose FIFO runs over while an erase of the flash stalls the core."""

from __future__ import annotations

import numpy as np
import pytest

from firmware.imu_checks import Ramp
from store_image import CELLS, SLOTS, record, slots, stream
from system.desk import Desk, assert_accounted_for, batches, health
from virtual_board.motion import STANDARD_GRAVITY

LSB = 0.122e-3 * STANDARD_GRAVITY
HELD = 256
"""Samples of six axes in 512 words (DS12140 6.5)."""


def full_slots() -> bytes:
    """Configuration of which the next save erases a slot."""

    def cells(first: int) -> list[bytes]:
        return [
            record(number, stream(833_375) + stream(10_000) + stream(10_000)) for number in range(first, first + CELLS)
        ]

    return slots(cells(1 + CELLS), cells(1))


@pytest.mark.parametrize("phase_us", [0, 700, 1900, 3100, 4700])
@pytest.mark.parametrize(
    ("places", "rate_mhz"),
    [
        ({"parts": (), "spi": ("lsm6dso",)}, 6_667_000),
        ({"parts": (), "spi": ("lsm6dso",)}, 3_333_500),
        ({"parts": ("lsm6dso",)}, 1_666_750),
    ],
    ids=["SPI, 6.667 kHz", "SPI, 3.333 kHz", "I2C, 1.667 kHz"],
)
def test_an_overrun_during_an_erase_is_an_exact_gap(
    places: dict[str, tuple[str, ...]], rate_mhz: int, phase_us: int
) -> None:
    ppm = 20_000.0
    rate_hz = rate_mhz / 1000
    motion = Ramp(rate_hz=rate_hz * (1 + ppm / 1e6), lsb=2 * LSB)
    desk = Desk.with_board(**places, motion=motion, odr_error_ppm=ppm)  # type: ignore[arg-type]
    desk.board.machine.flash[SLOTS] = full_slots()
    desk.run_until(lambda seen: bool(batches(seen)))
    assert desk.command("set_rate", stream=0, rate_mhz=rate_mhz).ok
    desk.run(0.6)
    desk.board.run(phase_us / 1e6)
    begin = len(desk.events)
    assert desk.command("save_configuration").ok
    desk.run(1.2)
    assert desk.board.machine.flash_controller.erases[2] == 1
    (*_, last) = health(desk.events)
    imu = last.body["streams"]["imu"]  # type: ignore[index]
    stalled = 0.25 * motion.rate_hz
    assert stalled - HELD < imu["lost_fifo"] <= stalled + 60, "a watermark may have waited already"
    assert imu["lost_bus"] == imu["lost_ring"] == 0
    assert assert_accounted_for(desk.events) == imu["lost_fifo"]
    found = batches(desk.events[begin:])
    index = np.concatenate([batch.index + np.arange(batch.samples) for batch in found])
    offset = np.concatenate([batch.values[0] for batch in found]) / motion.lsb - index
    assert offset.max() - offset.min() <= 1, "each sample has the index that its value says"
