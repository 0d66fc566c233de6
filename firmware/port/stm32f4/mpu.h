/* Memory protection: what the program may do where. */
#ifndef PORT_MPU_H
#define PORT_MPU_H

/* Switches the regions of mpu.c on. Start-up, once, when RAM is set up. */
void mpu_start(void);

#endif
