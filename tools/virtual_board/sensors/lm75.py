"""LM75 and its relatives: National/TI LM75A (9 bits, 0.5 degC), NXP LM75B (11 bits, 0.125 degC).

Sources: DS = SNOS808P (LM75A), NXP = LM75B rev. 6.1. Neither has an identification register. The two differ from one
another in resolution, conversion time and the pointer bits they decode; the OS output in interrupt mode and the fault
queue are not modelled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..net import Net
from ..timebase import PS_PER_US, Timebase
from .words import PointerDevice

TEMP, CONF, THYST, TOS = range(4)
_SHUTDOWN, _OS_POLARITY = 0x01, 0x04
_RESET = {TEMP: 0x0000, CONF: 0x00, THYST: 0x4B00, TOS: 0x5000}
"""75 and 80 degC (DS 1.14, NXP table 5)."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What differs between the relatives."""

    name: str
    bits: int
    """Of the temperature."""
    conversion_ps: int
    period_ps: int
    """From one conversion to the next."""
    pointer_mask: int
    configuration_mask: int


LM75 = Kind("lm75", 9, 100_000 * PS_PER_US, 100_000 * PS_PER_US, 0x03, 0x1F)
"""DS: conversions take about 100 ms, and follow one another."""
LM75B = Kind("lm75b", 11, 10_000 * PS_PER_US, 100_000 * PS_PER_US, 0x03, 0x1F)
"""NXP 7.1 and table 16: every 100 ms a conversion of 10 ms."""


class Lm75(PointerDevice):
    """Faults: those of its base."""

    def __init__(
        self, time: Timebase, ambient_c: Callable[[float], float], *, address: int = 0x48, kind: Kind = LM75
    ) -> None:
        super().__init__(kind.name, time, ambient_c, address)
        self.kind = kind
        self.os = Net("LM75_OS", pull=True)
        """Open drain."""
        self._registers: dict[int, int] = {}
        self.power_on()

    def power_on(self) -> None:
        """Supply comes up: comparator mode, pointer at the temperature (DS 1.11, 1.13)."""
        self._registers = dict(_RESET)
        self._pointer = 0
        self._over = False
        self._drive_os()
        self._start()

    def power_off(self) -> None:
        """Supply is gone."""
        super().power_off()
        self.os.drive("lm75", None)

    def _start(self) -> None:
        kind = self.kind
        self.schedule(kind.period_ps, kind.conversion_ps // 2, first_ps=kind.conversion_ps)

    def convert(self, temperature_c: float) -> None:
        """Two's complement, left-aligned (DS 1.12, NXP 7.4.3); compared with the set points in 9 bits (NXP 7.4.4)."""
        limit = 1 << self.kind.bits - 1
        count = max(-limit, min(limit - 1, round(temperature_c * limit / 128)))
        self._registers[TEMP] = count << 16 - self.kind.bits & 0xFFFF
        half_degrees = count * 256 // (1 << self.kind.bits - 1)
        if half_degrees > self._half_degrees(TOS):
            self._over = True
        elif half_degrees < self._half_degrees(THYST):
            self._over = False
        self._drive_os()

    def _half_degrees(self, register: int) -> int:
        value = self._registers[register] >> 7
        return value - 0x200 if value & 0x100 else value

    def _drive_os(self) -> None:
        active_high = bool(self._registers[CONF] & _OS_POLARITY)
        self.os.drive("lm75", None if self._over == active_high else False)

    def register_size(self, pointer: int) -> int:
        """The configuration has one byte, the others two."""
        return 1 if pointer & self.kind.pointer_mask == CONF else 2

    def read_register(self, pointer: int) -> bytes:
        """Bits of the pointer that are not decoded do not count."""
        register = pointer & self.kind.pointer_mask
        return self._registers[register].to_bytes(self.register_size(register), "big")

    def write_register(self, pointer: int, data: bytes) -> None:
        """The set points keep 9 bits (DS 1.14); shutdown ends the conversions (DS 1.8)."""
        register, value = pointer & self.kind.pointer_mask, int.from_bytes(data, "big")
        if register == CONF:
            was = self._registers[CONF]
            self._registers[CONF] = value & self.kind.configuration_mask
            if value & _SHUTDOWN:
                self.stop_converting()
            elif was & _SHUTDOWN:
                self._start()
            self._drive_os()
        elif register != TEMP:
            self._registers[register] = value & 0xFF80
