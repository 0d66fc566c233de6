/* Small types that the messages share. */
#ifndef TP_TYPES_H
#define TP_TYPES_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define TP_MUST_CHECK __attribute__((warn_unused_result))
#else
#define TP_MUST_CHECK
#endif

/* Text of at most 255 bytes of UTF-8, not terminated. Points into memory of the caller. */
struct tp_str {
    const char *data;
    size_t size;
};

/* Bytes up to the end of the payload. Points into memory of the caller. */
struct tp_bytes {
    const uint8_t *data;
    size_t size;
};

/* struct tp_str of a string literal: .board = TP_STR("nucleo_f411re"). */
#define TP_STR(literal) {.data = (literal), .size = sizeof(literal) - 1u}

/* A stream number (bits 0 ... 4) and a generation (bits 5 ... 7) in one byte. */
static inline uint8_t tp_stream_gen(uint8_t stream, uint8_t generation)
{
    return (uint8_t)((stream & 0x1Fu) | (uint32_t)(generation & 0x7u) << 5);
}

static inline uint8_t tp_stream_of(uint8_t stream_gen)
{
    return stream_gen & 0x1Fu;
}

static inline uint8_t tp_generation_of(uint8_t stream_gen)
{
    return stream_gen >> 5;
}

#endif
