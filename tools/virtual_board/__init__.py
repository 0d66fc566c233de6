"""A virtual STM32F4 board that runs a firmware ELF: Unicorn for the core, register models for what is around it.

    board = VirtualBoard("firmware.elf", board="nucleo_f411re", motion=Hand(seed=1), seed=1)
    board.run(seconds=0.5)
    board.uart.take()

The models are written from the reference manuals (RM0383 STM32F411, RM0090 STM32F405), PM0214 for the core and the
MPU-6050's register map; each file cites its sections. Virtual time is retired instructions: wait states, bus contention
and the 12 cycles of an exception entry do not exist here, so figures are instructions and virtual cycles, never CPU
load of a real part.
"""

from .board import VirtualBoard
from .boards import BOARDS
from .elf import ImageError
from .motion import Feeling, Hand, Motion, Rotation, Still

__all__ = ["BOARDS", "Feeling", "Hand", "ImageError", "Motion", "Rotation", "Still", "VirtualBoard"]
