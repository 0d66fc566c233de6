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

/* What clear_counters sets to zero. */
struct health_counters {
    uint32_t rx_overrun;
    uint32_t rx_framing;
    uint32_t rx_noise;
    uint32_t rx_dropped;
    uint32_t refused_cobs;
    uint32_t refused_crc;
    uint32_t refused_length;
    uint32_t refused_type;
    uint32_t dropped_messages;
    uint32_t bus_nack;
    uint32_t bus_error;
    uint32_t bus_timeout;
    uint32_t bus_recoveries;
    uint32_t baud_fallbacks;
    uint32_t dma_error;
};

struct health {
    uint64_t next_us;
    uint64_t window_start_us;
    uint32_t window_asleep; /* hal_cycles_asleep() at the start of the window */
    uint16_t cpu_permille;
    struct health_counters cleared; /* what they were when the host cleared them */
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

/* The counters count from here on. Main loop. */
void health_clear(struct health *health, const struct health_sources *sources);

/* Hands one over now. */
void health_report(struct health *health, const struct health_sources *sources, uint64_t now_us);

#endif
