/* What the files of the core share: imu.c (life cycle), imu_settings.c (what the application asks and sets),
 * imu_script.c (steps), imu_fifo.c (acquisition), imu_describe.c (descriptors), imu_self_test.c. Interrupts,
 * or interrupts masked, unless stated. */
#ifndef DRIVERS_IMU_INTERNAL_H
#define DRIVERS_IMU_INTERNAL_H

#include "drivers/imu.h"

static inline uint32_t imu_lock(const struct imu *imu)
{
    return imu->port->bus->lock(imu->port->bus->handle);
}

static inline void imu_unlock(const struct imu *imu, uint32_t state)
{
    imu->port->bus->unlock(imu->port->bus->handle, state);
}

/* ---- imu.c */
void imu_poll(struct sensor *sensor, uint64_t now_us); /* main loop */
void imu_abandon(struct imu *imu, enum sensor_state state, const char *why);
bool imu_script_ended(struct imu *imu); /* true: the next one has been taken */
void imu_identified(struct imu *imu, enum transfer_status status);
void imu_drained(struct imu *imu);
WARN_UNUSED bool imu_start_change(struct imu *imu); /* false: none is waiting */

/* ---- imu_settings.c; main loop */
extern const struct sensor_ops imu_ops;
/* Everything for a setup, so that interrupts need only go through it. `rate` is one of the chip's: the wanted
 * one, or one that had to be lowered. */
void imu_prepare(struct imu *imu, const struct imu_wanted *wanted, uint16_t rate);
/* The same for a part that has come, at the highest rate up to the wanted one that fits; it becomes that of
 * the setup at once. */
void imu_prepare_found(struct imu *imu);

/* ---- imu_script.c */
void imu_take_script(struct imu *imu, enum imu_phase phase, struct imu_script script);
void imu_run_script(struct imu *imu, enum imu_phase phase, struct imu_script script);
void imu_step_done(struct imu *imu, enum transfer_status status);
void imu_script_poll(struct imu *imu, uint64_t now_us);

/* ---- imu_fifo.c */
WARN_UNUSED bool imu_transfer(struct imu *imu, enum imu_job job, uint8_t reg, uint16_t size, bool read);
void imu_begin(struct imu *imu); /* the FIFO is empty and filling */
void imu_read_level(struct imu *imu);
void imu_proceed(struct imu *imu);
/* Main loop, masked: a line that is high behind an edge that nobody saw. */
void imu_check_line(struct imu *imu);
void imu_lose(struct imu *imu, uint32_t ticks, enum sensor_loss cause);
void imu_transfer_done(void *context, enum transfer_status status);
/* Ticks that the line shows while nothing can be read. */
void imu_lose_by_time(struct imu *imu, uint64_t now_us);

/* ---- imu_describe.c; main loop */
struct imu_setup imu_setup_for(const struct imu_chip *chip, const struct imu_wanted *wanted, uint16_t rate);
void imu_streams_at(const struct sensor *sensor, uint8_t which, uint32_t rate_mhz,
                    struct sensor_stream *streams);
struct sensor_reading imu_reading(const struct sensor *sensor, uint8_t which, uint32_t rate_mhz);
uint16_t imu_nearest_rate(const struct imu_chip *chip, uint32_t wanted_mhz);
void imu_describe(struct imu *imu, const struct imu_chip *chip, const struct imu_port *port,
                  const struct imu_setup *setup);
/* Puts what was described in force and says so where it differs. Also from an interrupt. */
void imu_take_description(struct imu *imu);

/* ---- imu_self_test.c */
void imu_average(struct imu *imu); /* starts a look at the data registers, if the script is at one */
void imu_average_start(struct imu *imu, const struct imu_step *step);
WARN_UNUSED bool imu_average_done(struct imu *imu); /* that was the last */
void imu_judge(struct imu *imu);                    /* main loop */

#endif
