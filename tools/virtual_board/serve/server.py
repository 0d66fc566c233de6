"""The command line: `python -m virtual_board ELF --board NAME ...`."""

from __future__ import annotations

import argparse
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ..board import SPI_PARTS, VirtualBoard
from ..boards import BOARDS
from ..elf import ImageError
from ..motion import by_name
from ..sensors.catalogue import I2C_PARTS, parse
from .control import HELP, Commands, ControlSocket, ControlStdin
from .pacing import Pacer
from .ports import Port, PtyPort, TcpPort

QUANTUM_S = 0.001
"""Virtual time between two looks at the outside."""


def _tcp_address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


def _spi_parts(text: str) -> tuple[str, ...]:
    names = tuple(name for name in text.split(",") if name)
    if unknown := set(names) - set(SPI_PARTS):
        raise argparse.ArgumentTypeError(f"no part {', '.join(sorted(unknown))}; there are {', '.join(SPI_PARTS)}")
    return names


def _parts(text: str) -> tuple[str, ...]:
    parts = tuple(filter(None, text.split(",")))
    for part in parts:
        try:
            parse(part)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error
    return parts


def _list_parts() -> str:
    return "; ".join(
        f"{name}, {entry.description}, at {' '.join(map(hex, entry.addresses))}" for name, entry in I2C_PARTS.items()
    )


def build_parser() -> argparse.ArgumentParser:
    """The command line's grammar."""
    parser = argparse.ArgumentParser(
        prog="python -m virtual_board",
        description="Run a firmware ELF on a virtual board and serve its UART. When the port is there, one line says "
        "so: `ready pty PATH` or `ready tcp HOST:PORT`. SIGINT and SIGTERM end it cleanly.",
        epilog=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("elf", type=Path, help="the image, e.g. firmware/build/nucleo_f411re/firmware.elf")
    parser.add_argument(
        "--board", choices=sorted(BOARDS), default="nucleo_f411re", help="which board (default: %(default)s)"
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--pty", action="store_true", help="serve on a pseudo-terminal (default)")
    where.add_argument("--tcp", type=_tcp_address, metavar="HOST:PORT", help="serve on TCP; port 0 picks a free one")
    parser.add_argument(
        "--link", type=Path, metavar="PATH", help="symbolic link to the pseudo-terminal, removed at the end"
    )
    parser.add_argument(
        "--control", metavar="PATH|stdin", help="take commands (below) on a Unix socket or standard input"
    )
    parser.add_argument("--free-running", action="store_true", help="as fast as it goes instead of real time")
    parser.add_argument(
        "--i2c",
        type=_parts,
        default=("mpu6050",),
        metavar="PART[@ADDRESS],...",
        help=f"what is on the I2C bus (default: mpu6050): {_list_parts()}",
    )
    parser.add_argument("--motion", choices=("hand", "still", "rotate"), default="hand", help="what the IMU feels")
    parser.add_argument(
        "--spi", type=_spi_parts, default=(), metavar="PART[,PART]", help=f"what is on SPI: {', '.join(SPI_PARTS)}"
    )
    parser.add_argument(
        "--odr-error", type=float, default=0.0, metavar="PPM", help="deviation of the IMU's sample clock"
    )
    parser.add_argument(
        "--seed", type=int, help="memory contents at power-on and all noise (default: differs every time)"
    )
    parser.add_argument("--unit", type=int, default=0, help="which specimen of the board: gives its unique id")
    parser.add_argument(
        "--flash",
        type=Path,
        metavar="FILE",
        help="keep the flash in this file, and what the board stored there with it",
    )
    parser.add_argument("--duration", type=float, metavar="S", help="end after so many virtual seconds")
    return parser


class FlashFile:
    """Keeps a board's flash in a file; one that is killed has it as it was a millisecond ago."""

    def __init__(self, board: VirtualBoard, path: Path) -> None:
        self._board, self._path = board, path
        self._saved = -1

    def save(self) -> None:
        """Write the file if there were flash operations since the last time."""
        operations = self._board.machine.flash_controller.operations
        if operations != self._saved and not self._board.machine.flash_controller.busy:
            self._saved = operations
            draft = self._path.with_name(self._path.name + ".new")
            draft.write_bytes(self._board.flash)
            draft.replace(self._path)


class Server:
    """A board, its port, its control and its pace."""

    def __init__(
        self, board: VirtualBoard, port: Port, control: ControlSocket | ControlStdin | None, *, paced: bool
    ) -> None:
        self._board, self._port, self._control, self._paced = board, port, control, paced
        self._stopping = False
        self.after_quantum: Callable[[], None] = lambda: None
        self._pacer = Pacer(time.monotonic, lambda text: print(f"virtual board: {text}", file=sys.stderr, flush=True))
        self._commands = Commands(board, port, self.stop)
        self._commands.extra_status = lambda: {"dropped_time_s": round(self._pacer.dropped_s, 6)}

    def stop(self) -> None:
        """End after the quantum in progress."""
        self._stopping = True

    def run(self, duration_s: float | None) -> None:
        """Run until stopped or until the virtual time is over."""
        while not self._stopping and (duration_s is None or self._board.now_us < duration_s * 1e6):
            self._board.run(QUANTUM_S)
            self._exchange()
            self.after_quantum()
            if self._paced:
                self._wait()

    def _exchange(self) -> None:
        self._board.uart.host_baud = self._port.baud
        data = self._board.uart.take()
        if data:
            self._port.write(data)
        incoming = self._port.read()
        if incoming:
            self._board.uart.send(incoming)
        if self._control is not None:
            self._control.serve(self._commands.run)

    def _wait(self) -> None:
        left = self._pacer.wait_s(self._board.now_us / 1e6)
        if left > 0:
            files = self._port.files() + (self._control.files() if self._control is not None else [])
            if select.select(files, [], [], left)[0]:
                self._exchange()
                left = self._pacer.wait_s(self._board.now_us / 1e6)
                if left > 0:
                    time.sleep(left)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = build_parser()
    options = parser.parse_args(arguments)
    if options.link is not None and options.tcp is not None:
        parser.error("--link goes with --pty")
    seed = options.seed if options.seed is not None else int.from_bytes(os.urandom(4), "little")
    try:
        board = VirtualBoard(
            options.elf,
            board=options.board,
            motion=by_name(options.motion, seed),
            parts=options.i2c,
            seed=seed,
            unit=options.unit,
            odr_error_ppm=options.odr_error,
            spi=options.spi,
            flash=options.flash.read_bytes() if options.flash is not None and options.flash.exists() else None,
        )
        port: Port = TcpPort(*options.tcp) if options.tcp is not None else PtyPort(options.link)
    except (ImageError, OSError, ValueError) as error:
        print(f"virtual board: {error}", file=sys.stderr)
        return 1
    control: ControlSocket | ControlStdin | None = None
    try:
        if options.control == "stdin":
            control = ControlStdin()
        elif options.control is not None:
            control = ControlSocket(Path(options.control))
        server = Server(board, port, control, paced=not options.free_running)
        if options.flash is not None:
            server.after_quantum = FlashFile(board, options.flash).save
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: server.stop())
        print(f"ready {port.name}", flush=True)
        server.run(options.duration)
    except OSError as error:
        print(f"virtual board: {error}", file=sys.stderr)
        return 1
    finally:
        port.unplug()
        if control is not None:
            control.close()
    return 0
