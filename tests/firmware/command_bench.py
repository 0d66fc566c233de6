"""The command handler of the firmware with sensors that do as they are told (harness/play_commands.c)."""

from __future__ import annotations

from typing import NamedTuple

from firmware.host_build import Harness
from telemetry_protocol import Decoder, Frame, Message, messages

DONE, PENDING, BUSY, FAILED = range(4)  # enum sensor_change
LIMIT_US = 1_500_000  # COMMAND_LIMIT_US
STREAMS = 4


class Shown(NamedTuple):
    """What is in force for a stream."""

    rate_mhz: int
    full_scale: float
    enabled: int
    latency_us: int
    generation: int
    next_index: int
    lost: int


class CommandBench:
    """One boot. Everything happens when it is asked for; the line takes what there is at once."""

    def __init__(self, line_bits: int = 921_600) -> None:
        self.harness = Harness("commands")
        self.received: list[Message] = []
        self.now_us = 0
        self._decoder = Decoder()
        self.ask(f"init {line_bits}")
        self.poll()

    def ask(self, line: str) -> str:
        """One command of the harness."""
        return self.harness.ask(line)

    def advance(self, us: int) -> None:
        """Let time pass."""
        self.now_us += us
        self.ask(f"time {self.now_us}")

    def poll(self) -> list[Message]:
        """One turn of the main loop; what came over the line in it."""
        answer = self.ask("poll")
        new: list[Message] = []
        for item in self._decoder.feed(bytes.fromhex(answer) if answer != "-" else b""):
            assert isinstance(item, Frame), item
            message = messages.unpack(item.type, item.payload)
            assert isinstance(message, Message), message
            new.append(message)
        self.received += new
        return new

    def raw(self, request: int, command: int, args: bytes) -> bool:
        """Hand over a command; False: no room for its answer, try again later."""
        payload = messages.Command(request, command, args).pack()
        return self.ask(f"frame {messages.Command.TYPE} {payload.hex()}") == "1"

    def send(self, name: str, request: int = 1, /, **args: float) -> None:
        """Hand over a command of the table."""
        spec = messages.COMMANDS[name]
        assert self.raw(request, spec.id, spec.pack_args(**args))

    def call(self, name: str, **args: float) -> messages.Response:
        """A command that is answered at once."""
        self.send(name, **args)
        (answer,) = [message for message in self.poll() if isinstance(message, messages.Response)]
        return answer

    def responses(self) -> list[messages.Response]:
        """Every answer so far."""
        return [message for message in self.received if isinstance(message, messages.Response)]

    def show(self, stream: int) -> Shown:
        """What is in force for a stream."""
        values = self.ask(f"show {stream}").split()
        rate, full_scale, *rest = values
        return Shown(int(rate), float(full_scale), *map(int, rest))

    def samples(self, stream: int) -> list[messages.Samples]:
        """SAMPLES of a stream so far."""
        return [m for m in self.received if isinstance(m, messages.Samples) and m.stream_gen & 31 == stream]

    def close(self) -> None:
        """End the program."""
        self.harness.close()
