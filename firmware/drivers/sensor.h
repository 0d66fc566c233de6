/* The shape of a sensor. A sensor feeds one or more streams into a sink; it finds itself, and again when it
 * was gone.
 *
 *     application --poll, data_ready, set_...--> sensor --transfers--> bus
 *     application <--sample, lost, changed, log-- sensor
 */
#ifndef DRIVERS_SENSOR_H
#define DRIVERS_SENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/check.h"

/* The values of these enums are those of the wire (protocol/messages.toml); the application checks that. */
enum sensor_state { SENSOR_STOPPED, SENSOR_STREAMING, SENSOR_MISSING, SENSOR_FAILING, SENSOR_ABSENT };
enum sensor_field_type { SENSOR_U8, SENSOR_I8, SENSOR_U16, SENSOR_I16, SENSOR_U32, SENSOR_I32, SENSOR_F32 };
enum sensor_log_level { SENSOR_LOG_DEBUG, SENSOR_LOG_INFO, SENSOR_LOG_WARNING, SENSOR_LOG_ERROR };

/* Why a tick of the sensor gave no sample. */
enum sensor_loss {
    SENSOR_LOST_FIFO, /* overwritten before it could be read */
    SENSOR_LOST_BUS,  /* the bus failed */
};

/* What a stream's samples come over; for the budget of the bus. */
enum sensor_bus { SENSOR_BUS_NONE, SENSOR_BUS_I2C, SENSOR_BUS_SPI, SENSOR_BUSES };

/* One field of a sample: SI value = raw * scale + offset. */
struct sensor_field {
    enum sensor_field_type type;
    float scale;
    float offset;
    float full_scale; /* largest magnitude in SI; 0 where there is none */
    const char *name;
    const char *unit;
};

/* Descriptor of a stream. What changes while the board runs changes only in front of sensor_sink.changed().
 */
struct sensor_stream {
    const char *name;
    const char *part;
    const struct sensor_field *fields;
    uint8_t field_count;
    uint8_t sample_size; /* bytes, fields packed, little-endian */
    uint16_t fifo_depth;
    uint16_t bus_bits;   /* bits on the sensor bus for one sample, framing included */
    enum sensor_bus bus; /* that its samples come over */
    uint32_t rate_mhz;
    uint32_t group_delay_us;
};

/* How samples come at a rate: so many at a time, and how old the oldest of them is by then at most. */
struct sensor_reading {
    uint16_t samples;
    uint32_t age_us;
};

struct sensor;

/* Where samples go. What is not marked otherwise may be called from an interrupt; never nested for one
 * sensor. */
struct sensor_sink {
    void *context;
    void (*sample)(void *context, uint8_t stream, uint64_t time_us, const void *sample);
    /* The next sample comes with the next reading; where these have more than one. */
    void (*end_reading)(void *context, uint8_t stream);
    void (*lost)(void *context, uint8_t stream, enum sensor_loss cause, uint32_t ticks);
    void (*changed)(void *context, uint8_t stream); /* samples from here on follow the new descriptor */
    void (*interrupted)(void *context,
                        uint8_t stream); /* the sensor is gone: the next sample does not follow the last */
    void (*log)(void *context, enum sensor_log_level level, const char *text); /* main loop */
    /* Whether line and bus can carry the sensor's streams as `next` says, one entry each; main loop. Asked
     * about a part that has come, before it is configured. */
    bool (*fits)(void *context, const struct sensor *sensor, const struct sensor_stream *next);
};

/* A change of settings, or a self-test: one at a time for a sensor. */
enum sensor_change {
    SENSOR_CHANGE_DONE,
    SENSOR_CHANGE_PENDING,     /* ask change_status() until it says something else */
    SENSOR_CHANGE_BUSY,        /* another change is under way; nothing happened */
    SENSOR_CHANGE_FAILED,      /* the sensor did not take it; what was in force before is in force */
    SENSOR_CHANGE_UNSUPPORTED, /* this stream cannot do that */
};

#define SENSOR_FIELDS_MAX          6u
#define SENSOR_TEMPERATURE_UNKNOWN INT16_MIN

/* A range holds what is this much smaller than what was asked for: a host rounds 4 g in m/s^2 in its own way.
 */
#define SENSOR_RANGE_ROUNDING 0.9999f

/* Result of a self-test, one entry per field of the stream; each passes when low <= response <= high. */
struct sensor_self_test {
    bool passed;
    uint8_t count;
    struct {
        float response;
        float low;
        float high;
    } field[SENSOR_FIELDS_MAX];
};

/* Main loop only, but for reading(). `which` counts the streams of this sensor from 0. Where an entry is NULL
 * the sensor cannot do that. */
struct sensor_ops {
    void (*poll)(struct sensor *sensor, uint64_t now_us); /* about every 10 ms */
    enum sensor_state (*state)(const struct sensor *sensor);

    /* Rates that the stream can have; equal where its rate cannot be set. */
    void (*rate_range)(const struct sensor *sensor, uint8_t which, uint32_t *lowest_mhz,
                       uint32_t *highest_mhz);
    /* The rate of the sensor that is nearest to one within the range. */
    uint32_t (*nearest_rate)(const struct sensor *sensor, uint8_t which, uint32_t wanted_mhz);
    /* Takes the nearest rate; the wanted one, which may be outside of the range of the part that is there, is
     * kept for the part that comes. That part takes the nearest that sensor_sink.fits(). */
    WARN_UNUSED enum sensor_change (*set_rate)(struct sensor *sensor, uint8_t which, uint32_t wanted_mhz,
                                               uint64_t now_us);

    /* Writes what would be the descriptors of all streams of the sensor, one entry each, without their
     * fields, if the rate of this one were another that it can have. NULL: nothing but that rate would
     * differ. */
    void (*streams_at)(const struct sensor *sensor, uint8_t which, uint32_t rate_mhz,
                       struct sensor_stream *streams);

    /* Also from an interrupt. NULL: one sample at a time, and at once. */
    struct sensor_reading (*reading)(const struct sensor *sensor, uint8_t which, uint32_t rate_mhz);

    /* Smallest and largest full scale, in SI, that a field can have; false where it is fixed. */
    bool (*range_limits)(const struct sensor *sensor, uint8_t which, uint8_t field, float *lowest,
                         float *highest);
    /* Takes the smallest range that holds the wanted one, for this field and those that share its setting. */
    WARN_UNUSED enum sensor_change (*set_range)(struct sensor *sensor, uint8_t which, uint8_t field,
                                                float wanted, uint64_t now_us);

    /* What was asked for last: it holds for the part that comes. NULL: there is only one part. */
    uint32_t (*wanted_rate)(const struct sensor *sensor, uint8_t which);
    float (*wanted_range)(const struct sensor *sensor, uint8_t which, uint8_t field);

    /* Starts the built-in self-test; its streams are interrupted until it is over. */
    WARN_UNUSED enum sensor_change (*self_test)(struct sensor *sensor, uint8_t which, uint64_t now_us);
    /* Of the last self-test that ended with SENSOR_CHANGE_DONE. */
    const struct sensor_self_test *(*self_test_result)(const struct sensor *sensor, uint8_t which);

    /* How the last change that was PENDING ended. */
    enum sensor_change (*change_status)(const struct sensor *sensor);

    /* Rate against the board's clock; 0 until it is known. */
    uint32_t (*measured_rate)(const struct sensor *sensor, uint8_t which);
    /* The sensor's die, in 1/100 degC, or SENSOR_TEMPERATURE_UNKNOWN. */
    int16_t (*temperature)(const struct sensor *sensor);
};

/* First member of each sensor's own struct. */
struct sensor {
    const struct sensor_ops *ops;
    const struct sensor_sink *sink;
    struct sensor_stream *streams;
    uint8_t stream_count;
    uint8_t first_stream; /* stream number of streams[0] */
};

#endif
