"""A real client of the server over a connection that is none: what is written waits until the test reads it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, cast

from websockets.protocol import State

from bridge.independent_client import Checker
from telemetry_bridge.config import Limits
from telemetry_bridge.hub import Hub
from telemetry_bridge.server.connection import Connection
from telemetry_bridge.server.roles import LOCAL
from telemetry_bridge.server.router import Router
from telemetry_bridge.server.ws import Client

HIGH_BYTES = 3000
LOW_BYTES = 1000


class Pipe:
    """Stands for connection, protocol, transport and event loop at once; the client needs little of each."""

    def __init__(self) -> None:
        self.identity = LOCAL
        self.address = "pipe"
        self.ending = False
        self.client: Client | None = None
        self.paused = False
        self.state = State.OPEN
        self.soon: deque[Callable[[], object]] = deque()
        self._frames: deque[bytes | str] = deque()
        self._bytes = 0
        self.protocol = self.transport = self.loop = self

    # what the transport does
    def write(self, data: bytes) -> None:
        """One whole message in a frame of RFC 6455, section 5.2."""
        skip = {126: 4, 127: 10}.get(data[1], 2)
        self._frames.append(data[skip:].decode() if data[0] == 0x81 else data[skip:])
        self._bytes += len(data) - skip
        if self._bytes > HIGH_BYTES and not self.paused:
            self.paused = True
            assert self.client is not None
            self.client.paused()

    def get_write_buffer_size(self) -> int:
        return self._bytes

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    # what the loop does; time stands still, so that no timer ends
    def call_soon(self, work: Callable[[], object]) -> Pipe:
        self.soon.append(work)
        return self

    def call_later(self, _seconds: float, _work: Callable[[], object]) -> Pipe:
        return self

    def cancel(self) -> None:
        self.soon.clear()

    def create_task(self, work: Coroutine[Any, Any, None]) -> Pipe:
        work.close()
        return self

    async def close(self, _code: int, _reason: str) -> None: ...

    def cut_after(self, _seconds: float) -> None:
        self.state = State.CLOSED

    # what the test does
    def read(self) -> bytes | str | None:
        """The other end takes one message."""
        if not self._frames:
            return None
        frame = self._frames.popleft()
        self._bytes -= len(frame)
        if self.paused and self._bytes <= LOW_BYTES:
            self.paused = False
            assert self.client is not None
            self.client.resumed()
        return frame


class Piped:
    """A client of the server and the checker at the other end of its pipe."""

    def __init__(self, hub: Hub, router: Router, limits: Limits) -> None:
        self.checker = Checker()
        self.pipe = Pipe()
        self.client = Client(cast(Connection, self.pipe), hub, router, limits, {"name": "x", "version": "0"})
        self._last_id = 0

    @property
    def closed(self) -> bool:
        """Whether the server has given it up."""
        return self.pipe.state is not State.OPEN

    def ask(self, op: str, **rest: object) -> int:
        """Send a request; its id."""
        self._last_id += 1
        self.client.receive(self.checker.asks(op=op, id=self._last_id, **rest))
        return self._last_id

    def turn(self) -> bool:
        """Let the loop do one thing that it was asked to do soon."""
        if not self.pipe.soon:
            return False
        self.pipe.soon.popleft()()
        return True

    def read(self, count: int) -> int:
        """Read so many messages, if there are; how many there were."""
        for number in range(count):
            message = self.pipe.read()
            if message is None:
                return number
            self.checker.receive(message)
        return count

    def drain(self) -> None:
        """Read all there is."""
        while self.read(1) or self.turn():
            pass
