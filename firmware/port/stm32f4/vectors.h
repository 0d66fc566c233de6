/* Entry points of the vector table; each is defined in the file of its peripheral. */
#ifndef PORT_VECTORS_H
#define PORT_VECTORS_H

_Noreturn void Reset_Handler(void);
void fault_isr(void);
void pendsv_isr(void);
void systick_isr(void);
void data_ready_isr(void);
void i2c_event_isr(void);
void i2c_error_isr(void);
void i2c_dma_isr(void);
void spi_dma_isr(void);
void uart_isr(void);
void uart_rx_dma_isr(void);
void uart_tx_dma_isr(void);
void adc_isr(void);

#endif
