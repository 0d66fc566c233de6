/* NUCLEO-F411RE (ST UM1724): the ST-LINK gives the clock (its MCO, 8 MHz) and carries the UART over USB. */
#ifndef BOARD_H
#define BOARD_H

#define BOARD_NAME "nucleo_f411re"

/* clocks: 8 MHz / 4 * 96 / 2 = 96 MHz, so that 400 kHz and 921,600 baud divide well */
#define BOARD_HSE_HZ     8000000u
#define BOARD_HSE_BYPASS 1
#define BOARD_PLL_M      4u
#define BOARD_PLL_N      96u
#define BOARD_PLL_P      2u
#define BOARD_PLL_Q      4u
#define BOARD_CLOCK_HZ   96000000u
#define BOARD_APB1_DIV   2u
#define BOARD_APB2_DIV   1u
#define BOARD_FLASH_WAIT 3u /* 90 < HCLK <= 100 MHz at 2.7 to 3.6 V: RM0383 table 5 */

/* pins: port letter, number */
#define BOARD_UART           2 /* USART2 */
#define BOARD_UART_TX        'A', 2
#define BOARD_UART_RX        'A', 3
#define BOARD_I2C_SCL        'B', 8 /* D15 */
#define BOARD_I2C_SDA        'B', 9 /* D14 */
#define BOARD_SPI            1
#define BOARD_SPI_SCK        'A', 5 /* D13 */
#define BOARD_SPI_MISO       'A', 6 /* D12 */
#define BOARD_SPI_MOSI       'A', 7 /* D11 */
#define BOARD_SPI_CS         'B', 6 /* D10 */
#define BOARD_DATA_READY     'B', 0 /* A3; of the sensor on I2C */
#define BOARD_DATA_READY_SPI 'C', 7 /* D9; of the sensor on SPI */

/* ADC channel of the temperature sensor, datasheet DS10314 */
#define BOARD_ADC_TEMPERATURE 18u

#endif
