/* The image header: what a flashing tool wants to know before it erases anything. The linker puts it at
 * 0x08000200, behind the vectors; bridge/telemetry_bridge/flash/image.py reads it, from the file and from the
 * board. All words are little-endian; pointers are addresses in flash, strings end with a zero. */
#include <stdint.h>

#include "app/version.h"
#include "hal/image.h"
#include "tp_messages.h"

#define IMAGE_MAGIC 0x474D4954u /* "TIMG" */

/* Fields are only ever appended; size tells how many there are. */
struct image {
    uint32_t magic;
    uint32_t size;         /* bytes of this structure */
    const char *device_id; /* a number: 0x431 STM32F411, 0x413 STM32F405 (RM0383 23.6.1, RM0090 38.6.1) */
    const char *end;
    const char *board;
    const char *version;
    const char *revision;
    uint32_t fingerprint; /* of the table of messages */
};

extern const struct image image_header;
__attribute__((section(".image"), used)) const struct image image_header = {
    .magic = IMAGE_MAGIC,
    .size = sizeof(struct image),
    .device_id = image_device_id,
    .end = image_end,
    .board = hal_image_board,
    .version = firmware_version,
    .revision = firmware_revision,
    .fingerprint = TP_FINGERPRINT,
};
