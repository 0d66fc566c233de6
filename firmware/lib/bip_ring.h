/* A ring of bytes that always hands out contiguous blocks (a "bip buffer"), so that a frame is encoded where
 * DMA reads it.
 *
 *     writer ahead:      [......RRRRRRRRRRW.........]     R: committed, read from `tail`
 *                               tail      head    size    W: where a reservation starts
 *
 *     writer wrapped:    [RRRRW..........RRRRRRRRxxx]     x: too short for what was reserved, skipped;
 *                             head       tail    limit       `limit` says where it starts
 *
 * One writer, one reader; the reader may be an interrupt. head == tail means empty, so the writer never
 * catches up.
 */
#ifndef LIB_BIP_RING_H
#define LIB_BIP_RING_H

#include <stddef.h>
#include <stdint.h>

struct bip_ring {
    uint8_t *data;
    size_t size;
    size_t reserved;       /* start of the open reservation; writer only */
    volatile size_t head;  /* written by the writer */
    volatile size_t limit; /* written by the writer, while the reader has not wrapped */
    volatile size_t tail;  /* written by the reader */
};

void bip_ring_init(struct bip_ring *ring, uint8_t *data, size_t size);

/* A contiguous block of n bytes to write to, or NULL when there is no room. A second call replaces the
 * reservation. */
uint8_t *bip_ring_reserve(struct bip_ring *ring, size_t n);

/* Makes the first n bytes of the reservation readable; n may be 0. */
void bip_ring_commit(struct bip_ring *ring, size_t n);

/* The longest contiguous readable block; its size goes to *n (0: empty). */
const uint8_t *bip_ring_peek(struct bip_ring *ring, size_t *n);

/* Frees the first n bytes of what bip_ring_peek() gave. */
void bip_ring_consume(struct bip_ring *ring, size_t n);

/* Bytes committed and not consumed. */
size_t bip_ring_used(const struct bip_ring *ring);

#endif
