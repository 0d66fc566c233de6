/* The watchdogs, in two stages. A main loop that does not feed them for HAL_WATCHDOG_LOOP_US is stopped with
 * a fault record that says where it was (cause HAL_FAULT_LOOP). The independent watchdog behind it resets the
 * chip after 0.6 to 1.7 s, 0.9 s nominal, also where no interrupt gets through; it cannot be stopped and
 * knows no place. */
#ifndef HAL_WATCHDOG_H
#define HAL_WATCHDOG_H

#define HAL_WATCHDOG_LOOP_US 500000u

/* Main loop, once. */
void hal_watchdog_start(void);

/* Main loop only: a feed from an interrupt would keep a dead main loop alive. Also right before something
 * that may stall the core for up to half a second: an erase of the flash. */
void hal_watchdog_feed(void);

#endif
