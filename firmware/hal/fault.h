/* The record of a crash. It lies in RAM that start-up does not touch, so it outlives the reset that follows a
 * crash, but not a power cycle. */
#ifndef HAL_FAULT_H
#define HAL_FAULT_H

#include <stdbool.h>
#include <stdint.h>

struct hal_fault {
    uint32_t boot_id; /* of the boot that crashed */
    uint64_t time_us;
    uint8_t cause; /* exception number, 0 for a failed assert */
    uint32_t pc;
    uint32_t lr;
    uint32_t sp;
    uint32_t psr;
    uint32_t cfsr;
    uint32_t hfsr;
    uint32_t mmfar;
    uint32_t bfar;
};

/* Turns the configurable faults on and says what to write into a record. Main loop, once per boot. */
void hal_fault_start(uint32_t boot_id);

/* The record that the RAM holds, or NULL. */
const struct hal_fault *hal_fault_record(void);

/* Whether it was this record that led to this boot. */
bool hal_fault_is_fresh(void);

#endif
