/* InvenSense MPU-6050: RM-MPU-6000A-00 rev. 4.2 (RM), PS-MPU-6000A-00 rev. 3.4. */
#include "drivers/chips.h"
#include "drivers/mpu6x00.h"

#define FIFO_BYTES 1024u /* PS 7.16 */
#define FRAMES     (FIFO_BYTES / MPU6X00_FRAME)

/* RM 4.3 by DLPF_CFG 1 ... 6: mean of the accelerometer's and the gyroscope's delay */
static const uint16_t delays_us[] = {1950, 2900, 4850, 8400, 13600, 18800};

static uint32_t group_delay_us(uint16_t rate)
{
    return delays_us[mpu6x00_filter(rate) - 1u];
}

/* RM 4.30. Full it keeps 1,024 bytes, which is no whole number of frames. */
static uint16_t level(const uint8_t raw[2])
{
    uint32_t bytes = (uint32_t)(raw[0] << 8 | raw[1]);
    return bytes > FRAMES * MPU6X00_FRAME ? IMU_OVERRUN : (uint16_t)(bytes / MPU6X00_FRAME);
}

/* ---- self-test, RM 4.1: at +-8 g and +-250 deg/s; passes within 14 % of the factory's response */

static const struct imu_step self_test_steps[] = {
    {.reg = MPU6X00_SMPLRT_DIV, .value = 0},
    {.reg = MPU6X00_CONFIG, .value = 2},
    {.reg = MPU6X00_GYRO_CONFIG, .value = 0x00},
    {.reg = MPU6X00_ACCEL_CONFIG, .value = 0x10, .wait_ms = 50},
    {.reg = 0x0D, .value = 4, .kind = IMU_READ_TRIM},
    {.reg = IMU_ACCEL | IMU_GYRO, .value = MPU6X00_SELF_TEST_N, .kind = IMU_AVERAGE},
    {.reg = MPU6X00_GYRO_CONFIG, .value = MPU6X00_SELF_TEST_XYZ},
    {.reg = MPU6X00_ACCEL_CONFIG, .value = MPU6X00_SELF_TEST_XYZ | 0x10, .wait_ms = 50},
    {.reg = IMU_ACCEL | IMU_GYRO, .value = MPU6X00_SELF_TEST_N, .kind = IMU_AVERAGE_ON},
};

/* Factory response in LSB; 0 where the factory wrote no code. Trim: SELF_TEST_X, Y, Z (accelerometer's bits
 * 4:2 in 7:5, gyroscope's code in 4:0), SELF_TEST_A (accelerometer's bits 1:0, x in 5:4). */
static float factory(unsigned field, const uint8_t *trim)
{
    if (field < 3) {
        unsigned code = (trim[field] >> 3 & 0x1Cu) | (trim[3] >> (4u - 2u * field) & 3u);
        /* 4096 LSB/g * 0.34 * (0.92 / 0.34)^((code - 1) / (2^5 - 2)); 1.0337376 is the 30th root of 0.92 /
         * 0.34 */
        return code == 0 ? 0.0f : 4096.0f * 0.34f * mpu6x00_power(1.0337376f, code - 1u);
    }
    unsigned code = trim[field - 3u] & 0x1Fu;
    float sign = field == 4 ? -1.0f : 1.0f; /* y: RM 4.1 */
    return code == 0 ? 0.0f : sign * 25.0f * 131.0f * mpu6x00_power(1.046f, code - 1u);
}

/* In percent of the factory's response. Without one nothing can be said in its favour: -100. */
static void judge(unsigned field, float off, float on, const uint8_t *trim, struct sensor_self_test *result)
{
    float expected = factory(field, trim);
    float response = expected == 0.0f ? -100.0f : (on - off - expected) / expected * 100.0f;
    result->field[field].response = response;
    result->field[field].low = -14.0f;
    result->field[field].high = 14.0f;
}

static const struct imu_self_test self_test = {
    .script = IMU_SCRIPT(self_test_steps),
    MPU6X00_SELF_TEST_BURST,
    .judge = judge,
};

const struct imu_chip mpu6050 = {
    .part = "mpu6050",
    .streaming = "imu: MPU-6050 is streaming",
    .id_register = MPU6X00_WHO_AM_I,
    .id = 0x68,
    .accel = mpu6x00_accel_ranges,
    .gyro = mpu6x00_gyro_ranges,
    .accel_count = MPU6X00_RANGES,
    .gyro_count = MPU6X00_RANGES,
    /* RM 4.18: degC = raw / 340 + 36.53; the part works from -40 to 85 degC */
    .temperature = {SENSOR_I16, 1.0f / 340.0f, 36.53f, 85.0f, "temperature", "degC"},
    .rate_count = MPU6X00_RATES,
    .rate_mhz = mpu6x00_rate_mhz,
    .group_delay_us = group_delay_us,
    .reset = &mpu6x00_reset,
    .configure = mpu6x00_configure,
    .start = &mpu6x00_start,
    .stop = &mpu6x00_stop,
    .flush = &mpu6x00_flush,
    .edge_each_sample = true,
    .fifo_frames = FRAMES,
    .frame_size = MPU6X00_FRAME,
    .level_register = MPU6X00_FIFO_COUNT_H,
    .level = level,
    .fifo_register = MPU6X00_FIFO_R_W,
    .unpack = mpu6x00_unpack,
    .slot_mask = IMU_BROKEN,
    .frame_temperature = mpu6x00_frame_temperature,
    .self_test = &self_test,
};
