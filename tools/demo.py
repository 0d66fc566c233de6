"""Run the real firmware on the virtual board and bridge it: what `make demo` does.

Builds the firmware, starts the virtual board on a pseudo-terminal, runs `telemetry-bridge run` on it and ends both
together. Without a cross compiler it says so and runs the bridge on its built-in simulated device.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FIRMWARE = ROOT / "firmware"
BRIDGE = Path(sys.executable).with_name("telemetry-bridge")


def say(text: str) -> None:
    """One line of progress."""
    print(f"[demo] {text}", file=sys.stderr, flush=True)


def build(board: str) -> Path:
    """Build the firmware for one board. Several processes may ask at the same time; one builds, the others wait.

    Returns:
        the ELF.

    Raises:
        SystemExit: the build failed; what the compiler said has been printed.
    """
    (FIRMWARE / "build").mkdir(exist_ok=True)
    with (FIRMWARE / "build" / f".{board}.lock").open("w") as lock:  # that of tests/elves.py
        fcntl.flock(lock, fcntl.LOCK_EX)
        _build(board)
    return FIRMWARE / "build" / board / "firmware.elf"


def _build(board: str) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for command in (["cmake", "--preset", board], ["cmake", "--build", "--preset", board]):
        result = subprocess.run(
            command,
            cwd=FIRMWARE,
            env=environment,
            text=True,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        if result.returncode:
            sys.exit(f"{result.stdout}\n[demo] error: building the firmware for {board} failed: see above")


@contextlib.contextmanager
def virtual_board(elf: Path, board: str, motion: str) -> Iterator[str]:
    """The firmware running on the virtual board.

    Yields:
        the pseudo-terminal that is its UART.
    """
    # --control stdin: the board ends when its standard input does, so it cannot outlive this process however that ends
    arguments = ["--board", board, "--pty", "--motion", motion, "--control", "stdin"]
    flash = ROOT / "build" / "demo" / f"{board}.flash"  # what the board stores is there in the next demo
    flash.parent.mkdir(parents=True, exist_ok=True)
    arguments += ["--flash", str(flash)]
    process = subprocess.Popen(
        [sys.executable, "-m", "virtual_board", str(elf), *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT / "tools")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for the bridge; the board goes after it
    )
    assert process.stdout is not None
    try:
        words = process.stdout.readline().split()
        if words[:2] != ["ready", "pty"]:
            sys.exit("[demo] error: the virtual board did not start: see above")
        yield words[2]
    finally:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def bridge(*arguments: str) -> int:
    """Run the bridge in the foreground until it ends; Ctrl-C reaches it from the terminal, or is passed on."""
    process: subprocess.Popen[bytes] | None = None

    def pass_on(number: int, _frame: object) -> None:
        if process is None:
            raise KeyboardInterrupt
        process.send_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, pass_on)
    process = subprocess.Popen([str(BRIDGE), *arguments])
    code = process.wait()
    return 0 if code in {-signal.SIGINT, -signal.SIGTERM} else code  # before it had handlers of its own


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--board", default="nucleo_f411re", help="which board's firmware (default: %(default)s)")
    parser.add_argument("--motion", default="hand", help="what the board is put through: hand, still, rotate")
    parser.add_argument("--duration", metavar="SECONDS", help="end by itself")
    parser.add_argument("--http-port", metavar="PORT", default="8765", help="of the page (default: %(default)s)")
    args = parser.parse_args()

    common = ["--http-port", args.http_port, *(["--duration", args.duration] if args.duration else [])]
    if shutil.which("arm-none-eabi-gcc") is None:
        say("no arm-none-eabi-gcc (Debian: apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi):")
        say("no firmware to run, showing the simulated device that is built into the bridge instead")
        return bridge("demo", *common)
    say(f"building the firmware for {args.board}")
    elf = build(args.board)
    say(f"starting {elf.relative_to(ROOT)} on the virtual board")
    with virtual_board(elf, args.board, args.motion) as port:
        return bridge("run", "--port", port, *common)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        say("ended")
