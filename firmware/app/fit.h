/* Budgets that break without a command: another part has come, the line has become slower, or is from the
 * start. */
#ifndef APP_FIT_H
#define APP_FIT_H

#include <stdbool.h>
#include <stdint.h>

#include "app/log.h"
#include "app/streams.h"

struct fit {
    const struct streams *streams;
    struct log *log;
    char text[112]; /* of the last line for the log */
};

/* Lowers the default rates where the line does not carry them: that of a board whose PLL does not lock. */
void fit_init(struct fit *fit, const struct streams *streams, struct log *log, uint32_t line_bits);

/* Whether the budgets allow a sensor's streams to be as `next` says, one entry each; for sensor_sink.fits().
 * A line of the log says what does not fit when that is the wanted rate. */
WARN_UNUSED bool fit_allows(struct fit *fit, const struct sensor *sensor, const struct sensor_stream *next,
                            uint32_t line_bits, uint64_t now_us);

/* The line has another rate, which nobody asked for: a line of the log says what does not fit. Main loop. */
void fit_line_changed(struct fit *fit, uint32_t line_bits, uint64_t now_us);

#endif
