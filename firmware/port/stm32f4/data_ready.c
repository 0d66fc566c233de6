// clang-format off
/* Data-ready lines: an EXTI line each, rising edge. RM0383 10.2, RM0090 12.2.
 *
 *     edge -> data_ready_isr (priority 0): count -> time into the line's queue -> PendSV -> hal_data_ready_on_edge
 *                                            |
 *                                         not told
 *
 * The fastest sensor gives an edge each millisecond, and priority 1 never runs for as long as the queue
 * lasts.
 */
// clang-format on
#include "hal/data_ready.h"

#include "board.h"
#include "deferred.h"
#include "gpio.h"
#include "hal/time.h"
#include "nvic.h"
#include "rcc.h"
#include "registers.h"
#include "stall.h"
#include "vectors.h"

#define STAMPS 4u /* a power of two */

static const struct {
    char port;
    uint8_t pin;
} pins[HAL_DATA_READY_LINES] = {
    [HAL_DATA_READY_I2C] = {BOARD_DATA_READY},
    [HAL_DATA_READY_SPI] = {BOARD_DATA_READY_SPI},
};

/* An EXTI line has one pin, of one of the ports. */
#define PIN_OF(...)        PIN_OF_(__VA_ARGS__)
#define PIN_OF_(port, pin) (pin)
_Static_assert(PIN_OF(BOARD_DATA_READY) != PIN_OF(BOARD_DATA_READY_SPI), "two pins of one number");

static struct queue {
    struct {
        uint64_t us;
        uint32_t edge;
    } stamps[STAMPS];
    volatile uint32_t edges;  /* written at priority 0 */
    volatile uint32_t wanted; /* edges from this number on are told; written at priority 1 */
    volatile uint8_t head;    /* written at priority 0; both count on and wrap */
    volatile uint8_t tail;    /* written at priority 1 */
} queues[HAL_DATA_READY_LINES];

static enum irq irq_of(unsigned pin)
{
    if (pin <= 4) {
        return (enum irq)(IRQ_EXTI0 + pin);
    }
    return pin <= 9 ? IRQ_EXTI9_5 : IRQ_EXTI15_10;
}

void hal_data_ready_open(enum hal_data_ready line)
{
    char port = pins[line].port;
    unsigned pin = pins[line].pin;
    gpio_input(port, pin, GPIO_PULL_DOWN); /* an open line is silent */
    rcc_enable(&RCC->APB2ENR, RCC_APB2ENR_SYSCFGEN);
    unsigned shift = 4u * (pin % 4u);
    volatile uint32_t *source = &SYSCFG->EXTICR[pin / 4u];
    *source = (*source & ~(15u << shift)) | (uint32_t)(port - 'A') << shift;
    EXTI->RTSR |= BIT(pin);
    EXTI->PR = BIT(pin);
    EXTI->IMR |= BIT(pin);
    nvic_enable(irq_of(pin), PRIORITY_STAMP);
}

const char *hal_data_ready_pin(enum hal_data_ready line)
{
    static char names[HAL_DATA_READY_LINES][5];
    char *name = names[line];
    unsigned pin = pins[line].pin;
    name[0] = 'P';
    name[1] = pins[line].port;
    name[2] = (char)('0' + (pin < 10 ? pin : pin / 10u));
    name[3] = pin < 10 ? '\0' : (char)('0' + pin % 10u);
    return name;
}

bool hal_data_ready_level(enum hal_data_ready line)
{
    return gpio_read(pins[line].port, pins[line].pin);
}

uint32_t hal_data_ready_edges(enum hal_data_ready line)
{
    return queues[line].edges;
}

void hal_data_ready_skip(enum hal_data_ready line, uint32_t n)
{
    queues[line].wanted = queues[line].edges + n + 1u;
}

static void stamp(struct queue *queue, uint32_t edge)
{
    uint64_t now_us = hal_time_us();
    uint8_t head = queue->head;
    if ((uint8_t)(head - queue->tail) < STAMPS) {
        queue->stamps[head % STAMPS].us = now_us;
        queue->stamps[head % STAMPS].edge = edge;
        __atomic_signal_fence(__ATOMIC_RELEASE); /* whole before it can be seen */
        queue->head = (uint8_t)(head + 1u);
    }
    deferred_pend();
}

void data_ready_isr(void)
{
    uint32_t pending = EXTI->PR;
    for (unsigned line = 0; line < HAL_DATA_READY_LINES; line++) {
        struct queue *queue = &queues[line];
        uint32_t bit = BIT(pins[line].pin);
        if ((pending & bit) != 0) {
            EXTI->PR = bit;
            uint32_t edge = queue->edges + 1u;
            queue->edges = edge;
            if ((int32_t)(edge - queue->wanted) >= 0) {
                stamp(queue, edge);
            }
        }
    }
}

void data_ready_forget(void)
{
    for (unsigned line = 0; line < HAL_DATA_READY_LINES; line++) {
        EXTI->PR = BIT(pins[line].pin);
    }
}

void data_ready_deliver(void)
{
    for (unsigned line = 0; line < HAL_DATA_READY_LINES; line++) {
        struct queue *queue = &queues[line];
        while (queue->tail != queue->head) {
            __atomic_signal_fence(__ATOMIC_ACQUIRE);
            uint64_t edge_us = queue->stamps[queue->tail % STAMPS].us;
            uint32_t edge = queue->stamps[queue->tail % STAMPS].edge;
            __atomic_signal_fence(__ATOMIC_RELEASE); /* read before its place is free */
            queue->tail = (uint8_t)(queue->tail + 1u);
            queue->wanted = edge + 1u; /* moves on with the count, so that it never looks like one to come */
            hal_data_ready_on_edge((enum hal_data_ready)line, edge_us, edge);
        }
    }
}
