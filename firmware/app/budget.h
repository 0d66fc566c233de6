/* What the streams cost, on the line and on the sensor buses: asked before a setting is accepted.
 *
 *     plan = budget_now(streams);  budget_take_rate(&plan, streams, n, wanted);
 *     budget_check(streams, &plan, line, &cost)
 */
#ifndef APP_BUDGET_H
#define APP_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#include "app/streams.h"

/* Settings of every stream, as they are or as they would be. */
struct budget {
    struct {
        bool enabled;
        enum sensor_bus bus;
        uint16_t bus_bits;   /* for a sample */
        uint32_t rate_mhz;   /* nominal */
        uint32_t latency_us; /* 0: the default for the rate */
    } stream[STREAMS];
};

struct budget_cost {
    uint32_t needed;    /* bits a second */
    uint32_t available; /* likewise */
};

struct budget budget_now(const struct streams *streams);

/* Makes a stream as a descriptor says; whether it is enabled, and its latency, stay. */
void budget_take(struct budget *plan, uint8_t number, const struct sensor_stream *descriptor);

/* Gives a stream, whose rate can be set, another one that it can have, and the others of its sensor what goes
 * with it. */
void budget_take_rate(struct budget *plan, const struct streams *streams, uint8_t number, uint32_t rate_mhz);

/* Bits a second that the line needs: the frames of every enabled stream, HEALTH and the host's fastest pings.
 * Where a sensor's clock has been measured the streams run as fast as it does. */
uint32_t budget_line_bits(const struct streams *streams, const struct budget *plan);

/* TP_STATUS_OK, or what it exceeds; the numbers of that go to *cost. */
uint8_t budget_check(const struct streams *streams, const struct budget *plan, uint32_t line_bits,
                     struct budget_cost *cost) WARN_UNUSED;

#endif
