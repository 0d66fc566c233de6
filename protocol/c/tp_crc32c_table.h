/* Private to the codec: CRC-32C, a byte or a word at a time. */
#ifndef TP_CRC32C_TABLE_H
#define TP_CRC32C_TABLE_H

#include <stdint.h>

extern const uint32_t tp_crc32c_table[4][256];

/* One byte further. The register starts as 0xFFFFFFFF and is inverted at the end. */
static inline uint32_t tp_crc32c_step(uint32_t crc, uint8_t byte)
{
    return tp_crc32c_table[0][(crc ^ byte) & 0xFFu] ^ crc >> 8;
}

/* Four bytes, the first of them in the lowest bits; compilers make it one load where the core has that. */
static inline uint32_t tp_load_word(const uint8_t *bytes)
{
    // NOLINTNEXTLINE(clang-analyzer-security.ArrayBound) the analyser loses track of how many bytes are left
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

/* Four bytes further. */
static inline uint32_t tp_crc32c_word(uint32_t crc, uint32_t word)
{
    crc ^= word;
    return tp_crc32c_table[3][crc & 0xFFu] ^ tp_crc32c_table[2][crc >> 8 & 0xFFu] ^
           tp_crc32c_table[1][crc >> 16 & 0xFFu] ^ tp_crc32c_table[0][crc >> 24];
}

#endif
