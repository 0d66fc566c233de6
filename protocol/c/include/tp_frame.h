/* Frames of the wire: COBS( type u8 | sequence u8 | payload | CRC-32C u32 ) 0x00. See protocol/SPEC.md.
 *
 * No heap, no globals, no I/O; the caller owns all memory, so every function may run in any context as long
 * as two contexts do not share one struct. Nothing here blocks.
 *
 * To send:
 *
 *     uint8_t payload[64], frame[TP_ENCODED_SIZE(sizeof payload)];
 *     struct tp_log log = {.time_us = now_us, .level = TP_LOG_LEVEL_INFO, .text = TP_STR("hello")};
 *     size_t n = tp_log_write(payload, sizeof payload, &log);
 *     n = n ? tp_frame_encode(frame, sizeof frame, TP_MESSAGE_LOG, sequence++, payload, n) : 0;
 *     if (n == 0) { it did not fit: count the drop }
 *
 * A batch of samples is not copied twice: keep TP_SAMPLES_SIZE bytes free in front of it and write the header
 * there when it is sent,
 *
 *     uint8_t batch[TP_SAMPLES_SIZE + 240];
 *     struct tp_samples head = {.stream_gen = ..., .index = first_index, .time_us = first_us};
 *     if (tp_samples_write(batch, TP_SAMPLES_SIZE, &head) == 0) { cannot happen: assert }
 *     n = tp_frame_encode(out, room, TP_MESSAGE_SAMPLES, sequence, batch, TP_SAMPLES_SIZE + bytes);
 *
 * To receive:
 *
 *     static struct tp_decoder decoder;
 *     tp_decoder_init(&decoder);
 *     for each byte:
 *         if (tp_decoder_push(&decoder, byte) == TP_FRAME && decoder.type == TP_MESSAGE_COMMAND) {
 *             struct tp_command command;
 *             if (tp_command_read(&command, decoder.payload, decoder.payload_size)) { handle it }
 *             else { refused: length }
 *         }
 */
#ifndef TP_FRAME_H
#define TP_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tp_types.h"

#define TP_PAYLOAD_MAX 506u /* bytes of payload in a frame */
#define TP_ENCODED_MAX 516u /* bytes of an encoded frame, delimiter included */
#define TP_DECODED_MIN 6u   /* type, sequence, CRC */
#define TP_DECODED_MAX 512u /* the same with the longest payload */

/* Bytes that the frame of n bytes of payload can take, delimiter included; a constant where n is one. */
#define TP_ENCODED_SIZE(n) ((n) + TP_DECODED_MIN + ((n) + TP_DECODED_MIN + 253u) / 254u + 1u)

/* CRC-32C of n bytes. Start with crc 0; the result of one call may be the crc of the next:
 * tp_crc32c(tp_crc32c(0, a, n), b, m) is the CRC of a and b in a row. */
TP_MUST_CHECK uint32_t tp_crc32c(uint32_t crc, const void *data, size_t n);

/* Write one frame with its delimiter and return its size in bytes.
 * Returns 0 and writes nothing when n > TP_PAYLOAD_MAX or room < TP_ENCODED_SIZE(n).
 * The payload must not overlap out. It may be NULL when n is 0. */
TP_MUST_CHECK size_t tp_frame_encode(uint8_t *out, size_t room, uint8_t type, uint8_t sequence,
                                     const void *payload, size_t n);

/* What a byte has completed. */
enum tp_verdict {
    TP_NONE,         /* nothing yet, or an empty frame */
    TP_FRAME,        /* a good frame */
    TP_DAMAGE_COBS,  /* a code byte points past the delimiter */
    TP_DAMAGE_CRC,   /* CRC wrong */
    TP_DAMAGE_SHORT, /* fewer than TP_DECODED_MIN bytes */
    TP_DAMAGE_LONG,  /* more than TP_DECODED_MAX bytes, or TP_ENCODED_MAX encoded bytes without a delimiter */
    TP_PARTIAL,      /* not a frame, but it stood before the first delimiter: came in mid-frame, no damage */
};

/* One direction of one line. Every verdict comes with a delimiter, so noise never leaves it out of step for
 * longer than to the next delimiter.
 *
 *     line        05 11 22 33 44 02 55 00
 *     block_left   4  3  2  1  0  1  0
 *     buffer         11 22 33 44 00 55
 *
 * A block's zero is stored when the next code byte comes: the zero of the last block is not data.
 */
struct tp_decoder {
    /* Since tp_decoder_init, modulo 2^32. */
    uint32_t bytes; /* all bytes, delimiters included */
    uint32_t frames;
    uint32_t damage_cobs;
    uint32_t damage_crc;
    uint32_t damage_short;
    uint32_t damage_long;
    uint32_t partial;

    /* The frame, valid after TP_FRAME until the next push. */
    uint8_t type;
    uint8_t sequence;
    const uint8_t *payload; /* into buffer */
    size_t payload_size;

    /* Private. */
    uint16_t encoded;   /* bytes since the delimiter, at most TP_ENCODED_MAX */
    uint16_t decoded;   /* bytes in buffer */
    uint8_t block_code; /* code byte of the open block */
    uint8_t block_left; /* data bytes that the open block still has */
    bool overlong;      /* skip to the next delimiter */
    bool synchronised;  /* a delimiter has been seen */
    uint8_t buffer[TP_DECODED_MAX];
};

void tp_decoder_init(struct tp_decoder *d);

/* Take the next byte of the line. Never fails: damage is a verdict and counted in d. */
enum tp_verdict tp_decoder_push(struct tp_decoder *d, uint8_t byte);

#endif
