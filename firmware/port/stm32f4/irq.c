/* Critical sections, deferred work and sleep. */
#include "hal/irq.h"

#include "deferred.h"
#include "nvic.h"
#include "registers.h"
#include "vectors.h"

static volatile uint32_t events;
static uint32_t cycles_asleep;

uint32_t hal_irq_save(void)
{
    /* A write that raises the priority takes effect at once, without a barrier (ARMv7-M ARM, B5.2.3). */
    uint32_t state;
    __asm volatile("mrs %0, basepri\n\tmsr basepri, %1"
                   : "=&r"(state)
                   : "r"((uint32_t)PRIORITY_BITS(PRIORITY_BUS))
                   : "memory");
    return state;
}

void hal_irq_restore(uint32_t state)
{
    __asm volatile("msr basepri, %0" ::"r"(state) : "memory");
}

void hal_post(uint32_t new_events)
{
    (void)__atomic_fetch_or(&events, new_events,
                            __ATOMIC_RELAXED); /* against priority 0, which nothing masks */
}

void pendsv_isr(void)
{
    data_ready_deliver();
    time_deliver();
}

uint32_t hal_wait(void)
{
    /* WFI with interrupts masked still wakes on a pending one, which runs after the unmask: nothing can come
     * between the check and the sleep. The system timer goes on while the core sleeps, so it also tells for
     * how long. A tick wakes the core, so it wraps at most once a sleep. */
    uint32_t period = SYSTICK->LOAD + 1u;
    uint32_t asleep = cycles_asleep;
    uint32_t found;
    for (;;) {
        __asm volatile("cpsid i" ::: "memory");
        found = events;
        if (found != 0) {
            break;
        }
        uint32_t before = SYSTICK->VAL;
        __asm volatile("dsb\n\twfi" ::: "memory");
        uint32_t slept = before - SYSTICK->VAL;
        asleep += slept <= before ? slept : slept + period;
        __asm volatile("cpsie i" ::: "memory");
        __asm volatile("isb" ::: "memory"); /* the pending interrupt runs here */
    }
    events = 0;
    __asm volatile("cpsie i" ::: "memory");
    cycles_asleep = asleep;
    return found;
}

uint32_t hal_cycles_asleep(void)
{
    return cycles_asleep;
}
