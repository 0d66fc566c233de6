#include "drivers/imu_clock.h"

#define WINDOW_US  250000u
#define LIMIT_US   (1u << 20) /* a span of this fills 32 bits in units of the period */
#define DOUBTS_MAX 3u         /* in a row; then it is the prediction that is wrong */
#define TOLERANCE  8u         /* 1/8: no sensor's oscillator is further off; that is not its period */

void imu_clock_start(struct imu_clock *clock, uint32_t rate_mhz, bool keep_error)
{
    uint32_t nominal = (uint32_t)((1000000000ull << IMU_CLOCK_SHIFT) / rate_mhz);
    uint32_t period = keep_error ? (uint32_t)((uint64_t)clock->period * nominal / clock->nominal) : nominal;
    *clock = (struct imu_clock){.nominal = nominal, .period = period};
}

uint32_t imu_clock_ticks(const struct imu_clock *clock, uint64_t us)
{
    if (us < clock->mark.us) {
        return 0;
    }
    uint64_t span_us = us - clock->mark.us;
    if (span_us < LIMIT_US / 2u) {
        return (((uint32_t)span_us << IMU_CLOCK_SHIFT) + clock->period / 2u) / clock->period;
    }
    return (uint32_t)(((span_us << IMU_CLOCK_SHIFT) + clock->period / 2u) / clock->period);
}

void imu_clock_edge(struct imu_clock *clock, uint64_t us)
{
    uint32_t ticks = imu_clock_ticks(clock, us);
    if (ticks == 0 && clock->marked) { /* noise, or the edge of a tick whose time was predicted */
        clock->doubted = 0;
        return;
    }
    uint64_t span_us = us - clock->mark.us;
    if (!clock->marked || span_us >= LIMIT_US / 2u) { /* too far to predict */
        imu_clock_mark(clock, clock->mark.tick + ticks, us);
        return;
    }
    int32_t off = (int32_t)(((uint32_t)span_us << IMU_CLOCK_SHIFT) - ticks * clock->period);
    int32_t tolerance = (int32_t)(clock->period / TOLERANCE);
    bool far = off > tolerance || off < -tolerance;
    clock->doubted = far && clock->doubted < DOUBTS_MAX ? (uint8_t)(clock->doubted + 1u) : 0;
    if (clock->doubted != 0) {
        if (off < 0 && --ticks == 0) { /* noise between two ticks: the second has not been yet */
            return;
        }
        us = imu_clock_time(clock, clock->mark.tick + ticks) >> IMU_CLOCK_SHIFT;
    }
    imu_clock_mark(clock, clock->mark.tick + ticks, us);
}

void imu_clock_measure(struct imu_clock *clock)
{
    uint64_t span_us = clock->mark.us - clock->old.us;
    uint32_t ticks = clock->mark.tick - clock->old.tick;
    if (!clock->marked || span_us >= LIMIT_US) { /* the first, or the first behind a pause */
        clock->marked = true;
        clock->old = clock->young = clock->mark;
        return;
    }
    if (ticks != 0) {
        uint32_t period = (((uint32_t)span_us << IMU_CLOCK_SHIFT) + ticks / 2u) / ticks;
        if (period - (clock->nominal - clock->nominal / TOLERANCE) <= clock->nominal / TOLERANCE * 2u) {
            clock->period = period;
        }
    }
    if (clock->mark.us - clock->young.us >= WINDOW_US) {
        clock->old = clock->young;
        clock->young = clock->mark;
    }
}

void imu_clock_shift(struct imu_clock *clock, uint32_t by)
{
    clock->mark.tick += by;
    clock->young.tick += by;
    clock->old.tick += by;
}

uint64_t imu_clock_time(const struct imu_clock *clock, uint32_t tick)
{
    int32_t ticks = (int32_t)(tick - clock->mark.tick);
    return (clock->mark.us << IMU_CLOCK_SHIFT) + (uint64_t)((int64_t)ticks * clock->period);
}

bool imu_clock_is_settled(const struct imu_clock *clock)
{
    return clock->marked && clock->mark.us - clock->old.us >= WINDOW_US;
}

uint32_t imu_clock_rate_mhz(const struct imu_clock *clock)
{
    uint64_t span_us = clock->mark.us - clock->old.us;
    if (!imu_clock_is_settled(clock)) {
        return 0;
    }
    return (uint32_t)((clock->mark.tick - clock->old.tick) * 1000000000ull / span_us);
}
