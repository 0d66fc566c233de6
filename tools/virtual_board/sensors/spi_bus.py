"""An SPI bus: clock and data lines, and devices with a chip select each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Protocol

from ..net import Net


class SpiDevice(Protocol):
    """A device on the bus. Bytes, not edges: the controller model takes care of the time they need."""

    name: str
    modes: frozenset[int]
    """2 CPOL + CPHA that it understands."""
    max_sck_hz: int

    def select(self) -> None:
        """Its chip select has fallen."""

    def transfer(self, data: bytes) -> bytes | None:
        """Bytes on MOSI; as many on MISO, None where it does not drive that line."""

    def deselect(self) -> None:
        """Its chip select has risen."""


class SpiBus:
    """The wires of one controller. MISO rests at `idle` when nobody drives it."""

    def __init__(self, name: str, violations: Counter[str]) -> None:
        self.name = name
        self.idle: Callable[[], int] = lambda: 0xFF
        """Byte that an undriven MISO reads as: the pin's pull."""
        self.catch_up: Callable[[], None] = lambda: None
        """Called before a chip select acts: the controller delivers what has passed by then."""
        self._violations = violations
        self._selected: list[SpiDevice] = []

    def attach(self, device: SpiDevice, chip_select: Net) -> None:
        """Put a device on the bus, selected while its net is low."""

        def changed(level: bool) -> None:
            self.catch_up()  # what has passed is for whoever was selected then
            if level:
                self._selected.remove(device)
                device.deselect()
            else:
                self._selected.append(device)
                device.select()

        chip_select.watchers.append(changed)

    def transfer(self, data: bytes, *, mode: int, sck_hz: int) -> bytes:
        """Bytes out, bytes in. In a wrong mode or too fast nobody understands anything."""
        answer = None
        if len(self._selected) > 1:
            names = " and ".join(device.name for device in self._selected)
            self._violations[f"{self.name}: {names} selected at once"] += 1
        for device in self._selected:
            if mode not in device.modes:
                self._violations[f"{self.name}: mode {mode}, not for {device.name}"] += 1
            elif sck_hz > device.max_sck_hz:
                self._violations[f"{self.name}: {sck_hz} Hz, too fast for {device.name}"] += 1
            else:
                answer = device.transfer(data)
        return bytes((self.idle(),)) * len(data) if answer is None else answer
