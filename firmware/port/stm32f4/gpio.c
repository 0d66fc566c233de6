#include "gpio.h"

#include "rcc.h"
#include "registers.h"

enum { MODE_INPUT = 0, MODE_OUTPUT = 1, MODE_ALTERNATE = 2 };
enum { SPEED_FAST = 2, SPEED_HIGH = 3 };

static struct gpio *gpio_of(char port)
{
    return GPIO(port - 'A');
}

static uint32_t with_field(uint32_t value, unsigned pin, uint32_t field)
{
    return (value & ~(3u << (2u * pin))) | field << (2u * pin);
}

static void set_mode(char port, unsigned pin, uint32_t mode, bool open_drain, enum gpio_pull pull)
{
    rcc_enable(&RCC->AHB1ENR, BIT(port - 'A'));
    struct gpio *gpio = gpio_of(port);
    gpio->OTYPER = open_drain ? gpio->OTYPER | BIT(pin) : gpio->OTYPER & ~BIT(pin);
    gpio->OSPEEDR = with_field(gpio->OSPEEDR, pin, mode == MODE_INPUT ? 0u : SPEED_FAST);
    gpio->PUPDR = with_field(gpio->PUPDR, pin, (uint32_t)pull);
    gpio->MODER = with_field(gpio->MODER, pin, mode);
}

void gpio_input(char port, unsigned pin, enum gpio_pull pull)
{
    set_mode(port, pin, MODE_INPUT, false, pull);
}

void gpio_output(char port, unsigned pin, bool open_drain, bool high)
{
    enum gpio_pull pull = open_drain ? GPIO_PULL_UP : GPIO_FLOATING; /* a bus need not have its own */
    rcc_enable(&RCC->AHB1ENR, BIT(port - 'A'));
    gpio_write(port, pin, high);
    set_mode(port, pin, MODE_OUTPUT, open_drain, pull);
}

void gpio_alternate(char port, unsigned pin, unsigned function, bool open_drain, enum gpio_pull pull)
{
    rcc_enable(&RCC->AHB1ENR, BIT(port - 'A'));
    volatile uint32_t *afr = pin < 8 ? &gpio_of(port)->AFRL : &gpio_of(port)->AFRH;
    unsigned shift = 4u * (pin % 8u);
    *afr = (*afr & ~(15u << shift)) | (uint32_t)function << shift;
    set_mode(port, pin, MODE_ALTERNATE, open_drain, pull);
}

void gpio_quickest(char port, unsigned pin)
{
    gpio_of(port)->OSPEEDR = with_field(gpio_of(port)->OSPEEDR, pin, SPEED_HIGH);
}

void gpio_write(char port, unsigned pin, bool high)
{
    gpio_of(port)->BSRR = high ? BIT(pin) : BIT(pin + 16u);
}

bool gpio_read(char port, unsigned pin)
{
    return (gpio_of(port)->IDR & BIT(pin)) != 0;
}
