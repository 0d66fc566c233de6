/* Feeds the C decoder a run of bytes and lists its verdicts, so that Python pays one call for many bytes. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "tp_frame.h"

struct shim_event {
    uint32_t end; /* bytes of the run up to and including the delimiter */
    uint16_t payload_size;
    uint8_t verdict;
    uint8_t type;
    uint8_t sequence;
    uint8_t payload[TP_PAYLOAD_MAX];
};

size_t shim_decoder_size(void);
size_t shim_decoder_feed(struct tp_decoder *d, const uint8_t *data, size_t n, struct shim_event *events,
                         size_t room);

size_t shim_decoder_size(void)
{
    return sizeof(struct tp_decoder);
}

/* Returns how many events it wrote. It stops when the room is used up, so give one more than the run has
 * delimiters. */
size_t shim_decoder_feed(struct tp_decoder *d, const uint8_t *data, size_t n, struct shim_event *events,
                         size_t room)
{
    size_t count = 0;

    for (size_t i = 0; i < n && count < room; i++) {
        enum tp_verdict verdict = tp_decoder_push(d, data[i]);

        if (verdict == TP_NONE) {
            continue;
        }
        struct shim_event *event = &events[count++];

        *event = (struct shim_event){.end = (uint32_t)(i + 1), .verdict = (uint8_t)verdict};
        if (verdict == TP_FRAME) {
            event->type = d->type;
            event->sequence = d->sequence;
            event->payload_size = (uint16_t)d->payload_size;
            memcpy(event->payload, d->payload, d->payload_size);
        }
    }
    return count;
}
