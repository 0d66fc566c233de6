/* The newest of many records, kept over power cuts: a log in the two slots of hal/nvstore.h.
 *
 *     slot 0  [ 7 ][ 8 ][ 9 ][10 ]     full: kept until slot 1 holds a newer one
 *     slot 1  [11 ][12 ][    ][    ]   12 is the newest; the next goes behind it
 *
 * A record is  magic | sequence | version and size | payload | CRC-32C  and is written in this order, so it
 * counts once its last word is there. Only the slot without the newest record is ever erased. So wherever the
 * power fails the newest record is there or the one before it. Behind the newest record everything is erased,
 * or was being written when the power failed: the next record goes behind all of that.
 */
#ifndef APP_STORE_H
#define APP_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hal/nvstore.h"

#define STORE_CELL_WORDS    32u /* 128 bytes for a record */
#define STORE_CELLS         (HAL_NVSTORE_WORDS / STORE_CELL_WORDS)
#define STORE_PAYLOAD_WORDS (STORE_CELL_WORDS - 4u)

struct store {
    bool usable;  /* there is such memory */
    bool found;   /* a record is there: the newest one is */
    bool damaged; /* none, but something else is */
    uint8_t slot;
    uint16_t cell;
    uint16_t version;
    uint16_t words; /* of its payload */
    uint32_t sequence;
};

/* Finds the newest record. Main loop, like all of this. */
void store_open(struct store *store);

/* Payload of the newest record; it has store->words words. NULL: there is none. */
const uint32_t *store_payload(const struct store *store);

/* Makes this the newest record; writes nothing when it is already. False: it could not be written; the record
 * before is still there. Stalls the core, see hal/nvstore.h. */
WARN_UNUSED bool store_write(struct store *store, uint16_t version, const uint32_t *payload, uint16_t words);

#endif
