/* InvenSense MPU-6050: accelerometer +-4 g, gyroscope +-500 deg/s, at its data-ready interrupt.
 *
 *            poll: 1 s after the last try            all steps done
 *     ABSENT -----------------------> CONFIGURING ------------------> RUNNING
 *       ^                                  |                             |
 *       +---- not acknowledged, wrong -----+---- 10 reads failed, or ----+
 *             identity, wrong read-back          a rate half taken, or no edge for a second (then
 *                                                tried at once: what it answers tells missing
 *                                                from unwired)
 *
 * RUNNING, all in interrupts: edge -> burst of 14 bytes -> done -> samples. Each edge since the
 * sensor first ran is a tick of the index. One that comes while a transfer is under way is lost in the sensor
 * (it has one set of data registers), or with that transfer if it fails; one whose read fails, or that comes
 * while ABSENT or CONFIGURING, is lost on the bus.
 */
#ifndef DRIVERS_MPU6050_H
#define DRIVERS_MPU6050_H

#include "drivers/bus.h"
#include "drivers/sensor.h"

#define MPU6050_STREAMS 2u
enum { MPU6050_IMU = 0, MPU6050_TEMPERATURE = 1 };

enum mpu6050_phase { MPU6050_ABSENT, MPU6050_CONFIGURING, MPU6050_RUNNING };

struct mpu6050 {
    struct sensor sensor; /* first */
    const struct bus *bus;
    const char *data_ready_pin;
    struct sensor_stream streams[MPU6050_STREAMS];

    volatile enum mpu6050_phase phase;
    const char *volatile abandoned; /* why an interrupt has left RUNNING; poll() takes it up */
    enum sensor_state reported;
    const char *said; /* last line for the log */

    /* configuration */
    uint8_t step;
    volatile bool step_over;
    volatile enum transfer_status step_status;
    uint64_t next_step_us;
    uint64_t next_try_us;
    uint8_t registers[4]; /* values of the open step */
    struct transfer configure;

    /* running */
    volatile bool busy; /* a transfer of ours is under way */
    bool has_run;       /* edges count as ticks */
    uint16_t held;      /* ticks that came during the transfer under way */
    uint8_t divider;    /* SMPLRT_DIV */
    uint8_t failures;   /* reads in a row */
    uint16_t until_temperature;
    uint16_t temperature_every;
    volatile uint32_t edges;
    uint32_t edges_seen;
    uint64_t edges_seen_us;
    bool no_edges;    /* it ran without edges and has been configured anew for that */
    uint64_t tick_us; /* edge of the burst under way */
    uint32_t raw[4];  /* the burst */
    struct transfer burst;

    /* change of rate */
    volatile enum sensor_change change_status;
    uint8_t new_divider;
    uint8_t rate_registers[2];
    struct transfer rate_change;
};

/* `first_stream` and the next number are this sensor's. The pin's name goes into a log line. */
void mpu6050_init(struct mpu6050 *imu, const struct bus *bus, const struct sensor_sink *sink,
                  uint8_t first_stream, const char *data_ready_pin);

/* The data-ready edge; interrupt. */
void mpu6050_data_ready(struct mpu6050 *imu, uint64_t now_us);

#endif
