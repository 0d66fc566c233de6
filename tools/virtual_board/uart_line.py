"""The serial line as its far end sees it: a perfect USB-to-serial adapter with a place to do damage."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from .peripherals.usart import Usart
from .timebase import PS_PER_S, Timebase


@dataclass(slots=True)
class _Run:
    """Bytes on the wire back to back."""

    start_ps: int
    frame_ps: int
    data: bytearray
    bits: int


class Bootloader(Protocol):
    """What the line needs of `rom_bootloader.RomBootloader`."""

    frame_bits: int
    """Of a character, start, parity and stop included."""

    @property
    def frame_ps(self) -> int:
        """Length of a character."""

    def receive(self, byte: int) -> None:
        """A byte from the host."""


class UartLine:
    """Both directions of one UART.

    The host's bytes are paced at the rate the firmware set, or at `host_baud`; a host rate more than 3 % off the
    board's turns every byte of both directions into garbage, here with a framing error.
    """

    def __init__(self, time: Timebase, usart: Usart, *, seed: int = 0) -> None:
        self._time, self._usart = time, usart
        self._random = random.Random(f"line/{seed}")
        self._runs: deque[_Run] = deque()
        self._incoming: deque[int] = deque()
        self._receiving = False
        self._host_free_ps = 0
        self._idle_order = 0
        self._damage = 0
        self._gap = 0
        self._damage_to_board = 0
        self.tx_connected: Callable[[], bool] = lambda: True
        self.rx_connected: Callable[[], bool] = lambda: True
        self.host_baud: int | None = None
        """Rate of the host's port; None follows the board."""
        self.bootloader: Bootloader | None = None
        """Has the pins instead of the USART while the core is in ROM."""
        self.sent = 0
        """Bytes that the board has put on the wire."""
        self.damaged = 0
        """Bytes damaged on the way, both directions."""
        usart.wire = self

    # ------------------------------------------------------------- board to host

    def transmit(self, start_ps: int, frame_ps: int, data: bytes) -> None:
        """The board's transmitter: see `usart.Wire`."""
        if self.bootloader is None and not self.tx_connected():
            return
        self.sent += len(data)
        runs = self._runs
        if runs and runs[-1].frame_ps == frame_ps and runs[-1].start_ps + frame_ps * len(runs[-1].data) == start_ps:
            runs[-1].data += data
        else:
            runs.append(
                _Run(start_ps, frame_ps, bytearray(data), 10 if self.bootloader is None else self.bootloader.frame_bits)
            )

    def replace_last(self, byte: int) -> None:
        """See `usart.Wire`."""
        if self._runs:
            self._runs[-1].data[-1] = byte

    def cut(self, now_ps: int) -> None:
        """See `usart.Wire`."""
        while self._runs:
            run = self._runs[-1]
            done = max(0, min(len(run.data), (now_ps - run.start_ps) // run.frame_ps)) if run.frame_ps else 0
            self.sent -= len(run.data) - done
            del run.data[done:]
            if run.data:
                return
            self._runs.pop()

    def take(self) -> bytes:
        """Bytes whose stop bit has passed by now and that were not taken before."""
        return b"".join(data for _, data in self.take_timed())

    def take_timed(self) -> list[tuple[int, bytes]]:
        """Like `take`, in runs, each with the time in ps at which its last byte was complete."""
        self._usart.tx_dma.catch_up()
        now = self._time.now_ps
        taken = []
        while self._runs:
            run = self._runs[0]
            done = min(len(run.data), (now - run.start_ps) // run.frame_ps)
            if done <= 0:
                break
            data = bytes(run.data[:done])
            end = run.start_ps + done * run.frame_ps
            if self._mismatched(run.frame_ps, run.bits):
                data = bytes(self._garble(byte) for byte in data)
            elif self._damage:
                data = self._damaged(data)
            taken.append((end, data))
            if done == len(run.data):
                self._runs.popleft()
            else:
                del run.data[:done]
                run.start_ps = end
                break
        return taken

    # ------------------------------------------------------------- host to board

    def send(self, data: bytes) -> None:
        """Put bytes on the line to the board; they follow what is still under way."""
        self._incoming.extend(data)
        if not self._receiving and self._incoming:
            self._receiving = True
            self._host_free_ps = max(self._host_free_ps, self._time.now_ps)
            self._next_byte()

    @property
    def pending(self) -> int:
        """Bytes to the board that have not arrived."""
        return len(self._incoming)

    def _frame_ps(self) -> int:
        if self.bootloader is not None:
            return self.bootloader.frame_ps
        if self.host_baud is not None:
            return 10 * PS_PER_S // self.host_baud
        return self._usart.frame_ps or 10 * PS_PER_S // 921_600

    def _next_byte(self) -> None:
        self._host_free_ps += self._frame_ps()
        self._time.at(self._host_free_ps, self._arrive)

    def _arrive(self) -> None:
        byte = self._incoming.popleft()
        errors = 0
        rom = self.bootloader
        if (
            self._mismatched(rom.frame_ps, rom.frame_bits)
            if rom is not None
            else self._mismatched(self._usart.frame_ps)
        ):
            byte, errors = self._garble(byte), 2
        elif self._damage_to_board:
            self._damage_to_board -= 1
            byte ^= 1 << self._random.randrange(8)
            self.damaged += 1
            errors = 4
        if rom is not None:
            rom.receive(byte)
        elif self.rx_connected():
            self._usart.receive(byte, errors)
        self._idle_order += 1
        if self._incoming:
            self._next_byte()
        else:
            self._receiving = False
            order = self._idle_order
            self._time.after(self._frame_ps(), lambda: self._idle(order))

    def _idle(self, order: int) -> None:
        if order == self._idle_order and self.rx_connected():
            self._usart.line_idle()

    # -------------------------------------------------------------------- damage

    def noise(self, to_host: int = 0, *, to_board: int = 0) -> None:
        """Flip a bit in that many bytes: towards the host with undamaged stretches between them, towards the board in
        the next ones, which also carry the receiver's noise flag."""
        self._damage += to_host
        self._damage_to_board += to_board

    def _damaged(self, data: bytes) -> bytes:
        result = bytearray(data)
        position = self._gap
        while position < len(result) and self._damage:
            result[position] ^= 1 << self._random.randrange(8)
            self._damage -= 1
            self.damaged += 1
            position += self._random.randrange(1, 400)
        self._gap = max(0, position - len(result))
        return bytes(result)

    def _mismatched(self, board_frame_ps: int, bits: int = 10) -> bool:
        """Whether characters of that length on the board's side are garbage at the other."""
        if self.host_baud is None or board_frame_ps == 0:
            return False
        return abs(bits * PS_PER_S / board_frame_ps / self.host_baud - 1) > 0.03

    def _garble(self, byte: int) -> int:
        self.damaged += 1
        return byte ^ self._random.randrange(1, 256)
