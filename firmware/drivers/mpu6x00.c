#include "drivers/mpu6x00.h"

#include <string.h>

#define BASE_RATE_MHZ 1000000u /* with the low-pass filter on: RM 4.2 */

/* RM 4.17, 4.19 */
const struct imu_range mpu6x00_accel_ranges[MPU6X00_RANGES] = {
    IMU_ACCEL_RANGE(2, 1.0f / 16384.0f, 0x00),
    IMU_ACCEL_RANGE(4, 1.0f / 8192.0f, 0x08),
    IMU_ACCEL_RANGE(8, 1.0f / 4096.0f, 0x10),
    IMU_ACCEL_RANGE(16, 1.0f / 2048.0f, 0x18),
};
const struct imu_range mpu6x00_gyro_ranges[MPU6X00_RANGES] = {
    IMU_GYRO_RANGE(250, 1.0f / 131.0f, 0x00),
    IMU_GYRO_RANGE(500, 1.0f / 65.5f, 0x08),
    IMU_GYRO_RANGE(1000, 1.0f / 32.8f, 0x10),
    IMU_GYRO_RANGE(2000, 1.0f / 16.4f, 0x18),
};

static const struct imu_step reset_steps[] = {
    {.reg = MPU6X00_PWR_MGMT_1, .value = MPU6X00_DEVICE_RESET, .wait_ms = 100}, /* as for SPI, RM 4.28 */
    {.reg = MPU6X00_PWR_MGMT_1,
     .value = MPU6X00_CLKSEL_PLL_GYRO_X,
     .wait_ms = 50}, /* gyroscope: 30 ms, PS 6.1 */
};
static const struct imu_step start_steps[] = {
    {.reg = MPU6X00_INT_PIN_CFG, .value = MPU6X00_INT_PULSE},
    {.reg = MPU6X00_USER_CTRL, .value = MPU6X00_USER_FIFO_RESET},
    {.reg = MPU6X00_FIFO_EN, .value = MPU6X00_FIFO_ALL},
    {.reg = MPU6X00_INT_ENABLE, .value = MPU6X00_DATA_RDY},
    {.reg = MPU6X00_USER_CTRL, .value = MPU6X00_USER_FIFO_EN},
};
static const struct imu_step stop_steps[] = {{.reg = MPU6X00_FIFO_EN, .value = 0}};
static const struct imu_step flush_steps[] = {
    {.reg = MPU6X00_USER_CTRL, .value = MPU6X00_USER_FIFO_RESET},
    {.reg = MPU6X00_USER_CTRL, .value = MPU6X00_USER_FIFO_EN},
};
const struct imu_script mpu6x00_reset = IMU_SCRIPT(reset_steps);
const struct imu_script mpu6x00_start = IMU_SCRIPT(start_steps);
const struct imu_script mpu6x00_stop = IMU_SCRIPT(stop_steps);
const struct imu_script mpu6x00_flush = IMU_SCRIPT(flush_steps);

/* Lowest rates of the filters 1 ... 5: twice the bandwidth of both sensors, whichever part. */
static const uint32_t filter_from_mhz[] = {376000, 196000, 88000, 42000, 20000};

uint32_t mpu6x00_rate_mhz(uint16_t rate)
{
    uint32_t n = rate + 1u; /* RM 4.2: 1 kHz / (1 + SMPLRT_DIV) */
    return (BASE_RATE_MHZ + n / 2u) / n;
}

uint8_t mpu6x00_filter(uint16_t rate)
{
    uint32_t rate_mhz = mpu6x00_rate_mhz(rate);
    uint8_t filter = 0;
    while (filter < sizeof filter_from_mhz / sizeof filter_from_mhz[0] &&
           rate_mhz < filter_from_mhz[filter]) {
        filter++;
    }
    return (uint8_t)(filter + 1u);
}

uint8_t mpu6x00_configure(const struct imu_setup *setup, struct imu_step *steps)
{
    steps[0] = (struct imu_step){.reg = MPU6X00_SMPLRT_DIV, .value = (uint8_t)setup->rate};
    steps[1] = (struct imu_step){.reg = MPU6X00_CONFIG, .value = mpu6x00_filter(setup->rate)};
    steps[2] = (struct imu_step){.reg = MPU6X00_GYRO_CONFIG, .value = mpu6x00_gyro_ranges[setup->gyro].bits};
    steps[3] =
        (struct imu_step){.reg = MPU6X00_ACCEL_CONFIG, .value = mpu6x00_accel_ranges[setup->accel].bits};
    return 4;
}

static uint32_t swap_halves(uint32_t x)
{
    return (x & 0x00FF00FFu) << 8 | (x >> 8 & 0x00FF00FFu);
}

/* frame, big-endian halfwords: ax ay az t gx gy gz. Out: ax ay | az gx | gy gz. */
uint8_t mpu6x00_unpack(const uint8_t *frame, uint32_t sample[3])
{
    uint32_t accel_xy;
    uint32_t accel_z_temperature;
    uint32_t gyro_xy;
    uint16_t gyro_z;
    memcpy(&accel_xy, frame, 4);
    memcpy(&accel_z_temperature, frame + 4, 4);
    memcpy(&gyro_xy, frame + 8, 4);
    memcpy(&gyro_z, frame + 12, 2);
    gyro_xy = swap_halves(gyro_xy);
    sample[0] = swap_halves(accel_xy);
    sample[1] = (swap_halves(accel_z_temperature) & 0xFFFFu) | gyro_xy << 16;
    sample[2] = gyro_xy >> 16 | swap_halves(gyro_z) << 16;
    return 0;
}

static int16_t big_endian(const uint8_t *at)
{
    return (int16_t)(at[0] << 8 | at[1]);
}

int16_t mpu6x00_frame_temperature(const uint8_t *frame)
{
    return big_endian(frame + 6);
}

void mpu6x00_axes(const uint8_t *burst, int16_t raw[IMU_AXES])
{
    for (unsigned axis = 0; axis < IMU_AXES; axis++) {
        unsigned word = axis < 3 ? axis : axis + 1u; /* the temperature is in between */
        raw[axis] = big_endian(burst + 1u + 2u * word);
    }
}

float mpu6x00_power(float base, unsigned exponent)
{
    float power = 1.0f;
    for (; exponent != 0; exponent--) {
        power *= base;
    }
    return power;
}
