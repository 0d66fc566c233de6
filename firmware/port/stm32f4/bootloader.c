/* Into the ROM's bootloader by way of a reset: only that puts every peripheral where the ROM expects it.
 *
 *     hal_system_enter_bootloader(): mark -> reset -> bootloader_enter_if_asked(): unmark -> ROM
 *
 * The mark is taken back before the jump, so it counts once: the next reset, whatever its cause, starts the
 * firmware. */
#include "bootloader.h"

#include "hal/system.h"
#include "rcc.h"
#include "registers.h"

#define SYSTEM_MEMORY 0x1FFF0000u /* RM0383 table 3, RM0090 table 5 */

/* Two words that RAM has by chance once in 2^64 power-ons, at a place of their own in RAM: see stm32f4.ld. */
#define MARK 0xB0075E1Fu
__attribute__((section(".noinit"))) static volatile uint32_t mark[2];

void bootloader_enter_if_asked(void)
{
    if (mark[0] != MARK || mark[1] != ~MARK) {
        return;
    }
    mark[0] = 0;
    mark[1] = 0;
    /* Its vectors are fetched from address 0, where flash is after a reset with BOOT0 low (RM0383 7.2.1). */
    rcc_enable(&RCC->APB2ENR, RCC_APB2ENR_SYSCFGEN);
    SYSCFG->MEMRMP = SYSCFG_MEMRMP_SYSTEM;
    __asm volatile("dsb\n\tisb" ::: "memory");
    const volatile uint32_t *vectors = (const volatile uint32_t *)SYSTEM_MEMORY;
    uint32_t sp = vectors[0];
    uint32_t entry = vectors[1];
    /* one piece: between the two the compiler has no stack */
    __asm volatile("msr msp, %0\n\tbx %1" ::"r"(sp), "r"(entry));
    __builtin_unreachable();
}

#define SWITCH_READS 1000u /* bound; the switch takes some cycles of the slower clock */

void bootloader_clean_up(void)
{
    RCC->CR |= RCC_CR_HSION;
    RCC->CFGR = 0;
    for (uint32_t reads = 0; (RCC->CFGR & RCC_CFGR_SWS) != 0 && reads < SWITCH_READS; reads++) {
    }
    RCC->CR &= ~(RCC_CR_PLLON | RCC_CR_HSEON);
    volatile uint32_t *resets[] = {&RCC->AHB1RSTR, &RCC->APB1RSTR, &RCC->APB2RSTR};
    for (size_t i = 0; i < sizeof resets / sizeof resets[0]; i++) {
        *resets[i] = UINT32_MAX;
        *resets[i] = 0;
    }
}

_Noreturn void hal_system_enter_bootloader(void)
{
    mark[0] = MARK;
    mark[1] = ~MARK;
    hal_system_reset();
}
