/* The line to the host: 8 data bits, no parity, 1 stop bit, no flow control. */
#ifndef HAL_UART_H
#define HAL_UART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hal_uart_errors {
    uint32_t overrun; /* bytes lost because the hardware had not taken the previous one */
    uint32_t framing; /* stop bit missing */
    uint32_t noise;   /* samples of one bit differed */
    uint32_t dma;     /* transfers that the DMA gave up, either direction: a damaged frame each */
};

/* Opens the line. Returns the rate that the divider makes, or 0, and does nothing, when that is more than 1 %
 * off the wanted one. What comes in is written into the ring for ever: byte n, counted from 0, at n modulo
 * `size`, a power of two up to 32,768. Main loop, once. */
uint32_t hal_uart_open(uint32_t baud, volatile uint8_t *ring, size_t size)
    __attribute__((warn_unused_result));

/* Bytes received since hal_uart_open(), modulo 2^32. Any context. */
uint32_t hal_uart_received(void);

/* The rate that the divider makes for a wanted one, or 0 when it is more than 1 % off. Main loop. */
uint32_t hal_uart_actual(uint32_t baud);

/* Switches to a rate that hal_uart_actual() gave, at once: what hal_uart_drained() has not seen leave is sent
 * damaged, or at the new rate. Main loop. */
void hal_uart_set_baud(uint32_t baud);

/* Highest rate that this line can make. */
uint32_t hal_uart_baud_max(void);

/* Starts to send a block and returns at once. The bytes stay the caller's and must not change until
 * hal_uart_on_sent(). One block at a time: a second before hal_uart_on_sent() is an assert. Main loop, or
 * from hal_uart_on_sent(). */
void hal_uart_send(const uint8_t *data, size_t n);

/* Whether the last stop bit has left the pin. Any context. */
bool hal_uart_drained(void);

/* Counted since hal_uart_open(). */
struct hal_uart_errors hal_uart_errors(void);

/* Implemented by the application, called by the port when the line has fallen silent for a character, and
 * each time that half the ring is full: `received` bytes have come, damaged or not, the last one at `end_us`
 * (low 32 bits). Priority 0: keep it and return. The time is that of the stop bit's end, late by the
 * interrupt's way, 1 to 2 us, and rounded to 1 us; on a line that is never silent late by up to a character
 * more. Without DMA it comes at the UART's priority, behind each zero byte instead of the silence. */
void hal_uart_on_received(uint32_t received, uint32_t end_us);

/* Likewise, at the UART's priority, never nested: */
void hal_uart_on_sent(void);    /* the last block is with the hardware; another may be sent at once */
void hal_uart_on_drained(void); /* the line is silent: no block was sent from hal_uart_on_sent() */

#endif
