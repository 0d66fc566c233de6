/* The sensor bus: an asynchronous I2C controller, one transfer at a time. Nothing here waits for a transfer;
 * hal_i2c_start() waits for the stop condition before it, 2 us, and hal_i2c_recover() clocks the bus.
 *
 *             hal_i2c_start()            last byte, or an error
 *     idle -------------------> busy ---------------------------> done(context, status) -> idle
 *                                 |  hal_i2c_poll(): too long        (may start the next)
 *                                 +---------------> controller reset, done(TIMEOUT) -> idle
 */
#ifndef HAL_I2C_H
#define HAL_I2C_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/transfer.h"

struct hal_i2c_errors {
    uint32_t nack;
    uint32_t bus; /* misplaced start or stop seen, or arbitration lost */
    uint32_t timeout;
    uint32_t dma;        /* transfers that the DMA gave up */
    uint32_t recoveries; /* times that a held bus was freed with clocks */
};

/* Sets the controller up at 400 kHz, or the next lower rate that the clock makes. False where there is none
 * that works (an emulator without it). Main loop, once. */
bool hal_i2c_open(void) __attribute__((warn_unused_result));

/* Starts a transfer; the caller keeps it, and its data, alive and unchanged until done(). False, and done()
 * is not called, while another is under way or a stop condition does not end. Main loop with interrupts
 * masked, or any interrupt of priority 1. */
bool hal_i2c_start(const struct transfer *transfer) __attribute__((warn_unused_result));

/* Ends a transfer that takes too long. Main loop, at each tick. */
void hal_i2c_poll(uint64_t now_us);

/* Frees a bus on which a device holds SDA low: up to nine clocks and a stop (I2C specification
 * UM10204, 3.1.16), then a controller reset. Takes up to 250 us, or no time when the lines are high. Main
 * loop; not while a transfer is under way. False if a line stays low. */
bool hal_i2c_recover(void) __attribute__((warn_unused_result));

/* Raw bits per second of the bus. */
uint32_t hal_i2c_rate(void);

/* Counted since hal_i2c_open(). */
struct hal_i2c_errors hal_i2c_errors(void);

#endif
