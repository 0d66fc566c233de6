"""Independent watchdog (RM0383 section 15, RM0090 section 21) on an LSI of exactly 32 kHz."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from ..bus import Bus, Peripheral
from ..timebase import PS_PER_S, Event, Timebase
from .rcc import LSI_HZ

_KR, _PR, _RLR, _SR = 0x00, 0x04, 0x08, 0x0C
_RELOAD, _UNLOCK, _START = 0xAAAA, 0x5555, 0xCCCC
_UPDATE_CYCLES = 5


class Iwdg(Peripheral):
    """Once started only a reset stops it."""

    RESET: ClassVar = {_PR: 0, _RLR: 0xFFF, _SR: 0}

    def __init__(self, time: Timebase, bus: Bus) -> None:
        super().__init__("IWDG", 0x4000_3000)
        self.read_only = frozenset((_SR,))
        self._time, self._bus = time, bus
        self.on_timeout: Callable[[], None] = lambda: None
        self._unlocked = False
        self._running = False
        self._deadline = 0
        self._event: Event | None = None
        self._busy_until = [0, 0]
        self.write_only = frozenset((_KR,))
        self.readers = {_SR: self._read_sr}
        self.writers = {
            _KR: self._write_kr,
            _PR: lambda value: self._update(0, _PR, value & 7),
            _RLR: lambda value: self._update(1, _RLR, value & 0xFFF),
        }

    def reset(self) -> None:
        """Stopped."""
        super().reset()
        self._unlocked = self._running = False
        self._busy_until = [0, 0]
        if self._event is not None:
            self._event.cancel()
            self._event = None

    @property
    def timeout_ps(self) -> int:
        """(RLR + 1) periods of LSI / (4 << PR)."""
        return (self.registers[_RLR] + 1) * (4 << min(self.registers[_PR], 6)) * PS_PER_S // LSI_HZ

    def _write_kr(self, value: int) -> None:
        value &= 0xFFFF
        self._unlocked = value == _UNLOCK
        if value == _START:
            self._running = True
        if value in (_START, _RELOAD) and self._running:
            self._deadline = self._time.now_ps + self.timeout_ps
            if self._event is None or self._event.ps > self._deadline:
                self._plan()

    def _plan(self) -> None:
        if self._event is not None:
            self._event.cancel()
        self._event = self._time.at(self._deadline, self._expire)

    def _expire(self) -> None:
        """The event of an older deadline moves on to the present one: a refresh costs no event."""
        self._event = None
        if self._time.now_ps < self._deadline:
            self._plan()
        else:
            self.on_timeout()

    def _update(self, index: int, offset: int, value: int) -> None:
        if not self._unlocked:
            self._bus.violations["IWDG_PR or IWDG_RLR written without 0x5555"] += 1
            return
        self.registers[offset] = value
        self._busy_until[index] = self._time.now_ps + _UPDATE_CYCLES * PS_PER_S // LSI_HZ

    def _read_sr(self) -> int:
        now = self._time.now_ps
        return (now < self._busy_until[0]) | (now < self._busy_until[1]) << 1
