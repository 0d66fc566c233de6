"""What a human should know of a board, from what its HELLO says."""

from __future__ import annotations

from telemetry_protocol import messages


def table(hello: messages.Hello) -> str:
    """What to do about a board whose table of messages differs; empty if it does not."""
    if hello.fingerprint == messages.FINGERPRINT:
        return ""
    return (
        f"the protocol table of firmware {hello.firmware} ({hello.revision}) differs from the bridge's "
        f"({hello.fingerprint:08x}, here {messages.FINGERPRINT:08x}): flash the {hello.board} image of this version"
    )


def clock(hello: messages.Hello) -> str:
    """What a board does without whose oscillator or PLL fails; empty if neither does."""
    if hello.capabilities & messages.Capabilities.NO_PLL:
        return (
            f"the board's PLL does not lock: it runs from its internal oscillator at {hello.clock_hz / 1e6:.0f} MHz, "
            f"1 % off at most at 25 degC, and its line carries {hello.baud:,} baud; check its supply and its crystal"
        )
    if hello.capabilities & messages.Capabilities.INTERNAL_OSCILLATOR:
        return (
            "the board's external oscillator does not start: it runs from its internal one, 1 % off at most at "
            "25 degC; check its crystal, or the MCO jumper of a NUCLEO"
        )
    return ""
