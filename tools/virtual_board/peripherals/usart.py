"""USART and UART (RM0383 section 19, RM0090 section 30), asynchronous mode.

The transmitter keeps two times: when the last byte taken from DR begins to shift and when it has been sent. TXE and TC
follow from them without an event per byte; an event exists only where an interrupt or a DMA stream waits for it. DMA
moves bytes in runs of at most `_RUN`, and anything that looks (NDTR, SR, the host) makes it catch up first, so paces
and flags are exact.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Protocol

from ..bus import Peripheral
from ..timebase import PS_PER_S, Event
from .dma import DmaRequest
from .services import Services

_SR, _DR, _BRR, _CR1, _CR2, _CR3, _GTPR = range(0x00, 0x1C, 4)
_FE, _NE, _ORE, _IDLE, _RXNE, _TC, _TXE = 1 << 1, 1 << 2, 1 << 3, 1 << 4, 1 << 5, 1 << 6, 1 << 7
_ERRORS = _FE | _NE | _ORE
_RE, _TE, _IDLEIE, _RXNEIE, _TCIE, _TXEIE = 1 << 2, 1 << 3, 1 << 4, 1 << 5, 1 << 6, 1 << 7
_PCE, _M, _UE, _OVER8 = 1 << 10, 1 << 12, 1 << 13, 1 << 15
_EIE, _DMAR, _DMAT = 1, 1 << 6, 1 << 7
_CR1_MODELLED = _RE | _TE | _IDLEIE | _RXNEIE | _TCIE | _TXEIE | _M | _UE | _OVER8
_CR2_MODELLED = 3 << 12
_CR3_MODELLED = _EIE | _DMAR | _DMAT | 1 << 11
_RUN = 32


class Wire(Protocol):
    """What the transmitter's pin leads to."""

    def transmit(self, start_ps: int, frame_ps: int, data: bytes) -> None:
        """Bytes that leave back to back from `start_ps` on, one each `frame_ps`."""

    def replace_last(self, byte: int) -> None:
        """The last byte was overwritten in DR before it began to shift."""

    def cut(self, now_ps: int) -> None:
        """The transmitter was switched off: what has not been sent by now never is."""


class Usart(Peripheral):
    """One USART; 8 data bits, or 9 with M."""

    RESET: ClassVar = {_SR: _TC | _TXE, _DR: 0, _BRR: 0, _CR1: 0, _CR2: 0, _CR3: 0, _GTPR: 0}

    def __init__(self, name: str, base: int, irq: int, services: Services, *, clock_hz: Callable[[], int]) -> None:
        super().__init__(name, base)
        self._time, self._bus, self._nvic = services.time, services.bus, services.nvic
        self._clock_hz = clock_hz
        self._irq = irq
        self.wire: Wire | None = None
        """Where the transmitter's bytes go; None: the pin leads nowhere."""
        self.tx_dma = DmaRequest(f"{name}_TX", base + _DR)
        self.rx_dma = DmaRequest(f"{name}_RX", base + _DR)
        self.tx_dma.on_enable = self._begin_tx_dma
        self.tx_dma.catch_up = self._serve_tx_dma
        self.rx_dma.on_enable = self._serve_rx_dma
        self._event: Event | None = None
        self._clear()
        self.readers = {_SR: self._read_sr, _DR: self._read_dr}
        self.writers = {
            _SR: self._write_sr,
            _DR: self._write_dr,
            _CR1: self._write_cr1,
            _CR2: self._write_cr2,
            _CR3: self._write_cr3,
        }

    def _clear(self) -> None:
        self._rx_flags = 0
        self._rx_data = 0
        self._data_since_idle = False
        self._seen = 0
        self._complete = True
        self._sending = False
        self._shift_ps = 0
        """When the byte last taken from DR begins to shift; DR is free from then on."""
        self._sent_ps = 0
        """When that byte has been sent."""
        self._flowing = False
        """A DMA stream has been feeding DR without a pause."""

    def reset(self) -> None:
        """System reset or RCC reset: a byte on its way is cut off."""
        super().reset()
        if self.wire is not None:
            self.wire.cut(self._time.now_ps)
        if self._event is not None:
            self._event.cancel()
            self._event = None
        self._clear()
        self._drive()

    # ---------------------------------------------------------------------- timing

    @property
    def bit_ps(self) -> int:
        """Length of a bit: BRR / f_CK, USARTDIV being BRR/16, or with OVER8 in eighths (RM0383 19.3.4). 0: no clock
        set."""
        brr = self.registers[_BRR] & 0xFFFF
        if self.registers[_CR1] & _OVER8:
            brr = (brr >> 4) * 8 + (brr & 7)
        return brr * PS_PER_S // self._clock_hz()

    @property
    def frame_ps(self) -> int:
        """Length of a character: start bit, 8 or 9 bits, stop bits."""
        brr = self.registers[_BRR] & 0xFFFF
        if self.registers[_CR1] & _OVER8:
            brr = (brr >> 4) * 8 + (brr & 7)
        halves = 2 * (10 if self.registers[_CR1] & _M else 9) + (2, 1, 4, 3)[self.registers[_CR2] >> 12 & 3]
        return brr * halves * PS_PER_S // (2 * self._clock_hz())

    @property
    def receiving(self) -> bool:
        """UE and RE are set, and a rate is."""
        return self.clocked and self.registers[_CR1] & (_UE | _RE) == _UE | _RE and self.registers[_BRR] & 0xFFFF >= 16

    def _transmitting(self) -> bool:
        return self.registers[_CR1] & (_UE | _TE) == _UE | _TE and self.registers[_BRR] & 0xFFFF >= 16

    # ------------------------------------------------------------------- transmitter

    def _send(self, data: bytes, start: int) -> None:
        """Bytes go from DR to the shift register back to back, the first at `start`."""
        frame = self.frame_ps
        if self.wire is not None:
            self.wire.transmit(start, frame, data)
        self._shift_ps = start + frame * (len(data) - 1)
        self._sent_ps = start + frame * len(data)
        self._sending = True

    def _write_dr(self, value: int) -> None:
        if self._seen & _TC:
            self._complete = False
            self._seen &= ~_TC
        if not self._transmitting():
            return
        if self._time.now_ps < self._shift_ps:
            self._bus.violations[f"{self.name}: DR written while TXE is 0"] += 1
            if self.wire is not None:
                self.wire.replace_last(value & 0xFF)
        else:
            self._send(bytes((value & 0xFF,)), max(self._sent_ps, self._time.now_ps))
        self._update()

    def _begin_tx_dma(self) -> None:
        self._flowing = False
        self._serve_tx_dma()
        self._update()

    def _serve_tx_dma(self) -> None:
        """Fetch every byte that DMA would have fetched by now: one each time DR becomes free."""
        stream = self.tx_dma.stream
        if stream is None or not self.registers[_CR3] & _DMAT or not self._transmitting():
            return
        now = self._time.now_ps
        if now < self._shift_ps:
            return
        frame = self.frame_ps
        while self.tx_dma.stream is stream and now >= self._shift_ps:
            start = self._sent_ps if self._flowing else max(self._sent_ps, now)
            data = stream.pull((now - self._shift_ps) // frame + 1 if self._flowing else 1)
            if not data:
                break
            self._send(data, start)
            self._flowing = True
        self._update()

    # ----------------------------------------------------------------------- receiver

    def receive(self, byte: int, errors: int = 0) -> None:
        """A character has arrived: `errors` has bit 1 for a missing stop bit and bit 2 for noise. One that finds the
        last unread is lost and leaves ORE (RM0383 19.3.3)."""
        if not self.receiving:
            return
        self._data_since_idle = True
        new = _ORE if self._rx_flags & _RXNE else _RXNE | errors & (_FE | _NE)
        if not new & _ORE:
            self._rx_data = byte
        self._rx_flags |= new
        self._seen &= ~new
        self._serve_rx_dma()
        self._drive()

    def line_idle(self) -> None:
        """The receive line has been idle for one character. IDLE is not set again before RXNE has been (RM0383
        19.6.1)."""
        if self.receiving and self._data_since_idle:
            self._data_since_idle = False
            self._rx_flags |= _IDLE
            self._seen &= ~_IDLE
            self._drive()

    def _serve_rx_dma(self) -> None:
        """The stream reads DR as software would: RXNE goes, and with it the flags that SR has shown before."""
        stream = self.rx_dma.stream
        if stream is not None and self.registers[_CR3] & _DMAR and self._rx_flags & _RXNE:
            stream.push(bytes((self._take_data(),)))

    # ---------------------------------------------------------------------- registers

    def _refresh(self) -> None:
        self._serve_tx_dma()
        if self._sending and self._time.now_ps >= self._sent_ps:
            self._sending = False
            self._complete = True

    def _status(self) -> int:
        empty = self._time.now_ps >= self._shift_ps
        return self._rx_flags | (_TXE if empty else 0) | (_TC if self._complete else 0)

    def _read_sr(self) -> int:
        self._refresh()
        self._seen = self._status()
        return self._seen

    def _write_sr(self, value: int) -> None:
        """RXNE and TC are cleared by writing 0 (RM0383 19.6.1)."""
        self._refresh()
        if not value & _TC:
            self._complete = False
        if not value & _RXNE:
            self._rx_flags &= ~_RXNE
        self._update()

    def _read_dr(self) -> int:
        data = self._take_data()
        self._drive()
        return data

    def _take_data(self) -> int:
        """Clears RXNE, and those of ORE, NF, FE, IDLE that SR showed before (RM0383 19.6.1)."""
        self._rx_flags &= ~(_RXNE | self._seen & (_ERRORS | _IDLE))
        self._seen &= ~(_ERRORS | _IDLE | _RXNE)
        return self._rx_data

    def _write_cr1(self, value: int) -> None:
        self._unsupported(_CR1, value, _CR1_MODELLED)
        self._refresh()
        was = self._transmitting()
        self.registers[_CR1] = value
        if was and not value & _UE:
            if self.wire is not None:
                self.wire.cut(self._time.now_ps)
            self._shift_ps = self._sent_ps = 0
            self._sending = False
        self._update()

    def _write_cr2(self, value: int) -> None:
        self._unsupported(_CR2, value, _CR2_MODELLED)
        self.registers[_CR2] = value

    def _write_cr3(self, value: int) -> None:
        self._unsupported(_CR3, value, _CR3_MODELLED)
        self._refresh()
        self.registers[_CR3] = value
        self._serve_tx_dma()
        self._serve_rx_dma()
        self._update()

    def _unsupported(self, offset: int, value: int, modelled: int) -> None:
        if value & ~modelled:
            self._bus.unmodelled[f"{self.name}+0x{offset:02X} bits 0x{value & ~modelled:04X}"] += 1

    # -------------------------------------------------------------------- interrupts

    def _update(self) -> None:
        """Plan the next moment at which an interrupt or DMA needs attention, and drive the interrupt line."""
        if self._event is not None:
            self._event.cancel()
            self._event = None
        now = self._time.now_ps
        cr1 = self.registers[_CR1]
        wanted = []
        stream = self.tx_dma.stream
        if stream is not None and self.registers[_CR3] & _DMAT and self._transmitting() and stream.remaining:
            # the first byte of a block goes as soon as DR is free; of those that follow, a run at once
            run = min(_RUN, stream.until_flag) if self._flowing else 1
            wanted.append(max(now, self._shift_ps + (run - 1) * self.frame_ps))
        if cr1 & _TXEIE and now < self._shift_ps:
            wanted.append(self._shift_ps)
        if cr1 & _TCIE and self._sending:
            wanted.append(max(now, self._sent_ps))
        if wanted:
            self._event = self._time.at(min(wanted), self._on_event)
        self._drive()

    def _on_event(self) -> None:
        self._event = None
        self._refresh()
        self._update()

    def _drive(self) -> None:
        """RM0383 19.4, USART interrupts; the error flags of reception by DMA are behind EIE."""
        cr1, cr3 = self.registers[_CR1], self.registers[_CR3]
        status = self._status()
        request = status & cr1 & (_TXE | _TC | _RXNE | _IDLE)
        if cr1 & _RXNEIE and status & _ORE:
            request |= _ORE
        if cr3 & _EIE and cr3 & _DMAR and status & _ERRORS:
            request |= _ERRORS
        self._nvic.set_line(self._irq, bool(request))
