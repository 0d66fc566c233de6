"""An open serial port, read by the event loop or by a thread.

The event loop's own way (``add_reader`` and ``os.read``) costs half of what pyserial's asyncio layer does. It needs a
file descriptor of a terminal: where there is none (Windows, ``loop://``, ``rfc2217://``) a thread reads.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Iterator
from typing import Protocol

import serial

from telemetry_bridge.errors import LinkLost
from telemetry_bridge.link.base import Clock
from telemetry_bridge.link.inbox import Inbox

WRITE_TIMEOUT_S = 5.0
READ_SIZE = 65_536
READ_TIMEOUT_S = 0.1
"""Of a port whose read cannot be cancelled: that long its thread may outlive it."""
_CANCELLABLE_READ_TIMEOUT_S = 2.0


class OpenPort(Protocol):
    """A port that is open.

    Attributes:
        inbox: what it has received.
    """

    inbox: Inbox

    async def set_baud(self, baud: int) -> None:
        """Change the rate.

        Raises:
            ValueError: the port cannot run at that rate.
            serial.SerialException, OSError: the port is gone.
        """

    async def write(self, data: bytes) -> None:
        """Send.

        Raises:
            LinkLost: the port is gone, closed, or takes nothing.
        """

    async def close(self) -> None:
        """Let go of the port."""


def reader_of(uri: str, port: serial.Serial, clock: Clock, *, thread: bool) -> OpenPort:
    """Begin to read a port: by the event loop where it is a terminal with a descriptor, unless a thread is wanted."""
    if not thread and os.name == "posix":
        with contextlib.suppress(OSError, AttributeError):  # io.UnsupportedOperation is an OSError
            if os.isatty(port.fileno()):
                return DescriptorPort(uri, port, clock)
    return ThreadPort(uri, port, clock)


class DescriptorPort:
    """An open port with a file descriptor, read by the event loop."""

    def __init__(self, uri: str, port: serial.Serial, clock: Clock) -> None:
        self._uri = uri
        self._serial = port
        self._fd: int = port.fileno()
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._write_lock = asyncio.Lock()
        self._closed = asyncio.Event()
        port.timeout = 0
        _block_without_data(self._fd)
        self.inbox = Inbox(clock, pause=self._stop_reading, resume=self._start_reading)
        self._start_reading()

    def _start_reading(self) -> None:
        self._loop.add_reader(self._fd, self._readable)

    def _stop_reading(self) -> None:
        self._loop.remove_reader(self._fd)

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, READ_SIZE)
            now_ns = self._clock()
        except (BlockingIOError, InterruptedError):
            return
        except OSError:  # EIO: how Linux reports that the device is gone
            data, now_ns = b"", 0
        if data:
            self.inbox.put_stamped(data, now_ns)
        else:
            self._stop_reading()
            self.inbox.end(f"{self._uri}: hung up; was the board unplugged?")

    async def set_baud(self, baud: int) -> None:
        """Change the rate; at once, a terminal does not wait."""
        with terminal_errors():
            self._serial.baudrate = baud
            _block_without_data(self._fd)  # pyserial has set VMIN again

    async def write(self, data: bytes) -> None:
        """Send; waits while the system takes nothing."""
        async with self._write_lock:
            try:
                async with asyncio.timeout(WRITE_TIMEOUT_S):
                    view = memoryview(data)
                    while view:
                        view = view[await self._write_some(view) :]
            except TimeoutError:
                raise LinkLost(f"{self._uri}: the port takes no bytes for {WRITE_TIMEOUT_S:.0f} s") from None
            except OSError as error:
                raise LinkLost(f"{self._uri}: hung up: {error.strerror}") from None

    async def _write_some(self, view: memoryview) -> int:
        """Write what the system takes now; wait until it takes at least one byte."""
        while True:
            if self._closed.is_set():
                raise LinkLost(f"{self._uri}: closed")
            try:
                return os.write(self._fd, view)
            except (BlockingIOError, InterruptedError):
                writable = asyncio.Event()
                self._loop.add_writer(self._fd, writable.set)
                try:
                    await writable.wait()
                finally:
                    if not self._closed.is_set():
                        self._loop.remove_writer(self._fd)

    async def close(self) -> None:
        """Let go of the port; what waits to be sent is thrown away."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        self.inbox.end(f"{self._uri}: closed")
        close_port(self._serial)


class ThreadPort:
    """An open port without a file descriptor, read by a thread of its own."""

    def __init__(self, uri: str, port: serial.Serial, clock: Clock) -> None:
        self._uri = uri
        self._serial = port
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._write_lock = asyncio.Lock()
        self._stop = threading.Event()
        self._go = threading.Event()
        self._go.set()
        self.inbox = Inbox(clock, pause=self._go.clear, resume=self._go.set)
        self._can_cancel = isinstance(port, serial.Serial)
        if self._can_cancel:  # to set it on a port of another machine would ask that one
            port.timeout = _CANCELLABLE_READ_TIMEOUT_S
            port.write_timeout = WRITE_TIMEOUT_S
        self._thread = threading.Thread(target=self._read_all, name=f"read {uri}", daemon=True)
        self._thread.start()

    def _read_all(self) -> None:
        while not self._stop.is_set():
            if not self._go.wait(READ_TIMEOUT_S):
                continue
            try:
                data = self._serial.read(1)  # waits; what came with it follows at once
                if data:
                    data += self._serial.read(min(self._serial.in_waiting, READ_SIZE))
                now_ns = self._clock()
            except (serial.SerialException, OSError, TypeError, AttributeError):
                # pyserial raises the latter two when the port is closed under a reader
                self._call_soon(self.inbox.end, f"{self._uri}: hung up; was the board unplugged?")
                return
            if data:
                self._call_soon(self.inbox.put_stamped, data, now_ns)

    def _call_soon(self, function: object, *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody is left to tell
            self._loop.call_soon_threadsafe(function, *arguments)  # type: ignore[arg-type]

    async def set_baud(self, baud: int) -> None:
        """Change the rate; over a network that waits for the other end's answer."""
        with terminal_errors():
            await asyncio.to_thread(setattr, self._serial, "baudrate", baud)

    async def write(self, data: bytes) -> None:
        """Send; waits, in a thread, until the system took all."""
        async with self._write_lock:
            if self._stop.is_set():
                raise LinkLost(f"{self._uri}: closed")
            try:
                await asyncio.to_thread(self._serial.write, data)
            except serial.SerialTimeoutException:
                raise LinkLost(f"{self._uri}: the port takes no bytes for {WRITE_TIMEOUT_S:.0f} s") from None
            except (serial.SerialException, OSError, TypeError, AttributeError) as error:
                raise LinkLost(f"{self._uri}: hung up: {error}") from None

    async def close(self) -> None:
        """Let go of the port, and end the thread."""
        if self._stop.is_set():
            return
        self._stop.set()
        self._go.set()
        self.inbox.end(f"{self._uri}: closed")
        await asyncio.to_thread(self._end)

    def _end(self) -> None:
        while self._thread.is_alive():
            if self._can_cancel:
                with contextlib.suppress(serial.SerialException, OSError, TypeError, AttributeError):
                    self._serial.cancel_read()
                    self._serial.cancel_write()
            self._thread.join(READ_TIMEOUT_S)
        close_port(self._serial)


@contextlib.contextmanager
def terminal_errors() -> Iterator[None]:
    """What goes wrong inside, as an OSError: a terminal's own error is none, and pyserial lets it through."""
    try:
        yield
    except termios_error() as error:
        if isinstance(error, OSError):
            raise
        raise OSError(*error.args) from None


def close_port(port: serial.Serial) -> None:
    """Close without waiting for bytes that nobody takes any more, and without an error from a port that is gone."""
    if isinstance(port, serial.Serial):  # one of another machine would be asked, and waited for
        with contextlib.suppress(OSError, serial.SerialException, ValueError, TypeError, termios_error()):
            port.reset_output_buffer()  # else the kernel may wait 30 s for a line that is stuck
    with contextlib.suppress(OSError, serial.SerialException, ValueError, AttributeError):
        port.close()


def _block_without_data(fd: int) -> None:
    """Make an empty read say EAGAIN: with pyserial's VMIN of 0 it would return b'', which is how a hang-up looks."""
    import termios

    attributes = termios.tcgetattr(fd)
    attributes[6][termios.VMIN] = 1
    attributes[6][termios.VTIME] = 0
    termios.tcsetattr(fd, termios.TCSANOW, attributes)


def termios_error() -> type[Exception]:
    """What pyserial lets through where a terminal does not take its settings: no OSError."""
    if os.name != "posix":
        return OSError
    import termios

    return termios.error
