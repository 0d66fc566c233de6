"""The virtual board's register models agree with the vendor's SVD: offsets, bits, addresses, interrupts, clock gates.

Reset values are not compared: in this SVD some are wrong (USART_SR, TIMx_ARR), as the reference manuals show.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Mapping
from pathlib import Path

import pytest

from firmware.registers import reference
from virtual_board import chip, peripherals
from virtual_board.bus import Peripheral
from virtual_board.parts import STM32F405, STM32F411, Part
from virtual_board.peripherals import dma

# module -> peripherals of the SVD that it models
MODULES = {
    "adc": ("ADC1", "C_ADC"),
    "dma": ("DMA1",),
    "exti": ("EXTI", "SYSCFG"),
    "flash_ctrl": ("FLASH",),
    "gpio": ("GPIOA",),
    "i2c": ("I2C1",),
    "iwdg": ("IWDG",),
    "pwr": ("PWR",),
    "rcc": ("RCC",),
    "spi": ("SPI1",),
    "systick": ("SYSTICK",),
    "tim": ("TIM2", "TIM3"),
    "usart": ("USART1",),
}
# the SVD has nothing of the debug blocks: ARMv7-M Architecture Reference Manual C1.6.2, C1.6.5, C1.8.2
NOT_IN_THE_SVD = {"dwt": {"_DHCSR": 0x00, "_DEMCR": 0x0C, "_TRCENA": 1 << 24, "_DWT_CTRL": 0x00, "_CYCCNT": 0x04}}

# constants that are neither an offset nor a field: what they must be, and why
OTHERS: Mapping[tuple[str, str], tuple[int, str]] = {
    ("adc", "_IRQ"): (18, "SVD, ADC_IRQ"),
    ("adc", "VREFINT_CHANNEL"): (17, "RM0383 11.3.3"),
    ("adc", "_CR1_MODELLED"): (1 << 5 | 1 << 8 | 3 << 24 | 1 << 26, "EOCIE, SCAN, RES, OVRIE"),
    ("adc", "_CR2_MODELLED"): (0x4000_0F03, "SWSTART, ALIGN, EOCS, DDS, DMA, CONT, ADON"),
    ("dma", "_UNMODELLED_CR"): (0x01E4_8220, "PFCTRL, PINC, PINCOS, DBM, PBURST, MBURST"),
    ("dma", "_TEIF"): (1 << 3, "SVD, LISR.TEIF0"),
    ("dma", "_HTIF"): (1 << 4, "SVD, LISR.HTIF0"),
    ("dma", "_TCIF"): (1 << 5, "SVD, LISR.TCIF0"),
    ("dma", "_FIFO_EMPTY"): (0b100 << 3, "RM0383 9.5.10: FS"),
    ("exti", "_LINES"): ((1 << 23) - 1, "RM0383 10.1: 23 lines"),
    ("flash_ctrl", "_IRQ"): (4, "RM0383 table 37"),
    ("flash_ctrl", "_ROW"): (16, "RM0383 3.5.4: 128 bits"),
    ("gpio", "INPUT"): (0b00, "RM0383 8.4.1: MODER"),
    ("gpio", "OUTPUT"): (0b01, "RM0383 8.4.1"),
    ("gpio", "ALTERNATE"): (0b10, "RM0383 8.4.1"),
    ("gpio", "ANALOG"): (0b11, "RM0383 8.4.1"),
    ("i2c", "_CR1_MODELLED"): (0x8F01, "SWRST, POS, ACK, STOP, START, PE"),
    ("i2c", "_ERRORS"): (0xDF00, "SMBALERT, TIMEOUT, PECERR, OVR, AF, ARLO, BERR"),
    ("iwdg", "_RELOAD"): (0xAAAA, "RM0383 15.4.1"),
    ("iwdg", "_UNLOCK"): (0x5555, "RM0383 15.4.1"),
    ("iwdg", "_START"): (0xCCCC, "RM0383 15.4.1"),
    ("iwdg", "_UPDATE_CYCLES"): (5, "RM0383 15.4.4: up to 5 RC cycles"),
    ("rcc", "HSI_HZ"): (16_000_000, "DS10314, HSI oscillator characteristics"),
    ("rcc", "LSI_HZ"): (32_000, "DS10314, LSI oscillator characteristics"),
    ("rcc", "_DCKCFGR"): (0x8C, "RM0383 6.3.24; not on the STM32F405"),
    ("spi", "_CR1_MODELLED"): (0x37F, "SSM, SSI, SPE, BR, MSTR, CPOL, CPHA"),
    ("spi", "_CR2_MODELLED"): (0xE3, "TXEIE, RXNEIE, ERRIE, TXDMAEN, RXDMAEN"),
    ("usart", "_NE"): (1 << 2, "SVD, SR.NF"),
    ("usart", "_ERRORS"): (0b1110, "ORE, NF, FE"),
    ("usart", "_CR1_MODELLED"): (0xB0FC, "OVER8, UE, M, TXEIE, TCIE, RXNEIE, IDLEIE, TE, RE"),
    ("usart", "_CR2_MODELLED"): (0b11 << 12, "STOP"),
    ("usart", "_CR3_MODELLED"): (0x8C1, "ONEBIT, DMAT, DMAR, EIE"),
    ("usart", "_RUN"): (32, "of the model: bytes moved at once"),
}

# names of the models -> SVD, and registers that the SVD lacks
NAMES = {"ADC_common": "C_ADC", "DBGMCU": "DBG", "SysTick": "SYSTICK"}
CORE_BLOCKS = {  # PM0214 4.6; ARMv7-M Architecture Reference Manual C1.6, C1.8
    "FPU": {0xE000EF00, *range(0xE000EF34, 0xE000EF48, 4)},
    "DCB": set(range(0xE000EDF0, 0xE000EE00, 4)),
    "DWT": set(range(0xE0001000, 0xE000101C, 4)),
}
EXTRA = {
    0x4002_388C: "RCC_DCKCFGR, RM0383 6.3.24",
    0x4000_4C18: "UART4_GTPR: storage of the model, not on the chip",
    0x4000_5018: "UART5_GTPR: storage of the model, not on the chip",
    0xE000_ED3C: "SCB_AFSR, PM0214 4.4.17",
    0xE000_ED88: "SCB_CPACR, PM0214 4.6.1",
    0xE000_ED90: "MPU_TYPER, PM0214 4.2.5",
}


def constants(name: str) -> dict[str, int]:
    """The whole numbers that a module of models defines itself, in capitals."""
    module = importlib.import_module(f"virtual_board.peripherals.{name}")
    assert module.__file__ is not None
    tree = ast.parse(Path(module.__file__).read_text())
    targets = [t for s in tree.body if isinstance(s, ast.Assign) for t in s.targets]
    names = {n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)}
    return {n: getattr(module, n) for n in names if n.isupper() and isinstance(getattr(module, n), int)}


def known(name: str, constant: str) -> set[int]:
    """What a constant may be: the offset of the register of that name, the mask of a field of that name."""
    if (name, constant) in OTHERS:
        return {OTHERS[name, constant][0]}
    if name in NOT_IN_THE_SVD:
        return {value for other, value in NOT_IN_THE_SVD[name].items() if other == constant}
    wanted = constant.strip("_")
    device = reference.device()
    found: set[int] = set()
    for peripheral in MODULES[name]:
        base = device.bases.get(peripheral, 0xE000_E000)
        for register, description in device.registers[peripheral].items():
            if register.upper() == wanted:
                found.add(description.address - base)
            found |= {f.mask for field, f in description.fields.items() if field.upper() == wanted}
    return found


def wrong(name: str, found: Mapping[str, int]) -> list[str]:
    """The constants of a module that are not as the vendor says, or that nothing is known of."""
    return sorted(constant for constant, value in found.items() if value not in known(name, constant))


def modules_with_constants() -> set[str]:
    (folder,) = peripherals.__path__
    names = {path.stem for path in Path(folder).glob("*.py")} - {"__init__"}
    return {name for name in names if constants(name)}


def test_every_module_that_has_constants_is_compared() -> None:
    assert modules_with_constants() == MODULES.keys() | NOT_IN_THE_SVD.keys()


@pytest.mark.parametrize("name", [*MODULES, *NOT_IN_THE_SVD])
def test_offsets_and_bits_are_as_the_vendor_says(name: str) -> None:
    assert wrong(name, constants(name)) == []


def test_no_table_entry_has_outlived_its_constant() -> None:
    assert [key for key in OTHERS if key[1] not in constants(key[0])] == []


def test_a_wrong_bit_a_wrong_offset_and_an_unknown_name_are_found_out() -> None:
    found = {**constants("usart"), "_TXE": 1 << 6, "_CR3": 0x10, "_NEW": 1}
    assert wrong("usart", found) == ["_CR3", "_NEW", "_TXE"]


def blocks(part: Part) -> list[Peripheral]:
    made = chip.Chip(part, hse_hz=8_000_000, seed=1, uid=bytes(12))
    parts = [*made.resettable, *made.debug_blocks, made.rcc]
    assert {type(block) for block in made.bus._pages.values()} == {type(block) for block in parts}
    return parts


@pytest.mark.parametrize("part", [STM32F405, STM32F411], ids=lambda part: part.name)
def test_every_register_of_a_model_is_one_of_the_chip(part: Part) -> None:
    device = reference.device()
    for block in blocks(part):
        name = NAMES.get(block.name, block.name)
        there = CORE_BLOCKS.get(name) or {register.address for register in device.registers[name].values()}
        modelled = {block.base + offset for offset in {*block.reset_values, *block.readers, *block.writers}}
        assert modelled, name
        missing = {hex(address) for address in modelled - there - EXTRA.keys()}
        assert not missing, f"{name} has no register at {missing}"
        if name in device.bases:
            assert block.base == device.bases[name], name


def test_interrupts_and_clock_gates_are_as_the_vendor_says() -> None:
    device = reference.device()
    rcc = device.registers["RCC"]
    gates = {chip.APB1ENR: "APB1ENR", chip.APB2ENR: "APB2ENR", chip.AHB1ENR: "AHB1ENR"}
    for offset, name in gates.items():
        assert rcc[name].address == device.bases["RCC"] + offset
    for name, (base, irq, enable, bit) in {**chip._USARTS, **chip._SPIS}.items():
        assert (base, irq) == (device.bases[name], device.interrupts[f"{name}_IRQ"])
        assert rcc[gates[enable]].fields[f"{name}EN"].position == bit
    for name, (base, irqs, bit) in chip._I2CS.items():
        assert (base, *irqs) == (
            device.bases[name],
            *(device.interrupts[f"{name}_{kind}_IRQ"] for kind in ("EV", "ER")),
        )
        assert rcc["APB1ENR"].fields[f"{name}EN"].position == bit
    for name, (base, irq, bit, _) in chip._TIMERS.items():
        assert (base, irq) == (device.bases[name], device.interrupts[f"{name}_IRQ"])
        assert rcc["APB1ENR"].fields[f"{name}EN"].position == bit
    for index, streams in dma._IRQS.items():
        assert streams == tuple(device.interrupts[f"DMA{index}_Stream{stream}_IRQ"] for stream in range(8))
    shifts = tuple(device.registers["DMA1"]["LISR"].fields[f"FEIF{stream}"].position for stream in range(4))
    assert shifts == dma._FLAG_SHIFT
