#include "app/health.h"

#include "hal/i2c.h"
#include "hal/irq.h"
#include "hal/nvstore.h"
#include "hal/spi.h"
#include "hal/system.h"
#include "hal/uart.h"

#define PERIOD_US 1000000u

_Static_assert((int)SENSOR_FAILING == (int)TP_STREAM_STATE_FAILING, "the values of the wire");
_Static_assert((int)SENSOR_ABSENT == (int)TP_STREAM_STATE_ABSENT, "the values of the wire");
_Static_assert((int)SENSOR_MISSING == (int)TP_STREAM_STATE_MISSING, "the values of the wire");

/* Share of the window that the core was awake. The window ends when a second or more has passed. */
static void measure_load(struct health *health, uint64_t now_us)
{
    uint32_t cycles_per_us = hal_system()->clock_hz / 1000000u;
    uint32_t asleep = hal_cycles_asleep();
    uint64_t asleep_us = (asleep - health->window_asleep) / cycles_per_us;
    uint64_t window_us = now_us - health->window_start_us;
    if (window_us != 0) {
        uint64_t awake_us = asleep_us < window_us ? window_us - asleep_us : 0;
        health->cpu_permille = (uint16_t)((uint32_t)awake_us * 1000u / (uint32_t)window_us);
    }
    health->window_start_us = now_us;
    health->window_asleep = asleep;
}

static void snapshot(const struct streams *streams, struct tp_stream_health *out)
{
    for (uint8_t i = 0; i < STREAMS; i++) {
        const struct stream *stream = &streams->stream[i];
        const struct sampler *sampler = &stream->sampler;
        uint32_t state = hal_irq_save(); /* the numbers of one moment */
        out[i] = (struct tp_stream_health){
            .stream = i,
            .state = stream->enabled ? (uint8_t)stream->sensor->ops->state(stream->sensor)
                                     : (uint8_t)TP_STREAM_STATE_STOPPED,
            .next_index = sampler->next_index,
            .lost_fifo = sampler->lost_fifo,
            .lost_ring = sampler->lost_ring,
            .lost_bus = sampler->lost_bus,
        };
        hal_irq_restore(state);
    }
}

/* What is known of the sensors that are there; the number of entries. */
static uint8_t describe_sensors(const struct streams *streams, struct tp_sensor_health *out)
{
    uint8_t count = 0;
    for (uint8_t i = 0; i < STREAMS; i++) {
        const struct sensor *sensor = streams->stream[i].sensor;
        enum sensor_state state = sensor->ops->state(sensor);
        if (state == SENSOR_MISSING || state == SENSOR_ABSENT) {
            continue;
        }
        out[count++] = (struct tp_sensor_health){
            .stream = i,
            .measured_mhz = sensor->ops->measured_rate != NULL
                                ? sensor->ops->measured_rate(sensor, streams_which(streams, i))
                                : 0,
            .temperature_cdegc = sensor->ops->temperature != NULL ? sensor->ops->temperature(sensor)
                                                                  : SENSOR_TEMPERATURE_UNKNOWN,
        };
    }
    return count;
}

/* Counters since boot. */
static struct health_counters count(const struct health_sources *sources)
{
    struct hal_uart_errors uart = hal_uart_errors();
    struct hal_i2c_errors bus = hal_i2c_errors();
    const struct tp_decoder *decoder = &sources->receiver->decoder;
    return (struct health_counters){
        .rx_overrun = uart.overrun,
        .rx_framing = uart.framing,
        .rx_noise = uart.noise,
        .rx_dropped = sources->receiver->dropped,
        .refused_cobs = decoder->damage_cobs,
        .refused_crc = decoder->damage_crc,
        .refused_length = decoder->damage_short + decoder->damage_long + sources->commands->refused_length,
        .refused_type = sources->commands->refused_type,
        .dropped_messages = sources->log->dropped,
        .bus_nack = bus.nack,
        .bus_error = bus.bus,
        .bus_timeout = bus.timeout + hal_spi_errors().timeout,
        .bus_recoveries = bus.recoveries,
        .baud_fallbacks = sources->line->fallbacks,
        .dma_error = uart.dma + bus.dma + hal_spi_errors().dma,
    };
}

void health_clear(struct health *health, const struct health_sources *sources)
{
    health->cleared = count(sources);
    hal_nvstore_clear_stall();
}

void health_report(struct health *health, const struct health_sources *sources, uint64_t now_us)
{
    struct health_counters now = count(sources);
    const struct health_counters *base = &health->cleared;
    struct tp_health message = {
        .time_us = now_us,
        .uptime_s = (uint32_t)(now_us / 1000000u),
        .cpu_permille = health->cpu_permille,
        .stack_free = (uint16_t)hal_system_stack_free(),
        .supply_mv = sources->mcu_temp->supply_mv,
        .mcu_cdegc = mcu_temp_cdegc(sources->mcu_temp),
        .rx_overrun = now.rx_overrun - base->rx_overrun,
        .rx_framing = now.rx_framing - base->rx_framing,
        .rx_noise = now.rx_noise - base->rx_noise,
        .rx_dropped = now.rx_dropped - base->rx_dropped,
        .refused_cobs = now.refused_cobs - base->refused_cobs,
        .refused_crc = now.refused_crc - base->refused_crc,
        .refused_length = now.refused_length - base->refused_length,
        .refused_type = now.refused_type - base->refused_type,
        .dropped_messages = now.dropped_messages - base->dropped_messages,
        .bus_nack = now.bus_nack - base->bus_nack,
        .bus_error = now.bus_error - base->bus_error,
        .bus_timeout = now.bus_timeout - base->bus_timeout,
        .bus_recoveries = now.bus_recoveries - base->bus_recoveries,
        .baud_fallbacks = now.baud_fallbacks - base->baud_fallbacks,
        /* a maximum, not a count: what was longest when the host cleared it is not said again */
        .flash_stall_us = hal_nvstore_stall_us(),
        .dma_error = now.dma_error - base->dma_error,
    };
    struct telemetry *telemetry = sources->telemetry;
    snapshot(sources->streams, telemetry->stream_health);
    telemetry->sensor_health_count = describe_sensors(sources->streams, telemetry->sensor_health);
    telemetry_health(telemetry, &message);
}

void health_poll(struct health *health, const struct health_sources *sources, uint64_t now_us)
{
    if (now_us < health->next_us) {
        return;
    }
    if (health->next_us == 0) { /* the start counts from here */
        health->window_start_us = now_us;
        health->window_asleep = hal_cycles_asleep();
        health->next_us = now_us + PERIOD_US;
        return;
    }
    health->next_us += PERIOD_US;
    measure_load(health, now_us);
    health_report(health, sources, now_us);
}
