/* Pins. A pin is a port letter and a number, as in board.h: gpio_alternate(BOARD_UART_TX, 7). */
#ifndef PORT_GPIO_H
#define PORT_GPIO_H

#include <stdbool.h>

enum gpio_pull { GPIO_FLOATING = 0, GPIO_PULL_UP = 1, GPIO_PULL_DOWN = 2 };

void gpio_input(char port, unsigned pin, enum gpio_pull pull);

/* An open-drain output has the pull-up on. */
void gpio_output(char port, unsigned pin, bool open_drain, bool high);

/* To a peripheral, by its alternate function number. */
void gpio_alternate(char port, unsigned pin, unsigned function, bool open_drain, enum gpio_pull pull);

/* The quickest edges that a pin can make. */
void gpio_quickest(char port, unsigned pin);

void gpio_write(char port, unsigned pin, bool high);
bool gpio_read(char port, unsigned pin);

#endif
