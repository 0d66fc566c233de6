"""What differs between the microcontrollers, from their data sheets (DS10314 STM32F411xC/xE, DS8626 STM32F405xx) and
manuals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """One microcontroller."""

    name: str
    flash_kib: int
    sram_kib: int
    ccm_kib: int
    interrupts: int
    idcode: int
    vco_hz: tuple[int, int]
    scales: Mapping[int, tuple[int, int]]
    """PWR_CR.VOS value: (scale, highest HCLK in Hz)."""
    pwr_cr_reset: int
    vos_mask: int
    scale_needs_pll: bool
    """Without the PLL it is the lowest scale whatever VOS says, and VOSRDY is 0."""
    wait_state_hz: tuple[int, ...]
    """Highest HCLK for 0, 1, 2, ... wait states at 2.7 to 3.6 V."""
    max_apb1_hz: int
    max_apb2_hz: int
    ports: str
    usarts: tuple[str, ...]
    temperature_channel: int
    bootloader_pins: tuple[tuple[str, str], ...]
    """TX and RX of the USARTs on which the ROM listens (AN2606)."""

    def voltage_scale(self, pwr_cr: int) -> int:
        """The scale that PWR_CR selects; 1 is the fastest."""
        return self.scales.get(pwr_cr >> 14 & self.vos_mask, (3, 0))[0]

    def max_hclk(self, scale: int) -> int:
        """Highest HCLK at a voltage scale."""
        return next((hz for number, hz in self.scales.values() if number == scale), 0)

    def wait_states(self, hclk_hz: int) -> int:
        """Flash wait states that this HCLK needs."""
        return sum(hclk_hz > limit for limit in self.wait_state_hz)


STM32F411 = Part(
    name="STM32F411xE",
    flash_kib=512,
    sram_kib=128,
    ccm_kib=0,
    interrupts=86,
    idcode=0x1000_6431,
    vco_hz=(100_000_000, 432_000_000),
    scales={1: (3, 64_000_000), 2: (2, 84_000_000), 3: (1, 100_000_000)},  # RM0383 5.4.1
    pwr_cr_reset=0x8000,
    vos_mask=3,
    scale_needs_pll=True,  # RM0383 5.4.1
    wait_state_hz=(30_000_000, 64_000_000, 90_000_000),  # RM0383 table 5
    max_apb1_hz=50_000_000,
    max_apb2_hz=100_000_000,
    ports="ABCDEH",
    usarts=("USART1", "USART2", "USART6"),
    temperature_channel=18,
    bootloader_pins=(("PA9", "PA10"), ("PD5", "PD6")),
)

STM32F405 = Part(
    name="STM32F405xG",
    flash_kib=1024,
    sram_kib=128,
    ccm_kib=64,
    interrupts=82,
    idcode=0x1007_6413,
    vco_hz=(100_000_000, 432_000_000),
    scales={0: (2, 144_000_000), 1: (1, 168_000_000)},  # RM0090 5.4.1
    pwr_cr_reset=0x4000,
    vos_mask=1,
    scale_needs_pll=False,
    wait_state_hz=(30_000_000, 60_000_000, 90_000_000, 120_000_000, 150_000_000),  # RM0090 table 10
    max_apb1_hz=42_000_000,
    max_apb2_hz=84_000_000,
    ports="ABCDEFGHI",
    usarts=("USART1", "USART2", "USART3", "UART4", "UART5", "USART6"),
    temperature_channel=16,
    bootloader_pins=(("PA9", "PA10"), ("PB10", "PB11"), ("PC10", "PC11")),
)
