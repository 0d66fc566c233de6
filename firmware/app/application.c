#include "app/application.h"

#include "app/boot.h"
#include "app/buses.h"
#include "app/commands.h"
#include "app/configuration.h"
#include "app/fit.h"
#include "app/health.h"
#include "app/line.h"
#include "app/log.h"
#include "app/mcu_temp.h"
#include "app/receiver.h"
#include "app/sensors.h"
#include "app/streams.h"
#include "app/telemetry.h"
#include "hal/adc.h"
#include "hal/data_ready.h"
#include "hal/fault.h"
#include "hal/i2c.h"
#include "hal/irq.h"
#include "hal/system.h"
#include "hal/time.h"
#include "hal/uart.h"
#include "hal/watchdog.h"

#define BAUD           921600u
#define BAUD_NO_PLL    115200u /* SPEC.md, "Line" */
#define DRAIN_LIMIT_US 200000u /* the longest that a reset waits for the line */

static struct {
    struct log log;
    struct streams streams;
    bool adc_open;
    struct mcu_temp mcu_temp;
    struct receiver receiver;
    bool heard; /* there may be a frame in what was received */
    struct line line;
    struct telemetry telemetry;
    struct commands commands;
    struct configuration configuration;
    struct fit fit;
    struct health health;
    struct identity identity;
    uint64_t reset_by_us; /* 0: none wanted */
} app;

static const struct health_sources sources = {
    .receiver = &app.receiver,
    .line = &app.line,
    .commands = &app.commands,
    .mcu_temp = &app.mcu_temp,
    .log = &app.log,
    .streams = &app.streams,
    .telemetry = &app.telemetry,
};

static void sensor_log(void *context, enum sensor_log_level level, const char *text)
{
    (void)context;
    log_add(&app.log, hal_time_us(), (enum tp_log_level)level, text);
}

static bool sensor_fits(void *context, const struct sensor *sensor, const struct sensor_stream *next)
{
    (void)context;
    return fit_allows(&app.fit, sensor, next, app.line.baud, hal_time_us());
}

/* ---- start */

void application_start_system(void)
{
    hal_system_start();
    hal_time_start();
    hal_watchdog_start();
    log_init(&app.log);
    if (hal_system()->emulated) {
        log_add(&app.log, 0, TP_LOG_LEVEL_WARNING, "no clock tree here, so an emulator: no DMA, I2C or ADC");
    }
    if (hal_system()->clock == HAL_CLOCK_INTERNAL) {
        log_add(&app.log, 0, TP_LOG_LEVEL_ERROR,
                "the external oscillator does not start: running from the internal one, 1 %");
    } else if (hal_system()->clock == HAL_CLOCK_NO_PLL) {
        log_add(&app.log, 0, TP_LOG_LEVEL_ERROR,
                "the PLL does not lock: running at 16 MHz, the line at 115,200 baud");
    }
}

void application_start_identity(void)
{
    app.adc_open = hal_adc_open();
    app.identity.boot_id = boot_next_id();
    hal_fault_start(app.identity.boot_id);
    app.identity.reset_cause = boot_reset_cause();
}

void application_start_line(void)
{
    receiver_init(&app.receiver);
    uint32_t baud = hal_system()->clock == HAL_CLOCK_NO_PLL ? BAUD_NO_PLL : BAUD;
    app.identity.baud = hal_uart_open(baud, app.receiver.bytes, sizeof app.receiver.bytes);
    ASSERT(app.identity.baud != 0); /* every board's clock can make it */
    app.receiver.baud = app.identity.baud;
    line_init(&app.line, app.identity.baud, TELEMETRY_REST);
}

static uint32_t clock_flags(void)
{
    switch (hal_system()->clock) {
    case HAL_CLOCK_INTERNAL:
        return TP_CAPABILITIES_INTERNAL_OSCILLATOR;
    case HAL_CLOCK_NO_PLL:
        return TP_CAPABILITIES_INTERNAL_OSCILLATOR | TP_CAPABILITIES_NO_PLL;
    default:
        return 0;
    }
}

void application_start_sensors(void)
{
    buses_open();
    mcu_temp_init(&app.mcu_temp, sensors_sink(&app.streams, sensor_log, sensor_fits), STREAM_MCU_TEMP,
                  app.adc_open);
    sensors_start(&app.streams, app.identity.boot_id & 7u, &app.mcu_temp.sensor);
    fit_init(&app.fit, &app.streams, &app.log, app.identity.baud);
    configuration_init(&app.configuration, &app.streams, &app.log, app.identity.baud);
    app.identity.capabilities =
        TP_CAPABILITIES_BAUD_CHANGE | (hal_system()->tx_dma ? TP_CAPABILITIES_TX_DMA : 0u) |
        (app.configuration.store.usable ? TP_CAPABILITIES_STORED_CONFIGURATION : 0u) |
        (buses_i2c_is_open() ? TP_CAPABILITIES_SENSOR_BUS : 0u) |
        (hal_system()->rom_bootloader ? TP_CAPABILITIES_ROM_BOOTLOADER : 0u) | clock_flags();
    telemetry_init(&app.telemetry, &app.streams, &app.log, app.identity);
    commands_init(&app.commands, &app.telemetry, &app.streams, &app.line);
    app.commands.configuration = &app.configuration;
}

void application_announce(void)
{
    telemetry_describe(&app.telemetry);
    telemetry_poll(&app.telemetry);
}

/* ---- interrupts */

void hal_time_on_tick(uint64_t now_us)
{
    mcu_temp_tick(&app.mcu_temp, now_us);
}

void hal_data_ready_on_edge(enum hal_data_ready line, uint64_t edge_us, uint32_t edge)
{
    sensors_data_ready(line, edge_us, edge);
}

void hal_adc_on_reading(struct hal_adc_reading reading)
{
    mcu_temp_reading(&app.mcu_temp, reading);
}

void hal_uart_on_received(uint32_t received, uint32_t end_us)
{
    receiver_mark(&app.receiver, received, end_us);
    hal_post(HAL_EVENT_RX);
}

void hal_uart_on_sent(void)
{
    telemetry_block_sent(&app.telemetry);
    hal_post(HAL_EVENT_TX);
}

void hal_uart_on_drained(void)
{
    hal_post(HAL_EVENT_TX);
}

/* ---- main loop */

static void handle_commands(uint64_t now_us)
{
    uint64_t received_us;
    while (app.heard && line_listens(&app.line) && commands_can_take(&app.commands)) {
        app.heard = receiver_next(&app.receiver, hal_uart_received(), now_us, &received_us);
        if (!app.heard) {
            break;
        }
        const struct tp_decoder *frame = &app.receiver.decoder;
        line_heard(&app.line, false, now_us);
        commands_handle(&app.commands, frame->type, frame->payload, frame->payload_size, received_us, now_us);
    }
    commands_poll(&app.commands, now_us);
    if (app.commands.clear_wanted) {
        app.commands.clear_wanted = false;
        health_clear(&app.health, &sources);
    }
    if (app.commands.health_wanted) {
        app.commands.health_wanted = false;
        health_report(&app.health, &sources, now_us);
    }
    if (app.commands.reset_wanted && app.reset_by_us == 0) {
        app.reset_by_us = now_us + DRAIN_LIMIT_US;
    }
}

static void expire_batches(uint64_t now_us)
{
    for (uint8_t i = 0; i < STREAMS; i++) {
        uint32_t state = hal_irq_save();
        sampler_expire(&app.streams.stream[i].sampler, now_us);
        hal_irq_restore(state);
    }
}

static void handle_tick(uint64_t now_us)
{
    /* Both are alive: the interrupt that posted the tick and the loop that got it. */
    hal_watchdog_feed();
    buses_poll(now_us);
    sensors_poll(now_us);
    configuration_poll(&app.configuration, now_us);
    expire_batches(now_us);
    health_poll(&app.health, &sources, now_us);
}

static void follow_line(uint64_t now_us)
{
    app.telemetry.answers_only = !line_is_open(&app.line) || app.reset_by_us != 0;
    bool drained = telemetry_drained(&app.telemetry);
    uint32_t baud = line_poll(&app.line, drained, now_us);
    if (baud != 0) {
        if (!drained) {
            log_add(&app.log, now_us, TP_LOG_LEVEL_ERROR,
                    "the line could not send in time: its rate changed all the same");
        }
        hal_uart_set_baud(baud);
        app.receiver.baud = baud;
        app.telemetry.identity.baud = baud;
        app.commands.line_bits = baud;
        fit_line_changed(&app.fit, baud, now_us);
    }
}

static void reset_when_drained(uint64_t now_us)
{
    if (app.reset_by_us != 0 && (telemetry_drained(&app.telemetry) || now_us >= app.reset_by_us)) {
        if (app.commands.bootloader_wanted) {
            hal_system_enter_bootloader();
        }
        hal_system_reset();
    }
}

void application_handle(uint32_t events)
{
    uint64_t now_us = hal_time_us();
    if ((events & HAL_EVENT_TICK) != 0) {
        handle_tick(now_us);
    }
    app.heard |= (events & HAL_EVENT_RX) != 0;
    handle_commands(now_us); /* whatever the event: a change of rate ends with HAL_EVENT_SAMPLES */
    follow_line(now_us);
    if (events != HAL_EVENT_TX || app.telemetry.waits) {
        telemetry_poll(&app.telemetry);
    }
    reset_when_drained(now_us);
}
