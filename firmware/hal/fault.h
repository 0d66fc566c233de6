/* The record of a crash. It lies in RAM that start-up does not touch, so it outlives the reset that follows a
 * crash, but not a power cycle.
 *
 *                crash                  hal_fault_forget()
 *     none ------------------> record --------------------> none
 *                               |  ^
 *                               +--+ crash: the record stays, the first is the one to look at
 */
#ifndef HAL_FAULT_H
#define HAL_FAULT_H

#include <stdbool.h>
#include <stdint.h>

/* Causes that are no exceptions; the values of the wire. */
#define HAL_FAULT_ASSERT 0u   /* a failed assert: pc is the caller of assert_failed() */
#define HAL_FAULT_LOOP   255u /* a main loop that has stopped: pc is where it was */

struct hal_fault {
    uint32_t boot_id; /* of the boot that crashed */
    uint64_t time_us;
    uint8_t cause; /* exception number, or one of the above */
    uint32_t pc;   /* 0 where the stack had no room for it */
    uint32_t lr;   /* then the return address that lies lowest on the stack, 0 if there is none */
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

/* Forgets the record: it has been read. The next crash makes a new one. Main loop. */
void hal_fault_forget(void);

/* Whether it was a crash that led to this boot: that of the record, or a later one. */
bool hal_fault_is_fresh(void);

#endif
