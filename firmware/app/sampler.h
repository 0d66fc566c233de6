/* Batches of one stream: numbers the ticks, collects samples into payloads of SAMPLES, counts what is lost.
 *
 *     slots   [ closed ][ closed ][  open   ][  free   ]      one writer (the sensor's interrupts),
 *              tail ->             head ->                    one reader (the main loop)
 *
 * Samples come in readings: one, or what a sensor's FIFO held. A batch is closed when the next sample would
 * not fit, at the end of a reading when the end of the next one would come after the latency bound (half a
 * period earlier, so that jitter does not change the number of samples), and at every hole, every change of
 * descriptor and every interruption: it never spans one. While no slot is free ticks are counted as lost.
 *
 * The latency bound is the age of a batch's first sample when the batch is closed; no less than what a
 * reading takes.
 */
#ifndef APP_SAMPLER_H
#define APP_SAMPLER_H

#include <stdbool.h>
#include <stdint.h>

#include "drivers/sensor.h"
#include "lib/check.h"
#include "tp_messages.h"

#define SAMPLER_BATCH_BYTES     480u    /* of samples, SPEC.md "Streams, generations, indexes" */
#define SAMPLER_FAST_MHZ        500000u /* from this rate on the shorter default bound holds */
#define SAMPLER_FAST_LATENCY_US 25000u  /* 20 samples of 1 kHz, and to read them over 400 kHz I2C */
#define SAMPLER_SLOW_LATENCY_US 50000u
#define SAMPLER_LATENCY_MIN_US  1000u /* that a host may ask for */
#define SAMPLER_LATENCY_MAX_US  1000000u

/* A batch as it lies in its slot; the samples follow the struct, aligned to 4. */
struct batch {
    uint64_t time_us; /* of the first sample */
    uint32_t index;   /* of the first sample */
    uint16_t size;    /* bytes of samples */
    uint8_t generation;
    uint8_t reserved[2];
    uint8_t payload[TP_SAMPLES_SIZE]; /* header of SAMPLES, written when it is sent; samples follow without a
                                         gap */
};
#define BATCH_HEAD 28u /* offset of the samples */

/* Bytes of a slot for a stream whose batches hold `bytes` of samples. */
#define SAMPLER_SLOT(bytes) ((BATCH_HEAD + (bytes) + 7u) / 8u * 8u)

struct sampler {
    uint8_t *slots;
    uint16_t slot_size;
    uint16_t capacity; /* bytes of samples in a batch */
    uint8_t slot_count;
    uint8_t sample_size;
    uint8_t stream;
    volatile uint8_t generation;
    uint8_t described;          /* the generation whose descriptor was sent last */
    uint32_t wanted_latency_us; /* 0: the default for the rate */
    uint32_t latency_us;        /* in force */
    uint32_t close_us;          /* of ticks in a batch, from which on the next reading would come too late */
    bool singly;                /* each sample is a reading */
    uint32_t last_us;           /* low bits of the time of the last sample */
    struct batch *open;
    volatile uint8_t head; /* slot to write to */
    volatile uint8_t tail; /* oldest closed slot; head == tail: none */
    volatile uint32_t next_index;
    volatile uint32_t lost_fifo;
    volatile uint32_t lost_ring;
    volatile uint32_t lost_bus;
};

/* `memory` holds slot_count slots of SAMPLER_SLOT(capacity) bytes, aligned to 8. One slot stays free. */
void sampler_init(struct sampler *sampler, uint8_t stream, uint8_t sample_size, uint8_t generation,
                  void *memory, uint8_t slot_count, uint16_t capacity);

/* Sets the rate without a new generation: before the first sample. `reading`: how samples come at it. */
void sampler_set_rate(struct sampler *sampler, uint32_t rate_mhz, struct sensor_reading reading);

/* The bound that holds at a rate; `wanted_us` 0: the default. */
uint32_t sampler_latency(uint32_t wanted_us, uint32_t rate_mhz, struct sensor_reading reading);

/* Samples of a batch at a nominal rate: on the average, where the last of a few readings is not full. */
uint32_t sampler_batch_samples(const struct sampler *sampler, uint32_t wanted_latency_us, uint32_t rate_mhz,
                               struct sensor_reading reading);

/* Sensor's interrupt, or interrupts masked: */
void sampler_push(struct sampler *sampler, uint64_t time_us, const void *sample); /* a tick and its sample */
void sampler_end_reading(struct sampler *sampler); /* where one is more than a sample */
void sampler_lose(struct sampler *sampler, volatile uint32_t *counter,
                  uint32_t ticks); /* ticks without; counter is one of its own */
/* New descriptor: next generation. */
void sampler_change(struct sampler *sampler, uint32_t rate_mhz, struct sensor_reading reading);
void sampler_interrupt(struct sampler *sampler); /* the next sample does not follow the last */

/* Main loop, interrupts masked: whether every batch that waits keeps a descriptor of its own at the host if
 * the generation changes now. It would not if it were as old as the generation's number takes to come round,
 * nor if the descriptor of its generation has not been sent yet. */
WARN_UNUSED bool sampler_may_change(const struct sampler *sampler);

/* Main loop, interrupts masked: closes a batch that waits for a sensor that has stopped. */
void sampler_expire(struct sampler *sampler, uint64_t now_us);

/* Main loop: whether there is a closed batch. */
static inline bool sampler_has_closed(const struct sampler *sampler)
{
    return sampler->head != sampler->tail;
}

/* Main loop: the oldest closed batch, or NULL. Stays until sampler_release(). */
struct batch *sampler_oldest(const struct sampler *sampler);
void sampler_release(struct sampler *sampler);

#endif
