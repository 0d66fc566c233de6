"""Remote control of a running board: one command a line, one answer a line (`ok ...` or `error ...`)."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from ..board import VirtualBoard
from ..motion import Hand, Rotation, Still
from ..peripherals.rcc import CLOCKS, RESET_FLAGS
from ..sensors.mpu import Mpu
from .ports import Port

HELP = """\
commands, one a line; each is answered by a line that begins with ok or error:
  reset [CAUSE]      reset the microcontroller: pin (default), power, software, watchdog, brown_out, ...
  unplug | plug      pull and restore the serial cable: clients see a hang-up; a pty comes back under a new name, which
                     the answer tells, and --link follows it
  nack on|off        the IMU acknowledges nothing
  imu unplug|plug    take the IMU off the bus and put it back (it then powers up)
  part NAME unplug|plug|nack|answer   the same for any part, by the name given to --i2c
  who_am_i VALUE     what the IMU says it is
  stuck_sda CLOCKS   the IMU holds SDA low until it has seen so many clocks
  arbitration BYTES  another controller wins the I2C bus behind so many bytes that are sent, once
  dma_error REQUEST ITEMS   a DMA transfer ends in an error behind so many items, once; I2C1_RX, USART2_TX, SPI1_RX, ...
  noise N [board]    flip a bit in N bytes on their way to the host, or to the board
  odr_error PPM      deviation of the IMU's sample clock, from its next sample on
  motion still|hand [SEED]|rotate RATE [X Y Z]
  temperature CELSIUS   die temperature of the microcontroller
  ambient CELSIUS|motion   temperature of the air, or again that of the motion
  clock hse|pll|pll_from_hse|scale fail|work   it never gets ready, from the next reset on
  boot0 on|off       the BOOT0 pin: the next reset starts the ROM's bootloader instead of the firmware
  status             one line of JSON: time, counters, what the port dropped, accesses that no model answers
  quit               end cleanly
"""


class CommandError(Exception):
    """A command that is unknown or malformed; the message is the answer."""


class Commands:
    """Carries commands out on a board and its port."""

    def __init__(self, board: VirtualBoard, port: Port, quit_: Callable[[], None]) -> None:
        self._board, self._port, self._quit = board, port, quit_
        self.extra_status: Callable[[], dict[str, object]] = dict
        self._table: dict[str, Callable[[list[str]], str]] = {
            "reset": self._reset,
            "unplug": self._unplug,
            "plug": self._plug,
            "nack": self._nack,
            "imu": self._imu,
            "part": self._part,
            "who_am_i": self._who_am_i,
            "stuck_sda": self._stuck_sda,
            "arbitration": self._arbitration,
            "dma_error": self._dma_error,
            "noise": self._noise,
            "odr_error": self._odr_error,
            "motion": self._motion,
            "temperature": self._temperature,
            "ambient": self._ambient,
            "clock": self._clock,
            "boot0": self._boot0,
            "status": self._status,
            "quit": self._end,
        }

    def run(self, line: str) -> str:
        """The answer to a command."""
        words = line.split()
        if not words:
            return "error empty command"
        action = self._table.get(words[0])
        if action is None:
            return f"error unknown command {words[0]!r}; there are {', '.join(self._table)}"
        try:
            answer = action(words[1:])
        except (ValueError, LookupError, CommandError, OSError) as error:
            return f"error {words[0]}: {error}"
        return f"ok {answer}".rstrip()

    def _reset(self, words: list[str]) -> str:
        cause = words[0] if words else "pin"
        if cause not in RESET_FLAGS:
            raise CommandError(f"cause is one of {', '.join(RESET_FLAGS)}")
        self._board.reset(cause)
        return ""

    def _unplug(self, _words: list[str]) -> str:
        self._port.unplug()
        return ""

    def _plug(self, _words: list[str]) -> str:
        self._port.plug()
        return self._port.name

    def _nack(self, words: list[str]) -> str:
        self._board.imu.nack = _on_off(words)
        return ""

    def _imu(self, words: list[str]) -> str:
        if words not in (["unplug"], ["plug"]):
            raise CommandError("unplug or plug")
        self._board.connect_imu(connected=words == ["plug"])
        return ""

    def _part(self, words: list[str]) -> str:
        if len(words) != 2 or words[0] not in self._board.parts:
            raise CommandError(f"a part and what to do; the parts are {', '.join(self._board.parts)}")
        name, action = words
        if action in ("unplug", "plug"):
            self._board.connect(name, connected=action == "plug")
        elif action in ("nack", "answer"):
            self._board.parts[name].nack = action == "nack"
        else:
            raise CommandError("unplug, plug, nack or answer")
        return ""

    def _who_am_i(self, words: list[str]) -> str:
        self._board.imu.who_am_i = int(words[0], 0) & 0xFF
        return ""

    def _stuck_sda(self, words: list[str]) -> str:
        self._board.i2c_bus.stick_sda(int(words[0]))
        return ""

    def _arbitration(self, words: list[str]) -> str:
        self._board.machine.i2cs[self._board.spec.i2c].contended_after = int(words[0])
        return ""

    def _dma_error(self, words: list[str]) -> str:
        requests = self._board.machine.dmas[0].requests
        if len(words) != 2 or words[0] not in requests:
            raise CommandError(f"a request and how many items; the requests are {', '.join(sorted(requests))}")
        requests[words[0]].error_after = int(words[1])
        return ""

    def _noise(self, words: list[str]) -> str:
        if words[1:] == ["board"]:
            self._board.uart.noise(to_board=int(words[0]))
        else:
            self._board.uart.noise(int(words[0]))
        return ""

    def _odr_error(self, words: list[str]) -> str:
        self._board.imu.odr_error_ppm = float(words[0])
        return ""

    def _motion(self, words: list[str]) -> str:
        kind, values = words[0], [float(word) for word in words[1:]]
        if kind == "still":
            self._board.motion = Still()
        elif kind == "hand":
            self._board.motion = Hand(seed=int(values[0]) if values else 0)
        elif kind == "rotate":
            axis = (values[1], values[2], values[3]) if len(values) > 1 else (0.0, 0.0, 1.0)
            self._board.motion = Rotation(axis=axis, rate=values[0])
        else:
            raise CommandError("still, hand or rotate")
        return ""

    def _temperature(self, words: list[str]) -> str:
        self._board.mcu_temperature_c = float(words[0])
        return ""

    def _ambient(self, words: list[str]) -> str:
        self._board.ambient_c = None if words == ["motion"] else float(words[0])
        return ""

    def _clock(self, words: list[str]) -> str:
        if len(words) != 2 or words[0] not in CLOCKS or words[1] not in ("fail", "work"):
            raise CommandError(f"one of {', '.join(CLOCKS)}, and fail or work")
        dead = self._board.machine.rcc.dead
        (dead.add if words[1] == "fail" else dead.discard)(words[0])
        return ""

    def _boot0(self, words: list[str]) -> str:
        self._board.machine.boot0 = _on_off(words)
        return ""

    def _status(self, _words: list[str]) -> str:
        board = self._board
        return json.dumps(
            {
                "now_us": board.now_us,
                "counters": asdict(board.counters),
                "imu_samples": sum(imu.samples for imu in board.parts.values() if isinstance(imu, Mpu)),
                "uart_sent": board.uart.sent,
                "uart_damaged": board.uart.damaged,
                "port_dropped": self._port.dropped,
                "unmodelled": dict(board.unmodelled),
                "violations": dict(board.violations),
                **self.extra_status(),
            }
        )

    def _end(self, _words: list[str]) -> str:
        self._quit()
        return ""


def _on_off(words: list[str]) -> bool:
    if words not in (["on"], ["off"]):
        raise CommandError("on or off")
    return words == ["on"]


class ControlSocket:
    """A Unix socket that takes commands from any number of clients."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        self._listener.setblocking(False)
        self._clients: dict[socket.socket, bytearray] = {}

    def files(self) -> list[int]:
        """Descriptors whose readability is worth waking up for."""
        return [self._listener.fileno(), *(client.fileno() for client in self._clients)]

    def serve(self, run: Callable[[str], str]) -> None:
        """Answer every complete line that has come in."""
        try:
            client, _ = self._listener.accept()
            client.setblocking(False)
            self._clients[client] = bytearray()
        except BlockingIOError:
            pass
        for client, buffer in list(self._clients.items()):
            try:
                data = client.recv(4096)
            except BlockingIOError:
                continue
            except ConnectionError:
                data = b""
            buffer.extend(data)
            try:
                while b"\n" in buffer:
                    line, _, rest = bytes(buffer).partition(b"\n")
                    buffer[:] = rest
                    client.sendall(run(line.decode(errors="replace")).encode() + b"\n")
            except OSError:
                data = b""
            if not data or len(buffer) > 4096:
                client.close()
                del self._clients[client]

    def close(self) -> None:
        """Hang up and remove the socket's file."""
        for client in self._clients:
            client.close()
        self._listener.close()
        self._path.unlink(missing_ok=True)


class ControlStdin:
    """Commands on standard input, answers on standard output. End of input is a `quit`: whoever commanded is gone."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._open = True
        os.set_blocking(0, False)

    def files(self) -> list[int]:
        """Standard input until it ends."""
        return [0] if self._open else []

    def serve(self, run: Callable[[str], str]) -> None:
        """Answer every complete line that has come in."""
        if not self._open:
            return
        try:
            data = os.read(0, 4096)
        except BlockingIOError:
            return
        if not data:
            self._open = False
            run("quit")
        self._buffer += data
        while b"\n" in self._buffer:
            line, _, rest = bytes(self._buffer).partition(b"\n")
            self._buffer[:] = rest
            print(run(line.decode(errors="replace")), flush=True)

    def close(self) -> None:
        """Leave standard input as it was."""
        os.set_blocking(0, True)
