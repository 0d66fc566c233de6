/* Settings of a chip from what the host wants, and the descriptors that go with them. */
#include "drivers/imu_internal.h"

#define READ_RATE_MHZ   100000u /* the FIFO is read about each 10 ms */
#define TEMPERATURE_MHZ 10000u
#define SLOW            16u  /* 1/16: a sensor's clock is at most 5 % slow */
#define QUEUE_US        500u /* other transfers on the bus that are ahead, and the interrupts in between */

static const char *const names[IMU_AXES] = {"accel_x", "accel_y", "accel_z", "gyro_x", "gyro_y", "gyro_z"};

uint16_t imu_nearest_rate(const struct imu_chip *chip, uint32_t wanted_mhz)
{
    uint16_t below = 0; /* the first that is not above the wanted one */
    while (below + 1u < chip->rate_count && chip->rate_mhz(below) > wanted_mhz) {
        below++;
    }
    if (below == 0 || chip->rate_mhz(below) > wanted_mhz) {
        return below;
    }
    uint32_t above_mhz = chip->rate_mhz((uint16_t)(below - 1u));
    bool nearer = above_mhz - wanted_mhz <= wanted_mhz - chip->rate_mhz(below);
    return nearer ? (uint16_t)(below - 1u) : below;
}

static uint8_t smallest_holding(const struct imu_range *ranges, uint8_t count, float wanted)
{
    uint8_t range = 0;
    while (range + 1u < count && ranges[range].full_scale < wanted * SENSOR_RANGE_ROUNDING) {
        range++;
    }
    return range;
}

static uint32_t watermark_at(uint32_t rate_mhz)
{
    uint32_t watermark = rate_mhz / READ_RATE_MHZ;
    return watermark != 0 ? watermark : 1u;
}

/* Bits on the bus for one sample, its share of the looks at the level included. */
static uint16_t bus_bits(const struct imu_chip *chip, const struct imu_port *port, uint32_t watermark)
{
    uint32_t bytes = watermark * chip->frame_size;
    uint32_t reads = 1;
    if (chip->edge_each_sample) {
        bytes += 2;
        reads = 2;
    }
    uint32_t bits = bytes * port->bits_per_byte + reads * port->bits_per_read;
    return (uint16_t)((bits + watermark - 1u) / watermark);
}

struct imu_setup imu_setup_for(const struct imu_chip *chip, const struct imu_wanted *wanted, uint16_t rate)
{
    return (struct imu_setup){
        .rate = rate,
        .watermark = (uint16_t)watermark_at(chip->rate_mhz(rate)),
        .accel = smallest_holding(chip->accel, chip->accel_count, wanted->full_scale[0]),
        .gyro = smallest_holding(chip->gyro, chip->gyro_count, wanted->full_scale[1]),
    };
}

/* From the tick of the first sample of a reading to the end of that: the other ticks, by a clock that is as
 * slow as may be, and the transfer. */
struct sensor_reading imu_reading(const struct sensor *sensor, uint8_t which, uint32_t rate_mhz)
{
    const struct imu *imu = (const struct imu *)sensor;
    uint32_t read_mhz = which == IMU_SAMPLES ? rate_mhz : imu->streams[IMU_SAMPLES].rate_mhz;
    uint32_t watermark = watermark_at(read_mhz);
    uint32_t period_us = 1000000000u / read_mhz;
    uint64_t bits = (uint64_t)bus_bits(imu->chip, imu->port, watermark) * watermark;
    uint32_t bus_us = imu->port->bits_per_s != 0 ? (uint32_t)(bits * 1000000u / imu->port->bits_per_s) : 0;
    return (struct sensor_reading){
        .samples = (uint16_t)(which == IMU_SAMPLES ? watermark : 1u),
        .age_us = (watermark - 1u) * (period_us + period_us / SLOW) + bus_us + QUEUE_US,
    };
}

static bool same(const struct sensor_stream *a, const struct sensor_stream *b)
{
    bool equal = a->part == b->part && a->bus == b->bus && a->rate_mhz == b->rate_mhz;
    for (uint8_t i = 0; equal && i < a->field_count; i++) { /* the full scale goes with the scale */
        equal = a->fields[i].scale == b->fields[i].scale && a->fields[i].offset == b->fields[i].offset;
    }
    return equal;
}

static uint16_t temperature_every(uint32_t rate_mhz)
{
    uint32_t every = (rate_mhz + TEMPERATURE_MHZ / 2u) / TEMPERATURE_MHZ;
    return (uint16_t)(every != 0 ? every : 1u);
}

/* All but their fields. */
static void describe_streams(const struct imu_chip *chip, const struct imu_port *port,
                             const struct imu_setup *setup, struct sensor_stream *streams)
{
    uint32_t rate_mhz = chip->rate_mhz(setup->rate);
    streams[IMU_SAMPLES] = (struct sensor_stream){
        .name = "imu",
        .part = chip->part,
        .field_count = IMU_AXES,
        .sample_size = 2u * IMU_AXES,
        .fifo_depth = chip->fifo_frames,
        .bus = port->number,
        .bus_bits = bus_bits(chip, port, setup->watermark),
        .rate_mhz = rate_mhz,
        .group_delay_us = chip->group_delay_us(setup->rate),
    };
    streams[IMU_TEMPERATURE] = (struct sensor_stream){
        .name = "imu_temp",
        .part = chip->part,
        .field_count = 1,
        .sample_size = 2,
        .bus = port->number,
        .bus_bits =
            (uint16_t)(chip->frame_temperature == NULL ? 2u * port->bits_per_byte + port->bits_per_read : 0u),
        .rate_mhz = rate_mhz / temperature_every(rate_mhz),
    };
}

void imu_streams_at(const struct sensor *sensor, uint8_t which, uint32_t rate_mhz,
                    struct sensor_stream *streams)
{
    const struct imu *imu = (const struct imu *)sensor;
    ASSERT(which == IMU_SAMPLES);
    struct imu_setup setup = imu_setup_for(imu->chip, &imu->wanted, imu_nearest_rate(imu->chip, rate_mhz));
    describe_streams(imu->chip, imu->port, &setup, streams);
}

void imu_describe(struct imu *imu, const struct imu_chip *chip, const struct imu_port *port,
                  const struct imu_setup *setup)
{
    uint8_t spare = imu->fields_in_force ^ 1u;
    for (unsigned i = 0; i < IMU_AXES; i++) {
        const struct imu_range *range = i < 3 ? &chip->accel[setup->accel] : &chip->gyro[setup->gyro];
        imu->fields[spare][i] = (struct sensor_field){
            .type = SENSOR_I16,
            .scale = range->scale,
            .full_scale = range->full_scale,
            .name = names[i],
            .unit = i < 3 ? "m/s^2" : "rad/s",
        };
    }
    imu->temperature_field[spare] = chip->temperature;
    describe_streams(chip, port, setup, imu->next_streams);
    imu->next_streams[IMU_SAMPLES].fields = imu->fields[spare];
    imu->next_streams[IMU_TEMPERATURE].fields = &imu->temperature_field[spare];
    imu->next_temperature_every = temperature_every(chip->rate_mhz(setup->rate));
    for (uint8_t i = 0; i < IMU_STREAMS; i++) {
        imu->next_differs[i] = !same(&imu->streams[i], &imu->next_streams[i]);
    }
}

void imu_take_description(struct imu *imu)
{
    const struct sensor_sink *sink = imu->sensor.sink;
    imu->fields_in_force ^= 1u;
    imu->temperature_every = imu->next_temperature_every;
    imu->until_temperature = imu->temperature_every;
    for (uint8_t i = 0; i < IMU_STREAMS; i++) {
        imu->streams[i] = imu->next_streams[i];
        if (imu->next_differs[i]) {
            sink->changed(sink->context, (uint8_t)(imu->sensor.first_stream + i));
        }
    }
}
