/* What the application asks of the sensor, and sets: drivers/sensor.h. Main loop. */
#include "drivers/imu_internal.h"

/* ---- from what the host wants to a setup */

void imu_prepare(struct imu *imu, const struct imu_wanted *wanted, uint16_t rate)
{
    imu->new_wanted = *wanted;
    imu->new_setup = imu_setup_for(imu->chip, wanted, rate);
    imu->configuration_count = imu->chip->configure(&imu->new_setup, imu->configuration);
    ASSERT(imu->configuration_count <= IMU_STEPS_MAX);
    imu_describe(imu, imu->chip, imu->port, &imu->new_setup);
}

void imu_prepare_found(struct imu *imu)
{
    const struct sensor_sink *sink = imu->sensor.sink;
    uint16_t rate = imu_nearest_rate(imu->chip, imu->wanted.rate_mhz);
    imu_prepare(imu, &imu->wanted, rate);
    while (rate + 1u < imu->chip->rate_count && !sink->fits(sink->context, &imu->sensor, imu->next_streams)) {
        imu_prepare(imu, &imu->wanted, ++rate);
    }
    imu->setup = imu->new_setup; /* of this chip, also when it has to be found once more */
}

/* ---- shape */

static enum sensor_state state(const struct sensor *sensor)
{
    return ((const struct imu *)sensor)->reported;
}

static void rate_range(const struct sensor *sensor, uint8_t which, uint32_t *lowest_mhz,
                       uint32_t *highest_mhz)
{
    const struct imu_chip *chip = ((const struct imu *)sensor)->chip;
    uint32_t fixed = sensor->streams[which].rate_mhz;
    *lowest_mhz = which == IMU_SAMPLES ? chip->rate_mhz((uint16_t)(chip->rate_count - 1u)) : fixed;
    *highest_mhz = which == IMU_SAMPLES ? chip->rate_mhz(0) : fixed;
}

static uint32_t nearest_rate(const struct sensor *sensor, uint8_t which, uint32_t wanted_mhz)
{
    const struct imu_chip *chip = ((const struct imu *)sensor)->chip;
    return which == IMU_SAMPLES ? chip->rate_mhz(imu_nearest_rate(chip, wanted_mhz))
                                : sensor->streams[which].rate_mhz;
}

static bool same_setup(const struct imu_setup *a, const struct imu_setup *b)
{
    return a->rate == b->rate && a->accel == b->accel && a->gyro == b->gyro;
}

static enum sensor_change change(struct imu *imu, const struct imu_wanted *wanted, uint16_t rate)
{
    enum imu_phase phase = imu->phase; /* an interrupt may take it from RUNNING to ABSENT */
    if (imu->change == SENSOR_CHANGE_PENDING || (phase != IMU_ABSENT && phase != IMU_RUNNING)) {
        return SENSOR_CHANGE_BUSY;
    }
    imu_prepare(imu, wanted, rate);
    uint32_t state = imu_lock(imu);
    imu->change = SENSOR_CHANGE_DONE;
    if (imu->phase == IMU_RUNNING && (wanted->self_test || !same_setup(&imu->setup, &imu->new_setup))) {
        imu->change = SENSOR_CHANGE_PENDING;
        imu_proceed(imu);
    } else if (wanted->self_test) {
        imu->change = SENSOR_CHANGE_FAILED;
    } else { /* in force when it comes, or already */
        imu->wanted = *wanted;
        if (imu->phase == IMU_ABSENT) {
            imu->setup = imu->new_setup;
            imu_take_description(imu);
        }
    }
    enum sensor_change status = imu->change;
    imu_unlock(imu, state);
    return status;
}

static enum sensor_change set_rate(struct sensor *sensor, uint8_t which, uint32_t wanted_mhz, uint64_t now_us)
{
    (void)now_us;
    struct imu *imu = (struct imu *)sensor;
    ASSERT(which == IMU_SAMPLES);
    struct imu_wanted wanted = imu->wanted;
    wanted.rate_mhz = wanted_mhz;
    return change(imu, &wanted, imu_nearest_rate(imu->chip, wanted_mhz));
}

static bool range_limits(const struct sensor *sensor, uint8_t which, uint8_t field, float *lowest,
                         float *highest)
{
    const struct imu_chip *chip = ((const struct imu *)sensor)->chip;
    if (which != IMU_SAMPLES) {
        return false;
    }
    const struct imu_range *ranges = field < 3 ? chip->accel : chip->gyro;
    *lowest = ranges[0].full_scale;
    *highest = ranges[(field < 3 ? chip->accel_count : chip->gyro_count) - 1u].full_scale;
    return true;
}

static enum sensor_change set_range(struct sensor *sensor, uint8_t which, uint8_t field, float full_scale,
                                    uint64_t now_us)
{
    (void)now_us;
    struct imu *imu = (struct imu *)sensor;
    ASSERT(which == IMU_SAMPLES && field < IMU_AXES);
    struct imu_wanted wanted = imu->wanted;
    wanted.full_scale[field < 3 ? 0 : 1] = full_scale;
    return change(imu, &wanted, imu->setup.rate);
}

static uint32_t wanted_rate(const struct sensor *sensor, uint8_t which)
{
    return which == IMU_SAMPLES ? ((const struct imu *)sensor)->wanted.rate_mhz
                                : sensor->streams[which].rate_mhz;
}

static float wanted_range(const struct sensor *sensor, uint8_t which, uint8_t field)
{
    ASSERT(which == IMU_SAMPLES && field < IMU_AXES);
    return ((const struct imu *)sensor)->wanted.full_scale[field < 3 ? 0 : 1];
}

static enum sensor_change self_test(struct sensor *sensor, uint8_t which, uint64_t now_us)
{
    (void)now_us;
    struct imu *imu = (struct imu *)sensor;
    if (which != IMU_SAMPLES) {
        return SENSOR_CHANGE_UNSUPPORTED;
    }
    struct imu_wanted wanted = imu->wanted;
    wanted.self_test = true;
    return change(imu, &wanted, imu->setup.rate);
}

static const struct sensor_self_test *self_test_result(const struct sensor *sensor, uint8_t which)
{
    (void)which;
    return &((const struct imu *)sensor)->result;
}

static enum sensor_change change_status(const struct sensor *sensor)
{
    return ((const struct imu *)sensor)->change;
}

static uint32_t measured_rate(const struct sensor *sensor, uint8_t which)
{
    const struct imu *imu = (const struct imu *)sensor;
    uint32_t state = imu_lock(imu);
    uint32_t rate_mhz = imu->phase == IMU_RUNNING ? imu_clock_rate_mhz(&imu->clock) : 0;
    uint32_t every = which == IMU_SAMPLES ? 1u : imu->temperature_every;
    imu_unlock(imu, state);
    return rate_mhz / every;
}

static int16_t temperature(const struct sensor *sensor)
{
    const struct imu *imu = (const struct imu *)sensor;
    const struct sensor_field *field = &imu->chip->temperature;
    if (!imu->temperature_known) {
        return SENSOR_TEMPERATURE_UNKNOWN;
    }
    return (int16_t)(((float)imu->temperature_raw * field->scale + field->offset) * 100.0f);
}

const struct sensor_ops imu_ops = {
    .poll = imu_poll,
    .state = state,
    .rate_range = rate_range,
    .nearest_rate = nearest_rate,
    .set_rate = set_rate,
    .streams_at = imu_streams_at,
    .reading = imu_reading,
    .range_limits = range_limits,
    .set_range = set_range,
    .wanted_rate = wanted_rate,
    .wanted_range = wanted_range,
    .self_test = self_test,
    .self_test_result = self_test_result,
    .change_status = change_status,
    .measured_rate = measured_rate,
    .temperature = temperature,
};
