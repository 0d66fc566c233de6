/* Commands of the host: a table, one function each, and exactly one answer to each.
 *
 * All are done at once but a change of rate, which takes a transfer on the sensor bus: its answer waits for
 * that, and another change meanwhile is answered `busy`. A repetition of that request is not another one.
 */
#ifndef APP_COMMANDS_H
#define APP_COMMANDS_H

#include <stdbool.h>
#include <stdint.h>

#include "app/streams.h"
#include "app/telemetry.h"

struct commands {
    struct telemetry *telemetry;
    struct streams *streams;
    uint32_t line_bits; /* what the line carries in a second */
    uint32_t bus_bits;  /* what the sensor bus carries; 0 without one */
    bool health_wanted; /* set by get_health; the owner clears it */
    bool reset_wanted;  /* set by reset, when the answer is queued */
    uint32_t refused_length;
    uint32_t refused_type;

    bool rate_pending;
    uint8_t rate_stream;
    struct answer rate_answer;
};

void commands_init(struct commands *commands, struct telemetry *telemetry, struct streams *streams,
                   uint32_t line_bits, uint32_t bus_bits);

/* A good frame of the host. telemetry_can_answer() holds. */
void commands_handle(struct commands *commands, uint8_t type, const uint8_t *payload, size_t n,
                     uint64_t received_us, uint64_t now_us);

/* Finishes a change of rate. Main loop. */
void commands_poll(struct commands *commands);

/* Room is kept for the answer that a pending change of rate still owes. */
bool commands_can_take(const struct commands *commands) WARN_UNUSED;

#endif
