/* ST LSM6DSO on SPI or I2C: DS12140 (DS), AN5192 (AN). */
#include <string.h>

#include "drivers/chips.h"

#define FIFO_CTRL1    0x07u /* watermark, in words */
#define FIFO_CTRL2    0x08u
#define FIFO_CTRL3    0x09u /* batch rates: gyroscope 7:4, accelerometer 3:0 */
#define FIFO_CTRL4    0x0Au
#define INT1_CTRL     0x0Du
#define WHO_AM_I      0x0Fu
#define CTRL1_XL      0x10u
#define CTRL2_G       0x11u
#define CTRL3_C       0x12u
#define CTRL5_C       0x14u
#define CTRL9_XL      0x18u
#define STATUS_REG    0x1Eu
#define OUT_TEMP_L    0x20u
#define FIFO_STATUS1  0x3Au
#define FIFO_DATA_OUT 0x78u

#define SW_RESET        0x01u
#define BDU_IF_INC      0x44u
#define I3C_DISABLE     0xE2u /* the rest of CTRL9_XL as after reset */
#define FIFO_BYPASS     0x00u
#define FIFO_CONTINUOUS 0x06u
#define INT1_FIFO_TH    0x08u
#define FIFO_OVERRUN    0x48u /* of FIFO_STATUS2: FIFO_OVR_IA, FIFO_OVR_LATCHED */
#define ODR_104_HZ      0x40u

#define WORD         7u /* a tag and three halfwords; a sample has two: gyroscope, accelerometer */
#define FIFO_WORDS   512u
#define TAG_GYRO     0x01u
#define TAG_ACCEL    0x02u
#define BASE_RATE    6667000u /* mHz; AN, INTERNAL_FREQ_FINE: the others are this by powers of two */
#define RATES        10u
#define HIGHEST_CODE 10u /* of ODR_XL, ODR_G and the batch rates: 6.66 kHz; 1 is 12.5 Hz */

/* DS table 2: mg and mdps per LSB; bits of FS_XL (9.12) and of FS_G and FS_125 (9.13) */
static const struct imu_range accel_ranges[] = {
    IMU_ACCEL_RANGE(2, 0.061e-3f, 0x00),
    IMU_ACCEL_RANGE(4, 0.122e-3f, 0x08),
    IMU_ACCEL_RANGE(8, 0.244e-3f, 0x0C),
    IMU_ACCEL_RANGE(16, 0.488e-3f, 0x04),
};
static const struct imu_range gyro_ranges[] = {
    IMU_GYRO_RANGE(125, 4.375e-3f, 0x02), IMU_GYRO_RANGE(250, 8.75e-3f, 0x00),
    IMU_GYRO_RANGE(500, 17.5e-3f, 0x04),  IMU_GYRO_RANGE(1000, 35.0e-3f, 0x08),
    IMU_GYRO_RANGE(2000, 70.0e-3f, 0x0C),
};

/* No document gives delays. Taken is that of a second-order Butterworth filter, sqrt(2) / (2 pi f), mean of
 * the accelerometer's (LPF2 off: f is half the rate, DS 9.12) and the gyroscope's (AN, LPF2 cut-off: 1441.8,
 * 1320.7, 1108.1, 295.5, 135.9, 66.8, 33.0, 16.6, 8.3, 4.2 Hz). */
static const uint16_t delays_us[RATES] = {112, 153, 237, 651, 1368, 2765, 5571, 11101, 22202, 44081};

static uint32_t rate_mhz(uint16_t rate)
{
    return ((BASE_RATE << 1 >> rate) + 1u) >> 1;
}

static uint32_t group_delay_us(uint16_t rate)
{
    return delays_us[rate];
}

static const struct imu_step reset_steps[] = {
    {.reg = CTRL3_C, .value = SW_RESET, .wait_ms = 1}, /* AN, reboot and software reset: 50 us */
    {.reg = CTRL3_C, .value = BDU_IF_INC},
    {.reg = CTRL9_XL, .value = I3C_DISABLE},
    {.reg = CTRL1_XL, .value = ODR_104_HZ},
    {.reg = CTRL2_G, .value = ODR_104_HZ, .wait_ms = 70}, /* DS table 2: Ton 35 ms, typical */
};

static uint8_t configure(const struct imu_setup *setup, struct imu_step *steps)
{
    uint8_t code = (uint8_t)(HIGHEST_CODE - setup->rate);
    uint32_t words = 2u * setup->watermark;
    steps[0] = (struct imu_step){.reg = FIFO_CTRL4, .value = FIFO_BYPASS};
    steps[1] =
        (struct imu_step){.reg = CTRL1_XL, .value = (uint8_t)(code << 4 | accel_ranges[setup->accel].bits)};
    steps[2] =
        (struct imu_step){.reg = CTRL2_G, .value = (uint8_t)(code << 4 | gyro_ranges[setup->gyro].bits)};
    steps[3] = (struct imu_step){.reg = FIFO_CTRL1, .value = (uint8_t)words};
    steps[4] = (struct imu_step){.reg = FIFO_CTRL2, .value = (uint8_t)(words >> 8)};
    steps[5] = (struct imu_step){.reg = FIFO_CTRL3, .value = (uint8_t)(code << 4 | code)};
    return 6;
}

static const struct imu_step start_steps[] = {
    {.reg = INT1_CTRL, .value = INT1_FIFO_TH},
    {.reg = FIFO_CTRL4, .value = FIFO_CONTINUOUS},
};
static const struct imu_step stop_steps[] = {{.reg = FIFO_CTRL3, .value = 0}};
static const struct imu_step flush_steps[] = {
    {.reg = FIFO_CTRL4, .value = FIFO_BYPASS}, /* AN, FIFO modes: empties it */
    {.reg = FIFO_CTRL4, .value = FIFO_CONTINUOUS},
};
static const struct imu_script reset = IMU_SCRIPT(reset_steps);
static const struct imu_script start = IMU_SCRIPT(start_steps);
static const struct imu_script stop = IMU_SCRIPT(stop_steps);
static const struct imu_script flush = IMU_SCRIPT(flush_steps);

/* DS 9.38, 9.39 */
static uint16_t level(const uint8_t raw[2])
{
    if ((raw[1] & FIFO_OVERRUN) != 0) {
        return IMU_OVERRUN;
    }
    return (uint16_t)((raw[0] | (raw[1] & 3u) << 8) / 2u);
}

/* DS 9.75: TAG_SENSOR in 7:3, TAG_CNT in 2:1, which counts samples, parity in 0. */
static uint8_t unpack(const uint8_t *frame, uint32_t sample[3])
{
    const uint8_t *gyro = frame;
    const uint8_t *accel = frame + WORD;
    if (gyro[0] >> 3 != TAG_GYRO) { /* no document gives the order within a sample */
        gyro = frame + WORD;
        accel = frame;
    }
    if (gyro[0] >> 3 != TAG_GYRO || accel[0] >> 3 != TAG_ACCEL || ((gyro[0] ^ accel[0]) & 6u) != 0) {
        return IMU_BROKEN;
    }
    uint16_t accel_z;
    uint16_t gyro_x;
    memcpy(&sample[0], accel + 1, 4);
    memcpy(&accel_z, accel + 5, 2);
    memcpy(&gyro_x, gyro + 1, 2);
    memcpy(&sample[2], gyro + 3, 4);
    sample[1] = accel_z | (uint32_t)gyro_x << 16;
    return gyro[0] >> 1 & 3u;
}

/* ---- self-test, AN: each sensor by itself, means of five samples behind the first; limits of DS table 2 */

static const struct imu_step self_test_steps[] = {
    {.reg = FIFO_CTRL4, .value = FIFO_BYPASS},
    {.reg = CTRL2_G, .value = 0},
    {.reg = CTRL1_XL, .value = 0x38, .wait_ms = 100}, /* 52 Hz, +-4 g */
    {.reg = IMU_ACCEL, .value = 5, .kind = IMU_AVERAGE},
    {.reg = CTRL5_C, .value = 0x01, .wait_ms = 100}, /* positive */
    {.reg = IMU_ACCEL, .value = 5, .kind = IMU_AVERAGE_ON},
    {.reg = CTRL1_XL, .value = 0},
    {.reg = CTRL5_C, .value = 0},
    {.reg = CTRL2_G, .value = 0x5C, .wait_ms = 100}, /* 208 Hz, +-2000 deg/s */
    {.reg = IMU_GYRO, .value = 5, .kind = IMU_AVERAGE},
    {.reg = CTRL5_C, .value = 0x04, .wait_ms = 100}, /* positive */
    {.reg = IMU_GYRO, .value = 5, .kind = IMU_AVERAGE_ON},
};

/* STATUS_REG, a reserved one, temperature, gyroscope, accelerometer: DS 9.25 to 9.33 */
static void axes(const uint8_t *burst, int16_t raw[IMU_AXES])
{
    memcpy(raw, burst + 10, 6);
    memcpy(raw + 3, burst + 4, 6);
}

/* In mg and deg/s. */
static void judge(unsigned field, float off, float on, const uint8_t *trim, struct sensor_self_test *result)
{
    (void)trim;
    bool accel = field < 3;
    float response = (on - off) * (accel ? 0.122f : 0.070f);
    result->field[field].response = response < 0.0f ? -response : response;
    result->field[field].low = accel ? 50.0f : 150.0f;
    result->field[field].high = accel ? 1700.0f : 700.0f;
}

static const struct imu_self_test self_test = {
    .script = IMU_SCRIPT(self_test_steps),
    .status_register = STATUS_REG,
    .new_accel = 0x01,
    .new_gyro = 0x02,
    .size = 16,
    .discard = 1,
    .axes = axes,
    .judge = judge,
};

const struct imu_chip lsm6dso = {
    .part = "lsm6dso",
    .streaming = "imu: LSM6DSO is streaming",
    .id_register = WHO_AM_I,
    .id = 0x6C,
    .accel = accel_ranges,
    .gyro = gyro_ranges,
    .accel_count = sizeof accel_ranges / sizeof accel_ranges[0],
    .gyro_count = sizeof gyro_ranges / sizeof gyro_ranges[0],
    /* DS table 4: 256 LSB/degC, 0 at 25 degC; the part works from -40 to 85 degC */
    .temperature = {SENSOR_I16, 1.0f / 256.0f, 25.0f, 85.0f, "temperature", "degC"},
    .rate_count = RATES,
    .rate_mhz = rate_mhz,
    .group_delay_us = group_delay_us,
    .reset = &reset,
    .configure = configure,
    .start = &start,
    .stop = &stop,
    .flush = &flush,
    .edge_each_sample = false,
    .fifo_frames = FIFO_WORDS / 2u,
    .frame_size = 2u * WORD,
    .level_register = FIFO_STATUS1,
    .level = level,
    .fifo_register = FIFO_DATA_OUT,
    .unpack = unpack,
    .slot_mask = IMU_BROKEN | 3u,
    .temperature_register = OUT_TEMP_L,
    .self_test = &self_test,
};
