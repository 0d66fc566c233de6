/* Clock gates. A peripheral answers only some cycles of its bus after its clock was enabled: a write that
 * comes too early is lost (ES0182 and ES0287, "Delay after an RCC peripheral clock enabling"). Of the
 * remedies named there the barrier is the one to rely on: on an STM32F407 a write right behind the dummy read
 * was still lost (ST community, "suggested workaround fails to work", 2023). */
#ifndef PORT_RCC_H
#define PORT_RCC_H

#include "registers.h"

/* rcc_enable(&RCC->AHB1ENR, RCC_AHB1ENR_DMA1EN) */
static inline void rcc_enable(volatile uint32_t *enable_register, uint32_t bits)
{
    *enable_register |= bits;
    (void)*enable_register;
    __asm volatile("dsb" ::: "memory");
}

/* Resets a peripheral: rcc_pulse(&RCC->APB1RSTR, RCC_APB1RSTR_SPI2RST) */
static inline void rcc_pulse(volatile uint32_t *reset_register, uint32_t bits)
{
    *reset_register |= bits;
    *reset_register &= ~bits;
    (void)*reset_register;
    __asm volatile("dsb" ::: "memory");
}

#endif
