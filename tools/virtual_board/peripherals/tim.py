"""General-purpose timers TIM2 to TIM5 (RM0383 section 13, RM0090 section 18): the time base; no capture, compare or
PWM."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from ..bus import Peripheral
from ..timebase import PS_PER_S, Event
from .services import Services

_CR1, _DIER, _SR, _EGR, _CNT, _PSC, _ARR = 0x00, 0x0C, 0x10, 0x14, 0x24, 0x28, 0x2C
_CEN, _UDIS, _URS, _OPM, _UIF = 1, 2, 4, 8, 1


class Timer(Peripheral):
    """An up counter; the count is computed when read, the update is an event."""

    RESET: ClassVar = dict.fromkeys((_CR1, _DIER, _SR, _EGR, _CNT, _PSC), 0)

    def __init__(
        self, name: str, base: int, irq: int, services: Services, *, width: int, clock_hz: Callable[[], int]
    ) -> None:
        super().__init__(name, base)
        self._irq, self._time, self._bus, self._nvic, self._clock_hz = (
            irq,
            services.time,
            services.bus,
            services.nvic,
            clock_hz,
        )
        self._mask = (1 << width) - 1
        self.reset_values[_ARR] = self._mask
        self._event: Event | None = None
        self._origin_ps = 0
        self._origin_count = 0
        self._prescaler = 0
        self._hz = 1
        self.reset()
        self.readers = {_CNT: self._count}
        self.writers = {
            _CR1: self._write_cr1,
            _DIER: self._write_dier,
            _SR: self._write_sr,
            _EGR: self._write_egr,
            _CNT: self._write_cnt,
            _PSC: lambda value: self.registers.__setitem__(_PSC, value & 0xFFFF),
            _ARR: self._write_arr,
        }
        self.write_only = frozenset((_EGR,))

    def reset(self) -> None:
        """Stopped at 0."""
        super().reset()
        self._cancel()
        self._origin_count = self._prescaler = 0
        self._drive()

    def clock_changed(self) -> None:
        """The timer clock changed: go on from the present count."""
        if self._running():
            count = self._count()
            self._go(count)

    def _running(self) -> bool:
        return bool(self.registers[_CR1] & _CEN)

    def _count(self) -> int:
        if not self._running():
            return self._origin_count
        ticks = (self._time.now_ps - self._origin_ps) * self._hz // ((self._prescaler + 1) * PS_PER_S)
        return (self._origin_count + ticks) % (self.registers[_ARR] + 1)

    def _go(self, count: int) -> None:
        self._cancel()
        self._hz = self._clock_hz()
        self._origin_ps, self._origin_count = self._time.now_ps, count
        self._plan()

    def _plan(self) -> None:
        arr = self.registers[_ARR]
        if self._running() and arr:
            ticks = (
                arr + 1 - self._origin_count
                if self._origin_count <= arr
                else self._mask + 1 - self._origin_count + arr + 1
            )
            self._update_ps = self._origin_ps - (-ticks * (self._prescaler + 1) * PS_PER_S // self._hz)
            self._event = self._time.at(self._update_ps, self._update)

    def _cancel(self) -> None:
        if self._event is not None:
            self._event.cancel()
            self._event = None

    def _update(self) -> None:
        self._event = None
        self._prescaler = self.registers[_PSC]
        self._origin_ps, self._origin_count = self._update_ps, 0
        if not self.registers[_CR1] & _UDIS:
            self.registers[_SR] |= _UIF
        if self.registers[_CR1] & _OPM:
            self.registers[_CR1] &= ~_CEN
        self._plan()
        self._drive()

    def _write_cr1(self, value: int) -> None:
        if value & 0x70:
            self._bus.unmodelled[f"{self.name} counting mode 0x{value:X}"] += 1
        count = self._count()
        self.registers[_CR1] = value
        self._go(count)

    def _write_dier(self, value: int) -> None:
        if value & ~1:
            self._bus.unmodelled[f"{self.name}+0x0C bits 0x{value & ~1:X}"] += 1
        self.registers[_DIER] = value
        self._drive()

    def _write_sr(self, value: int) -> None:
        self.registers[_SR] &= value
        self._drive()

    def _write_egr(self, value: int) -> None:
        if value & 1:
            self._prescaler = self.registers[_PSC]
            if not self.registers[_CR1] & _URS:
                self.registers[_SR] |= _UIF
            self._go(0)
            self._drive()

    def _write_cnt(self, value: int) -> None:
        self._go(value & self._mask)

    def _write_arr(self, value: int) -> None:
        count = self._count()
        self.registers[_ARR] = value & self._mask
        self._go(count)

    def _drive(self) -> None:
        self._nvic.set_line(self._irq, bool(self.registers[_SR] & self.registers[_DIER] & _UIF))
