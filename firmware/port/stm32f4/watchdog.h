/* The tick's part of the watchdog. */
#ifndef PORT_WATCHDOG_H
#define PORT_WATCHDOG_H

/* Notices a main loop that has stopped. The tick's interrupt, at each tick. */
void watchdog_tick(void);

#endif
