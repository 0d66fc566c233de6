"""Serving a virtual board's UART to other programs: pty or TCP, real-time pacing, remote faults."""
