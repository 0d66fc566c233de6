/* The independent watchdog: resets the chip when it has not been fed for about two seconds. It cannot be
 * stopped. */
#ifndef HAL_WATCHDOG_H
#define HAL_WATCHDOG_H

/* Main loop, once. */
void hal_watchdog_start(void);

/* Main loop only: a feed from an interrupt would keep a dead main loop alive. */
void hal_watchdog_feed(void);

#endif
