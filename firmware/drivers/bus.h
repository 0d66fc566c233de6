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

    /* Queues a transfer and returns at once; transfer->done() follows. The transfer and its data are the
     * bus's until then. False: the bus is absent, nothing follows. */
    WARN_UNUSED bool (*start)(void *handle, struct transfer *transfer);

    /* Frees a bus that a device holds, if one does. False: it is still held. Main loop. The bus does this by
     * itself when a transfer times out; a driver asks only to tell a held bus from an absent device. */
    WARN_UNUSED bool (*recover)(void *handle);

    /* A section that no transfer's end and no data-ready edge can interrupt. */
    uint32_t (*lock)(void *handle);
    void (*unlock)(void *handle, uint32_t state);
};

#endif
