"""The ``serial:`` link. The only file that knows pyserial.

pyserial opens and configures the port; reading is the event loop's own (``add_reader`` and ``os.read``), which costs
half of what pyserial's asyncio layer does. Where a port has no file descriptor (Windows) a thread reads.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import threading
import time
from pathlib import Path

import serial
from serial.tools import list_ports as serial_list_ports

from telemetry_bridge.errors import LinkError, LinkLost
from telemetry_bridge.link.base import Clock, PortInfo
from telemetry_bridge.link.holders import holders
from telemetry_bridge.link.inbox import Inbox
from telemetry_bridge.link.uri import LinkUri

DEFAULT_BAUD = 921_600
WRITE_TIMEOUT_S = 5.0
READ_SIZE = 65_536
ST_VENDOR_ID = 0x0483
_THREAD_POLL_S = 0.1
_SLICE_S = 0.02


class SerialLink:
    """A serial port, 8N1, no flow control, held exclusively.

    DTR and RTS stay released: on many adapters they are wired to BOOT0 and NRST.
    """

    def __init__(self, uri: LinkUri, *, clock: Clock = time.monotonic_ns) -> None:
        uri.only("baud")
        self._uri = uri
        self._path = uri.target.removeprefix("//") if uri.target.startswith("///") else uri.target
        if not self._path:
            raise LinkError(f"{uri.text}: which port? {_ports_hint()}")
        self._baud = uri.integer("baud", DEFAULT_BAUD, 1, 20_000_000)
        self._clock = clock
        self._port: _Descriptor | _Thread | None = None

    @property
    def uri(self) -> str:
        """The URI that names this link."""
        return self._uri.text

    @property
    def baud(self) -> int:
        """The rate of the port, or the one to open it at."""
        return self._baud

    async def set_baud(self, baud: int) -> None:
        """Change the rate; what is being sent or received right now may be damaged.

        Raises:
            LinkLost: not open, or unplugged.
            LinkError: the port cannot run at that rate; it keeps the one it has.
        """
        port = self._open_port()
        try:
            port.set_baud(baud)
        except ValueError:
            port.set_baud(self._baud)
            raise LinkError(f"{self.uri}: the port cannot run at {baud} baud") from None
        except (serial.SerialException, OSError) as error:
            raise LinkLost(f"{self.uri}: hung up: {error}") from None
        self._baud = baud

    async def open(self) -> None:
        """Open and configure the port; what it had received before is thrown away.

        Raises:
            LinkError: no such port, busy, not permitted, not a serial port, baud rate impossible.
        """
        await self.close()
        port = self.open_blocking(self._baud, serial.PARITY_NONE)
        port.timeout = 0
        try:
            port.fileno()
        except (OSError, AttributeError):
            self._port = _Thread(self.uri, port, self._clock)
        else:
            self._port = _Descriptor(self.uri, port, self._clock)

    def open_blocking(self, baud: int, parity: str) -> serial.Serial:
        """The port itself, apart from this link.

        Raises:
            LinkError: as :meth:`open`.
        """
        port = serial.Serial(
            baudrate=baud, parity=parity, timeout=_SLICE_S, exclusive=True if os.name == "posix" else None
        )
        port.port = self._path
        port.dtr = False
        port.rts = False
        try:
            port.open()
        except (serial.SerialException, OSError) as error:
            raise LinkError(self._explain(error)) from None
        except ValueError:
            raise LinkError(f"{self.uri}: the port cannot run at {baud} baud; try baud=115200") from None
        return port

    async def read(self) -> tuple[bytes, int]:
        """Wait for bytes and their stamp.

        Raises:
            LinkLost: unplugged, hung up, or closed by :meth:`close`.
        """
        return await self._open_port().inbox.get()

    async def write(self, data: bytes) -> None:
        """Send ``data``.

        Raises:
            LinkLost: unplugged, or the port takes nothing for :data:`WRITE_TIMEOUT_S`.
        """
        await self._open_port().write(data)

    async def close(self) -> None:
        """Let go of the port; bytes that were not sent yet are thrown away."""
        if self._port is not None:
            port, self._port = self._port, None
            await port.close()

    def _open_port(self) -> _Descriptor | _Thread:
        if self._port is None:
            raise LinkLost(f"{self.uri}: not open")
        return self._port

    def _explain(self, error: OSError) -> str:
        """One line: what is wrong with the port and what to do."""
        path, code = self._path, error.errno
        if code in (errno.ENOENT, errno.ENODEV, errno.ENXIO) or "FileNotFoundError" in str(error):
            return f"{path}: there is no such port. {_ports_hint()}"
        if code in (errno.EBUSY, errno.EAGAIN, errno.EWOULDBLOCK):
            programs = holders(path)
            who = ", ".join(programs) if programs else "another program"
            return f"{path}: the port is busy: held by {who}; close that and try again"
        if code in (errno.EACCES, errno.EPERM) or "PermissionError" in str(error):
            if os.name != "posix":
                return f"{path}: another program holds the port, or you may not open it; close that and try again"
            return f"{path}: not permitted; join the port's group and log in again: sudo usermod -aG dialout $USER"
        if code == errno.ENOTTY or "Inappropriate ioctl" in str(error) or Path(path).is_dir() or Path(path).is_file():
            return f"{path}: not a serial port. {_ports_hint()}"
        return f"{path}: cannot open the port: {error.strerror or error}. {_ports_hint()}"


class BlockingPort:
    """A serial port for one who waits for answers.

    The timeout is kept here: pyserial would set the whole port anew for each change of it, and a pseudo-terminal, which
    has no parity, refuses that.

    Attributes:
        timeout: longest wait of :meth:`read` in seconds; None: 1 s.
    """

    def __init__(self, port: serial.Serial) -> None:
        self.timeout: float | None = None
        self._port = port

    def read(self, size: int = 1) -> bytes:
        """Up to ``size`` bytes; fewer when the timeout is over."""
        deadline = time.monotonic() + (1.0 if self.timeout is None else self.timeout)
        data = self._port.read(size)
        while len(data) < size and time.monotonic() < deadline:
            data += self._port.read(size - len(data))
        return bytes(data)

    def write(self, data: bytes) -> None:
        """Send."""
        self._port.write(data)

    def close(self) -> None:
        """Let go of the port."""
        self._port.close()


def open_8e1(uri: LinkUri, baud: int) -> BlockingPort:
    """Open a port for the bootloader of a chip: even parity, blocking reads.

    Raises:
        LinkError: as :meth:`SerialLink.open`, or this is no serial port.
    """
    if uri.scheme != "serial":
        raise LinkError(f"{uri.text}: a board is flashed through a serial port")
    return BlockingPort(SerialLink(uri).open_blocking(baud, serial.PARITY_EVEN))


class _Descriptor:
    """An open port with a file descriptor, read by the event loop."""

    def __init__(self, uri: str, port: serial.Serial, clock: Clock) -> None:
        self._uri = uri
        self._serial = port
        self._fd: int = port.fileno()
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._write_lock = asyncio.Lock()
        self._closed = asyncio.Event()
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

    def set_baud(self, baud: int) -> None:
        self._serial.baudrate = baud
        _block_without_data(self._fd)  # pyserial has set VMIN again

    async def write(self, data: bytes) -> None:
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
        if self._closed.is_set():
            return
        self._closed.set()
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        self.inbox.end(f"{self._uri}: closed")
        _close(self._serial)


class _Thread:
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
        port.timeout = _THREAD_POLL_S
        port.write_timeout = WRITE_TIMEOUT_S
        self._thread = threading.Thread(target=self._read_all, name=f"read {uri}", daemon=True)
        self._thread.start()

    def _read_all(self) -> None:
        while not self._stop.is_set():
            if not self._go.wait(_THREAD_POLL_S):
                continue
            try:
                data = self._serial.read(max(1, min(self._serial.in_waiting, READ_SIZE)))
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

    def set_baud(self, baud: int) -> None:
        self._serial.baudrate = baud

    async def write(self, data: bytes) -> None:
        async with self._write_lock:
            try:
                await asyncio.to_thread(self._serial.write, data)
            except (serial.SerialException, OSError) as error:
                raise LinkLost(f"{self._uri}: cannot write: {error}") from None

    async def close(self) -> None:
        if self._stop.is_set():
            return
        self._stop.set()
        self._go.set()
        self.inbox.end(f"{self._uri}: closed")
        await asyncio.to_thread(self._thread.join)
        _close(self._serial)


def _block_without_data(fd: int) -> None:
    """Make an empty read say EAGAIN: with pyserial's VMIN of 0 it would return b'', which is how a hang-up looks."""
    import termios

    attributes = termios.tcgetattr(fd)
    attributes[6][termios.VMIN] = 1
    attributes[6][termios.VTIME] = 0
    termios.tcsetattr(fd, termios.TCSANOW, attributes)


def _close(port: serial.Serial) -> None:
    """Close without waiting for bytes that nobody takes any more, and without an error from a port that is gone."""
    with contextlib.suppress(OSError, serial.SerialException, ValueError, _termios_error()):
        port.reset_output_buffer()  # else the kernel may wait 30 s for a line that is stuck
    with contextlib.suppress(OSError, serial.SerialException, ValueError):
        port.close()


def _termios_error() -> type[Exception]:
    if os.name != "posix":
        return OSError
    import termios

    return termios.error


def _ports_hint() -> str:
    """The ports that there are, in a few words."""
    ports = [port.device for port in list_ports()]
    if not ports:
        return "No serial port is there: plug the board in and check the cable"
    return f"Ports that are there: {', '.join(ports[:8])}{' …' if len(ports) > 8 else ''}"


def list_ports() -> list[PortInfo]:
    """Serial ports of this machine: ST-LINKs first, then other USB ports, then those of the machine itself."""
    ranked = []
    for port in serial_list_ports.comports():
        on_usb = port.vid is not None
        rank = 0 if port.vid == ST_VENDOR_ID else 1 if on_usb else 2
        description = port.description if port.description and port.description != "n/a" else "serial port"
        if on_usb:
            description = f"{description} [{port.vid:04x}:{port.pid or 0:04x}]"
        ranked.append((rank, port.device, PortInfo(port.device, description, on_usb)))
    return [info for _, _, info in sorted(ranked, key=lambda entry: entry[:2])]
