/* Clock tree, and the emulator verdict. RM0383 6.2, RM0090 7.2.
 *
 *     HSE -> PLL -> core      not ready, or no lock:  HSI -> PLL -> core      no lock:  HSI -> core
 */
#include "clock.h"

#include "board.h"
#include "rcc.h"
#include "registers.h"

#define HSI_HZ            16000000u
#define EMULATOR_CLOCK_HZ 168000000u /* QEMU's netduinoplus2, whatever RCC says */

/* Regulator scale 1, which more than 84 (F411) or 144 MHz (F405) needs: 11 on the F411; on the F405, the only
 * one above 100 MHz, bit 14 alone: its bit 15 is reserved (RM0383 5.4.1, RM0090 5.4.1). */
#define VOS_SCALE_1 (BOARD_CLOCK_HZ > 100000000u ? PWR_CR_VOS_0 : PWR_CR_VOS)

/* Bounds of the waits, in reads of the register (3 cycles or more each at 16 MHz). HSI and PLL are ready
 * after 4 us and 300 us, a crystal after some milliseconds (DS10314 6.3.8 to 6.3.11, DS8626 5.3.8 to 5.3.11).
 */
#define READY_READS     10000u
#define HSE_READY_READS 200000u

static bool wait_for(volatile uint32_t *reg, uint32_t mask, uint32_t value, uint32_t reads)
{
    while (reads-- != 0) {
        if ((*reg & mask) == value) {
            return true;
        }
    }
    return false;
}

static uint32_t ppre(uint32_t divider)
{
    return divider == 1 ? RCC_CFGR_PPRE_DIV1 : divider == 2 ? RCC_CFGR_PPRE_DIV2 : RCC_CFGR_PPRE_DIV4;
}

/* VCO input 1 or 2 MHz; from HSI the same VCO rate by way of 1 MHz. PLLCFGR can be written only while the PLL
 * is off (RM0383 6.3.2). */
static bool start_pll(bool external)
{
    uint32_t m = BOARD_PLL_M;
    uint32_t n = BOARD_PLL_N;
    uint32_t source = RCC_PLLCFGR_PLLSRC;
    if (!external) {
        m = HSI_HZ / 1000000u;
        n = BOARD_HSE_HZ / BOARD_PLL_M * BOARD_PLL_N / 1000000u;
        source = 0;
    }
    RCC->CR &= ~RCC_CR_PLLON;
    if (!wait_for(&RCC->CR, RCC_CR_PLLRDY, 0, READY_READS)) {
        return false;
    }
    RCC->PLLCFGR = m | n << 6 | (BOARD_PLL_P / 2u - 1u) << 16 | source | BOARD_PLL_Q << 24;
    RCC->CR |= RCC_CR_PLLON;
    /* the regulator goes to its scale when the PLL is on (RM0383 5.4.1) */
    return wait_for(&RCC->CR, RCC_CR_PLLRDY, RCC_CR_PLLRDY, READY_READS) &&
           wait_for(&PWR->CSR, PWR_CSR_VOSRDY, PWR_CSR_VOSRDY, READY_READS);
}

static bool start_hse(void)
{
    RCC->CR |= BOARD_HSE_BYPASS ? RCC_CR_HSEBYP : 0u; /* while the oscillator is off: RM0383 6.3.1 */
    RCC->CR |= RCC_CR_HSEON;
    return wait_for(&RCC->CR, RCC_CR_HSERDY, RCC_CR_HSERDY, HSE_READY_READS);
}

/* Wait states first, read back (RM0383 3.4.1). No prefetch: revision A of the F405 cannot (ES0182), and the
 * caches hide the wait states. */
static void set_wait_states(uint32_t n)
{
    FLASH->ACR = FLASH_ACR_ICEN | FLASH_ACR_DCEN | n;
    (void)FLASH->ACR;
}

static bool switch_to_pll(void)
{
    set_wait_states(BOARD_FLASH_WAIT);
    RCC->CFGR |= RCC_CFGR_SW_PLL;
    return wait_for(&RCC->CFGR, RCC_CFGR_SWS, RCC_CFGR_SWS_PLL, READY_READS);
}

/* HSI, which runs since reset, as it is. */
static void stay_on_hsi(void)
{
    RCC->CFGR = 0;
    RCC->CR &= ~RCC_CR_PLLON;
    set_wait_states(0); /* up to 30 MHz: RM0383 table 5, RM0090 table 10 */
}

struct clocks clock_start(void)
{
    struct clocks clocks = {
        .core_hz = EMULATOR_CLOCK_HZ,
        .apb1_hz = EMULATOR_CLOCK_HZ / BOARD_APB1_DIV,
        .apb2_hz = EMULATOR_CLOCK_HZ / BOARD_APB2_DIV,
    };

    /* The internal oscillator runs already: its ready flag cannot stay away on silicon. */
    RCC->CR |= RCC_CR_HSION;
    if (!wait_for(&RCC->CR, RCC_CR_HSIRDY, RCC_CR_HSIRDY, READY_READS)) {
        clocks.emulated = true;
        return clocks;
    }

    rcc_enable(&RCC->APB1ENR, RCC_APB1ENR_PWREN);
    PWR->CR |= VOS_SCALE_1;
    /* long before the switch: in force after up to 16 cycles (RM0383 6.3.3) */
    RCC->CFGR = ppre(BOARD_APB1_DIV) << RCC_CFGR_PPRE1_Pos | ppre(BOARD_APB2_DIV) << RCC_CFGR_PPRE2_Pos;
    bool locked = start_hse() && start_pll(true);
    if (!locked) {
        clocks.source = HAL_CLOCK_INTERNAL;
        RCC->CR &= ~RCC_CR_HSEON;
        locked = start_pll(false);
    }
    if (locked && switch_to_pll()) {
        clocks.core_hz = BOARD_CLOCK_HZ;
        clocks.apb1_hz = BOARD_CLOCK_HZ / BOARD_APB1_DIV;
        clocks.apb2_hz = BOARD_CLOCK_HZ / BOARD_APB2_DIV;
        return clocks;
    }
    stay_on_hsi();
    clocks.source = HAL_CLOCK_NO_PLL;
    clocks.core_hz = clocks.apb1_hz = clocks.apb2_hz = HSI_HZ;
    return clocks;
}
