"""DMA controllers (RM0383 section 9, RM0090 section 10): eight streams each, direct mode.

A peripheral owns `DmaRequest` lines. While a stream listens to a line the peripheral pulls items from memory or pushes
items to it, several at once where nobody can see the difference; before a register is read the peripheral is asked to
catch up. Not modelled, and noted when asked for: FIFO mode, memory to memory, double buffer, bursts, peripheral flow
control.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from ..bus import Peripheral
from ..memory import BusError, Memory
from .services import Services

_EN, _TEIE, _HTIE, _TCIE, _CIRC, _PINC, _MINC = 1, 1 << 2, 1 << 3, 1 << 4, 1 << 8, 1 << 9, 1 << 10
_UNMODELLED_CR = 1 << 5 | 1 << 9 | 1 << 15 | 1 << 18 | 3 << 21 | 3 << 23
_TEIF, _HTIF, _TCIF = 1 << 3, 1 << 4, 1 << 5
_FIFO_EMPTY = 0x20
_FLAG_SHIFT = (0, 6, 16, 22)
_IRQS = {1: (11, 12, 13, 14, 15, 16, 17, 47), 2: (56, 57, 58, 59, 60, 68, 69, 70)}

# (controller, stream, channel) -> request: RM0383 tables 27 and 28, RM0090 tables 42 and 43
REQUESTS: Mapping[tuple[int, int, int], str] = {
    (1, 0, 1): "I2C1_RX",
    (1, 5, 1): "I2C1_RX",
    (1, 6, 1): "I2C1_TX",
    (1, 7, 1): "I2C1_TX",
    (1, 3, 0): "SPI2_RX",
    (1, 4, 0): "SPI2_TX",
    (1, 2, 7): "I2C2_RX",
    (1, 3, 7): "I2C2_RX",
    (1, 7, 7): "I2C2_TX",
    (1, 2, 3): "I2C3_RX",
    (1, 4, 3): "I2C3_TX",
    (1, 5, 4): "USART2_RX",
    (1, 6, 4): "USART2_TX",
    (1, 1, 4): "USART3_RX",
    (1, 3, 4): "USART3_TX",
    (1, 4, 7): "USART3_TX",
    (1, 2, 4): "UART4_RX",
    (1, 4, 4): "UART4_TX",
    (1, 0, 4): "UART5_RX",
    (1, 7, 4): "UART5_TX",
    (2, 2, 4): "USART1_RX",
    (2, 5, 4): "USART1_RX",
    (2, 7, 4): "USART1_TX",
    (2, 1, 5): "USART6_RX",
    (2, 2, 5): "USART6_RX",
    (2, 6, 5): "USART6_TX",
    (2, 7, 5): "USART6_TX",
    (2, 0, 3): "SPI1_RX",
    (2, 2, 3): "SPI1_RX",
    (2, 3, 3): "SPI1_TX",
    (2, 5, 3): "SPI1_TX",
    (2, 0, 0): "ADC1",
    (2, 4, 0): "ADC1",
}


class DmaRequest:
    """One request line of a peripheral, e.g. USART2_TX."""

    def __init__(self, name: str, data_register: int) -> None:
        self.name = name
        self.data_register = data_register
        self.stream: Stream | None = None
        """The enabled stream that listens."""
        self.error_after: int | None = None
        """Fault switch: the item behind so many ends in a bus error of the DMA controller, once."""
        self.on_enable: Callable[[], None] = lambda: None
        """Called when a stream begins to listen."""
        self.catch_up: Callable[[], None] = lambda: None
        """Called before the stream's state is looked at."""


class Stream:
    """One stream: a counter, two addresses, a configuration."""

    def __init__(self, controller: Dma, number: int) -> None:
        self._controller = controller
        self.number = number
        self.reset()

    def reset(self) -> None:
        """Disabled, everything zero."""
        self.cr = self.par = self.m0ar = self.m1ar = self.ndtr = 0
        self.fcr = 0x21
        self._reload = self._position = 0
        self._request: DmaRequest | None = None

    @property
    def remaining(self) -> int:
        """Items still to move, 0 when not enabled."""
        return self.ndtr if self.cr & _EN else 0

    @property
    def until_flag(self) -> int:
        """Items until the next flag that may interrupt (half or full transfer, or an error)."""
        half = self.ndtr - self._reload // 2
        items = half if half > 0 else self.ndtr
        error = self._items_to_error
        return items if error is None else min(items, error + 1)

    @property
    def _items_to_error(self) -> int | None:
        return None if self._request is None else self._request.error_after

    def pull(self, items: int) -> bytes:
        """Memory to peripheral: up to `items` bytes, fewer at the end of a normal transfer. Raises nothing: errors set
        TEIF."""
        return self._move(items, None)

    def push(self, data: bytes) -> None:
        """Peripheral to memory: whole items."""
        self._move(len(data) // self.item_size, data)

    @property
    def item_size(self) -> int:
        """Bytes an item: PSIZE, which direct mode uses on both sides (RM0383 9.3.10)."""
        return 1 << (self.cr >> 11 & 3)

    def _move(self, items: int, data: bytes | None) -> bytes:
        result = bytearray()
        size = self.item_size
        done = 0
        while items and self.cr & _EN:
            count = min(items, self.until_flag)
            error = self._items_to_error
            if error == 0:
                self._fail()
                break
            if error is not None and self._request is not None:
                count = min(count, error)
                self._request.error_after = error - count
            address = self.m0ar + (self._position * size if self.cr & _MINC else 0)
            try:
                memory = self._controller.memory
                if data is None and self.cr & _MINC:
                    result += memory.read(address, count * size, dma=True)
                elif data is None:
                    result += memory.read(address, size, dma=True) * count
                elif self.cr & _MINC:
                    memory.write(address, data[done : done + count * size], dma=True)
                else:
                    memory.write(address, data[done + (count - 1) * size : done + count * size], dma=True)
            except BusError:
                self._fail()
                break
            done += count * size
            items -= count
            self._advance(count)
        return bytes(result)

    def _fail(self) -> None:
        """Transfer error: the hardware disables the stream (RM0383 9.3.18, RM0090 10.3.18). A switch works once."""
        if self._request is not None:
            self._request.error_after = None
        self._stop()
        self._controller.flag(self.number, _TEIF)

    def _advance(self, count: int) -> None:
        before = self.ndtr
        self.ndtr -= count
        self._position += count
        half = self._reload - self._reload // 2
        if before > self._reload - half >= self.ndtr and self._reload > 1:
            self._controller.flag(self.number, _HTIF)
        if self.ndtr == 0:
            self._position = 0
            if self.cr & _CIRC:
                self.ndtr = self._reload
            else:
                self._stop()
            self._controller.flag(self.number, _TCIF)

    def _stop(self) -> None:
        self.cr &= ~_EN
        if self._request is not None:
            self._request.stream = None
            self._request = None

    # ------------------------------------------------------------------ registers

    def sync(self) -> None:
        """Let the peripheral catch up with the present."""
        if self._request is not None:
            self._request.catch_up()

    def write_cr(self, value: int) -> None:
        """Configuration; EN starts and stops."""
        self.sync()
        value &= 0x0FEF_FFFF
        if self.cr & _EN:
            self.cr = self.cr & ~0x1E | value & 0x1E
            if not value & _EN:
                self._stop()
                # the stream flushes and says so (RM0383 9.3.14)
                self._controller.flag(self.number, _TCIF)
            return
        self.cr = value
        if value & _EN:
            self._start()

    def _start(self) -> None:
        controller = self._controller
        if self.cr & _UNMODELLED_CR or self.fcr & 4:
            controller.bus.unmodelled[
                f"{controller.name} stream {self.number} mode CR=0x{self.cr:08X} FCR=0x{self.fcr:02X}"
            ] += 1
        if controller.flags_of(self.number):
            controller.bus.violations[f"{controller.name} stream {self.number} enabled with its flags still set"] += 1
        name = REQUESTS.get((controller.index, self.number, self.cr >> 25 & 7))
        request = controller.requests.get(name) if name is not None else None
        if self.ndtr == 0:
            self.cr &= ~_EN
            return
        self._reload, self._position = self.ndtr, 0
        if request is None:
            controller.bus.unmodelled[f"{controller.name} stream {self.number} channel {self.cr >> 25 & 7}"] += 1
            return
        if self.par != request.data_register:
            controller.bus.violations[
                f"{controller.name} stream {self.number}: PAR is not the data register of {name}"
            ] += 1
            return
        to_memory = self.cr >> 6 & 3 == 0
        if to_memory != (not request.name.endswith("_TX")):
            controller.bus.violations[f"{controller.name} stream {self.number}: wrong direction for {name}"] += 1
            return
        self._request = request
        request.stream = self
        request.on_enable()


class Dma(Peripheral):
    """One controller."""

    RESET: ClassVar = dict.fromkeys((0x00, 0x04, 0x08, 0x0C), 0)

    def __init__(self, index: int, services: Services, memory: Memory, requests: dict[str, DmaRequest]) -> None:
        super().__init__(f"DMA{index}", 0x4002_6000 + 0x400 * (index - 1))
        self.read_only = frozenset(
            (
                0x00,
                0x04,
            )
        )
        self.index, self.bus, self.memory, self.requests = index, services.bus, memory, requests
        self._nvic = services.nvic
        self._flags = [0] * 8
        self.streams = [Stream(self, number) for number in range(8)]
        self.readers = {0x00: lambda: self._read_flags(0), 0x04: lambda: self._read_flags(4)}
        self.writers = {
            0x08: lambda value: self._clear(0, value),
            0x0C: lambda value: self._clear(4, value),
        }
        self.write_only = frozenset((0x08, 0x0C))
        for stream in self.streams:
            self._add_registers(0x10 + 0x18 * stream.number, stream)

    def _add_registers(self, base: int, stream: Stream) -> None:
        def read_counted(attribute: str) -> Callable[[], int]:
            def read() -> int:
                stream.sync()
                return int(getattr(stream, attribute))

            return read

        def write_idle(attribute: str, mask: int) -> Callable[[int], None]:
            def write(value: int) -> None:
                if stream.cr & _EN:
                    self.bus.violations[f"{self.name} stream {stream.number}: {attribute} written while enabled"] += 1
                else:
                    setattr(stream, attribute, value & mask | (_FIFO_EMPTY if attribute == "fcr" else 0))

            return write

        def write_cr(value: int) -> None:
            stream.write_cr(value)
            self._drive(stream.number)

        self.readers[base] = read_counted("cr")
        self.writers[base] = write_cr
        fields = (("ndtr", 0xFFFF), ("par", 0xFFFF_FFFF), ("m0ar", 0xFFFF_FFFF), ("m1ar", 0xFFFF_FFFF), ("fcr", 0x87))
        for index, (attribute, mask) in enumerate(fields, start=1):
            self.readers[base + 4 * index] = read_counted(attribute)
            self.writers[base + 4 * index] = write_idle(attribute, mask)

    def reset(self) -> None:
        """All streams off."""
        super().reset()
        for stream in self.streams:
            if stream._request is not None:
                stream._request.stream = None
            stream.reset()
            self._flags[stream.number] = 0
            self._drive(stream.number)

    def flag(self, number: int, flag: int) -> None:
        """Raise a flag of a stream."""
        self._flags[number] |= flag
        self._drive(number)

    def flags_of(self, number: int) -> int:
        """The flags of a stream: bit 0 FEIF, 2 DMEIF, 3 TEIF, 4 HTIF, 5 TCIF."""
        return self._flags[number]

    def _drive(self, number: int) -> None:
        enabled = self.streams[number].cr & (_TEIE | _HTIE | _TCIE)
        self._nvic.set_line(_IRQS[self.index][number], bool(self._flags[number] & enabled << 1))

    def _read_flags(self, first: int) -> int:
        value = 0
        for index, shift in enumerate(_FLAG_SHIFT):
            self.streams[first + index].sync()
            value |= self._flags[first + index] << shift
        return value

    def _clear(self, first: int, value: int) -> None:
        for index, shift in enumerate(_FLAG_SHIFT):
            bits = value >> shift & 0x3D
            if bits:
                self.streams[first + index].sync()
                self._flags[first + index] &= ~bits
                self._drive(first + index)
