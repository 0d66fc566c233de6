/* Lines of text for a human, waiting to be sent. Rate-limited: a burst of LOG_BURST, then one a second. */
#ifndef APP_LOG_H
#define APP_LOG_H

#include <stdint.h>

#include "tp_messages.h"

#define LOG_LINES 8u
#define LOG_BURST 8u

struct log_entry {
    uint64_t time_us;
    const char *text; /* static storage */
    uint8_t level;
};

struct log {
    struct log_entry entries[LOG_LINES];
    uint8_t first;
    uint8_t count;
    uint8_t tokens;
    uint64_t refilled_us;
    uint32_t dropped; /* for want of room; a line over the rate is not meant to be sent */
};

void log_init(struct log *log);

/* Main loop. The text must live for ever. */
void log_add(struct log *log, uint64_t now_us, enum tp_log_level level, const char *text);

/* The oldest line, or NULL; log_pop() removes it. */
const struct log_entry *log_oldest(const struct log *log);
void log_pop(struct log *log);

#endif
