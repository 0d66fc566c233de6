"""The ``serial:`` link: a serial port of this machine, or one that pyserial reaches by a URL of its own.

pyserial opens and configures the port; how it is read, `serial_reader` chooses.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import time
from pathlib import Path
from urllib.parse import urlencode

import serial

from telemetry_bridge.errors import LinkError, LinkLost, PortBusy
from telemetry_bridge.link.base import Clock, monotonic_ns
from telemetry_bridge.link.holders import holders
from telemetry_bridge.link.latency_timer import shorten
from telemetry_bridge.link.port_list import ports_hint
from telemetry_bridge.link.serial_reader import (
    READ_TIMEOUT_S,
    OpenPort,
    close_port,
    reader_of,
    terminal_errors,
    termios_error,
)
from telemetry_bridge.link.uri import LinkUri

DEFAULT_BAUD = 921_600
_SLICE_S = 0.02
_SCHEMES = ("rfc2217", "loop")
"""URL schemes of pyserial that are let through."""


class SerialLink:
    """A serial port, 8N1, no flow control, held exclusively.

    DTR and RTS stay released: on many adapters they are wired to BOOT0 and NRST.
    """

    def __init__(self, uri: LinkUri, *, clock: Clock = monotonic_ns) -> None:
        self._uri = uri
        self._is_url = "://" in uri.target
        if not self._is_url:
            uri.only("baud", "reader")
        self._path = _target(uri)
        self._thread = uri.parameters.get("reader", "auto") == "thread"
        if uri.parameters.get("reader", "auto") not in ("auto", "thread"):
            raise LinkError(f"{uri.text}: reader is auto or thread")
        self._baud = uri.integer("baud", DEFAULT_BAUD, 1, 20_000_000)
        self._clock = clock
        self._port: OpenPort | None = None
        self._refusal: tuple[int | None, LinkError] | None = None
        self.warning = ""
        """What a human should know about the port, once it was opened: the latency timer of an FTDI adapter."""

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
            await port.set_baud(baud)
        except ValueError:
            with contextlib.suppress(ValueError, serial.SerialException, OSError):
                await port.set_baud(self._baud)
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
        # in a thread: a port over radio or network takes seconds to open
        opening = asyncio.ensure_future(asyncio.to_thread(self.open_blocking, self._baud, serial.PARITY_NONE))
        try:
            port = await asyncio.shield(opening)
        except asyncio.CancelledError:
            with contextlib.suppress(LinkError, termios_error()):  # whoever cancels wants the port free
                close_port(await opening)
            raise
        except termios_error() as error:  # it went while it was set up
            raise self._refused(OSError(*error.args)) from None
        self._refusal = None
        if not self._is_url:
            self.warning = shorten(self._path, lambda: port.set_low_latency_mode(True))
        try:
            with terminal_errors():
                self._port = reader_of(self.uri, port, self._clock, thread=self._thread)
        except (serial.SerialException, OSError) as error:
            close_port(port)
            raise self._refused(error) from None

    def open_blocking(self, baud: int, parity: str) -> serial.Serial:
        """The port itself, apart from this link.

        Raises:
            LinkError: as :meth:`open`.
        """
        exclusive = True if os.name == "posix" and not self._is_url else None
        timeout_s = READ_TIMEOUT_S if self._is_url else _SLICE_S
        try:
            port = serial.serial_for_url(
                self._path, do_not_open=True, baudrate=baud, parity=parity, timeout=timeout_s, exclusive=exclusive
            )
            port.dtr = False
            port.rts = False
            port.open()
        except (serial.SerialException, OSError) as error:
            raise self._refused(error) from None
        except ValueError as error:
            if self._is_url:
                raise LinkError(f"{self.uri}: {error}") from None
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
            LinkLost: unplugged, or the port takes nothing for ``WRITE_TIMEOUT_S``.
        """
        await self._open_port().write(data)

    async def close(self) -> None:
        """Let go of the port; bytes that were not sent yet are thrown away."""
        if self._port is not None:
            port, self._port = self._port, None
            await port.close()

    def _open_port(self) -> OpenPort:
        if self._port is None:
            raise LinkLost(f"{self.uri}: not open")
        return self._port

    def _refused(self, error: OSError) -> LinkError:
        """Why the port cannot be opened. While that stays the same so does the line: to make one asks the system."""
        if self._refusal is None or self._refusal[0] != error.errno or error.errno is None:
            self._refusal = error.errno, self._explain(error)
        return self._refusal[1]

    def _explain(self, error: OSError) -> LinkError:
        """One line: what is wrong with the port and what to do."""
        path, code = self._path, error.errno
        if self._is_url:
            return LinkError(f"{self.uri}: cannot open: {error}")
        if code in (errno.ENOENT, errno.ENODEV, errno.ENXIO) or "FileNotFoundError" in str(error):
            return LinkError(f"{path}: there is no such port. {ports_hint()}")
        if code in (errno.EBUSY, errno.EAGAIN, errno.EWOULDBLOCK):
            return PortBusy(path, holders(path))
        if code in (errno.EACCES, errno.EPERM) or "PermissionError" in str(error):
            if os.name != "posix":
                return LinkError(
                    f"{path}: another program holds the port, or you may not open it; close that and try again"
                )
            return LinkError(
                f"{path}: not permitted; join the port's group and log in again: sudo usermod -aG dialout $USER"
            )
        if code == errno.ENOTTY or "Inappropriate ioctl" in str(error) or Path(path).is_dir() or Path(path).is_file():
            return LinkError(f"{path}: not a serial port. {ports_hint()}")
        return LinkError(f"{path}: cannot open the port: {error.strerror or error}. {ports_hint()}")


def _target(uri: LinkUri) -> str:
    """What pyserial is to open: a path, a Windows name, or one of its URLs with the parameters that are not ours.

    Raises:
        LinkError: no port is named, or a kind of URL that is not let through.
    """
    if not uri.target:
        raise LinkError(f"{uri.text}: which port? {ports_hint()}")
    scheme, separator, rest = uri.target.partition("://")
    if not separator:
        return uri.target.removeprefix("//") if uri.target.startswith("///") else uri.target
    if scheme == "socket":
        raise LinkError(f"{uri.text}: write tcp:{rest or 'HOST:PORT'}")
    if scheme not in _SCHEMES:
        known = ", ".join(f"serial:{known}://" for known in _SCHEMES)
        raise LinkError(f"{uri.text}: no such kind of port as {scheme}://; there are {known}, and paths")
    others = {name: value for name, value in uri.parameters.items() if name not in ("baud", "reader")}
    return f"{uri.target}?{urlencode(others)}" if others else uri.target


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
    link = SerialLink(uri)
    try:
        port = link.open_blocking(baud, serial.PARITY_EVEN)
    except termios_error():  # a pseudo-terminal has no parity; where nothing else changes, tcsetattr() says so
        port = link.open_blocking(baud, serial.PARITY_NONE)
    return BlockingPort(port)
