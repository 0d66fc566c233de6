#include "app/mcu_temp.h"

#include "hal/irq.h"
#include "hal/time.h"

#define TICK_MHZ             (1000000000u / HAL_TICK_US)
#define DEFAULT_PERIOD_TICKS 10u
#define CALIBRATION_MV       3300u
#define COLD_DEGC            30
#define SPAN_DEGC            80 /* between the two calibration points */
#define FULL_SCALE_DEGC      125.0f

static uint32_t rate_of(uint32_t ticks)
{
    return (TICK_MHZ + ticks / 2u) / ticks;
}

static void poll(struct sensor *sensor, uint64_t now_us)
{
    (void)sensor;
    (void)now_us;
}

static enum sensor_state state(const struct sensor *sensor)
{
    const struct mcu_temp *mcu = (const struct mcu_temp *)sensor;
    if (!mcu->available) {
        return SENSOR_MISSING;
    }
    return mcu->has_value ? SENSOR_STREAMING : SENSOR_STOPPED;
}

static void rate_range(const struct sensor *sensor, uint8_t which, uint32_t *lowest_mhz,
                       uint32_t *highest_mhz)
{
    (void)sensor;
    (void)which;
    *lowest_mhz = rate_of(MCU_TEMP_TICKS_MAX);
    *highest_mhz = TICK_MHZ;
}

static uint32_t nearest_ticks(uint32_t wanted_mhz)
{
    uint32_t ticks = TICK_MHZ / wanted_mhz;
    bool next_is_nearer = wanted_mhz - rate_of(ticks + 1u) < rate_of(ticks) - wanted_mhz;
    return ticks < MCU_TEMP_TICKS_MAX && next_is_nearer ? ticks + 1u : ticks;
}

static uint32_t nearest_rate(const struct sensor *sensor, uint8_t which, uint32_t wanted_mhz)
{
    (void)sensor;
    (void)which;
    return rate_of(nearest_ticks(wanted_mhz));
}

static enum sensor_change set_rate(struct sensor *sensor, uint8_t which, uint32_t wanted_mhz, uint64_t now_us)
{
    (void)now_us;
    struct mcu_temp *mcu = (struct mcu_temp *)sensor;
    uint32_t lock = hal_irq_save();
    mcu->period_ticks = nearest_ticks(wanted_mhz);
    mcu->ticks_left = mcu->period_ticks;
    mcu->stream.rate_mhz = rate_of(mcu->period_ticks);
    sensor->sink->changed(sensor->sink->context, (uint8_t)(sensor->first_stream + which));
    hal_irq_restore(lock);
    return SENSOR_CHANGE_DONE;
}

static int16_t temperature(const struct sensor *sensor)
{
    return mcu_temp_cdegc((const struct mcu_temp *)sensor);
}

static const struct sensor_ops ops = {
    .poll = poll,
    .state = state,
    .rate_range = rate_range,
    .nearest_rate = nearest_rate,
    .set_rate = set_rate,
    .temperature = temperature,
};

/* degC by raw through (16 * TS_CAL1, 30 degC) and (16 * TS_CAL2, 110 degC). */
static void calibrate(struct mcu_temp *mcu)
{
    float counts =
        (float)(mcu->calibration.temp_110 - mcu->calibration.temp_30) * (float)HAL_ADC_OVERSAMPLING;
    float cold = (float)mcu->calibration.temp_30 * (float)HAL_ADC_OVERSAMPLING;
    mcu->field.scale = (float)SPAN_DEGC / counts;
    mcu->field.offset = (float)COLD_DEGC - cold * mcu->field.scale;
}

void mcu_temp_init(struct mcu_temp *mcu, const struct sensor_sink *sink, uint8_t first_stream, bool available)
{
    *mcu = (struct mcu_temp){
        .sensor = {.ops = &ops, .sink = sink, .stream_count = 1, .first_stream = first_stream},
        .stream = {.name = "mcu_temp",
                   .part = "stm32f4",
                   .field_count = 1,
                   .sample_size = 2,
                   .rate_mhz = rate_of(DEFAULT_PERIOD_TICKS)},
        .field = {.type = SENSOR_U16, .full_scale = FULL_SCALE_DEGC, .name = "temperature", .unit = "degC"},
        .calibration = hal_adc_calibration(),
        .period_ticks = DEFAULT_PERIOD_TICKS,
        .ticks_left = DEFAULT_PERIOD_TICKS,
    };
    calibrate(mcu);
    mcu->stream.fields = &mcu->field;
    mcu->sensor.streams = &mcu->stream;
    if (available && !mcu->calibration.factory) {
        sink->log(
            sink->context, SENSOR_LOG_WARNING,
            "mcu_temp: no factory calibration; typical values of the datasheet, some 10 degC uncertain");
    }
    mcu->available = available; /* last: from here on the tick uses it */
}

void mcu_temp_tick(struct mcu_temp *mcu, uint64_t now_us)
{
    if (!mcu->available || --mcu->ticks_left != 0) {
        return;
    }
    mcu->ticks_left = mcu->period_ticks;
    /* A tick that comes late, behind a stall of the core, has no reading of its time. */
    if (hal_time_us() - now_us >= HAL_TICK_US || !hal_adc_start()) {
        mcu->missed++; /* told later: the reading under way comes before it */
        return;
    }
    if (mcu->missed != 0) {
        mcu->sensor.sink->lost(mcu->sensor.sink->context, mcu->sensor.first_stream, SENSOR_LOST_FIFO,
                               mcu->missed);
        mcu->missed = 0;
    }
    mcu->started_us = now_us;
}

void mcu_temp_reading(struct mcu_temp *mcu, struct hal_adc_reading reading)
{
    const struct sensor_sink *sink = mcu->sensor.sink;
    uint32_t reference = (uint32_t)mcu->calibration.vrefint * HAL_ADC_OVERSAMPLING;
    uint32_t lock = hal_irq_save(); /* against the system tick */
    uint32_t raw = reading.vrefint != 0
                       ? ((uint32_t)reading.temperature * reference + reading.vrefint / 2u) / reading.vrefint
                       : 0;
    if (raw == 0 || raw > UINT16_MAX) { /* no reference: nothing to scale with */
        sink->lost(sink->context, mcu->sensor.first_stream, SENSOR_LOST_BUS, 1);
    } else {
        uint16_t value = (uint16_t)raw;
        mcu->raw = value;
        mcu->supply_mv = (uint16_t)(CALIBRATION_MV * reference / reading.vrefint);
        mcu->has_value = true;
        sink->sample(sink->context, mcu->sensor.first_stream, mcu->started_us, &value);
    }
    hal_irq_restore(lock);
}

int16_t mcu_temp_cdegc(const struct mcu_temp *mcu)
{
    if (!mcu->has_value) {
        return INT16_MIN;
    }
    int32_t above = (int32_t)mcu->raw - (int32_t)(mcu->calibration.temp_30 * HAL_ADC_OVERSAMPLING);
    int32_t counts = (mcu->calibration.temp_110 - mcu->calibration.temp_30) * (int32_t)HAL_ADC_OVERSAMPLING;
    return (int16_t)(COLD_DEGC * 100 + above * (SPAN_DEGC * 100) / counts);
}
