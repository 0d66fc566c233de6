/* Budgets that break without a command: another part has come, the line has become slower, or is from the
 * start. */
#ifndef APP_FIT_H
#define APP_FIT_H

#include <stdint.h>

#include "app/log.h"
#include "app/streams.h"

struct fit {
    const struct streams *streams;
    struct log *log;
    const char *part[STREAMS]; /* that the budgets were checked for, and its bus */
    enum sensor_bus bus[STREAMS];
    char text[96]; /* of the last line for the log */
};

/* Lowers the default rates where the line does not carry them: that of a board whose PLL does not lock. */
void fit_init(struct fit *fit, const struct streams *streams, struct log *log, uint32_t line_bits);

/* Lowers the rate of a part that has come since the last look, until it fits; main loop, at each tick. */
void fit_poll(struct fit *fit, uint32_t line_bits, uint64_t now_us);

/* The line has another rate, which nobody asked for: a line of the log says what does not fit. Main loop. */
void fit_line_changed(struct fit *fit, uint32_t line_bits, uint64_t now_us);

#endif
