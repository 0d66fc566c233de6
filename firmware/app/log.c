#include "app/log.h"

#include <stddef.h>

#include "lib/check.h"

#define REFILL_US 1000000u

void log_init(struct log *log)
{
    *log = (struct log){.tokens = LOG_BURST};
}

void log_add(struct log *log, uint64_t now_us, enum tp_log_level level, const char *text)
{
    while (log->tokens < LOG_BURST && now_us - log->refilled_us >= REFILL_US) {
        log->refilled_us += REFILL_US;
        log->tokens++;
    }
    if (log->tokens == LOG_BURST) {
        log->refilled_us = now_us;
    }
    if (log->tokens == 0) {
        return;
    }
    if (log->count == LOG_LINES) {
        log->dropped++;
        return;
    }
    log->tokens--;
    uint8_t slot = (uint8_t)((log->first + log->count) % LOG_LINES);
    log->entries[slot] = (struct log_entry){.time_us = now_us, .text = text, .level = (uint8_t)level};
    log->count++;
}

const struct log_entry *log_oldest(const struct log *log)
{
    return log->count != 0 ? &log->entries[log->first] : NULL;
}

void log_pop(struct log *log)
{
    ASSERT(log->count != 0);
    log->first = (uint8_t)((log->first + 1u) % LOG_LINES);
    log->count--;
}
