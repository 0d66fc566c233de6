/* The chips that there are; app/sensors.c has the list of where they are looked for. */
#ifndef DRIVERS_CHIPS_H
#define DRIVERS_CHIPS_H

#include "drivers/imu_chip.h"
#include "drivers/thermometer.h"

extern const struct imu_chip lsm6dso;
extern const struct imu_chip mpu6050;
extern const struct imu_chip mpu6500;

extern const struct thermometer_part tmp117;
extern const struct thermometer_part lm75;

#endif
