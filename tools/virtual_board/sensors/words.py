"""What thermometers on I2C share: a pointer, and registers of one or two bytes, big-endian."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

from ..timebase import PS_PER_S, Event, Timebase
from .i2c_bus import I2cTarget


class PointerDevice(I2cTarget):
    """A device whose first byte written is a pointer, which stays until it is written again. Faults: `nack`, `present`.

    It converts by itself, one conversion after the other; `ambient_c` gives the temperature at a time in seconds.
    """

    def __init__(self, name: str, time: Timebase, ambient_c: Callable[[float], float], address: int) -> None:
        self.name = name
        self.address = address
        self.nack = False
        self.present = True
        self.conversions = 0
        """Since power-on."""
        self.conversion_ps = 0
        """When the latest ended."""
        self._ambient_c = ambient_c
        self._time = time
        self._pointer = 0
        self._position: int | None = None
        """Byte of the transfer; None: the pointer comes next."""
        self._written = bytearray()
        self._shown = b""
        self._conversion: Event | None = None

    @abstractmethod
    def read_register(self, pointer: int) -> bytes:
        """Content of a register; called once a read transfer."""

    @abstractmethod
    def write_register(self, pointer: int, data: bytes) -> None:
        """A register has been written, at the end of its last byte."""

    @abstractmethod
    def register_size(self, pointer: int) -> int:
        """Bytes of a register."""

    @abstractmethod
    def convert(self, temperature_c: float) -> None:
        """A conversion ends."""

    def power_off(self) -> None:
        """Supply is gone."""
        self.stop_converting()

    # -------------------------------------------------------------------- conversions

    def ambient_at(self, ps: int) -> float:
        """Temperature of the air."""
        return self._ambient_c(ps / PS_PER_S)

    def schedule(self, period_ps: int, lag_ps: int, *, first_ps: int | None = None, repeat: bool = True) -> None:
        """Convert every `period_ps`; a result is the temperature `lag_ps` before it is there."""
        self.stop_converting()

        def run(due: int) -> None:
            self._conversion = self._time.at(due + period_ps, lambda: run(due + period_ps)) if repeat else None
            self.conversions += 1
            self.conversion_ps = due
            self.convert(self.ambient_at(due - lag_ps))

        begin = self._time.now_ps + (period_ps if first_ps is None else first_ps)
        self._conversion = self._time.at(begin, lambda: run(begin))

    def stop_converting(self) -> None:
        """No further conversion ends."""
        if self._conversion is not None:
            self._conversion.cancel()
            self._conversion = None

    # ---------------------------------------------------------------------- I2C target

    def start(self, *, read: bool) -> bool:
        """Addressed."""
        if self.nack or not self.present or not self.ready():
            return False
        self._position = 0 if read else None
        self._written.clear()
        if read:
            self._shown = self.read_register(self._pointer)
        return True

    def ready(self) -> bool:
        """Whether it answers at all now."""
        return True

    def write(self, byte: int) -> bool:
        """The pointer, then the register's bytes, high one first."""
        if self._position is None:
            self._pointer, self._position = byte, 0
            return True
        self._written.append(byte)
        if len(self._written) == self.register_size(self._pointer):
            self.write_register(self._pointer, bytes(self._written))
            self._written.clear()
        return True

    def read(self) -> int:
        """The register's bytes, again and again."""
        assert self._position is not None
        value = self._shown[self._position % len(self._shown)]
        self._position += 1
        return value

    def stop(self) -> None:
        """A register of which only a part came stays as it was."""
        self._written.clear()
