"""The models of TMP117 (DS: SNOSD82D) and LM75 (DS: SNOS808P; NXP: LM75B rev. 6.1) as a host sees them."""

from __future__ import annotations

import statistics

import pytest

from sensor_host import Clock, SensorHost
from virtual_board.sensors.lm75 import LM75, LM75B, Kind, Lm75
from virtual_board.sensors.tmp117 import Tmp117

TEMP, CONFIGURATION, HIGH, LOW, OFFSET, DEVICE_ID = 0, 1, 2, 3, 7, 0x0F
CONF, THYST, TOS = 1, 2, 3


class Thermometer(SensorHost[Tmp117]):
    def __init__(self, *, noise: bool = False) -> None:
        self.celsius = 25.0
        time = Clock()
        super().__init__(time, Tmp117(time, lambda _: self.celsius, noise=noise))
        self.pass_ms(2)

    def word(self, register: int) -> int:
        return int.from_bytes(self.read(register, 2), "big")

    def put(self, register: int, word: int) -> None:
        assert self.write(register, word >> 8, word & 0xFF)


def test_it_loads_its_registers_then_tells_its_identity() -> None:
    """DS 6.5, 7.6."""
    time = Clock()
    host = SensorHost(time, Tmp117(time, lambda _: 25.0))
    host.pass_ms(1.4)
    assert not host.write(DEVICE_ID)
    host.pass_ms(0.2)
    assert host.read(DEVICE_ID, 2) == b"\x01\x17"
    assert host.read(CONFIGURATION, 2) == b"\x02\x20"
    assert host.read(HIGH, 2) == b"\x60\x00"
    assert host.read(LOW, 2) == b"\x80\x00"


def test_until_the_first_conversion_it_reads_minus_256_degrees() -> None:
    """DS 7.6.2; eight averages of 15.5 ms by default."""
    host = Thermometer()
    host.pass_ms(120)
    assert host.word(TEMP) == 0x8000
    host.pass_ms(5)
    assert host.word(TEMP) == 0x0C80


@pytest.mark.parametrize(
    ("celsius", "word"),
    [(-25, 0xF380), (-0.125, 0xFFF0), (-0.0078125, 0xFFFF), (0, 0), (1, 0x0080), (100, 0x3200), (300, 0x7FFF)],
)
def test_temperature(celsius: float, word: int) -> None:
    """DS table 7-1."""
    host = Thermometer()
    host.celsius = celsius
    host.pass_ms(2000)
    assert host.word(TEMP) == word


@pytest.mark.parametrize(
    ("conv", "avg", "ms"),
    [
        (0, 0, 15.5),
        (0, 1, 125),
        (0, 2, 500),
        (0, 3, 1000),
        (1, 0, 125),
        (2, 1, 250),
        (3, 2, 500),
        (4, 1, 1000),
        (5, 3, 4000),
    ],
)
def test_the_conversion_cycle(conv: int, avg: int, ms: float) -> None:
    """DS table 7-7."""
    host = Thermometer()
    host.put(CONFIGURATION, conv << 7 | avg << 5)
    host.pass_ms(1000)
    before, ended = host.device.conversions, host.device.conversion_ps
    host.pass_ms(4 * ms)
    assert host.device.conversions - before == 4
    assert host.device.conversion_ps - ended == pytest.approx(4e9 * ms)


def test_data_ready_is_cleared_by_reading_either_register() -> None:
    """DS 7.6.3."""
    host = Thermometer()
    host.put(CONFIGURATION, 0x00A0)
    for register in (TEMP, CONFIGURATION):
        host.pass_ms(130)
        assert host.device._registers[CONFIGURATION] & 0x2000
        host.read(register, 2)
        assert not host.word(CONFIGURATION) & 0x2000


def test_a_result_is_the_temperature_in_the_middle_of_its_conversions() -> None:
    time = Clock()
    host = SensorHost(time, Tmp117(time, lambda t: 100 * t, noise=False))
    host.pass_ms(600)
    assert host.write(CONFIGURATION, 0x00, 0xA0)
    host.pass_ms(400)
    word = int.from_bytes(host.read(TEMP, 2), "big")
    assert word * 0.0078125 == pytest.approx(100 * (host.device.conversion_ps / 1e12 - 0.062), abs=0.004)


def test_averages_take_noise_off() -> None:
    """DS 8.2.2.1."""
    spread = []
    for avg in (0, 1):
        host = Thermometer(noise=True)
        host.put(CONFIGURATION, 1 << 7 | avg << 5)
        values = []
        for _ in range(300):
            host.pass_ms(125)
            values.append(host.word(TEMP))
        spread.append(statistics.stdev(values))
    assert spread[0] / spread[1] == pytest.approx(8**0.5, rel=0.2)


def test_shutdown_and_one_shot() -> None:
    """DS 7.4.2, 7.4.3."""
    host = Thermometer()
    host.put(CONFIGURATION, 0x0420)
    host.pass_ms(2000)
    assert host.word(TEMP) == 0x8000
    host.put(CONFIGURATION, 0x0C00)
    host.pass_ms(20)
    assert host.word(CONFIGURATION) == 0x2400, "ready, and shut down again"
    assert host.word(TEMP) == 0x0C80
    host.pass_ms(2000)
    assert host.device.conversions == 1


def test_alert_latches_until_the_configuration_is_read() -> None:
    """DS 7.4.4.1."""
    host = Thermometer()
    host.put(CONFIGURATION, 0x00A0)
    host.put(HIGH, 0x0D00)
    host.celsius = 27.0
    host.pass_ms(130)
    assert not host.device.alert.level, "active low"
    host.celsius = 25.0
    host.pass_ms(125)
    assert not host.device.alert.level
    assert host.word(CONFIGURATION) & 0x8000
    assert host.device.alert.level
    assert not host.word(CONFIGURATION) & 0x8000


def test_therm_mode_has_hysteresis() -> None:
    """DS 7.4.4.2."""
    host = Thermometer()
    host.put(CONFIGURATION, 0x00B0)
    host.put(HIGH, 0x0D00)
    host.put(LOW, 0x0C00)
    states = []
    for celsius in (25, 26.5, 25, 23.9):
        host.celsius = celsius
        host.pass_ms(130)
        states.append(bool(host.word(CONFIGURATION) & 0x8000))
    assert states == [False, True, True, False]


def test_offset_is_added_and_a_soft_reset_forgets_it() -> None:
    """DS 7.6.9, 7.6.3."""
    host = Thermometer()
    host.put(OFFSET, 0x0080)
    host.pass_ms(1200)
    assert host.word(TEMP) == 0x0C80 + 0x80
    host.put(CONFIGURATION, 0x0002)
    assert not host.write(TEMP), "2 ms"
    host.pass_ms(2.1)
    assert host.word(OFFSET) == 0


def test_unplugged_and_not_acknowledging() -> None:
    host = Thermometer()
    host.device.nack = True
    assert not host.write(TEMP)
    host.device.nack = False
    host.device.device_id = 0x0116
    assert host.word(DEVICE_ID) == 0x0116
    host.device.power_off()
    host.device.present = False
    before = host.device.conversions
    host.pass_ms(3000)
    assert host.device.conversions == before
    assert not host.write(TEMP)


class Watchdog(SensorHost[Lm75]):
    def __init__(self, kind: Kind = LM75) -> None:
        self.celsius = 25.0
        time = Clock()
        super().__init__(time, Lm75(time, lambda _: self.celsius, kind=kind))


def test_the_registers_of_an_lm75_at_power_up() -> None:
    """DS 1.11 to 1.14: pointer at the temperature, 75 and 80 degC; the pointer decodes two bits."""
    host = Watchdog()
    assert host.device.start(read=True)
    assert bytes(host.device.read() for _ in range(2)) == b"\x00\x00"
    assert host.read(CONF, 1) == b"\x00"
    assert host.read(THYST, 2) == b"\x4b\x00"
    assert host.read(TOS, 2) == b"\x50\x00"
    assert host.read(0x0F, 2) == b"\x50\x00", "no identification: P0 and P1 choose"


@pytest.mark.parametrize(
    ("kind", "celsius", "word"),
    [
        (LM75, 125, 0x7D00),
        (LM75, 25.2, 0x1900),
        (LM75, 25.4, 0x1980),
        (LM75, -0.5, 0xFF80),
        (LM75, -55, 0xC900),
        (LM75B, 25.13, 0x1920),
        (LM75B, -25, 0xE700),
    ],
)
def test_temperature_of_an_lm75(kind: Kind, celsius: float, word: int) -> None:
    """DS 1.12: 9 bits, 0.5 degC; NXP 7.4.3: 11 bits, 0.125 degC."""
    host = Watchdog(kind)
    host.celsius = celsius
    host.pass_ms(250)
    assert int.from_bytes(host.read(TEMP, 2), "big") == word


@pytest.mark.parametrize("kind", [LM75, LM75B])
def test_an_lm75_converts_every_100_ms_unless_shut_down(kind: Kind) -> None:
    """DS electrical characteristics; NXP table 16."""
    host = Watchdog(kind)
    host.pass_ms(1050)
    assert host.device.conversions in (10, 11)
    host.write(CONF, 0x01)
    before = host.device.conversions
    host.pass_ms(500)
    assert host.device.conversions == before
    host.write(CONF, 0x00)
    host.pass_ms(111)
    assert host.device.conversions == before + 1 + (kind is LM75B)


def test_the_set_points_keep_nine_bits() -> None:
    """DS 1.14."""
    host = Watchdog()
    host.write(THYST, 0x12, 0xFF)
    assert host.read(THYST, 2) == b"\x12\x80"
    host.write(TEMP, 0x12, 0x00)
    assert host.read(TEMP, 2) == b"\x00\x00", "read only"
    host.write(THYST, 0x33)
    assert host.read(THYST, 2) == b"\x12\x80", "half a register"


def test_os_compares_with_hysteresis() -> None:
    """DS 1.9: comparator mode, active low."""
    host = Watchdog()
    levels = []
    for celsius in (70, 81, 78, 74):
        host.celsius = celsius
        host.pass_ms(110)
        levels.append(host.device.os.level)
    assert levels == [True, False, False, True]
