"""What every peripheral with time and interrupts needs."""

from __future__ import annotations

from dataclasses import dataclass

from ..bus import Bus
from ..nvic import Nvic
from ..timebase import Timebase


@dataclass(frozen=True, slots=True)
class Services:
    """The board's clock, its bus (for notes) and its interrupt controller."""

    time: Timebase
    bus: Bus
    nvic: Nvic
