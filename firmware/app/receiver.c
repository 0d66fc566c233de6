#include "app/receiver.h"

#define US_PER_CHARACTERS(n, baud) ((uint32_t)((uint64_t)(n) * 10000000u / (baud))) /* 10 bits each */

void receiver_init(struct receiver *receiver)
{
    *receiver = (struct receiver){0};
    tp_decoder_init(&receiver->decoder);
}

void receiver_mark(struct receiver *receiver, uint32_t received, uint32_t end_us)
{
    uint32_t head = receiver->mark_head;
    if (head - receiver->mark_tail == RECEIVER_MARKS) {
        receiver->crowded = true;
        return;
    }
    receiver->marks[head % RECEIVER_MARKS] = (struct receiver_mark){.received = received, .end_us = end_us};
    __atomic_signal_fence(__ATOMIC_RELEASE); /* whole before it can be seen */
    receiver->mark_head = head + 1u;
}

/* Reads up to the mark, or to the end of a good frame. */
static bool read_frame(struct receiver *receiver, const struct receiver_mark *mark, uint32_t *end_us)
{
    while (receiver->read != mark->received) {
        uint8_t byte = receiver->bytes[receiver->read % RECEIVER_BYTES];
        receiver->read++;
        if (tp_decoder_push(&receiver->decoder, byte) == TP_FRAME) {
            *end_us = mark->end_us - US_PER_CHARACTERS(mark->received - receiver->read, receiver->baud);
            return true;
        }
    }
    return false;
}

/* What the hardware has written over is gone; the frame check judges what is left of a frame. */
static void skip_overwritten(struct receiver *receiver, uint32_t received)
{
    uint32_t waiting = received - receiver->read;
    if (waiting > RECEIVER_BYTES) {
        receiver->dropped += waiting - RECEIVER_BYTES;
        receiver->read = received - RECEIVER_BYTES;
    }
}

static bool find_frame(struct receiver *receiver, uint32_t received, uint32_t now_us, uint32_t *end_us)
{
    skip_overwritten(receiver, received);
    while (receiver->mark_tail != receiver->mark_head) {
        __atomic_signal_fence(__ATOMIC_ACQUIRE);
        const struct receiver_mark *mark = &receiver->marks[receiver->mark_tail % RECEIVER_MARKS];
        bool skipped = (int32_t)(mark->received - receiver->read) <= 0;
        if (!skipped && read_frame(receiver, mark, end_us)) {
            return true;
        }
        __atomic_signal_fence(__ATOMIC_RELEASE); /* read before its place is free */
        receiver->mark_tail++;
    }
    if (receiver->crowded) {
        /* What the lost mark stands for has come, but when is not known: a ping's times say that it waited
         * longer on its way than it did, and the host prefers those that did not. */
        struct receiver_mark now = {.received = received, .end_us = now_us};
        if (read_frame(receiver, &now, end_us)) {
            return true;
        }
        receiver->crowded = false;
    }
    return false;
}

bool receiver_next(struct receiver *receiver, uint32_t received, uint64_t now_us, uint64_t *received_us)
{
    uint32_t end_us = 0;
    if (!find_frame(receiver, received, (uint32_t)now_us, &end_us)) {
        return false;
    }
    /* signed: the delimiter may have come after the caller took now_us */
    *received_us = now_us + (uint64_t)(int64_t)(int32_t)(end_us - (uint32_t)now_us);
    return true;
}
