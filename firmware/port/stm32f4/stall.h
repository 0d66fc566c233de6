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

/* Still with PRIMASK set. */
void data_ready_forget(void);          /* drops the edges that came: a stamp now would be wrong */
void uart_stalled(void);               /* counts a round of the ring that went unseen */
void i2c_stalled(uint32_t stalled_us); /* the transfer under way gets that much longer */
void spi_stalled(uint32_t stalled_us);

#endif
