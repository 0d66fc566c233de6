/* Puts the parts together: owns every context, hands interrupts to the parts, events to the main loop's
 * handlers. */
#ifndef APP_APPLICATION_H
#define APP_APPLICATION_H

#include <stdint.h>

/* In this order, once. */
void application_start_system(void);   /* clocks, time, watchdog */
void application_start_identity(void); /* boot id, crash record of the boot before */
void application_start_line(void);     /* UART */
void application_start_sensors(void);  /* bus, ADC, streams */
void application_announce(void);       /* HELLO, STREAM, FAULT */

/* Handles what hal_wait() returned. */
void application_handle(uint32_t events);

#endif
