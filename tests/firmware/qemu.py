"""QEMU's netduinoplus2, the UART on a unix socket: an STM32F4 that somebody else modelled."""

from __future__ import annotations

import queue
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from telemetry_protocol import Damage, Decoder, Frame, Message, encode_frame, messages

M = TypeVar("M", bound=Message)

UART_INDEX = 5  # -serial number of USART6, docs/wiring.md


class QemuMissing(RuntimeError):
    """There is no QEMU for ARM on this machine."""


def symbol(elf: Path, name: str) -> int:
    """Address of a symbol.

    Raises:
        KeyError: no such symbol.
    """
    with elf.open("rb") as stream:
        table = ELFFile(stream).get_section_by_name(".symtab")
        assert isinstance(table, SymbolTableSection)
        for entry in table.get_symbol_by_name(name) or []:
            return int(entry["st_value"])
    raise KeyError(name)


def _connect(path: Path, process: subprocess.Popen[bytes]) -> socket.socket:
    """Connect to a socket that QEMU is about to open.

    Raises:
        RuntimeError: QEMU ended, or did not open it within ten seconds.
    """
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"QEMU ended with {process.returncode}: {process.stderr and process.stderr.read()!r}")
        client = socket.socket(socket.AF_UNIX)
        try:
            client.connect(str(path))
        except OSError:
            client.close()
            time.sleep(0.01)  # the socket's file appears without any event to wait for
            continue
        return client
    raise RuntimeError(f"QEMU did not open {path}")


class _Debugger:
    """As much of a client of the GDB remote serial protocol as it takes to set a register."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(1)
        self._connection = connection
        self._bytes = b""
        assert self._packet().startswith(b"T")  # the machine stops when a debugger comes

    def _packet(self) -> bytes:
        """The next $packet#checksum, acknowledged; TimeoutError when none comes."""
        while (found := re.search(rb"\$([^#]*)#..", self._bytes, re.DOTALL)) is None:
            self._bytes += self._connection.recv(4096)
        self._bytes = self._bytes[found.end() :]
        self._connection.sendall(b"+")
        return found.group(1)

    def ask(self, packet: bytes) -> bytes:
        """Send a packet and return the answer; repeats it while there is none, as GDB does."""
        for _ in range(10):
            self._connection.sendall(b"$" + packet + b"#%02x" % (sum(packet) % 256))
            try:
                return self._packet()
            except TimeoutError:
                continue
        raise TimeoutError(f"QEMU's debugger does not answer {packet!r}")


class Qemu:
    """One machine that runs an image."""

    def __init__(self, elf: Path, *, boot_seed: int = 1) -> None:
        """Start it.

        Args:
            elf: image of netduinoplus2.
            boot_seed: written to the symbol of that name before the core starts, as RAM is all zeros.

        Raises:
            QemuMissing: with the line that installs it.
        """
        program = shutil.which("qemu-system-arm")
        if program is None:
            raise QemuMissing("qemu-system-arm not found: apt-get install qemu-system-arm")
        self._folder = tempfile.TemporaryDirectory(prefix="tb-qemu-")
        folder = Path(self._folder.name)
        self.accesses = folder / "accesses.log"
        uart, gdb = folder / "uart", folder / "gdb"
        self._process = subprocess.Popen(
            [
                *(program, "-M", "netduinoplus2", "-display", "none", "-monitor", "none", "-kernel", str(elf)),
                *("-device", f"loader,addr={symbol(elf, 'boot_seed'):#x},data={boot_seed:#x},data-len=4"),
                *("-serial", "null") * UART_INDEX,
                *("-serial", f"unix:{uart},server=on,wait=on"),
                *("-chardev", f"socket,path={gdb},server=on,wait=off,id=gdb", "-gdb", "chardev:gdb"),
                *("-d", "unimp,guest_errors", "-D", str(self.accesses)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self._gdb_path = gdb
        self._decoder = Decoder()
        self._sequence = 0
        self.received: list[Message] = []
        self.damage: list[Damage] = []
        self.crashes = 0
        try:
            self._uart = _connect(uart, self._process)
        except RuntimeError:
            self.close()
            raise
        self._bytes: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._drain, name="qemu-uart")
        self._reader.start()

    def _drain(self) -> None:
        """Read the line all the time: QEMU writes byte by byte, and some 280 unread ones stop the whole machine."""
        while data := self._uart.recv(4096):
            self._bytes.put(data)
        self._bytes.put(b"")

    def close(self) -> None:
        """End the machine."""
        self._process.kill()
        self._process.wait()
        if hasattr(self, "_reader"):
            self._reader.join()  # the line ends with the machine
        if hasattr(self, "_uart"):
            self._uart.close()
        if self._process.stderr is not None:
            self._process.stderr.close()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _receive(self, deadline: float) -> None:
        try:
            data = self._bytes.get(timeout=max(0.001, deadline - time.monotonic()))
        except queue.Empty:
            raise TimeoutError("nothing more from the machine") from None
        if not data:
            raise RuntimeError("QEMU closed the line")
        for item in self._decoder.feed(data):
            if not isinstance(item, Frame):
                self.damage.append(item)
                continue
            message = messages.unpack(item.type, item.payload)
            assert isinstance(message, Message), message
            self.received.append(message)

    def wait_for(self, kind: type[M], *, after: int = 0, seconds: float = 10) -> M:
        """The first message of a kind, from number ``after`` on.

        Raises:
            TimeoutError: none came.
        """
        deadline = time.monotonic() + seconds
        at = after
        while True:
            for message in self.received[at:]:
                if isinstance(message, kind):
                    return message
            at = len(self.received)
            self._receive(deadline)

    def command(self, name: str, *, request: int, **args: int) -> messages.Response:
        """Send a command and wait for its answer."""
        spec = messages.COMMANDS[name]
        mark = len(self.received)
        payload = messages.Command(request=request, command=spec.id, args=spec.pack_args(**args)).pack()
        self._uart.sendall(b"\x00" + encode_frame(messages.Command.TYPE, self._sequence, payload))
        self._sequence = (self._sequence + 1) % 256
        return self.wait_for(messages.Response, after=mark)

    def crash(self, register: int, value: int) -> None:
        """Make the program crash: set a core register (13 sp, 15 pc; GDB remote serial protocol) and go on."""
        self.crashes += 1
        with _connect(self._gdb_path, self._process) as connection:
            debugger = _Debugger(connection)
            debugger.ask(b"qXfer:features:read:target.xml:0,ffb")  # QEMU takes P only from a client that has asked
            assert debugger.ask(b"P%x=%s" % (register, value.to_bytes(4, "little").hex().encode())) == b"OK"
            assert debugger.ask(b"D") == b"OK"
