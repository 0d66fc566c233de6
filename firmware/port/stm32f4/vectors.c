/* Vector table, PM0214 2.3.4 and RM0383 table 37 / RM0090 table 62. Each board uses one UART, one SPI
 * and two EXTI lines: the vectors of all candidates lead to the same handler, and only those in use are
 * enabled. An exception without a handler is a fault; that of the window watchdog is pended by the tick
 * (watchdog.c). */
#include "vectors.h"

#include "registers.h"

typedef void (*vector)(void);

extern uint32_t stack_end[];

struct vector_table {
    const uint32_t *initial_sp;
    vector exceptions[15];
    vector interrupts[IRQ_COUNT];
};

__attribute__((section(".vectors"), used)) const struct vector_table vector_table = {
    .initial_sp = stack_end,
    .exceptions =
        {
            [0] = Reset_Handler,
            [1 ... 12] = fault_isr,
            [13] = pendsv_isr,
            [14] = systick_isr,
        },
    .interrupts =
        {
            [0 ... 5] = fault_isr,
            [IRQ_EXTI0... IRQ_EXTI4] = data_ready_isr,
            [IRQ_DMA1_STREAM0] = i2c_dma_isr,
            [12 ... 13] = fault_isr,
            [IRQ_DMA1_STREAM3] = spi_dma_isr,
            [15] = fault_isr,
            [IRQ_DMA1_STREAM5] = uart_rx_dma_isr,
            [IRQ_DMA1_STREAM6] = uart_tx_dma_isr,
            [IRQ_ADC] = adc_isr,
            [19 ... 22] = fault_isr,
            [IRQ_EXTI9_5] = data_ready_isr,
            [24 ... 30] = fault_isr,
            [IRQ_I2C1_EV] = i2c_event_isr,
            [IRQ_I2C1_ER] = i2c_error_isr,
            [33 ... 36] = fault_isr,
            [IRQ_USART1... IRQ_USART2] = uart_isr,
            [39] = fault_isr,
            [IRQ_EXTI15_10] = data_ready_isr,
            [41 ... 55] = fault_isr,
            [IRQ_DMA2_STREAM0] = spi_dma_isr,
            [IRQ_DMA2_STREAM1] = uart_rx_dma_isr,
            [58 ... 67] = fault_isr,
            [IRQ_DMA2_STREAM5] = uart_rx_dma_isr,
            [IRQ_DMA2_STREAM6... IRQ_DMA2_STREAM7] = uart_tx_dma_isr,
            [IRQ_USART6] = uart_isr,
            [72 ... IRQ_COUNT - 1] = fault_isr,
        },
};
