/* UART by DMA in both directions; by interrupts on an emulator without DMA. RM0383 19.3, RM0090 30.3.
 *
 *     hal_uart_send -> [DMA moves the block] -> transfer complete: hal_uart_on_sent
 *         hal_uart_on_sent calls hal_uart_send again: the line has no gap
 *         it does not: wait for TC -> hal_uart_on_drained
 *
 * At transfer complete the last two bytes are still in the data and the shift register.
 *
 *     line  [ring, written by DMA for ever] -> half, end of the ring, line idle: hal_uart_on_received
 *
 * Idle is seen one character after the last stop bit, and not again before another character (19.6.1).
 *
 * Priorities: USART and reception stamp at 0; what transmission has to say comes at the UART's own, from the
 * interrupt of its DMA stream, which the USART's pends by software.
 */
#include "hal/uart.h"

#include "board.h"
#include "clock.h"
#include "dma.h"
#include "gpio.h"
#include "hal/system.h"
#include "hal/time.h"
#include "lib/check.h"
#include "nvic.h"
#include "rcc.h"
#include "registers.h"
#include "stall.h"
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
#define HW_DMA_CHANNEL  4u
#define HW_TX_STREAM    7
#define HW_TX_IRQ       IRQ_DMA2_STREAM7
#define HW_RX_STREAM    5
#define HW_RX_IRQ       IRQ_DMA2_STREAM5
#elif BOARD_UART == 2
#define HW              USART2
#define HW_IRQ          IRQ_USART2
#define HW_CLOCK_ENABLE rcc_enable(&RCC->APB1ENR, RCC_APB1ENR_USART2EN)
#define HW_CLOCK_HZ     (port_clocks()->apb1_hz)
#define HW_FUNCTION     7
#define HW_DMA          DMA1
#define HW_DMA_ENABLE   RCC_AHB1ENR_DMA1EN
#define HW_DMA_CHANNEL  4u
#define HW_TX_STREAM    6
#define HW_TX_IRQ       IRQ_DMA1_STREAM6
#define HW_RX_STREAM    5
#define HW_RX_IRQ       IRQ_DMA1_STREAM5
#elif BOARD_UART == 6
#define HW              USART6
#define HW_IRQ          IRQ_USART6
#define HW_CLOCK_ENABLE rcc_enable(&RCC->APB2ENR, RCC_APB2ENR_USART6EN)
#define HW_CLOCK_HZ     (port_clocks()->apb2_hz)
#define HW_FUNCTION     8
#define HW_DMA          DMA2
#define HW_DMA_ENABLE   RCC_AHB1ENR_DMA2EN
#define HW_DMA_CHANNEL  5u
#define HW_TX_STREAM    6
#define HW_TX_IRQ       IRQ_DMA2_STREAM6
#define HW_RX_STREAM    1
#define HW_RX_IRQ       IRQ_DMA2_STREAM1
#else
#error "BOARD_UART: no such UART in this port"
#endif

#define OVERSAMPLING       16u
#define BITS_PER_CHARACTER 10u
#define FIRST_BYTE_READS   16u /* DMA takes some cycles to write it */

static struct {
    struct hal_uart_errors errors;
    volatile uint8_t *ring;
    uint32_t ring_size;
    volatile uint32_t received; /* bytes, at the last hal_uart_on_received(); in the ring at their number */
    uint32_t character_us;
    const uint8_t *next; /* interrupt-driven only */
    size_t left;
    volatile bool sending;
    volatile bool drained; /* seen by the USART's interrupt, not yet told */
    uint32_t rx_dma_errors;
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

static uint32_t set_divider(uint32_t divider)
{
    uint32_t actual = HW_CLOCK_HZ / divider;
    HW->BRR = divider; /* mantissa and fraction of 16ths: the divider itself */
    uart.character_us = (BITS_PER_CHARACTER * 1000000u + actual / 2u) / actual;
    return actual;
}

/* From `left` bytes in front of the ring's end: round and round where that is all of it, else up to the end.
 */
static void start_reception(uint32_t left)
{
    struct dma_stream *rx = &HW_DMA->S[HW_RX_STREAM];
    uint32_t circular = left == uart.ring_size ? DMA_SxCR_CIRC : 0u;
    rx->M0AR = (uint32_t)uart.ring + (uart.ring_size - left);
    rx->NDTR = left;
    rx->CR = HW_DMA_CHANNEL << DMA_SxCR_CHSEL_Pos | DMA_SxCR_PL_HIGH | DMA_SxCR_MINC | circular |
             DMA_SxCR_HTIE | DMA_SxCR_TCIE | DMA_SxCR_TEIE | DMA_SxCR_EN;
}

static void start_dma(void)
{
    HW_DMA->S[HW_TX_STREAM].PAR = (uint32_t)&HW->DR;
    HW_DMA->S[HW_RX_STREAM].PAR = (uint32_t)&HW->DR;
    start_reception(uart.ring_size);
    HW->CR3 = USART_CR3_DMAT | USART_CR3_DMAR | USART_CR3_EIE;
    HW->CR1 = USART_CR1_UE | USART_CR1_TE | USART_CR1_RE | USART_CR1_IDLEIE;
    nvic_enable(HW_IRQ, PRIORITY_STAMP);
    nvic_enable(HW_RX_IRQ, PRIORITY_STAMP);
    nvic_enable(HW_TX_IRQ, PRIORITY_UART);
}

uint32_t hal_uart_open(uint32_t baud, volatile uint8_t *ring, size_t size)
{
    ASSERT(size >= 2 && size <= 0x8000u && (size & (size - 1u)) == 0);
    uint32_t divider = divider_for(baud);
    if (divider == 0) {
        return 0;
    }
    uart.dma = hal_system()->tx_dma;
    uart.ring = ring;
    uart.ring_size = size;
    gpio_alternate(BOARD_UART_TX, HW_FUNCTION, false, GPIO_FLOATING);
    gpio_alternate(BOARD_UART_RX, HW_FUNCTION, false, GPIO_PULL_UP); /* an open line is silent */
    HW_CLOCK_ENABLE;
    rcc_enable(&RCC->AHB1ENR, HW_DMA_ENABLE);
    uint32_t actual = set_divider(divider);
    if (uart.dma) {
        start_dma();
    } else {
        HW->CR1 = USART_CR1_UE | USART_CR1_TE | USART_CR1_RE | USART_CR1_RXNEIE;
        nvic_enable(HW_IRQ, PRIORITY_UART);
    }
    return actual;
}

uint32_t hal_uart_actual(uint32_t baud)
{
    uint32_t divider = divider_for(baud);
    return divider != 0 ? HW_CLOCK_HZ / divider : 0;
}

void hal_uart_set_baud(uint32_t baud)
{
    uint32_t divider = divider_for(baud);
    ASSERT(divider != 0);
    (void)set_divider(divider); /* a character that comes in right now is damaged, and refused as such */
}

uint32_t hal_uart_baud_max(void)
{
    return HW_CLOCK_HZ / OVERSAMPLING;
}

struct hal_uart_errors hal_uart_errors(void)
{
    struct hal_uart_errors errors = uart.errors;
    errors.dma += uart.rx_dma_errors;
    return errors;
}

/* ---- transmission */

/* TC is cleared behind the first byte: DMA's write does not clear it, and before it (RM0383 19.3.13) the
 * block in front may still set it. Masked, for that has to be over within a character. */
static void send_dma(const uint8_t *data, size_t n)
{
    struct dma_stream *stream = &HW_DMA->S[HW_TX_STREAM];
    dma_clear(HW_DMA, HW_TX_STREAM);
    stream->M0AR = (uint32_t)data;
    stream->NDTR = n;
    __asm volatile("dmb" ::: "memory"); /* the block is in memory before DMA reads it */
    uint32_t state = primask_save();
    stream->CR = HW_DMA_CHANNEL << DMA_SxCR_CHSEL_Pos | DMA_SxCR_MINC | DMA_SxCR_DIR_TO_PERIPHERAL |
                 DMA_SxCR_TCIE | DMA_SxCR_TEIE | DMA_SxCR_EN;
    for (uint32_t reads = FIRST_BYTE_READS; reads != 0 && stream->NDTR == n && (HW->SR & USART_SR_TXE) != 0;
         reads--) {
    }
    HW->SR = ~USART_SR_TC;
    primask_restore(state);
}

void hal_uart_send(const uint8_t *data, size_t n)
{
    ASSERT(!uart.sending && n != 0 && n <= 0xFFFFu);
    uart.sending = true;
    if (uart.dma) {
        send_dma(data, n);
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

static void block_sent(void)
{
    uart.sending = false;
    hal_uart_on_sent();
    if (!uart.sending) {
        HW->CR1 |= USART_CR1_TCIE;
    }
}

static void tell_drained(void)
{
    if (!uart.sending) {
        hal_uart_on_drained();
    }
}

/* ---- reception */

uint32_t hal_uart_received(void)
{
    uint32_t received = uart.received;
    if (!uart.dma) {
        return received;
    }
    uint32_t at = uart.ring_size - HW_DMA->S[HW_RX_STREAM].NDTR;
    return received + ((at - received) & (uart.ring_size - 1u));
}

static void count_errors(uint32_t status)
{
    uart.errors.overrun += (status & USART_SR_ORE) != 0;
    uart.errors.framing += (status & USART_SR_FE) != 0;
    uart.errors.noise += (status & USART_SR_NF) != 0;
}

static void report_received(uint32_t end_us)
{
    uint32_t received = hal_uart_received();
    uart.received = received;
    hal_uart_on_received(received, end_us);
}

/* At an error the hardware has disabled the stream (RM0383 9.3.18): it goes on where it stopped, so that what
 * has come stays. A circular transfer begins at its base, so the rest of the round is a transfer of its own;
 * at its end there is a character's time to start the next round. */
void uart_rx_dma_isr(void)
{
    uint32_t now_us = (uint32_t)hal_time_us();
    struct dma_stream *rx = &HW_DMA->S[HW_RX_STREAM];
    uint32_t flags = dma_flags(HW_DMA, HW_RX_STREAM);
    dma_clear(HW_DMA, HW_RX_STREAM);
    report_received(now_us);
    if ((rx->CR & DMA_SxCR_EN) == 0) {
        flags |= dma_flags(HW_DMA, HW_RX_STREAM); /* it may have stopped just now */
        dma_clear(HW_DMA, HW_RX_STREAM);
        uint32_t left = rx->NDTR;
        start_reception(left != 0 ? left : uart.ring_size);
    }
    uart.rx_dma_errors += (flags & DMA_TEIF) != 0;
}

void uart_tx_dma_isr(void)
{
    uint32_t flags = dma_flags(HW_DMA, HW_TX_STREAM);
    dma_clear(HW_DMA, HW_TX_STREAM);
    if ((flags & DMA_TEIF) != 0) {
        uart.errors.dma++;
        /* a delimiter for the frame that was cut, which may overwrite its last byte; and TC comes */
        HW->DR = 0;
    }
    if ((flags & (DMA_TCIF | DMA_TEIF)) != 0) {
        block_sent();
    }
    if (uart.drained) {
        uart.drained = false;
        tell_drained();
    }
}

/* Half and end of the ring passed, although the straight way to where DMA is now passes one of them at most:
 * it has gone round at least once, and how often nobody can tell: one is counted, and HEALTH's rx_dropped is
 * a lower bound. Nothing that runs without the core counts DMA's rounds; what a command loses is asked again.
 */
void uart_stalled(void)
{
    const uint32_t marks = DMA_HTIF | DMA_TCIF;
    uint32_t half = uart.ring_size / 2u;
    uint32_t from = uart.received & (half - 1u);
    uint32_t straight = from + (hal_uart_received() - uart.received);
    bool circular = (HW_DMA->S[HW_RX_STREAM].CR & DMA_SxCR_CIRC) != 0; /* else it stops at the end */
    if (uart.dma && circular && straight < uart.ring_size &&
        (dma_flags(HW_DMA, HW_RX_STREAM) & marks) == marks) {
        uart.received += uart.ring_size;
    }
}

/* DMA has long taken the byte that an error came with, and the next one is 3.3 us or more away: reading DR
 * takes none. */
static void stamp(uint32_t status)
{
    uint32_t now_us = (uint32_t)hal_time_us();
    (void)HW->DR; /* after SR: clears IDLE and the errors */
    count_errors(status);
    if ((status & USART_SR_IDLE) != 0) {
        report_received(now_us - uart.character_us);
    }
}

static void receive_byte(uint32_t status)
{
    uint8_t byte = (uint8_t)HW->DR; /* after SR: clears the errors too */
    count_errors(status);
    if ((status & USART_SR_RXNE) == 0) {
        return;
    }
    uint32_t received = uart.received;
    uart.ring[received & (uart.ring_size - 1u)] = byte;
    uart.received = ++received;
    if (byte == 0 || (received & (uart.ring_size / 2u - 1u)) == 0) {
        hal_uart_on_received(received, (uint32_t)hal_time_us());
    }
}

static void send_byte(void)
{
    while (uart.left != 0 && (HW->SR & USART_SR_TXE) != 0) {
        HW->DR = *uart.next++;
        uart.left--;
    }
    if (uart.left == 0) {
        HW->CR1 &= ~USART_CR1_TXEIE;
        block_sent();
    }
}

static void without_dma(uint32_t status, uint32_t enabled)
{
    if ((status & (USART_SR_RXNE | USART_SR_ORE)) != 0) {
        receive_byte(status);
    }
    if ((enabled & USART_CR1_TXEIE) != 0) {
        send_byte();
    }
    if ((enabled & USART_CR1_TCIE) != 0 && (status & USART_SR_TC) != 0) {
        HW->CR1 &= ~USART_CR1_TCIE;
        tell_drained();
    }
}

void uart_isr(void)
{
    uint32_t status = HW->SR;
    uint32_t enabled = HW->CR1;
    if (!uart.dma) {
        without_dma(status, enabled);
        return;
    }
    if ((status & (USART_SR_IDLE | USART_SR_ORE | USART_SR_FE | USART_SR_NF)) != 0) {
        stamp(status);
    }
    if ((enabled & USART_CR1_TCIE) != 0 && (status & USART_SR_TC) != 0) {
        HW->CR1 &= ~USART_CR1_TCIE; /* who sets it again meanwhile waits for a later TC and means it */
        uart.drained = true;
        nvic_pend(HW_TX_IRQ);
    }
}
