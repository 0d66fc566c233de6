/* What streams cost on the line. */
#ifndef APP_BUDGET_H
#define APP_BUDGET_H

#include <stdint.h>

#include "app/streams.h"

/* Bits a second that the line needs with one stream at another rate: every stream's frames at the nominal
 * rate, and HEALTH. */
uint32_t budget_line_bits(const struct streams *streams, uint8_t number, uint32_t rate_mhz);

/* Bits a second that the sensor bus needs, likewise. */
uint32_t budget_bus_bits(const struct streams *streams, uint8_t number, uint32_t rate_mhz);

#endif
