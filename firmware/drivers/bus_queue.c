#include "drivers/bus_queue.h"

#include <stddef.h>

static void ended(void *context, enum transfer_status status);

/* Locked, or from the controller's interrupt. */
static void start_next(struct bus_queue *queue)
{
    const struct transfer *next = queue->head;
    if (next == NULL || queue->state != BUS_QUEUE_IDLE) {
        return;
    }
    queue->running = (struct transfer){
        .address = next->address,
        .reg = next->reg,
        .size = next->size,
        .read = next->read,
        .probe = next->probe,
        .data = next->data,
        .done = ended,
        .context = queue,
    };
    queue->state = BUS_QUEUE_RUNNING; /* first: a short transfer may end in an interrupt at once */
    if (!queue->controller->start(&queue->running)) {
        queue->state = BUS_QUEUE_HELD;
        queue->tried = false;
    }
}

static void ended(void *context, enum transfer_status status)
{
    struct bus_queue *queue = context;
    struct transfer *transfer = queue->head;
    queue->head = transfer->next;
    if (queue->head == NULL) {
        queue->tail = NULL;
    }
    transfer->next = NULL;
    queue->state = status == TRANSFER_TIMEOUT ? BUS_QUEUE_HELD : BUS_QUEUE_IDLE;
    queue->tried = false;
    start_next(queue); /* the bus does not wait for the driver */
    transfer->done(transfer->context, status);
}

static bool start(void *handle, struct transfer *transfer)
{
    struct bus_queue *queue = handle;
    if (queue->controller == NULL) {
        return false;
    }
    uint32_t lock = queue->controller->lock();
    ASSERT(transfer->next == NULL && transfer != queue->tail); /* else it is queued already */
    if (queue->tail != NULL) {
        queue->tail->next = transfer;
    } else {
        queue->head = transfer;
    }
    queue->tail = transfer;
    start_next(queue);
    queue->controller->unlock(lock);
    return true;
}

/* Locked. Ends all that is queued; what is queued meanwhile stays. */
static void fail_all(struct bus_queue *queue)
{
    struct transfer *transfer = queue->head;
    queue->head = queue->tail = NULL;
    while (transfer != NULL) {
        struct transfer *next = transfer->next;
        transfer->next = NULL;
        transfer->done(transfer->context, TRANSFER_TIMEOUT);
        transfer = next;
    }
}

/* True when the bus is free, or in use, which is to say that it was. */
static bool recover(void *handle)
{
    struct bus_queue *queue = handle;
    if (queue->controller == NULL) {
        return true;
    }
    uint32_t lock = queue->controller->lock();
    bool running = queue->state == BUS_QUEUE_RUNNING;
    if (!running) {
        queue->state = BUS_QUEUE_HELD; /* an interrupt that wants a transfer now queues it */
    }
    queue->controller->unlock(lock);
    if (running) {
        return true;
    }
    bool free = queue->controller->recover == NULL || queue->controller->recover();
    lock = queue->controller->lock();
    if (free) {
        queue->state = BUS_QUEUE_IDLE;
        start_next(queue);
        free = queue->state != BUS_QUEUE_HELD; /* a controller that still does not start */
    }
    if (!free) {
        queue->tried = true;
        fail_all(queue);
    }
    queue->controller->unlock(lock);
    return free;
}

void bus_queue_poll(struct bus_queue *queue)
{
    if (queue->state == BUS_QUEUE_HELD && (queue->head != NULL || !queue->tried)) {
        (void)recover(queue); /* failing is told to those who wait */
    }
}

static uint32_t lock_bus(void *handle)
{
    const struct bus_queue *queue = handle;
    return queue->controller != NULL ? queue->controller->lock() : 0;
}

static void unlock_bus(void *handle, uint32_t state)
{
    const struct bus_queue *queue = handle;
    if (queue->controller != NULL) {
        queue->controller->unlock(state);
    }
}

void bus_queue_init(struct bus_queue *queue, const struct bus_controller *controller)
{
    *queue = (struct bus_queue){.controller = controller, .state = BUS_QUEUE_IDLE};
}

struct bus bus_queue_bus(struct bus_queue *queue)
{
    return (struct bus){
        .handle = queue, .start = start, .recover = recover, .lock = lock_bus, .unlock = unlock_bus};
}
