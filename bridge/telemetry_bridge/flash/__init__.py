"""Flashing a board through its UART: the image, the ROM's bootloader, and a bridge that has the port meanwhile."""

from telemetry_bridge.flash.command import Wish, flash
from telemetry_bridge.flash.running_bridge import RunningBridge

__all__ = ["RunningBridge", "Wish", "flash"]
