// clang-format off
/* The sample clock of a sensor against the board's: numbers its ticks, measures its period.
 *
 *     old --------- 0.25 s or more -------- young ------ up to 0.25 s ------ mark
 *
 *     period = (mark - old) / ticks
 *
 * A mark is a tick whose time is known, to the microsecond. Sensor's interrupts, or interrupts masked.
 */
// clang-format on
#ifndef DRIVERS_IMU_CLOCK_H
#define DRIVERS_IMU_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define IMU_CLOCK_SHIFT 12u /* periods are in 1/4096 us: up to 1 s */

struct imu_mark {
    uint32_t tick;
    uint64_t us;
};

struct imu_clock {
    uint32_t nominal;
    uint32_t period;
    bool marked;
    uint8_t doubted;      /* edges in a row that were too far off to tell a time */
    struct imu_mark mark; /* the latest */
    struct imu_mark young;
    struct imu_mark old;
};

/* Starts with the nominal period, or, if there is one, with what was measured at another nominal rate. */
void imu_clock_start(struct imu_clock *clock, uint32_t rate_mhz, bool keep_error);

/* Ticks from the mark to a time behind it, rounded; 0 before it. */
uint32_t imu_clock_ticks(const struct imu_clock *clock, uint64_t us);

/* Another mark; measure() takes it into account. */
static inline void imu_clock_mark(struct imu_clock *clock, uint32_t tick, uint64_t us)
{
    clock->mark.tick = tick;
    clock->mark.us = us;
}

/* An edge where each sample has one. Its tick goes by time: noise is none, and an edge that was missed is
 * one. One that is more than 1/8 of a period off tells that the tick before it has been, whose time is the
 * predicted one; the fourth in a row is believed. */
void imu_clock_edge(struct imu_clock *clock, uint64_t us);

/* Works the period out anew from the mark. */
void imu_clock_measure(struct imu_clock *clock);

/* Numbers the ticks anew: what was tick n is n + by. */
void imu_clock_shift(struct imu_clock *clock, uint32_t by);

/* Time of a tick, in 1/4096 us. */
uint64_t imu_clock_time(const struct imu_clock *clock, uint32_t tick);

/* The period has been measured over a quarter second or more: time tells ticks apart far ahead. */
bool imu_clock_is_settled(const struct imu_clock *clock);

/* The measured rate; 0 before the clock is settled. */
uint32_t imu_clock_rate_mhz(const struct imu_clock *clock);

#endif
