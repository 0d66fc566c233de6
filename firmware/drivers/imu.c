#include "drivers/imu.h"

#include <string.h>

#include "drivers/imu_internal.h"

#define RETRY_US   1000000u
#define NO_EDGE_US 1000000u
#define POWER_UP_US                                                                                          \
    100000u /* PS-MPU-6000A-00 6.3: register access 20 ms typical, 100 ms at most, after power-up */
#define DEFAULT_RATE_MHZ 1000000u
#define DEFAULT_ACCEL    (4.0f * IMU_STANDARD_GRAVITY)
#define DEFAULT_GYRO     (500.0f * IMU_RAD_PER_DEG)

/* ---- what is said */

/* Says a thing once, not at each try. */
static void report(struct imu *imu, enum sensor_state state, enum sensor_log_level level, const char *text)
{
    if (imu->reported != state || imu->said != text) {
        imu->reported = state;
        imu->said = text;
        imu->sensor.sink->log(imu->sensor.sink->context, level, text);
    }
}

static char *append(char *to, const char *text)
{
    while (*text != '\0') {
        *to++ = *text++;
    }
    return to;
}

static char *append_hex(char *to, uint8_t value)
{
    to = append(to, "0x");
    *to++ = "0123456789ABCDEF"[value >> 4];
    *to++ = "0123456789ABCDEF"[value & 15u];
    return to;
}

static void report_missing_edges(struct imu *imu)
{
    char *end =
        append(imu->edges_text, "imu: answers, but sends no data-ready edges; check the wire from INT to ");
    *append(end, imu->port->data_ready_pin) = '\0';
    report(imu, SENSOR_FAILING, SENSOR_LOG_WARNING, imu->edges_text);
}

static void report_nobody(struct imu *imu)
{
    if (!imu->asked) {
        report(imu, SENSOR_MISSING, SENSOR_LOG_WARNING, "imu: there is no sensor bus to look for it");
        return;
    }
    if (!imu->stranger) {
        report(imu, SENSOR_MISSING, SENSOR_LOG_WARNING,
               "imu: no answer from any sensor; check power and SCL, SDA or the wires of the SPI");
        return;
    }
    char *end = append(imu->stranger_text, "imu: the device at address ");
    end = append(append_hex(end, imu->stranger_address), " is not known: WHO_AM_I is ");
    *append_hex(end, imu->stranger_id) = '\0';
    report(imu, SENSOR_MISSING, SENSOR_LOG_WARNING, imu->stranger_text);
}

/* ---- gone */

static void interrupt_streams(struct imu *imu)
{
    const struct sensor_sink *sink = imu->sensor.sink;
    for (uint8_t i = 0; i < IMU_STREAMS; i++) {
        sink->interrupted(sink->context, (uint8_t)(imu->sensor.first_stream + i));
    }
}

void imu_abandon(struct imu *imu, enum sensor_state state, const char *why)
{
    imu->phase = IMU_ABSENT;
    imu->abandoned_as = state;
    imu->abandoned = why;
    if (imu->change == SENSOR_CHANGE_PENDING) {
        imu->change = SENSOR_CHANGE_FAILED;
    }
}

/* Main loop, masked: what is in the FIFO will not be read any more. */
static void lose_unread(struct imu *imu, uint64_t now_us)
{
    if (imu->ticking && imu->chip->edge_each_sample) {
        uint32_t untold = imu->port->line->edges(imu->port->number) - imu->edge;
        int32_t unread = (int32_t)(imu->clock.mark.tick + untold - imu->next) + 1;
        imu_lose(imu, unread > 0 ? (uint32_t)unread : 0, SENSOR_LOST_BUS);
    }
    imu_lose_by_time(imu, now_us);
}

static void take_up_abandoned(struct imu *imu, uint64_t now_us)
{
    const char *why = imu->abandoned;
    if (why == NULL) {
        return;
    }
    imu->abandoned = NULL;
    imu->no_edges = false;
    report(imu, imu->abandoned_as, SENSOR_LOG_WARNING, why);
    uint32_t state = imu_lock(imu);
    lose_unread(imu, now_us);
    interrupt_streams(imu);
    imu_unlock(imu, state);
}

/* ---- looking for it: one read for each place where a candidate may be */

static bool same_place(const struct imu_candidate *a, const struct imu_candidate *b)
{
    return a->port == b->port && a->address == b->address && a->chip->id_register == b->chip->id_register;
}

/* Asks at the next place, from `probed` on; ABSENT behind the last. */
static void probe(struct imu *imu)
{
    for (; imu->probed < imu->candidate_count; imu->probed++) {
        const struct imu_candidate *candidate = &imu->candidates[imu->probed];
        const struct bus *bus = candidate->port->bus;
        imu->transfer.address = candidate->address;
        imu->transfer.reg = candidate->chip->id_register;
        imu->transfer.size = 1;
        imu->transfer.read = true;
        imu->transfer.probe = true;
        imu->transfer.data = imu->small;
        imu->job = IMU_STEP;
        if (bus->start(bus->handle, &imu->transfer)) {
            imu->asked = true;
            return;
        }
        imu->job = IMU_IDLE;
    }
    imu->phase = IMU_ABSENT;
    imu->round_over = true;
}

void imu_identified(struct imu *imu, enum transfer_status status)
{
    const struct imu_candidate *place = &imu->candidates[imu->probed];
    uint8_t id = imu->small[0];
    if (status == TRANSFER_TIMEOUT) { /* no use to go on */
        imu->timed_out = place->port;
        imu->probed = imu->candidate_count;
    }
    while (imu->probed < imu->candidate_count && same_place(place, &imu->candidates[imu->probed])) {
        if (status == TRANSFER_OK && imu->candidates[imu->probed].chip->id == id) {
            imu->phase = IMU_FOUND;
            return;
        }
        imu->probed++;
    }
    if (status == TRANSFER_OK && id != 0x00 && id != 0xFF) { /* an open or shorted line of the SPI */
        imu->stranger = true;
        imu->stranger_address = place->address;
        imu->stranger_id = id;
    }
    probe(imu);
}

static void end_round(struct imu *imu, uint64_t now_us)
{
    const struct imu_port *held = imu->timed_out;
    imu->round_over = false;
    imu->timed_out = NULL;
    if (held == NULL) {
        imu->retried = false;
        report_nobody(imu);
    } else if (!held->bus->recover(held->bus->handle)) {
        report(imu, SENSOR_MISSING, SENSOR_LOG_WARNING,
               "imu: the sensor bus is held low; check wiring and pull-ups");
    } else if (!imu->retried) {
        imu->retried = true;
        imu->next_try_us = now_us;
    }
}

static void poll_absent(struct imu *imu, uint64_t now_us)
{
    if (imu->job != IMU_IDLE) {
        return;
    }
    if (imu->round_over) {
        end_round(imu, now_us);
    }
    uint32_t state = imu_lock(imu);
    imu_lose_by_time(imu, now_us);
    if (now_us >= imu->next_try_us) {
        imu->next_try_us = now_us + RETRY_US;
        imu->phase = IMU_IDENTIFY;
        imu->asked = imu->stranger = false;
        imu->probed = 0;
        probe(imu);
    }
    imu_unlock(imu, state);
}

/* ---- configuration */

static struct imu_script configuration(const struct imu *imu)
{
    return (struct imu_script){.steps = imu->configuration, .count = imu->configuration_count};
}

static void reset_and_configure(struct imu *imu)
{
    uint32_t state = imu_lock(imu);
    imu_run_script(imu, IMU_RESET, *imu->chip->reset);
    imu_unlock(imu, state);
}

static void configure_found(struct imu *imu)
{
    const struct imu_candidate *found = &imu->candidates[imu->probed];
    bool described = imu->chip == found->chip && imu->port == found->port;
    uint32_t state = imu_lock(imu);
    imu->same_device = imu->found == found;
    imu->ticking = false;
    imu->found = found;
    imu->chip = found->chip;
    imu->port = found->port;
    imu_unlock(imu, state);
    if (!imu->same_device) {
        imu->temperature_known = false;
    }
    if (described) { /* its rate has been asked about */
        imu_prepare(imu, &imu->wanted, imu->setup.rate);
    } else {
        imu_prepare_found(imu);
    }
    reset_and_configure(imu);
}

static void run(struct imu *imu)
{
    imu->wanted = imu->new_wanted;
    imu->wanted.self_test = false;
    imu->setup = imu->new_setup;
    imu_take_description(imu);
    imu_clock_start(&imu->clock, imu->streams[IMU_SAMPLES].rate_mhz, imu->same_device);
    imu->same_device = true;
    imu->started = true;
    imu_begin(imu);
    if (imu->change == SENSOR_CHANGE_PENDING) {
        imu->change = SENSOR_CHANGE_DONE;
    }
}

void imu_drained(struct imu *imu)
{
    interrupt_streams(imu);
    if (imu->new_wanted.self_test) {
        imu->trims = 0;
        imu_run_script(imu, IMU_SELF_TEST, imu->chip->self_test->script);
    } else {
        imu_run_script(imu, IMU_CONFIGURE, configuration(imu));
    }
}

bool imu_start_change(struct imu *imu)
{
    if (imu->change != SENSOR_CHANGE_PENDING) {
        return false;
    }
    imu->ticking = false; /* it is stopped on purpose */
    imu_run_script(imu, IMU_STOP, *imu->chip->stop);
    return true;
}

bool imu_script_ended(struct imu *imu)
{
    switch (imu->phase) {
    case IMU_RESET:
        imu_take_script(imu, IMU_CONFIGURE, configuration(imu));
        return true;
    case IMU_CONFIGURE:
        imu_take_script(imu, IMU_VERIFY, configuration(imu));
        return true;
    case IMU_VERIFY:
        imu_take_script(imu, IMU_START, *imu->chip->start);
        return true;
    case IMU_START:
        run(imu);
        return false;
    case IMU_STOP:
        imu->phase = IMU_DRAIN;
        imu->stopped_us = imu->port->line->now_us();
        imu_read_level(imu);
        return false;
    default: /* SELF_TEST */
        imu->phase = IMU_JUDGE;
        return false;
    }
}

/* ---- running, seen from the main loop */

static void poll_running(struct imu *imu, uint64_t now_us)
{
    uint32_t state = imu_lock(imu);
    imu_check_line(imu);
    imu_proceed(imu);
    imu_unlock(imu, state);
    uint32_t edges = imu->port->line->edges(imu->port->number);
    if (imu->started) {
        imu->started = false;
        imu->edges_seen = edges;
        imu->edges_seen_us = now_us;
        return;
    }
    if (edges != imu->edges_seen) {
        imu->edges_seen = edges;
        imu->edges_seen_us = now_us;
        imu->no_edges = false;
        report(imu, SENSOR_STREAMING, SENSOR_LOG_INFO, imu->chip->streaming);
        return;
    }
    uint64_t silent_us = now_us - imu->edges_seen_us;
    if (imu->no_edges && silent_us > NO_EDGE_US / 2u) {
        report_missing_edges(imu); /* it has been configured anew since, so it does answer */
    }
    if (silent_us > NO_EDGE_US) {
        /* gone, asleep after a dip of its supply, or the wire is off: what it answers now tells */
        bool again = imu->no_edges;
        state = imu_lock(imu);
        imu_abandon(imu, SENSOR_FAILING,
                    again ? imu->edges_text : "imu: no edge for a second; looking for it again");
        imu_unlock(imu, state);
        take_up_abandoned(imu, now_us);
        imu->no_edges = true;
        imu->next_try_us = now_us;
    }
}

void imu_poll(struct sensor *sensor, uint64_t now_us)
{
    struct imu *imu = (struct imu *)sensor;
    uint32_t state;
    take_up_abandoned(imu, now_us);
    switch (imu->phase) {
    case IMU_ABSENT:
        poll_absent(imu, now_us);
        break;
    case IMU_IDENTIFY:
        break;
    case IMU_FOUND:
        configure_found(imu);
        break;
    case IMU_JUDGE:
        imu_judge(imu);
        imu_prepare(imu, &imu->wanted, imu->setup.rate);
        reset_and_configure(imu);
        break;
    case IMU_RUNNING:
        poll_running(imu, now_us);
        break;
    default:
        state = imu_lock(imu);
        imu_script_poll(imu, now_us);
        imu_unlock(imu, state);
        break;
    }
}

void imu_init(struct imu *imu, const struct imu_candidate *candidates, uint8_t candidate_count,
              const struct sensor_sink *sink, uint8_t first_stream)
{
    const struct imu_candidate *last = &candidates[candidate_count - 1u];
    *imu = (struct imu){
        .sensor = {.ops = &imu_ops, .sink = sink, .stream_count = IMU_STREAMS, .first_stream = first_stream},
        .candidates = candidates,
        .candidate_count = candidate_count,
        .found = last,
        .chip = last->chip,
        .port = last->port,
        .wanted = {.rate_mhz = DEFAULT_RATE_MHZ, .full_scale = {DEFAULT_ACCEL, DEFAULT_GYRO}},
        .setup = {.rate = imu_nearest_rate(last->chip, DEFAULT_RATE_MHZ)},
        .reported = SENSOR_STOPPED,
        .next_try_us = POWER_UP_US,
    };
    imu->sensor.streams = imu->streams;
    imu->transfer.done = imu_transfer_done;
    imu->transfer.context = imu;
    imu_clock_start(&imu->clock, DEFAULT_RATE_MHZ, false);
    imu_prepare(imu, &imu->wanted, imu->setup.rate);
    imu->setup = imu->new_setup;
    memcpy(imu->streams, imu->next_streams, sizeof imu->streams);
    imu->fields_in_force ^= 1u;
    imu->temperature_every = imu->next_temperature_every;
    imu->until_temperature = imu->temperature_every;
}
