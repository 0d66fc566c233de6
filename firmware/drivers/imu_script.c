/* Scripts: steps one after the other, each a transfer, from its end to the next; waits end at a poll(). */
#include "drivers/imu_internal.h"

static void give_up(struct imu *imu)
{
    switch (imu->phase) {
    case IMU_VERIFY:
    case IMU_CONFIGURE:
    case IMU_STOP:
    case IMU_START:
        imu_abandon(imu, SENSOR_MISSING,
                    imu->change == SENSOR_CHANGE_PENDING
                        ? "imu: a change of settings failed; configuring it anew"
                        : "imu: no answer while it was configured; check the wires and the power");
        break;
    default:
        imu_abandon(imu, SENSOR_MISSING, "imu: it has stopped answering; check the wires and the power");
        break;
    }
}

static void start_step(struct imu *imu)
{
    const struct imu_step *step = &imu->steps[imu->step];
    bool started;
    if (imu->phase == IMU_VERIFY) {
        started = imu_transfer(imu, IMU_STEP, step->reg, 1, true);
    } else if (step->kind == IMU_WRITE) {
        imu->small[0] = step->value;
        started = imu_transfer(imu, IMU_STEP, step->reg, 1, false);
    } else if (step->kind == IMU_READ_TRIM) {
        started = imu_transfer(imu, IMU_STEP, step->reg, step->value, true);
    } else {
        imu_average_start(imu, step);
        return;
    }
    if (!started) {
        give_up(imu);
    }
}

static void next_step(struct imu *imu)
{
    while (imu->step == imu->step_count) { /* a script may be empty */
        if (!imu_script_ended(imu)) {
            return;
        }
    }
    start_step(imu);
}

void imu_take_script(struct imu *imu, enum imu_phase phase, struct imu_script script)
{
    imu->phase = phase;
    imu->steps = script.steps;
    imu->step_count = script.count;
    imu->step = 0;
    imu->wait_ms = 0;
}

void imu_run_script(struct imu *imu, enum imu_phase phase, struct imu_script script)
{
    imu_take_script(imu, phase, script);
    next_step(imu);
}

static void step_over(struct imu *imu)
{
    imu->wait_ms = imu->phase == IMU_VERIFY ? 0 : imu->steps[imu->step].wait_ms;
    imu->resume_us = 0;
    imu->step++;
    if (imu->wait_ms == 0) {
        next_step(imu);
    }
}

void imu_step_done(struct imu *imu, enum transfer_status status)
{
    if (imu->phase == IMU_ABSENT) {
        return; /* given up meanwhile */
    }
    if (imu->phase == IMU_IDENTIFY) {
        imu_identified(imu, status);
        return;
    }
    if (status != TRANSFER_OK) {
        give_up(imu);
        return;
    }
    const struct imu_step *step = &imu->steps[imu->step];
    if (imu->phase == IMU_VERIFY && imu->small[0] != step->value) {
        imu_abandon(imu, SENSOR_FAILING, "imu: the sensor does not keep its settings");
        return;
    }
    if (imu->phase == IMU_SELF_TEST && step->kind == IMU_READ_TRIM) {
        for (unsigned i = 0; i < step->value; i++) {
            imu->trim[imu->trims++] = imu->small[i];
        }
    } else if (imu->phase == IMU_SELF_TEST && step->kind != IMU_WRITE && !imu_average_done(imu)) {
        return; /* not enough samples yet */
    }
    step_over(imu);
}

void imu_script_poll(struct imu *imu, uint64_t now_us)
{
    if (imu->job != IMU_IDLE) {
        return;
    }
    if (imu->wait_ms != 0) {
        if (imu->resume_us == 0) {
            imu->resume_us = now_us + UINT64_C(1000) * imu->wait_ms;
        } else if (now_us >= imu->resume_us) {
            imu->wait_ms = 0;
            next_step(imu);
        }
    } else if (imu->phase == IMU_SELF_TEST) {
        imu_average(imu);
    } else if (imu->phase == IMU_DRAIN) { /* a transfer could not be started */
        imu_read_level(imu);
    }
}
