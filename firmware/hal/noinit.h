/* Words that outlive a reset. */
#ifndef HAL_NOINIT_H
#define HAL_NOINIT_H

#include <stdint.h>

/* Boot counter, guarded: random after power-on. */
struct hal_noinit {
    uint32_t magic;
    uint32_t boot_id;
    uint32_t check; /* CRC-32C of the two before */
};

/* The words themselves. Main loop. */
struct hal_noinit *hal_noinit(void);

/* A word that nothing initialises, mixed into the first boot id. An emulator that zero-fills RAM writes a
 * random number to the symbol `boot_seed` before it starts the core (QEMU: -device
 * loader,addr=ADDRESS,data=NUMBER,data-len=4). */
uint32_t hal_noinit_seed(void);

#endif
