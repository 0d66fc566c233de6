/* SPI controller, mode 3, eight bits: the register number by hand, everything else by DMA both ways.
 *
 *     CS low - register number (bit 7: read) - data by DMA - receive stream complete - CS high
 *
 * The receive stream ends last, with the byte that has passed whole; so it alone interrupts, and a write
 * receives too, into a byte that nobody reads. RM0383 20.3, RM0090 28.3. SCK has the quickest edges: the
 * controller samples by the clock that comes back from the pin, which must not lag by an APB cycle (ES0182,
 * ES0287: "Corrupted last bit of data and/or CRC received in Master mode with delayed SCK feedback").
 */
#include "hal/spi.h"

#include "board.h"
#include "clock.h"
#include "dma.h"
#include "gpio.h"
#include "hal/irq.h"
#include "hal/system.h"
#include "hal/time.h"
#include "lib/check.h"
#include "nvic.h"
#include "rcc.h"
#include "registers.h"
#include "stall.h"
#include "vectors.h"

/* RM0383 tables 27 and 28 (RM0090 tables 42 and 43): DMA requests; datasheets: alternate functions. */
#if BOARD_SPI == 1
#define HW            SPI1
#define HW_ENABLE     &RCC->APB2ENR, RCC_APB2ENR_SPI1EN
#define HW_RESET      &RCC->APB2RSTR, RCC_APB2RSTR_SPI1RST
#define HW_CLOCK_HZ   (port_clocks()->apb2_hz)
#define HW_DMA        DMA2
#define HW_DMA_ENABLE RCC_AHB1ENR_DMA2EN
#define HW_RX_STREAM  0
#define HW_TX_STREAM  3
#define HW_CHANNEL    3u
#define HW_RX_IRQ     IRQ_DMA2_STREAM0
#elif BOARD_SPI == 2
#define HW            SPI2
#define HW_ENABLE     &RCC->APB1ENR, RCC_APB1ENR_SPI2EN
#define HW_RESET      &RCC->APB1RSTR, RCC_APB1RSTR_SPI2RST
#define HW_CLOCK_HZ   (port_clocks()->apb1_hz)
#define HW_DMA        DMA1
#define HW_DMA_ENABLE RCC_AHB1ENR_DMA1EN
#define HW_RX_STREAM  3
#define HW_TX_STREAM  4
#define HW_CHANNEL    0u
#define HW_RX_IRQ     IRQ_DMA1_STREAM3
#else
#error "BOARD_SPI: no such SPI in this port"
#endif

#define RATE_MAX_HZ       10000000u /* LSM6DSO, DS12140 table 6 */
#define FUNCTION          5
#define READ              0x80u
#define BYTE_READS        200u                   /* looks at the status during one byte: 1.6 us */
#define STOP_DMA_READS    1000u                  /* a stream ends behind the access under way */
#define TIMEOUT_US(bytes) (1000u + 4u * (bytes)) /* more than twice 1.6 us a byte */

static struct {
    const struct transfer *transfer; /* NULL: idle */
    struct hal_spi_errors errors;
    uint64_t started_us;
    uint32_t divider_exponent; /* SCK is the APB clock / 2^this */
    uint8_t filler;            /* what a read sends */
    uint8_t ignored;           /* what a write receives */
} bus;

static void configure(void)
{
    rcc_pulse(HW_RESET);
    HW->CR1 = SPI_CR1_CPHA | SPI_CR1_CPOL | SPI_CR1_MSTR | (bus.divider_exponent - 1u) << SPI_CR1_BR_Pos |
              SPI_CR1_SSM | SPI_CR1_SSI;
    HW->CR1 |= SPI_CR1_SPE;
}

bool hal_spi_open(void)
{
    if (hal_system()->emulated) {
        return false;
    }
    rcc_enable(HW_ENABLE);
    rcc_enable(&RCC->AHB1ENR, HW_DMA_ENABLE);
    bus.divider_exponent = 1;
    while (HW_CLOCK_HZ >> bus.divider_exponent > RATE_MAX_HZ) {
        bus.divider_exponent++;
    }
    bus.filler = 0;
    configure(); /* first: SCK then rests high as soon as it has the pin */
    gpio_output(BOARD_SPI_CS, false, true);
    gpio_alternate(BOARD_SPI_SCK, FUNCTION, false, GPIO_FLOATING);
    gpio_quickest(BOARD_SPI_SCK);
    gpio_alternate(BOARD_SPI_MISO, FUNCTION, false, GPIO_PULL_UP); /* nobody there reads as 0xFF */
    gpio_alternate(BOARD_SPI_MOSI, FUNCTION, false, GPIO_FLOATING);
    HW_DMA->S[HW_RX_STREAM].PAR = (uint32_t)&HW->DR;
    HW_DMA->S[HW_TX_STREAM].PAR = (uint32_t)&HW->DR;
    nvic_enable(HW_RX_IRQ, PRIORITY_BUS);
    return true;
}

uint32_t hal_spi_rate(void)
{
    return HW_CLOCK_HZ >> bus.divider_exponent;
}

struct hal_spi_errors hal_spi_errors(void)
{
    return bus.errors;
}

static void set_up_streams(const struct transfer *transfer)
{
    struct dma_stream *rx = &HW_DMA->S[HW_RX_STREAM];
    struct dma_stream *tx = &HW_DMA->S[HW_TX_STREAM];
    const uint32_t common = HW_CHANNEL << DMA_SxCR_CHSEL_Pos | DMA_SxCR_PL_HIGH | DMA_SxCR_EN;
    dma_clear(HW_DMA, HW_RX_STREAM);
    dma_clear(HW_DMA, HW_TX_STREAM);
    rx->NDTR = transfer->size;
    tx->NDTR = transfer->size;
    rx->M0AR = (uint32_t)(transfer->read ? transfer->data : &bus.ignored);
    tx->M0AR = (uint32_t)(transfer->read ? &bus.filler : transfer->data);
    __asm volatile("dmb" ::: "memory"); /* what is sent is in memory before DMA reads it */
    rx->CR = common | DMA_SxCR_TCIE | DMA_SxCR_TEIE | (transfer->read ? DMA_SxCR_MINC : 0u);
    tx->CR = common | DMA_SxCR_DIR_TO_PERIPHERAL | (transfer->read ? 0u : DMA_SxCR_MINC);
}

static void stop_stream(unsigned stream)
{
    HW_DMA->S[stream].CR = 0;
    for (uint32_t reads = STOP_DMA_READS; reads != 0 && (HW_DMA->S[stream].CR & DMA_SxCR_EN) != 0; reads--) {
    }
    dma_clear(HW_DMA, stream);
}

/* Everything as after hal_spi_open(), and the device let go of. */
static void abandon(void)
{
    stop_stream(HW_RX_STREAM);
    stop_stream(HW_TX_STREAM);
    gpio_write(BOARD_SPI_CS, true);
    configure();
}

bool hal_spi_start(const struct transfer *transfer)
{
    ASSERT(transfer->size != 0);
    if (bus.transfer != NULL) {
        return false;
    }
    gpio_write(BOARD_SPI_CS, false);
    HW->DR = transfer->read ? transfer->reg | READ : transfer->reg;
    set_up_streams(transfer); /* while the register number passes; they wait for their requests */
    bus.started_us = hal_time_us();
    for (uint32_t reads = BYTE_READS; (HW->SR & SPI_SR_RXNE) == 0; reads--) {
        if (reads == 0) {
            bus.errors.timeout++;
            abandon();
            return false;
        }
    }
    (void)HW->DR;
    bus.transfer = transfer;
    HW->CR2 = SPI_CR2_RXDMAEN | SPI_CR2_TXDMAEN;
    return true;
}

static void finish(enum transfer_status status)
{
    const struct transfer *transfer = bus.transfer;
    bus.transfer = NULL;
    transfer->done(transfer->context, status);
}

void spi_dma_isr(void)
{
    uint32_t flags = dma_flags(HW_DMA, HW_RX_STREAM);
    dma_clear(HW_DMA, HW_RX_STREAM);
    if ((flags & DMA_TEIF) != 0 && bus.transfer != NULL) {
        bus.errors.dma++;
        abandon();
        finish(TRANSFER_TIMEOUT);
    } else if ((flags & DMA_TCIF) != 0 && bus.transfer != NULL) {
        gpio_write(BOARD_SPI_CS, true);
        HW->CR2 = 0;
        finish(TRANSFER_OK);
    }
}

void spi_stalled(uint32_t stalled_us)
{
    bus.started_us += stalled_us;
}

void hal_spi_poll(uint64_t now_us)
{
    uint32_t state = hal_irq_save();
    if (bus.transfer != NULL && now_us > bus.started_us + TIMEOUT_US(bus.transfer->size)) {
        bool gave_up = (dma_flags(HW_DMA, HW_TX_STREAM) & DMA_TEIF) != 0; /* the other one waits for ever */
        bus.errors.dma += gave_up;
        bus.errors.timeout += !gave_up;
        abandon();
        finish(TRANSFER_TIMEOUT);
    }
    hal_irq_restore(state);
}
