"""What the registers of the port must be: the vendor's SVD, and tables for what it lacks or spells differently.

`STM32F41x.svd` describes the STM32F405/407/415/417; the STM32F411 has the same blocks at the same places. Manuals:
RM0383 (STM32F411), RM0090 (STM32F405), PM0214 (Cortex-M4 of the STM32).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace

from firmware.registers import svd
from firmware.registers.svd import Field, Register

# header -> SVD: the registers common to the ADCs are a peripheral of their own there
PERIPHERALS = {"ADC_COMMON": "C_ADC"}

# structure -> prefix of its constants, where that is not the structure's name
PREFIXES = {"adc_common": "ADC"}

# (SVD peripheral, header's register) -> SVD register
REGISTERS = {("SYSCFG", "MEMRMP"): "MEMRM"}  # RM0383 7.2.1 and RM0090 9.2.1: SYSCFG_MEMRMP

# arrays of the header -> number of the first register in the manuals
ARRAYS = {
    **dict.fromkeys(("EXTICR", "JOFR", "JDR", "SHPR"), 1),
    **dict.fromkeys(("ISER", "ICER", "ISPR", "ICPR", "IABR", "IPR"), 0),
}

# arrays of bytes, four to a register: PM0214 4.3.7 and 4.4.8, byte-accessible
BYTES = ("IPR", "SHPR")

# constant -> SVD fields that make it up
FIELDS = {
    "RCC_CFGR_SWS": ("SWS0", "SWS1"),  # single bits there
    "RCC_CFGR_SW": ("SW0", "SW1"),
    "RCC_CSR_PINRSTF": ("PADRSTF",),  # RM0383 6.3.21 and RM0090 7.3.21: PINRSTF, IWDGRSTF
    "RCC_CSR_IWDGRSTF": ("WDGRSTF",),
    "I2C_SR1_RXNE": ("RxNE",),
    "I2C_CCR_FS": ("F_S",),  # the manuals write F/S
    "FLASH_SR_ERRORS": ("WRPERR", "PGAERR", "PGPERR", "PGSERR"),
    # flags of a DMA stream, before the shift: those of stream 0
    **{f"DMA_LISR_{flag}": (f"{flag}0",) for flag in ("FEIF", "DMEIF", "TEIF", "HTIF", "TCIF")},
}


@dataclass(frozen=True)
class Choice:
    """A constant that is one of a field's values: the field's constant, the value, and where that is said."""

    field: str
    value: int
    source: str


CHOICES = {
    "SYSCFG_MEMRMP_SYSTEM": Choice("SYSCFG_MEMRMP_MEM_MODE", 0b01, "RM0383 7.2.1, RM0090 9.2.1"),
    "SCB_AIRCR_VECTKEY": Choice("SCB_AIRCR_VECTKEY", 0x05FA, "PM0214 4.4.5"),
    "RCC_CFGR_SW_PLL": Choice("RCC_CFGR_SW", 0b10, "RM0383 6.3.3, RM0090 7.3.3"),
    "RCC_CFGR_SWS_PLL": Choice("RCC_CFGR_SWS", 0b10, "RM0383 6.3.3, RM0090 7.3.3"),
    "PWR_CR_VOS_0": Choice("PWR_CR_VOS", 0b01, "RM0383 5.4.1, RM0090 5.4.1"),
    "DMA_SxCR_DIR_TO_PERIPHERAL": Choice("DMA_SxCR_DIR", 0b01, "RM0383 9.5.5, RM0090 10.5.5"),
    "DMA_SxCR_PL_HIGH": Choice("DMA_SxCR_PL", 0b10, "RM0383 9.5.5, RM0090 10.5.5"),
    "MPU_RASR_AP_FULL": Choice("MPU_RASR_AP", 0b011, "PM0214 4.2.1"),
    "MPU_RASR_AP_READ": Choice("MPU_RASR_AP", 0b110, "PM0214 4.2.1"),
    "FLASH_CR_PSIZE_X32": Choice("FLASH_CR_PSIZE", 0b10, "RM0383 3.8.5, RM0090 3.9.7"),
    "ADC_CCR_ADCPRE_DIV4": Choice("ADC_CCR_ADCPRE", 0b01, "RM0383 11.12.16, RM0090 13.13.16"),
    **{f"DMA_{flag}": Choice(f"DMA_LISR_{flag}", 1, "SVD") for flag in ("FEIF", "DMEIF", "TEIF", "HTIF", "TCIF")},
}

# constants that are no part of a register, or a whole one
FIXED = {
    # RCC_CFGR.PPREx, not in place
    "RCC_CFGR_PPRE_DIV1": (0b000, "RM0383 6.3.3, RM0090 7.3.3"),
    "RCC_CFGR_PPRE_DIV2": (0b100, "RM0383 6.3.3, RM0090 7.3.3"),
    "RCC_CFGR_PPRE_DIV4": (0b101, "RM0383 6.3.3, RM0090 7.3.3"),
    "IWDG_KR_START": (0xCCCC, "RM0383 15.4.1, RM0090 21.4.1"),
    "IWDG_KR_ACCESS": (0x5555, "RM0383 15.4.1, RM0090 21.4.1"),
    "IWDG_KR_FEED": (0xAAAA, "RM0383 15.4.1, RM0090 21.4.1"),
    "FLASH_KEYR_KEY1": (0x45670123, "RM0383 3.5.1, RM0090 3.6.1"),
    "FLASH_KEYR_KEY2": (0xCDEF89AB, "RM0383 3.5.1, RM0090 3.6.1"),
    "DMA_ALL": (0b111101, "RM0383 9.5.1, RM0090 10.5.1"),
    # the last of the STM32F411 is SPI5, 85; of the STM32F405 the FPU, 81
    "IRQ_COUNT": (86, "RM0383 table 37, RM0090 table 62"),
    **{f"BIT_{bit}": (1 << bit, "arithmetic") for bit in range(32)},
}

# words in system memory: address, size of one
WORDS = {
    "FACTORY_UID": (0x1FFF7A10, 4, "RM0383 24.1, RM0090 39.1"),
    "FACTORY_VREFINT_CAL": (0x1FFF7A2A, 2, "DS10314 and DS8626, internal reference voltage calibration values"),
    "FACTORY_TS_CAL1": (0x1FFF7A2C, 2, "DS10314 and DS8626, temperature sensor calibration values"),
    "FACTORY_TS_CAL2": (0x1FFF7A2E, 2, "DS10314 and DS8626, temperature sensor calibration values"),
}

# how macros with parameters are called to be seen
CALLS = {
    "GPIO": {f"GPIO{letter}": f"GPIO({number})" for number, letter in enumerate("ABCDEFGHI")},
    "BIT": {f"BIT_{bit}": f"BIT({bit})" for bit in range(32)},
}


def _row(first: str, start: int, count: int, source: str) -> dict[str, Register]:
    return {f"{first}{n}": Register(start + 4 * n, source=source) for n in range(count)}


def _bits(**positions: int) -> dict[str, Field]:
    return {name: Field(position, 1) for name, position in positions.items()}


# The core's registers, that the SVD has little of. Reset values are not compared.
CORE: Mapping[str, Mapping[str, Register]] = {
    "SYSTICK": {
        "CTRL": Register(0xE000E010, 4, _bits(ENABLE=0, TICKINT=1, CLKSOURCE=2, COUNTFLAG=16), source="PM0214 4.5.1"),
        "LOAD": Register(0xE000E014, source="PM0214 4.5.2"),
        "VAL": Register(0xE000E018, source="PM0214 4.5.3"),
        "CALIB": Register(0xE000E01C, source="PM0214 4.5.4"),
    },
    "NVIC": {
        **_row("ISER", 0xE000E100, 8, "PM0214 4.3.2"),
        **_row("ICER", 0xE000E180, 8, "PM0214 4.3.3"),
        **_row("ISPR", 0xE000E200, 8, "PM0214 4.3.4"),
        **_row("ICPR", 0xE000E280, 8, "PM0214 4.3.5"),
        **_row("IABR", 0xE000E300, 8, "PM0214 4.3.6"),
        **_row("IPR", 0xE000E400, 60, "PM0214 4.3.7"),
    },
    "SCB": {
        "CPUID": Register(0xE000ED00, source="PM0214 4.4.2"),
        "ICSR": Register(0xE000ED04, 4, _bits(PENDSTSET=26, PENDSVSET=28), source="PM0214 4.4.3"),
        "VTOR": Register(0xE000ED08, source="PM0214 4.4.4"),
        "AIRCR": Register(0xE000ED0C, 4, {"VECTKEY": Field(16, 16), "SYSRESETREQ": Field(2, 1)}, source="PM0214 4.4.5"),
        "SCR": Register(0xE000ED10, source="PM0214 4.4.6"),
        "CCR": Register(0xE000ED14, 4, _bits(DIV_0_TRP=4), source="PM0214 4.4.7"),
        "SHPR1": Register(0xE000ED18, source="PM0214 4.4.8"),
        "SHPR2": Register(0xE000ED1C, source="PM0214 4.4.8"),
        "SHPR3": Register(0xE000ED20, source="PM0214 4.4.8"),
        "SHCSR": Register(0xE000ED24, 4, _bits(MEMFAULTENA=16, BUSFAULTENA=17, USGFAULTENA=18), source="PM0214 4.4.9"),
        "CFSR": Register(0xE000ED28, source="PM0214 4.4.10"),
        "HFSR": Register(0xE000ED2C, source="PM0214 4.4.14"),
        "DFSR": Register(0xE000ED30, source="ARMv7-M Architecture Reference Manual C1.6.1"),
        "MMFAR": Register(0xE000ED34, source="PM0214 4.4.15"),
        "BFAR": Register(0xE000ED38, source="PM0214 4.4.16"),
    },
    "MPU": {
        "TYPE": Register(0xE000ED90, source="PM0214 4.2.5"),
        "CTRL": Register(0xE000ED94, 4, _bits(ENABLE=0, PRIVDEFENA=2), source="PM0214 4.2.6"),
        "RNR": Register(0xE000ED98, source="PM0214 4.2.7"),
        "RBAR": Register(0xE000ED9C, source="PM0214 4.2.8"),
        "RASR": Register(
            0xE000EDA0,
            4,
            {**_bits(ENABLE=0, C=17, S=18, XN=28), "SIZE": Field(1, 5), "SRD": Field(8, 8), "AP": Field(24, 3)},
            source="PM0214 4.2.9",
        ),
        **_row("ALIAS", 0xE000EDA4, 6, "PM0214 4.2.10"),  # RBAR and RASR, three times more
    },
    "DCB": {
        name: Register(0xE000EDF0 + 4 * n, 4, _bits(TRCENA=24) if name == "DEMCR" else {}, source="ARMv7-M ARM C1.6")
        for n, name in enumerate(("DHCSR", "DCRSR", "DCRDR", "DEMCR"))
    },
    "DWT": {
        "CTRL": Register(0xE0001000, 4, _bits(CYCCNTENA=0), source="ARMv7-M ARM C1.8.7"),
        "CYCCNT": Register(0xE0001004, source="ARMv7-M ARM C1.8.8"),
    },
}


@functools.cache
def device() -> svd.Device:
    """The SVD of the STM32F405 with what the STM32F411 has more, and the core."""
    base, later = svd.device("STM32F41x"), svd.device("STM32F429x")
    registers = {name: dict(of) for name, of in base.registers.items()}
    # PWR_CR.VOS: two bits on the STM32F411 (RM0383 5.4.1) as on the STM32F429; of the STM32F405's one,
    # the lower, the SVD is silent
    control = registers["PWR"]["CR"]
    registers["PWR"]["CR"] = replace(
        control, fields={**control.fields, "VOS": later.registers["PWR"]["CR"].fields["VOS"]}
    )
    # I2C_FLTR: on the STM32F411 (RM0383 18.6.10) as on the STM32F429
    for name in ("I2C1", "I2C2", "I2C3"):
        registers[name]["FLTR"] = later.registers[name]["FLTR"]
    for name, of in CORE.items():
        registers[name] = {**registers.get(name, {}), **of}
    return svd.Device(base.bases, registers, base.interrupts)
