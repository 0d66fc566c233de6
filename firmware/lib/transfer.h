/* A transfer on a register bus: what drivers ask for and what a bus controller does. */
#ifndef LIB_TRANSFER_H
#define LIB_TRANSFER_H

#include <stdbool.h>
#include <stdint.h>

enum transfer_status {
    TRANSFER_OK,
    TRANSFER_NACK,        /* address or data not acknowledged */
    TRANSFER_ARBITRATION, /* arbitration lost */
    TRANSFER_TIMEOUT,     /* not finished, or not in time; the controller has been reset */
};

/* Write the register number, then read or write `size` bytes from there on. */
struct transfer {
    uint8_t address; /* 7 bits */
    uint8_t reg;
    uint16_t size; /* 1 ... 4095 */
    bool read;
    bool probe; /* perhaps nobody is there: no acknowledge is an answer then, and not counted as an error */
    uint8_t *data;
    void (*done)(void *context, enum transfer_status status); /* interrupt, or interrupts masked */
    void *context;
    struct transfer *next; /* the queue's (drivers/bus_queue.h); NULL while it is not queued */
};

#endif
