/* The sensors of this board: which are looked for and where, their data-ready lines, their streams. */
#ifndef APP_SENSORS_H
#define APP_SENSORS_H

#include <stdint.h>

#include "app/streams.h"
#include "hal/data_ready.h"

/* The sink of every sensor; `log` gets what they have to say, `fits` is asked for each part that comes. Main
 * loop, once, before any sensor is initialised: a sensor may use its sink at once. */
const struct sensor_sink *
sensors_sink(struct streams *streams,
             void (*log)(void *context, enum sensor_log_level level, const char *text),
             bool (*fits)(void *context, const struct sensor *sensor, const struct sensor_stream *next));

/* Binds every stream to its sensor and opens the data-ready lines; buses_open() and sensors_sink() were
 * before. Main loop, once. */
void sensors_start(struct streams *streams, uint8_t generation, struct sensor *mcu_temp);

/* Main loop, at each tick. */
void sensors_poll(uint64_t now_us);

/* Interrupt of priority 1. */
void sensors_data_ready(enum hal_data_ready line, uint64_t edge_us, uint32_t edge);

#endif
