/* The chip as a whole: clocks, identity, reset. */
#ifndef HAL_SYSTEM_H
#define HAL_SYSTEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HAL_UID_SIZE 12u

/* As the flags of the reset controller say; when several are set the most specific. */
enum hal_reset_cause {
    HAL_RESET_UNKNOWN,
    HAL_RESET_POWER_ON,
    HAL_RESET_BROWN_OUT,
    HAL_RESET_PIN,
    HAL_RESET_SOFTWARE,
    HAL_RESET_WATCHDOG,
    HAL_RESET_WINDOW_WATCHDOG,
    HAL_RESET_LOW_POWER,
};

/* Where the core's clock comes from. */
enum hal_clock {
    HAL_CLOCK_EXTERNAL, /* external oscillator and PLL */
    HAL_CLOCK_INTERNAL, /* the external oscillator does not start, or the PLL does not lock to it: the
                           internal one, 1 % at 25 degC, and the PLL; the rates are the same */
    HAL_CLOCK_NO_PLL,   /* no PLL locks either: the internal oscillator's 16 MHz, which make 115,200 baud, not
                           921,600 */
};

struct hal_system {
    const char *board;
    uint32_t clock_hz; /* core */
    bool emulated;     /* an emulator without clock tree, DMA, I2C and ADC: see docs/decisions */
    enum hal_clock clock;
    bool tx_dma;
    bool rom_bootloader; /* the chip's ROM has one, and it listens on the UART of this board */
    enum hal_reset_cause reset_cause;
    uint8_t uid[HAL_UID_SIZE]; /* zero where there is none */
};

/* Brings up clock tree, power and pins, and finds out the rest. Main loop, first call of all, once. */
void hal_system_start(void);

/* Valid after hal_system_start(). */
const struct hal_system *hal_system(void);

/* Resets the chip at once. Any context. */
_Noreturn void hal_system_reset(void);

/* Resets the chip into the bootloader of its ROM, which stays until the next reset. Any context; only where
 * hal_system()->rom_bootloader says that there is one. */
_Noreturn void hal_system_enter_bootloader(void);

/* A hash of the RAM as it was at start-up, before anything wrote to it. */
uint32_t hal_system_ram_hash(void);

/* Bytes of the stack that have never been used since boot. Main loop; reads the unused part. */
size_t hal_system_stack_free(void);

#endif
