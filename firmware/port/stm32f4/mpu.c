// clang-format off
/* Memory protection unit, PM0214 4.2. Region by region, a later one over an earlier one; the rest is as
 * without it (PRIVDEFENA), and so is everything inside HardFault (no HFNMIENA).
 *
 *     0x00000000  128 MiB  nothing    NULL read, written or called. The alias of the flash: code runs at
 *                                     0x08000000, and so do the vectors (VTOR; its reads are not checked)
 *     0x1FFF8000   32 KiB  nothing    the guard below the stack, which lies lowest in RAM: it costs no RAM,
 *                                     and no frame can jump over it (-Wframe-larger-than). Of what is there
 *                                     nothing is used: option bytes; the factory's words lie below
 *     0x08000000    1 MiB  read, run  flash
 *     0x08004000   32 KiB  read,      the two sectors of the configuration, which hal/nvstore.h programs:
 *                          write      four of the eight parts of a 64 KiB region
 *     0x20000000  512 MiB  read,      RAM and its bit-band alias: nothing there is code
 *                          write
 *
 * Attributes as PM0214 4.2.4 recommends: flash write-through, RAM also shareable. */
// clang-format on
#include "mpu.h"

#include <stddef.h>

#include "registers.h"

/* SIZE of a region of 2^n bytes (PM0214 4.2.9) */
#define SIZE(n) (((n) - 1u) << MPU_RASR_SIZE_Pos | MPU_RASR_ENABLE)

static const struct {
    uint32_t address;
    uint32_t attributes;
} regions[] = {
    {0x00000000u, SIZE(27u) | MPU_RASR_XN},
    {0x1FFF8000u, SIZE(15u) | MPU_RASR_XN},
    {0x08000000u, SIZE(20u) | MPU_RASR_AP_READ | MPU_RASR_C},
    {0x08000000u, SIZE(16u) | MPU_RASR_AP_FULL | MPU_RASR_C | MPU_RASR_XN | 0xC3u << MPU_RASR_SRD_Pos},
    {0x20000000u, SIZE(29u) | MPU_RASR_AP_FULL | MPU_RASR_C | MPU_RASR_S | MPU_RASR_XN},
};

void mpu_start(void)
{
    for (uint32_t i = 0; i < sizeof regions / sizeof regions[0]; i++) {
        MPU->RNR = i;
        MPU->RBAR = regions[i].address;
        MPU->RASR = regions[i].attributes;
    }
    MPU->CTRL = MPU_CTRL_PRIVDEFENA | MPU_CTRL_ENABLE;
    __asm volatile("dsb\n\tisb" ::: "memory"); /* PM0214 4.2.3: in force from the next instruction on */
}
