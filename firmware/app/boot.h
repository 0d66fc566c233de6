/* Which boot this is and what led to it. */
#ifndef APP_BOOT_H
#define APP_BOOT_H

#include <stdint.h>

/* The number of this boot, never that of the one before: a counter in RAM that outlives resets, and after
 * power-on a hash of what the RAM held and of ADC noise. Main loop, once a boot. */
uint32_t boot_next_id(void);

/* enum tp_reset_cause; `fault` when a crash record is fresh. After hal_fault_start(). */
uint8_t boot_reset_cause(void);

#endif
