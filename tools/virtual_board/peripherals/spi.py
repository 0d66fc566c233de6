"""SPI controller, master (RM0383 section 20, RM0090 section 28).

Full duplex, eight bits, most significant first, software slave management. Time passes in whole bytes of eight SCK
periods. A run of bytes that DMA moves both ways and nobody watches is delivered at once. Slave mode, hardware NSS, CRC,
16-bit frames, one-wire and receive-only modes, TI frames and I2S are not modelled and noted when asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from ..bus import Peripheral
from ..sensors.spi_bus import SpiBus
from ..timebase import PS_PER_S, Event
from .dma import DmaRequest
from .services import Services

_CR1, _CR2, _SR, _DR, _CRCPR, _RXCRCR, _TXCRCR, _I2SCFGR, _I2SPR = range(0x00, 0x24, 4)
_CPHA, _CPOL, _MSTR, _BR, _SPE, _SSI, _SSM = 1, 1 << 1, 1 << 2, 7 << 3, 1 << 6, 1 << 8, 1 << 9
_CR1_MODELLED = _CPHA | _CPOL | _MSTR | _BR | _SPE | _SSI | _SSM
_RXDMAEN, _TXDMAEN, _ERRIE, _RXNEIE, _TXEIE = 1, 1 << 1, 1 << 5, 1 << 6, 1 << 7
_CR2_MODELLED = _RXDMAEN | _TXDMAEN | _ERRIE | _RXNEIE | _TXEIE
_RXNE, _TXE, _MODF, _OVR, _BSY = 1, 1 << 1, 1 << 5, 1 << 6, 1 << 7


class Spi(Peripheral):
    """One controller on one bus."""

    RESET: ClassVar = {
        **dict.fromkeys((_CR1, _CR2, _DR, _RXCRCR, _TXCRCR, _I2SCFGR), 0),
        **{_SR: 0x0002, _CRCPR: 0x0007, _I2SPR: 0x0002},
    }

    def __init__(self, name: str, base: int, irq: int, services: Services, *, clock_hz: Callable[[], int]) -> None:
        super().__init__(name, base)
        self.read_only = frozenset((_SR, _RXCRCR, _TXCRCR))
        self._irq, self._time, self._bus, self._nvic = irq, services.time, services.bus, services.nvic
        self._clock_hz = clock_hz
        self.wires: SpiBus | None = None
        """The bus behind the pins; None: nothing is connected."""
        self.connected: Callable[[], bool] = lambda: True
        """Whether the pins are given to this peripheral."""
        self.rx_dma = DmaRequest(f"{name}_RX", base + _DR)
        self.tx_dma = DmaRequest(f"{name}_TX", base + _DR)
        for request in (self.rx_dma, self.tx_dma):
            request.on_enable = self._service
            request.catch_up = self.catch_up
        self._event: Event | None = None
        self._clear()
        self.readers = {_DR: self._read_dr, _SR: self._read_sr}
        self.writers = {_CR1: self._write_cr1, _CR2: self._write_cr2, _DR: self._write_dr}

    def _clear(self) -> None:
        self._shift: int | None = None
        """The byte on the wire."""
        self._buffer: int | None = None
        """The byte that waits behind it."""
        self._received: int | None = None
        self._errors = 0
        self._overrun_read = False
        """DR was read since the overrun: reading SR now clears it (RM0383 20.3.10)."""
        self._modf_read = False
        """SR was read since the mode fault: writing CR1 now clears it."""
        self._burst: tuple[int, int] | None = None
        """A run of bytes that DMA moves: when it began, and the length of a byte."""

    def reset(self) -> None:
        """Reset by the system or RCC."""
        super().reset()
        if self._event is not None:
            self._event.cancel()
            self._event = None
        self._clear()
        self._drive()

    # ------------------------------------------------------------------------ timing

    @property
    def sck_hz(self) -> int:
        """fPCLK / 2^(BR + 1) (RM0383 20.5.1)."""
        return self._clock_hz() >> (self.registers[_CR1] >> 3 & 7) + 1

    @property
    def byte_ps(self) -> int:
        """Eight periods of SCK."""
        return 8 * PS_PER_S * (2 << (self.registers[_CR1] >> 3 & 7)) // self._clock_hz()

    def _at(self, ps: int, action: Callable[[], None]) -> None:
        def run() -> None:
            self._event = None
            action()
            self._service()

        self._event = self._time.at(ps, run)

    # ------------------------------------------------------------------ byte machine

    def _service(self) -> None:
        """Begin whatever can begin now."""
        if self.registers[_CR1] & (_SPE | _MSTR) == _SPE | _MSTR and self._event is None:
            self._refill()
            if self._shift is not None:
                count = self._burst_length()
                if count > 1:
                    self._burst = self._time.now_ps, self.byte_ps
                    self._at(self._time.now_ps + count * self.byte_ps, self.catch_up)
                else:
                    self._at(self._time.now_ps + self.byte_ps, self._byte_done)
        self._drive()

    def _refill(self) -> None:
        """Shift register and buffer take what there is: TXE asks DMA for more."""
        for _ in range(2):
            if self._buffer is None:
                fetched = self._pull(1)
                self._buffer = fetched[0] if fetched else None
            if self._shift is None and self._buffer is not None:
                self._shift, self._buffer = self._buffer, None

    def _pull(self, count: int) -> bytes:
        stream = self.tx_dma.stream
        if stream is None or not self.registers[_CR2] & _TXDMAEN or count == 0:
            return b""
        return stream.pull(count)

    def _burst_length(self) -> int:
        """Bytes that can pass before anything but memory changes: up to the next flag of either stream."""
        rx, tx = self.rx_dma.stream, self.tx_dma.stream
        both = _RXDMAEN | _TXDMAEN
        if rx is None or tx is None or self.registers[_CR2] & both != both or self._received is not None:
            return 0
        return min(rx.until_flag, tx.until_flag)

    def catch_up(self) -> None:
        """Deliver the bytes of a burst that have passed by now; the one on the wire goes on by itself."""
        if self._burst is None:
            return
        (began, byte_ps), self._burst = self._burst, None
        if self._event is not None:
            self._event.cancel()
            self._event = None
        rx = self.rx_dma.stream
        passed = (self._time.now_ps - began) // byte_ps
        if passed:
            waiting = bytes(byte for byte in (self._shift, self._buffer) if byte is not None)
            queue = waiting + self._pull(passed)
            self._shift, self._buffer = (*queue[passed : passed + 2], None, None)[:2]
            answer = self._exchange(queue[:passed])
            if rx is not None:
                rx.push(answer)
        if self._shift is not None:
            self._at(began + (passed + 1) * byte_ps, self._byte_done)

    def _exchange(self, data: bytes) -> bytes:
        if self.wires is None or not self.connected():
            return b"\xff" * len(data)
        control = self.registers[_CR1]
        mode = 2 * bool(control & _CPOL) + bool(control & _CPHA)
        return self.wires.transfer(data, mode=mode, sck_hz=self.sck_hz)

    def _byte_done(self) -> None:
        assert self._shift is not None
        byte, self._shift = self._shift, None
        answer = self._exchange(bytes((byte,)))[0]
        stream = self.rx_dma.stream
        if self._received is not None:
            self._errors |= _OVR  # what has not been read stays (RM0383 20.3.10)
            self._overrun_read = False
        elif stream is not None and self.registers[_CR2] & _RXDMAEN:
            stream.push(bytes((answer,)))
        else:
            self._received = answer

    # ----------------------------------------------------------------------- registers

    def _write_cr1(self, value: int) -> None:
        self.catch_up()
        value &= 0xFFFF
        if value & ~_CR1_MODELLED:
            self._bus.unmodelled[f"{self.name}+0x00 bits 0x{value & ~_CR1_MODELLED:04X}"] += 1
        if value & _SPE and not value & _MSTR:
            self._bus.unmodelled[f"{self.name} slave mode"] += 1
        if value & _MSTR and not value & _SSM:
            self._bus.unmodelled[f"{self.name} hardware NSS"] += 1
        if self.registers[_CR1] & _SPE:
            if (value ^ self.registers[_CR1]) & (_BR | _CPOL | _CPHA) and self._shift is not None:
                self._bus.violations[f"{self.name}: clock changed during a transfer"] += 1
            if not value & _SPE and self._shift is not None:
                self._bus.violations[f"{self.name}: disabled during a transfer"] += 1
                self._stop_clock()
        if value & _MSTR and value & (_SSM | _SSI) == _SSM:  # NSS reads low: another master (RM0383 20.3.10)
            value &= ~(_MSTR | _SPE)
            self._errors |= _MODF
            self._modf_read = False
        elif self._modf_read:
            self._errors &= ~_MODF
        self.registers[_CR1] = value
        self._service()

    def _stop_clock(self) -> None:
        if self._event is not None:
            self._event.cancel()
            self._event = None
        self._shift = self._buffer = None

    def _write_cr2(self, value: int) -> None:
        self.catch_up()
        value &= 0xFFFF
        if value & ~_CR2_MODELLED:
            self._bus.unmodelled[f"{self.name}+0x04 bits 0x{value & ~_CR2_MODELLED:04X}"] += 1
        self.registers[_CR2] = value
        stream = self.rx_dma.stream
        if self._received is not None and value & _RXDMAEN and stream is not None:
            stream.push(bytes((self._received,)))
            self._received = None
        self._service()

    def _write_dr(self, value: int) -> None:
        self.catch_up()
        if self._buffer is not None:
            self._bus.violations[f"{self.name}: DR written while TXE is 0"] += 1
        self._buffer = value & 0xFF
        self._service()

    def _read_dr(self) -> int:
        self.catch_up()
        if self._received is not None:
            self.registers[_DR], self._received = self._received, None
        self._overrun_read = True
        self._drive()
        return self.registers[_DR]

    @property
    def _status(self) -> int:
        value = self._errors
        value |= _RXNE if self._received is not None else 0
        value |= _TXE if self._buffer is None else 0
        value |= _BSY if self._shift is not None or (self._buffer is not None and self.registers[_CR1] & _SPE) else 0
        return value

    def _read_sr(self) -> int:
        self.catch_up()
        value = self._status
        self._modf_read |= bool(value & _MODF)
        if value & _OVR and self._overrun_read:
            self._errors &= ~_OVR
            self._drive()
        return value

    def _drive(self) -> None:
        """RM0383 20.3.11, SPI interrupts."""
        control, status = self.registers[_CR2], self._status
        active = (control & _TXEIE and status & _TXE) or (control & _RXNEIE and status & _RXNE)
        self._nvic.set_line(self._irq, bool(active or (control & _ERRIE and status & (_OVR | _MODF))))
