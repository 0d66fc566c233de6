#include "app/sampler.h"

#include <stddef.h>
#include <string.h>

#include "hal/irq.h"

/* Of the 8 on the wire one is to come, and one more is that of a sensor's change that is under way. */
#define GENERATIONS_BEHIND 5u

_Static_assert(offsetof(struct batch, payload) + TP_SAMPLES_SIZE == BATCH_HEAD, "samples follow the header");

static struct batch *slot(const struct sampler *sampler, uint8_t number)
{
    return (struct batch *)(void *)(sampler->slots + (uint32_t)number * sampler->slot_size);
}

static uint8_t after(const struct sampler *sampler, uint8_t number)
{
    return (uint8_t)(number + 1u == sampler->slot_count ? 0 : number + 1u);
}

void sampler_init(struct sampler *sampler, uint8_t stream, uint8_t sample_size, uint8_t generation,
                  void *memory, uint8_t slot_count, uint16_t capacity)
{
    ASSERT(sample_size <= capacity && slot_count >= 2 && generation < 8);
    *sampler = (struct sampler){
        .slots = memory,
        .slot_size = SAMPLER_SLOT(capacity),
        .slot_count = slot_count,
        .capacity = capacity,
        .sample_size = sample_size,
        .stream = stream,
        .generation = generation,
    };
}

static uint32_t period_of(uint32_t rate_mhz)
{
    ASSERT(rate_mhz != 0);
    return 1000000000u / rate_mhz;
}

uint32_t sampler_latency(uint32_t wanted_us, uint32_t rate_mhz, struct sensor_reading reading)
{
    uint32_t bound_us = rate_mhz >= SAMPLER_FAST_MHZ ? SAMPLER_FAST_LATENCY_US : SAMPLER_SLOW_LATENCY_US;
    if (wanted_us != 0) {
        bound_us = wanted_us;
    }
    return bound_us > reading.age_us ? bound_us : reading.age_us;
}

/* The next reading ends one period and its first sample's age behind the last tick; half a period early. */
static uint32_t close_after(uint32_t latency_us, uint32_t period_us, struct sensor_reading reading)
{
    uint64_t ahead_us = (uint64_t)period_us + period_us / 2u + reading.age_us;
    return latency_us > ahead_us ? (uint32_t)(latency_us - ahead_us) : 0;
}

uint32_t sampler_batch_samples(const struct sampler *sampler, uint32_t wanted_latency_us, uint32_t rate_mhz,
                               struct sensor_reading reading)
{
    uint32_t period_us = period_of(rate_mhz);
    uint32_t latency_us = sampler_latency(wanted_latency_us, rate_mhz, reading);
    uint32_t close_us = close_after(latency_us, period_us, reading);
    uint32_t interval_us = period_us * reading.samples;
    uint32_t readings = (close_us + period_us + interval_us - 1u) / interval_us;
    uint32_t in_time = readings * reading.samples;
    uint32_t fit = (uint32_t)sampler->capacity / sampler->sample_size;
    if (in_time <= fit) {
        return in_time;
    }
    bool rest_waits = reading.samples == 1 || (uint64_t)fit * period_us <= close_us;
    return rest_waits ? fit : in_time / ((in_time + fit - 1u) / fit);
}

void sampler_set_rate(struct sampler *sampler, uint32_t rate_mhz, struct sensor_reading reading)
{
    sampler->latency_us = sampler_latency(sampler->wanted_latency_us, rate_mhz, reading);
    sampler->close_us = close_after(sampler->latency_us, period_of(rate_mhz), reading);
    sampler->singly = reading.samples == 1;
}

static void close(struct sampler *sampler)
{
    if (sampler->open != NULL) {
        sampler->open = NULL;
        sampler->head = after(sampler, sampler->head);
        hal_post(HAL_EVENT_SAMPLES);
    }
}

static struct batch *open(struct sampler *sampler, uint64_t time_us)
{
    if (after(sampler, sampler->head) == sampler->tail) {
        return NULL;
    }
    struct batch *batch = slot(sampler, sampler->head);
    batch->time_us = time_us;
    batch->index = sampler->next_index;
    batch->generation = sampler->generation;
    batch->size = 0;
    sampler->open = batch;
    return batch;
}

static void copy(uint8_t *to, const void *sample, uint32_t n)
{
    if (n == 12) { /* the common size: the compiler makes it three words, without a call */
        memcpy(to, sample, 12);
    } else {
        memcpy(to, sample, n);
    }
}

void sampler_push(struct sampler *sampler, uint64_t time_us, const void *sample)
{
    struct batch *batch = sampler->open;
    if (batch == NULL) {
        batch = open(sampler, time_us);
        if (batch == NULL) {
            sampler_lose(sampler, &sampler->lost_ring, 1);
            return;
        }
    }
    sampler->next_index++;
    copy((uint8_t *)batch + BATCH_HEAD + batch->size, sample, sampler->sample_size);
    batch->size = (uint16_t)(batch->size + sampler->sample_size);
    sampler->last_us = (uint32_t)time_us;
    if (batch->size + sampler->sample_size > sampler->capacity) {
        close(sampler);
    } else if (sampler->singly) {
        sampler_end_reading(sampler);
    }
}

void sampler_end_reading(struct sampler *sampler)
{
    const struct batch *batch = sampler->open;
    if (batch != NULL && sampler->last_us - (uint32_t)batch->time_us >= sampler->close_us) {
        close(sampler);
    }
}

void sampler_lose(struct sampler *sampler, volatile uint32_t *counter, uint32_t ticks)
{
    close(sampler);
    sampler->next_index += ticks;
    *counter += ticks;
}

void sampler_change(struct sampler *sampler, uint32_t rate_mhz, struct sensor_reading reading)
{
    close(sampler);
    sampler->generation = (sampler->generation + 1u) & 7u;
    sampler_set_rate(sampler, rate_mhz, reading);
}

void sampler_interrupt(struct sampler *sampler)
{
    close(sampler);
}

void sampler_expire(struct sampler *sampler, uint64_t now_us)
{
    if (sampler->open != NULL && now_us >= sampler->open->time_us + sampler->latency_us) {
        close(sampler);
    }
}

bool sampler_may_change(const struct sampler *sampler)
{
    if (sampler->open == NULL && !sampler_has_closed(sampler)) {
        return true;
    }
    const struct batch *oldest = slot(sampler, sampler->tail); /* the open one lies behind the closed ones */
    uint8_t newest = sampler->head;
    if (sampler->open == NULL) {
        newest = (uint8_t)(newest == 0 ? sampler->slot_count - 1u : newest - 1u);
    }
    bool described = sampler->described == sampler->generation;
    return ((sampler->generation - oldest->generation) & 7u) <= GENERATIONS_BEHIND &&
           (described || slot(sampler, newest)->generation != sampler->generation);
}

struct batch *sampler_oldest(const struct sampler *sampler)
{
    return sampler_has_closed(sampler) ? slot(sampler, sampler->tail) : NULL;
}

void sampler_release(struct sampler *sampler)
{
    ASSERT(sampler->head != sampler->tail);
    sampler->tail = after(sampler, sampler->tail);
}
