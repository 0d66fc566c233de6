/* The second sensor bus: an asynchronous SPI controller with one device, one transfer at a time. It takes the
 * transfers of lib/transfer.h: `reg` without the read bit, which the controller sets in bit 7 (as
 * STMicroelectronics' and InvenSense's sensors have it), and `address` is ignored. Nothing acknowledges: an
 * absent device reads as 0xFF.
 *
 *             hal_spi_start()                     last byte
 *     idle -------------------> busy ---------------------------> done(context, OK) -> idle
 *                                 |  hal_spi_poll(): too long         (may start the next)
 *                                 +---------------> controller reset, done(TIMEOUT) -> idle
 */
#ifndef HAL_SPI_H
#define HAL_SPI_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/transfer.h"

struct hal_spi_errors {
    uint32_t timeout; /* a controller that did not end, or did not start */
    uint32_t dma;     /* transfers that the DMA gave up */
};

/* Sets the controller up: mode 3, the quickest clock up to 10 MHz. False where there is none that works (an
 * emulator without it). Main loop, once. */
bool hal_spi_open(void) __attribute__((warn_unused_result));

/* Starts a transfer; the caller keeps it, and its data, alive and unchanged until done(). Waits for the
 * register number to pass, 1.6 us. False, and done() is not called, while another is under way or the
 * controller does not clock. Main loop with interrupts masked, or any interrupt of priority 1. */
bool hal_spi_start(const struct transfer *transfer) __attribute__((warn_unused_result));

/* Ends a transfer that takes too long. Main loop, at each tick. */
void hal_spi_poll(uint64_t now_us);

/* Raw bits per second of the bus; after hal_spi_open(). */
uint32_t hal_spi_rate(void);

/* Counted since hal_spi_open(). */
struct hal_spi_errors hal_spi_errors(void);

#endif
