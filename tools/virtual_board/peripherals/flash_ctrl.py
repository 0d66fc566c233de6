"""Flash interface (RM0383 section 3, RM0090 section 3): wait states, the lock, error flags.

Erasing and programming are not modelled yet: a write to flash memory does nothing and sets PGSERR, as on silicon while
PG is clear (RM0383 3.6.3); a start of either is noted as unmodelled.
"""

from __future__ import annotations

from typing import ClassVar

from ..bus import Bus, Peripheral

_ACR, _KEYR, _OPTKEYR, _SR, _CR, _OPTCR = 0x00, 0x04, 0x08, 0x0C, 0x10, 0x14
_KEYS = (0x4567_0123, 0xCDEF_89AB)
_LOCK, _PGSERR = 1 << 31, 1 << 7


class FlashController(Peripheral):
    """ACR and the unlock sequence."""

    RESET: ClassVar = {_ACR: 0, _SR: 0, _CR: _LOCK, _OPTCR: 0x0FFF_AAED}

    def __init__(self, bus: Bus) -> None:
        super().__init__("FLASH", 0x4002_3C00)
        self._bus = bus
        self._keys: list[int] = []
        self._jammed = False
        self.writers = {
            _ACR: self._write_acr,
            _KEYR: self._write_key,
            _OPTKEYR: self._write_option,
            _SR: self._write_sr,
            _CR: self._write_cr,
            _OPTCR: self._write_option,
        }
        self.write_only = frozenset((_KEYR, _OPTKEYR))

    def reset(self) -> None:
        """Locked again."""
        super().reset()
        self._keys, self._jammed = [], False

    @property
    def wait_states(self) -> int:
        """ACR.LATENCY."""
        return self.registers[_ACR] & 0xF

    def memory_written(self) -> None:
        """The core stored to flash memory."""
        self.registers[_SR] |= _PGSERR
        self._bus.violations["store to flash memory while PG is clear"] += 1

    def _write_acr(self, value: int) -> None:
        self.registers[_ACR] = value & 0x1F0F

    def _write_option(self, _value: int) -> None:
        self._bus.unmodelled["FLASH option bytes"] += 1

    def _write_key(self, value: int) -> None:
        """A wrong sequence locks CR until the next reset (RM0383 3.6.1)."""
        self._keys.append(value)
        if tuple(self._keys) != _KEYS[: len(self._keys)]:
            self._jammed = True
        elif len(self._keys) == 2 and not self._jammed:
            self.registers[_CR] &= ~_LOCK
            self._keys = []

    def _write_sr(self, value: int) -> None:
        self.registers[_SR] &= ~(value & 0xF3)

    def _write_cr(self, value: int) -> None:
        if self.registers[_CR] & _LOCK:
            self._bus.violations["FLASH_CR written while locked"] += 1
            return
        self.registers[_CR] = value
        self._keys = []
        if value & 0x1_0007:
            self._bus.unmodelled["FLASH erase or program"] += 1
