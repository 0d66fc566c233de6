/* The streams of this board: number -> sensor and sampler. */
#ifndef APP_STREAMS_H
#define APP_STREAMS_H

#include <stdint.h>

#include "app/sampler.h"
#include "drivers/sensor.h"

#define STREAMS 4u
enum { STREAM_IMU = 0, STREAM_IMU_TEMP = 1, STREAM_MCU_TEMP = 2, STREAM_EXT_TEMP = 3 };

struct stream {
    struct sensor *sensor;
    struct sampler sampler;
    volatile bool enabled; /* by the host: false, it has no ticks */
};

struct streams {
    struct stream stream[STREAMS];
    volatile uint32_t changed; /* bit per stream: a new descriptor waits to be sent */
};

/* Descriptor and generation that belong together, copied with interrupts masked. */
struct stream_snapshot {
    struct sensor_stream descriptor;
    uint8_t generation;
    bool enabled;
    uint32_t latency_us; /* in force */
};

const struct sensor_stream *streams_descriptor(const struct streams *streams, uint8_t number);
struct stream_snapshot streams_snapshot(const struct streams *streams, uint8_t number);

/* How its samples come at a nominal rate. */
struct sensor_reading streams_reading(const struct streams *streams, uint8_t number, uint32_t rate_mhz);

/* A stream's number within its sensor. */
uint8_t streams_which(const struct streams *streams, uint8_t number);

/* The sink that every sensor of the board feeds; `log` and `fits` go where the caller says. */
struct sensor_sink streams_sink(struct streams *streams,
                                void (*log)(void *context, enum sensor_log_level level, const char *text),
                                bool (*fits)(void *context, const struct sensor *sensor,
                                             const struct sensor_stream *next));

/* Settings of the host; each makes a new generation where it changes something. A latency of 0 is the default
 * for the rate; one that is shorter than the sensor's readings take is as long as they take. Main loop. */
void streams_set_enabled(struct streams *streams, uint8_t number, bool enabled);
void streams_set_latency(struct streams *streams, uint8_t number, uint32_t latency_us);

/* Whether a setting that makes new generations may be changed: not while so many samples of older ones wait
 * for the line that a generation's number would have two meanings. All streams of a stream's sensor change
 * together. Main loop. */
WARN_UNUSED bool streams_may_change(const struct streams *streams, uint8_t number);

/* Gives a stream its sensor and its sampler; all sensors are initialised before the first of these. */
void streams_bind(struct streams *streams, uint8_t number, struct sensor *sensor, uint8_t generation,
                  void *memory, uint8_t slot_count, uint16_t capacity);

#endif
