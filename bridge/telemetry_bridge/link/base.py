"""What a link is, and what a link may be made of."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias, runtime_checkable

Clock: TypeAlias = Callable[[], int]
"""Monotonic nanoseconds."""


def host_clock() -> Clock:
    """The host's clock. Where the system has one that goes on while it is suspended it is that: the boards' go on, too,
    else the time asleep would have to be slewed away, and Unix time would lag by it."""
    if sys.platform == "linux":
        return functools.partial(time.clock_gettime_ns, time.CLOCK_BOOTTIME)
    return time.monotonic_ns


monotonic_ns: Final = host_clock()


class Link(Protocol):
    """A two-way stream of bytes with one reader and any number of writers.

    May be opened again after it was closed or lost.
    """

    @property
    def uri(self) -> str:
        """The URI that names this link, in its full form."""

    async def open(self) -> None:
        """Open the transport.

        Raises:
            LinkError: one line that says which port and what to do.
        """

    async def read(self) -> tuple[bytes, int]:
        """Wait for bytes: at least one, and the monotonic ns at which they were read from the system.

        Raises:
            LinkLost: the other end hung up, or the link was closed.
        """

    async def write(self, data: bytes) -> None:
        """Hand ``data`` to the system; waits, without holding up the event loop, until it took all.

        Raises:
            LinkLost: the other end hung up or takes nothing for too long.
        """

    async def close(self) -> None:
        """Let go of the transport. Never raises; closing twice does no harm."""


@runtime_checkable
class RatedLink(Protocol):
    """A link whose end has a rate that can be changed while it is open; opened again it has the rate that was set."""

    @property
    def baud(self) -> int:
        """The rate of this end."""

    async def set_baud(self, baud: int) -> None:
        """Change it.

        Raises:
            LinkLost: not open, or gone.
            LinkError: this port cannot run at that rate; it keeps the one it has.
        """


@runtime_checkable
class WarningLink(Protocol):
    """A link that may know something of its port that a human should know, too."""

    @property
    def warning(self) -> str:
        """One line, once it was opened; empty if there is nothing."""


class ByteSource(Protocol):
    """Something that makes a device's bytes inside this process: a simulation, a recording. It reads no clock."""

    def advance(self, now_ns: int) -> bytes:
        """Bytes that have left the device by ``now_ns`` and were not returned before.

        Raises:
            LinkLost: there will be no more.
        """

    def receive(self, data: bytes, now_ns: int) -> None:
        """Bytes for the device."""

    def next_ns(self) -> int:
        """When :meth:`advance` is worth calling again, monotonic ns."""


SourceFactory: TypeAlias = Callable[[Mapping[str, str]], ByteSource]
"""Makes a byte source from a URI's parameters; raises LinkError for one that is wrong."""


@dataclass(frozen=True, slots=True)
class PortInfo:
    """A serial port that the system knows.

    Attributes:
        device: path or name to open, e.g. ``/dev/ttyACM0``.
        description: what it is, for a human.
        likely: it looks like a board or its USB adapter, not like a port of the machine itself.
        usb: vendor and product, ``0483:374b``; empty if it is not on USB.
        serial_number: of the USB device; empty if it has none.
        interface: which port of a USB device that has several; empty if it has one.
        is_console: the system writes its own messages there.
        plugged: another number each time it is plugged in, as far as the system tells.
    """

    device: str
    description: str
    likely: bool
    usb: str = ""
    serial_number: str = ""
    interface: str = ""
    is_console: bool = False
    plugged: int = 0

    @property
    def uri(self) -> str:
        """URI that opens this port."""
        return f"serial:{self.device}"

    @property
    def identity(self) -> tuple[str, str, str] | None:
        """The same wherever it is plugged in; None if nothing tells it from others of its kind."""
        return (self.usb, self.serial_number, self.interface) if self.usb and self.serial_number else None


PortLister: TypeAlias = Callable[[], Sequence[PortInfo]]
"""Says which ports there are now, the likeliest boards first."""
