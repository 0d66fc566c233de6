/* The sensors of this board: which are looked for and where, their data-ready lines, their streams. */
#ifndef APP_SENSORS_H
#define APP_SENSORS_H

#include <stdint.h>

#include "app/streams.h"
#include "hal/data_ready.h"

/* Binds every stream to its sensor and opens the data-ready lines; buses_open() was before. `log` gets what
 * sensors have to say. Main loop, once. */
void sensors_start(struct streams *streams,
                   void (*log)(void *context, enum sensor_log_level level, const char *text),
                   uint8_t generation, struct sensor *mcu_temp);

/* The sink, for a sensor that is initialised elsewhere. */
const struct sensor_sink *sensors_sink(void);

/* Main loop, at each tick. */
void sensors_poll(uint64_t now_us);

/* Interrupt of priority 1. */
void sensors_data_ready(enum hal_data_ready line, uint64_t edge_us, uint32_t edge);

#endif
