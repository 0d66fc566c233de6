/* Commands of the host: a table (commands.c), one function each (commands_*.c), and exactly one answer to
 * each. command.h has the shape. */
#ifndef APP_COMMANDS_H
#define APP_COMMANDS_H

#include <stdbool.h>
#include <stdint.h>

#include "app/command.h"
#include "app/line.h"
#include "app/streams.h"
#include "app/telemetry.h"

struct configuration;

struct commands {
    struct telemetry *telemetry;
    struct streams *streams;
    struct line *line;
    struct configuration *configuration; /* set by the owner */
    uint32_t line_bits;                  /* what the line carries in a second */
    /* set by commands, for the application; it clears the first two */
    bool health_wanted;
    bool clear_wanted;
    bool reset_wanted;      /* the answer is queued */
    bool bootloader_wanted; /* that reset leads into the ROM's bootloader */
    uint32_t refused_length;
    uint32_t refused_type;

    bool closed; /* nothing more is put off */
    struct pending pending[COMMANDS_PENDING];
    uint8_t pending_count; /* of them in use */
};

void commands_init(struct commands *commands, struct telemetry *telemetry, struct streams *streams,
                   struct line *line);

/* A good frame of the host. commands_can_take() holds. */
void commands_handle(struct commands *commands, uint8_t type, const uint8_t *payload, size_t n,
                     uint64_t received_us, uint64_t now_us);

/* Answers what has come to its end meanwhile. Main loop. */
void commands_poll(struct commands *commands, uint64_t now_us);

/* Room is kept for the answers that are still owed. */
bool commands_can_take(const struct commands *commands) WARN_UNUSED;

#endif
