"""The port's SPI controller on a virtual board with an LSM6DSO: the real file, around it as little as it needs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from virtual_board import VirtualBoard
from virtual_board.testing import Probe, compile_program

FIRMWARE = Path(__file__).resolve().parents[2] / "firmware"
PORT = FIRMWARE / "port" / "stm32f4"
ENVIRONMENT = f"""
#include "{PORT}/gpio.c"
#include "{PORT}/spi.c"
static struct hal_system chip = {{.clock_hz = 16000000u}};
static const struct clocks clocks = {{.apb1_hz = 16000000u, .apb2_hz = 16000000u}};
const struct hal_system *hal_system(void) {{ return &chip; }}
const struct clocks *port_clocks(void) {{ return &clocks; }}
uint32_t hal_irq_save(void) {{ return 0; }}
void hal_irq_restore(uint32_t state) {{ (void)state; }}
static volatile uint32_t now_us;
uint64_t hal_time_us(void) {{ return now_us; }}
_Noreturn void assert_failed(void) {{ OUT[200] = 1; for (;;) {{}} }}
void exception_72(void) {{ spi_dma_isr(); }} /* DMA2 stream 0 */
void exception_30(void) {{ spi_dma_isr(); }} /* DMA1 stream 3 */

static volatile bool ended;
static volatile enum transfer_status status;
static void done(void *context, enum transfer_status s) {{ (void)context; status = s; ended = true; }}
static uint8_t data[1024];
static struct transfer transfer;
static bool begin_transfer(bool read, uint8_t reg, uint16_t size)
{{
    transfer = (struct transfer){{.reg = reg, .size = size, .read = read, .data = data, .done = done}};
    ended = false;
    return hal_spi_start(&transfer);
}}
__attribute__((unused)) static bool run(bool read, uint8_t reg, uint16_t size)
{{
    if (!begin_transfer(read, reg, size)) return false;
    while (!ended) WFI();
    return status == TRANSFER_OK;
}}
static void begin(void)
{{
    chip.emulated = false; /* RAM holds noise until written */
    chip.clock_hz = 16000000u;
    bus.transfer = NULL;
    bus.errors.timeout = 0;
    now_us = 0;
    RCC->AHB1ENR |= 2; /* the supply of the Netduino's header: PB2 */
    if (NETDUINO) gpio_output('B', 2, false, true);
    OUT[0] = hal_spi_open();
    for (volatile unsigned i = 0; i < 30000; i++) {{}} /* the device boots for 10 ms */
}}
"""
Start = Callable[..., Probe]


@pytest.fixture
def board(tmp_path_factory: pytest.TempPathFactory) -> Start:
    def start(
        body: str, *, name: str = "nucleo_f411re", milliseconds: float = 60, parts: tuple[str, ...] = ()
    ) -> Probe:
        netduino = int(name == "netduinoplus2")
        source = f"#define NETDUINO {netduino}\n{ENVIRONMENT}\nint main(void) {{ begin();\n{body}\nreturn 0; }}\n"
        folders = (FIRMWARE, PORT, FIRMWARE / "boards" / name)
        elf = compile_program(source, tmp_path_factory.mktemp("program"), include=folders)
        probe = Probe(VirtualBoard(elf, board=name, spi=parts or ("lsm6dso",), noise=False))
        probe.pass_us(milliseconds * 1000)
        assert probe.out(200) != 1, "an assertion failed"
        assert not probe.board.violations
        assert not probe.board.unmodelled
        assert not probe.board.unclocked
        return probe

    return start


@pytest.mark.parametrize("name", ["nucleo_f411re", "blackpill_f411ce", "netduinoplus2"])
def test_registers_are_written_and_read_on_every_board(board: Start, name: str) -> None:
    probe = board(
        """
        OUT[1] = run(true, 0x0F, 1) ? data[0] : 0;
        data[0] = 0x50; data[1] = 0x5C;
        OUT[2] = run(false, 0x10, 2);
        data[0] = data[1] = 0;
        OUT[3] = run(true, 0x10, 2) ? data[0] | data[1] << 8 : 0;
        OUT[4] = hal_spi_rate();
        OUT[5] = hal_spi_errors().timeout;
        """,
        name=name,
    )
    assert [probe.out(n) for n in range(6)] == [1, 0x6C, 1, 0x5C50, 8_000_000, 0]


def test_the_fifo_comes_in_one_burst(board: Start) -> None:
    """66 samples of both sensors: 132 words of 7 bytes."""
    probe = board(
        """
        gpio_input(BOARD_DATA_READY_SPI, GPIO_FLOATING);
        data[0] = 132; data[1] = 0; run(false, 0x07, 2);
        data[0] = 0xAA; data[1] = 0x06; run(false, 0x09, 2);
        data[0] = 0x08; run(false, 0x0D, 1);
        data[0] = data[1] = 0xA0; run(false, 0x10, 2);
        while (!gpio_read(BOARD_DATA_READY_SPI)) {}
        OUT[1] = run(true, 0x78, 7 * 132);
        unsigned words = 0;
        for (unsigned i = 0; i < 132; i++) words += (data[7 * i] >> 3) == (i & 1 ? 2u : 1u);
        OUT[2] = words;
        """,
    )
    assert probe.out(1) == 1
    assert probe.out(2) == 132


def test_a_second_transfer_is_refused_while_one_is_under_way(board: Start) -> None:
    probe = board(
        """
        static struct transfer second;
        second = (struct transfer){.reg = 0x0F, .size = 1, .read = true, .data = data + 8, .done = done};
        OUT[1] = begin_transfer(true, 0x0F, 4);
        OUT[2] = hal_spi_start(&second);
        while (!ended) WFI();
        OUT[3] = data[0];
        OUT[4] = hal_spi_start(&second);
        """
    )
    assert [probe.out(n) for n in range(1, 5)] == [1, 0, 0x6C, 1]


def test_what_does_not_end_is_ended_and_the_next_one_works(board: Start) -> None:
    """The stream that transmits is stopped: no more bytes come."""
    probe = board(
        """
        OUT[1] = begin_transfer(true, 0x0F, 4);
        HW_DMA->S[HW_TX_STREAM].CR = 0;
        now_us = 500; hal_spi_poll(now_us);
        OUT[2] = ended;
        now_us = 5000; hal_spi_poll(now_us);
        OUT[3] = ended; OUT[4] = status;
        OUT[5] = hal_spi_errors().timeout;
        OUT[6] = run(true, 0x0F, 1) ? data[0] : 0;
        """
    )
    assert [probe.out(n) for n in range(1, 7)] == [1, 0, 1, 3, 1, 0x6C]


def test_a_controller_without_a_clock_is_given_up(board: Start) -> None:
    probe = board(
        """
        SPI1->CR1 &= ~SPI_CR1_SPE;
        OUT[1] = begin_transfer(true, 0x0F, 1);
        OUT[2] = hal_spi_errors().timeout;
        OUT[3] = run(true, 0x0F, 1) ? data[0] : 0;
        """
    )
    assert [probe.out(n) for n in range(1, 4)] == [0, 1, 0x6C]


def test_nobody_there_reads_as_ones(board: Start) -> None:
    probe = board("OUT[1] = run(true, 0x0F, 1) ? data[0] : 0;", parts=("nothing",))
    assert probe.out(1) == 0xFF


def test_an_emulator_has_no_spi(board: Start) -> None:
    probe = board("chip.emulated = true; OUT[1] = hal_spi_open();")
    assert probe.out(1) == 0
