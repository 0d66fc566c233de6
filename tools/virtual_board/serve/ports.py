"""Where the UART comes out: a pseudo-terminal or a TCP port. Neither ever blocks; what nobody takes is dropped and
counted."""

from __future__ import annotations

import errno
import os
import pty
import select
import socket
import termios
import tty
from pathlib import Path
from typing import Protocol

_CHUNK = 65536
_SPEEDS = {value: int(name[1:]) for name, value in vars(termios).items() if name[0] == "B" and name[1:].isdigit()}
"""termios constant -> baud; the constants of Linux are no rates."""


class Port(Protocol):
    """A byte pipe with at most one client."""

    dropped: int
    """Bytes that no client was there to take or that it took too slowly."""

    @property
    def name(self) -> str:
        """What follows `ready` on the line that announces the port."""

    @property
    def baud(self) -> int | None:
        """The rate that the client has set, where that can be known."""

    def files(self) -> list[int]:
        """Descriptors whose readability is worth waking up for."""

    def write(self, data: bytes) -> None:
        """Pass bytes to the client, if there is one."""

    def read(self) -> bytes:
        """What the client has sent since the last call."""

    def unplug(self) -> None:
        """Pull the cable: the client sees a hang-up, nobody can open the port."""

    def plug(self) -> None:
        """Put the cable back."""


class PtyPort:
    """A pseudo-terminal in raw mode that stays while clients come and go, optionally behind a symbolic link.

    The slave is opened and closed once at the start: from then on the kernel reports a hang-up whenever no client has
    it open, and that is how a UART with nobody listening is told from one with a listener.
    """

    def __init__(self, link: Path | None = None) -> None:
        self.dropped = 0
        self._link = link
        self._master = -1
        self._path = ""
        self._open = False
        self.plug()

    @property
    def name(self) -> str:
        """`pty PATH`."""
        return f"pty {self._path}"

    @property
    def baud(self) -> int | None:
        """The speed of the terminal, which its two ends share (Linux: TCGETS on the master reads the slave's). None
        while it is the one that every terminal is born with, which no client has set, or one without a constant."""
        if self._master < 0:
            return None
        speed = termios.tcgetattr(self._master)[5]
        return None if speed == termios.B38400 else _SPEEDS.get(speed)

    def plug(self) -> None:
        """A new terminal; the link points at it."""
        if self._master >= 0:
            return
        self._master, slave = pty.openpty()
        tty.setraw(slave)
        self._path = os.ttyname(slave)
        os.close(slave)
        os.set_blocking(self._master, False)
        self._open = False
        if self._link is not None:
            fresh = self._link.with_name(f"{self._link.name}.{os.getpid()}")
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(self._path)
            fresh.replace(self._link)

    def unplug(self) -> None:
        """Close the terminal and remove the link if it is still ours."""
        if self._master < 0:
            return
        if self._link is not None and self._link.is_symlink() and str(self._link.readlink()) == self._path:
            self._link.unlink()
        os.close(self._master)
        self._master = -1

    def files(self) -> list[int]:
        """The master, while a client has the other end open (without one it would always be readable)."""
        return [self._master] if self._master >= 0 and self._listening() else []

    def _listening(self) -> bool:
        poller = select.poll()
        poller.register(self._master, select.POLLIN)
        hung_up = any(state & select.POLLHUP for _, state in poller.poll(0))
        if hung_up and self._open:
            self._flush()
        self._open = not hung_up
        return self._open

    def _flush(self) -> None:
        """The client has gone: what it did not read is lost, as with a serial port."""
        slave = os.open(self._path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            termios.tcflush(slave, termios.TCIOFLUSH)
        finally:
            os.close(slave)

    def write(self, data: bytes) -> None:
        """To the client; dropped without one, and beyond what the terminal's buffer holds."""
        if self._master < 0 or not self._listening():
            self.dropped += len(data)
            return
        written = 0
        try:
            while written < len(data):
                written += os.write(self._master, data[written:])
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno != errno.EIO:
                raise
        self.dropped += len(data) - written

    def read(self) -> bytes:
        """From the client."""
        if self._master < 0:
            return b""
        try:
            return os.read(self._master, _CHUNK)
        except BlockingIOError:
            return b""
        except OSError as error:
            if error.errno == errno.EIO:
                return b""
            raise


class TcpPort:
    """A listening socket with one client at a time; further ones are turned away. A client may come back."""

    def __init__(self, host: str, port: int) -> None:
        self.dropped = 0
        self._address = (host, port)
        self._listener: socket.socket | None = None
        self._client: socket.socket | None = None
        self.plug()

    @property
    def baud(self) -> None:
        """A socket has no rate."""

    @property
    def name(self) -> str:
        """`tcp HOST:PORT`."""
        return f"tcp {self._address[0]}:{self._address[1]}"

    def plug(self) -> None:
        """Listen; after the first time on the same port."""
        if self._listener is None:
            self._listener = socket.create_server(self._address, backlog=4)
            self._listener.setblocking(False)
            self._address = (self._address[0], self._listener.getsockname()[1])

    def unplug(self) -> None:
        """Hang up and stop listening."""
        self._hang_up()
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _hang_up(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def files(self) -> list[int]:
        """Listener and client."""
        return [entry.fileno() for entry in (self._listener, self._client) if entry is not None]

    def _accept(self) -> None:
        while self._listener is not None:
            try:
                client, _ = self._listener.accept()
            except (BlockingIOError, ConnectionError):
                return
            if self._client is not None and not self._has_left():
                client.close()
                continue
            self._hang_up()
            client.setblocking(False)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _CHUNK)
            self._client = client

    def _has_left(self) -> bool:
        """Whether the present client has closed without our having read that yet."""
        if self._client is None:
            return True
        try:
            return self._client.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False
        except ConnectionError:
            return True

    def write(self, data: bytes) -> None:
        """To the client; dropped without one, and beyond what its socket buffer holds."""
        self._accept()
        sent = 0
        if self._client is not None:
            try:
                while sent < len(data):
                    sent += self._client.send(data[sent:])
            except BlockingIOError:
                pass
            except ConnectionError:
                self._hang_up()
        self.dropped += len(data) - sent

    def read(self) -> bytes:
        """From the client."""
        self._accept()
        if self._client is None:
            return b""
        try:
            data = self._client.recv(_CHUNK)
        except BlockingIOError:
            return b""
        except ConnectionError:
            data = b""
        if not data:
            self._hang_up()
        return data
