"""Flashing a board through its UART: the image, the ROM's bootloader, and a bridge that has the port meanwhile."""

from telemetry_bridge.flash.command import Wish, flash

__all__ = ["Wish", "flash"]
