"""The bootloader in the ROM of an STM32F4, on its USART: AN3155 Rev 14 (the protocol) and AN2606 (what the chip's ROM
serves and how it leaves the chip).

A model of its behaviour at the pins, not of its code: system memory holds one breakpoint, and the core that reaches it
stands still while this runs. Erasing and programming go through the flash interface's registers, byte by byte as the
ROM does in the voltage range it starts with (AN2606), so they take their time and obey its rules. Assumed, because no
document says it: a byte that comes while the ROM works waits in the data register, further ones are lost.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Generator
from functools import reduce
from operator import xor

from .chip import FLASH_BASE, SRAM_BASE, SYSTEM_BASE
from .machine import Machine
from .memory import BusError
from .timebase import PS_PER_S, PS_PER_US, Event
from .uart_line import UartLine

ACK, NACK, SYNCHRONISE = 0x79, 0x1F, 0x7F
GET, GET_VERSION, GET_ID, READ_MEMORY, GO, WRITE_MEMORY = 0x00, 0x01, 0x02, 0x11, 0x21, 0x31
EXTENDED_ERASE, WRITE_PROTECT, WRITE_UNPROTECT = 0x44, 0x63, 0x73
READOUT_PROTECT, READOUT_UNPROTECT = 0x82, 0x92
VERSION = 0x31
"""Of the protocol: 3.1, the F4's (AN2606)."""
SLOWEST_BAUD, FASTEST_BAUD = 1200, 115_200
"""AN3155 2.1 and 2.2."""
RAM_USED = 12 << 10
"""The ROM's own, from the start of SRAM (AN2606, STM32F411xx)."""

_ALLOWED_WHEN_PROTECTED = frozenset((GET, GET_VERSION, GET_ID, READOUT_UNPROTECT))
_FLASH = 0x4002_3C00
_KEYR, _CR = _FLASH + 0x04, _FLASH + 0x10
_PG, _SER, _MER, _STRT, _LOCK = 1 << 0, 1 << 1, 1 << 2, 1 << 16, 1 << 31
_RCC = 0x4002_3800
_POLL_PS = 20 * PS_PER_US

Step = Generator[int | None, int, None]
"""Runs until it wants a byte (yields None) or time to pass (yields the ps)."""


class RomBootloader:
    """The ROM, listening on the line's UART if the chip's does so on the board's pins."""

    frame_bits = 11
    """Start, 8 data, even parity, stop (AN3155 1)."""

    def __init__(self, machine: Machine, line: UartLine, *, listens: bool) -> None:
        self._machine, self._line, self._listens = machine, line, listens
        self.baud: int | None = None
        """As measured on the first byte."""
        self.protected = False
        """Readout protection; kept like an option byte."""
        self.lost = 0
        """Bytes that came while the ROM could take none."""
        self._script: Step | None = None
        self._waiting: deque[int] = deque()
        self._event: Event | None = None
        self._free_ps = 0
        machine.on_rom = self.enter
        machine.on_reset = self.leave

    # -------------------------------------------------------------------- life

    @property
    def active(self) -> bool:
        """The core is in the ROM."""
        return self._script is not None

    def enter(self) -> None:
        """The core executes system memory."""
        machine = self._machine
        self._complain()
        noise = random.Random(f"rom/{machine.seed}")
        machine.sram[:RAM_USED] = noise.randbytes(RAM_USED)
        self.baud = None
        self._waiting.clear()
        self._script = self._main()
        self._line.bootloader = self if self._listens else None
        self._advance(next(self._script))

    def leave(self) -> None:
        """A reset, or the application starts."""
        self._script = None
        self._line.bootloader = None
        if self._event is not None:
            self._event.cancel()
            self._event = None

    def _complain(self) -> None:
        """The ROM takes the chip to be as a reset leaves it (AN2606 4.1, jump from the application)."""
        machine = self._machine
        found = {
            "a clock other than HSI": machine.rcc.hclk_hz != 16_000_000,
            "interrupts enabled": bool(machine.nvic.enabled >> 16),
            "SysTick running": bool(machine.bus.read(0xE000_E010, 4) & 1),
            "interrupts masked": bool(machine.cpu.primask),
            "address 0 still flash": machine.syscfg.registers[0] & 3 != 1,
        }
        for what in (what for what, wrong in found.items() if wrong):
            machine.bus.violations[f"system memory entered with {what}"] += 1

    def receive(self, byte: int) -> None:
        """A byte from the host, at the rate of the host's port."""
        if self._script is None:
            return
        if self._event is not None:
            if self._waiting:
                self.lost += 1
            else:
                self._waiting.append(byte)
            return
        if self.baud is None and not SLOWEST_BAUD <= (self._line.host_baud or FASTEST_BAUD) <= FASTEST_BAUD:
            return
        self._advance(self._script.send(byte))

    def _advance(self, wanted: int | None) -> None:
        """Go on until the script needs a byte that has not come, or time."""
        while self._script is not None:
            if wanted is not None:
                self._event = self._machine.time.after(wanted, self._resume)
                return
            if not self._waiting:
                return
            wanted = self._script.send(self._waiting.popleft())

    def _resume(self) -> None:
        self._event = None
        if self._script is not None:
            self._advance(self._script.send(0))

    @property
    def frame_ps(self) -> int:
        """Length of a character."""
        return self.frame_bits * PS_PER_S // (self.baud or self._line.host_baud or FASTEST_BAUD)

    def _send(self, *data: int) -> None:
        start = max(self._machine.time.now_ps, self._free_ps)
        self._line.transmit(start, self.frame_ps, bytes(data))
        self._free_ps = start + self.frame_ps * len(data)

    # ------------------------------------------------------------------ protocol

    def _main(self) -> Step:
        """AN3155 1: wait for 0x7F, measure the rate on it, then command after command."""
        yield from self._raise_clock()
        while (yield None) != SYNCHRONISE:
            pass
        self.baud = self._line.host_baud or FASTEST_BAUD
        self._send(ACK)
        commands: dict[int, Callable[[], Step]] = {
            GET: self._get,
            GET_VERSION: self._get_version,
            GET_ID: self._get_id,
            READ_MEMORY: self._read_memory,
            GO: self._go,
            WRITE_MEMORY: self._write_memory,
            EXTENDED_ERASE: self._extended_erase,
            WRITE_PROTECT: self._write_protect,
            WRITE_UNPROTECT: self._write_unprotect,
            READOUT_PROTECT: self._readout_protect,
            READOUT_UNPROTECT: self._readout_unprotect,
        }
        self._commands = tuple(commands)
        while True:
            code = yield None
            allowed = _ALLOWED_WHEN_PROTECTED if self.protected else commands
            if (yield None) != code ^ 0xFF or code not in allowed:
                self._send(NACK)
            else:
                yield from commands[code]()

    def _raise_clock(self) -> Step:
        """60 MHz from HSI by the PLL, and the port set up, as the application finds them after Go (AN2606: STM32F411xx;
        AN3155 3.5: nothing is put back)."""
        write = self._machine.bus.write
        write(_FLASH, 4, 1)  # one wait state
        write(_RCC + 0x04, 4, 16 | 240 << 6 | 1 << 16 | 5 << 24)
        write(_RCC, 4, 1 << 24 | 1)
        yield 500 * PS_PER_US
        write(_RCC + 0x08, 4, 4 << 10 | 2)
        write(_RCC + 0x30, 4, 1)
        write(_RCC + 0x44, 4, 1 << 4 | 1 << 14)
        usart = 0x4001_1000
        write(usart + 0x08, 4, 521)
        write(usart + 0x0C, 4, 1 << 13 | 1 << 12 | 3 << 2)  # nine bits: eight and the parity

    def _bytes(self, count: int) -> Generator[int | None, int, bytes]:
        data = bytearray()
        while len(data) < count:
            data.append((yield None))
        return bytes(data)

    def _address(self) -> Generator[int | None, int, int | None]:
        """Four bytes, the highest first, and their XOR; None: wrong."""
        data = yield from self._bytes(5)
        return None if reduce(xor, data) else int.from_bytes(data[:4], "big")

    def _get(self) -> Step:
        """AN3155 3.1."""
        self._send(ACK, len(self._commands), VERSION, *self._commands, ACK)
        yield from ()

    def _get_version(self) -> Step:
        """AN3155 3.2: version and two option bytes, kept for compatibility."""
        self._send(ACK, VERSION, 0, 0, ACK)
        yield from ()

    def _get_id(self) -> Step:
        """AN3155 3.3."""
        self._send(ACK, 1, *(self._machine.part.idcode & 0xFFF).to_bytes(2, "big"), ACK)
        yield from ()

    def _read_memory(self) -> Step:
        """AN3155 3.4."""
        self._send(ACK)
        address = yield from self._address()
        if address is None or not self._is_memory(address, 1, SYSTEM_BASE):
            self._send(NACK)
            return
        self._send(ACK)
        count = yield None
        if (yield None) != count ^ 0xFF or not self._is_memory(address, count + 1, SYSTEM_BASE):
            self._send(NACK)
            return
        self._send(ACK, *self._machine.memory.read(address, count + 1))

    def _go(self) -> Step:
        """AN3155 3.5: the word at the address is the stack pointer, the next one the entry."""
        self._send(ACK)
        address = yield from self._address()
        if address is None or not self._is_memory(address, 8):
            self._send(NACK)
            return
        self._send(ACK)
        yield self._free_ps - self._machine.time.now_ps
        memory = self._machine.memory
        stack, entry = memory.word(address), memory.word(address + 4)
        self.leave()
        self._machine.start_at(stack, entry)

    def _write_memory(self) -> Step:
        """AN3155 3.6."""
        self._send(ACK)
        address = yield from self._address()
        if address is None or address % 4 or not self._is_memory(address, 4):
            self._send(NACK)
            return
        self._send(ACK)
        count = yield None
        data = yield from self._bytes(count + 1)
        if (yield None) != reduce(xor, data, count) or not self._is_memory(address, len(data)) or len(data) % 4:
            self._send(NACK)
            return
        if address < SRAM_BASE:
            yield from self._program(address, data)
        elif address < SRAM_BASE + RAM_USED:
            self._send(NACK)
            return
        else:
            self._machine.memory.write(address, data)
        self._send(ACK)

    def _is_memory(self, address: int, size: int, *bases: int) -> bool:
        """Flash, SRAM and where it is said system memory (AN2606, valid addresses)."""
        try:
            region = self._machine.memory.find(address, size)
        except BusError:
            return False
        return region.start in (FLASH_BASE, SRAM_BASE, *bases)

    # --------------------------------------------------------------------- flash

    def _flash_operation(self, control: int, begin: Callable[[], None]) -> Step:
        bus, controller = self._machine.bus, self._machine.flash_controller
        if bus.read(_CR, 4) & _LOCK:
            for key in (0x4567_0123, 0xCDEF_89AB):  # RM0383 3.5.1
                bus.write(_KEYR, 4, key)
        bus.write(_CR, 4, control)
        begin()
        while controller.busy:
            yield _POLL_PS
        bus.write(_CR, 4, 0)

    def _program(self, address: int, data: bytes) -> Step:
        """Byte by byte: the voltage range is that of 1.8 V (AN2606)."""
        store = self._machine.flash_controller.store
        for offset, value in enumerate(data, address - FLASH_BASE):
            yield from self._flash_operation(_PG, lambda offset=offset, value=value: store(offset, 1, value))  # type: ignore[misc]

    def _erase(self, control: int) -> Step:
        bus = self._machine.bus
        yield from self._flash_operation(control, lambda: bus.write(_CR, 4, control | _STRT))

    def _extended_erase(self) -> Step:
        """AN3155 3.8: 0xFFF0 and above are special; banks are NACKed by a chip that has one."""
        self._send(ACK)
        head = yield from self._bytes(2)
        count = int.from_bytes(head, "big")
        if count >= 0xFFF0:
            checksum = yield None
            if checksum != head[0] ^ head[1] or count != 0xFFFF:
                self._send(NACK)
                return
            yield from self._erase(_MER)
            self._send(ACK)
            return
        data = yield from self._bytes(2 * (count + 1))
        numbers = [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]
        there_are = len(self._machine.flash_controller.erases)
        if (yield None) != reduce(xor, data, head[0] ^ head[1]) or any(number >= there_are for number in numbers):
            self._send(NACK)
            return
        for number in numbers:
            yield from self._erase(_SER | number << 3)
        self._send(ACK)

    # ------------------------------------------------------------------ protection

    def _write_protect(self) -> Step:
        """AN3155 3.9. Ends in a reset; the option bytes themselves are not modelled."""
        self._send(ACK)
        count = yield None
        sectors = yield from self._bytes(count + 1)
        if (yield None) != reduce(xor, sectors, count):
            self._send(NACK)
            return
        self._machine.bus.unmodelled["ROM bootloader: write protection"] += 1
        yield from self._acknowledge_and_reset()

    def _write_unprotect(self) -> Step:
        """AN3155 3.10."""
        self._send(ACK)
        yield from self._acknowledge_and_reset()

    def _readout_protect(self) -> Step:
        """AN3155 3.11."""
        self._send(ACK)
        self.protected = True
        yield from self._acknowledge_and_reset()

    def _readout_unprotect(self) -> Step:
        """AN3155 3.12: the price is all of the flash."""
        self._send(ACK)
        yield from self._erase(_MER)
        self.protected = False
        yield from self._acknowledge_and_reset()

    def _acknowledge_and_reset(self) -> Step:
        self._send(ACK)
        yield self._free_ps - self._machine.time.now_ps
        self._machine.request_reset("software")
        while True:
            yield PS_PER_S
