"""I2C controller, master (RM0383 section 18, RM0090 section 27).

The event sequences are those of figures "Transfer sequence diagram for master transmitter/receiver": EV5 (SB), EV6
(ADDR), EV8 (TXE), EV8_2 (BTF), EV7 (RXNE). Time passes in whole bytes of nine SCL periods; SCL's rise time is not
added. Slave mode, SMBus, PEC and 10-bit addresses are not modelled and noted when asked for.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import ClassVar

from ..bus import Peripheral
from ..sensors.i2c_bus import I2cBus
from ..timebase import PS_PER_S, Event
from .dma import DmaRequest
from .services import Services

_CR1, _CR2, _OAR1, _OAR2, _DR, _SR1, _SR2, _CCR, _TRISE, _FLTR = range(0x00, 0x28, 4)
_PE, _START, _STOP, _ACK, _POS, _SWRST = 1, 1 << 8, 1 << 9, 1 << 10, 1 << 11, 1 << 15
_CR1_MODELLED = _PE | _START | _STOP | _ACK | _POS | _SWRST
_ITERREN, _ITEVTEN, _ITBUFEN, _DMAEN, _LAST = 1 << 8, 1 << 9, 1 << 10, 1 << 11, 1 << 12
_SB, _ADDR, _BTF, _RXNE, _TXE = 1, 1 << 1, 1 << 2, 1 << 6, 1 << 7
_BERR, _ARLO, _AF, _OVR = 1 << 8, 1 << 9, 1 << 10, 1 << 11
_ERRORS = _BERR | _ARLO | _AF | _OVR | 1 << 12 | 1 << 14 | 1 << 15
_MSL, _BUSY, _TRA = 1, 2, 4


class Phase(enum.Enum):
    """Where the master is."""

    IDLE = enum.auto()
    STARTED = enum.auto()
    """SB is set, or the address is on the wire."""
    ADDRESSED = enum.auto()
    """ADDR is set; SCL is stretched until software clears it."""
    SENDING = enum.auto()
    RECEIVING = enum.auto()
    ENDED = enum.auto()
    """Not acknowledged, or the last byte refused: waits for STOP or START."""


class I2c(Peripheral):
    """One controller on one bus."""

    RESET: ClassVar = {**dict.fromkeys((_CR1, _CR2, _OAR1, _OAR2, _DR, _SR1, _SR2, _CCR, _FLTR), 0), _TRISE: 2}

    def __init__(
        self, name: str, base: int, irqs: tuple[int, int], services: Services, *, clock_hz: Callable[[], int]
    ) -> None:
        super().__init__(name, base)
        self.read_only = frozenset((_SR2,))
        self._irqs, self._time, self._bus, self._nvic, self._clock_hz = (
            irqs,
            services.time,
            services.bus,
            services.nvic,
            clock_hz,
        )
        self.wires: I2cBus | None = None
        """The bus behind the pins; None: nothing is connected."""
        self.connected: Callable[[], bool] = lambda: True
        """Whether the pins are given to this peripheral."""
        self.contended_after: int | None = None
        """Fault switch: another controller wins the bus during the byte behind so many that are sent, once."""
        self.rx_dma = DmaRequest(f"{name}_RX", base + _DR)
        self.tx_dma = DmaRequest(f"{name}_TX", base + _DR)
        self.rx_dma.on_enable = self._service
        self.rx_dma.catch_up = self.catch_up
        self.tx_dma.on_enable = self._service
        self._event: Event | None = None
        self._driven = (False, False)
        self._clear()
        self.readers = {_DR: self._read_dr, _SR1: self._read_sr1, _SR2: self._read_sr2}
        self.writers = {
            _CR1: self._write_cr1,
            _CR2: self._write_cr2,
            _DR: self._write_dr,
            _SR1: self._write_sr1,
            _CCR: self._write_ccr,
        }

    def _clear(self) -> None:
        self._phase = Phase.IDLE
        self._sr1 = 0
        self._seen_sr1 = 0
        self._transmitter = False
        self._shift: int | None = None
        """Sending: the byte on the wire. Receiving: a byte that DR has no room for."""
        self._data: int | None = None
        """Sending: the byte in DR that waits. Receiving: the byte in DR to be read."""
        self._burst: tuple[int, int] | None = None
        """A run of bytes that DMA takes and nobody watches: when it began, and the length of a byte."""
        self._next_ack: bool | None = None
        """With POS: the answer to the byte that comes next."""

    def reset(self) -> None:
        """Reset by the system, RCC or SWRST: lines released."""
        super().reset()
        self._abandon()

    def _abandon(self) -> None:
        if self._event is not None:
            self._event.cancel()
            self._event = None
        if self._phase is not Phase.IDLE and self.wires is not None:
            self.wires.release()
        self._clear()
        self._drive()

    # ------------------------------------------------------------------------ timing

    @property
    def scl_ps(self) -> int:
        """Period of SCL (RM0383 18.6.8): 2 CCR in Sm mode; 3 CCR, or 25 with DUTY, in Fm mode."""
        ccr = self.registers[_CCR]
        factor = 2 if not ccr >> 15 & 1 else 25 if ccr >> 14 & 1 else 3
        return max(1, ccr & 0xFFF) * factor * PS_PER_S // self._clock_hz()

    def _after(self, scl_periods: int, action: Callable[[], None]) -> None:
        self._at(self._time.now_ps + scl_periods * self.scl_ps, action)

    def _at(self, ps: int, action: Callable[[], None]) -> None:
        def run() -> None:
            self._event = None
            action()
            self._service()
            self._drive()

        self._event = self._time.at(ps, run)

    # --------------------------------------------------------------------- conditions

    def _lines_free(self) -> bool:
        return self.wires is None or (self.wires.sda.level and self.wires.scl.level)

    def _start(self) -> None:
        """Start or repeated start: SB."""
        if self._phase is Phase.IDLE and not self._lines_free():
            assert self.wires is not None
            self.wires.when_free(self._retry_start)
            return
        self.registers[_CR1] &= ~_START
        self._phase = Phase.STARTED
        self._data = self._shift = None
        self._transmitter = False
        self._sr1 = self._sr1 & ~(_TXE | _RXNE | _BTF | _ADDR) | _SB

    def _retry_start(self) -> None:
        self._service()
        self._drive()

    def _stop(self) -> None:
        self.registers[_CR1] &= ~_STOP
        if self.wires is not None and self.connected():
            self.wires.stop()
        self._phase = Phase.IDLE
        if self._transmitter:
            self._data = self._shift = None
        self._transmitter = False
        self._sr1 &= ~(_TXE | _SB | _ADDR) & ~(_BTF if self._shift is None else 0)

    def _address(self, byte: int) -> None:
        if self._arbitration_lost():
            return
        if self.wires is None or not self.connected() or not self.wires.start(byte >> 1, read=bool(byte & 1)):
            self._phase = Phase.ENDED
            self._sr1 |= _AF
            return
        self._phase = Phase.ADDRESSED
        self._transmitter = not byte & 1
        self._sr1 |= _ADDR

    def _arbitration_lost(self) -> bool:
        """Somebody else holds SDA low while we send (RM0383 18.3.4, ARLO): back to slave mode."""
        contended = self.contended_after == 0
        if self.contended_after is not None:
            self.contended_after = None if contended else self.contended_after - 1
        if self.wires is None or (self.wires.sda.level and not contended):
            return False
        self.wires.release()
        self._phase = Phase.IDLE
        self._transmitter = False
        self._data = self._shift = None
        self._sr1 = self._sr1 & ~(_TXE | _BTF) | _ARLO
        return True

    # ------------------------------------------------------------------- byte machines

    def _service(self) -> None:
        """Begin whatever can begin now: a byte, a stop, a start."""
        control = self.registers[_CR1]
        if not control & _PE or self._event is not None:
            return
        if self._phase is Phase.IDLE:
            if control & _STOP:
                self.registers[_CR1] &= ~_STOP
            if control & _START:
                self._after(1, self._start)
        elif self._phase is Phase.SENDING:
            self._service_sender()
        elif self._phase is Phase.RECEIVING:
            self._service_receiver()
        else:
            self._end()

    def _end(self) -> bool:
        """Stop or repeated start, whichever is asked for."""
        if self.registers[_CR1] & _STOP:
            self._after(1, self._stop)
        elif self.registers[_CR1] & _START and self._phase is not Phase.STARTED:
            self._after(1, self._start)
        else:
            return False
        return True

    def _service_sender(self) -> None:
        stream = self.tx_dma.stream
        if self._data is None and stream is not None and self.registers[_CR2] & _DMAEN:
            fetched = stream.pull(1)
            if fetched:
                self._data = fetched[0]
        if self._data is not None:
            self._shift, self._data = self._data, None
            self._sr1 = self._sr1 & ~_BTF | _TXE
            self._after(9, self._byte_sent)
        else:
            self._end()

    def _byte_sent(self) -> None:
        byte, self._shift = self._shift, None
        if self._arbitration_lost():
            return
        if byte is None or self.wires is None or not self.wires.write(byte):
            self._phase = Phase.ENDED
            self._sr1 |= _AF
            return
        stream = self.tx_dma.stream
        if self._data is None and not (stream is not None and self.registers[_CR2] & _DMAEN):
            self._sr1 |= _BTF

    def _service_receiver(self) -> None:
        self._push_dma()
        if self._end():
            return
        if self._shift is None:
            count = self._burst_length()
            if count > 1:
                self._burst = self._time.now_ps, 9 * self.scl_ps
                self._after(9 * count, self.catch_up)
            else:
                self._after(9, self._byte_received)

    def _burst_length(self) -> int:
        """Bytes that can pass before anything but memory changes: up to DMA's next flag, each acknowledged or the last
        refused."""
        stream = self.rx_dma.stream
        if stream is None or self.registers[_CR2] & _DMAEN == 0 or self.registers[_CR1] & (_ACK | _POS) != _ACK:
            return 0
        return stream.until_flag

    def catch_up(self) -> None:
        """Deliver the bytes of a burst that have passed by now; the one on the wire goes on by itself."""
        if self._burst is None:
            return
        (began, byte_ps), self._burst = self._burst, None
        if self._event is not None:
            self._event.cancel()
            self._event = None
        stream = self.rx_dma.stream
        passed = (self._time.now_ps - began) // byte_ps
        count = min(passed, stream.remaining if stream is not None else 0)
        if stream is not None and count and self.wires is not None:
            refuse_last = count == stream.remaining and bool(self.registers[_CR2] & _LAST)
            data = self.wires.read_block(count - refuse_last)
            if refuse_last:
                data += bytes((self.wires.read(acknowledge=False),))
                self._phase = Phase.ENDED
            stream.push(data)
        if self._phase is Phase.RECEIVING and self.rx_dma.stream is not None:
            self._at(began + (passed + 1) * byte_ps, self._byte_received)

    def _byte_received(self) -> None:
        if self.wires is None:
            return
        acknowledge = self._acknowledges()
        byte = self.wires.read(acknowledge=acknowledge)
        if not acknowledge:
            self._phase = Phase.ENDED
        if self._data is None:
            self._data = byte
            self._sr1 |= _RXNE
        else:
            self._shift = byte
            self._sr1 |= _BTF
        self._push_dma()

    def _acknowledges(self) -> bool:
        """ACK for the byte just received; with POS it was set while the byte before was received (RM0383 18.6.1); with
        LAST the hardware refuses the last byte of the DMA transfer (18.3.7)."""
        now = bool(self.registers[_CR1] & _ACK)
        stream = self.rx_dma.stream
        if self.registers[_CR2] & (_DMAEN | _LAST) == _DMAEN | _LAST and stream is not None and stream.remaining == 1:
            return False
        if not self.registers[_CR1] & _POS:
            return now
        current = True if self._next_ack is None else self._next_ack
        self._next_ack = now
        return current

    def _push_dma(self) -> None:
        while self._data is not None and self.registers[_CR2] & _DMAEN and not self._transmitter:
            stream = self.rx_dma.stream
            if stream is None:
                return
            stream.push(bytes((self._take(),)))

    def _take(self) -> int:
        """DR is read: a byte that waited in the shift register moves up."""
        assert self._data is not None
        value = self._data
        self.registers[_DR] = value
        self._data, self._shift = self._shift, None
        self._sr1 &= ~_BTF
        if self._data is None:
            self._sr1 &= ~_RXNE
        return value

    # ----------------------------------------------------------------------- registers

    def _write_cr1(self, value: int) -> None:
        if value & ~_CR1_MODELLED:
            self._bus.unmodelled[f"{self.name}+0x00 bits 0x{value & ~_CR1_MODELLED:04X}"] += 1
        if value & _SWRST:
            self.reset()
            self.registers[_CR1] = _SWRST
            return
        self.catch_up()
        self.registers[_CR1] = value
        if not value & _PE:
            self._abandon()
            self.registers[_CR1] = value & ~(_START | _STOP)
            return
        self._service()
        self._drive()

    def _write_cr2(self, value: int) -> None:
        frequency = value & 0x3F
        if frequency * 1_000_000 != self._clock_hz():
            self._bus.violations[f"{self.name}: CR2.FREQ is {frequency}, PCLK1 is {self._clock_hz()} Hz"] += 1
        self.catch_up()
        self.registers[_CR2] = value & 0x1F3F
        self._service()
        self._drive()

    def _write_ccr(self, value: int) -> None:
        if self.registers[_CR1] & _PE:
            self._bus.violations[f"{self.name}: CCR written while PE is set"] += 1
        self.registers[_CCR] = value & 0xCFFF

    def _read_sr1(self) -> int:
        self._seen_sr1 = self._sr1
        return self._sr1

    def _read_sr2(self) -> int:
        master = self._phase is not Phase.IDLE
        busy = master or (bool(self.registers[_CR1] & _PE) and not self._lines_free())
        value = master * _MSL | busy * _BUSY | self._transmitter * _TRA
        if self._seen_sr1 & self._sr1 & _ADDR:
            self._sr1 &= ~_ADDR
            self._next_ack = None
            self._phase = Phase.SENDING if self._transmitter else Phase.RECEIVING
            if self._transmitter:
                self._sr1 |= _TXE
            self._service()
            self._drive()
        return value

    def _write_sr1(self, value: int) -> None:
        self._sr1 &= ~(_ERRORS & ~value)
        self._drive()

    def _read_dr(self) -> int:
        if self._transmitter or self._data is None:
            if self._seen_sr1 & _BTF:  # SR1 then DR, read or written, clears BTF (RM0383 18.6.6)
                self._sr1 &= ~_BTF
                self._drive()
            return self.registers[_DR]
        value = self._take()
        self._service()
        self._drive()
        return value

    def _write_dr(self, value: int) -> None:
        value &= 0xFF
        self.registers[_DR] = value
        if self._phase is Phase.STARTED:
            if self._sr1 & self._seen_sr1 & _SB:
                self._sr1 &= ~_SB
                self._seen_sr1 = 0
                self._after(9, lambda: self._address(value))
        elif self._phase is Phase.SENDING:
            self._data = value
            self._sr1 &= ~(_TXE | _BTF)
            self._service()
        self._drive()

    def _drive(self) -> None:
        """RM0383 18.4, I2C interrupts."""
        cr2 = self.registers[_CR2]
        event = bool(cr2 & _ITEVTEN) and bool(
            self._sr1 & (_SB | _ADDR | _BTF) or (cr2 & _ITBUFEN and self._sr1 & (_TXE | _RXNE))
        )
        error = bool(cr2 & _ITERREN and self._sr1 & _ERRORS)
        if (event, error) != self._driven:
            self._driven = event, error
            self._nvic.set_line(self._irqs[0], event)
            self._nvic.set_line(self._irqs[1], error)
