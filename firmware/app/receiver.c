#include "app/receiver.h"

void receiver_init(struct receiver *receiver)
{
    *receiver = (struct receiver){0};
    tp_decoder_init(&receiver->decoder);
}

bool receiver_push(struct receiver *receiver, uint8_t byte, uint32_t now_us)
{
    uint32_t head = receiver->head;
    uint32_t stamp_head = receiver->stamp_head;
    bool delimiter = byte == 0;
    if (head - receiver->tail == RECEIVER_BYTES ||
        (delimiter && stamp_head - receiver->stamp_tail == RECEIVER_STAMPS)) {
        receiver->dropped++;
        return delimiter;
    }
    if (delimiter) {
        receiver->stamps[stamp_head % RECEIVER_STAMPS] = now_us;
        receiver->stamp_head = stamp_head + 1u;
    }
    receiver->bytes[head % RECEIVER_BYTES] = byte;
    receiver->head = head + 1u;
    return delimiter;
}

bool receiver_next(struct receiver *receiver, uint64_t now_us, uint64_t *received_us)
{
    while (receiver->tail != receiver->head) {
        uint8_t byte = receiver->bytes[receiver->tail % RECEIVER_BYTES];
        receiver->tail = receiver->tail + 1u;
        uint32_t stamp = 0;
        if (byte == 0) {
            stamp = receiver->stamps[receiver->stamp_tail % RECEIVER_STAMPS];
            receiver->stamp_tail = receiver->stamp_tail + 1u;
        }
        if (tp_decoder_push(&receiver->decoder, byte) == TP_FRAME) {
            /* signed: the delimiter may have come after the caller took now_us */
            *received_us = now_us + (uint64_t)(int64_t)(int32_t)(stamp - (uint32_t)now_us);
            return true;
        }
    }
    return false;
}
