/* Private to the codec: the table of CRC-32C, one entry for each byte. */
#ifndef TP_CRC32C_TABLE_H
#define TP_CRC32C_TABLE_H

#include <stdint.h>

extern const uint32_t tp_crc32c_table[256];

/* One byte further. The register starts as 0xFFFFFFFF and is inverted at the end. */
static inline uint32_t tp_crc32c_step(uint32_t crc, uint8_t byte)
{
    return tp_crc32c_table[(crc ^ byte) & 0xFFu] ^ crc >> 8;
}

#endif
