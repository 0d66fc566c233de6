"""Texas Instruments TMP117 (datasheet SNOSD82D, DS).

A result is the mean temperature of its conversions: the one in the middle of them, plus white noise. EEPROM, SMBus
alert response and general-call reset are not modelled.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from ..net import Net
from ..timebase import PS_PER_US, Timebase
from .words import PointerDevice

TEMP_RESULT, CONFIGURATION, THIGH_LIMIT, TLOW_LIMIT, EEPROM_UL, TEMP_OFFSET, DEVICE_ID = 0, 1, 2, 3, 4, 7, 0x0F
LSB_C = 0.0078125
"""DS 7.3.3."""
_HIGH_ALERT, _LOW_ALERT, _DATA_READY = 0x8000, 0x4000, 0x2000
_THERM, _POLARITY, _DR_ALERT, _SOFT_RESET = 0x10, 0x08, 0x04, 0x02
_WRITABLE = 0x0FFC
"""MOD, CONV, AVG, T/nA, POL, DR/Alert (DS 7.6.3)."""
_CONTINUOUS = (0, 2)
_SHUTDOWN, _ONE_SHOT = 1, 3
CONVERSION_PS = 15_500 * PS_PER_US
"""One conversion (DS 6.5: 15.5 ms typical)."""
AVERAGES = (1, 8, 32, 64)
"""By AVG (DS 7.3.2)."""
CYCLE_US = (15_500, 125_000, 250_000, 500_000, 1_000_000, 4_000_000, 8_000_000, 16_000_000)
"""By CONV, where the averages do not take longer (DS table 7-7)."""
_LONGEST_US = (0, 125_000, 500_000, 1_000_000)
"""Time that the averages take, by AVG (DS table 7-7)."""
START_UP_PS = 1_500 * PS_PER_US
"""DS 6.5, EEPROM load time (7.3.1)."""
RESET_PS = 2_000 * PS_PER_US
"""DS 7.6.3, Soft_Reset: "a duration of 2 ms"."""
NOISE_C = 3 * LSB_C
"""One conversion without averaging; with 8 averages +-1 LSB is left (DS 8.2.2.1)."""
_RESET = {
    TEMP_RESULT: 0x8000,
    CONFIGURATION: 0x0220,
    THIGH_LIMIT: 0x6000,
    TLOW_LIMIT: 0x8000,
    EEPROM_UL: 0,
    5: 0,
    6: 0,
    TEMP_OFFSET: 0,
    8: 0,
    DEVICE_ID: 0x0117,
}
_PLAIN = frozenset((THIGH_LIMIT, TLOW_LIMIT, EEPROM_UL, 5, 6, TEMP_OFFSET, 8))


def cycle_us(conv: int, avg: int) -> int:
    """Conversion cycle in continuous mode (DS table 7-7)."""
    return max(CYCLE_US[conv], _LONGEST_US[avg])


def _signed(word: int) -> int:
    return word - 0x1_0000 if word & 0x8000 else word


class Tmp117(PointerDevice):
    """Faults: those of its base, and `device_id`."""

    def __init__(
        self,
        time: Timebase,
        ambient_c: Callable[[float], float],
        *,
        address: int = 0x48,
        seed: int = 0,
        noise: bool = True,
    ) -> None:
        super().__init__("tmp117", time, ambient_c, address)
        self.device_id = 0x0117
        self.noise = noise
        self.alert = Net("TMP117_ALERT", pull=True)
        """Open drain (DS pin functions)."""
        self._random = random.Random(f"tmp117/{address}/{seed}")
        self._registers: dict[int, int] = {}
        self._ready_ps = 0
        self.power_on()

    def power_on(self) -> None:
        """Supply comes up: the registers take their values from the EEPROM, then it converts (DS 7.3.1)."""
        self._restart(START_UP_PS)

    def power_off(self) -> None:
        """Supply is gone."""
        super().power_off()
        self.alert.drive("tmp117", None)

    def ready(self) -> bool:
        """Deaf while it loads its EEPROM."""
        return self._time.now_ps >= self._ready_ps

    def _restart(self, delay_ps: int) -> None:
        self._ready_ps = self._time.now_ps + delay_ps
        self._registers = dict(_RESET)
        self._pointer = 0
        self._drive_alert()
        self._start(delay_ps)

    # ---------------------------------------------------------------------- conversions

    def _start(self, delay_ps: int = 0) -> None:
        """Conversions as the configuration says; the first result comes when its averages are done (DS 7.4.1)."""
        configuration = self._registers[CONFIGURATION]
        mode, conv, avg = configuration >> 10 & 3, configuration >> 7 & 7, configuration >> 5 & 3
        if mode == _SHUTDOWN:
            self.stop_converting()
            return
        active_ps = AVERAGES[avg] * CONVERSION_PS
        self.schedule(
            cycle_us(conv, avg) * PS_PER_US,
            active_ps // 2,
            first_ps=delay_ps + active_ps,
            repeat=mode in _CONTINUOUS,
        )

    def convert(self, temperature_c: float) -> None:
        """DS 7.3.3: 7.8125 mdegC; the offset is added (7.6.9)."""
        averages = AVERAGES[self._registers[CONFIGURATION] >> 5 & 3]
        noise = self._random.gauss(0.0, NOISE_C / averages**0.5) if self.noise else 0.0
        raw = round((temperature_c + noise) / LSB_C) + _signed(self._registers[TEMP_OFFSET])
        raw = max(-0x8000, min(0x7FFF, raw))
        self._registers[TEMP_RESULT] = raw & 0xFFFF
        self._compare(raw)
        configuration = self._registers[CONFIGURATION] | _DATA_READY
        if configuration >> 10 & 3 == _ONE_SHOT:  # DS 7.4.3: then it shuts down
            configuration = configuration & ~0x0C00 | _SHUTDOWN << 10
        self._registers[CONFIGURATION] = configuration
        self._drive_alert()

    def _compare(self, raw: int) -> None:
        """DS 7.4.4: alert mode latches each flag until it is read; in therm mode HIGH_Alert has the low limit as its
        hysteresis."""
        high, low = _signed(self._registers[THIGH_LIMIT]), _signed(self._registers[TLOW_LIMIT])
        configuration = self._registers[CONFIGURATION]
        if configuration & _THERM:
            configuration &= ~_LOW_ALERT
            if raw > high:
                configuration |= _HIGH_ALERT
            elif raw < low:
                configuration &= ~_HIGH_ALERT
        else:
            configuration |= (raw > high) * _HIGH_ALERT | (raw < low) * _LOW_ALERT
        self._registers[CONFIGURATION] = configuration

    def _drive_alert(self) -> None:
        """DS 7.6.3: the pin follows the alert flags, or with DR/Alert the data-ready flag; active low unless POL."""
        configuration = self._registers[CONFIGURATION]
        active = configuration & (_DATA_READY if configuration & _DR_ALERT else _HIGH_ALERT | _LOW_ALERT) != 0
        pulled = active != bool(configuration & _POLARITY)
        self.alert.drive("tmp117", False if pulled else None)

    # ------------------------------------------------------------------------ registers

    def register_size(self, pointer: int) -> int:  # noqa: ARG002
        """All have 16 bits."""
        return 2

    def read_register(self, pointer: int) -> bytes:
        """DS 7.6.3: reading the configuration or the temperature clears Data_Ready, reading the configuration also the
        alert flags of alert mode."""
        value = self.device_id if pointer == DEVICE_ID else self._registers.get(pointer, 0)
        if pointer in (TEMP_RESULT, CONFIGURATION):
            cleared = _DATA_READY
            if pointer == CONFIGURATION and not self._registers[CONFIGURATION] & _THERM:
                cleared |= _HIGH_ALERT | _LOW_ALERT
            self._registers[CONFIGURATION] &= ~cleared
            self._drive_alert()
        return value.to_bytes(2, "big")

    def write_register(self, pointer: int, data: bytes) -> None:
        """Writing the configuration starts the conversions anew."""
        value = int.from_bytes(data, "big")
        if pointer == CONFIGURATION and value & _SOFT_RESET:
            self._restart(RESET_PS)
        elif pointer == CONFIGURATION:
            self._registers[pointer] = self._registers[pointer] & ~_WRITABLE | value & _WRITABLE
            self._drive_alert()
            self._start()
        elif pointer in _PLAIN:
            self._registers[pointer] = value
