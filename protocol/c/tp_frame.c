/* Encode and decode frames. See tp_frame.h. */
#include "tp_frame.h"

#include "tp_crc32c_table.h"

#define BLOCK_FULL  255u        /* code byte of 254 data bytes without a zero */
#define CRC_RESIDUE 0x48674BC7u /* CRC-32C of anything followed by its own CRC-32C, little-endian */

/* An encoder in mid-frame. The zero of a data block is written as it comes; its place is where the next code
 * byte goes, so that no byte is ever moved.
 *
 *     code                  out
 *      v                     v
 *      ?  d1 d2 d3 d4 d5 d6  .
 */
struct encoder {
    uint8_t *code; /* where the code byte of the open block goes */
    uint8_t *out;  /* where the next byte goes */
    uint32_t crc;  /* register, not inverted */
};

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void store_word(uint8_t *out, uint32_t word)
{
    out[0] = (uint8_t)word;
    out[1] = (uint8_t)(word >> 8);
    out[2] = (uint8_t)(word >> 16);
    out[3] = (uint8_t)(word >> 24);
}

static bool has_zero(uint32_t word)
{
    return ((word - 0x01010101u) & ~word & 0x80808080u) != 0;
}

/* Where the next code byte goes: a zero ends the open block. */
static uint8_t *code_behind(uint8_t *code, uint8_t *out, uint32_t byte)
{
    if (byte != 0) {
        return code;
    }
    *code = (uint8_t)(out - code);
    return out;
}

/* CRC and COBS in one pass, a word at a time: nearly all of the time of sending is spent here. */
static void append(struct encoder *e, const uint8_t *data, size_t n)
{
    const uint8_t *const end = data + n;
    uint8_t *code = e->code;
    uint8_t *out = e->out;
    uint32_t crc = e->crc;

    while (data != end) {
        if ((size_t)(out - code) == BLOCK_FULL) {
            *code = BLOCK_FULL;
            code = out++;
        }
        /* Before this no block is full: one that ends only makes room. */
        const size_t sure = smaller((size_t)(end - data), BLOCK_FULL - (size_t)(out - code));
        const uint8_t *const words_end = data + sure / 4u * 4u;
        const uint8_t *const bytes_end = data + sure;

        for (; data != words_end; data += 4, out += 4) {
            const uint32_t word = tp_load_word(data);

            crc = tp_crc32c_word(crc, word);
            store_word(out, word);
            if (has_zero(word)) {
                code = code_behind(code, out, word & 0xFFu);
                code = code_behind(code, out + 1, word & 0xFF00u);
                code = code_behind(code, out + 2, word & 0xFF0000u);
                code = code_behind(code, out + 3, word & 0xFF000000u);
            }
        }
        for (; data != bytes_end; data++, out++) {
            crc = tp_crc32c_step(crc, *data);
            *out = *data;
            code = code_behind(code, out, *data);
        }
    }
    e->code = code;
    e->out = out;
    e->crc = crc;
}

size_t tp_frame_encode(uint8_t *out, size_t room, uint8_t type, uint8_t sequence, const void *payload,
                       size_t n)
{
    if (n > TP_PAYLOAD_MAX || room < TP_ENCODED_SIZE(n)) {
        return 0;
    }

    struct encoder e = {.code = out, .out = out + 1, .crc = 0xFFFFFFFFu};
    const uint8_t head[] = {type, sequence};

    append(&e, head, sizeof head);
    if (n > 0) {
        append(&e, payload, n);
    }

    const uint32_t crc = ~e.crc;
    const uint8_t tail[] = {(uint8_t)crc, (uint8_t)(crc >> 8), (uint8_t)(crc >> 16), (uint8_t)(crc >> 24)};

    append(&e, tail, sizeof tail);
    *e.code = (uint8_t)(e.out - e.code);
    *e.out++ = 0;
    return (size_t)(e.out - out);
}

void tp_decoder_init(struct tp_decoder *d)
{
    *d = (struct tp_decoder){.payload = d->buffer};
}

static void store(struct tp_decoder *d, uint8_t byte)
{
    if (d->decoded == TP_DECODED_MAX) {
        d->overlong = true;
    } else {
        d->buffer[d->decoded++] = byte;
    }
}

/* A byte that is not the delimiter. */
static void take(struct tp_decoder *d, uint8_t byte)
{
    if (d->encoded == TP_ENCODED_MAX - 1u) {
        d->overlong = true;
    }
    if (d->overlong) {
        return;
    }
    d->encoded++;
    if (d->block_left > 0) {
        d->block_left--;
        store(d, byte);
        return;
    }
    if (d->encoded > 1 && d->block_code != BLOCK_FULL) {
        store(d, 0); /* the block before this code byte ended in a zero */
    }
    d->block_code = byte;
    d->block_left = (uint8_t)(byte - 1u);
}

/* The verdict on what stands before a delimiter, in the order of the table in SPEC.md. */
static enum tp_verdict judge(const struct tp_decoder *d)
{
    if (d->encoded == 0) {
        return TP_NONE;
    }
    if (d->overlong) {
        return TP_DAMAGE_LONG;
    }
    if (d->block_left > 0) {
        return TP_DAMAGE_COBS;
    }
    if (d->decoded < TP_DECODED_MIN) {
        return TP_DAMAGE_SHORT;
    }
    return tp_crc32c(0, d->buffer, d->decoded) == CRC_RESIDUE ? TP_FRAME : TP_DAMAGE_CRC;
}

static void count(struct tp_decoder *d, enum tp_verdict verdict)
{
    switch (verdict) {
    case TP_NONE:
        break;
    case TP_FRAME:
        d->frames++;
        break;
    case TP_DAMAGE_COBS:
        d->damage_cobs++;
        break;
    case TP_DAMAGE_CRC:
        d->damage_crc++;
        break;
    case TP_DAMAGE_SHORT:
        d->damage_short++;
        break;
    case TP_DAMAGE_LONG:
        d->damage_long++;
        break;
    case TP_PARTIAL:
        d->partial++;
        break;
    }
}

enum tp_verdict tp_decoder_push(struct tp_decoder *d, uint8_t byte)
{
    d->bytes++;
    if (byte != 0) {
        take(d, byte);
        return TP_NONE;
    }

    enum tp_verdict verdict = judge(d);

    if (verdict == TP_FRAME) {
        d->type = d->buffer[0];
        d->sequence = d->buffer[1];
        d->payload = d->buffer + 2;
        d->payload_size = d->decoded - TP_DECODED_MIN;
    } else if (verdict != TP_NONE && !d->synchronised) {
        verdict = TP_PARTIAL;
    }
    count(d, verdict);
    d->synchronised = true;
    d->overlong = false;
    d->encoded = 0;
    d->decoded = 0;
    d->block_left = 0;
    return verdict;
}
