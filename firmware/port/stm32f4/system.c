/* The chip as a whole: start-up order, identity, reset. */
#include "hal/system.h"

#include "board.h"
#include "clock.h"
#include "gpio.h"
#include "hal/image.h"
#include "hal/noinit.h"
#include "registers.h"

const char hal_image_board[] = BOARD_NAME;

static struct hal_system info;
static struct clocks clocks;

__attribute__((section(".noinit.first"))) static struct hal_noinit noinit;

/* See hal/noinit.h. A symbol of its own, so that an emulator finds it. */
__attribute__((section(".noinit.first"), used)) uint32_t boot_seed;

static enum hal_reset_cause reset_cause(void)
{
    /* A pin flag accompanies every other cause, the brown-out flag a power-on (RM0383 6.3.21). */
    static const struct {
        uint32_t flag;
        enum hal_reset_cause cause;
    } causes[] = {
        {RCC_CSR_LPWRRSTF, HAL_RESET_LOW_POWER}, {RCC_CSR_WWDGRSTF, HAL_RESET_WINDOW_WATCHDOG},
        {RCC_CSR_IWDGRSTF, HAL_RESET_WATCHDOG},  {RCC_CSR_SFTRSTF, HAL_RESET_SOFTWARE},
        {RCC_CSR_PORRSTF, HAL_RESET_POWER_ON},   {RCC_CSR_BORRSTF, HAL_RESET_BROWN_OUT},
        {RCC_CSR_PINRSTF, HAL_RESET_PIN},
    };
    uint32_t csr = RCC->CSR;
    RCC->CSR |= RCC_CSR_RMVF;
    for (size_t i = 0; i < sizeof causes / sizeof causes[0]; i++) {
        if ((csr & causes[i].flag) != 0) {
            return causes[i].cause;
        }
    }
    return HAL_RESET_UNKNOWN;
}

void hal_system_start(void)
{
    clocks = clock_start();
    info = (struct hal_system){
        .board = hal_image_board,
        .clock_hz = clocks.core_hz,
        .emulated = clocks.emulated,
        .clock = clocks.source,
        .tx_dma = !clocks.emulated,
#ifdef BOARD_ROM_BOOTLOADER
        .rom_bootloader = !clocks.emulated,
#endif
        .reset_cause = reset_cause(),
    };
    if (!clocks.emulated) {
        for (size_t i = 0; i < HAL_UID_SIZE; i++) {
            info.uid[i] = (uint8_t)(FACTORY_UID[i / 4] >> (8 * (i % 4)));
        }
    }
#ifdef BOARD_POWER
    gpio_output(BOARD_POWER, false, true);
#endif
}

const struct hal_system *hal_system(void)
{
    return &info;
}

const struct clocks *port_clocks(void)
{
    return &clocks;
}

struct hal_noinit *hal_noinit(void)
{
    return &noinit;
}

uint32_t hal_noinit_seed(void)
{
    return boot_seed;
}

_Noreturn void hal_system_reset(void)
{
    __asm volatile("cpsid i\n\tdsb" ::: "memory");
    SCB->AIRCR = SCB_AIRCR_VECTKEY | SCB_AIRCR_SYSRESETREQ;
    for (;;) {
        __asm volatile("dsb" ::: "memory");
    }
}
