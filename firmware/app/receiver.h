/* Bytes from the host, on their way from the UART to the main loop.
 *
 *     bytes   a b c 0 d e 0 f g 0 . .      one ring, written by the hardware, read by the main loop
 *     marks           |     |     |        how many bytes there were at which time, one for each silence of
 *                                          the line and each half of the ring
 *
 * A delimiter's time is that of the mark behind it less the characters between them: exact when those came
 * back to back, else late by their gaps, each shorter than a character, for a longer one is a mark.
 */
#ifndef APP_RECEIVER_H
#define APP_RECEIVER_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/check.h"
#include "tp_frame.h"

#define RECEIVER_BYTES 512u /* powers of two */
#define RECEIVER_MARKS 16u

struct receiver_mark {
    uint32_t received; /* bytes */
    uint32_t end_us;   /* of the last of them; low 32 bits */
};

struct receiver {
    volatile uint8_t bytes[RECEIVER_BYTES];
    struct receiver_mark marks[RECEIVER_MARKS];
    volatile uint32_t mark_head; /* written by the interrupt; counts on and wraps by masking, as the others */
    volatile uint32_t mark_tail; /* written by the main loop */
    volatile bool crowded;       /* a mark found no room */
    uint32_t read;               /* bytes, of those received */
    uint32_t dropped;            /* bytes overwritten before they were read */
    uint32_t baud;               /* of the line, for the length of a character */
    struct tp_decoder decoder;
};

/* The ring is receiver->bytes. */
void receiver_init(struct receiver *receiver);

/* UART interrupt: `received` bytes have come, the last at `end_us`. */
void receiver_mark(struct receiver *receiver, uint32_t received, uint32_t end_us);

/* Main loop: reads on to the end of the next good frame, which is then in receiver->decoder, and gives the
 * time of its delimiter. `received`: bytes in the ring as of now. False when there is none. Damage is counted
 * in the decoder. */
bool receiver_next(struct receiver *receiver, uint32_t received, uint64_t now_us,
                   uint64_t *received_us) WARN_UNUSED;

#endif
