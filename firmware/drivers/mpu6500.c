/* InvenSense MPU-6500: RM-MPU-6500A-00 rev. 2.1 (RM), PS-MPU-6500A-01, AN-MPU-6500A-02 (self-test). */
#include "drivers/chips.h"
#include "drivers/mpu6x00.h"

#define ACCEL_CONFIG_2 0x1Du
#define FIFO_BYTES     512u
#define FRAMES         (FIFO_BYTES / MPU6X00_FRAME)

/* RM, registers 26 and 29, by (A_)DLPF_CFG 1 ... 6: mean of the accelerometer's and the gyroscope's delay,
 * (5.80 + 2.9) / 2, (7.80 + 3.9) / 2, (11.80 + 5.9) / 2, (19.80 + 9.9) / 2, (35.70 + 17.85) / 2,
 * (66.96 + 33.48) / 2 ms */
static const uint16_t delays_us[] = {4350, 5850, 8850, 14850, 26775, 50220};

static uint32_t group_delay_us(uint16_t rate)
{
    return delays_us[mpu6x00_filter(rate) - 1u];
}

static uint8_t configure(const struct imu_setup *setup, struct imu_step *steps)
{
    uint8_t count = mpu6x00_configure(setup, steps);
    steps[count] = (struct imu_step){.reg = ACCEL_CONFIG_2, .value = mpu6x00_filter(setup->rate)};
    return (uint8_t)(count + 1u);
}

static uint16_t level(const uint8_t raw[2])
{
    uint32_t bytes = (uint32_t)((raw[0] & 0x1F) << 8 | raw[1]);
    return bytes > FRAMES * MPU6X00_FRAME ? IMU_OVERRUN : (uint16_t)(bytes / MPU6X00_FRAME);
}

/* ---- self-test, AN: at +-2 g and +-250 deg/s, 92 Hz; response against the factory's */

static const struct imu_step self_test_steps[] = {
    {.reg = MPU6X00_SMPLRT_DIV, .value = 0},
    {.reg = MPU6X00_CONFIG, .value = 2},
    {.reg = ACCEL_CONFIG_2, .value = 2},
    {.reg = MPU6X00_GYRO_CONFIG, .value = 0x00},
    {.reg = MPU6X00_ACCEL_CONFIG, .value = 0x00, .wait_ms = 50},
    {.reg = 0x00, .value = 3, .kind = IMU_READ_TRIM}, /* gyroscope */
    {.reg = 0x0D, .value = 3, .kind = IMU_READ_TRIM}, /* accelerometer */
    {.reg = IMU_ACCEL | IMU_GYRO, .value = MPU6X00_SELF_TEST_N, .kind = IMU_AVERAGE},
    {.reg = MPU6X00_GYRO_CONFIG, .value = MPU6X00_SELF_TEST_XYZ},
    {.reg = MPU6X00_ACCEL_CONFIG, .value = MPU6X00_SELF_TEST_XYZ, .wait_ms = 50},
    {.reg = IMU_ACCEL | IMU_GYRO, .value = MPU6X00_SELF_TEST_N, .kind = IMU_AVERAGE_ON},
};

/* With a factory code the ratio to 2620 * 1.01^(code - 1) LSB: accelerometer 0.5 ... 1.5, gyroscope above 0.5
 * (there is no upper limit; 25 is all that the range can show). Without, the response itself: 225 ... 675 mg,
 * above 60 deg/s. */
static void judge(unsigned field, float off, float on, const uint8_t *trim, struct sensor_self_test *result)
{
    bool accel = field < 3;
    unsigned code = trim[accel ? 3u + field : field - 3u];
    float response = on - off;
    float low = 0.5f;
    float high = accel ? 1.5f : 25.0f;
    if (code != 0) {
        response /= 2620.0f * mpu6x00_power(1.01f, code - 1u);
    } else {
        response = (response < 0.0f ? -response : response) / (accel ? 16.384f : 131.0f);
        low = accel ? 225.0f : 60.0f;
        high = accel ? 675.0f : 500.0f;
    }
    result->field[field].response = response;
    result->field[field].low = low;
    result->field[field].high = high;
}

static const struct imu_self_test self_test = {
    .script = IMU_SCRIPT(self_test_steps),
    MPU6X00_SELF_TEST_BURST,
    .judge = judge,
};

const struct imu_chip mpu6500 = {
    .part = "mpu6500",
    .streaming = "imu: MPU-6500 is streaming",
    .id_register = MPU6X00_WHO_AM_I,
    .id = 0x70,
    .accel = mpu6x00_accel_ranges,
    .gyro = mpu6x00_gyro_ranges,
    .accel_count = MPU6X00_RANGES,
    .gyro_count = MPU6X00_RANGES,
    /* RM, register 65: degC = raw / 333.87 + 21; the part works from -40 to 85 degC */
    .temperature = {SENSOR_I16, 1.0f / 333.87f, 21.0f, 85.0f, "temperature", "degC"},
    .rate_count = MPU6X00_RATES,
    .rate_mhz = mpu6x00_rate_mhz,
    .group_delay_us = group_delay_us,
    .reset = &mpu6x00_reset,
    .configure = configure,
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
