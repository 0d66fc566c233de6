"""ADC1 and what the factory wrote into system memory (RM0383 section 11, DS10314 6.3.21 and 6.3.24)."""

from __future__ import annotations

import statistics

import pytest

from virtual_board.testing import IDLE, Probe, Run

APB2ENR, AHB1ENR = 0x4002_3844, 0x4002_3830
ADC = 0x4001_2000
SR, CR1, CR2, SMPR1, SQR1, SQR3, DR = (ADC + offset for offset in (0x00, 0x04, 0x08, 0x0C, 0x2C, 0x34, 0x4C))
CCR = 0x4001_2304
EOC, OVR, SWSTART = 2, 1 << 5, 1 << 30
TSVREFE = 1 << 23


@pytest.fixture
def adc(probe: Probe) -> Probe:
    probe.set(APB2ENR, 1 << 8)
    probe.write(CCR, TSVREFE)
    probe.write(CR2, 1)
    probe.write(SMPR1, 7 << 21 | 7 << 24)
    return probe


def convert(probe: Probe, channel: int) -> int:
    probe.write(SQR3, channel)
    probe.set(CR2, SWSTART)
    probe.wait(lambda: probe.read(SR) & EOC)
    return probe.read(DR)


def calibration(probe: Probe) -> tuple[int, int, int]:
    memory = probe.machine.memory
    return tuple(int.from_bytes(memory.read(0x1FFF_7A2A + 2 * n, 2), "little") for n in range(3))  # type: ignore[return-value]


def test_a_conversion_takes_sampling_plus_twelve_clocks(adc: Probe) -> None:
    """11.5: (480 + 12) ADCCLK at 16 MHz / 2."""
    adc.write(SQR3, 17)
    adc.set(CR2, SWSTART)
    assert adc.read(CR2) & SWSTART == 0
    assert adc.wait(lambda: adc.read(SR) & EOC) == pytest.approx(492 / 8, abs=0.2)
    adc.read(DR)
    assert not adc.read(SR) & EOC, "reading DR clears EOC"


@pytest.mark.parametrize("celsius", [-20.0, 25.0, 30.0, 85.0])
def test_the_temperature_comes_back_by_the_calibration_words(adc: Probe, celsius: float) -> None:
    adc.board.mcu_temperature_c = celsius
    _, at_30, at_110 = calibration(adc)
    raw = statistics.mean(convert(adc, 18) for _ in range(100))
    assert 30 + (raw - at_30) * 80 / (at_110 - at_30) == pytest.approx(celsius, abs=0.5)


@pytest.mark.parametrize("supply", [2.7, 3.0, 3.3])
def test_the_supply_comes_back_by_vrefint(adc: Probe, supply: float) -> None:
    adc.machine.adc.vdda_v = supply
    vrefint, _, _ = calibration(adc)
    raw = statistics.mean(convert(adc, 17) for _ in range(100))
    assert 3.3 * vrefint / raw == pytest.approx(supply, abs=0.01)


def test_the_f405_has_its_sensor_on_channel_16(run: Run) -> None:
    probe = run(IDLE, 10, board="netduinoplus2")
    probe.set(APB2ENR, 1 << 8)
    probe.write(CCR, TSVREFE)
    probe.write(CR2, 1)
    assert convert(probe, 16) > 800
    assert convert(probe, 18) < 10


def test_without_tsvrefe_there_is_nothing(adc: Probe) -> None:
    adc.write(CCR, 0)
    assert convert(adc, 18) < 10


def test_a_scan_by_dma(adc: Probe) -> None:
    adc.set(AHB1ENR, 1 << 22)
    stream0 = 0x4002_6400 + 0x10
    adc.write(stream0 + 0x08, DR)
    adc.write(stream0 + 0x0C, 0x2000_8000)
    adc.write(stream0 + 0x04, 2)
    adc.write(stream0, 1 << 13 | 1 << 11 | 1 << 10 | 1 << 4 | 1)
    adc.write(CR1, 1 << 8)
    adc.write(SQR1, 1 << 20)
    adc.write(SQR3, 18 | 17 << 5)
    adc.write(CR2, 1 | 1 << 8)
    adc.set(CR2, SWSTART)
    adc.wait(lambda: adc.line(56))
    first, second = (int.from_bytes(adc.machine.memory.read(0x2000_8000 + 2 * n, 2), "little") for n in range(2))
    assert first == pytest.approx((0.76 + 0.0025 * 6) / 3.3 * 4095, abs=6)
    assert second == pytest.approx(1.21 / 3.3 * 4095, abs=6)


def test_a_result_nobody_reads_is_an_overrun_when_each_one_counts(adc: Probe) -> None:
    adc.write(CR2, 1 | 1 << 10 | 2)
    adc.set(CR2, SWSTART)
    adc.pass_us(300)
    assert adc.read(SR) & OVR


def test_unique_id_and_flash_size(run: Run) -> None:
    first, second = run(IDLE, 10, unit=0), run(IDLE, 10, unit=1)
    read = first.machine.memory.read
    assert read(0x1FFF_7A10, 12) == first.board.uid
    assert first.board.uid != second.board.uid
    assert int.from_bytes(read(0x1FFF_7A22, 2), "little") == 512
