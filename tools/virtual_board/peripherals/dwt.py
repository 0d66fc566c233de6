"""Debug blocks a program may use by itself: DWT cycle counter, DEMCR (ARMv7-M ARM C1.6 and C1.8), DBGMCU (RM0383
23.16)."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from ..bus import Peripheral

_DHCSR, _DEMCR = 0x00, 0x0C
_DWT_CTRL, _CYCCNT = 0x00, 0x04
_TRCENA = 1 << 24


class CoreDebug(Peripheral):
    """DHCSR to DEMCR; without a debugger DHCSR reads 0."""

    RESET: ClassVar = {_DHCSR: 0, 0x04: 0, 0x08: 0, _DEMCR: 0}

    def __init__(self) -> None:
        super().__init__("DCB", 0xE000_EDF0)
        self.read_only = frozenset((_DHCSR,))

    @property
    def trace_enabled(self) -> bool:
        """DEMCR.TRCENA: powers the DWT."""
        return bool(self.registers[_DEMCR] & _TRCENA)


class DbgMcu(Peripheral):
    """Device identity and DBG_SLEEP."""

    RESET: ClassVar = {0x00: 0, 0x04: 0, 0x08: 0, 0x0C: 0}

    def __init__(self, idcode: int) -> None:
        super().__init__("DBGMCU", 0xE004_2000)
        self.read_only = frozenset((0x00,))
        self.reset_values[0x00] = idcode
        self.reset()

    @property
    def clock_in_sleep(self) -> bool:
        """CR.DBG_SLEEP: the core clock runs on in Sleep mode."""
        return bool(self.registers[0x04] & 1)


class Dwt(Peripheral):
    """CYCCNT: counts core clocks while TRCENA and CYCCNTENA are set; it stands while the core sleeps unless
    DBG_SLEEP."""

    RESET: ClassVar = {_DWT_CTRL: 0x4000_0000, _CYCCNT: 0, **dict.fromkeys(range(0x08, 0x1C, 4), 0)}

    def __init__(self, debug: CoreDebug, core_cycles: Callable[[], int]) -> None:
        super().__init__("DWT", 0xE000_1000)
        self._debug = debug
        self._core_cycles = core_cycles
        self._origin: int | None = None
        self.readers = {_CYCCNT: self._read_count}
        self.writers = {_DWT_CTRL: self._write_ctrl, _CYCCNT: self._write_count}

    def _running(self) -> bool:
        return self._debug.trace_enabled and bool(self.registers[_DWT_CTRL] & 1)

    def _read_count(self) -> int:
        if self._origin is not None and self._running():
            return self._core_cycles() - self._origin & 0xFFFF_FFFF
        return self.registers[_CYCCNT]

    def _write_count(self, value: int) -> None:
        self.registers[_CYCCNT] = value
        self._origin = self._core_cycles() - value if self._running() else None

    def _write_ctrl(self, value: int) -> None:
        if not self._debug.trace_enabled:
            return
        count = self._read_count()
        self.registers[_DWT_CTRL] = 0x4000_0000 | value & 0x3FF_FFFF
        self._write_count(count)
