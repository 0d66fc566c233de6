/* WeAct Black Pill with STM32F411CE: 25 MHz crystal, no USB-to-serial bridge of its own. */
#ifndef BOARD_H
#define BOARD_H

#define BOARD_NAME "blackpill_f411ce"

/* clocks: 25 MHz / 25 * 192 / 2 = 96 MHz */
#define BOARD_HSE_HZ     25000000u
#define BOARD_HSE_BYPASS 0
#define BOARD_PLL_M      25u
#define BOARD_PLL_N      192u
#define BOARD_PLL_P      2u
#define BOARD_PLL_Q      4u
#define BOARD_CLOCK_HZ   96000000u
#define BOARD_APB1_DIV   2u
#define BOARD_APB2_DIV   1u
#define BOARD_FLASH_WAIT 3u /* 90 < HCLK <= 100 MHz at 2.7 to 3.6 V: RM0383 table 5 */

/* pins: port letter, number */
#define BOARD_UART           1 /* USART1 */
#define BOARD_UART_TX        'A', 9
#define BOARD_UART_RX        'A', 10
#define BOARD_ROM_BOOTLOADER 1 /* the ROM listens on these pins: AN2606, STM32F411xx */
#define BOARD_I2C_SCL        'B', 6
#define BOARD_I2C_SDA        'B', 7
#define BOARD_SPI            2 /* SPI2: the pins of SPI1 go to the footprint of a flash */
#define BOARD_SPI_SCK        'B', 13
#define BOARD_SPI_MISO       'B', 14
#define BOARD_SPI_MOSI       'B', 15
#define BOARD_SPI_CS         'B', 12
#define BOARD_DATA_READY     'B', 0 /* of the sensor on I2C */
#define BOARD_DATA_READY_SPI 'B', 1 /* of the sensor on SPI */

/* ADC channel of the temperature sensor, datasheet DS10314 */
#define BOARD_ADC_TEMPERATURE 18u

#endif
