/* Self-test: means of the data registers with the actuators off and on, then the chip file's verdict. */
#include "drivers/imu_internal.h"

#define LOOKS_MAX 400u /* at least one each poll(): 4 s; 5 samples at 52 Hz take 0.1 s */

static bool averaging(const struct imu *imu)
{
    return imu->phase == IMU_SELF_TEST && imu->wait_ms == 0 && imu->step < imu->step_count &&
           imu->steps[imu->step].kind >= IMU_AVERAGE;
}

void imu_average(struct imu *imu)
{
    if (imu->job != IMU_IDLE || !averaging(imu)) {
        return;
    }
    if (imu->looks_left == 0) {
        imu_abandon(imu, SENSOR_FAILING, "imu: no new samples in the self-test");
        return;
    }
    imu->looks_left--;
    const struct imu_self_test *test = imu->chip->self_test;
    bool started = imu_transfer(imu, IMU_STEP, test->status_register, test->size, true);
    (void)started; /* the next poll() tries again */
}

void imu_average_start(struct imu *imu, const struct imu_step *step)
{
    bool on = step->kind == IMU_AVERAGE_ON;
    imu->samples_left = step->value;
    imu->discard_left = imu->chip->self_test->discard;
    imu->looks_left = LOOKS_MAX;
    for (unsigned field = 0; field < IMU_AXES; field++) {
        if ((step->reg & 1u << field) != 0) {
            imu->sums[on][field] = 0;
            imu->sum_counts[on][field] = step->value;
        }
    }
}

bool imu_average_done(struct imu *imu)
{
    const struct imu_self_test *test = imu->chip->self_test;
    const struct imu_step *step = &imu->steps[imu->step];
    uint8_t fresh = (uint8_t)(((step->reg & IMU_ACCEL) != 0 ? test->new_accel : 0u) |
                              ((step->reg & IMU_GYRO) != 0 ? test->new_gyro : 0u));
    if ((imu->small[0] & fresh) != fresh) {
        return false;
    }
    if (imu->discard_left != 0) {
        imu->discard_left--;
        return false;
    }
    int16_t raw[IMU_AXES];
    test->axes(imu->small, raw);
    for (unsigned field = 0; field < IMU_AXES; field++) {
        if ((step->reg & 1u << field) != 0) {
            imu->sums[step->kind == IMU_AVERAGE_ON][field] += raw[field];
        }
    }
    return --imu->samples_left == 0;
}

void imu_judge(struct imu *imu)
{
    struct sensor_self_test *result = &imu->result;
    *result = (struct sensor_self_test){.passed = true, .count = IMU_AXES};
    for (unsigned field = 0; field < IMU_AXES; field++) {
        float off = (float)imu->sums[0][field] / (float)imu->sum_counts[0][field];
        float on = (float)imu->sums[1][field] / (float)imu->sum_counts[1][field];
        imu->chip->self_test->judge(field, off, on, imu->trim, result);
        float response = result->field[field].response;
        bool within = response >= result->field[field].low && response <= result->field[field].high;
        result->passed = result->passed && within;
    }
}
