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


def loaded(board: str, seconds: float = SECONDS) -> Load:
    """Stream at the default rate while a command comes every 4 ms and a damaged frame now and then.

    Raises:
        RuntimeError: the sensor did not stream.
    """
    elf = firmware_run.elf(board)
    machine = VirtualBoard(elf, board=board, motion=Hand(seed=1), seed=1)
    machine.run(seconds=firmware_run.WARM_UP_S)
    measurement = Measurement(machine, elf)
    for step in range(round(seconds / STEP_S)):
        spec = messages.COMMANDS[COMMANDS[step % len(COMMANDS)]]
        args = spec.pack_args(stream=0) if spec.name == "get_rate" else spec.pack_args()
        payload = messages.Command(request=step % 256, command=spec.id, args=args).pack()
        frame = encode_frame(messages.Command.TYPE, step % 256, payload)
        machine.uart.send(b"\x00" + (frame if step % 7 else frame[::-1]))
        machine.run(STEP_S)
    latencies = measurement.stamp_latencies
    if len(latencies) < 0.9 * 1000 * seconds:
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
    about = (
        f"{SECONDS:.0f} virtual seconds of streaming at 1 kHz while a command (describe, get_health, get_rate) comes "
        "every 4 ms, one in seven damaged. Cycles of the virtual board are retired instructions: on silicon 12 cycles "
        "of exception entry and the flash's wait states come on top. No erase of the flash is in it. The computed "
        "stack (tools/check_stack.py) has every interrupt level nested at its deepest on the deepest of the main loop."
    )
    return "Interrupts and stack", about, rows
