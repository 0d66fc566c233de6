"""Flash interface: wait states, caches, the lock, erasing and programming (RM0383 section 3.5 and 3.8, RM0090 section
3.6 and 3.9; times: DS10314 and DS8626, table "Flash memory programming").

An operation takes its time; until it is over the core stands still as soon as it fetches from flash (`Machine`).
Not modelled: reads of flash by DMA or by code in RAM meanwhile (they would stall as well), stale caches (forgetting to
reset the data cache after an erase is a violation), option bytes, OTP, x64 (it needs 8 V on VPP).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import ClassVar

from ..bus import Peripheral
from ..timebase import PS_PER_US, Event
from .services import Services

_ACR, _KEYR, _OPTKEYR, _SR, _CR, _OPTCR = 0x00, 0x04, 0x08, 0x0C, 0x10, 0x14
_KEYS = (0x4567_0123, 0xCDEF_89AB)
_ICEN, _DCEN, _ICRST, _DCRST = 1 << 9, 1 << 10, 1 << 11, 1 << 12
_EOP, _OPERR, _WRPERR, _PGAERR, _PGPERR, _PGSERR, _BSY = 1 << 0, 1 << 1, 1 << 4, 1 << 5, 1 << 6, 1 << 7, 1 << 16
_PG, _SER, _MER, _STRT, _EOPIE, _ERRIE, _LOCK = 1 << 0, 1 << 1, 1 << 2, 1 << 16, 1 << 24, 1 << 25, 1 << 31
_IRQ = 4
_ROW = 16
"""Bytes of a 128-bit row, which a program operation cannot cross (RM0383 3.5.4)."""

_PROGRAM_US = (16, 100)
"""Typical and longest, whatever the width."""
_ERASE_MS: dict[int, tuple[tuple[int, int], ...]] = {
    16: ((400, 800), (300, 600), (250, 500)),
    64: ((1200, 2400), (700, 1400), (550, 1100)),
    128: ((2000, 4000), (1300, 2600), (1000, 2000)),
}
"""By KiB of the sector: typical and longest at x8, x16 and x32."""
_MASS_ERASE_MS = {
    512: ((8000, 16000), (5500, 11000), (4000, 8000)),
    1024: ((16000, 32000), (11000, 22000), (8000, 16000)),
}
"""By KiB of the flash."""


def sectors(flash_kib: int) -> list[tuple[int, int]]:
    """Offset and size in bytes of each sector (RM0383 table 4, RM0090 table 5)."""
    sizes = [16] * 4 + [64] + [128] * (flash_kib // 128 - 1)
    starts = [sum(sizes[:index]) for index in range(len(sizes))]
    return [(start << 10, size << 10) for start, size in zip(starts, sizes, strict=True)]


class FlashController(Peripheral):
    """The registers, and what they do to the memory."""

    RESET: ClassVar = {_ACR: 0, _SR: 0, _CR: _LOCK, _OPTCR: 0x0FFF_AAED}

    def __init__(self, services: Services, flash: bytearray, *, seed: int) -> None:
        super().__init__("FLASH", 0x4002_3C00)
        self._time, self._bus, self._nvic = services.time, services.bus, services.nvic
        self._flash = flash
        self._sectors = sectors(len(flash) >> 10)
        self._rng = random.Random(f"flash/{seed}")
        self.slowest = False
        """Operations take the longest time of the datasheet instead of the typical one."""
        self.operations = 0
        """Words (or smaller units) programmed and erases begun so far."""
        self.cut_at: int | None = None
        """The power fails in the middle of the operation with this number; then this is None again."""
        self.erases = [0] * len(self._sectors)
        """Erases begun, by sector."""
        self.on_power_cut: Callable[[], None] = lambda: None
        self.on_change: Callable[[], None] = lambda: None
        """The content is another one."""
        self._half_done: Callable[[], None] | None = None
        self._event: Event | None = None
        self._keys: list[int] = []
        self._jammed = self._stale = False
        self.writers = {
            _ACR: self._write_acr,
            _KEYR: self._write_key,
            _OPTKEYR: self._write_option,
            _SR: self._write_sr,
            _CR: self._write_cr,
            _OPTCR: self._write_option,
        }
        self.write_only = frozenset((_KEYR, _OPTKEYR))

    def reset(self) -> None:
        """Locked again. What was under way stays half done: its content is not defined (RM0383 3.5, note)."""
        if self._event is not None:
            self._event.cancel()
            self._event = None
        if self._half_done is not None:
            self._half_done()
            self._half_done = None
            self.on_change()
        super().reset()
        self._keys, self._jammed, self._stale = [], False, False

    @property
    def wait_states(self) -> int:
        """ACR.LATENCY."""
        return self.registers[_ACR] & 0xF

    @property
    def busy(self) -> bool:
        """SR.BSY."""
        return self._event is not None

    # -------------------------------------------------------------------- registers

    def _write_acr(self, value: int) -> None:
        for enabled, flush, name in ((_ICEN, _ICRST, "instruction"), (_DCEN, _DCRST, "data")):
            if value & flush and self.registers[_ACR] & enabled:
                self._bus.violations[f"{name} cache reset while it is on (RM0383 3.8.1)"] += 1
        if value & _DCRST and not self.registers[_ACR] & _DCEN:
            self._stale = False
        self.registers[_ACR] = value & 0x1F0F

    def _write_option(self, _value: int) -> None:
        self._bus.unmodelled["FLASH option bytes"] += 1

    def _write_key(self, value: int) -> None:
        """A wrong sequence locks CR until the next reset and is a bus error, which is only noted here (RM0383
        3.5.1)."""
        self._keys.append(value)
        if tuple(self._keys) != _KEYS[: len(self._keys)]:
            self._jammed = True
            self._bus.violations["FLASH_KEYR: wrong key"] += 1
        elif len(self._keys) == 2 and not self._jammed:
            self.registers[_CR] &= ~_LOCK
            self._keys = []

    def _write_sr(self, value: int) -> None:
        """Flags are cleared by writing 1 (RM0383 3.8.4)."""
        self.registers[_SR] &= ~(value & 0xF3)
        self._drive()

    def _write_cr(self, value: int) -> None:
        if self.registers[_CR] & _LOCK:
            self._bus.violations["FLASH_CR written while locked"] += 1
            return
        if self.busy:
            self._bus.unmodelled["FLASH_CR written while busy"] += 1
            return
        self.registers[_CR] = value & 0x8300_037F
        self._keys = []
        if value & _LOCK and self._stale:
            self._bus.violations["data cache not reset after an erase (RM0383 3.5.3)"] += 1
        if value & _STRT:
            self._start_erase(value)
        self._drive()

    def _drive(self) -> None:
        status, control = self.registers[_SR], self.registers[_CR]
        self._nvic.set_line(_IRQ, bool((status & _EOP and control & _EOPIE) or (status & _OPERR and control & _ERRIE)))

    def _refuse(self, flag: int) -> None:
        """OPERR comes with its interrupt only (RM0383 3.8.4)."""
        self.registers[_SR] |= flag | (_OPERR if self.registers[_CR] & _ERRIE else 0)
        self._drive()

    # ------------------------------------------------------------------------ erase

    def _start_erase(self, control: int) -> None:
        """RM0383 3.5.3."""
        number, width = control >> 3 & 15, control >> 8 & 3
        if bool(control & _SER) == bool(control & _MER) or control & _PG:
            self._bus.violations["FLASH_CR.STRT without exactly one of SER and MER"] += 1
            return
        if width == 3:
            self._bus.violations["erase at x64 without VPP (RM0383 table 6)"] += 1
            return
        if control & _SER and number >= len(self._sectors):
            self._bus.violations[f"erase of sector {number}, which there is not"] += 1
            return
        wanted = [number] if control & _SER else list(range(len(self._sectors)))
        if not all(self.registers[_OPTCR] >> 16 + sector & 1 for sector in wanted):
            self._refuse(_WRPERR)
            return
        table = _ERASE_MS[self._sectors[number][1] >> 10] if control & _SER else _MASS_ERASE_MS[len(self._flash) >> 10]
        for sector in wanted:
            self.erases[sector] += 1
        self._stale = self._stale or bool(self.registers[_ACR] & _DCEN)

        def erase() -> None:
            for start, size in (self._sectors[sector] for sector in wanted):
                self._flash[start : start + size] = b"\xff" * size

        def half_erase() -> None:
            for start, size in (self._sectors[sector] for sector in wanted):
                self._flash[start : start + size] = self._disturbed(self._flash[start : start + size])

        self.registers[_CR] |= _STRT
        self._begin(table[width][self.slowest] * 1000, erase, half_erase)

    def _disturbed(self, old: bytearray) -> bytes:
        """Words of an interrupted erase: as they were, erased, or anything between; in a mixture of any kind."""
        rng = self._rng
        weights = [rng.random() ** 3 for _ in range(3)]
        kinds = rng.choices(range(3), weights, k=len(old) // 4)
        words = (
            old[4 * index : 4 * index + 4] if kind == 0 else b"\xff" * 4 if kind == 1 else rng.randbytes(4)
            for index, kind in enumerate(kinds)
        )
        return b"".join(words)

    # ---------------------------------------------------------------------- program

    def store(self, offset: int, size: int, value: int) -> None:
        """The core stores to flash memory (RM0383 3.5.4). `size` is 1, 2 or 4 bytes."""
        control = self.registers[_CR]
        if not control & _PG or control & (_SER | _MER | _LOCK):
            self._bus.violations["store to flash memory while PG is clear"] += 1
            self._refuse(_PGSERR)
        elif offset % _ROW + size > _ROW:
            self._refuse(_PGAERR)
        elif size != 1 << (control >> 8 & 3) or offset % size:  # the bus splits what is not aligned
            self._refuse(_PGPERR)
        elif not self.registers[_OPTCR] >> 16 + self._sector_of(offset) & 1:
            self._refuse(_WRPERR)
        else:
            self._program(offset, value.to_bytes(size, "little"))

    def _sector_of(self, offset: int) -> int:
        return next(index for index, (start, size) in enumerate(self._sectors) if start <= offset < start + size)

    def _program(self, offset: int, data: bytes) -> None:
        end = offset + len(data)
        old = bytes(self._flash[offset:end])

        def program() -> None:
            self._flash[offset:end] = bytes(a & b for a, b in zip(old, data, strict=True))

        def half_program() -> None:
            """Of the bits to clear, any part is cleared."""
            noise = self._rng.randbytes(len(data))
            self._flash[offset:end] = bytes(a & (b | c) for a, b, c in zip(old, data, noise, strict=True))

        self._begin(_PROGRAM_US[self.slowest], program, half_program)

    # ------------------------------------------------------------------- operations

    def _begin(self, duration_us: int, finish: Callable[[], None], half: Callable[[], None]) -> None:
        """PG stays set and STRT is seen set until the end (RM0383 3.8.5)."""
        self.operations += 1
        self.registers[_SR] |= _BSY
        self._half_done = half
        duration_ps = duration_us * PS_PER_US
        if self.operations == self.cut_at:
            self.cut_at = None
            self._event = self._time.after(duration_ps // 2, self.on_power_cut)
        else:
            self._event = self._time.after(duration_ps, lambda: self._end(finish))
        self._time.shorten(0)

    def _end(self, finish: Callable[[], None]) -> None:
        self._event = self._half_done = None
        finish()
        self.registers[_SR] &= ~_BSY
        self.registers[_CR] &= ~_STRT
        if self.registers[_CR] & _EOPIE:  # EOP comes with its interrupt only (RM0383 3.8.4)
            self.registers[_SR] |= _EOP
        self.on_change()
        self._drive()
