/* Interrupt controller and masks of the core: priorities of this port (hal/irq.h tells what they mean). */
#ifndef PORT_NVIC_H
#define PORT_NVIC_H

#include "registers.h"

enum { PRIORITY_STAMP = 0, PRIORITY_BUS = 1, PRIORITY_UART = 2, PRIORITY_ADC = 3 };

/* An STM32F4 has four priority bits, the upper ones of the byte (PM0214 4.3.7, 4.4.8). */
#define PRIORITY_BITS(priority) ((uint8_t)((priority) << 4))

static inline void nvic_enable(enum irq irq, uint8_t priority)
{
    NVIC->IPR[irq] = PRIORITY_BITS(priority);
    NVIC->ISER[irq / 32] = BIT(irq % 32);
}

static inline void nvic_pend(enum irq irq)
{
    NVIC->ISPR[irq / 32] = BIT(irq % 32);
}

/* A system exception: 14 PendSV, 15 SysTick. */
static inline void nvic_system_priority(unsigned exception, uint8_t priority)
{
    SCB->SHPR[exception - 4u] = PRIORITY_BITS(priority);
}

/* Masks the stamps too: for a few instructions, or an edge is stamped late. */
static inline uint32_t primask_save(void)
{
    uint32_t state;
    __asm volatile("mrs %0, primask\n\tcpsid i" : "=r"(state)::"memory");
    return state;
}

static inline void primask_restore(uint32_t state)
{
    __asm volatile("msr primask, %0" ::"r"(state) : "memory");
}

#endif
