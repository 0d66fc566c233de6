#include "app/budget.h"

#include "tp_frame.h"

#define BITS_PER_BYTE 10u /* start and stop bit */
#define HEALTH_BYTES  TP_ENCODED_SIZE(TP_HEALTH_SIZE + STREAMS * TP_STREAM_HEALTH_SIZE)

/* Samples that one frame holds at this rate: what fits, or what comes before the latency bound. */
static uint32_t samples_per_frame(uint32_t sample_size, uint32_t rate_mhz)
{
    uint32_t latency_us = rate_mhz >= SAMPLER_FAST_MHZ ? SAMPLER_FAST_LATENCY_US : SAMPLER_SLOW_LATENCY_US;
    uint32_t fit = SAMPLER_BATCH_BYTES / sample_size;
    uint32_t in_time = (uint32_t)((uint64_t)latency_us * rate_mhz / 1000000000u);
    uint32_t n = in_time < fit ? in_time : fit;
    return n != 0 ? n : 1;
}

static uint32_t stream_bits(uint32_t sample_size, uint32_t rate_mhz)
{
    uint32_t n = samples_per_frame(sample_size, rate_mhz);
    uint64_t bits_per_frame = TP_ENCODED_SIZE(TP_SAMPLES_SIZE + n * sample_size) * BITS_PER_BYTE;
    return (uint32_t)((bits_per_frame * rate_mhz + 1000u * n - 1u) / (1000u * n));
}

uint32_t budget_line_bits(const struct streams *streams, uint8_t number, uint32_t rate_mhz)
{
    uint32_t sum = HEALTH_BYTES * BITS_PER_BYTE;
    for (uint8_t i = 0; i < STREAMS; i++) {
        const struct sensor_stream *descriptor = streams_descriptor(streams, i);
        sum += stream_bits(descriptor->sample_size, i == number ? rate_mhz : descriptor->rate_mhz);
    }
    return sum;
}

uint32_t budget_bus_bits(const struct streams *streams, uint8_t number, uint32_t rate_mhz)
{
    uint64_t sum = 0;
    for (uint8_t i = 0; i < STREAMS; i++) {
        const struct sensor_stream *descriptor = streams_descriptor(streams, i);
        sum += (uint64_t)descriptor->bus_bits * (i == number ? rate_mhz : descriptor->rate_mhz);
    }
    return (uint32_t)((sum + 999u) / 1000u);
}
