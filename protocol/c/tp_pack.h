/* Private to the codec: write and read the fields of a message, little-endian, without padding.
 * A step that does not fit does nothing, and neither does any after it; ask once at the end. */
#ifndef TP_PACK_H
#define TP_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tp_types.h"

struct tp_writer {
    uint8_t *out;
    size_t room; /* bytes that are left */
    size_t size; /* bytes written */
    bool failed;
};

static inline struct tp_writer tp_writer(uint8_t *out, size_t room)
{
    return (struct tp_writer){.out = out, .room = room};
}

/* Bytes written, 0 when something did not fit. */
static inline size_t tp_written(const struct tp_writer *w)
{
    return w->failed ? 0 : w->size;
}

void tp_put_u8(struct tp_writer *w, uint8_t value);
void tp_put_u16(struct tp_writer *w, uint16_t value);
void tp_put_u32(struct tp_writer *w, uint32_t value);
void tp_put_u48(struct tp_writer *w, uint64_t value); /* fails above 48 bits */
void tp_put_u64(struct tp_writer *w, uint64_t value);
void tp_put_i16(struct tp_writer *w, int16_t value);
void tp_put_i32(struct tp_writer *w, int32_t value);
void tp_put_f32(struct tp_writer *w, float value);
void tp_put_bytes(struct tp_writer *w, const void *data, size_t n);
void tp_put_str(struct tp_writer *w, struct tp_str text); /* fails above 255 bytes */

struct tp_reader {
    const uint8_t *in;
    size_t left;
    bool failed;
};

static inline struct tp_reader tp_reader(const uint8_t *in, size_t n)
{
    return (struct tp_reader){.in = in, .left = n};
}

/* Each returns 0, nothing or an empty run when the input is too short. */
uint8_t tp_get_u8(struct tp_reader *r);
uint16_t tp_get_u16(struct tp_reader *r);
uint32_t tp_get_u32(struct tp_reader *r);
uint64_t tp_get_u48(struct tp_reader *r);
uint64_t tp_get_u64(struct tp_reader *r);
int16_t tp_get_i16(struct tp_reader *r);
int32_t tp_get_i32(struct tp_reader *r);
float tp_get_f32(struct tp_reader *r);
void tp_get_bytes(struct tp_reader *r, void *data, size_t n);
struct tp_str tp_get_str(struct tp_reader *r);
struct tp_bytes tp_get_rest(struct tp_reader *r);

#endif
