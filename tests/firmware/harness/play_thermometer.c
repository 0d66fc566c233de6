/* The thermometer driver on the host; its bus and its sink are played by whoever writes commands to standard
 * input.
 *
 * One command a line, one answer a line.
 *
 *     init PRESENT       start (once); PRESENT 0: there is no bus
 *     poll US            poll() at that time
 *     finish STATUS [HEX]   end of the transfer under way; HEX: what was read
 *     rate MHZ US        set_rate()
 *
 * The answer: transfer r:ADDRESS:REG:SIZE, w:ADDRESS:REG:HEX or -, with ! behind it when it is a probe;
 * state; rate in mHz; group delay in us; part; what set_rate() returned or change_status() says; lowest,
 * highest and measured rate in mHz; temperature in 1/100 degC; then what the sink was told: s:TIME:RAW,
 * l:CAUSE:TICKS, c, i, and log lines with _ for blanks.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/chips.h"

_Noreturn void assert_failed(void)
{
    fprintf(stderr, "assert failed\n");
    abort();
}

static const struct thermometer_part *const parts[] = {&tmp117, &lm75};
static struct thermometer thermometer;
static struct transfer *on_bus;
static bool present;
static unsigned locked;
static char told[4096];

static void tell(const char *text)
{
    strcat(told, " ");
    strcat(told, text);
}

static bool start(void *handle, struct transfer *transfer)
{
    (void)handle;
    if (on_bus != NULL) {
        assert_failed(); /* one transfer of its own at a time */
    }
    on_bus = present ? transfer : NULL;
    return present;
}

static bool recover(void *handle)
{
    (void)handle;
    return true;
}

static uint32_t lock(void *handle)
{
    (void)handle;
    return locked++;
}

static void unlock(void *handle, uint32_t state)
{
    (void)handle;
    if (state != --locked) {
        assert_failed();
    }
}

static void sample(void *context, uint8_t stream, uint64_t time_us, const void *data)
{
    char text[64];
    int16_t raw;
    (void)context;
    memcpy(&raw, data, sizeof raw);
    if (locked == 0 || stream != 3) {
        assert_failed();
    }
    snprintf(text, sizeof text, "s:%llu:%d", (unsigned long long)time_us, raw);
    tell(text);
}

static void lost(void *context, uint8_t stream, enum sensor_loss cause, uint32_t ticks)
{
    char text[64];
    (void)context;
    (void)stream;
    if (locked == 0) {
        assert_failed();
    }
    snprintf(text, sizeof text, "l:%d:%u", (int)cause, ticks);
    tell(text);
}

static void changed(void *context, uint8_t stream)
{
    (void)context;
    (void)stream;
    tell("c");
}

static void interrupted(void *context, uint8_t stream)
{
    (void)context;
    (void)stream;
    tell("i");
}

static void log_line(void *context, enum sensor_log_level level, const char *text)
{
    (void)context;
    (void)level;
    tell(text);
    for (char *c = told + strlen(told) - strlen(text); *c != '\0'; c++) {
        *c = *c == ' ' ? '_' : *c;
    }
}

static const struct bus bus = {.start = start, .recover = recover, .lock = lock, .unlock = unlock};
static const struct sensor_sink sink = {
    .sample = sample, .lost = lost, .changed = changed, .interrupted = interrupted, .log = log_line};

static void finish(unsigned status, const char *hex)
{
    struct transfer *transfer = on_bus;
    for (unsigned i = 0; status == 0 && transfer->read && i < transfer->size; i++) {
        unsigned byte;
        if (sscanf(hex + 2 * i, "%2x", &byte) != 1) {
            assert_failed();
        }
        transfer->data[i] = (uint8_t)byte;
    }
    on_bus = NULL;
    transfer->done(transfer->context, (enum transfer_status)status);
}

static void show(int change)
{
    const struct sensor *sensor = &thermometer.sensor;
    uint32_t lowest;
    uint32_t highest;
    sensor->ops->rate_range(sensor, 0, &lowest, &highest);
    if (on_bus == NULL) {
        printf("-");
    } else if (on_bus->read) {
        printf("r:%u:%u:%u", on_bus->address, on_bus->reg, on_bus->size);
    } else {
        printf("w:%u:%u:%02x%02x", on_bus->address, on_bus->reg, on_bus->data[0], on_bus->data[1]);
    }
    printf("%s %d %u %u %s %d %u %u %u %d%s\n", on_bus != NULL && on_bus->probe ? "!" : "",
           (int)sensor->ops->state(sensor), sensor->streams->rate_mhz, sensor->streams->group_delay_us,
           sensor->streams->part[0] != '\0' ? sensor->streams->part : "none", change, lowest, highest,
           sensor->ops->measured_rate(sensor, 0), sensor->ops->temperature(sensor), told);
    fflush(stdout);
}

int main(void)
{
    char line[128];
    while (fgets(line, sizeof line, stdin) != NULL) {
        unsigned a;
        unsigned long long us;
        int at = 0;
        struct sensor *sensor = &thermometer.sensor;
        int change = -1;
        told[0] = '\0';
        if (sscanf(line, "init %u", &a) == 1) {
            present = a != 0;
            thermometer_init(&thermometer, parts, 2, &bus, &sink, 3);
        } else if (sscanf(line, "poll %llu", &us) == 1) {
            sensor->ops->poll(sensor, us);
        } else if (sscanf(line, "finish %u %n", &a, &at) == 1) {
            finish(a, line + at);
        } else if (sscanf(line, "rate %u %llu", &a, &us) == 2) {
            if (sensor->ops->nearest_rate(sensor, 0, a) == 0) {
                assert_failed();
            }
            change = (int)sensor->ops->set_rate(sensor, 0, a, us);
        }
        show(change < 0 ? (int)sensor->ops->change_status(sensor) : change);
    }
    return 0;
}
