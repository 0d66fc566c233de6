/* The clock across a time in which the core stands still and ticks are missed. */
#ifndef PORT_STALL_H
#define PORT_STALL_H

#include <stdint.h>

struct stall {
    uint32_t cycle; /* DWT CYCCNT */
    uint32_t phase; /* cycles into the tick */
    uint32_t owed;  /* 1: a tick was pending already */
};

/* Around the stall, with PRIMASK set all the time. Each takes some cycles, at most 3 us. */
void stall_begin(struct stall *stall);

/* Counts the ticks that were missed; returns how long it took, in us. */
uint32_t stall_end(const struct stall *stall);

/* Drops the data-ready edges that came during the stall: a stamp now would be wrong. */
void data_ready_forget(void);

#endif
