// clang-format off
/* An external thermometer on I2C: what all of them share. A part is a const table (tmp117.c, lm75.c).
 *
 *                all checks passed          settings written                 result is there
 *     SEARCHING -------------------> CONFIGURING -----------> WAITING <====================> READING -> sample
 *       ^  (a part without settings: straight to READING)       |                              |
 *       +------------------ five transfers failed in a row, or the settings are gone ----------+
 *
 * Optional: SENSOR_ABSENT, without a part in its descriptor, and silent, until one is found the first time;
 * SENSOR_MISSING when it is gone. Looked for once a second at 0x48 ... 0x4B. Everything happens in poll(), a
 * transfer a tick; it shares its bus with faster sensors, so there is never more than one transfer of its own
 * in the queue.
 *
 * A sample's time is the end of its conversion, known within a tick of 10 ms where the part tells that it has
 * ended, and else the time at which it is read. group_delay_us is from the middle of the conversions to
 * there.
 */
// clang-format on
#ifndef DRIVERS_THERMOMETER_H
#define DRIVERS_THERMOMETER_H

#include "drivers/bus.h"
#include "drivers/sensor.h"

/* A register that has to hold a value for the part to be taken for what it is. */
struct thermometer_check {
    uint8_t reg;
    uint8_t size; /* 1 or 2 bytes, big-endian */
    uint16_t mask;
    uint16_t value;
};

struct thermometer_rate {
    uint32_t rate_mhz;
    uint16_t settings; /* content of the settings register */
};

struct thermometer_part {
    const char *name; /* for the descriptor */
    const char *found;
    const char *lost; /* lines for the log */
    const struct thermometer_check *checks;
    const struct thermometer_rate *rates; /* from the highest to the lowest */
    uint8_t check_count;
    uint8_t rate_count;
    bool has_settings; /* settings and flag of a new result are in one register of 16 bits */
    uint8_t settings_register;
    uint16_t settings_mask;
    uint16_t ready; /* flag of a new result */
    uint8_t result_register;
    uint16_t result_mask; /* bits that count */
    float scale;          /* degC of a bit of the result */
    float full_scale;
    uint32_t first_us; /* from power-up, or the settings, to the first result */
    uint32_t group_delay_us;
};

enum thermometer_step {
    THERMOMETER_SEARCHING,
    THERMOMETER_CONFIGURING,
    THERMOMETER_WAITING,
    THERMOMETER_READING
};

struct thermometer {
    struct sensor sensor; /* first */
    const struct bus *bus;
    const struct thermometer_part *const *parts;
    uint8_t part_count;
    struct sensor_stream stream;
    struct sensor_field field;
    const struct thermometer_part *part; /* the one found last; before, the one whose limits count */
    enum thermometer_step step;
    enum sensor_state state;
    uint32_t wanted_mhz;
    enum sensor_change change; /* of rate */

    /* search */
    uint8_t candidate;
    uint8_t check;

    /* transfer */
    struct transfer transfer;
    uint8_t data[2];
    volatile bool busy;
    volatile enum transfer_status status;
    bool asked;        /* its end has not been looked at */
    uint64_t asked_us; /* when it was started */
    uint64_t next_us;  /* when there is something to do */
    uint8_t failures;  /* in a row */

    /* results */
    bool stale;          /* the next look at the flag only clears it */
    bool has_result;     /* there is a last result, at this rate */
    bool missed;         /* a transfer failed since then */
    uint64_t unready_us; /* when it was last seen without a new result */
    uint64_t end_us;     /* of the conversion whose result is read next */
    uint64_t result_us;  /* time of the last result */
    uint64_t first_us;   /* first result at this rate */
    uint32_t results;    /* intervals since then */
    int16_t latest;
};

/* `parts` are looked for at each address, in their order; the first one's rates count while none is found. */
void thermometer_init(struct thermometer *thermometer, const struct thermometer_part *const *parts,
                      uint8_t part_count, const struct bus *bus, const struct sensor_sink *sink,
                      uint8_t first_stream);

#endif
