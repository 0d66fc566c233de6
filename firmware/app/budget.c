#include "app/budget.h"

#include "app/buses.h"
#include "tp_frame.h"

#define BITS_PER_BYTE 10u /* start and stop bit */
#define PINGS_PER_S   10u /* of a host that has just come and learns the clock */
#define HEALTH_BYTES                                                                                         \
    TP_ENCODED_SIZE(TP_HEALTH_SIZE + STREAMS * (TP_STREAM_HEALTH_SIZE + TP_SENSOR_HEALTH_SIZE))
#define PING_BYTES     TP_ENCODED_SIZE(TP_RESPONSE_SIZE + TP_PING_RESULT_SIZE)
#define OVERHEAD_BYTES (HEALTH_BYTES + PINGS_PER_S * PING_BYTES)

struct budget budget_now(const struct streams *streams)
{
    struct budget plan;
    for (uint8_t i = 0; i < STREAMS; i++) {
        plan.stream[i].enabled = streams->stream[i].enabled;
        plan.stream[i].latency_us = streams->stream[i].sampler.wanted_latency_us;
        budget_take(&plan, i, streams_descriptor(streams, i));
    }
    return plan;
}

void budget_take(struct budget *plan, uint8_t number, const struct sensor_stream *descriptor)
{
    plan->stream[number].rate_mhz = descriptor->rate_mhz;
    plan->stream[number].bus = descriptor->bus;
    plan->stream[number].bus_bits = descriptor->bus_bits;
}

void budget_take_rate(struct budget *plan, const struct streams *streams, uint8_t number, uint32_t rate_mhz)
{
    const struct sensor *sensor = streams->stream[number].sensor;
    struct sensor_stream next[STREAMS];
    if (sensor->ops->streams_at == NULL) {
        plan->stream[number].rate_mhz = rate_mhz;
        return;
    }
    ASSERT(sensor->stream_count <= STREAMS);
    sensor->ops->streams_at(sensor, streams_which(streams, number), rate_mhz, next);
    for (uint8_t i = 0; i < sensor->stream_count; i++) {
        budget_take(plan, (uint8_t)(sensor->first_stream + i), &next[i]);
    }
}

/* The rate at which a stream really comes when it is set to a nominal one. */
static uint32_t real_rate(const struct streams *streams, uint8_t number, uint32_t nominal_mhz)
{
    const struct sensor *sensor = streams->stream[number].sensor;
    uint32_t now_mhz = streams_descriptor(streams, number)->rate_mhz;
    uint32_t measured_mhz = sensor->ops->measured_rate != NULL
                                ? sensor->ops->measured_rate(sensor, streams_which(streams, number))
                                : 0;
    if (measured_mhz == 0) {
        return nominal_mhz;
    }
    return (uint32_t)((uint64_t)nominal_mhz * measured_mhz / now_mhz);
}

uint32_t budget_line_bits(const struct streams *streams, const struct budget *plan)
{
    uint64_t sum = (uint64_t)OVERHEAD_BYTES * BITS_PER_BYTE;
    for (uint8_t i = 0; i < STREAMS; i++) {
        if (plan->stream[i].enabled) {
            uint32_t rate_mhz = plan->stream[i].rate_mhz;
            uint8_t size = streams_descriptor(streams, i)->sample_size;
            uint32_t n = sampler_batch_samples(&streams->stream[i].sampler, plan->stream[i].latency_us,
                                               rate_mhz, streams_reading(streams, i, rate_mhz));
            uint64_t frame = (uint64_t)TP_ENCODED_SIZE(TP_SAMPLES_SIZE + n * size) * BITS_PER_BYTE;
            uint64_t per_frame = UINT64_C(1000) * n; /* samples, in 1/1000 */
            sum += (frame * real_rate(streams, i, rate_mhz) + per_frame - 1u) / per_frame;
        }
    }
    return sum < UINT32_MAX ? (uint32_t)sum : UINT32_MAX;
}

static uint32_t bus_bits(const struct streams *streams, const struct budget *plan, enum sensor_bus bus)
{
    uint64_t sum = 0;
    for (uint8_t i = 0; i < STREAMS; i++) {
        if (plan->stream[i].bus == bus) { /* the sensor of a disabled stream is read as well */
            sum += (uint64_t)plan->stream[i].bus_bits * real_rate(streams, i, plan->stream[i].rate_mhz);
        }
    }
    sum = (sum + 999u) / 1000u;
    return sum < UINT32_MAX ? (uint32_t)sum : UINT32_MAX;
}

uint8_t budget_check(const struct streams *streams, const struct budget *plan, uint32_t line_bits,
                     struct budget_cost *cost)
{
    cost->needed = budget_line_bits(streams, plan);
    cost->available = line_bits;
    if (cost->needed > cost->available) {
        return TP_STATUS_OVER_LINE_BUDGET;
    }
    for (enum sensor_bus bus = SENSOR_BUS_I2C; bus < SENSOR_BUSES; bus++) {
        cost->needed = bus_bits(streams, plan, bus);
        cost->available = buses_bits(bus);
        if (cost->needed > cost->available && cost->available != 0) { /* 0: no sensor is there either */
            return TP_STATUS_OVER_BUS_BUDGET;
        }
    }
    return TP_STATUS_OK;
}
