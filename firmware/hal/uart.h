/* The line to the host: 8 data bits, no parity, 1 stop bit, no flow control. */
#ifndef HAL_UART_H
#define HAL_UART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hal_uart_errors {
    uint32_t overrun; /* bytes lost because the previous one had not been read */
    uint32_t framing; /* stop bit missing */
    uint32_t noise;   /* samples of one bit differed */
};

/* Opens the line. Returns the rate that the divider makes, or 0, and does nothing, when that is more than 1 %
 * off the wanted one. Main loop, once. */
uint32_t hal_uart_open(uint32_t baud) __attribute__((warn_unused_result));

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

/* Implemented by the application, called by the port from the UART's interrupts (one priority, so never
 * nested): */
void hal_uart_on_byte(uint8_t byte); /* a byte came in, damaged or not: the frame check judges it */
void hal_uart_on_sent(void);         /* the last block is with the hardware; another may be sent at once */
void hal_uart_on_drained(void);      /* the line is silent: no block was sent from hal_uart_on_sent() */

#endif
