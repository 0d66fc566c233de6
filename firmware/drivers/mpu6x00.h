/* What the MPU-6050 and the MPU-6500 have in common: RM-MPU-6000A-00 rev. 4.2 (RM), RM-MPU-6500A-00 rev. 2.1.
 */
#ifndef DRIVERS_MPU6X00_H
#define DRIVERS_MPU6X00_H

#include "drivers/imu_chip.h"

#define MPU6X00_SMPLRT_DIV   0x19u
#define MPU6X00_CONFIG       0x1Au /* DLPF_CFG in bits 2:0 */
#define MPU6X00_GYRO_CONFIG  0x1Bu
#define MPU6X00_ACCEL_CONFIG 0x1Cu
#define MPU6X00_FIFO_EN      0x23u
#define MPU6X00_INT_PIN_CFG  0x37u
#define MPU6X00_INT_ENABLE   0x38u
#define MPU6X00_INT_STATUS   0x3Au
#define MPU6X00_USER_CTRL    0x6Au
#define MPU6X00_PWR_MGMT_1   0x6Bu
#define MPU6X00_FIFO_COUNT_H 0x72u
#define MPU6X00_FIFO_R_W     0x74u
#define MPU6X00_WHO_AM_I     0x75u

#define MPU6X00_DEVICE_RESET      0x80u
#define MPU6X00_CLKSEL_PLL_GYRO_X 0x01u
#define MPU6X00_INT_PULSE         0x00u /* active high, push-pull, 50 us */
#define MPU6X00_DATA_RDY          0x01u
#define MPU6X00_USER_FIFO_EN      0x40u
#define MPU6X00_USER_FIFO_RESET   0x04u /* acts while FIFO_EN is 0: RM 4.27 */
#define MPU6X00_FIFO_ALL          0xF8u /* temperature, gyroscope x y z, accelerometer: RM 4.6 */
#define MPU6X00_SELF_TEST_XYZ     0xE0u /* in GYRO_CONFIG and ACCEL_CONFIG */

#define MPU6X00_FRAME                                                                                        \
    14u /* RM 4.31, in the order of the registers: accelerometer, temperature, gyroscope                     \
         */
#define MPU6X00_RATES       256u
#define MPU6X00_RANGES      4u
#define MPU6X00_SELF_TEST_N 200u /* samples of a mean */

extern const struct imu_range mpu6x00_accel_ranges[MPU6X00_RANGES];
extern const struct imu_range mpu6x00_gyro_ranges[MPU6X00_RANGES];
extern const struct imu_script mpu6x00_reset;
extern const struct imu_script mpu6x00_start;
extern const struct imu_script mpu6x00_stop;
extern const struct imu_script mpu6x00_flush;

/* Number of the filter, DLPF_CFG 1 to 6, for a rate: the widest whose bandwidth is not above half the rate,
 * so that little folds back (below 10 Hz the narrowest, 5 Hz, is still too wide). */
uint8_t mpu6x00_filter(uint16_t rate);
uint32_t mpu6x00_rate_mhz(uint16_t rate);
uint8_t mpu6x00_configure(const struct imu_setup *setup, struct imu_step *steps); /* four steps */
uint8_t mpu6x00_unpack(const uint8_t *frame, uint32_t sample[3]);
int16_t mpu6x00_frame_temperature(const uint8_t *frame);
void mpu6x00_axes(const uint8_t *burst, int16_t raw[IMU_AXES]);
float mpu6x00_power(float base, unsigned exponent);

/* Data ready and all data registers in one burst: RM 4.16 to 4.19. */
#define MPU6X00_SELF_TEST_BURST                                                                              \
    .status_register = MPU6X00_INT_STATUS, .new_accel = MPU6X00_DATA_RDY, .new_gyro = MPU6X00_DATA_RDY,      \
    .size = 15, .discard = 1, .axes = mpu6x00_axes

#endif
