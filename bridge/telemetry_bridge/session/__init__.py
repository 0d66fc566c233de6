"""The session with one board: bytes in, events out. Sans-I/O; it never raises on anything that a line can deliver.

==============  =====================================================================================
``session``     who is there: HELLO, boots, handshake; what goes where
``line``        frame sequence of either direction
``rate``        the line's rate: asked for, proven, looked for where it is lost
``commands``    one answer for each command, repeats and time-outs
``streams``     the table of streams: descriptors, what is held back, batches, epochs
``loss``        which samples were lost, and where
``timing``      when samples were taken, and at what rate
``reports``     HEALTH, LOG and FAULT for humans
``warnings``    what is wrong with a board, by its HELLO
==============  =====================================================================================
"""

from telemetry_bridge.session.session import DEFAULT_BAUD, Handshake, Session

__all__ = ["DEFAULT_BAUD", "Handshake", "Session"]
