/* What a chip file says about an inertial sensor: constant tables and a few small functions. The core, imu.c,
 * does the rest. docs/adding-a-sensor.md goes through one.
 */
#ifndef DRIVERS_IMU_CHIP_H
#define DRIVERS_IMU_CHIP_H

#include "drivers/sensor.h"

#define IMU_AXES      6u /* accelerometer x y z, gyroscope x y z */
#define IMU_STEPS_MAX 16u
#define IMU_TRIMS_MAX 8u

#define IMU_STANDARD_GRAVITY 9.80665f
#define IMU_RAD_PER_DEG      0.017453292519943295f
#define IMU_MAX_OF(a, b)     ((a) > (b) ? (a) : (b))

/* A full-scale range; tables list them from the smallest to the largest. */
struct imu_range {
    float full_scale; /* SI */
    float scale;      /* SI per LSB */
    uint8_t bits;     /* of its register */
};
#define IMU_ACCEL_RANGE(g, lsb_g, register_bits)                                                             \
    {(float)(g) * IMU_STANDARD_GRAVITY, (float)(lsb_g) * IMU_STANDARD_GRAVITY, (register_bits)}
#define IMU_GYRO_RANGE(dps, lsb_dps, register_bits)                                                          \
    {(float)(dps) * IMU_RAD_PER_DEG, (float)(lsb_dps) * IMU_RAD_PER_DEG, (register_bits)}

/* What a chip can be set to. */
struct imu_setup {
    uint16_t rate;      /* number of a rate; 0 is the highest */
    uint16_t watermark; /* samples from one reading of the FIFO to the next */
    uint8_t accel;      /* numbers of ranges */
    uint8_t gyro;
};

enum imu_step_kind {
    IMU_WRITE,
    IMU_READ_TRIM, /* factory trim: `value` registers from `reg` on */
    IMU_AVERAGE,   /* self-test: `value` samples of the fields in `reg`, with the actuators off */
    IMU_AVERAGE_ON /* the same, with the actuators on */
};
#define IMU_ACCEL 0x07u /* bits of fields */
#define IMU_GYRO  0x38u

struct imu_step {
    uint8_t reg;
    uint8_t value;
    uint16_t wait_ms; /* at least, before the next one */
    enum imu_step_kind kind;
};

struct imu_script {
    const struct imu_step *steps;
    uint8_t count;
};
#define IMU_SCRIPT(table) {(table), sizeof(table) / sizeof((table)[0])}

/* The data registers, as the self-test reads them. */
struct imu_self_test {
    struct imu_script script;
    uint8_t status_register; /* data follow it in one burst */
    uint8_t new_accel;       /* bits of it that are set when there is a new sample */
    uint8_t new_gyro;
    uint8_t size;    /* bytes of the burst */
    uint8_t discard; /* samples that are left out before those that count */
    void (*axes)(const uint8_t *burst, int16_t raw[IMU_AXES]);
    /* Response of a field and its limits, from the means with the actuators off and on. */
    void (*judge)(unsigned field, float off, float on, const uint8_t trim[IMU_TRIMS_MAX],
                  struct sensor_self_test *result);
};

#define IMU_OVERRUN UINT16_MAX
#define IMU_BROKEN  0x80u /* a frame that does not hold one sample */

struct imu_chip {
    const char *part;      /* for the descriptor */
    const char *streaming; /* for the log */
    uint8_t id_register;
    uint8_t id;

    const struct imu_range *accel;
    const struct imu_range *gyro;
    uint8_t accel_count;
    uint8_t gyro_count;
    struct sensor_field temperature;
    uint16_t rate_count;
    uint32_t (*rate_mhz)(uint16_t rate);
    uint32_t (*group_delay_us)(uint16_t rate); /* mean of the accelerometer's and the gyroscope's */

    const struct imu_script *reset; /* to the power-on state, awake */
    uint8_t (*configure)(const struct imu_setup *setup, struct imu_step *steps); /* read back afterwards */
    const struct imu_script *start;                                              /* FIFO empty and filling */
    const struct imu_script *stop;  /* nothing goes into the FIFO, what is in it stays */
    const struct imu_script *flush; /* empties it; it goes on filling */

    /* Data-ready: an edge each sample, or one when the FIFO holds setup.watermark samples, the line staying
     * high until it holds less. */
    bool edge_each_sample;
    uint16_t fifo_frames;
    uint8_t frame_size;
    uint8_t level_register;                  /* two bytes: */
    uint16_t (*level)(const uint8_t raw[2]); /* complete frames, or IMU_OVERRUN */
    uint8_t fifo_register;
    /* Fills a sample (accelerometer x y z, gyroscope x y z, int16, little-endian) and returns the low bits of
     * the chip's count of samples, or IMU_BROKEN. slot_mask: IMU_BROKEN and the bits that there are. */
    uint8_t (*unpack)(const uint8_t *frame, uint32_t sample[3]);
    uint8_t slot_mask;
    /* Temperature: in a frame, or (NULL) in two registers, low byte first. */
    int16_t (*frame_temperature)(const uint8_t *frame);
    uint8_t temperature_register;

    const struct imu_self_test *self_test;
};

#endif
