"""External interrupts (RM0383 section 10, RM0090 section 12) and SYSCFG's choice of the port (RM0383 7.2.3)."""

from __future__ import annotations

from typing import ClassVar

from ..bus import Bus, Peripheral
from ..nvic import Nvic

_IMR, _EMR, _RTSR, _FTSR, _SWIER, _PR = range(0x00, 0x18, 4)
_LINES = 0x7F_FFFF


def _irq(line: int) -> int | None:
    if line <= 4:
        return 6 + line
    if line <= 9:
        return 23
    if line <= 15:
        return 40
    return {16: 1, 17: 41, 18: 42, 21: 2, 22: 3}.get(line)


_IRQ_LINES: dict[int, int] = {}
for _line in range(23):
    _number = _irq(_line)
    if _number is not None:
        _IRQ_LINES[_number] = _IRQ_LINES.get(_number, 0) | 1 << _line


class SysCfg(Peripheral):
    """EXTICR1 to 4; the rest is storage."""

    RESET: ClassVar = dict.fromkeys((0x00, 0x04, 0x08, 0x0C, 0x10, 0x14, 0x20), 0)

    def __init__(self) -> None:
        super().__init__("SYSCFG", 0x4001_3800)

    def port(self, line: int) -> str:
        """Letter of the port whose pin feeds an EXTI line."""
        return "ABCDEFGHI???????"[self.registers[0x08 + 4 * (line // 4)] >> 4 * (line % 4) & 15]


class Exti(Peripheral):
    """Edge detectors. PR is set also while IMR masks the line (RM0383 10.2.4: only the request is masked)."""

    RESET: ClassVar = dict.fromkeys((_IMR, _EMR, _RTSR, _FTSR, _SWIER, _PR), 0)

    def __init__(self, nvic: Nvic, syscfg: SysCfg, bus: Bus) -> None:
        super().__init__("EXTI", 0x4001_3C00)
        self._nvic, self._syscfg, self._bus = nvic, syscfg, bus
        self._driven = 0
        self.write_to_clear = frozenset((_PR,))
        self.writers = {
            _IMR: self._write_imr,
            _EMR: self._write_emr,
            _SWIER: self._write_swier,
            _PR: self._write_pr,
        }

    def reset(self) -> None:
        """Nothing pending."""
        super().reset()
        self._drive()

    def pin_changed(self, port: str, pin: int, level: bool) -> None:
        """The input of a GPIO pin changed."""
        if self._syscfg.port(pin) == port:
            self.edge(pin, level)

    def edge(self, line: int, rising: bool) -> None:
        """An edge on a line's input."""
        if self.registers[_RTSR if rising else _FTSR] >> line & 1:
            self._request(1 << line)

    def _request(self, lines: int) -> None:
        self.registers[_PR] |= lines
        self._drive()

    def _write_imr(self, value: int) -> None:
        self.registers[_IMR] = value & _LINES
        self._drive()

    def _write_emr(self, value: int) -> None:
        if value:
            self._bus.unmodelled["EXTI event mode"] += 1
        self.registers[_EMR] = value & _LINES

    def _write_swier(self, value: int) -> None:
        new = value & ~self.registers[_SWIER] & self.registers[_IMR]
        self.registers[_SWIER] |= value & _LINES
        if new:
            self._request(new)

    def _write_pr(self, value: int) -> None:
        self.registers[_PR] &= ~value
        self.registers[_SWIER] &= ~value
        self._drive()

    def _drive(self) -> None:
        waiting = self.registers[_PR] & self.registers[_IMR]
        changed, self._driven = waiting ^ self._driven, waiting
        for irq, lines in _IRQ_LINES.items():
            if changed & lines:
                self._nvic.set_line(irq, bool(waiting & lines))
