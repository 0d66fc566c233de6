/* I2C controller, 400 kHz: interrupts for the address phases, DMA for what is read.
 *
 *     write register:  START -SB-> address -ADDR-> register -BTF-> byte -BTF-> ... -BTF-> STOP
 *     read register:   START -SB-> address -ADDR-> register -BTF->
 *                      START -SB-> address+R -ADDR-> bytes by DMA -TC-> STOP
 *
 * Reception, RM0383 18.3.3 and 18.3.7 (RM0090 27.3.3, 27.3.7):
 *   N >= 2: ACK on, DMA with LAST, so that the controller itself answers the last byte with NACK; STOP at DMA
 * transfer complete. N == 1: DMA is of no use (LAST acts on the byte before the end). ACK off before ADDR is
 * cleared, STOP right after, with all but the stamps masked in between, then RXNE. BTF is cleared by reading
 * DR: it would else stay set, and the interrupt pending, until the start or stop condition is out. BERR in
 * controller mode can be spurious (ES0182, ES0287: "Spurious bus error detection in controller mode"): it is
 * counted and cleared, the transfer goes on; a real one ends in the time-out.
 */
#include "hal/i2c.h"

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

#define RATE_HZ           400000u
#define FUNCTION          4
#define DMA_STREAM        0
#define DMA_CHANNEL       1u
#define STOP_DMA_READS    1000u                   /* a stream ends behind the access under way */
#define TIMEOUT_US(bytes) (1000u + 50u * (bytes)) /* twice 22.5 us a byte, and the addresses */
#define STOP_READS        200u                    /* a stop condition is out after 2 us */
#define HALF_CLOCK_US     5u                      /* of the 100 kHz that free the bus */

enum phase { IDLE, ADDRESS, REGISTER, REPEATED_START, RECEIVE };

static struct {
    const struct transfer *transfer;
    struct hal_i2c_errors errors;
    uint64_t started_us;
    volatile enum phase phase;
    uint8_t sent;
} bus;

/* low : high = 2 : 1; rounded up, so that the bus is never faster than the rate */
static uint32_t clock_divider(void)
{
    return (port_clocks()->apb1_hz + 3u * RATE_HZ - 1u) / (3u * RATE_HZ);
}

static void configure(void)
{
    uint32_t apb1_mhz = port_clocks()->apb1_hz / 1000000u;
    I2C1->CR1 = I2C_CR1_SWRST;
    I2C1->CR1 = 0;
    I2C1->CR2 = apb1_mhz | I2C_CR2_ITERREN | I2C_CR2_ITEVTEN;
    I2C1->CCR = I2C_CCR_FS | clock_divider();
    I2C1->TRISE = apb1_mhz * 300u / 1000u + 1u; /* 300 ns rise time in fast mode */
    I2C1->CR1 = I2C_CR1_PE;
}

static void connect_pins(void)
{
    gpio_alternate(BOARD_I2C_SCL, FUNCTION, true, GPIO_PULL_UP);
    gpio_alternate(BOARD_I2C_SDA, FUNCTION, true, GPIO_PULL_UP);
}

bool hal_i2c_open(void)
{
    if (hal_system()->emulated) {
        return false;
    }
    rcc_enable(&RCC->APB1ENR, RCC_APB1ENR_I2C1EN);
    rcc_enable(&RCC->AHB1ENR, RCC_AHB1ENR_DMA1EN);
    connect_pins();
    configure();
    DMA1->S[DMA_STREAM].PAR = (uint32_t)&I2C1->DR;
    nvic_enable(IRQ_I2C1_EV, PRIORITY_BUS);
    nvic_enable(IRQ_I2C1_ER, PRIORITY_BUS);
    nvic_enable(IRQ_DMA1_STREAM0, PRIORITY_BUS);
    return true;
}

uint32_t hal_i2c_rate(void)
{
    return port_clocks()->apb1_hz / (3u * clock_divider());
}

struct hal_i2c_errors hal_i2c_errors(void)
{
    return bus.errors;
}

bool hal_i2c_start(const struct transfer *transfer)
{
    ASSERT(transfer->size != 0);
    if (bus.phase != IDLE) {
        return false;
    }
    for (uint32_t reads = STOP_READS; (I2C1->CR1 & I2C_CR1_STOP) != 0; reads--) {
        if (reads == 0) {
            return false;
        }
    }
    bus.transfer = transfer;
    bus.started_us = hal_time_us();
    bus.sent = 0;
    bus.phase = ADDRESS;
    I2C1->CR1 = I2C_CR1_PE | I2C_CR1_ACK | I2C_CR1_START;
    return true;
}

static void finish(enum transfer_status status)
{
    bus.phase = IDLE;
    bus.transfer->done(bus.transfer->context, status);
}

static void stop(void)
{
    I2C1->CR1 = I2C_CR1_PE | I2C_CR1_STOP;
}

static void stop_dma(void)
{
    I2C1->CR2 &= ~(I2C_CR2_DMAEN | I2C_CR2_LAST | I2C_CR2_ITBUFEN);
    DMA1->S[DMA_STREAM].CR = 0;
    for (uint32_t reads = STOP_DMA_READS; reads != 0 && (DMA1->S[DMA_STREAM].CR & DMA_SxCR_EN) != 0;
         reads--) {
    }
    dma_clear(DMA1, DMA_STREAM);
}

static void start_reception(void)
{
    if (bus.transfer->size == 1) {
        uint32_t state = hal_irq_save();
        I2C1->CR1 = I2C_CR1_PE; /* ACK off */
        (void)I2C1->SR2;        /* clears ADDR */
        stop();
        hal_irq_restore(state);
        I2C1->CR2 |= I2C_CR2_ITBUFEN;
        return;
    }
    struct dma_stream *stream = &DMA1->S[DMA_STREAM];
    dma_clear(DMA1, DMA_STREAM); /* a stream that was stopped may have flushed since: RM0383 9.3.15 */
    stream->M0AR = (uint32_t)bus.transfer->data;
    stream->NDTR = bus.transfer->size;
    stream->CR = DMA_CHANNEL << DMA_SxCR_CHSEL_Pos | DMA_SxCR_PL_HIGH | DMA_SxCR_MINC | DMA_SxCR_TCIE |
                 DMA_SxCR_TEIE | DMA_SxCR_EN;
    I2C1->CR2 |= I2C_CR2_DMAEN | I2C_CR2_LAST;
    (void)I2C1->SR2; /* clears ADDR: reception starts */
}

static void byte_transferred(void)
{
    (void)I2C1->DR; /* clears BTF */
    if (bus.transfer->read) {
        bus.phase = REPEATED_START;
        I2C1->CR1 = I2C_CR1_PE | I2C_CR1_ACK | I2C_CR1_START;
    } else if (bus.sent < bus.transfer->size) {
        I2C1->DR = bus.transfer->data[bus.sent++];
    } else {
        stop();
        finish(TRANSFER_OK);
    }
}

void i2c_event_isr(void)
{
    uint32_t status = I2C1->SR1;
    switch (bus.phase) {
    case ADDRESS:
        if ((status & I2C_SR1_SB) != 0) {
            I2C1->DR = (uint32_t)bus.transfer->address << 1;
        } else if ((status & I2C_SR1_ADDR) != 0) {
            (void)I2C1->SR2;
            I2C1->DR = bus.transfer->reg;
            bus.phase = REGISTER;
        }
        break;
    case REGISTER:
        if ((status & I2C_SR1_BTF) != 0) {
            byte_transferred();
        }
        break;
    case REPEATED_START:
        if ((status & I2C_SR1_SB) != 0) {
            I2C1->DR = (uint32_t)bus.transfer->address << 1 | 1u;
        } else if ((status & I2C_SR1_ADDR) != 0) {
            bus.phase = RECEIVE;
            start_reception();
        }
        break;
    case RECEIVE:
        if (bus.transfer->size == 1 && (status & I2C_SR1_RXNE) != 0) {
            bus.transfer->data[0] = (uint8_t)I2C1->DR;
            I2C1->CR2 &= ~I2C_CR2_ITBUFEN;
            finish(TRANSFER_OK);
        }
        break;
    default: /* a late event of a transfer that has ended; reading DR clears neither SB nor ADDR */
        (void)I2C1->DR;
        if ((status & (I2C_SR1_SB | I2C_SR1_ADDR)) != 0) {
            configure();
        }
        break;
    }
}

/* The device may be in the middle of a byte: the status has the bus looked at, and clocked if it is held. */
static void abandon(void)
{
    stop_dma();
    configure();
    finish(TRANSFER_TIMEOUT);
}

void i2c_dma_isr(void)
{
    uint32_t flags = dma_flags(DMA1, DMA_STREAM);
    dma_clear(DMA1, DMA_STREAM);
    if ((flags & DMA_TEIF) != 0 && bus.phase == RECEIVE) {
        bus.errors.dma++;
        abandon();
    } else if ((flags & DMA_TCIF) != 0 && bus.phase == RECEIVE) {
        stop();
        I2C1->CR2 &= ~(I2C_CR2_DMAEN | I2C_CR2_LAST);
        finish(TRANSFER_OK);
    }
}

void i2c_error_isr(void)
{
    uint32_t status = I2C1->SR1;
    I2C1->SR1 = ~(status & (I2C_SR1_BERR | I2C_SR1_ARLO | I2C_SR1_AF | I2C_SR1_OVR)) & 0xFFFFu;
    bus.errors.bus += (status & I2C_SR1_BERR) != 0;
    if (bus.phase == IDLE) {
        return;
    }
    if ((status & I2C_SR1_ARLO) != 0) { /* the controller has let go of the bus by itself */
        bus.errors.bus++;
        stop_dma();
        configure(); /* a start condition that waits would come late */
        finish(TRANSFER_ARBITRATION);
    } else if ((status & I2C_SR1_AF) != 0) {
        bus.errors.nack += !bus.transfer->probe;
        stop();
        stop_dma();
        finish(TRANSFER_NACK);
    }
}

void i2c_stalled(uint32_t stalled_us)
{
    bus.started_us += stalled_us;
}

void hal_i2c_poll(uint64_t now_us)
{
    uint32_t state = hal_irq_save();
    if (bus.phase != IDLE && now_us > bus.started_us + TIMEOUT_US(bus.transfer->size)) {
        bus.errors.timeout++;
        abandon();
    }
    hal_irq_restore(state);
}

static void wait_half_clock(void)
{
    uint64_t until_us = hal_time_us() + HALF_CLOCK_US;
    while (hal_time_us() < until_us) {
    }
}

bool hal_i2c_recover(void)
{
    ASSERT(bus.phase == IDLE);
    if (gpio_read(BOARD_I2C_SCL) && gpio_read(BOARD_I2C_SDA)) {
        configure(); /* a controller that hangs by itself */
        return true;
    }
    I2C1->CR1 = 0;
    gpio_output(BOARD_I2C_SDA, true, true);
    gpio_output(BOARD_I2C_SCL, true, true);
    wait_half_clock();
    for (unsigned clock = 0; clock < 9u && !gpio_read(BOARD_I2C_SDA); clock++) {
        gpio_write(BOARD_I2C_SCL, false);
        wait_half_clock();
        gpio_write(BOARD_I2C_SCL, true);
        wait_half_clock();
    }
    /* stop condition: SDA rises while SCL is high */
    gpio_write(BOARD_I2C_SCL, false);
    gpio_write(BOARD_I2C_SDA, false);
    wait_half_clock();
    gpio_write(BOARD_I2C_SCL, true);
    wait_half_clock();
    gpio_write(BOARD_I2C_SDA, true);
    wait_half_clock();
    bool free = gpio_read(BOARD_I2C_SCL) && gpio_read(BOARD_I2C_SDA);
    bus.errors.recoveries += free;
    connect_pins();
    configure();
    return free;
}
