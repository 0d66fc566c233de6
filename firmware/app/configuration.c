#include "app/configuration.h"

#include <string.h>

#include "app/budget.h"

#define VERSION          1u
#define WORDS_PER_STREAM 4u
#define ENABLED          (1u << 31) /* beside the latency */
#define LATENCY_MAX_US   1000000u
#define APPLY_LIMIT_US   1400000u /* before a command that waits for it is given up, command.h */
#define STEPS_PER_STREAM (3u + CONFIGURATION_RANGES)

_Static_assert(STREAMS *WORDS_PER_STREAM <= STORE_PAYLOAD_WORDS, "the settings fit a record");

static void say(struct configuration *configuration, uint64_t now_us, const char *text)
{
    log_add(configuration->log, now_us, TP_LOG_LEVEL_WARNING, text);
}

/* ---- what is in force */

/* The first field of range group `group`, or the number of fields: a group is a run of fields of one unit. */
static uint8_t first_field(const struct sensor_stream *descriptor, uint8_t group)
{
    for (uint8_t i = 0; i < descriptor->field_count; i++) {
        bool begins = i == 0 || strcmp(descriptor->fields[i].unit, descriptor->fields[i - 1u].unit) != 0;
        if (begins && group-- == 0) {
            return i;
        }
    }
    return descriptor->field_count;
}

/* Whether the field's range can be set; its limits. */
static bool range_of(const struct configuration *configuration, uint8_t stream, uint8_t field, float *lowest,
                     float *highest)
{
    const struct sensor *sensor = configuration->streams->stream[stream].sensor;
    return field < streams_descriptor(configuration->streams, stream)->field_count &&
           sensor->ops->range_limits != NULL &&
           sensor->ops->range_limits(sensor, streams_which(configuration->streams, stream), field, lowest,
                                     highest);
}

static uint32_t wanted_rate(const struct configuration *configuration, uint8_t stream)
{
    const struct sensor *sensor = configuration->streams->stream[stream].sensor;
    return sensor->ops->wanted_rate != NULL
               ? sensor->ops->wanted_rate(sensor, streams_which(configuration->streams, stream))
               : streams_descriptor(configuration->streams, stream)->rate_mhz;
}

static float wanted_range(const struct configuration *configuration, uint8_t stream, uint8_t field)
{
    const struct sensor *sensor = configuration->streams->stream[stream].sensor;
    return sensor->ops->wanted_range != NULL
               ? sensor->ops->wanted_range(sensor, streams_which(configuration->streams, stream), field)
               : streams_descriptor(configuration->streams, stream)->fields[field].full_scale;
}

/* In force, or wanted where the part that is there cannot do it: another part may come. */
static struct settings current(const struct configuration *configuration)
{
    struct settings now = {0};
    struct budget plan = budget_now(configuration->streams);
    for (uint8_t i = 0; i < STREAMS; i++) {
        now.stream[i].rate_mhz = wanted_rate(configuration, i);
        now.stream[i].latency_us = plan.stream[i].latency_us;
        now.stream[i].enabled = plan.stream[i].enabled;
        for (uint8_t group = 0; group < CONFIGURATION_RANGES; group++) {
            const struct sensor_stream *descriptor = streams_descriptor(configuration->streams, i);
            uint8_t field = first_field(descriptor, group);
            float lowest;
            float highest;
            if (range_of(configuration, i, field, &lowest, &highest)) {
                now.stream[i].full_scale[group] = wanted_range(configuration, i, field);
            }
        }
    }
    return now;
}

/* ---- what is stored */

static void encode(const struct settings *settings, uint32_t words[STREAMS * WORDS_PER_STREAM])
{
    for (uint32_t i = 0; i < STREAMS; i++) {
        uint32_t *out = words + i * WORDS_PER_STREAM;
        out[0] = settings->stream[i].rate_mhz;
        out[1] = settings->stream[i].latency_us | (settings->stream[i].enabled ? ENABLED : 0u);
        memcpy(out + 2, settings->stream[i].full_scale, sizeof settings->stream[i].full_scale);
    }
}

/* The settings of as many streams as the record has; the others' stay. */
static void decode(const uint32_t *words, uint32_t count, struct settings *settings)
{
    for (uint32_t i = 0; i < STREAMS && (i + 1u) * WORDS_PER_STREAM <= count; i++) {
        const uint32_t *in = words + i * WORDS_PER_STREAM;
        settings->stream[i].rate_mhz = in[0];
        settings->stream[i].latency_us = in[1] & ~ENABLED;
        settings->stream[i].enabled = (in[1] & ENABLED) != 0;
        memcpy(settings->stream[i].full_scale, in + 2, sizeof settings->stream[i].full_scale);
    }
}

bool configuration_save(struct configuration *configuration)
{
    uint32_t words[STREAMS * WORDS_PER_STREAM];
    struct settings now = current(configuration);
    encode(&now, words);
    bool saved = store_write(&configuration->store, VERSION, words, STREAMS * WORDS_PER_STREAM);
    configuration->readable = configuration->readable || saved;
    return saved;
}

bool configuration_clear(struct configuration *configuration)
{
    const struct store *store = &configuration->store;
    if (!store->usable || (!store->found && !store->damaged)) {
        return true;
    }
    bool cleared = store_write(&configuration->store, VERSION, NULL, 0);
    configuration->readable = configuration->readable || cleared;
    return cleared;
}

/* ---- what fits */

static bool rate_can_be_set(const struct configuration *configuration, uint8_t stream)
{
    const struct sensor *sensor = configuration->streams->stream[stream].sensor;
    uint32_t lowest;
    uint32_t highest;
    sensor->ops->rate_range(sensor, streams_which(configuration->streams, stream), &lowest, &highest);
    return lowest != highest;
}

/* Of the part that is there, or that is described until one is. */
static uint32_t nearest(const struct configuration *configuration, uint8_t stream, uint32_t wanted_mhz)
{
    const struct sensor *sensor = configuration->streams->stream[stream].sensor;
    uint8_t which = streams_which(configuration->streams, stream);
    uint32_t lowest;
    uint32_t highest;
    sensor->ops->rate_range(sensor, which, &lowest, &highest);
    if (lowest == highest) {
        return streams_descriptor(configuration->streams, stream)->rate_mhz;
    }
    uint32_t within = wanted_mhz < lowest ? lowest : wanted_mhz > highest ? highest : wanted_mhz;
    return sensor->ops->nearest_rate(sensor, which, within);
}

static void plan_stream(const struct configuration *configuration, struct budget *plan, uint8_t stream,
                        const struct settings *settings)
{
    plan->stream[stream].enabled = settings->stream[stream].enabled;
    plan->stream[stream].latency_us = settings->stream[stream].latency_us;
    uint32_t wanted_mhz = settings->stream[stream].rate_mhz;
    if (rate_can_be_set(configuration, stream) && wanted_mhz != wanted_rate(configuration, stream)) {
        /* else it stays as it is: at the wanted rate, or at a lower one that fits */
        uint32_t rate_mhz = nearest(configuration, stream, wanted_mhz);
        budget_take_rate(plan, configuration->streams, stream, rate_mhz);
    }
}

static bool fits(const struct configuration *configuration, const struct budget *plan, uint32_t line_bits)
{
    struct budget_cost cost;
    return budget_check(configuration->streams, plan, line_bits, &cost) == TP_STATUS_OK;
}

static void append(char *text, size_t size, const char *more)
{
    size_t used = strlen(text);
    size_t n = strlen(more);
    n = n < size - 1u - used ? n : size - 1u - used;
    memcpy(text + used, more, n);
    text[used + n] = '\0';
}

/* Brings what is wanted within the budgets: a stream that breaks them goes back to its defaults. */
static void make_fit(struct configuration *configuration, uint32_t line_bits, uint64_t now_us)
{
    struct settings *wanted = &configuration->wanted;
    struct budget all = budget_now(configuration->streams);
    struct budget plan = all;
    for (uint8_t i = 0; i < STREAMS; i++) {
        if (wanted->stream[i].latency_us > LATENCY_MAX_US) {
            wanted->stream[i].latency_us = 0;
        }
        plan_stream(configuration, &all, i, wanted);
        plan_stream(configuration, &plan, i, &configuration->defaults);
    }
    if (fits(configuration, &all, line_bits)) {
        return;
    }
    configuration->text[0] = '\0';
    append(configuration->text, sizeof configuration->text, "configuration: over budget, defaults for");
    for (uint8_t i = 0; i < STREAMS; i++) {
        struct budget next = plan;
        plan_stream(configuration, &next, i, wanted);
        if (fits(configuration, &next, line_bits)) {
            plan = next;
        } else {
            wanted->stream[i] = configuration->defaults.stream[i];
            append(configuration->text, sizeof configuration->text, " ");
            append(configuration->text, sizeof configuration->text,
                   streams_descriptor(configuration->streams, i)->name);
        }
    }
    say(configuration, now_us, configuration->text);
}

/* ---- taking it into force */

static enum sensor_change apply_rate(struct configuration *configuration, uint8_t stream, uint64_t now_us)
{
    struct sensor *sensor = configuration->streams->stream[stream].sensor;
    uint32_t rate_mhz = configuration->wanted.stream[stream].rate_mhz;
    if (sensor->ops->wanted_rate == NULL || !rate_can_be_set(configuration, stream)) {
        rate_mhz = nearest(configuration, stream, rate_mhz);
    }
    if (rate_mhz == wanted_rate(configuration, stream)) {
        return SENSOR_CHANGE_DONE;
    }
    return sensor->ops->set_rate(sensor, streams_which(configuration->streams, stream), rate_mhz, now_us);
}

static enum sensor_change apply_range(struct configuration *configuration, uint8_t stream, uint8_t group,
                                      uint64_t now_us)
{
    struct sensor *sensor = configuration->streams->stream[stream].sensor;
    uint8_t field = first_field(streams_descriptor(configuration->streams, stream), group);
    float wanted = configuration->wanted.stream[stream].full_scale[group];
    float lowest;
    float highest;
    if (!(wanted > 0.0f) || !range_of(configuration, stream, field, &lowest, &highest)) {
        return SENSOR_CHANGE_DONE;
    }
    float before = wanted_range(configuration, stream, field);
    if (!(wanted < before) && !(wanted > before)) {
        return SENSOR_CHANGE_DONE;
    }
    return sensor->ops->set_range(sensor, streams_which(configuration->streams, stream), field, wanted,
                                  now_us);
}

static enum sensor_change apply(struct configuration *configuration, uint64_t now_us)
{
    uint8_t stream = configuration->step / STEPS_PER_STREAM;
    uint8_t what = configuration->step % STEPS_PER_STREAM;
    if (!streams_may_change(configuration->streams, stream)) {
        return SENSOR_CHANGE_BUSY;
    }
    switch (what) {
    case 0:
        streams_set_enabled(configuration->streams, stream, configuration->wanted.stream[stream].enabled);
        return SENSOR_CHANGE_DONE;
    case 1:
        streams_set_latency(configuration->streams, stream, configuration->wanted.stream[stream].latency_us);
        return SENSOR_CHANGE_DONE;
    case 2:
        return apply_rate(configuration, stream, now_us);
    default:
        return apply_range(configuration, stream, (uint8_t)(what - 3u), now_us);
    }
}

void configuration_poll(struct configuration *configuration, uint64_t now_us)
{
    while (configuration->applying) {
        const struct sensor *sensor =
            configuration->streams->stream[configuration->step / STEPS_PER_STREAM].sensor;
        enum sensor_change change =
            configuration->waiting ? sensor->ops->change_status(sensor) : apply(configuration, now_us);
        if (change == SENSOR_CHANGE_PENDING || change == SENSOR_CHANGE_BUSY) {
            configuration->waiting = change == SENSOR_CHANGE_PENDING;
            if (now_us < configuration->deadline_us) {
                return;
            }
            change = SENSOR_CHANGE_FAILED;
        }
        if (change == SENSOR_CHANGE_FAILED) {
            configuration->failed = true;
            say(configuration, now_us, "configuration: a sensor did not take a setting");
        }
        configuration->waiting = false;
        configuration->step++;
        configuration->applying = configuration->step < STREAMS * STEPS_PER_STREAM;
    }
}

void configuration_restore(struct configuration *configuration, bool stored, uint32_t line_bits,
                           uint64_t now_us)
{
    configuration->wanted = configuration->defaults;
    if (stored && configuration->store.found && configuration->readable) {
        decode(store_payload(&configuration->store), configuration->store.words, &configuration->wanted);
    }
    make_fit(configuration, line_bits, now_us);
    configuration->applying = true;
    configuration->failed = configuration->waiting = false;
    configuration->step = 0;
    configuration->deadline_us = now_us + APPLY_LIMIT_US;
    configuration_poll(configuration, now_us);
}

void configuration_init(struct configuration *configuration, struct streams *streams, struct log *log,
                        uint32_t line_bits)
{
    *configuration = (struct configuration){.streams = streams, .log = log};
    configuration->defaults = current(configuration);
    store_open(&configuration->store);
    const struct store *store = &configuration->store;
    configuration->readable = !store->damaged && (!store->found || store->version == VERSION);
    if (store->damaged) {
        say(configuration, 0, "configuration: what is stored cannot be read: defaults");
    } else if (!configuration->readable) {
        say(configuration, 0, "configuration: stored by another version of the firmware: defaults");
    } else if (store->found && store->words != 0) {
        configuration_restore(configuration, true, line_bits, 0);
    }
}
