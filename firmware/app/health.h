/* HEALTH: collects counters from everywhere once a second and on request. */
#ifndef APP_HEALTH_H
#define APP_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "app/commands.h"
#include "app/line.h"
#include "app/mcu_temp.h"
#include "app/receiver.h"
#include "app/telemetry.h"

struct health {
    uint64_t next_us;
    uint64_t window_start_us;
    uint32_t window_asleep; /* hal_cycles_asleep() at the start of the window */
    uint16_t cpu_permille;
};

/* Where it collects from. */
struct health_sources {
    const struct receiver *receiver;
    const struct line *line;
    const struct commands *commands;
    const struct mcu_temp *mcu_temp;
    const struct log *log;
    struct streams *streams;
    struct telemetry *telemetry;
};

/* Main loop, at each tick: hands a HEALTH to telemetry when a second has passed. */
void health_poll(struct health *health, const struct health_sources *sources, uint64_t now_us);

/* Hands one over now. */
void health_report(struct health *health, const struct health_sources *sources, uint64_t now_us);

#endif
