#include "drivers/mpu6050.h"

#include "drivers/mpu6050_registers.h"

#define RETRY_US 1000000u
#define POWER_UP_US                                                                                          \
    100000u /* PS-MPU-6000A-00 6.3: register access 20 ms typical, 100 ms at most, after power-up */
#define NO_EDGE_US      1000000u
#define FAILURES_MAX    10u
#define BASE_RATE_MHZ   1000000u /* with the low-pass filter on: RM-MPU-6000A-00, register 25 */
#define DIVIDER_MAX     256u
#define SPARE_US        1000u /* a change of rate is on the bus for 120 us */
#define TEMPERATURE_MHZ 10000u

/* RM-MPU-6000A-00, registers 28 and 27: 8192 LSB/g at +-4 g, 65.5 LSB/(deg/s) at +-500 deg/s. */
#define STANDARD_GRAVITY 9.80665f
#define RAD_PER_DEG      0.017453292519943295f
#define ACCEL_SCALE      (STANDARD_GRAVITY / 8192.0f)
#define ACCEL_FULL_SCALE (4.0f * STANDARD_GRAVITY)
#define GYRO_SCALE       (RAD_PER_DEG / 65.5f)
#define GYRO_FULL_SCALE  (500.0f * RAD_PER_DEG)
/* register 65: degC = raw / 340 + 36.53; the part works from -40 to 85 degC */
#define TEMP_SCALE      (1.0f / 340.0f)
#define TEMP_OFFSET     36.53f
#define TEMP_FULL_SCALE 85.0f

/* Start, address, register, start, address, 14 bytes of 9 bits, stop: 1 + 18 + 1 + 9 + 126 + 1. */
#define BURST_SIZE 14u
#define BURST_BITS 156u

static const struct sensor_field imu_fields[] = {
    {SENSOR_I16, ACCEL_SCALE, 0.0f, ACCEL_FULL_SCALE, "accel_x", "m/s^2"},
    {SENSOR_I16, ACCEL_SCALE, 0.0f, ACCEL_FULL_SCALE, "accel_y", "m/s^2"},
    {SENSOR_I16, ACCEL_SCALE, 0.0f, ACCEL_FULL_SCALE, "accel_z", "m/s^2"},
    {SENSOR_I16, GYRO_SCALE, 0.0f, GYRO_FULL_SCALE, "gyro_x", "rad/s"},
    {SENSOR_I16, GYRO_SCALE, 0.0f, GYRO_FULL_SCALE, "gyro_y", "rad/s"},
    {SENSOR_I16, GYRO_SCALE, 0.0f, GYRO_FULL_SCALE, "gyro_z", "rad/s"},
};
static const struct sensor_field temperature_fields[] = {
    {SENSOR_I16, TEMP_SCALE, TEMP_OFFSET, TEMP_FULL_SCALE, "temperature", "degC"},
};

/* Register 26: low-pass filter by rate. The widest whose bandwidth is not above half the rate, so that
 * little folds back (below 10 Hz the narrowest, 5 Hz, is still too wide); the delay is the mean of the
 * accelerometer's and the gyroscope's. */
static const struct filter {
    uint32_t from_mhz; /* lowest rate that uses it */
    uint16_t delay_us;
    uint8_t dlpf_cfg;
} filters[] = {
    {376000, 1950, 1}, /* 184 and 188 Hz; 2.0 and 1.9 ms */
    {196000, 2900, 2}, /* 94 and 98 Hz; 3.0 and 2.8 ms */
    {88000, 4850, 3},  /* 44 and 42 Hz; 4.9 and 4.8 ms */
    {42000, 8400, 4},  /* 21 and 20 Hz; 8.5 and 8.3 ms */
    {20000, 13600, 5}, /* 10 and 10 Hz; 13.8 and 13.4 ms */
    {0, 18800, 6},     /* 5 and 5 Hz; 19.0 and 18.6 ms */
};

enum action { READ, WRITE, VERIFY };

/* What makes a running sensor out of one that has just got power. */
static const struct step {
    enum action action;
    uint8_t reg;
    uint8_t size;
    uint32_t wait_us; /* before the next one */
} steps[] = {
    {READ, MPU6050_WHO_AM_I, 1, 0},
    {WRITE, MPU6050_PWR_MGMT_1, 1, 100000}, /* reset; 100 ms as for SPI, register 107 */
    {WRITE, MPU6050_PWR_MGMT_1, 1, 50000},  /* wake; gyroscope start-up 30 ms, PS-MPU-6000A-00 6.1 */
    {WRITE, MPU6050_SMPLRT_DIV, 4, 0},      /* rate, filter, ranges */
    {VERIFY, MPU6050_SMPLRT_DIV, 4, 0},     /* a device that does not keep them is none of ours */
    {WRITE, MPU6050_INT_PIN_CFG, 2, 0},
};
enum { STEP_IDENTIFY, STEP_RESET, STEP_WAKE, STEP_SETTINGS, STEP_VERIFY, STEP_INTERRUPT, STEP_COUNT };
_Static_assert(sizeof steps / sizeof steps[0] == STEP_COUNT, "one name a step");

static const struct filter *filter_for(uint32_t rate_mhz)
{
    const struct filter *filter = filters;
    while (rate_mhz < filter->from_mhz) {
        filter++;
    }
    return filter;
}

static uint32_t rate_of(uint32_t n)
{
    return (BASE_RATE_MHZ + n / 2u) / n;
}

/* The divisor 1 ... 256 whose rate is nearest. */
static uint32_t nearest_divisor(uint32_t wanted_mhz)
{
    if (wanted_mhz >= BASE_RATE_MHZ) {
        return 1;
    }
    if (wanted_mhz <= rate_of(DIVIDER_MAX)) {
        return DIVIDER_MAX;
    }
    uint32_t n = BASE_RATE_MHZ / wanted_mhz; /* its rate is at or above, that of n + 1 below */
    return n < DIVIDER_MAX && wanted_mhz - rate_of(n + 1u) < rate_of(n) - wanted_mhz ? n + 1u : n;
}

static void settings(uint8_t divider, uint8_t registers[2])
{
    registers[0] = divider;
    registers[1] = filter_for(rate_of(divider + 1u))->dlpf_cfg;
}

static void log_line(const struct mpu6050 *imu, enum sensor_log_level level, const char *text)
{
    imu->sensor.sink->log(imu->sensor.sink->context, level, text);
}

/* Makes the descriptors those of a divider. The temperature is about 10 Hz, or as fast as the rest. */
static void describe(struct mpu6050 *imu, uint8_t divider)
{
    uint32_t rate_mhz = rate_of(divider + 1u);
    uint32_t every = (rate_mhz + TEMPERATURE_MHZ / 2u) / TEMPERATURE_MHZ;
    imu->divider = divider;
    imu->temperature_every = (uint16_t)(every != 0 ? every : 1u);
    imu->until_temperature = imu->temperature_every;
    imu->streams[MPU6050_IMU].rate_mhz = rate_mhz;
    imu->streams[MPU6050_TEMPERATURE].rate_mhz = rate_mhz / imu->temperature_every;
    imu->streams[MPU6050_IMU].group_delay_us = filter_for(rate_mhz)->delay_us;
}

static void change_to(struct mpu6050 *imu, uint8_t divider)
{
    const struct sensor_sink *sink = imu->sensor.sink;
    describe(imu, divider);
    for (uint8_t i = 0; i < MPU6050_STREAMS; i++) {
        sink->changed(sink->context, (uint8_t)(imu->sensor.first_stream + i));
    }
}

/* ---- running: interrupts */

static bool temperature_due(struct mpu6050 *imu)
{
    if (--imu->until_temperature != 0) {
        return false;
    }
    imu->until_temperature = imu->temperature_every;
    return true;
}

static void lose_tick(struct mpu6050 *imu, enum sensor_loss cause)
{
    const struct sensor_sink *sink = imu->sensor.sink;
    sink->lost(sink->context, imu->sensor.first_stream, cause, 1);
    if (temperature_due(imu)) {
        sink->lost(sink->context, (uint8_t)(imu->sensor.first_stream + MPU6050_TEMPERATURE), cause, 1);
    }
}

static uint32_t swap_halves(uint32_t x)
{
    return (x & 0x00FF00FFu) << 8 | (x >> 8 & 0x00FF00FFu);
}

/* raw, big-endian halfwords: ax ay | az t | gx gy | gz -. Out: ax ay | az gx | gy gz. */
static void deliver(struct mpu6050 *imu)
{
    const struct sensor_sink *sink = imu->sensor.sink;
    uint32_t accel_z_temperature = swap_halves(imu->raw[1]);
    uint32_t gyro_xy = swap_halves(imu->raw[2]);
    uint32_t sample[3] = {
        swap_halves(imu->raw[0]),
        (accel_z_temperature & 0xFFFFu) | gyro_xy << 16,
        gyro_xy >> 16 | swap_halves(imu->raw[3]) << 16,
    };
    sink->sample(sink->context, imu->sensor.first_stream, imu->tick_us, sample);
    if (temperature_due(imu)) {
        uint16_t temperature = (uint16_t)(accel_z_temperature >> 16);
        sink->sample(sink->context, (uint8_t)(imu->sensor.first_stream + MPU6050_TEMPERATURE), imu->tick_us,
                     &temperature);
    }
}

/* The ticks that came while a transfer was under way. */
static void lose_held(struct mpu6050 *imu, enum sensor_loss cause)
{
    while (imu->held != 0) {
        imu->held--;
        lose_tick(imu, cause);
    }
}

/* poll() says why, and looks for the sensor again. */
static void abandon(struct mpu6050 *imu, const char *why)
{
    imu->phase = MPU6050_ABSENT;
    imu->abandoned = why;
}

static void read_failed(struct mpu6050 *imu)
{
    lose_tick(imu, SENSOR_LOST_BUS);
    lose_held(imu, SENSOR_LOST_BUS);
    if (++imu->failures == FAILURES_MAX) {
        abandon(imu, "imu: ten reads failed in a row; looking for it again");
    }
}

static void rate_changed(void *context, enum transfer_status status)
{
    struct mpu6050 *imu = context;
    imu->busy = false;
    if (status == TRANSFER_OK) {
        lose_held(imu, SENSOR_LOST_FIFO);
        change_to(imu, imu->new_divider);
        imu->change_status = SENSOR_CHANGE_DONE;
    } else {
        /* half of it may have been taken: only a new configuration makes the descriptor true again */
        lose_held(imu, SENSOR_LOST_BUS);
        imu->change_status = SENSOR_CHANGE_FAILED;
        abandon(imu, "imu: a change of rate failed; configuring it anew");
    }
}

/* Nothing of ours is on the bus. */
static void start_rate_change(struct mpu6050 *imu)
{
    settings(imu->new_divider, imu->rate_registers);
    imu->busy = imu->bus->start(imu->bus->handle, &imu->rate_change);
    if (!imu->busy) {
        imu->change_status = SENSOR_CHANGE_FAILED;
    }
}

static void burst_done(void *context, enum transfer_status status)
{
    struct mpu6050 *imu = context;
    imu->busy = false;
    if (status == TRANSFER_OK) {
        imu->failures = 0;
        deliver(imu);
        lose_held(imu, SENSOR_LOST_FIFO);
    } else {
        read_failed(imu);
    }
    if (imu->change_status == SENSOR_CHANGE_PENDING && imu->phase == MPU6050_RUNNING) {
        start_rate_change(imu);
    }
}

void mpu6050_data_ready(struct mpu6050 *imu, uint64_t now_us)
{
    if (imu->phase != MPU6050_RUNNING) {
        if (imu->has_run) {
            lose_tick(imu, SENSOR_LOST_BUS);
        }
        return;
    }
    imu->edges++;
    if (imu->busy) {
        imu->held++; /* lost; the end of the transfer tells the cause */
        return;
    }
    imu->tick_us = now_us;
    imu->busy = imu->bus->start(imu->bus->handle, &imu->burst);
    if (!imu->busy) {
        read_failed(imu);
    }
}

/* ---- configuration: main loop */

static void step_done(void *context, enum transfer_status status)
{
    struct mpu6050 *imu = context;
    imu->step_status = status;
    imu->step_over = true;
}

static void fill_registers(struct mpu6050 *imu)
{
    switch (imu->step) {
    case STEP_RESET:
        imu->registers[0] = MPU6050_DEVICE_RESET;
        break;
    case STEP_WAKE:
        imu->registers[0] = MPU6050_CLKSEL_PLL_GYRO_X;
        break;
    case STEP_SETTINGS:
        settings(imu->divider, imu->registers);
        imu->registers[2] = MPU6050_FS_SEL_500DPS;
        imu->registers[3] = MPU6050_AFS_SEL_4G;
        break;
    case STEP_INTERRUPT:
        imu->registers[0] = MPU6050_INT_PULSE;
        imu->registers[1] = MPU6050_DATA_RDY_EN;
        break;
    default: /* read */
        break;
    }
}

/* Back to the start: the next sample, whenever it comes, does not follow the last. */
static void look_again(struct mpu6050 *imu)
{
    const struct sensor_sink *sink = imu->sensor.sink;
    uint32_t lock = imu->bus->lock(imu->bus->handle);
    imu->phase = MPU6050_ABSENT;
    if (imu->change_status == SENSOR_CHANGE_PENDING && !imu->busy) { /* else rate_changed() follows */
        imu->change_status = SENSOR_CHANGE_FAILED;
    }
    imu->bus->unlock(imu->bus->handle, lock);
    for (uint8_t i = 0; i < MPU6050_STREAMS; i++) {
        sink->interrupted(sink->context, (uint8_t)(imu->sensor.first_stream + i));
    }
}

/* Says a thing once, not at each try. */
static void report(struct mpu6050 *imu, enum sensor_state state, enum sensor_log_level level,
                   const char *text)
{
    if (imu->reported != state || imu->said != text) {
        imu->reported = state;
        imu->said = text;
        log_line(imu, level, text);
    }
}

static void give_up(struct mpu6050 *imu, enum sensor_state state, const char *why)
{
    imu->no_edges = false;
    report(imu, state, SENSOR_LOG_WARNING, why);
    look_again(imu);
}

static void start_step(struct mpu6050 *imu)
{
    const struct step *step = &steps[imu->step];
    imu->configure.reg = step->reg;
    imu->configure.size = step->size;
    imu->configure.read = step->action != WRITE;
    fill_registers(imu);
    imu->step_over = false;
    uint32_t state = imu->bus->lock(imu->bus->handle);
    imu->busy = imu->bus->start(imu->bus->handle, &imu->configure);
    imu->bus->unlock(imu->bus->handle, state);
    if (!imu->busy) {
        give_up(imu, SENSOR_MISSING, "imu: the sensor bus cannot be used");
    }
}

static bool settings_kept(const struct mpu6050 *imu)
{
    uint8_t wanted[2];
    settings(imu->divider, wanted);
    return imu->registers[0] == wanted[0] && imu->registers[1] == wanted[1] &&
           imu->registers[2] == MPU6050_FS_SEL_500DPS && imu->registers[3] == MPU6050_AFS_SEL_4G;
}

static void report_missing_edges(struct mpu6050 *imu)
{
    static char text[] = "imu: answers, but sends no data-ready edges; check the wire from INT to P??";
    enum { PIN_AT = sizeof text - 4 };
    for (unsigned i = 0; i < 3 && imu->data_ready_pin[i] != '\0'; i++) {
        text[PIN_AT + i] = imu->data_ready_pin[i];
    }
    report(imu, SENSOR_FAILING, SENSOR_LOG_WARNING, text);
}

static void run(struct mpu6050 *imu, uint64_t now_us)
{
    imu->failures = 0;
    imu->edges_seen = imu->edges;
    imu->edges_seen_us = now_us;
    imu->has_run = true;
    imu->phase = MPU6050_RUNNING; /* last: from here on edges count */
}

static void finish_step(struct mpu6050 *imu, uint64_t now_us)
{
    imu->busy = false;
    if (imu->step_status != TRANSFER_OK) {
        give_up(imu, SENSOR_MISSING, "imu: no answer at address 0x68; check SCL, SDA and power");
    } else if (imu->step == STEP_IDENTIFY && imu->registers[0] != MPU6050_ID) {
        give_up(imu, SENSOR_MISSING, "imu: the device at address 0x68 is no MPU-6050 (WHO_AM_I differs)");
    } else if (imu->step == STEP_VERIFY && !settings_kept(imu)) {
        give_up(imu, SENSOR_FAILING, "imu: the sensor does not keep its settings");
    } else if (imu->step + 1 == STEP_COUNT) {
        run(imu, now_us);
    } else {
        imu->next_step_us = now_us + steps[imu->step].wait_us;
        imu->step++;
        if (steps[imu->step - 1].wait_us == 0) {
            start_step(imu);
        }
    }
}

static void poll_absent(struct mpu6050 *imu, uint64_t now_us)
{
    if (imu->busy || now_us < imu->next_try_us) {
        return;
    }
    imu->next_try_us = now_us + RETRY_US;
    if (!imu->bus->recover(imu->bus->handle)) {
        give_up(imu, SENSOR_MISSING, "imu: the sensor bus is held low; check wiring and pull-ups");
        return;
    }
    imu->phase = MPU6050_CONFIGURING;
    imu->step = STEP_IDENTIFY;
    start_step(imu);
}

static void poll_configuring(struct mpu6050 *imu, uint64_t now_us)
{
    if (imu->busy) {
        if (imu->step_over) {
            finish_step(imu, now_us);
        }
    } else if (now_us >= imu->next_step_us) {
        start_step(imu);
    }
}

static void poll_running(struct mpu6050 *imu, uint64_t now_us)
{
    uint32_t edges = imu->edges;
    if (edges != imu->edges_seen) {
        imu->edges_seen = edges;
        imu->edges_seen_us = now_us;
        imu->no_edges = false;
        report(imu, SENSOR_STREAMING, SENSOR_LOG_INFO, "imu: MPU-6050 is streaming");
        return;
    }
    uint64_t silent_us = now_us - imu->edges_seen_us;
    if (imu->no_edges && silent_us > NO_EDGE_US / 2u) {
        report_missing_edges(imu); /* it has been configured anew since, so it does answer */
    }
    if (silent_us > NO_EDGE_US) {
        /* gone, asleep after a dip of its supply, or the wire is off: what it answers now tells */
        if (!imu->no_edges) {
            report(imu, SENSOR_FAILING, SENSOR_LOG_WARNING,
                   "imu: no edge for a second; looking for it again");
        }
        imu->no_edges = true;
        imu->next_try_us = now_us;
        look_again(imu);
    }
}

static void poll(struct sensor *sensor, uint64_t now_us)
{
    struct mpu6050 *imu = (struct mpu6050 *)sensor;
    const char *abandoned = imu->abandoned;
    if (abandoned != NULL) {
        imu->abandoned = NULL;
        give_up(imu, SENSOR_MISSING, abandoned);
    }
    switch (imu->phase) {
    case MPU6050_ABSENT:
        poll_absent(imu, now_us);
        break;
    case MPU6050_CONFIGURING:
        poll_configuring(imu, now_us);
        break;
    case MPU6050_RUNNING:
        poll_running(imu, now_us);
        break;
    }
}

/* ---- shape */

static enum sensor_state state(const struct sensor *sensor)
{
    return ((const struct mpu6050 *)sensor)->reported;
}

static void rate_range(const struct sensor *sensor, uint8_t which, uint32_t *lowest_mhz,
                       uint32_t *highest_mhz)
{
    uint32_t fixed = sensor->streams[which].rate_mhz;
    *lowest_mhz = which == MPU6050_IMU ? rate_of(DIVIDER_MAX) : fixed;
    *highest_mhz = which == MPU6050_IMU ? BASE_RATE_MHZ : fixed;
}

static uint32_t nearest_rate(const struct sensor *sensor, uint8_t which, uint32_t wanted_mhz)
{
    return which == MPU6050_IMU ? rate_of(nearest_divisor(wanted_mhz)) : sensor->streams[which].rate_mhz;
}

static enum sensor_change set_rate(struct sensor *sensor, uint8_t which, uint32_t wanted_mhz, uint64_t now_us)
{
    struct mpu6050 *imu = (struct mpu6050 *)sensor;
    ASSERT(which == MPU6050_IMU);
    if (imu->change_status == SENSOR_CHANGE_PENDING || imu->phase == MPU6050_CONFIGURING) {
        return SENSOR_CHANGE_BUSY;
    }
    uint32_t lock = imu->bus->lock(imu->bus->handle);
    imu->new_divider = (uint8_t)(nearest_divisor(wanted_mhz) - 1u);
    if (imu->phase == MPU6050_ABSENT) { /* in force when it comes */
        change_to(imu, imu->new_divider);
        imu->change_status = SENSOR_CHANGE_DONE;
    } else {
        imu->change_status = SENSOR_CHANGE_PENDING;
        uint64_t period_us = 1000u * (imu->divider + 1u);
        if (!imu->busy && now_us + SPARE_US < imu->tick_us + period_us) {
            start_rate_change(imu); /* room before the next edge; else behind the next burst */
        }
    }
    imu->bus->unlock(imu->bus->handle, lock);
    return imu->change_status;
}

static enum sensor_change change_status(const struct sensor *sensor)
{
    return ((const struct mpu6050 *)sensor)->change_status;
}

static const struct sensor_ops ops = {
    .poll = poll,
    .state = state,
    .rate_range = rate_range,
    .nearest_rate = nearest_rate,
    .set_rate = set_rate,
    .change_status = change_status,
};

void mpu6050_init(struct mpu6050 *imu, const struct bus *bus, const struct sensor_sink *sink,
                  uint8_t first_stream, const char *data_ready_pin)
{
    *imu = (struct mpu6050){
        .sensor = {.ops = &ops, .sink = sink, .stream_count = MPU6050_STREAMS, .first_stream = first_stream},
        .bus = bus,
        .data_ready_pin = data_ready_pin,
        .streams =
            {
                [MPU6050_IMU] = {.name = "imu",
                                 .part = "mpu6050",
                                 .fields = imu_fields,
                                 .field_count = 6,
                                 .sample_size = 12,
                                 .bus_bits = BURST_BITS,
                                 .bus = SENSOR_BUS_I2C},
                [MPU6050_TEMPERATURE] = {.name = "imu_temp",
                                         .part = "mpu6050",
                                         .fields = temperature_fields,
                                         .field_count = 1,
                                         .sample_size = 2},
            },
        .reported = SENSOR_STOPPED,
        .next_try_us = POWER_UP_US,
        .burst = {.address = MPU6050_ADDRESS, .reg = MPU6050_ACCEL_XOUT_H, .size = BURST_SIZE, .read = true},
        .rate_change = {.address = MPU6050_ADDRESS, .reg = MPU6050_SMPLRT_DIV, .size = 2},
        .configure = {.address = MPU6050_ADDRESS},
    };
    imu->sensor.streams = imu->streams;
    imu->burst.data = (uint8_t *)imu->raw;
    imu->burst.done = burst_done;
    imu->burst.context = imu;
    imu->rate_change.data = imu->rate_registers;
    imu->rate_change.done = rate_changed;
    imu->rate_change.context = imu;
    imu->configure.data = imu->registers;
    imu->configure.done = step_done;
    imu->configure.context = imu;
    describe(imu, 0);
}
