"""Wires between pins and parts."""

from __future__ import annotations

from collections.abc import Callable


class Net:
    """A wire: anyone may pull it low or drive it high; low wins; with nobody on it, it rests at its pull."""

    def __init__(self, name: str, *, pull: bool) -> None:
        self.name = name
        self._pull = pull
        self._drivers: dict[str, bool] = {}
        self.level = pull
        self.watchers: list[Callable[[bool], None]] = []

    def drive(self, who: str, level: bool | None) -> None:
        """Drive the wire; None lets go of it."""
        if level is None:
            self._drivers.pop(who, None)
        else:
            self._drivers[who] = level
        new = all(self._drivers.values()) if self._drivers else self._pull
        if new != self.level:
            self.level = new
            for watcher in self.watchers:
                watcher(new)
