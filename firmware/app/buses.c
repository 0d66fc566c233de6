#include "app/buses.h"

#include <stddef.h>

#include "drivers/bus_queue.h"
#include "hal/i2c.h"
#include "hal/irq.h"
#include "hal/spi.h"

static struct {
    struct bus_queue i2c_queue;
    struct bus i2c;
    bool i2c_open;
    struct bus_queue spi_queue;
    struct bus spi;
    bool spi_open;
} buses;

static const struct bus_controller i2c_controller = {
    .start = hal_i2c_start,
    .recover = hal_i2c_recover,
    .lock = hal_irq_save,
    .unlock = hal_irq_restore,
};

static const struct bus_controller spi_controller = {
    .start = hal_spi_start,
    .lock = hal_irq_save,
    .unlock = hal_irq_restore,
};

void buses_open(void)
{
    buses.i2c_open = hal_i2c_open();
    bus_queue_init(&buses.i2c_queue, buses.i2c_open ? &i2c_controller : NULL);
    buses.i2c = bus_queue_bus(&buses.i2c_queue);
    buses.spi_open = hal_spi_open();
    bus_queue_init(&buses.spi_queue, buses.spi_open ? &spi_controller : NULL);
    buses.spi = bus_queue_bus(&buses.spi_queue);
}

const struct bus *buses_i2c(void)
{
    return &buses.i2c;
}

bool buses_i2c_is_open(void)
{
    return buses.i2c_open;
}

const struct bus *buses_spi(void)
{
    return &buses.spi;
}

bool buses_spi_is_open(void)
{
    return buses.spi_open;
}

uint32_t buses_bits(enum sensor_bus bus)
{
    if (bus == SENSOR_BUS_SPI) {
        return buses.spi_open ? hal_spi_rate() : 0;
    }
    return bus == SENSOR_BUS_I2C && buses.i2c_open ? hal_i2c_rate() : 0;
}

void buses_poll(uint64_t now_us)
{
    hal_i2c_poll(now_us);
    bus_queue_poll(&buses.i2c_queue);
    hal_spi_poll(now_us);
    bus_queue_poll(&buses.spi_queue);
}
