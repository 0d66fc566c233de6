/* The sensor's data-ready line. */
#ifndef HAL_DATA_READY_H
#define HAL_DATA_READY_H

#include <stdint.h>

/* Starts to listen to rising edges. Main loop, once. */
void hal_data_ready_open(void);

/* Name of the pin, for messages: "PB0". */
const char *hal_data_ready_pin(void);

/* Implemented by the application, called by the port from the edge's interrupt (priority 0). `now_us` is
 * taken first thing. */
void hal_data_ready_on_edge(uint64_t now_us);

#endif
