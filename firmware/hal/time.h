/* The microsecond clock and the system tick. */
#ifndef HAL_TIME_H
#define HAL_TIME_H

#include <stdint.h>

/* Distance of two ticks. Long, because each costs an interrupt; no shorter wait is counted in ticks. */
#define HAL_TICK_US 10000u

/* Starts the clock at 0. Once, before any other use. */
void hal_time_start(void);

/* Microseconds since hal_time_start(). Any context; monotonic; never blocks. */
uint64_t hal_time_us(void);

/* Called by the port at priority 1 for each tick, each HAL_TICK_US; implemented by the application. */
void hal_time_on_tick(uint64_t now_us);

#endif
