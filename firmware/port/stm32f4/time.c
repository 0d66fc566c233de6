/* The microsecond clock: ticks of SysTick times HAL_TICK_US, plus what has passed of the running tick.
 *
 *     VAL   N-1 ... 2  1  0 | N-1 ...        counts down; becomes 0 at the wrap, which pends the interrupt
 *     base  ------- b -------|--- b + 1 tick    advanced by the handler
 *
 * A reader with interrupts masked may find the wrap done and the handler not run: PENDSTSET tells. SysTick
 * has priority 0, so nobody can come between its start and the moment it has advanced the base. PendSV tells
 * the application.
 */
#include "hal/time.h"

#include "deferred.h"
#include "hal/irq.h"
#include "hal/system.h"
#include "nvic.h"
#include "registers.h"
#include "stall.h"
#include "vectors.h"
#include "watchdog.h"

#define WRAP_MARGIN 200u /* cycles */

static struct {
    volatile uint64_t base_us;
    uint64_t told_us; /* the last tick that the application knows of */
    uint32_t cycles_per_tick;
    uint32_t cycles_per_us;
} clock;

void hal_time_start(void)
{
    clock.cycles_per_us = hal_system()->clock_hz / 1000000u;
    clock.cycles_per_tick = clock.cycles_per_us * HAL_TICK_US;
    nvic_system_priority(14, PRIORITY_BUS);   /* PendSV */
    nvic_system_priority(15, PRIORITY_STAMP); /* SysTick */
    SYSTICK->LOAD = clock.cycles_per_tick - 1u;
    SYSTICK->VAL = 0;
    SYSTICK->CTRL = SYSTICK_CTRL_ENABLE | SYSTICK_CTRL_TICKINT | SYSTICK_CTRL_CLKSOURCE;
}

uint64_t hal_time_us(void)
{
    uint32_t state = primask_save();
    uint64_t now_us = clock.base_us;
    uint32_t left = SYSTICK->VAL;
    if ((SCB->ICSR & SCB_ICSR_PENDSTSET) != 0) {
        left = SYSTICK->VAL; /* surely read after the wrap */
        now_us += HAL_TICK_US;
    }
    primask_restore(state);
    uint32_t passed = left == 0 ? 0 : clock.cycles_per_tick - left;
    return now_us + passed / clock.cycles_per_us;
}

void systick_isr(void)
{
    clock.base_us += HAL_TICK_US;
    watchdog_tick();
    deferred_pend();
}

/* Cycles of a tick that have passed, taken well away from the wrap: there is time left for a look at its
 * pending bit. */
static uint32_t phase(void)
{
    uint32_t left = SYSTICK->VAL;
    for (uint32_t reads = 0; left < WRAP_MARGIN && reads < WRAP_MARGIN; reads++) {
        left = SYSTICK->VAL;
    }
    return clock.cycles_per_tick - left;
}

void stall_begin(struct stall *stall)
{
    DCB->DEMCR |= DCB_DEMCR_TRCENA;
    DWT->CTRL |= DWT_CTRL_CYCCNTENA;
    stall->phase = phase();
    stall->cycle = DWT->CYCCNT;
    stall->owed = (SCB->ICSR & SCB_ICSR_PENDSTSET) != 0 ? 1 : 0;
}

uint32_t stall_end(const struct stall *stall)
{
    uint32_t now = phase();
    uint32_t passed = DWT->CYCCNT - stall->cycle;
    uint32_t ticks = (stall->phase + passed - now + clock.cycles_per_tick / 2u) / clock.cycles_per_tick;
    uint32_t owed = stall->owed + ticks;
    if (owed > 1) { /* SysTick pends once, however often it wrapped: that one adds the last of them */
        clock.base_us += (uint64_t)(owed - 1u) * HAL_TICK_US;
    }
    return passed / clock.cycles_per_us;
}

void time_deliver(void)
{
    uint32_t state = primask_save();
    uint64_t base_us = clock.base_us;
    primask_restore(state);
    while (clock.told_us != base_us) { /* each of them: who counts ticks misses none */
        clock.told_us += HAL_TICK_US;
        hal_post(HAL_EVENT_TICK);
        hal_time_on_tick(clock.told_us);
    }
}
