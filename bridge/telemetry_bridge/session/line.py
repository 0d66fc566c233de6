"""The frame sequence of either direction of a line."""

from __future__ import annotations

from telemetry_protocol import encode_frame


class Receiver:
    """Counts the frames that the line lost, by the hole they leave in ``sequence``."""

    def __init__(self) -> None:
        self.missing = 0
        """Frames lost since the session began; modulo 256 within one hole."""
        self.mark = 0
        """Changes whenever something may have been lost: equal marks mean that nothing was lost in between."""
        self._last: int | None = None

    def saw(self, sequence: int) -> None:
        """Take note of a frame. One that repeats the last number says nothing (SPEC.md, "Receiving")."""
        if self._last is not None:
            lost = (sequence - self._last - 1) & 0xFF
            if lost == 0xFF:
                return
            if lost:
                self.missing += lost
                self.mark += 1
        self._last = sequence

    def restart(self, sequence: int | None) -> None:
        """The counting starts anew with ``sequence`` (a reboot), or with whatever comes next (the link was opened)."""
        self._last = sequence
        self.mark += 1

    def reopen(self) -> None:
        """The link was opened (again): count from zero, but nothing is continuous with what was before."""
        self.missing = 0
        self.restart(None)


class Transmitter:
    """Numbers and encodes what goes to the board."""

    def __init__(self) -> None:
        self._sequence = 0
        self._output = bytearray()

    def send(self, type: int, payload: bytes) -> int:
        """Queue a frame; its encoded size, delimiter included."""
        frame = encode_frame(type, self._sequence, payload)
        self._sequence = (self._sequence + 1) & 0xFF
        self._output += frame
        return len(frame)

    def take(self) -> bytes:
        """Everything queued since the last call."""
        output = bytes(self._output)
        self._output.clear()
        return output
