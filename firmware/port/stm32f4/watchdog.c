/* Watchdogs: the tick's, which can say where the program was, and the independent one behind it. */
#include "watchdog.h"

#include "hal/time.h"
#include "hal/watchdog.h"
#include "nvic.h"
#include "registers.h"

/* Counted in ticks, not in time: none comes while an erase of the flash stalls the core. */
#define TICKS_LIMIT (HAL_WATCHDOG_LOOP_US / HAL_TICK_US)

/* RM0383 15, RM0090 21. 900 counts of 32 cycles of LSI: 0.90 s at its nominal 32 kHz, 0.61 s at 47 kHz, 1.69
 * s at 17 kHz (DS10314 table 43). Longer than the tick's limit, and than the erase of a 16 KiB sector behind
 * a feed (0.5 s, DS10314 table 47). */
#define PRESCALER_32 3u
#define RELOAD       899u

static volatile uint32_t ticks_unfed;

void hal_watchdog_start(void)
{
    IWDG->KR = IWDG_KR_START; /* starts LSI, which the register updates below need */
    IWDG->KR = IWDG_KR_ACCESS;
    IWDG->PR = PRESCALER_32;
    IWDG->RLR = RELOAD;
    hal_watchdog_feed();
    nvic_enable(IRQ_WWDG, PRIORITY_STAMP);
}

void hal_watchdog_feed(void)
{
    IWDG->KR = IWDG_KR_FEED;
    ticks_unfed = 0;
}

void watchdog_tick(void)
{
    /* The interrupt of the window watchdog, which is not used, has the tick's priority and the lowest number:
     * it follows upon the tick by tail-chaining (PM0214 2.3.7), so its frame is that of what the tick
     * interrupted. Its vector is the fault handler's. */
    if (++ticks_unfed == TICKS_LIMIT) {
        nvic_pend(IRQ_WWDG);
    }
}
