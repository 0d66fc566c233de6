#include "app/streams.h"

#include "hal/irq.h"

uint8_t streams_which(const struct streams *streams, uint8_t number)
{
    return (uint8_t)(number - streams->stream[number].sensor->first_stream);
}

const struct sensor_stream *streams_descriptor(const struct streams *streams, uint8_t number)
{
    return &streams->stream[number].sensor->streams[streams_which(streams, number)];
}

struct sensor_reading streams_reading(const struct streams *streams, uint8_t number, uint32_t rate_mhz)
{
    const struct sensor *sensor = streams->stream[number].sensor;
    if (sensor->ops->reading == NULL) {
        return (struct sensor_reading){.samples = 1};
    }
    return sensor->ops->reading(sensor, streams_which(streams, number), rate_mhz);
}

struct stream_snapshot streams_snapshot(const struct streams *streams, uint8_t number)
{
    uint32_t state = hal_irq_save();
    struct stream_snapshot snapshot = {
        .descriptor = *streams_descriptor(streams, number),
        .generation = streams->stream[number].sampler.generation,
        .enabled = streams->stream[number].enabled,
        .latency_us = streams->stream[number].sampler.latency_us,
    };
    hal_irq_restore(state);
    return snapshot;
}

static void sample(void *context, uint8_t number, uint64_t time_us, const void *data)
{
    struct stream *stream = &((struct streams *)context)->stream[number];
    if (stream->enabled) {
        sampler_push(&stream->sampler, time_us, data);
    }
}

static void end_reading(void *context, uint8_t number)
{
    sampler_end_reading(&((struct streams *)context)->stream[number].sampler);
}

static void lost(void *context, uint8_t number, enum sensor_loss cause, uint32_t ticks)
{
    struct stream *stream = &((struct streams *)context)->stream[number];
    struct sampler *sampler = &stream->sampler;
    if (stream->enabled) {
        sampler_lose(sampler, cause == SENSOR_LOST_FIFO ? &sampler->lost_fifo : &sampler->lost_bus, ticks);
    }
}

static void change(struct streams *streams, uint8_t number)
{
    uint32_t rate_mhz = streams_descriptor(streams, number)->rate_mhz;
    sampler_change(&streams->stream[number].sampler, rate_mhz, streams_reading(streams, number, rate_mhz));
    streams->changed |= 1u << number;
}

static bool latency_differs(const struct streams *streams, uint8_t number)
{
    const struct sampler *sampler = &streams->stream[number].sampler;
    uint32_t rate_mhz = streams_descriptor(streams, number)->rate_mhz;
    return sampler_latency(sampler->wanted_latency_us, rate_mhz,
                           streams_reading(streams, number, rate_mhz)) != sampler->latency_us;
}

static void changed(void *context, uint8_t number)
{
    struct streams *streams = context;
    uint32_t state = hal_irq_save();
    change(streams, number);
    for (uint8_t i = 0; i < STREAMS; i++) { /* the sensor may be read at other times */
        if (streams->stream[i].sensor == streams->stream[number].sensor && latency_differs(streams, i)) {
            change(streams, i);
        }
    }
    hal_irq_restore(state);
    hal_post(HAL_EVENT_SAMPLES);
}

static void interrupted(void *context, uint8_t number)
{
    struct streams *streams = context;
    uint32_t state = hal_irq_save();
    sampler_interrupt(&streams->stream[number].sampler);
    hal_irq_restore(state);
}

bool streams_may_change(const struct streams *streams, uint8_t number)
{
    bool may = true;
    uint32_t state = hal_irq_save();
    for (uint8_t i = 0; i < STREAMS; i++) {
        if (streams->stream[i].sensor == streams->stream[number].sensor) {
            may = may && sampler_may_change(&streams->stream[i].sampler);
        }
    }
    hal_irq_restore(state);
    return may;
}

void streams_set_enabled(struct streams *streams, uint8_t number, bool enabled)
{
    uint32_t state = hal_irq_save();
    if (streams->stream[number].enabled != enabled) {
        streams->stream[number].enabled = enabled;
        changed(streams, number);
    }
    hal_irq_restore(state);
}

void streams_set_latency(struct streams *streams, uint8_t number, uint32_t latency_us)
{
    uint32_t state = hal_irq_save();
    struct sampler *sampler = &streams->stream[number].sampler;
    sampler->wanted_latency_us = latency_us;
    if (latency_differs(streams, number)) {
        changed(streams, number);
    }
    hal_irq_restore(state);
}

struct sensor_sink streams_sink(struct streams *streams,
                                void (*log)(void *context, enum sensor_log_level level, const char *text),
                                bool (*fits)(void *context, const struct sensor *sensor,
                                             const struct sensor_stream *next))
{
    return (struct sensor_sink){
        .context = streams,
        .sample = sample,
        .end_reading = end_reading,
        .lost = lost,
        .changed = changed,
        .interrupted = interrupted,
        .log = log,
        .fits = fits,
    };
}

void streams_bind(struct streams *streams, uint8_t number, struct sensor *sensor, uint8_t generation,
                  void *memory, uint8_t slot_count, uint16_t capacity)
{
    struct stream *stream = &streams->stream[number];
    stream->sensor = sensor;
    const struct sensor_stream *descriptor = streams_descriptor(streams, number);
    sampler_init(&stream->sampler, number, descriptor->sample_size, generation, memory, slot_count, capacity);
    sampler_set_rate(&stream->sampler, descriptor->rate_mhz,
                     streams_reading(streams, number, descriptor->rate_mhz));
    stream->enabled = true;
}
