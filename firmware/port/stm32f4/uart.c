/* UART: transmission by DMA (or by interrupt, on an emulator without DMA), reception by interrupt.
 *
 *     hal_uart_send -> [DMA moves the block] -> transfer complete: hal_uart_on_sent
 *         hal_uart_on_sent calls hal_uart_send again: the line has no gap
 *         it does not: wait for TC -> hal_uart_on_drained
 *
 * At transfer complete the last two bytes are still in the data and the shift register. RM0383 19.3,
 * RM0090 30.3.
 */
#include "hal/uart.h"

#include "board.h"
#include "clock.h"
#include "dma.h"
#include "gpio.h"
#include "hal/system.h"
#include "lib/check.h"
#include "nvic.h"
#include "rcc.h"
#include "registers.h"
#include "vectors.h"

/* RM0383 tables 27 and 28 (RM0090 tables 42 and 43): DMA requests; datasheets: alternate functions. */
#if BOARD_UART == 1
#define HW              USART1
#define HW_IRQ          IRQ_USART1
#define HW_CLOCK_ENABLE rcc_enable(&RCC->APB2ENR, RCC_APB2ENR_USART1EN)
#define HW_CLOCK_HZ     (port_clocks()->apb2_hz)
#define HW_FUNCTION     7
#define HW_DMA          DMA2
#define HW_DMA_ENABLE   RCC_AHB1ENR_DMA2EN
#define HW_DMA_STREAM   7
#define HW_DMA_CHANNEL  4u
#define HW_DMA_IRQ      IRQ_DMA2_STREAM7
#elif BOARD_UART == 2
#define HW              USART2
#define HW_IRQ          IRQ_USART2
#define HW_CLOCK_ENABLE rcc_enable(&RCC->APB1ENR, RCC_APB1ENR_USART2EN)
#define HW_CLOCK_HZ     (port_clocks()->apb1_hz)
#define HW_FUNCTION     7
#define HW_DMA          DMA1
#define HW_DMA_ENABLE   RCC_AHB1ENR_DMA1EN
#define HW_DMA_STREAM   6
#define HW_DMA_CHANNEL  4u
#define HW_DMA_IRQ      IRQ_DMA1_STREAM6
#elif BOARD_UART == 6
#define HW              USART6
#define HW_IRQ          IRQ_USART6
#define HW_CLOCK_ENABLE rcc_enable(&RCC->APB2ENR, RCC_APB2ENR_USART6EN)
#define HW_CLOCK_HZ     (port_clocks()->apb2_hz)
#define HW_FUNCTION     8
#define HW_DMA          DMA2
#define HW_DMA_ENABLE   RCC_AHB1ENR_DMA2EN
#define HW_DMA_STREAM   6
#define HW_DMA_CHANNEL  5u
#define HW_DMA_IRQ      IRQ_DMA2_STREAM6
#else
#error "BOARD_UART: no such UART in this port"
#endif

#define OVERSAMPLING 16u

static struct {
    struct hal_uart_errors errors;
    const uint8_t *next; /* interrupt-driven only */
    size_t left;
    volatile bool sending;
    bool dma;
} uart;

static uint32_t divider_for(uint32_t baud)
{
    uint32_t divider = (HW_CLOCK_HZ + baud / 2u) / baud;
    if (divider < OVERSAMPLING || divider > 0xFFFFu) {
        return 0;
    }
    uint32_t actual = HW_CLOCK_HZ / divider;
    uint32_t off = actual > baud ? actual - baud : baud - actual;
    return off <= baud / 100u ? divider : 0;
}

uint32_t hal_uart_open(uint32_t baud)
{
    uint32_t divider = divider_for(baud);
    if (divider == 0) {
        return 0;
    }
    uart.dma = hal_system()->tx_dma;
    gpio_alternate(BOARD_UART_TX, HW_FUNCTION, false, GPIO_FLOATING);
    gpio_alternate(BOARD_UART_RX, HW_FUNCTION, false, GPIO_PULL_UP); /* an open line is silent */
    HW_CLOCK_ENABLE;
    rcc_enable(&RCC->AHB1ENR, HW_DMA_ENABLE);

    HW->BRR = divider; /* mantissa and fraction of 16ths: the divider itself */
    HW->CR3 = uart.dma ? USART_CR3_DMAT : 0u;
    HW->CR1 = USART_CR1_UE | USART_CR1_TE | USART_CR1_RE | USART_CR1_RXNEIE;
    nvic_enable(HW_IRQ, PRIORITY_UART);
    if (uart.dma) {
        HW_DMA->S[HW_DMA_STREAM].PAR = (uint32_t)&HW->DR;
        nvic_enable(HW_DMA_IRQ, PRIORITY_UART);
    }
    return HW_CLOCK_HZ / divider;
}

uint32_t hal_uart_baud_max(void)
{
    return HW_CLOCK_HZ / OVERSAMPLING;
}

void hal_uart_send(const uint8_t *data, size_t n)
{
    ASSERT(!uart.sending && n != 0 && n <= 0xFFFFu);
    uart.sending = true;
    if (uart.dma) {
        struct dma_stream *stream = &HW_DMA->S[HW_DMA_STREAM];
        dma_clear(HW_DMA, HW_DMA_STREAM);
        HW->SR = ~USART_SR_TC; /* RM0383 19.3.13: cleared before the transfer starts */
        stream->M0AR = (uint32_t)data;
        stream->NDTR = n;
        __asm volatile("dmb" ::: "memory"); /* the block is in memory before DMA reads it */
        stream->CR = HW_DMA_CHANNEL << DMA_SxCR_CHSEL_Pos | DMA_SxCR_MINC | DMA_SxCR_DIR_TO_PERIPHERAL |
                     DMA_SxCR_TCIE | DMA_SxCR_TEIE | DMA_SxCR_EN;
    } else {
        uart.next = data;
        uart.left = n;
        HW->CR1 |= USART_CR1_TXEIE;
        nvic_pend(HW_IRQ); /* an emulator may look at TXEIE only when the data register is written */
    }
}

bool hal_uart_drained(void)
{
    return !uart.sending && (HW->SR & USART_SR_TC) != 0;
}

struct hal_uart_errors hal_uart_errors(void)
{
    return uart.errors;
}

static void block_sent(void)
{
    uart.sending = false;
    hal_uart_on_sent();
    if (!uart.sending) {
        HW->CR1 |= USART_CR1_TCIE;
    }
}

void uart_dma_isr(void)
{
    uint32_t flags = dma_flags(HW_DMA, HW_DMA_STREAM);
    dma_clear(HW_DMA, HW_DMA_STREAM);
    ASSERT((flags & DMA_TEIF) == 0); /* a transfer error means a wrong address */
    if ((flags & DMA_TCIF) != 0) {
        block_sent();
    }
}

static void receive(uint32_t status)
{
    /* reading SR, then DR, clears all of these */
    uint8_t byte = (uint8_t)HW->DR;
    uart.errors.overrun += (status & USART_SR_ORE) != 0;
    uart.errors.framing += (status & USART_SR_FE) != 0;
    uart.errors.noise += (status & USART_SR_NF) != 0;
    if ((status & USART_SR_RXNE) != 0) {
        hal_uart_on_byte(byte);
    }
}

void uart_isr(void)
{
    uint32_t status = HW->SR;
    uint32_t enabled = HW->CR1;
    if ((status & (USART_SR_RXNE | USART_SR_ORE)) != 0) {
        receive(status);
    }
    if ((enabled & USART_CR1_TXEIE) != 0) {
        while (uart.left != 0 && (HW->SR & USART_SR_TXE) != 0) {
            HW->DR = *uart.next++;
            uart.left--;
        }
        if (uart.left == 0) {
            HW->CR1 &= ~USART_CR1_TXEIE;
            block_sent();
        }
    }
    if ((enabled & USART_CR1_TCIE) != 0 && (status & USART_SR_TC) != 0) {
        HW->CR1 &= ~USART_CR1_TCIE;
        if (!uart.sending) {
            hal_uart_on_drained();
        }
    }
}
