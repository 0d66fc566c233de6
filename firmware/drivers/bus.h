/* What a driver may do to the outside: transfers on a register bus, and nothing else. Time is handed in.
 *
 * The application fills it in from the HAL, a test from a model of the chip.
 */
#ifndef DRIVERS_BUS_H
#define DRIVERS_BUS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/check.h"
#include "lib/transfer.h"

struct bus {
    void *handle;

    /* Starts a transfer and returns at once; transfer->done() follows. False: the bus is busy or absent,
     * nothing follows. */
    WARN_UNUSED bool (*start)(void *handle, const struct transfer *transfer);

    /* Frees a bus that a device holds. False: it is still held. Not while a transfer is under way; main loop.
     */
    WARN_UNUSED bool (*recover)(void *handle);

    /* A section that no transfer's end and no data-ready edge can interrupt. */
    uint32_t (*lock)(void *handle);
    void (*unlock)(void *handle, uint32_t state);
};

#endif
