/* Netduino Plus 2 (STM32F405RG). Header names and the power switch as in the board definition of MicroPython
 * (ports/stm32/boards/NETDUINO_PLUS_2: pins.csv, mpconfigboard.h, board_init.c). Also a machine of QEMU. */
#ifndef BOARD_H
#define BOARD_H

#define BOARD_NAME "netduinoplus2"

/* clocks: 25 MHz / 25 * 336 / 2 = 168 MHz */
#define BOARD_HSE_HZ     25000000u
#define BOARD_HSE_BYPASS 0
#define BOARD_PLL_M      25u
#define BOARD_PLL_N      336u
#define BOARD_PLL_P      2u
#define BOARD_PLL_Q      7u
#define BOARD_CLOCK_HZ   168000000u
#define BOARD_APB1_DIV   4u
#define BOARD_APB2_DIV   2u
#define BOARD_FLASH_WAIT 5u /* 150 < HCLK <= 168 MHz at 2.7 to 3.6 V: RM0090 table 10 */

/* pins: port letter, number */
#define BOARD_UART           6      /* USART6 */
#define BOARD_UART_TX        'C', 6 /* D1 */
#define BOARD_UART_RX        'C', 7 /* D0 */
#define BOARD_I2C_SCL        'B', 6 /* SC */
#define BOARD_I2C_SDA        'B', 7 /* SD */
#define BOARD_SPI            2
#define BOARD_SPI_SCK        'B', 13 /* D13 */
#define BOARD_SPI_MISO       'B', 14 /* D12 */
#define BOARD_SPI_MOSI       'B', 15 /* D11 */
#define BOARD_SPI_CS         'B', 10 /* D10 */
#define BOARD_DATA_READY     'A', 0  /* D8; of the sensor on I2C */
#define BOARD_DATA_READY_SPI 'A', 6  /* D9; of the sensor on SPI */
#define BOARD_POWER          'B', 2  /* high: 3.3 V and 5 V on the header */

/* ADC channel of the temperature sensor, datasheet DS8626 */
#define BOARD_ADC_TEMPERATURE 16u

#endif
