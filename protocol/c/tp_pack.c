/* Write and read the fields of a message. See tp_pack.h. */
#include "tp_pack.h"

#include <string.h>

/* The next n bytes of the output, or NULL. */
static uint8_t *reserve(struct tp_writer *w, size_t n)
{
    if (w->failed || n > w->room - w->size) {
        w->failed = true;
        return NULL;
    }
    uint8_t *place = w->out + w->size;

    w->size += n;
    return place;
}

static void put_low(struct tp_writer *w, uint32_t value, size_t n)
{
    uint8_t *out = reserve(w, n);

    if (out != NULL) {
        for (size_t i = 0; i < n; i++) {
            out[i] = (uint8_t)value;
            value >>= 8;
        }
    }
}

void tp_put_u8(struct tp_writer *w, uint8_t value)
{
    put_low(w, value, 1);
}

void tp_put_u16(struct tp_writer *w, uint16_t value)
{
    put_low(w, value, 2);
}

void tp_put_u32(struct tp_writer *w, uint32_t value)
{
    put_low(w, value, 4);
}

void tp_put_u48(struct tp_writer *w, uint64_t value)
{
    if (value >> 48 != 0) {
        w->failed = true;
    }
    put_low(w, (uint32_t)value, 4);
    put_low(w, (uint32_t)(value >> 32), 2);
}

void tp_put_u64(struct tp_writer *w, uint64_t value)
{
    put_low(w, (uint32_t)value, 4);
    put_low(w, (uint32_t)(value >> 32), 4);
}

void tp_put_i16(struct tp_writer *w, int16_t value)
{
    put_low(w, (uint16_t)value, 2);
}

void tp_put_i32(struct tp_writer *w, int32_t value)
{
    put_low(w, (uint32_t)value, 4);
}

void tp_put_f32(struct tp_writer *w, float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof bits);
    put_low(w, bits, 4);
}

void tp_put_bytes(struct tp_writer *w, const void *data, size_t n)
{
    uint8_t *out = reserve(w, n);

    if (out != NULL && n > 0) {
        memcpy(out, data, n);
    }
}

void tp_put_str(struct tp_writer *w, struct tp_str text)
{
    if (text.size > UINT8_MAX) {
        w->failed = true;
    }
    put_low(w, (uint8_t)text.size, 1);
    tp_put_bytes(w, text.data, text.size);
}

/* The next n bytes of the input, or NULL. */
static const uint8_t *consume(struct tp_reader *r, size_t n)
{
    if (r->failed || n > r->left) {
        r->failed = true;
        return NULL;
    }
    const uint8_t *place = r->in;

    r->in += n;
    r->left -= n;
    return place;
}

static uint32_t get_low(struct tp_reader *r, size_t n)
{
    const uint8_t *in = consume(r, n);
    uint32_t value = 0;

    if (in != NULL) {
        for (size_t i = n; i-- > 0;) {
            value = value << 8 | in[i];
        }
    }
    return value;
}

uint8_t tp_get_u8(struct tp_reader *r)
{
    return (uint8_t)get_low(r, 1);
}

uint16_t tp_get_u16(struct tp_reader *r)
{
    return (uint16_t)get_low(r, 2);
}

uint32_t tp_get_u32(struct tp_reader *r)
{
    return get_low(r, 4);
}

uint64_t tp_get_u48(struct tp_reader *r)
{
    uint64_t low = get_low(r, 4);

    return low | (uint64_t)get_low(r, 2) << 32;
}

uint64_t tp_get_u64(struct tp_reader *r)
{
    uint64_t low = get_low(r, 4);

    return low | (uint64_t)get_low(r, 4) << 32;
}

int16_t tp_get_i16(struct tp_reader *r)
{
    return (int16_t)get_low(r, 2);
}

int32_t tp_get_i32(struct tp_reader *r)
{
    return (int32_t)get_low(r, 4);
}

float tp_get_f32(struct tp_reader *r)
{
    uint32_t bits = get_low(r, 4);
    float value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

void tp_get_bytes(struct tp_reader *r, void *data, size_t n)
{
    const uint8_t *in = consume(r, n);

    if (in != NULL) {
        memcpy(data, in, n);
    } else {
        memset(data, 0, n);
    }
}

struct tp_str tp_get_str(struct tp_reader *r)
{
    size_t n = tp_get_u8(r);
    const uint8_t *text = consume(r, n);

    return (struct tp_str){.data = (const char *)text, .size = text != NULL ? n : 0};
}

struct tp_bytes tp_get_rest(struct tp_reader *r)
{
    size_t n = r->left;
    const uint8_t *rest = consume(r, n);

    return (struct tp_bytes){.data = rest, .size = rest != NULL ? n : 0};
}
