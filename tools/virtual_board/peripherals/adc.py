"""ADC1 and the common registers (RM0383 section 11, RM0090 section 13): single, scan and continuous conversion of
regular channels.

The inputs are what the chip has inside: the temperature sensor (data sheets, table "Temperature sensor
characteristics": 0.76 V at 25 degC, 2.5 mV/degC) and VREFINT (1.21 V), both on while TSVREFE is set, seen against VDDA
with one LSB of noise. Injected channels, watchdog and external triggers are not modelled and noted when asked for.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import ClassVar

from ..bus import Peripheral
from ..timebase import PS_PER_S, Event
from .dma import DmaRequest
from .services import Services

_SR, _CR1, _CR2, _SMPR1, _SMPR2 = 0x00, 0x04, 0x08, 0x0C, 0x10
_SQR1, _SQR2, _SQR3, _DR = 0x2C, 0x30, 0x34, 0x4C
_EOC, _STRT, _OVR = 1 << 1, 1 << 4, 1 << 5
_EOCIE, _SCAN, _OVRIE = 1 << 5, 1 << 8, 1 << 26
_ADON, _CONT, _DMA, _DDS, _EOCS, _ALIGN, _SWSTART = 1, 1 << 1, 1 << 8, 1 << 9, 1 << 10, 1 << 11, 1 << 30
_CR1_MODELLED = _EOCIE | _SCAN | _OVRIE | 3 << 24
_CR2_MODELLED = _ADON | _CONT | _DMA | _DDS | _EOCS | _ALIGN | _SWSTART
_SAMPLE_CYCLES = (3, 15, 28, 56, 84, 112, 144, 480)
_IRQ = 18
VREFINT_V = 1.21
VREFINT_CHANNEL = 17


def temperature_v(celsius: float) -> float:
    """Voltage of the temperature sensor."""
    return 0.76 + 0.0025 * (celsius - 25.0)


class AdcCommon(Peripheral):
    """CCR: prescaler and TSVREFE."""

    RESET: ClassVar = {0x00: 0, 0x04: 0, 0x08: 0}

    def __init__(self) -> None:
        super().__init__("ADC_common", 0x4001_2300)
        self.read_only = frozenset((0x00, 0x08))

    @property
    def prescaler(self) -> int:
        """PCLK2 over ADCCLK."""
        return 2 * (self.registers[0x04] >> 16 & 3) + 2

    @property
    def internal_channels(self) -> bool:
        """TSVREFE."""
        return bool(self.registers[0x04] >> 23 & 1)


class Adc(Peripheral):
    """ADC1."""

    RESET: ClassVar = {
        **dict.fromkeys(range(0x00, 0x50, 4), 0),
        0x24: 0xFFF,
    }

    def __init__(
        self,
        common: AdcCommon,
        services: Services,
        *,
        clock_hz: Callable[[], int],
        temperature_channel: int,
        seed: int,
    ) -> None:
        super().__init__("ADC1", 0x4001_2000)
        self.read_only = frozenset((_DR,))
        self._common, self._time, self._bus, self._nvic, self._clock_hz = (
            common,
            services.time,
            services.bus,
            services.nvic,
            clock_hz,
        )
        self._temperature_channel = temperature_channel
        self._random = random.Random(f"adc/{seed}")
        self.vdda_v = 3.3
        self.temperature_c: Callable[[], float] = lambda: 30.0
        self.inputs: dict[int, float] = {}
        """Volts at external channels; 0 where nothing is connected."""
        self.dma = DmaRequest("ADC1", self.base + _DR)
        self._event: Event | None = None
        self._position = 0
        self.readers = {_DR: self._read_dr}
        self.writers = {
            _SR: self._write_sr,
            _CR1: self._write_cr1,
            _CR2: self._write_cr2,
        }

    def reset(self) -> None:
        """Off."""
        super().reset()
        if self._event is not None:
            self._event.cancel()
            self._event = None
        self._drive()

    # --------------------------------------------------------------------- conversion

    def _channel(self, position: int) -> int:
        offset = (_SQR3, _SQR2, _SQR1)[position // 6]
        return self.registers[offset] >> 5 * (position % 6) & 31

    def _length(self) -> int:
        return (self.registers[_SQR1] >> 20 & 15) + 1 if self.registers[_CR1] & _SCAN else 1

    def conversion_ps(self, channel: int) -> int:
        """Sampling time plus one ADCCLK per bit of resolution (RM0383 11.5)."""
        offset, index = (_SMPR2, channel) if channel < 10 else (_SMPR1, channel - 10)
        cycles = _SAMPLE_CYCLES[self.registers[offset] >> 3 * index & 7] + self._bits()
        return cycles * self._common.prescaler * PS_PER_S // self._clock_hz()

    def _bits(self) -> int:
        return (12, 10, 8, 6)[self.registers[_CR1] >> 24 & 3]

    def _volts(self, channel: int) -> float:
        if channel == VREFINT_CHANNEL:
            return VREFINT_V if self._common.internal_channels else 0.0
        if channel == self._temperature_channel:
            return temperature_v(self.temperature_c()) if self._common.internal_channels else 0.0
        return self.inputs.get(channel, 0.0)

    def convert(self, channel: int) -> int:
        """The result of one conversion."""
        exact = self._volts(channel) / self.vdda_v * 4095 + self._random.gauss(0.0, 1.0)
        value = max(0, min(4095, round(exact))) >> 12 - self._bits()
        return value << 16 - self._bits() if self.registers[_CR2] & _ALIGN else value

    def _begin(self) -> None:
        channel = self._channel(self._position)
        self._event = self._time.after(self.conversion_ps(channel), lambda: self._finish(channel))

    def _finish(self, channel: int) -> None:
        self._event = None
        value = self.convert(channel)
        self._position += 1
        last = self._position >= self._length()
        stream = self.dma.stream
        if self.registers[_CR2] & _DMA and stream is not None:
            self.registers[_DR] = value
            stream.push(value.to_bytes(4, "little")[: stream.item_size])
        else:
            if self.registers[_SR] & _EOC and self.registers[_CR2] & (_EOCS | _DMA):
                self.registers[_SR] |= _OVR
            self.registers[_DR] = value
        if last or self.registers[_CR2] & _EOCS:
            self.registers[_SR] |= _EOC
        if last:
            self._position = 0
        if not last or self.registers[_CR2] & _CONT:
            self._begin()
        self._drive()

    # ---------------------------------------------------------------------- registers

    def _write_sr(self, value: int) -> None:
        self.registers[_SR] &= value
        self._drive()

    def _read_dr(self) -> int:
        self.registers[_SR] &= ~_EOC
        self._drive()
        return self.registers[_DR]

    def _write_cr1(self, value: int) -> None:
        if value & ~_CR1_MODELLED:
            self._bus.unmodelled[f"ADC1+0x04 bits 0x{value & ~_CR1_MODELLED:08X}"] += 1
        self.registers[_CR1] = value
        self._drive()

    def _write_cr2(self, value: int) -> None:
        if value & ~_CR2_MODELLED:
            self._bus.unmodelled[f"ADC1+0x08 bits 0x{value & ~_CR2_MODELLED:08X}"] += 1
        self.registers[_CR2] = value & ~_SWSTART
        if not value & _ADON:
            if self._event is not None:
                self._event.cancel()
                self._event = None
            self._position = 0
        elif value & _SWSTART and self._event is None:
            self.registers[_SR] |= _STRT
            self._position = 0
            self._begin()

    def _drive(self) -> None:
        status, control = self.registers[_SR], self.registers[_CR1]
        self._nvic.set_line(_IRQ, bool((status & _EOC and control & _EOCIE) or (status & _OVR and control & _OVRIE)))
