"""Stream sensors from an STM32 board to WebSocket subscribers, with every lost sample counted."""

__version__ = "0.1.0"
