/* The sensors' data-ready lines, one for each bus. */
#ifndef HAL_DATA_READY_H
#define HAL_DATA_READY_H

#include <stdbool.h>
#include <stdint.h>

enum hal_data_ready { HAL_DATA_READY_I2C, HAL_DATA_READY_SPI, HAL_DATA_READY_LINES };

/* Starts to listen to rising edges. Main loop, once for each line. */
void hal_data_ready_open(enum hal_data_ready line);

/* Name of the pin, for messages: "PB0". */
const char *hal_data_ready_pin(enum hal_data_ready line);

/* Whether the line is high now. Any context, after hal_data_ready_open(). */
bool hal_data_ready_level(enum hal_data_ready line);

/* Edges since the line was opened, those not told included; modulo 2^32. Any context. */
uint32_t hal_data_ready_edges(enum hal_data_ready line);

/* The next n edges are counted and not told: nobody wants their time, and each would cost an interrupt more.
 * Takes the place of what was asked for before. Priority 1, or masked. */
void hal_data_ready_skip(enum hal_data_ready line, uint32_t n);

/* Implemented by the application, called by the port at priority 1, once for each edge that is told and in
 * their order; `edge_us` was taken at priority 0, when the edge came, and `edge` is its number: what
 * hal_data_ready_edges() was then. Edges that noise adds, more than four before priority 1 runs again, are
 * not told. Those that came while the core stood still for a long time (nvstore.h) are not even counted:
 * nobody knows when they came, or how many. */
void hal_data_ready_on_edge(enum hal_data_ready line, uint64_t edge_us, uint32_t edge);

#endif
