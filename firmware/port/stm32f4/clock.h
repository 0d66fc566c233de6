/* Clock tree. */
#ifndef PORT_CLOCK_H
#define PORT_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "hal/system.h"

struct clocks {
    uint32_t core_hz;
    uint32_t apb1_hz;
    uint32_t apb2_hz;
    bool emulated;
    enum hal_clock source;
};

/* Switches to the rates of the board, or to what there is instead; every wait is bounded. */
struct clocks clock_start(void);

/* What clock_start() gave, kept by system.c. */
const struct clocks *port_clocks(void);

#endif
