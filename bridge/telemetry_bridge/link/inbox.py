"""Bytes that came and wait for the one reader of a link."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from telemetry_bridge.errors import LinkLost
from telemetry_bridge.link.base import Clock

PAUSE_AT = 1 << 18
"""Bytes waiting at which the source is paused; it is resumed when all are read.

Meanwhile the system's own buffer fills; what that one cannot hold is lost on the wire, where the receiver counts it.
"""


class Inbox:
    """A bounded queue between a transport's callback and :meth:`Link.read`.

    Policy: pause the source at :data:`PAUSE_AT` bytes; nothing is dropped here.
    """

    def __init__(self, clock: Clock, *, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        self._clock = clock
        self._pause = pause
        self._resume = resume
        self._queue: deque[tuple[bytes, int]] = deque()
        self._waiting_bytes = 0
        self._paused = False
        self._reader: asyncio.Future[None] | None = None
        self._end: str | None = None

    def put(self, data: bytes) -> None:
        """Take bytes that were read just now."""
        self.put_stamped(data, self._clock())

    def put_stamped(self, data: bytes, now_ns: int) -> None:
        """Take bytes that were read at ``now_ns``."""
        self._queue.append((data, now_ns))
        self._waiting_bytes += len(data)
        if self._waiting_bytes >= PAUSE_AT and not self._paused:
            self._paused = True
            self._pause()
        self._wake()

    def end(self, reason: str) -> None:
        """There will be no more bytes; what waits can still be read. Only the first reason counts."""
        if self._end is None:
            self._end = reason
        self._wake()

    async def get(self) -> tuple[bytes, int]:
        """The oldest bytes and their stamp.

        Raises:
            LinkLost: nothing waits and nothing will come.
        """
        while not self._queue:
            if self._end is not None:
                raise LinkLost(self._end)
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        data, now_ns = self._queue.popleft()
        self._waiting_bytes -= len(data)
        if self._paused and not self._queue:
            self._paused = False
            if self._end is None:
                self._resume()
        return data, now_ns

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
