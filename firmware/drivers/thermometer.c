#include "drivers/thermometer.h"

#include <stddef.h>

#define FIRST_ADDRESS   0x48u
#define ADDRESSES       4u
#define RETRY_US        1000000u
#define POWER_UP_US     20000u /* longest of the family until the registers answer: TMP117, 1.5 ms */
#define FAILURES_MAX    5u
#define DEFAULT_MHZ     1000u
#define WINDOW_US       15000u /* between two looks at the flag, when each tick has one */
#define LOOKS_PER_CYCLE 4u     /* at the flag, with the part's clock off by 12.5 % and its cycle 125 ms */
#define EARLY(us)                                                                                            \
    ((uint64_t)(us) / 8u * 7u) /* by then the end is not yet there: its clock is up to 12.5 % fast (6.5) */
#define RESULTS_MIN   10u      /* a time is known to 10 ms, a period has at least 125 ms: 1 % */
#define TRANSFER_BITS 48u      /* start, address, register, start, address, 2 bytes of 9 bits, stop */

static const struct thermometer_rate *rate_for(const struct thermometer_part *part, uint32_t wanted_mhz)
{
    const struct thermometer_rate *rate = part->rates;
    const struct thermometer_rate *last = part->rates + part->rate_count - 1;
    while (rate != last && wanted_mhz < rate->rate_mhz &&
           rate->rate_mhz - wanted_mhz > (int64_t)wanted_mhz - rate[1].rate_mhz) {
        rate++;
    }
    return rate;
}

static uint32_t period_us(const struct thermometer *thermometer)
{
    return 1000000000u / thermometer->stream.rate_mhz;
}

/* Makes the descriptor that of a part and the wanted rate; tells when that changes it. */
static void describe(struct thermometer *thermometer, const struct thermometer_part *part, const char *name)
{
    const struct sensor_sink *sink = thermometer->sensor.sink;
    uint32_t rate_mhz = rate_for(part, thermometer->wanted_mhz)->rate_mhz;
    thermometer->part = part;
    thermometer->has_result = false;
    thermometer->results = 0;
    if (thermometer->stream.part == name && thermometer->stream.rate_mhz == rate_mhz) {
        return;
    }
    uint32_t lock = thermometer->bus->lock(thermometer->bus->handle);
    thermometer->field.scale = part->scale;
    thermometer->field.full_scale = part->full_scale;
    thermometer->stream.part = name;
    thermometer->stream.rate_mhz = rate_mhz;
    thermometer->stream.group_delay_us = part->group_delay_us;
    thermometer->stream.bus_bits =
        (uint16_t)(part->has_settings ? (LOOKS_PER_CYCLE + 1u) * TRANSFER_BITS : TRANSFER_BITS);
    sink->changed(sink->context, thermometer->sensor.first_stream);
    thermometer->bus->unlock(thermometer->bus->handle, lock);
}

/* ---- search */

static void next_address(struct thermometer *thermometer, uint64_t now_us)
{
    thermometer->candidate = thermometer->check = 0;
    thermometer->transfer.address++;
    if (thermometer->transfer.address == FIRST_ADDRESS + ADDRESSES) {
        thermometer->transfer.address = FIRST_ADDRESS;
        thermometer->next_us = now_us + RETRY_US;
    }
}

static void search(struct thermometer *thermometer, uint64_t now_us)
{
    thermometer->step = THERMOMETER_SEARCHING;
    thermometer->failures = 0;
    thermometer->candidate = thermometer->check = 0;
    thermometer->transfer.address = FIRST_ADDRESS;
    thermometer->next_us = now_us + RETRY_US;
}

static void begin(struct thermometer *thermometer, uint64_t now_us)
{
    bool has_settings = thermometer->part->has_settings;
    thermometer->step = has_settings ? THERMOMETER_CONFIGURING : THERMOMETER_READING;
    thermometer->failures = 0;
    thermometer->next_us = has_settings ? now_us : now_us + thermometer->part->first_us;
}

static void take_check(struct thermometer *thermometer, uint64_t now_us)
{
    const struct thermometer_part *part = thermometer->parts[thermometer->candidate];
    const struct thermometer_check *check = &part->checks[thermometer->check];
    uint16_t value = thermometer->data[0];
    if (check->size == 2) {
        value = (uint16_t)(value << 8 | thermometer->data[1]);
    }
    if ((value & check->mask) != check->value) {
        thermometer->check = 0;
        if (++thermometer->candidate == thermometer->part_count) {
            next_address(thermometer, now_us);
        }
    } else if (++thermometer->check == part->check_count) {
        describe(thermometer, part, part->name);
        begin(thermometer, now_us);
    }
}

/* ---- settings */

/* A change of rate ends when the settings are in the part, or when that is gone: the next one gets them. */
static void end_change(struct thermometer *thermometer)
{
    if (thermometer->change == SENSOR_CHANGE_PENDING) {
        describe(thermometer, thermometer->part, thermometer->stream.part);
        thermometer->change = SENSOR_CHANGE_DONE;
    }
}

static void lose(struct thermometer *thermometer, uint64_t now_us)
{
    const struct sensor_sink *sink = thermometer->sensor.sink;
    thermometer->has_result = false;
    if (thermometer->state == SENSOR_STREAMING) {
        thermometer->state = SENSOR_MISSING;
        sink->log(sink->context, SENSOR_LOG_WARNING, thermometer->part->lost);
        sink->interrupted(sink->context, thermometer->sensor.first_stream);
    }
    end_change(thermometer);
    search(thermometer, now_us);
}

/* ---- results */

static void count_missed(struct thermometer *thermometer, uint64_t end_us)
{
    const struct sensor_sink *sink = thermometer->sensor.sink;
    uint32_t period = period_us(thermometer);
    uint32_t intervals = (uint32_t)((end_us - thermometer->result_us + period / 2u) / period);
    if (intervals > 1) {
        sink->lost(sink->context, thermometer->sensor.first_stream,
                   thermometer->missed ? SENSOR_LOST_BUS : SENSOR_LOST_FIFO, intervals - 1u);
    }
    thermometer->results += intervals;
}

static void deliver(struct thermometer *thermometer, uint64_t end_us)
{
    const struct sensor_sink *sink = thermometer->sensor.sink;
    uint16_t word = (uint16_t)(thermometer->data[0] << 8 | thermometer->data[1]);
    thermometer->latest = (int16_t)(word & thermometer->part->result_mask);
    uint32_t lock = thermometer->bus->lock(thermometer->bus->handle);
    if (thermometer->has_result) {
        count_missed(thermometer, end_us);
    } else {
        thermometer->first_us = end_us;
    }
    sink->sample(sink->context, thermometer->sensor.first_stream, end_us, &thermometer->latest);
    thermometer->bus->unlock(thermometer->bus->handle, lock);
    thermometer->result_us = end_us;
    thermometer->has_result = true;
    thermometer->missed = false;
    if (thermometer->state != SENSOR_STREAMING) {
        thermometer->state = SENSOR_STREAMING;
        sink->log(sink->context, SENSOR_LOG_INFO, thermometer->part->found);
    }
}

static void take_result(struct thermometer *thermometer)
{
    uint32_t period = period_us(thermometer);
    if (thermometer->part->has_settings) {
        deliver(thermometer, thermometer->end_us);
        thermometer->step = THERMOMETER_WAITING;
        thermometer->next_us = thermometer->end_us + EARLY(period);
    } else {
        deliver(thermometer, thermometer->asked_us);
        thermometer->next_us = thermometer->asked_us + period;
    }
}

static void take_flag(struct thermometer *thermometer, uint64_t now_us)
{
    const struct thermometer_part *part = thermometer->part;
    uint16_t word = (uint16_t)(thermometer->data[0] << 8 | thermometer->data[1]);
    uint64_t since_us = thermometer->asked_us - thermometer->unready_us;
    if (((word ^ rate_for(part, thermometer->stream.rate_mhz)->settings) & part->settings_mask) != 0) {
        lose(thermometer, now_us); /* it has lost its supply meanwhile, or is another one */
    } else if (thermometer->stale) {
        thermometer->stale = false;
        thermometer->unready_us = thermometer->asked_us;
        thermometer->next_us = thermometer->asked_us + EARLY(part->first_us);
    } else if ((word & part->ready) == 0) {
        thermometer->unready_us = thermometer->asked_us;
    } else {
        thermometer->end_us = thermometer->asked_us - (since_us < WINDOW_US ? since_us / 2u : 0);
        thermometer->step = THERMOMETER_READING;
    }
}

/* ---- transfers */

static void done(void *context, enum transfer_status status)
{
    struct thermometer *thermometer = context;
    thermometer->status = status;
    thermometer->busy = false;
}

static void aim(struct thermometer *thermometer)
{
    const struct thermometer_part *part = thermometer->part;
    struct transfer *transfer = &thermometer->transfer;
    const struct thermometer_check *check;
    transfer->size = 2;
    transfer->read = thermometer->step != THERMOMETER_CONFIGURING;
    transfer->probe = thermometer->step == THERMOMETER_SEARCHING;
    uint16_t settings = rate_for(part, thermometer->wanted_mhz)->settings;
    switch (thermometer->step) {
    case THERMOMETER_SEARCHING:
        check = &thermometer->parts[thermometer->candidate]->checks[thermometer->check];
        transfer->reg = check->reg;
        transfer->size = check->size;
        break;
    case THERMOMETER_CONFIGURING:
        transfer->reg = part->settings_register;
        thermometer->data[0] = (uint8_t)(settings >> 8);
        thermometer->data[1] = (uint8_t)settings;
        break;
    case THERMOMETER_WAITING:
        transfer->reg = part->settings_register;
        break;
    case THERMOMETER_READING:
        transfer->reg = part->result_register;
        break;
    }
}

static void ask(struct thermometer *thermometer, uint64_t now_us)
{
    aim(thermometer);
    thermometer->asked_us = now_us;
    thermometer->busy = true; /* first: the end may come before start() returns */
    thermometer->asked = thermometer->bus->start(thermometer->bus->handle, &thermometer->transfer);
    if (!thermometer->asked) {
        thermometer->busy = false;
        lose(thermometer, now_us);
    }
}

static void take_answer(struct thermometer *thermometer, uint64_t now_us)
{
    if (thermometer->status != TRANSFER_OK) {
        if (thermometer->step == THERMOMETER_SEARCHING) {
            next_address(thermometer, now_us);
        } else {
            thermometer->missed = true;
            if (++thermometer->failures == FAILURES_MAX) {
                lose(thermometer, now_us);
            }
        }
        return;
    }
    thermometer->failures = 0;
    switch (thermometer->step) {
    case THERMOMETER_SEARCHING:
        take_check(thermometer, now_us);
        break;
    case THERMOMETER_CONFIGURING:
        end_change(thermometer);
        thermometer->step = THERMOMETER_WAITING;
        thermometer->stale = true;
        break;
    case THERMOMETER_WAITING:
        take_flag(thermometer, now_us);
        break;
    case THERMOMETER_READING:
        take_result(thermometer);
        break;
    }
}

static void poll(struct sensor *sensor, uint64_t now_us)
{
    struct thermometer *thermometer = (struct thermometer *)sensor;
    if (thermometer->busy) {
        return;
    }
    if (thermometer->asked) {
        thermometer->asked = false;
        take_answer(thermometer, now_us);
    }
    if (thermometer->change == SENSOR_CHANGE_PENDING && thermometer->step != THERMOMETER_CONFIGURING) {
        begin(thermometer, now_us);
    }
    if (now_us >= thermometer->next_us) {
        ask(thermometer, now_us);
    }
}

/* ---- shape */

static enum sensor_state state(const struct sensor *sensor)
{
    return ((const struct thermometer *)sensor)->state;
}

static void rate_range(const struct sensor *sensor, uint8_t which, uint32_t *lowest_mhz,
                       uint32_t *highest_mhz)
{
    (void)which;
    const struct thermometer_part *part = ((const struct thermometer *)sensor)->part;
    *lowest_mhz = part->rates[part->rate_count - 1u].rate_mhz;
    *highest_mhz = part->rates[0].rate_mhz;
}

static uint32_t nearest_rate(const struct sensor *sensor, uint8_t which, uint32_t wanted_mhz)
{
    (void)which;
    return rate_for(((const struct thermometer *)sensor)->part, wanted_mhz)->rate_mhz;
}

static enum sensor_change set_rate(struct sensor *sensor, uint8_t which, uint32_t wanted_mhz, uint64_t now_us)
{
    (void)which;
    struct thermometer *thermometer = (struct thermometer *)sensor;
    if (thermometer->change == SENSOR_CHANGE_PENDING || thermometer->step == THERMOMETER_CONFIGURING) {
        return SENSOR_CHANGE_BUSY;
    }
    thermometer->wanted_mhz = wanted_mhz;
    if (thermometer->step != THERMOMETER_SEARCHING && thermometer->part->has_settings) {
        thermometer->change = SENSOR_CHANGE_PENDING;
        return SENSOR_CHANGE_PENDING;
    }
    describe(thermometer, thermometer->part, thermometer->stream.part);
    if (thermometer->step != THERMOMETER_SEARCHING) {
        thermometer->next_us = now_us + period_us(thermometer);
    }
    return SENSOR_CHANGE_DONE;
}

static uint32_t wanted_rate(const struct sensor *sensor, uint8_t which)
{
    (void)which;
    return ((const struct thermometer *)sensor)->wanted_mhz;
}

static enum sensor_change change_status(const struct sensor *sensor)
{
    return ((const struct thermometer *)sensor)->change;
}

static uint32_t measured_rate(const struct sensor *sensor, uint8_t which)
{
    (void)which;
    const struct thermometer *thermometer = (const struct thermometer *)sensor;
    uint64_t time_us = thermometer->result_us - thermometer->first_us;
    if (!thermometer->has_result || thermometer->results < RESULTS_MIN) {
        return 0;
    }
    return (uint32_t)((uint64_t)thermometer->results * 1000000000u / time_us);
}

static int16_t temperature(const struct sensor *sensor)
{
    const struct thermometer *thermometer = (const struct thermometer *)sensor;
    if (!thermometer->has_result) {
        return SENSOR_TEMPERATURE_UNKNOWN;
    }
    float cdegc = (float)thermometer->latest * thermometer->part->scale * 100.0f;
    return (int16_t)(cdegc + (cdegc < 0.0f ? -0.5f : 0.5f));
}

static const struct sensor_ops ops = {
    .poll = poll,
    .state = state,
    .rate_range = rate_range,
    .nearest_rate = nearest_rate,
    .set_rate = set_rate,
    .wanted_rate = wanted_rate,
    .change_status = change_status,
    .measured_rate = measured_rate,
    .temperature = temperature,
};

void thermometer_init(struct thermometer *thermometer, const struct thermometer_part *const *parts,
                      uint8_t part_count, const struct bus *bus, const struct sensor_sink *sink,
                      uint8_t first_stream)
{
    *thermometer = (struct thermometer){
        .sensor = {.ops = &ops, .sink = sink, .stream_count = 1, .first_stream = first_stream},
        .bus = bus,
        .parts = parts,
        .part_count = part_count,
        .stream = {.name = "ext_temp",
                   .part = "",
                   .field_count = 1,
                   .sample_size = 2,
                   .bus = SENSOR_BUS_I2C,
                   .rate_mhz = DEFAULT_MHZ},
        .field = {.type = SENSOR_I16,
                  .scale = parts[0]->scale,
                  .full_scale = parts[0]->full_scale,
                  .name = "temperature",
                  .unit = "degC"},
        .part = parts[0],
        .state = SENSOR_ABSENT,
        .wanted_mhz = DEFAULT_MHZ,
        .change = SENSOR_CHANGE_DONE,
        .transfer = {.address = FIRST_ADDRESS},
        .next_us = POWER_UP_US,
    };
    thermometer->stream.fields = &thermometer->field;
    thermometer->sensor.streams = &thermometer->stream;
    thermometer->transfer.data = thermometer->data;
    thermometer->transfer.done = done;
    thermometer->transfer.context = thermometer;
}
