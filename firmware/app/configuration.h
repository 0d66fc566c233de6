/* The settings of the streams: what is in force, what is stored for the next boot, and the way from one to
 * the other.
 *
 *     boot: store --> wanted --> applied step by step, through the sensors' own functions
 *     save: in force --> store        restore: store or defaults --> wanted --> applied
 *
 * Where nothing readable is stored, or another firmware has stored it, the defaults are in force and a line
 * of the log says so.
 */
#ifndef APP_CONFIGURATION_H
#define APP_CONFIGURATION_H

#include <stdbool.h>
#include <stdint.h>

#include "app/log.h"
#include "app/store.h"
#include "app/streams.h"
#include "lib/check.h"

#define CONFIGURATION_RANGES 2u /* fields of one unit share a range: a sensor has two, or one */

struct settings {
    struct {
        uint32_t rate_mhz;
        uint32_t latency_us; /* 0: the default for the rate */
        bool enabled;
        float full_scale[CONFIGURATION_RANGES]; /* SI; 0: left alone */
    } stream[STREAMS];
};

struct configuration {
    struct streams *streams;
    struct log *log;
    struct store store;
    bool readable; /* what is stored, if anything, is of a version that this firmware knows */
    struct settings defaults;

    /* being applied */
    struct settings wanted;
    bool applying;
    bool failed;  /* a step of the last time did */
    bool waiting; /* for the sensor's change of this step */
    uint8_t step;
    uint64_t deadline_us;
    char text[96]; /* of the last line for the log */
};

/* Takes the settings in force as the defaults, then the stored ones into force; the sensors have not been
 * started, so that this is over at once. `line_bits` is what the line carries in a second. Main loop, like
 * all of this. */
void configuration_init(struct configuration *configuration, struct streams *streams, struct log *log,
                        uint32_t line_bits);

/* Stores what is in force. True also when it is stored already: then nothing is written. Stalls the core, see
 * hal/nvstore.h. */
WARN_UNUSED bool configuration_save(struct configuration *configuration);

/* Makes the store say that there is nothing stored, readable or not. Stalls the core likewise. */
WARN_UNUSED bool configuration_clear(struct configuration *configuration);

/* Starts to take the stored settings, or the defaults, into force. A setting that does not fit the budgets
 * any more stays at its default. Not while configuration->applying. */
void configuration_restore(struct configuration *configuration, bool stored, uint32_t line_bits,
                           uint64_t now_us);

/* Goes on with that: at each tick. */
void configuration_poll(struct configuration *configuration, uint64_t now_us);

#endif
