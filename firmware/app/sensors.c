#include "app/sensors.h"

#include <stdalign.h>

#include "app/buses.h"
#include "drivers/chips.h"
#include "drivers/imu.h"
#include "drivers/thermometer.h"
#include "hal/time.h"

/* A stream of 2-byte samples holds few; a slow one has one sample a batch. */
#define IMU_SLOTS    18u /* 100 ms of 6.67 kHz, and the one that stays free */
#define SCALAR_SLOTS 6u
#define SCALAR_BYTES 16u
#define IMU_SLOT     SAMPLER_SLOT(SAMPLER_BATCH_BYTES)
#define SCALAR_SLOT  SAMPLER_SLOT(SCALAR_BYTES)

static struct imu_port i2c_port = {
    .number = SENSOR_BUS_I2C,
    .bits_per_byte = 9,
    .bits_per_read = 30, /* start, address, register, start, address, stop */
};

static struct imu_port spi_port = {
    .number = SENSOR_BUS_SPI, .bits_per_byte = 8, .bits_per_read = 8, /* register */
};

/* Where inertial sensors are looked for, the preferred ones first; those of one address side by side. */
static const struct imu_candidate imu_candidates[] = {
    {&lsm6dso, &spi_port, 0},    {&lsm6dso, &i2c_port, 0x6A}, {&lsm6dso, &i2c_port, 0x6B},
    {&mpu6500, &i2c_port, 0x68}, {&mpu6050, &i2c_port, 0x68}, {&mpu6500, &i2c_port, 0x69},
    {&mpu6050, &i2c_port, 0x69},
};

/* Thermometers that are looked for at each address, in this order: what has an identification comes first. */
static const struct thermometer_part *const thermometer_parts[] = {&tmp117, &lm75};

static struct {
    struct sensor_sink sink;
    struct imu imu;
    struct thermometer thermometer;
    alignas(8) uint8_t imu_slots[IMU_SLOTS * IMU_SLOT];
    alignas(8) uint8_t imu_temp_slots[SCALAR_SLOTS * SCALAR_SLOT];
    alignas(8) uint8_t mcu_temp_slots[SCALAR_SLOTS * SCALAR_SLOT];
    alignas(8) uint8_t ext_temp_slots[SCALAR_SLOTS * SCALAR_SLOT];
} sensors;

static enum hal_data_ready line_of(enum sensor_bus bus)
{
    return bus == SENSOR_BUS_I2C ? HAL_DATA_READY_I2C : HAL_DATA_READY_SPI;
}

static bool line_high(enum sensor_bus bus)
{
    return hal_data_ready_level(line_of(bus));
}

static uint32_t line_edges(enum sensor_bus bus)
{
    return hal_data_ready_edges(line_of(bus));
}

static void line_skip(enum sensor_bus bus, uint32_t n)
{
    hal_data_ready_skip(line_of(bus), n);
}

static const struct imu_line data_ready = {
    .high = line_high, .edges = line_edges, .skip = line_skip, .now_us = hal_time_us};

static void open_ports(void)
{
    spi_port.bus = buses_spi();
    spi_port.bits_per_s = buses_bits(SENSOR_BUS_SPI);
    spi_port.line = &data_ready;
    spi_port.data_ready_pin = hal_data_ready_pin(HAL_DATA_READY_SPI);
    if (buses_spi_is_open()) {
        hal_data_ready_open(HAL_DATA_READY_SPI);
    }
    i2c_port.bus = buses_i2c();
    i2c_port.bits_per_s = buses_bits(SENSOR_BUS_I2C);
    i2c_port.line = &data_ready;
    i2c_port.data_ready_pin = hal_data_ready_pin(HAL_DATA_READY_I2C);
    if (buses_i2c_is_open()) {
        hal_data_ready_open(HAL_DATA_READY_I2C);
    }
}

const struct sensor_sink *
sensors_sink(struct streams *streams,
             void (*log)(void *context, enum sensor_log_level level, const char *text),
             bool (*fits)(void *context, const struct sensor *sensor, const struct sensor_stream *next))
{
    sensors.sink = streams_sink(streams, log, fits);
    return &sensors.sink;
}

void sensors_start(struct streams *streams, uint8_t generation, struct sensor *mcu_temp)
{
    open_ports();
    imu_init(&sensors.imu, imu_candidates, sizeof imu_candidates / sizeof imu_candidates[0], &sensors.sink,
             STREAM_IMU);
    streams_bind(streams, STREAM_IMU, &sensors.imu.sensor, generation, sensors.imu_slots, IMU_SLOTS,
                 SAMPLER_BATCH_BYTES);
    streams_bind(streams, STREAM_IMU_TEMP, &sensors.imu.sensor, generation, sensors.imu_temp_slots,
                 SCALAR_SLOTS, SCALAR_BYTES);
    streams_bind(streams, STREAM_MCU_TEMP, mcu_temp, generation, sensors.mcu_temp_slots, SCALAR_SLOTS,
                 SCALAR_BYTES);
    thermometer_init(&sensors.thermometer, thermometer_parts,
                     sizeof thermometer_parts / sizeof thermometer_parts[0], buses_i2c(), &sensors.sink,
                     STREAM_EXT_TEMP);
    streams_bind(streams, STREAM_EXT_TEMP, &sensors.thermometer.sensor, generation, sensors.ext_temp_slots,
                 SCALAR_SLOTS, SCALAR_BYTES);
}

void sensors_poll(uint64_t now_us)
{
    sensors.imu.sensor.ops->poll(&sensors.imu.sensor, now_us);
    sensors.thermometer.sensor.ops->poll(&sensors.thermometer.sensor, now_us);
}

void sensors_data_ready(enum hal_data_ready line, uint64_t edge_us, uint32_t edge)
{
    imu_data_ready(&sensors.imu, line == HAL_DATA_READY_I2C ? SENSOR_BUS_I2C : SENSOR_BUS_SPI, edge_us, edge);
}
