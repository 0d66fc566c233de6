/* Interrupt controller: priorities of this port (hal/irq.h tells what they mean). */
#ifndef PORT_NVIC_H
#define PORT_NVIC_H

#include "registers.h"

enum { PRIORITY_SENSOR = 0, PRIORITY_UART = 1, PRIORITY_ADC = 2 };

/* An STM32F4 has four priority bits, the upper ones of the byte (PM0214 4.3.7). */
static inline void nvic_enable(enum irq irq, uint8_t priority)
{
    NVIC->IPR[irq] = (uint8_t)(priority << 4);
    NVIC->ISER[irq / 32] = BIT(irq % 32);
}

static inline void nvic_pend(enum irq irq)
{
    NVIC->ISPR[irq / 32] = BIT(irq % 32);
}

#endif
