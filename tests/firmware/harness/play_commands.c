/* Commands, streams and telemetry on the host, with sensors that do as they are told.
 *
 * One command a line, one answer a line. Stream 0 and 1 belong to one sensor, each further stream to one of
 * its own.
 *
 *     init LINE_BITS            once
 *     time US                   move the clock
 *     frame TYPE HEX            a good frame of the host: answers 1, or 0 when no command can be taken
 *     poll                      the main loop; answers the bytes that went over the line, or -
 *     next SENSOR CHANGE        what the next changes begin with (enum sensor_change)
 *     end SENSOR CHANGE         the change under way ends
 *     measured SENSOR PERMILLE  its clock is measured, as so much of the nominal one; 0: it is not
 *     sample STREAM N           N samples, 1 ms apart from now on
 *     lose STREAM N             N ticks without
 *     applying 0|1              stored settings are being taken into force
 *     show STREAM               RATE FULL_SCALE ENABLED LATENCY GENERATION NEXT_INDEX LOST_FIFO
 */
#include <math.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/commands.h"
#include "app/configuration.h"
#include "app/version.h"
#include "hal/fault.h"
#include "hal/irq.h"
#include "hal/system.h"
#include "hal/time.h"
#include "hal/uart.h"

const char firmware_version[] = "1.2.3";
const char firmware_revision[] = "0123456789ab";

#define SENSORS  (STREAMS - 1u)
#define SLOTS    6u
#define RATE_MIN 1000u
#define RATE_MAX 8000000u

struct fake {
    struct sensor sensor; /* first */
    struct sensor_stream streams[2];
    struct sensor_field field;
    enum sensor_change next;
    enum sensor_change status;
    uint8_t which;
    uint32_t wanted_rate; /* 0: the change is not one of the rate */
    float wanted_range;   /* likewise */
    uint32_t measured_permille;
};

static uint64_t now_us;
static uint8_t line[65536];
static size_t line_size;
static const uint8_t *block;
static size_t block_size;

static struct log lines;
static struct streams streams;
static struct sensor_sink sink;
static struct telemetry telemetry;
static struct line uart;
static struct commands commands;
static struct configuration configuration;
static struct fake fakes[SENSORS];
static alignas(8) uint8_t slots[STREAMS][SLOTS * SAMPLER_SLOT(SAMPLER_BATCH_BYTES)];

/* ---- the HAL */

_Noreturn void assert_failed(void)
{
    fprintf(stderr, "assert failed, called from %p\n", __builtin_return_address(0));
    abort();
}
uint32_t hal_irq_save(void)
{
    return 0;
}
void hal_irq_restore(uint32_t state)
{
    (void)state;
}
void hal_post(uint32_t events)
{
    (void)events;
}
uint64_t hal_time_us(void)
{
    return now_us;
}
const struct hal_system *hal_system(void)
{
    static const struct hal_system chip = {.board = "host", .clock_hz = 96000000u, .uid = "unique-id-12"};
    return &chip;
}
const struct hal_fault *hal_fault_record(void)
{
    return NULL;
}
void hal_fault_forget(void) {}
uint32_t hal_uart_baud_max(void)
{
    return 3000000u;
}
void hal_uart_send(const uint8_t *data, size_t n)
{
    block = data;
    block_size = n;
}
bool hal_uart_drained(void)
{
    return block == NULL;
}
uint32_t buses_bits(enum sensor_bus bus)
{
    return bus == SENSOR_BUS_I2C ? 400000u : 0;
}

/* ---- a sensor: any rate, ranges of 2, 4, 8 and 16 */

static void poll(struct sensor *sensor, uint64_t at_us)
{
    (void)sensor;
    (void)at_us;
}
static enum sensor_state state(const struct sensor *sensor)
{
    (void)sensor;
    return SENSOR_STREAMING;
}
static void rate_range(const struct sensor *sensor, uint8_t which, uint32_t *lowest, uint32_t *highest)
{
    (void)sensor;
    *lowest = RATE_MIN;
    *highest = which == 0 ? RATE_MAX : RATE_MIN;
}
static uint32_t nearest_rate(const struct sensor *sensor, uint8_t which, uint32_t wanted)
{
    (void)sensor;
    (void)which;
    return wanted;
}

static void take(struct fake *fake)
{
    bool changes = false;
    if (fake->wanted_rate != 0) {
        changes = fake->streams[fake->which].rate_mhz != fake->wanted_rate;
        fake->streams[fake->which].rate_mhz = fake->wanted_rate;
    } else if (fake->wanted_range != 0) {
        changes = fake->field.full_scale != fake->wanted_range;
        fake->field.full_scale = fake->wanted_range;
    }
    if (changes) {
        sink.changed(sink.context, (uint8_t)(fake->sensor.first_stream + fake->which));
    }
}
static enum sensor_change begin(struct sensor *sensor, uint8_t which, uint32_t rate, float range)
{
    struct fake *fake = (struct fake *)sensor;
    if (fake->status == SENSOR_CHANGE_PENDING) {
        return SENSOR_CHANGE_BUSY;
    }
    fake->which = which;
    fake->wanted_rate = rate;
    fake->wanted_range = range;
    fake->status = fake->next;
    if (fake->status == SENSOR_CHANGE_DONE) {
        take(fake);
    }
    return fake->next;
}
static enum sensor_change set_rate(struct sensor *sensor, uint8_t which, uint32_t wanted, uint64_t at_us)
{
    (void)at_us;
    return begin(sensor, which, wanted, 0);
}
static bool range_limits(const struct sensor *sensor, uint8_t which, uint8_t field, float *lowest,
                         float *highest)
{
    (void)sensor;
    (void)field;
    *lowest = 2;
    *highest = 16;
    return which == 0;
}
static enum sensor_change set_range(struct sensor *sensor, uint8_t which, uint8_t field, float wanted,
                                    uint64_t at_us)
{
    (void)field;
    (void)at_us;
    float range = 2;
    while (range < wanted * SENSOR_RANGE_ROUNDING) {
        range *= 2;
    }
    return begin(sensor, which, 0, range);
}
static enum sensor_change self_test(struct sensor *sensor, uint8_t which, uint64_t at_us)
{
    (void)at_us;
    return begin(sensor, which, 0, 0);
}
static const struct sensor_self_test *self_test_result(const struct sensor *sensor, uint8_t which)
{
    (void)sensor;
    (void)which;
    static const struct sensor_self_test result = {
        .passed = true,
        .count = 2,
        .field = {{.response = 1.5f, .low = 1, .high = 2}, {.response = -3, .low = -4, .high = -2}}};
    return &result;
}
static enum sensor_change change_status(const struct sensor *sensor)
{
    return ((const struct fake *)sensor)->status;
}
static uint32_t measured_rate(const struct sensor *sensor, uint8_t which)
{
    const struct fake *fake = (const struct fake *)sensor;
    return fake->streams[which].rate_mhz / 1000 * fake->measured_permille;
}

static const struct sensor_ops ops = {
    .poll = poll,
    .state = state,
    .rate_range = rate_range,
    .nearest_rate = nearest_rate,
    .set_rate = set_rate,
    .range_limits = range_limits,
    .set_range = set_range,
    .self_test = self_test,
    .self_test_result = self_test_result,
    .change_status = change_status,
    .measured_rate = measured_rate,
};

static void ignore_log(void *context, enum sensor_log_level level, const char *text)
{
    (void)context;
    (void)level;
    (void)text;
}

/* ---- commands of the test */

static void init(uint32_t line_bits)
{
    sink = streams_sink(&streams, ignore_log, NULL);
    log_init(&lines);
    for (uint8_t i = 0; i < STREAMS; i++) {
        struct fake *fake = &fakes[i == 0 ? 0 : i - 1];
        if (i != 1) {
            fake->sensor = (struct sensor){.ops = &ops,
                                           .sink = &sink,
                                           .streams = fake->streams,
                                           .stream_count = i == 0 ? 2 : 1,
                                           .first_stream = i};
            fake->field = (struct sensor_field){
                .type = SENSOR_I16, .scale = 1, .full_scale = 4, .name = "x", .unit = "V"};
        }
        fake->streams[i == 1] = (struct sensor_stream){.name = "fake",
                                                       .part = "fake",
                                                       .fields = &fake->field,
                                                       .field_count = 1,
                                                       .sample_size = i == 0 ? 12 : 2,
                                                       .bus_bits = 60,
                                                       .bus = i == 0 ? SENSOR_BUS_I2C : SENSOR_BUS_NONE,
                                                       .rate_mhz = i == 0 ? 1000000 : 10000};
        fake->status = SENSOR_CHANGE_DONE;
        fake->next = SENSOR_CHANGE_DONE;
    }
    for (uint8_t i = 0; i < STREAMS; i++) {
        streams_bind(&streams, i, &fakes[i == 0 ? 0 : i - 1].sensor, 0, slots[i], SLOTS, SAMPLER_BATCH_BYTES);
    }
    telemetry_init(&telemetry, &streams, &lines, (struct identity){.baud = line_bits});
    line_init(&uart, line_bits, TELEMETRY_REST);
    commands_init(&commands, &telemetry, &streams, &uart);
    commands.configuration = &configuration;
}

/* The line takes everything at once. */
static void main_loop(void)
{
    line_size = 0;
    do {
        commands_poll(&commands, now_us);
        telemetry_poll(&telemetry);
        while (block != NULL) {
            memcpy(line + line_size, block, block_size);
            line_size += block_size;
            block = NULL;
            telemetry_block_sent(&telemetry);
            telemetry_poll(&telemetry);
        }
    } while (telemetry.answer_count != 0);
    for (size_t i = 0; i < line_size; i++) {
        printf("%02x", line[i]);
    }
    printf("%s\n", line_size == 0 ? "-" : "");
}

static void frame(unsigned type, const char *hex)
{
    uint8_t *bytes = malloc(strlen(hex) / 2 + 1); /* exactly as long: the sanitizer sees one byte too many */
    size_t n = 0;
    unsigned byte;
    for (; sscanf(hex + 2 * n, "%2x", &byte) == 1; n++) {
        bytes[n] = (uint8_t)byte;
    }
    uint8_t *exact = malloc(n);
    memcpy(exact, bytes, n);
    bool can = commands_can_take(&commands);
    if (can) {
        commands_handle(&commands, (uint8_t)type, exact, n, now_us, now_us);
    }
    free(exact);
    free(bytes);
    printf("%d\n", can);
}

static void show(unsigned i)
{
    struct stream_snapshot s = streams_snapshot(&streams, (uint8_t)i);
    const struct sampler *sampler = &streams.stream[i].sampler;
    printf("%u %g %d %u %u %u %u\n", s.descriptor.rate_mhz, (double)s.descriptor.fields[0].full_scale,
           s.enabled, s.latency_us, s.generation, sampler->next_index, sampler->lost_fifo);
}

static void execute(const char *text)
{
    static char hex[2048];
    unsigned long long us;
    unsigned a;
    unsigned b;
    uint8_t data[12] = {0};
    if (sscanf(text, "init %u", &a) == 1) {
        init(a);
    } else if (sscanf(text, "time %llu", &us) == 1) {
        now_us = us;
    } else if (sscanf(text, "frame %u %2047s", &a, hex) == 2) {
        frame(a, hex);
        return;
    } else if (strncmp(text, "poll", 4) == 0) {
        main_loop();
        return;
    } else if (sscanf(text, "next %u %u", &a, &b) == 2) {
        fakes[a].next = (enum sensor_change)b;
    } else if (sscanf(text, "end %u %u", &a, &b) == 2) {
        if (fakes[a].status == SENSOR_CHANGE_PENDING) {
            fakes[a].status = (enum sensor_change)b;
            if (b == SENSOR_CHANGE_DONE) {
                take(&fakes[a]);
            }
        }
    } else if (sscanf(text, "measured %u %u", &a, &b) == 2) {
        fakes[a].measured_permille = b;
    } else if (sscanf(text, "sample %u %u", &a, &b) == 2) {
        for (unsigned i = 0; i < b; i++) {
            sink.sample(sink.context, (uint8_t)a, now_us + i * 1000u, data);
        }
    } else if (sscanf(text, "lose %u %u", &a, &b) == 2) {
        sink.lost(sink.context, (uint8_t)a, SENSOR_LOST_FIFO, b);
    } else if (sscanf(text, "applying %u", &a) == 1) {
        configuration.applying = a != 0;
    } else if (sscanf(text, "show %u", &a) == 1) {
        show(a);
        return;
    } else {
        fprintf(stderr, "no such command: %s", text);
        exit(2);
    }
    printf("ok\n");
}

int main(void)
{
    static char text[4096];
    while (fgets(text, sizeof text, stdin) != NULL) {
        execute(text);
        fflush(stdout);
    }
    return 0;
}
