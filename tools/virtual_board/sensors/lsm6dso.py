"""ST LSM6DSO as its host sees it, on I2C or on SPI.

Sources: DS = DS12140 (datasheet), AN = AN5192 (application note). Left out, and noted when asked for: FIFO triggers and
timestamps, INT2, embedded functions, sensor hub, OIS, I3C, three-wire SPI, high-pass filters and LPF1. Output registers
are one sample within a transfer, whatever BDU says.
"""

from __future__ import annotations

import struct

import numpy as np

from ..timebase import PS_PER_S
from . import lsm6dso_fifo as fifo
from . import lsm6dso_registers as reg
from .lsm6dso_core import BOOT_PS, RESET_PS, Lsm6dsoCore
from .lsm6dso_fifo import WORD

_SW_RESET, _BOOT, _IF_INC = 0x01, 0x80, 0x04
MAX_SCK_HZ = 10_000_000
"""DS table 6."""


class Lsm6dso(Lsm6dsoCore):
    """One device with its INT1. Faults: `nack`, `present`, `who_am_i`, `int1_connected`."""

    modes = frozenset((0, 3))
    """SPI modes that it understands (DS 5.1.2)."""
    max_sck_hz = MAX_SCK_HZ
    name = "LSM6DSO"
    _pointer = 0
    _first = _read_only = False
    _resetting = 0
    """The bit of CTRL3_C that clears itself when the reset is done."""
    _shadow: bytes | None = None
    """The samples that this transfer reads."""
    _status: tuple[int, int] | None = None
    """The FIFO's status that this transfer reads."""

    # -------------------------------------------------------------------- I2C target

    def start(self, *, read: bool) -> bool:
        """Addressed (DS 5.1.1)."""
        if not self._answers or self._registers[reg.CTRL4_C] & 0x04:  # I2C_disable, DS 9.15
            return False
        if read:
            self._begin_read()
        else:
            self._first = True
        return True

    def write(self, byte: int) -> bool:
        """The register, then data."""
        if self._first:
            self._pointer, self._first = byte & 0x7F, False
        else:
            self._store(byte)
        return True

    def read(self) -> int:
        """The register that the pointer is at."""
        return self._load()

    def read_block(self, count: int) -> bytes:
        """So many registers from the pointer on."""
        answer = bytearray(count)
        at = 0
        while at < count:
            at += self._load_block(answer, at)
        return bytes(answer)

    def stop(self) -> None:
        """The transfer is over."""
        self._end_transfer()
        self._update()

    # -------------------------------------------------------------------- SPI device

    def select(self) -> None:
        """CS falls (DS 5.1.2)."""
        self._first = True

    def transfer(self, data: bytes) -> bytes | None:
        """Bytes in, as many bytes out; None: SDO is not driven. The first is the register, bit 7 set for a read."""
        if not self._answers:
            return None
        head = b""
        if self._first and data:
            self._first, head = False, b"\0"
            self._pointer = data[0] & 0x7F
            if data[0] & 0x80:
                self._begin_read()
        if self._read_only:
            return head + self.read_block(len(data) - len(head))
        for byte in data[len(head) :]:
            self._store(byte)
        return bytes(len(data))

    def deselect(self) -> None:
        """CS rises."""
        self.stop()

    # --------------------------------------------------------------------- registers

    def _end_transfer(self) -> None:
        self._reading_fifo = self._read_only = self._first = False
        self._shadow = self._status = None

    def _begin_read(self) -> None:
        self._shadow = self._status = None
        self._read_only = True
        self._reading_fifo = reg.FIFO_DATA_OUT_TAG <= self._pointer <= reg.FIFO_DATA_OUT_Z_H
        if self._reading_fifo:
            self._update()

    def _advance(self) -> None:
        """IF_INC (DS 9.14); behind the FIFO's last byte comes its first (AN, FIFO reading)."""
        if self._registers[reg.CTRL3_C] & _IF_INC:
            last = self._pointer == reg.FIFO_DATA_OUT_Z_H
            self._pointer = reg.FIFO_DATA_OUT_TAG if last else (self._pointer + 1) & 0x7F

    def _load_block(self, answer: bytearray, at: int) -> int:
        """Fill in bytes from the pointer on; how many. Whole words of the FIFO go at once."""
        words = (len(answer) - at) // WORD
        if self._pointer == reg.FIFO_DATA_OUT_TAG and words and self._registers[reg.CTRL3_C] & _IF_INC:
            answer[at : at + words * WORD] = self.fifo.take(words)
            return words * WORD
        answer[at] = self._load()
        return 1

    def _load(self) -> int:
        value = self._value(self._pointer)
        self._advance()
        return value

    def _value(self, register: int) -> int:
        if reg.FIFO_DATA_OUT_TAG <= register <= reg.FIFO_DATA_OUT_Z_H:
            value = self.fifo.peek()[register - reg.FIFO_DATA_OUT_TAG]
            if register == reg.FIFO_DATA_OUT_Z_H:
                self.fifo.pop()
            return value
        if reg.OUT_TEMP_L <= register <= reg.OUTZ_H_A:
            return self._output(register)
        if register in (reg.FIFO_STATUS1, reg.FIFO_STATUS2):
            return self._fifo_status()[register - reg.FIFO_STATUS1]
        if register == reg.WHO_AM_I:
            return self.who_am_i
        if register == reg.STATUS_REG:
            self._fill()
            fresh = [
                self._latest(output) > self._seen[output] for output in (reg.OUTX_L_A, reg.OUTX_L_G, reg.OUT_TEMP_L)
            ]
            return sum(bit << index for index, bit in enumerate(fresh))
        if reg.TIMESTAMP0 <= register < reg.TIMESTAMP0 + 4:
            return self._timestamp()[register - reg.TIMESTAMP0]
        if register == reg.INTERNAL_FREQ_FINE:
            return max(-128, min(127, round(self._odr_error_ppm / 1500))) & 0xFF
        if register == reg.CTRL3_C and self._time.now_ps < self._resetting_until:
            return self._registers[register] | self._resetting
        return self._registers[register]

    def _output(self, register: int) -> int:
        """OUT_TEMP to OUTZ_A; a high byte read makes the sample an old one (DS 9.26)."""
        if self._shadow is None:
            self._fill()
            ticks = [self._latest(output) for output in (reg.OUT_TEMP_L, reg.OUTX_L_G, reg.OUTX_L_A)]
            temperature, gyro, accel = (np.array([tick], dtype=np.int64) for tick in ticks)
            values = [int(self._measure_temperature(temperature)[0]) if ticks[0] else 0]
            values += [int(v) for v in self._measure_gyro(gyro)[0]] if ticks[1] else [0, 0, 0]
            values += [int(v) for v in self._measure_accel(accel)[0]] if ticks[2] else [0, 0, 0]
            self._shadow = struct.pack("<7h", *values)
        if register & 1:
            output = (
                reg.OUTX_L_A if register > reg.OUTX_L_A else reg.OUTX_L_G if register > reg.OUTX_L_G else reg.OUT_TEMP_L
            )
            self._seen[output] = self._latest(output)
        return self._shadow[register - reg.OUT_TEMP_L]

    def _fifo_status(self) -> tuple[int, int]:
        """FIFO_STATUS1 and 2 (DS 9.38, 9.39), of one moment within a transfer; a read resets FIFO_OVR_LATCHED."""
        if self._status is None:
            self._fill()
            level = self.fifo.level
            flags = 0x80 if self._watermark and level >= self._watermark else 0
            flags |= 0x40 if level >= self._depth else 0
            flags |= 0x20 if self._full_soon() else 0
            flags |= 0x08 if self.fifo.overrun else 0
            self.fifo.overrun = False
            self._status = level & 0xFF, flags | level >> 8
        return self._status

    def _timestamp(self) -> bytes:
        """25 us a count, with the oscillator's error (DS 9.46, AN)."""
        if self._timestamp_from is None:
            return bytes(4)
        counts = (self._time.now_ps - self._timestamp_from) * 40_000 * (1 + self._odr_error_ppm * 1e-6) / PS_PER_S
        return struct.pack("<I", int(counts) & 0xFFFF_FFFF)

    def _store(self, value: int) -> None:
        register = self._pointer
        self._advance()
        if self._time.now_ps < self._resetting_until:
            return
        if (
            register == reg.WHO_AM_I
            or reg.STATUS_REG <= register < reg.TIMESTAMP0 + 2
            or register >= reg.FIFO_DATA_OUT_TAG
        ):
            return
        self._fill()
        left_out = (value ^ reg.RESET_VALUES.get(register, 0)) & ~reg.MODELLED.get(register, 0)
        if left_out:
            self.notes[f"LSM6DSO register 0x{register:02X} bits 0x{left_out:02X}"] += 1
        if register == reg.CTRL3_C and value & (_SW_RESET | _BOOT):
            self._reset_registers()
            self._resetting = value & (_SW_RESET | _BOOT)
            self._resetting_until = self._time.now_ps + (RESET_PS if value & _SW_RESET else BOOT_PS)
            return
        if register == reg.TIMESTAMP0 + 2 and value == 0xAA and self._timestamp_from is not None:
            self._timestamp_from = self._time.now_ps
            return
        self._registers[register] = value
        if register in (reg.CTRL1_XL, reg.CTRL2_G):
            self._set_rates()
        elif register == reg.FIFO_CTRL4:
            if value & 7 == fifo.BYPASS:
                self.fifo.clear()
            elif value & 7 not in (fifo.FIFO, fifo.CONTINUOUS):
                self.notes[f"LSM6DSO FIFO mode {value & 7}"] += 1
        elif register == reg.CTRL10_C:
            on = bool(value & 0x20)
            self._timestamp_from = (self._timestamp_from or self._time.now_ps) if on else None
        self._update()
