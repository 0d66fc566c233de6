"""General-purpose I/O (RM0383 section 8, RM0090 section 8)."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from ..bus import Peripheral
from ..net import Net

_MODER, _OTYPER, _OSPEEDR, _PUPDR, _IDR, _ODR, _BSRR, _LCKR, _AFRL, _AFRH = range(0x00, 0x28, 4)
INPUT, OUTPUT, ALTERNATE, ANALOG = range(4)


def _ignore(_pin: int, _level: bool) -> None:
    """Nobody watches the inputs."""


class Gpio(Peripheral):
    """One port of 16 pins."""

    RESET: ClassVar = dict.fromkeys((_MODER, _OTYPER, _OSPEEDR, _PUPDR, _IDR, _ODR, _BSRR, _LCKR, _AFRL, _AFRH), 0)
    _SPECIAL: ClassVar = {
        "A": {_MODER: 0xA800_0000, _OSPEEDR: 0x0C00_0000, _PUPDR: 0x6400_0000},
        "B": {_MODER: 0x0000_0280, _OSPEEDR: 0x0000_00C0, _PUPDR: 0x0000_0100},
    }

    def __init__(self, letter: str) -> None:
        super().__init__(f"GPIO{letter}", 0x4002_0000 + 0x400 * (ord(letter) - ord("A")))
        self.read_only = frozenset((_IDR,))
        self.letter = letter
        self.reset_values |= self._SPECIAL.get(letter, {})
        self.reset()
        self._nets: dict[int, Net] = {}
        self.write_only = frozenset((_BSRR,))
        self.on_input: Callable[[int, bool], None] = _ignore
        """Called with the pin number when a pin's input level changes."""
        self._levels = 0
        self.readers = {_IDR: self.levels}
        self.writers = {
            _MODER: lambda value: self._store(_MODER, value),
            _OTYPER: lambda value: self._store(_OTYPER, value & 0xFFFF),
            _PUPDR: lambda value: self._store(_PUPDR, value),
            _ODR: lambda value: self._store(_ODR, value & 0xFFFF),
            _BSRR: self._write_bsrr,
        }
        self._levels = self.levels()

    def reset(self) -> None:
        """Back to inputs; the nets are let go of."""
        super().reset()
        if hasattr(self, "_nets"):
            self._update()

    def connect(self, pin: int, net: Net) -> None:
        """Wire a pin to a net."""
        self._nets[pin] = net
        net.watchers.append(lambda level: self._net_changed(pin, level))
        self._update()

    def mode(self, pin: int) -> int:
        """INPUT, OUTPUT, ALTERNATE or ANALOG."""
        return self.registers[_MODER] >> 2 * pin & 3

    def alternate(self, pin: int) -> int | None:
        """The alternate function of a pin, None when it is not in that mode."""
        if self.mode(pin) != ALTERNATE:
            return None
        return self.registers[_AFRL if pin < 8 else _AFRH] >> 4 * (pin & 7) & 15

    def open_drain(self, pin: int) -> bool:
        """Whether the output stage is open-drain."""
        return bool(self.registers[_OTYPER] >> pin & 1)

    def pulled_up(self, pin: int) -> bool:
        """Whether the pull-up is on."""
        return self.registers[_PUPDR] >> 2 * pin & 3 == 1

    def levels(self) -> int:
        """What IDR shows. An analog pin reads 0 (RM0383 8.3.12); a pin that nothing drives rests at its pull, else at
        0."""
        value = 0
        for pin in range(16):
            mode = self.mode(pin)
            if mode == ANALOG:
                continue
            net = self._nets.get(pin)
            if net is not None:
                level = net.level
            elif mode == OUTPUT and not (self.open_drain(pin) and self.registers[_ODR] >> pin & 1):
                level = bool(self.registers[_ODR] >> pin & 1)
            else:
                level = self.pulled_up(pin)
            value |= level << pin
        return value

    def _store(self, offset: int, value: int) -> None:
        self.registers[offset] = value
        self._update()

    def _write_bsrr(self, value: int) -> None:
        """BSx wins over BRx (RM0383 8.4.7)."""
        self._store(_ODR, self.registers[_ODR] & ~(value >> 16) | value & 0xFFFF)

    def _net_changed(self, pin: int, level: bool) -> None:
        bit = 1 << pin
        if self.mode(pin) != ANALOG and bool(self._levels & bit) != level:
            self._levels ^= bit
            self.on_input(pin, level)

    def _update(self) -> None:
        for pin, net in self._nets.items():
            level: bool | None = None
            if self.mode(pin) == OUTPUT:
                level = bool(self.registers[_ODR] >> pin & 1)
                if level and self.open_drain(pin):
                    level = None
            net.drive(f"P{self.letter}{pin}", level)
        new = self.levels()
        changed, self._levels = new ^ self._levels, new
        while changed:
            pin = (changed & -changed).bit_length() - 1
            changed &= changed - 1
            self.on_input(pin, bool(new >> pin & 1))
