#include "app/buses.h"

#include <stddef.h>

#include "drivers/bus_queue.h"
#include "hal/i2c.h"
#include "hal/irq.h"

static struct {
    struct bus_queue i2c_queue;
    struct bus i2c;
    bool i2c_open;
} buses;

static const struct bus_controller i2c_controller = {
    .start = hal_i2c_start,
    .recover = hal_i2c_recover,
    .lock = hal_irq_save,
    .unlock = hal_irq_restore,
};

void buses_open(void)
{
    buses.i2c_open = hal_i2c_open();
    bus_queue_init(&buses.i2c_queue, buses.i2c_open ? &i2c_controller : NULL);
    buses.i2c = bus_queue_bus(&buses.i2c_queue);
}

const struct bus *buses_i2c(void)
{
    return &buses.i2c;
}

bool buses_i2c_is_open(void)
{
    return buses.i2c_open;
}

uint32_t buses_bits(enum sensor_bus bus)
{
    return bus == SENSOR_BUS_I2C && buses.i2c_open ? hal_i2c_rate() : 0;
}

void buses_poll(uint64_t now_us)
{
    hal_i2c_poll(now_us);
    bus_queue_poll(&buses.i2c_queue);
}
