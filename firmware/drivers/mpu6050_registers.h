/* Registers of the MPU-6050 that the driver uses: RM-MPU-6000A-00 rev. 4.2, sections 4.x. */
#ifndef DRIVERS_MPU6050_REGISTERS_H
#define DRIVERS_MPU6050_REGISTERS_H

#define MPU6050_ADDRESS 0x68u /* AD0 low */

#define MPU6050_SMPLRT_DIV   0x19u
#define MPU6050_CONFIG       0x1Au /* DLPF_CFG in bits 2:0 */
#define MPU6050_GYRO_CONFIG  0x1Bu
#define MPU6050_ACCEL_CONFIG 0x1Cu
#define MPU6050_INT_PIN_CFG  0x37u
#define MPU6050_INT_ENABLE   0x38u
#define MPU6050_ACCEL_XOUT_H 0x3Bu /* accelerometer 3 x 2, temperature 2, gyroscope 3 x 2; big-endian */
#define MPU6050_PWR_MGMT_1   0x6Bu
#define MPU6050_WHO_AM_I     0x75u

#define MPU6050_FS_SEL_500DPS     (1u << 3)
#define MPU6050_AFS_SEL_4G        (1u << 3)
#define MPU6050_INT_PULSE         0x00u /* active high, push-pull, 50 us */
#define MPU6050_DATA_RDY_EN       0x01u
#define MPU6050_DEVICE_RESET      0x80u
#define MPU6050_CLKSEL_PLL_GYRO_X 0x01u
#define MPU6050_ID                0x68u

#endif
