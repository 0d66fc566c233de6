"""Reset and clock control (RM0383 section 6, RM0090 section 7): oscillators, PLL, prescalers, clock gates, reset
causes.

Start-up times are the data sheets' typical ones (DS10314 and DS8626, tables of HSI, HSE, LSI and PLL characteristics).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from ..bus import Bus, Peripheral
from ..parts import Part
from ..timebase import PS_PER_US, Timebase

HSI_HZ = 16_000_000
LSI_HZ = 32_000
_CR, _PLLCFGR, _CFGR, _CIR = 0x00, 0x04, 0x08, 0x0C
_BDCR, _CSR, _SSCGR, _PLLI2SCFGR, _DCKCFGR = 0x70, 0x74, 0x80, 0x84, 0x8C
_RESETS = (0x10, 0x14, 0x18, 0x20, 0x24)
_ENABLES = (0x30, 0x34, 0x38, 0x40, 0x44)
_LOW_POWER = (0x50, 0x54, 0x58, 0x60, 0x64)
_READY_US = {"hsi": 2, "hse": 2000, "pll": 150, "lsi": 15, "scale": 250, "pll_off": 1}
"""`scale`: the regulator's, from PLLON on; no manual gives a time, so: later than the PLL. `pll_off`: from PLLON off to
PLLRDY off; likewise, so: long enough to be seen by who does not wait."""
_AHB_SHIFT = {8: 1, 9: 2, 10: 3, 11: 4, 12: 6, 13: 7, 14: 8, 15: 9}
_APB_SHIFT = {4: 1, 5: 2, 6: 3, 7: 4}

CLOCKS = ("hse", "pll", "pll_from_hse", "scale")
"""What can be `Rcc.dead`."""
RESET_FLAGS: Mapping[str, int] = {
    "power": 1 << 27 | 1 << 26 | 1 << 25,
    "brown_out": 1 << 26 | 1 << 25,
    "pin": 1 << 26,
    "software": 1 << 28 | 1 << 26,
    "watchdog": 1 << 29 | 1 << 26,
    "window_watchdog": 1 << 30 | 1 << 26,
    "low_power": 1 << 31 | 1 << 26,
}
"""CSR flags by cause. An internal reset also pulls NRST low, so PINRSTF comes with each (RM0383 5.1.1)."""


class Rcc(Peripheral):
    """The clock tree. Others look at `hclk_hz` (AHB and core), `pclk1_hz`, `pclk2_hz` when they need them."""

    RESET: ClassVar = {
        _CR: 0x0000_0083,
        _PLLCFGR: 0x2400_3010,
        _CFGR: 0,
        _CIR: 0,
        **dict.fromkeys((*_RESETS, *_ENABLES), 0),
        **dict.fromkeys(_LOW_POWER, 0xFFFF_FFFF),
        0x30: 0x0010_0000,  # AHB1ENR: CCM RAM clock (RM0090); reserved, harmless on the F411
        _BDCR: 0,
        _CSR: 0,
        _SSCGR: 0,
        _PLLI2SCFGR: 0x2400_3000,
        _DCKCFGR: 0,
    }

    def __init__(self, time: Timebase, bus: Bus, part: Part, hse_hz: int | None) -> None:
        super().__init__("RCC", 0x4002_3800)
        self._time, self._bus, self._part = time, bus, part
        self.hse_hz = hse_hz
        self._ready_ps: dict[str, int] = {"hsi": 0}
        self.dead: set[str] = set()
        """What never gets ready: `hse` (HSERDY), `pll` (PLLRDY), `pll_from_hse` (PLLRDY while PLLSRC is HSE, as with a
        crystal far off its frequency), `scale` (PWR_CSR.VOSRDY). RM0383 and RM0090, RCC_CR. One that is in use goes on:
        no clock security."""
        self._pll_stops_ps = 0
        """Until then PLLRDY stays, though PLLON is off."""
        self.hclk_hz = self.pclk1_hz = self.pclk2_hz = HSI_HZ
        self._gates: dict[tuple[int, int], list[Peripheral]] = {}
        self.voltage_scale: Callable[[], int] = lambda: 1
        self.wait_states: Callable[[], int] = lambda: 15
        self.on_change: list[Callable[[], None]] = []
        """Called after HCLK changed."""
        self.readers = {_CR: self._read_cr, _CFGR: self._read_cfgr, _CSR: self._read_csr}
        self.writers = {_CR: self._write_cr, _PLLCFGR: self._write_pll, _CFGR: self._write_cfgr, _CSR: self._write_csr}
        self.writers |= {offset: lambda v, o=offset: self._write_reset(o, v) for offset in _RESETS}  # type: ignore[misc]
        self.writers |= {offset: lambda v, o=offset: self._write_enable(o, v) for offset in _ENABLES}  # type: ignore[misc]

    def gate(self, peripheral: Peripheral, offset: int, bit: int) -> None:
        """Put a peripheral behind an enable bit; `offset` is that of its ENR (its RSTR is 0x20 below)."""
        self._gates.setdefault((offset, bit), []).append(peripheral)
        peripheral.clocked = bool(self.registers[offset] >> bit & 1)

    def reset_by(self, cause: str) -> None:
        """System reset: HSI, everything gated off; CSR collects the cause (a power-on starts it afresh)."""
        flags = RESET_FLAGS[cause] | (0 if cause == "power" else self.registers[_CSR] & 0xFE00_0000)
        self.reset()
        self.registers[_CSR] = flags
        self._ready_ps = {"hsi": 0}
        self._pll_stops_ps = 0
        for offset in _ENABLES:
            self._apply_gates(offset)
        self._apply_clock()

    # ------------------------------------------------------------------- clock tree

    @property
    def scale_ready(self) -> bool:
        """PWR_CSR.VOSRDY."""
        return "scale" not in self.dead and (not self._part.scale_needs_pll or self._ready("scale"))

    def _source_hz(self, source: int) -> int:
        if source == 2:
            return self.pll_hz
        return HSI_HZ if source == 0 else (self.hse_hz or 0)

    @property
    def pll_hz(self) -> int:
        """Main PLL output (RM0383 6.3.2)."""
        config = self.registers[_PLLCFGR]
        source = (self.hse_hz or 0) if config >> 22 & 1 else HSI_HZ
        divider = config & 0x3F
        if divider < 2:
            return 0
        return source * (config >> 6 & 0x1FF) // divider // (2 * (config >> 16 & 3) + 2)

    @property
    def sysclk_hz(self) -> int:
        """The clock that SWS says."""
        return self._source_hz(self.registers[_CFGR] >> 2 & 3)

    def timer_hz(self, apb: int) -> int:
        """Clock of the timers on APB 1 or 2: twice the APB clock where that is divided (RM0383 6.2)."""
        pclk = self.pclk1_hz if apb == 1 else self.pclk2_hz
        return pclk if pclk == self.hclk_hz else 2 * pclk

    def _ready(self, oscillator: str) -> bool:
        at = self._ready_ps.get(oscillator)
        if oscillator == "pll" and "pll_from_hse" in self.dead and self.registers[_PLLCFGR] >> 22 & 1:
            return False
        return oscillator not in self.dead and at is not None and self._time.now_ps >= at

    def _switch(self, oscillator: str, on: bool) -> None:
        if not on:
            self._ready_ps.pop(oscillator, None)
        elif oscillator not in self._ready_ps:
            self._ready_ps[oscillator] = self._time.now_ps + _READY_US[oscillator] * PS_PER_US

    # -------------------------------------------------------------------- registers

    @property
    def _pll_stopping(self) -> bool:
        return self._time.now_ps < self._pll_stops_ps

    def _read_cr(self) -> int:
        value = self.registers[_CR] & ~0x0202_0002
        pll = self._ready("pll") or self._pll_stopping
        return value | self._ready("hsi") << 1 | self._ready("hse") << 17 | pll << 25

    def _write_cr(self, value: int) -> None:
        in_use = self.registers[_CFGR] >> 2 & 3
        if in_use == 0:
            value |= 1  # hardware keeps the clock it runs on (RM0383 6.3.1)
        if in_use == 2:
            value |= 1 << 24
        self.registers[_CR] = value
        self._switch("hsi", bool(value & 1))
        if self.hse_hz is not None:
            self._switch("hse", bool(value >> 16 & 1))
        if self._ready("pll") and not value >> 24 & 1:
            self._pll_stops_ps = self._time.now_ps + _READY_US["pll_off"] * PS_PER_US
        for name in ("pll", "scale"):
            self._switch(name, bool(value >> 24 & 1))
        if value >> 24 & 1:
            self._check_pll()

    def _check_pll(self) -> None:
        config = self.registers[_PLLCFGR]
        source = (self.hse_hz or 0) if config >> 22 & 1 else HSI_HZ
        divider, factor = config & 0x3F, config >> 6 & 0x1FF
        low, high = self._part.vco_hz
        if divider < 2 or not 950_000 <= source // divider <= 2_100_000:
            self._bus.violations["PLL input after PLLM must be 0.95 to 2.1 MHz"] += 1
        elif not low <= source * factor // divider <= high:
            self._bus.violations[f"VCO must run at {low} to {high} Hz"] += 1

    def _write_pll(self, value: int) -> None:
        if self.registers[_CR] >> 24 & 1 or self._pll_stopping:
            self._bus.violations["PLLCFGR written while the PLL is on"] += 1
        else:
            self.registers[_PLLCFGR] = value

    def _read_cfgr(self) -> int:
        self._settle()
        return self.registers[_CFGR]

    def _write_cfgr(self, value: int) -> None:
        self.registers[_CFGR] = value & ~0xC | self.registers[_CFGR] & 0xC
        self._settle()
        self._apply_clock()

    def _settle(self) -> None:
        """Let SWS follow SW once the wanted source is ready."""
        config = self.registers[_CFGR]
        wanted = config & 3
        if wanted != config >> 2 & 3 and wanted != 3 and self._ready(("hsi", "hse", "pll")[wanted]):
            self.registers[_CFGR] = config & ~0xC | wanted << 2
            self._apply_clock()

    def _apply_clock(self) -> None:
        config = self.registers[_CFGR]
        hclk = self.sysclk_hz >> _AHB_SHIFT.get(config >> 4 & 15, 0)
        if hclk == 0:
            return
        buses = (hclk >> _APB_SHIFT.get(config >> 10 & 7, 0), hclk >> _APB_SHIFT.get(config >> 13 & 7, 0))
        if (hclk, *buses) == (self.hclk_hz, self.pclk1_hz, self.pclk2_hz):
            return
        self.hclk_hz, (self.pclk1_hz, self.pclk2_hz) = hclk, buses
        violations = self._bus.violations
        if hclk > self._part.max_hclk(self.voltage_scale()):
            violations[f"HCLK of {hclk} Hz is above the limit of voltage scale {self.voltage_scale()}"] += 1
        elif self.sysclk_hz == self.pll_hz and not self.scale_ready:
            violations["clock from the PLL before VOSRDY (RM0383 5.4.1)"] += 1
        if self.wait_states() < self._part.wait_states(hclk):
            violations[f"flash needs {self._part.wait_states(hclk)} wait states at {hclk} Hz"] += 1
        if self.pclk1_hz > self._part.max_apb1_hz or self.pclk2_hz > self._part.max_apb2_hz:
            violations[f"APB clocks {self.pclk1_hz} and {self.pclk2_hz} Hz are above the limit"] += 1
        self._time.set_hclk(hclk)
        for changed in self.on_change:
            changed()

    def _read_csr(self) -> int:
        return self.registers[_CSR] & ~2 | self._ready("lsi") << 1

    def _write_csr(self, value: int) -> None:
        kept = 0 if value >> 24 & 1 else self.registers[_CSR] & 0xFE00_0000
        self.registers[_CSR] = kept | value & 1
        self._switch("lsi", bool(value & 1))

    def _write_reset(self, offset: int, value: int) -> None:
        self.registers[offset] = value
        for (gate, bit), peripherals in self._gates.items():
            if gate == offset + 0x20 and value >> bit & 1:
                for peripheral in peripherals:
                    peripheral.reset()

    def _write_enable(self, offset: int, value: int) -> None:
        self.registers[offset] = value
        self._apply_gates(offset)

    def _apply_gates(self, offset: int) -> None:
        value = self.registers[offset]
        for (gate, bit), peripherals in self._gates.items():
            if gate == offset:
                for peripheral in peripherals:
                    peripheral.clocked = bool(value >> bit & 1)
