/* Single modules on the host, one command a line, one answer a line; see the functions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/line.h"
#include "app/log.h"
#include "app/receiver.h"
#include "app/sampler.h"
#include "hal/irq.h"
#include "lib/bip_ring.h"
#include "lib/check.h"

_Noreturn void assert_failed(void)
{
    fprintf(stderr, "assert failed\n");
    abort();
}

void hal_post(uint32_t events)
{
    (void)events;
}
uint32_t hal_irq_save(void)
{
    return 0;
}
void hal_irq_restore(uint32_t state)
{
    (void)state;
}

static struct bip_ring ring;
static uint8_t *ring_memory;
static uint8_t *reservation;
static uint8_t next_written;
static uint8_t next_read;

/* Bytes written count up, so that the reader knows what must come. */
static void ring_command(const char *command, unsigned n)
{
    size_t size = 0;
    if (strcmp(command, "init") == 0) {
        free(ring_memory);
        ring_memory = malloc(n); /* exactly as long: the sanitizer sees one byte too many */
        bip_ring_init(&ring, ring_memory, n);
        next_written = next_read = 0;
        reservation = NULL;
    } else if (strcmp(command, "reserve") == 0) {
        reservation = bip_ring_reserve(&ring, n);
        if (reservation != NULL) {
            memset(reservation, 0xEE, n);
        }
    } else if (strcmp(command, "commit") == 0 && reservation != NULL) {
        for (unsigned i = 0; i < n; i++) {
            reservation[i] = next_written++;
        }
        bip_ring_commit(&ring, n);
        reservation = NULL;
    } else if (strcmp(command, "read") == 0) {
        const uint8_t *block = bip_ring_peek(&ring, &size);
        size = size < n ? size : n;
        for (size_t i = 0; i < size; i++) {
            if (block[i] != next_read++) {
                printf("wrong byte\n");
                return;
            }
        }
        bip_ring_consume(&ring, size);
    }
    printf("%d %zu %zu\n", reservation != NULL, size, bip_ring_used(&ring));
}

static struct sampler sampler;
static _Alignas(8) uint8_t slots[8 * SAMPLER_SLOT(SAMPLER_BATCH_BYTES)];

static struct sensor_reading reading = {.samples = 1};

/* sampler read SAMPLES AGE | init SIZE RATE_MHZ SLOTS | push TIME VALUE | end | latency US RATE_MHZ | lose |
 * change RATE_MHZ | interrupt | expire TIME | take | budget LATENCY RATE_MHZ */
static void sampler_command(const char *command, unsigned long long a, unsigned long b, unsigned c)
{
    uint8_t sample[12];
    if (strcmp(command, "read") == 0) {
        reading = (struct sensor_reading){.samples = (uint16_t)a, .age_us = (uint32_t)b};
    } else if (strcmp(command, "end") == 0) {
        sampler_end_reading(&sampler);
    } else if (strcmp(command, "latency") == 0) {
        sampler.wanted_latency_us = (uint32_t)a;
        sampler_set_rate(&sampler, (uint32_t)b, reading);
    } else if (strcmp(command, "budget") == 0) {
        printf("%u %u\n", sampler_latency((uint32_t)a, (uint32_t)b, reading),
               sampler_batch_samples(&sampler, (uint32_t)a, (uint32_t)b, reading));
        return;
    } else if (strcmp(command, "init") == 0) {
        memset(slots, 0xEE, sizeof slots);
        sampler_init(&sampler, 0, (uint8_t)a, 5, slots, (uint8_t)c, SAMPLER_BATCH_BYTES);
        sampler_set_rate(&sampler, (uint32_t)b, reading);
    } else if (strcmp(command, "push") == 0) {
        memset(sample, (int)b, sizeof sample);
        sampler_push(&sampler, a, sample);
    } else if (strcmp(command, "lose") == 0) {
        sampler_lose(&sampler, &sampler.lost_fifo, 1);
    } else if (strcmp(command, "change") == 0) {
        sampler_change(&sampler, (uint32_t)a, reading);
    } else if (strcmp(command, "interrupt") == 0) {
        sampler_interrupt(&sampler);
    } else if (strcmp(command, "expire") == 0) {
        sampler_expire(&sampler, a);
    } else if (strcmp(command, "take") == 0) {
        struct batch *batch = sampler_oldest(&sampler);
        if (batch == NULL) {
            printf("-\n");
            return;
        }
        printf("%u %llu %u ", batch->index, (unsigned long long)batch->time_us, batch->generation);
        for (unsigned i = 0; i < batch->size; i++) {
            printf("%02x", ((const uint8_t *)batch)[BATCH_HEAD + i]);
        }
        printf("\n");
        sampler_release(&sampler);
        return;
    }
    printf("%u %u %u\n", sampler.next_index, sampler.lost_fifo, sampler.lost_ring);
}

static struct receiver receiver;

static uint32_t received;

/* receiver init BAUD | byte BYTE | mark TIME | next NOW */
static void receiver_command(const char *command, unsigned long long a)
{
    if (strcmp(command, "init") == 0) {
        receiver_init(&receiver);
        receiver.baud = (uint32_t)a;
        receiver.read = received = UINT32_MAX - 700u; /* about to wrap */
    } else if (strcmp(command, "byte") == 0) {
        receiver.bytes[received++ % RECEIVER_BYTES] = (uint8_t)a;
    } else if (strcmp(command, "mark") == 0) {
        receiver_mark(&receiver, received, (uint32_t)a);
    } else if (strcmp(command, "next") == 0) {
        uint64_t received_us;
        if (!receiver_next(&receiver, received, a, &received_us)) {
            printf("-\n");
            return;
        }
        printf("%u %llu %zu\n", receiver.decoder.type, (unsigned long long)received_us,
               receiver.decoder.payload_size);
        return;
    }
    printf("%u\n", receiver.dropped);
}

static struct log lines;

/* log init | add TIME | take | dropped */
static void log_command(const char *command, unsigned long long a)
{
    if (strcmp(command, "init") == 0) {
        log_init(&lines);
    } else if (strcmp(command, "add") == 0) {
        log_add(&lines, a, TP_LOG_LEVEL_INFO, "text");
    } else if (strcmp(command, "take") == 0) {
        const struct log_entry *entry = log_oldest(&lines);
        if (entry == NULL) {
            printf("-\n");
            return;
        }
        printf("%llu\n", (unsigned long long)entry->time_us);
        log_pop(&lines);
        return;
    }
    printf("%u\n", lines.dropped);
}

static struct line serial_line;

/* line init BAUD REST | change BAUD TIME | heard PING TIME | poll DRAINED TIME; answers STATE BAUD FALLBACKS
 * LISTENS OPEN SWITCH */
static void line_command(const char *command, unsigned long long a, unsigned long b)
{
    uint32_t switched = 0;
    if (strcmp(command, "init") == 0) {
        line_init(&serial_line, (uint32_t)a, (uint32_t)b);
    } else if (strcmp(command, "change") == 0 && line_may_change(&serial_line) && a != serial_line.baud) {
        line_change(&serial_line, (uint32_t)a, b);
    } else if (strcmp(command, "heard") == 0) {
        line_heard(&serial_line, a != 0, b);
    } else if (strcmp(command, "poll") == 0) {
        switched = line_poll(&serial_line, a != 0, b);
    }
    printf("%d %u %u %d %d %u\n", serial_line.state, serial_line.baud, serial_line.fallbacks,
           line_listens(&serial_line), line_is_open(&serial_line), switched);
}

int main(void)
{
    static char line[256];
    while (fgets(line, sizeof line, stdin) != NULL) {
        char module[16] = "";
        char command[16] = "";
        unsigned long long a = 0;
        unsigned long b = 0;
        unsigned c = 0;
        if (sscanf(line, "%15s %15s %llu %lu %u", module, command, &a, &b, &c) < 2) {
            return 2;
        }
        if (strcmp(module, "ring") == 0) {
            ring_command(command, (unsigned)a);
        } else if (strcmp(module, "sampler") == 0) {
            sampler_command(command, a, b, c);
        } else if (strcmp(module, "log") == 0) {
            log_command(command, a);
        } else if (strcmp(module, "line") == 0) {
            line_command(command, a, b);
        } else if (strcmp(module, "receiver") == 0) {
            receiver_command(command, a);
        } else {
            return 2;
        }
        fflush(stdout);
    }
    free(ring_memory);
    return 0;
}
