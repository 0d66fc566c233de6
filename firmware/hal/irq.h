/* Critical sections, and the main loop's sleep.
 *
 * Priorities, all set by the port (0 is the most urgent):
 *
 *     0  stamps: SysTick advances the clock, a data-ready edge or the end of what the host sent is given its
 *        time. Nothing but hal_time_us() and hal_wait() masks these, for a few instructions.
 *     1  what the stamps leave to PendSV (the application's tick, the data-ready edges), sensor buses
 *     2  UART
 *     3  ADC
 *     -  main loop
 *
 * Those of one priority do not interrupt one another: they share state without locks.
 */
#ifndef HAL_IRQ_H
#define HAL_IRQ_H

#include <stdint.h>

/* What an interrupt tells the main loop. */
enum hal_event {
    HAL_EVENT_TICK = 1u << 0,    /* the system tick, each HAL_TICK_US */
    HAL_EVENT_RX = 1u << 1,      /* bytes came in */
    HAL_EVENT_TX = 1u << 2,      /* a block has left, or the line has drained */
    HAL_EVENT_SAMPLES = 1u << 3, /* a batch of samples is closed */
};

/* Masks all but the stamps (priority 0) and returns the state to hand to hal_irq_restore(). Any context,
 * nests. Keep it to microseconds. */
uint32_t hal_irq_save(void);
void hal_irq_restore(uint32_t state);

/* Makes the next hal_wait() return with these bits. Any context. */
void hal_post(uint32_t new_events);

/* Sleeps until at least one event is posted; returns and clears those posted. Main loop only. An event that
 * is posted between the caller's last look and the sleep is not lost: the check and the sleep happen with
 * interrupts masked. */
uint32_t hal_wait(void);

/* Processor cycles spent asleep in hal_wait() since boot, modulo 2^32. Main loop only. */
uint32_t hal_cycles_asleep(void);

#endif
