"""An I2C bus: two wires with pull-ups and the targets on them (NXP UM10204)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ..net import Net


class I2cTarget(Protocol):
    """A device on the bus. Bytes, not edges: the controller model takes care of the time they need."""

    address: int

    def start(self, *, read: bool) -> bool:
        """Addressed after a start or repeated start. False: no acknowledge."""

    def write(self, byte: int) -> bool:
        """A byte from the controller. False: no acknowledge."""

    def read(self) -> int:
        """The next byte for the controller."""

    def read_block(self, count: int) -> bytes:
        """The next `count` bytes at once; a target with something quicker than one call a byte overrides it."""
        return bytes(self.read() for _ in range(count))

    def stop(self) -> None:
        """The transfer is over."""


class I2cBus:
    """The bus of one controller. A target that holds SDA low lets go after enough clocks on SCL (UM10204 3.1.16)."""

    def __init__(self, name: str) -> None:
        self.scl = Net(f"{name}_SCL", pull=True)
        self.sda = Net(f"{name}_SDA", pull=True)
        self.targets: list[I2cTarget] = []
        self._selected: I2cTarget | None = None
        self._waiting: list[Callable[[], None]] = []
        self._stuck_clocks = 0
        self.scl.watchers.append(self._scl_changed)
        self.sda.watchers.append(self._lines_changed)

    def attach(self, target: I2cTarget) -> None:
        """Put a target on the bus."""
        self.targets.append(target)

    # -------------------------------------------------- what a controller does

    def start(self, address: int, *, read: bool) -> bool:
        """Start or repeated start with an address. True when somebody acknowledges."""
        self._selected = None
        for target in self.targets:
            if target.address == address and target.start(read=read):
                self._selected = target
                return True
        return False

    def write(self, byte: int) -> bool:
        """One byte to the selected target; its acknowledge."""
        return self._selected is not None and self._selected.write(byte)

    def read(self, *, acknowledge: bool) -> int:
        """One byte from the selected target; 0xFF where nobody drives SDA, 0 where it is stuck. A refused byte ends the
        read."""
        value = 0xFF if self._selected is None else self._selected.read()
        if not acknowledge and self._selected is not None:
            self._selected.stop()
            self._selected = None
        return value if self.sda.level else 0

    def read_block(self, count: int) -> bytes:
        """So many bytes, all acknowledged."""
        data = b"\xff" * count if self._selected is None else self._selected.read_block(count)
        return data if self.sda.level else bytes(count)

    def stop(self) -> None:
        """Stop condition."""
        if self._selected is not None:
            self._selected.stop()
            self._selected = None

    def release(self) -> None:
        """The controller vanished in mid-transfer."""
        self.stop()

    def when_free(self, action: Callable[[], None]) -> None:
        """Call `action` once both lines are high."""
        if action not in self._waiting:
            self._waiting.append(action)

    # ------------------------------------------------------------------ faults

    def stick_sda(self, clocks: int) -> None:
        """A target holds SDA low until it has seen `clocks` falling edges of SCL; 0 frees the line."""
        self._stuck_clocks = clocks
        self.sda.drive("stuck target", False if clocks else None)

    @property
    def stuck_clocks(self) -> int:
        """Falling edges of SCL that are still missing until SDA is free."""
        return self._stuck_clocks

    def _scl_changed(self, level: bool) -> None:
        if not level and self._stuck_clocks:
            self.stick_sda(self._stuck_clocks - 1)
        self._lines_changed(level)

    def _lines_changed(self, _level: bool) -> None:
        if self.scl.level and self.sda.level and self._waiting:
            waiting, self._waiting = self._waiting, []
            for action in waiting:
                action()
