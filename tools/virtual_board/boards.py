"""The boards: data only. docs/wiring.md has the same for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .parts import STM32F405, STM32F411, Part


@dataclass(frozen=True)
class BoardSpec:
    """What is soldered and wired to the microcontroller. A pin is written `PA2`."""

    name: str
    part: Part
    hse_hz: int
    uart: str
    uart_tx: str
    uart_rx: str
    uart_alternate: int
    i2c: str
    scl: str
    sda: str
    i2c_alternate: int
    data_ready: str
    spi: str
    sck: str
    miso: str
    mosi: str
    spi_alternate: int
    chip_select: str
    data_ready_spi: str
    sensor_power: str | None = None
    """Pin that has to be high for the sensor to have power."""


BOARDS: Mapping[str, BoardSpec] = {
    spec.name: spec
    for spec in (
        BoardSpec(
            name="nucleo_f411re",
            part=STM32F411,
            hse_hz=8_000_000,  # MCO of the ST-LINK (UM1724 6.7.1)
            uart="USART2",
            uart_tx="PA2",
            uart_rx="PA3",
            uart_alternate=7,
            i2c="I2C1",
            scl="PB8",
            sda="PB9",
            i2c_alternate=4,
            data_ready="PB0",
            spi="SPI1",
            sck="PA5",
            miso="PA6",
            mosi="PA7",
            spi_alternate=5,
            chip_select="PB6",
            data_ready_spi="PC7",
        ),
        BoardSpec(
            name="blackpill_f411ce",
            part=STM32F411,
            hse_hz=25_000_000,
            uart="USART1",
            uart_tx="PA9",
            uart_rx="PA10",
            uart_alternate=7,
            i2c="I2C1",
            scl="PB6",
            sda="PB7",
            i2c_alternate=4,
            data_ready="PB0",
            spi="SPI2",
            sck="PB13",
            miso="PB14",
            mosi="PB15",
            spi_alternate=5,
            chip_select="PB12",
            data_ready_spi="PB1",
        ),
        BoardSpec(
            name="netduinoplus2",
            part=STM32F405,
            hse_hz=25_000_000,
            uart="USART6",
            uart_tx="PC6",
            uart_rx="PC7",
            uart_alternate=8,
            i2c="I2C1",
            scl="PB6",
            sda="PB7",
            i2c_alternate=4,
            data_ready="PA0",
            spi="SPI2",
            sck="PB13",
            miso="PB14",
            mosi="PB15",
            spi_alternate=5,
            chip_select="PB10",
            data_ready_spi="PA6",
            sensor_power="PB2",
        ),
    )
}
