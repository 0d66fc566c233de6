#include "bip_ring.h"

#include "check.h"

void bip_ring_init(struct bip_ring *ring, uint8_t *data, size_t size)
{
    *ring = (struct bip_ring){.data = data, .size = size, .limit = size};
}

uint8_t *bip_ring_reserve(struct bip_ring *ring, size_t n)
{
    size_t head = ring->head;
    size_t tail = ring->tail;
    if (head >= tail) {
        /* one byte stays free in front of tail 0, or head would wrap onto it */
        if (n < ring->size - head || (n == ring->size - head && tail != 0)) {
            ring->reserved = head;
            return ring->data + head;
        }
        head = 0;
    }
    if (n < tail - head && tail > head) {
        ring->reserved = head;
        return ring->data + head;
    }
    return NULL;
}

void bip_ring_commit(struct bip_ring *ring, size_t n)
{
    if (n == 0) {
        return;
    }
    size_t head = ring->head;
    ASSERT(ring->reserved + n <= ring->size);
    if (ring->reserved != head) {
        ring->limit = head; /* wrapped: the reader turns round here */
    } else if (head >= ring->tail) {
        ring->limit = ring->size;
    }
    head = ring->reserved + n;
    ring->head = head == ring->size ? 0 : head;
}

const uint8_t *bip_ring_peek(struct bip_ring *ring, size_t *n)
{
    size_t head = ring->head;
    size_t tail = ring->tail;
    if (tail > head && tail == ring->limit) {
        tail = 0;
        ring->tail = 0;
    }
    *n = (tail <= head ? head : ring->limit) - tail;
    return ring->data + tail;
}

void bip_ring_consume(struct bip_ring *ring, size_t n)
{
    size_t tail = ring->tail + n;
    ASSERT(tail <= ring->size);
    ring->tail = tail == ring->size ? 0 : tail;
}

size_t bip_ring_used(const struct bip_ring *ring)
{
    size_t head = ring->head;
    size_t tail = ring->tail;
    return head >= tail ? head - tail : ring->limit - tail + head;
}
