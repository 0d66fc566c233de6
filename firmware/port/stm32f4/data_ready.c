/* Data-ready line: one EXTI line, rising edge. RM0383 10.2, RM0090 12.2. */
#include "hal/data_ready.h"

#include "board.h"
#include "gpio.h"
#include "hal/time.h"
#include "nvic.h"
#include "rcc.h"
#include "registers.h"
#include "vectors.h"

static const struct {
    char port;
    unsigned pin;
} line = {BOARD_DATA_READY};

static enum irq irq_of(unsigned pin)
{
    if (pin <= 4) {
        return (enum irq)(IRQ_EXTI0 + pin);
    }
    return pin <= 9 ? IRQ_EXTI9_5 : IRQ_EXTI15_10;
}

void hal_data_ready_open(void)
{
    gpio_input(line.port, line.pin, GPIO_PULL_DOWN); /* an open line is silent */
    rcc_enable(&RCC->APB2ENR, RCC_APB2ENR_SYSCFGEN);
    unsigned shift = 4u * (line.pin % 4u);
    volatile uint32_t *source = &SYSCFG->EXTICR[line.pin / 4u];
    *source = (*source & ~(15u << shift)) | (uint32_t)(line.port - 'A') << shift;
    EXTI->RTSR |= BIT(line.pin);
    EXTI->PR = BIT(line.pin);
    EXTI->IMR |= BIT(line.pin);
    nvic_enable(irq_of(line.pin), PRIORITY_SENSOR);
}

const char *hal_data_ready_pin(void)
{
    static char name[5];
    name[0] = 'P';
    name[1] = line.port;
    name[2] = (char)('0' + (line.pin < 10 ? line.pin : line.pin / 10u));
    name[3] = line.pin < 10 ? '\0' : (char)('0' + line.pin % 10u);
    return name;
}

void data_ready_isr(void)
{
    uint64_t now_us = hal_time_us();
    EXTI->PR = BIT(line.pin);
    hal_data_ready_on_edge(now_us);
}
