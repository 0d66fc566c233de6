/* Bytes from the host, on their way from the UART's interrupt to the main loop.
 *
 *     bytes    a b c 0 d e 0 f g          one ring, written by the interrupt, read by the main loop
 *     stamps         s     s              one time stamp for each delimiter, in the same order
 */
#ifndef APP_RECEIVER_H
#define APP_RECEIVER_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/check.h"
#include "tp_frame.h"

#define RECEIVER_BYTES  512u /* powers of two */
#define RECEIVER_STAMPS 32u

struct receiver {
    uint8_t bytes[RECEIVER_BYTES];
    volatile uint32_t head; /* written by the interrupt; both count on and wrap by masking */
    volatile uint32_t tail; /* written by the main loop */
    uint32_t stamps[RECEIVER_STAMPS];
    volatile uint32_t stamp_head;
    volatile uint32_t stamp_tail;
    volatile uint32_t dropped; /* bytes that found the ring full */
    struct tp_decoder decoder;
};

void receiver_init(struct receiver *receiver);

/* UART interrupt. `now_us`: low 32 bits of the device time; only looked at for a delimiter. True for a
 * delimiter. */
bool receiver_push(struct receiver *receiver, uint8_t byte, uint32_t now_us);

/* Main loop: reads on to the end of the next good frame, which is then in receiver->decoder, and gives the
 * time of its delimiter. False when there is none. Damage is counted in the decoder. */
bool receiver_next(struct receiver *receiver, uint64_t now_us, uint64_t *received_us) WARN_UNUSED;

#endif
