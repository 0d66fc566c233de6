"""How late an edge is stamped, how long interrupts are masked, how deep the stack goes: the firmware under load."""

from __future__ import annotations

from dataclasses import dataclass

import check_stack
from bench import firmware_run
from bench.report import Row
from telemetry_protocol import encode_frame, messages
from virtual_board import VirtualBoard
from virtual_board.measure import Measurement
from virtual_board.motion import Hand

BOARDS = ("nucleo_f411re", "blackpill_f411ce", "netduinoplus2")
SECONDS = 5.0
STEP_S = 0.004
EDGES_PER_S = 90  # at the least: each tenth edge of the MPU-6050, each watermark of the LSM6DSO
COMMANDS = ("describe", "get_health", "get_rate")


@dataclass(frozen=True)
class Load:
    """What a loaded run showed.

    Attributes:
        edges: data-ready edges that were stamped.
        stamp: worst latency of a stamp.
        measurement: the rest.
    """

    edges: int
    stamp: int
    measurement: Measurement


def _command(number: int, name: str, **values: int) -> bytes:
    spec = messages.COMMANDS[name]
    payload = messages.Command(request=number % 256, command=spec.id, args=spec.pack_args(**values)).pack()
    return encode_frame(messages.Command.TYPE, number % 256, payload)


def loaded(board: str, seconds: float = SECONDS, *, spi: bool = False) -> Load:
    """Stream while a command comes every 4 ms and a damaged frame now and then: the default rate over I2C, or 6.667 kHz
    over SPI.

    Raises:
        RuntimeError: the sensor did not stream.
    """
    elf = firmware_run.elf(board)
    sensors = {"parts": (), "spi": ("lsm6dso",)} if spi else {"parts": ("mpu6050",)}
    machine = VirtualBoard(elf, board=board, motion=Hand(seed=1), seed=1, **sensors)
    machine.run(seconds=firmware_run.WARM_UP_S)
    if spi:
        machine.uart.send(b"\x00" + _command(0, "set_rate", stream=firmware_run.IMU, rate_mhz=6_667_000))
        machine.run(seconds=firmware_run.WARM_UP_S)
    measurement = Measurement(machine, elf)
    for step in range(round(seconds / STEP_S)):
        name = COMMANDS[step % len(COMMANDS)]
        frame = _command(step, name, stream=0) if name == "get_rate" else _command(step, name)
        machine.uart.send(b"\x00" + (frame if step % 7 else frame[::-1]))
        machine.run(STEP_S)
    latencies = measurement.stamp_latencies
    if len(latencies) < EDGES_PER_S * seconds:
        raise RuntimeError(f"{board}: {len(latencies)} edges stamped in {seconds} virtual seconds")
    return Load(len(latencies), max(latencies), measurement)


def run() -> tuple[str, str, list[Row]]:
    """Load every board."""
    rows = []
    for board in BOARDS:
        load = loaded(board)
        worst = check_stack.measure(firmware_run.elf(board))
        primask, basepri = load.measurement.primask, load.measurement.basepri
        rows += [
            Row(f"{board}: data-ready edge to time stamp, worst of {load.edges}", load.stamp, "cycles", "<= 200"),
            Row(f"{board}: every interrupt masked, longest", primask.longest, "cycles", note=primask.function),
            Row(f"{board}: all but the stamps masked, longest", basepri.longest, "cycles", note=basepri.function),
            Row(f"{board}: stack used, deepest", load.measurement.stack_used(), "B"),
            Row(f"{board}: worst-case stack, computed", worst.total, "B", f"<= {worst.size}"),
        ]
    load = loaded(BOARDS[0], spi=True)
    rows += [
        Row(
            f"{BOARDS[0]}, LSM6DSO: data-ready edge to time stamp, worst of {load.edges}",
            load.stamp,
            "cycles",
            "<= 200",
        ),
        Row(f"{BOARDS[0]}, LSM6DSO: all but the stamps masked, longest", load.measurement.basepri.longest, "cycles"),
        Row(f"{BOARDS[0]}, LSM6DSO: stack used, deepest", load.measurement.stack_used(), "B"),
    ]
    about = (
        f"{SECONDS:.0f} virtual seconds of streaming at 1 kHz while a command (describe, get_health, get_rate) comes "
        "every 4 ms, one in seven damaged; and once with an LSM6DSO at 6.667 kHz over SPI. Cycles of the virtual board "
        "are retired instructions: on silicon 12 cycles "
        "of exception entry and the flash's wait states come on top. No erase of the flash is in it. The computed "
        "stack (tools/check_stack.py) has every interrupt level nested at its deepest on the deepest of the main loop."
    )
    return "Interrupts and stack", about, rows
