"""SysTick timer (PM0214, section 4.5). Its value is computed when read; only the wrap is an event."""

from __future__ import annotations

from typing import ClassVar

from ..bus import Peripheral
from ..nvic import SYS_TICK, Nvic
from ..timebase import Event, Timebase

_CTRL, _LOAD, _VAL, _CALIB = 0x10, 0x14, 0x18, 0x1C
_ENABLE, _TICKINT, _CLKSOURCE, _COUNTFLAG = 1, 2, 4, 1 << 16


class SysTick(Peripheral):
    """A 24-bit down counter on HCLK or HCLK/8; it runs on while the core sleeps."""

    RESET: ClassVar = {_CTRL: 0, _LOAD: 0, _VAL: 0, _CALIB: 0x4000_493E}

    def __init__(self, time: Timebase, nvic: Nvic) -> None:
        super().__init__("SysTick", 0xE000E000)
        self.read_only = frozenset((_CALIB,))
        self._time = time
        self._nvic = nvic
        self._wrap_cycle = 0
        self._event: Event | None = None
        self.readers = {_CTRL: self._read_ctrl, _VAL: self._value}
        self.writers = {
            _CTRL: self._write_ctrl,
            _LOAD: lambda value: self.registers.__setitem__(_LOAD, value & 0xFF_FFFF),
            _VAL: self._write_val,
        }

    def reset(self) -> None:
        """Stop and forget."""
        super().reset()
        self._cancel()

    def clock_changed(self) -> None:
        """HCLK changed: the next wrap comes at the same count, but at another time."""
        if self._event is not None:
            self._schedule(self._wrap_cycle)

    def _step(self) -> int:
        return 1 if self.registers[_CTRL] & _CLKSOURCE else 8

    def _value(self) -> int:
        if self._event is None:
            return self.registers[_VAL]
        if self._time.now_cycle >= self._wrap_cycle:
            self._count_to_zero()
            if self._event is None:
                return 0
        left = self._wrap_cycle - self._time.now_cycle
        load = self.registers[_LOAD]
        # the counter shows 0 for one clock, reloads on the next, and so on: period LOAD + 1
        return -(-left // self._step()) % (load + 1) if load else 0

    def _read_ctrl(self) -> int:
        if self._event is not None and self._time.now_cycle >= self._wrap_cycle:
            self._count_to_zero()
        value = self.registers[_CTRL]
        self.registers[_CTRL] = value & ~_COUNTFLAG
        return value

    def _write_ctrl(self, value: int) -> None:
        running = self._event is not None
        current = self._value()
        self.registers[_CTRL] = value & 7 | self.registers[_CTRL] & _COUNTFLAG
        if not value & _ENABLE:
            self.registers[_VAL] = current
            self._cancel()
        elif not running and self.registers[_LOAD]:
            self._schedule(self._time.now_cycle + (current or self.registers[_LOAD] + 1) * self._step())

    def _write_val(self, _value: int) -> None:
        """Any write clears the counter and COUNTFLAG; the next clock loads LOAD, without an exception (PM0214,
        4.5.3)."""
        self.registers[_VAL] = 0
        self.registers[_CTRL] &= ~_COUNTFLAG
        if self._event is not None:
            self._schedule(self._time.now_cycle + (self.registers[_LOAD] + 1) * self._step())

    def _schedule(self, wrap_cycle: int) -> None:
        self._cancel()
        self._wrap_cycle = wrap_cycle
        self._event = self._time.at(self._time.ps_of(wrap_cycle), self._wrap)

    def _cancel(self) -> None:
        if self._event is not None:
            self._event.cancel()
            self._event = None

    def _wrap(self) -> None:
        if self._event is not None and self._time.now_cycle >= self._wrap_cycle:
            self._count_to_zero()

    def _count_to_zero(self) -> None:
        self.registers[_CTRL] |= _COUNTFLAG
        if self.registers[_CTRL] & _TICKINT:
            self._nvic.pend(SYS_TICK)
        load = self.registers[_LOAD]
        if load == 0:
            self._cancel()
        else:
            self._schedule(self._wrap_cycle + (load + 1) * self._step())
