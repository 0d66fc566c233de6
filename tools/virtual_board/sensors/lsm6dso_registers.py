"""Register addresses of the LSM6DSO (DS12140 table 19), their reset values, and which bits have an effect here."""

from __future__ import annotations

from collections.abc import Mapping

FIFO_CTRL1, FIFO_CTRL2, FIFO_CTRL3, FIFO_CTRL4 = range(0x07, 0x0B)
COUNTER_BDR_REG1, INT1_CTRL, WHO_AM_I = 0x0B, 0x0D, 0x0F
CTRL1_XL, CTRL2_G, CTRL3_C, CTRL4_C, CTRL5_C, CTRL6_C, CTRL7_G, CTRL8_XL, CTRL9_XL, CTRL10_C = range(0x10, 0x1A)
STATUS_REG, OUT_TEMP_L, OUTX_L_G, OUTX_L_A, OUTZ_H_A = 0x1E, 0x20, 0x22, 0x28, 0x2D
FIFO_STATUS1, FIFO_STATUS2, TIMESTAMP0, INTERNAL_FREQ_FINE = 0x3A, 0x3B, 0x40, 0x63
FIFO_DATA_OUT_TAG, FIFO_DATA_OUT_Z_H = 0x78, 0x7E
RESET_VALUES: Mapping[int, int] = {0x02: 0x3F, CTRL3_C: 0x04, CTRL9_XL: 0xE0}
"""DS table 19; the others are 0."""
READ_ONLY = frozenset({WHO_AM_I, *range(0x1A, TIMESTAMP0 + 2), TIMESTAMP0 + 3, INTERNAL_FREQ_FINE, *range(0x78, 0x80)})
MODELLED: Mapping[int, int] = {
    FIFO_CTRL1: 0xFF,
    FIFO_CTRL2: 0x81,
    FIFO_CTRL3: 0xFF,
    FIFO_CTRL4: 0x37,
    COUNTER_BDR_REG1: 0x80,
    INT1_CTRL: 0x3B,
    CTRL1_XL: 0xFC,
    CTRL2_G: 0xFE,
    CTRL3_C: 0xF5,
    CTRL4_C: 0x0C,
    CTRL5_C: 0x0F,
    CTRL9_XL: 0xE2,
    CTRL10_C: 0x20,
    TIMESTAMP0 + 2: 0xFF,
}
"""Bits that have an effect here, or none that a host can see; a write of another one is noted. BDU: see above."""
