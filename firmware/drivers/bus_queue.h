// clang-format off
/* Lets several drivers share one bus controller, I2C or SPI.
 *
 *     driver --start()--> [ head ]->[ ... ]->[ tail ]      one list through transfer.next, in order
 *                            |
 *                        controller --ended--> next of the list goes on the bus, then done() of that one
 *
 *               start()                    OK, NACK, ARBITRATION and nothing queued
 *     IDLE --------------------> RUNNING ------------------------------------------> IDLE
 *       ^                           |  TIMEOUT, or the controller does not start
 *       +------- recovered ------- HELD      what is queued waits for bus_queue_poll()
 *
 * A transfer belongs to its driver; from start() to done() it and its data are the queue's and must not be
 * touched. start() returns at once, and true unless the bus is absent: every transfer that was taken ends
 * with one done(), which may start further ones. An error is that of one transfer; those behind it go on. A
 * held bus is the exception: it is recovered once, at the next bus_queue_poll(), never while a transfer is
 * under way; if that fails all that is queued ends with TRANSFER_TIMEOUT, and the next try comes with the
 * next transfer. So a driver need not look after the bus, only after its device; what recovery costs and how
 * often it happened is the controller's to count.
 */
// clang-format on
#ifndef DRIVERS_BUS_QUEUE_H
#define DRIVERS_BUS_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "drivers/bus.h"
#include "lib/transfer.h"

/* What a controller has to offer: one transfer at a time. */
struct bus_controller {
    /* Starts; done() follows from an interrupt, or with interrupts masked. False: it cannot, nothing follows.
     */
    WARN_UNUSED bool (*start)(const struct transfer *transfer);
    /* Frees a bus that a device holds. False: it is still held. Main loop. NULL where that cannot be. */
    WARN_UNUSED bool (*recover)(void);
    /* A section that no transfer's end and no data-ready edge can interrupt. */
    uint32_t (*lock)(void);
    void (*unlock)(uint32_t state);
};

enum bus_queue_state { BUS_QUEUE_IDLE, BUS_QUEUE_RUNNING, BUS_QUEUE_HELD };

struct bus_queue {
    const struct bus_controller *controller; /* NULL: the bus is absent */
    struct transfer *head;                   /* on the bus while RUNNING */
    struct transfer *tail;
    struct transfer running; /* what the controller works on: head, with its end redirected here */
    volatile enum bus_queue_state state;
    bool tried; /* to recover the bus, since it is HELD */
};

/* `controller` NULL: no bus, every start() is refused. */
void bus_queue_init(struct bus_queue *queue, const struct bus_controller *controller);

/* The bus as drivers see it. */
struct bus bus_queue_bus(struct bus_queue *queue);

/* Recovers a held bus. Main loop, at each tick. */
void bus_queue_poll(struct bus_queue *queue);

#endif
