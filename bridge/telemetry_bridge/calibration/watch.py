"""Takes new calibrations into force while a bridge runs."""

from __future__ import annotations

import asyncio
import weakref
from typing import Final

from telemetry_bridge.calibration.model import Calibration
from telemetry_bridge.calibration.stage import Calibrator
from telemetry_bridge.calibration.store import Store

WATCH_S: Final = 2.0
"""How often the folder is looked at: one system call and one for each file."""


class Calibrations:
    """The store of a bridge and the stages of its lines, which come and go."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._stages: weakref.WeakSet[Calibrator] = weakref.WeakSet()

    def stage(self) -> Calibrator:
        """One for a new line."""
        stage = Calibrator(self._store)
        self._stages.add(stage)
        return stage

    def get(self, identifier: str) -> Calibration | None:
        """The calibration with this id, in force or not."""
        return self._store.get(identifier)

    def look(self) -> None:
        """Take what has changed in the folder into force."""
        if self._store.has_changed():
            self._store.reload()
            for stage in self._stages:
                stage.reload()

    async def watch(self) -> None:
        """Look now and then, until cancelled."""
        while True:
            await asyncio.sleep(WATCH_S)
            self.look()
