"""The port's register definitions agree with the vendor's SVD, and with the manuals where that is silent."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import pytest

from firmware.registers import probe, reference, svd
from firmware.registers.compare import Comparison

PORT = Path(__file__).resolve().parents[2] / "firmware" / "port" / "stm32f4"
HEADER = PORT / "registers.h"


def comparison(header: Path) -> Comparison:
    calls = {name: call for of in reference.CALLS.values() for name, call in of.items()}
    return Comparison(probe.read(header, calls))


def test_every_register_and_constant_is_as_the_vendor_says() -> None:
    assert comparison(HEADER).findings() == []


def test_no_table_entry_has_outlived_its_constant() -> None:
    compared = comparison(HEADER)
    compared.findings()
    assert compared.unused() == set()


def test_the_core_table_agrees_with_what_the_svd_has_of_the_core() -> None:
    vendor = svd.device("STM32F41x").registers["NVIC"]
    shared = vendor.keys() & reference.CORE["NVIC"].keys()
    assert {name[:4] for name in shared} >= {"ISER", "ICER", "ISPR", "ICPR", "IABR", "IPR0"}
    for name in shared:
        assert vendor[name].address == reference.CORE["NVIC"][name].address, name


# What a wrong line in the header leads to.
WRONG = {
    "bit": (
        "RCC_CR_HSERDY        BIT(17)",
        "RCC_CR_HSERDY BIT(16)",
        "RCC_CR_HSERDY is 0x10000; SVD RCC.CR has 0x20000",
    ),
    "offset": (
        "SR, DR, BRR, CR1, CR2, CR3, GTPR",
        "SR, DR, CR1, BRR, CR2, CR3, GTPR",
        "USART2->BRR at 0x4000440C: SVD",
    ),
    "hole": (
        "struct pwr {\n    volatile uint32_t CR,",
        "struct pwr {\n    volatile uint32_t reserved,",
        "SVD has PWR.CR",
    ),
    "base": ("0x40007000u", "0x40007400u", "PWR->CR at 0x40007400: SVD has it at 0x40007000"),
    "base of a row": (
        "0x400u * (uint32_t)",
        "0x800u * (uint32_t)",
        "GPIOB->IDR at 0x40020810: SVD has it at 0x40020410",
    ),
    "position": ("DMA_SxCR_CHSEL_Pos         25u", "DMA_SxCR_CHSEL_Pos 24u", "DMA_SxCR_CHSEL_Pos is 0x18"),
    "value of a field": ("ADC_CCR_ADCPRE_DIV4 (1u << 16)", "ADC_CCR_ADCPRE_DIV4 (1u << 17)", "ADC_CCR_ADCPRE_DIV4 is"),
    "core bit": ("SYSTICK_CTRL_TICKINT   BIT(1)", "SYSTICK_CTRL_TICKINT BIT(2)", "PM0214 4.5.1 SYSTICK.CTRL has 0x2"),
    "core offset": ("SHCSR, CFSR, HFSR, DFSR", "SHCSR, HFSR, CFSR, DFSR", "SCB->CFSR at 0xE000ED2C: PM0214 4.4.10"),
    "interrupt": ("IRQ_USART6 = 71", "IRQ_USART6 = 72", "IRQ_USART6 is 72; SVD has 71"),
    "factory word": ("0x1FFF7A2Cu", "0x1FFF7A2Eu", "FACTORY_TS_CAL1: 2 bytes at 0x1FFF7A2E"),
    "access": ("volatile uint32_t KR, PR", "uint32_t KR, PR", "IWDG->KR at 0x40003000: not volatile"),
    "width": ("volatile uint32_t KR, PR", "volatile uint16_t KR, PR", "IWDG->KR at 0x40003000: 2 bytes; SVD has 4"),
    "unknown bit": (
        "#define RCC_CR_HSEON ",
        "#define RCC_CR_FOO 1u\n#define RCC_CR_HSEON ",
        "RCC_CR_FOO: checked against",
    ),
    "unknown constant": (
        "#define RCC_CR_HSEON ",
        "#define FOO 1u\n#define RCC_CR_HSEON ",
        "FOO: checked against nothing",
    ),
    "unknown register": ("SR, DR, BRR,", "SR, FOO, BRR,", "USART1->FOO at 0x40011004: checked against nothing"),
    "unknown peripheral": (
        "#define DMA2 ",
        "#define FOO ((struct dma *)0x40026400u)\n#define DMA2 ",
        "FOO: checked against",
    ),
    "unknown word": (
        "#define FACTORY_UID ",
        "#define FOO ((uint32_t *)4)\n#define FACTORY_UID ",
        "FOO: checked against",
    ),
    "unknown interrupt": ("IRQ_USART6 = 71,", "IRQ_USART6 = 71, IRQ_FOO = 72,", "IRQ_FOO: checked against nothing"),
    "unknown macro": ("#define BIT(n)", "#define FOO(n) n\n#define BIT(n)", "FOO(): checked against nothing"),
    "unused structure": (
        "struct iwdg {",
        "struct foo {\n    int x;\n};\nstruct iwdg {",
        "struct foo: nothing points to it",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_header_is_found_out(kind: str, tmp_path: Path) -> None:
    """The negative control of this file."""
    right, wrong, finding = WRONG[kind]
    text = HEADER.read_text()
    assert text.count(right) == 1
    header = tmp_path / "registers.h"
    header.write_text(text.replace(right, wrong))
    findings = comparison(header).findings()
    assert any(finding in found for found in findings), findings


def test_the_flags_of_every_dma_stream_are_where_the_vendor_has_them(tmp_path: Path) -> None:
    """dma.h shifts the flags of stream 0; it is plain C, so this machine can run it."""
    source = tmp_path / "dma.c"
    source.write_text(
        """#include "dma.h"
unsigned shift(unsigned stream);
unsigned shift(unsigned stream) { return dma_flag_shift(stream); }
"""
    )
    library = tmp_path / "dma.so"
    subprocess.run(["gcc", "-shared", "-fPIC", f"-I{PORT}", str(source), "-o", str(library)], check=True)
    shift = ctypes.CDLL(str(library)).shift
    registers = reference.device().registers["DMA1"]
    for stream in range(8):
        status, clear = ("LISR", "LIFCR") if stream < 4 else ("HISR", "HIFCR")
        for flag in ("FEIF", "DMEIF", "TEIF", "HTIF", "TCIF"):
            first = registers["LISR"].fields[f"{flag}0"].mask
            assert registers[status].fields[f"{flag}{stream}"].mask == first << shift(stream)
            assert registers[clear].fields[f"C{flag}{stream}"].mask == first << shift(stream)
