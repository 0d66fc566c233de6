"""Power controller (RM0383 section 5.4, RM0090 section 5.4): voltage scaling; stop and standby are not modelled."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from ..bus import Peripheral
from ..parts import Part

_CR, _CSR = 0x00, 0x04


class Pwr(Peripheral):
    """CR.VOS and the ready flag."""

    RESET: ClassVar = {_CR: 0, _CSR: 0}

    def __init__(self, part: Part) -> None:
        super().__init__("PWR", 0x4000_7000)
        self._part = part
        self.reset_values[_CR] = part.pwr_cr_reset
        self.reset()
        self.scale_ready: Callable[[], bool] = lambda: True
        self.readers = {_CSR: lambda: self.registers[_CSR] | self.scale_ready() << 14}
        self.writers = {_CSR: lambda value: self.registers.__setitem__(_CSR, value & 0x300)}

    @property
    def voltage_scale(self) -> int:
        """1 is the fastest."""
        return self._part.voltage_scale(self.registers[_CR])
