"""The link whose other end is a byte source inside this process: ``sim:``, and whatever else app hands in."""

from __future__ import annotations

import asyncio

from telemetry_bridge.errors import LinkLost
from telemetry_bridge.link.base import ByteSource, Clock, monotonic_ns
from telemetry_bridge.link.uri import LinkUri

NEVER_LATER_NS = 100_000_000
"""Longest sleep between two looks at the source."""


class SourceLink:
    """Paces a byte source by the clock: bytes come out when the source says they have left it."""

    def __init__(self, uri: LinkUri, source: ByteSource, *, clock: Clock = monotonic_ns) -> None:
        self._uri = uri
        self.source = source
        self._clock = clock
        self._is_open = False
        self._changed = asyncio.Event()

    @property
    def uri(self) -> str:
        """The URI that names this link."""
        return self._uri.text

    async def open(self) -> None:
        """Start; what the source sent while the link was closed is lost, as on a serial port."""
        self.source.advance(self._clock())
        self._is_open = True

    async def read(self) -> tuple[bytes, int]:
        """Wait for bytes and their stamp.

        Raises:
            LinkLost: the source has ended, or the link was closed.
        """
        while True:
            if not self._is_open:
                raise LinkLost(f"{self.uri}: closed")
            self._changed.clear()
            now_ns = self._clock()
            data = self.source.advance(now_ns)
            if data:
                return data, now_ns
            wait_ns = min(max(self.source.next_ns() - now_ns, 0), NEVER_LATER_NS)
            try:
                async with asyncio.timeout(wait_ns / 1e9):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def write(self, data: bytes) -> None:
        """Hand ``data`` to the source.

        Raises:
            LinkLost: the link is closed.
        """
        if not self._is_open:
            raise LinkLost(f"{self.uri}: closed")
        self.source.receive(data, self._clock())
        self._changed.set()

    async def close(self) -> None:
        """Stop."""
        self._is_open = False
        self._changed.set()
