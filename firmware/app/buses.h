/* The sensor buses of this board, each with its queue. */
#ifndef APP_BUSES_H
#define APP_BUSES_H

#include <stdbool.h>

#include "drivers/bus.h"
#include "drivers/sensor.h"

/* Opens them. Main loop, once. */
void buses_open(void);

/* I2C; its start() refuses everything where there is none. */
const struct bus *buses_i2c(void);
bool buses_i2c_is_open(void);

/* SPI, likewise. */
const struct bus *buses_spi(void);
bool buses_spi_is_open(void);

/* Bits that a bus carries in a second; 0 where there is none. */
uint32_t buses_bits(enum sensor_bus bus);

/* Ends what takes too long, recovers what is held. Main loop, at each tick. */
void buses_poll(uint64_t now_us);

#endif
