/* Clock tree. */
#ifndef PORT_CLOCK_H
#define PORT_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct clocks {
    uint32_t core_hz;
    uint32_t apb1_hz;
    uint32_t apb2_hz;
    bool emulated;
    bool hse_failed;
};

/* Switches to the rates of the board; every wait is bounded. A PLL that does not lock is a failed assert. */
struct clocks clock_start(void);

/* What clock_start() gave, kept by system.c. */
const struct clocks *port_clocks(void);

#endif
