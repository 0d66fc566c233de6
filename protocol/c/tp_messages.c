/* Messages of the wire. Generated from protocol/messages.toml by tools/generate_protocol.py; do not edit. */
#include "tp_messages.h"

#include "tp_pack.h"

static void put_field_descriptor(struct tp_writer *w, const struct tp_field_descriptor *m)
{
    tp_put_u8(w, m->type);
    tp_put_f32(w, m->scale);
    tp_put_f32(w, m->offset);
    tp_put_f32(w, m->full_scale);
    tp_put_str(w, m->name);
    tp_put_str(w, m->unit);
}

static void get_field_descriptor(struct tp_reader *r, struct tp_field_descriptor *m)
{
    m->type = tp_get_u8(r);
    m->scale = tp_get_f32(r);
    m->offset = tp_get_f32(r);
    m->full_scale = tp_get_f32(r);
    m->name = tp_get_str(r);
    m->unit = tp_get_str(r);
}

static void put_stream_health(struct tp_writer *w, const struct tp_stream_health *m)
{
    tp_put_u8(w, m->stream);
    tp_put_u8(w, m->state);
    tp_put_u32(w, m->next_index);
    tp_put_u32(w, m->lost_fifo);
    tp_put_u32(w, m->lost_ring);
    tp_put_u32(w, m->lost_bus);
}

static void get_stream_health(struct tp_reader *r, struct tp_stream_health *m)
{
    m->stream = tp_get_u8(r);
    m->state = tp_get_u8(r);
    m->next_index = tp_get_u32(r);
    m->lost_fifo = tp_get_u32(r);
    m->lost_ring = tp_get_u32(r);
    m->lost_bus = tp_get_u32(r);
}

static void put_sensor_health(struct tp_writer *w, const struct tp_sensor_health *m)
{
    tp_put_u8(w, m->stream);
    tp_put_u32(w, m->measured_mhz);
    tp_put_i16(w, m->temperature_cdegc);
}

static void get_sensor_health(struct tp_reader *r, struct tp_sensor_health *m)
{
    m->stream = tp_get_u8(r);
    m->measured_mhz = tp_get_u32(r);
    m->temperature_cdegc = tp_get_i16(r);
}

static void put_self_test_field(struct tp_writer *w, const struct tp_self_test_field *m)
{
    tp_put_f32(w, m->response);
    tp_put_f32(w, m->low);
    tp_put_f32(w, m->high);
}

static void get_self_test_field(struct tp_reader *r, struct tp_self_test_field *m)
{
    m->response = tp_get_f32(r);
    m->low = tp_get_f32(r);
    m->high = tp_get_f32(r);
}

size_t tp_hello_write(uint8_t *out, size_t room, const struct tp_hello *m)
{
    struct tp_writer w = tp_writer(out, room);

    tp_put_u8(&w, m->protocol);
    tp_put_u32(&w, m->fingerprint);
    tp_put_u32(&w, m->boot_id);
    tp_put_bytes(&w, m->uid, sizeof m->uid);
    tp_put_u8(&w, m->reset_cause);
    tp_put_u32(&w, m->capabilities);
    tp_put_u32(&w, m->clock_hz);
    tp_put_u32(&w, m->baud);
    tp_put_u32(&w, m->baud_max);
    tp_put_u32(&w, m->retransmit);
    tp_put_u48(&w, m->time_us);
    tp_put_u8(&w, m->streams);
    tp_put_str(&w, m->firmware);
    tp_put_str(&w, m->revision);
    tp_put_str(&w, m->board);
    return tp_written(&w);
}

bool tp_hello_read(struct tp_hello *m, const uint8_t *in, size_t n)
{
    struct tp_reader r = tp_reader(in, n);

    m->protocol = tp_get_u8(&r);
    m->fingerprint = tp_get_u32(&r);
    m->boot_id = tp_get_u32(&r);
    tp_get_bytes(&r, m->uid, sizeof m->uid);
    m->reset_cause = tp_get_u8(&r);
    m->capabilities = tp_get_u32(&r);
    m->clock_hz = tp_get_u32(&r);
    m->baud = tp_get_u32(&r);
    m->baud_max = tp_get_u32(&r);
    m->retransmit = tp_get_u32(&r);
    m->time_us = tp_get_u48(&r);
    m->streams = tp_get_u8(&r);
    m->firmware = tp_get_str(&r);
    m->revision = tp_get_str(&r);
    m->board = tp_get_str(&r);
    return !r.failed;
}

size_t tp_stream_write(uint8_t *out, size_t room, const struct tp_stream *m)
{
    struct tp_writer w = tp_writer(out, room);

    tp_put_u8(&w, m->stream_gen);
    tp_put_u32(&w, m->rate_mhz);
    tp_put_u32(&w, m->group_delay_us);
    tp_put_u16(&w, m->fifo_depth);
    tp_put_str(&w, m->name);
    tp_put_str(&w, m->sensor);
    tp_put_u8(&w, m->fields.count);
    for (size_t i = 0; i < m->fields.count; i++) {
        put_field_descriptor(&w, &m->fields.items[i]);
    }
    tp_put_u32(&w, m->latency_us);
    tp_put_u8(&w, m->enabled);
    return tp_written(&w);
}

bool tp_stream_read(struct tp_stream *m, const uint8_t *in, size_t n)
{
    struct tp_reader r = tp_reader(in, n);

    m->stream_gen = tp_get_u8(&r);
    m->rate_mhz = tp_get_u32(&r);
    m->group_delay_us = tp_get_u32(&r);
    m->fifo_depth = tp_get_u16(&r);
    m->name = tp_get_str(&r);
    m->sensor = tp_get_str(&r);
    m->fields.items = m->fields.storage;
    m->fields.count = tp_get_u8(&r);
    for (size_t i = 0; i < m->fields.count; i++) {
        struct tp_field_descriptor skipped;

        get_field_descriptor(&r, i < m->fields.room ? &m->fields.storage[i] : &skipped);
    }
    m->latency_us = tp_get_u32(&r);
    m->enabled = tp_get_u8(&r);
    return !r.failed;
}

size_t tp_samples_write(uint8_t *out, size_t room, const struct tp_samples *m)
{
    struct tp_writer w = tp_writer(out, room);

    tp_put_u8(&w, m->stream_gen);
    tp_put_u32(&w, m->index);
    tp_put_u48(&w, m->time_us);
    tp_put_bytes(&w, m->data.data, m->data.size);
    return tp_written(&w);
}

bool tp_samples_read(struct tp_samples *m, const uint8_t *in, size_t n)
{
    struct tp_reader r = tp_reader(in, n);

    m->stream_gen = tp_get_u8(&r);
    m->index = tp_get_u32(&r);
    m->time_us = tp_get_u48(&r);
    m->data = tp_get_rest(&r);
    return !r.failed;
}

size_t tp_health_write(uint8_t *out, size_t room, const struct tp_health *m)
{
    struct tp_writer w = tp_writer(out, room);

    tp_put_u48(&w, m->time_us);
    tp_put_u32(&w, m->uptime_s);
    tp_put_u16(&w, m->cpu_permille);
    tp_put_u16(&w, m->stack_free);
    tp_put_u16(&w, m->supply_mv);
    tp_put_i16(&w, m->mcu_cdegc);
    tp_put_u32(&w, m->rx_overrun);
    tp_put_u32(&w, m->rx_framing);
    tp_put_u32(&w, m->rx_noise);
    tp_put_u32(&w, m->refused_cobs);
    tp_put_u32(&w, m->refused_crc);
    tp_put_u32(&w, m->refused_length);
    tp_put_u32(&w, m->refused_type);
    tp_put_u32(&w, m->dropped_messages);
    tp_put_u32(&w, m->bus_nack);
    tp_put_u32(&w, m->bus_error);
    tp_put_u32(&w, m->bus_timeout);
    tp_put_u8(&w, m->streams.count);
    for (size_t i = 0; i < m->streams.count; i++) {
        put_stream_health(&w, &m->streams.items[i]);
    }
    tp_put_u8(&w, m->sensors.count);
    for (size_t i = 0; i < m->sensors.count; i++) {
        put_sensor_health(&w, &m->sensors.items[i]);
    }
    tp_put_u32(&w, m->bus_recoveries);
    tp_put_u32(&w, m->rx_dropped);
    tp_put_u32(&w, m->baud_fallbacks);
    tp_put_u32(&w, m->flash_stall_us);
    tp_put_u32(&w, m->dma_error);
    return tp_written(&w);
}

bool tp_health_read(struct tp_health *m, const uint8_t *in, size_t n)
{
    struct tp_reader r = tp_reader(in, n);

    m->time_us = tp_get_u48(&r);
    m->uptime_s = tp_get_u32(&r);
    m->cpu_permille = tp_get_u16(&r);
    m->stack_free = tp_get_u16(&r);
    m->supply_mv = tp_get_u16(&r);
    m->mcu_cdegc = tp_get_i16(&r);
    m->rx_overrun = tp_get_u32(&r);
    m->rx_framing = tp_get_u32(&r);
    m->rx_noise = tp_get_u32(&r);
    m->refused_cobs = tp_get_u32(&r);
    m->refused_crc = tp_get_u32(&r);
    m->refused_length = tp_get_u32(&r);
    m->refused_type = tp_get_u32(&r);
    m->dropped_messages = tp_get_u32(&r);
    m->bus_nack = tp_get_u32(&r);
    m->bus_error = tp_get_u32(&r);
    m->bus_timeout = tp_get_u32(&r);
    m->streams.items = m->streams.storage;
    m->streams.count = tp_get_u8(&r);
    for (size_t i = 0; i < m->streams.count; i++) {
        struct tp_stream_health skipped;

        get_stream_health(&r, i < m->streams.room ? &m->streams.storage[i] : &skipped);
    }
    m->sensors.items = m->sensors.storage;
    m->sensors.count = tp_get_u8(&r);
    for (size_t i = 0; i < m->sensors.count; i++) {
        struct tp_sensor_health skipped;

        get_sensor_health(&r, i < m->sensors.room ? &m->sensors.storage[i] : &skipped);
    }
    m->bus_recoveries = tp_get_u32(&r);
    m->rx_dropped = tp_get_u32(&r);
    m->baud_fallbacks = tp_get_u32(&r);
    m->flash_stall_us = tp_get_u32(&r);
    m->dma_error = tp_get_u32(&r);
    return !r.failed;
}

size_t tp_log_write(uint8_t *out, size_t room, const struct tp_log *m)
{
    struct tp_writer w = tp_writer(out, room);

    tp_put_u48(&w, m->time_us);
    tp_put_u8(&w, m->level);
    tp_put_str(&w, m->text);
    return tp_written(&w);
}

bool tp_log_read(struct tp_log *m, const uint8_t *in, size_t n)
{
    struct tp_reader r = tp_reader(in, n);

    m->time_us = tp_get_u48(&r);
    m->level = tp_get_u8(&r);
    m->text = tp_get_str(&r);
    return !r.failed;
}

size_t tp_fault_write(uint8_t *out, size_t room, const struct tp_fault *m)
{
    struct tp_writer w = tp_writer(out, room);

    tp_put_u32(&w, m->boot_id);
    tp_put_u48(&w, m->time_us);
    tp_put_u8(&w, m->cause);
    tp_put_u32(&w, m->pc);
    tp_put_u32(&w, m->lr);
    tp_put_u32(&w, m->sp);
    tp_put_u32(&w, m->psr);
    tp_put_u32(&w, m->cfsr);
    tp_put_u32(&w, m->hfsr);
    tp_put_u32(&w, m->mmfar);
    tp_put_u32(&w, m->bfar);
    return tp_written(&w);
}

bool tp_fault_read(struct tp_fault *m, const uint8_t *in, size_t n)
{
    struct tp_reader r = tp_reader(in, n);

    m->boot_id = tp_get_u32(&r);
    m->time_us = tp_get_u48(&r);
    m->cause = tp_get_u8(&r);
    m->pc = tp_get_u32(&r);
    m->lr = tp_get_u32(&r);
    m->sp = tp_get_u32(&r);
    m->psr = tp_get_u32(&r);
    m->cfsr = tp_get_u32(&r);
    m->hfsr = tp_get_u32(&r);
    m->mmfar = tp_get_u32(&r);
    m->bfar = tp_get_u32(&r);
    return !r.failed;
}

size_t tp_response_write(uint8_t *out, size_t room, const struct tp_response *m)
{
    struct tp_writer w = tp_writer(out, room);

    tp_put_u16(&w, m->request);
    tp_put_u8(&w, m->command);
    tp_put_u8(&w, m->status);
    tp_put_bytes(&w, m->data.data, m->data.size);
    return tp_written(&w);
}

bool tp_response_read(struct tp_response *m, const uint8_t *in, size_t n)
{
    struct tp_reader r = tp_reader(in, n);

    m->request = tp_get_u16(&r);
    m->command = tp_get_u8(&r);
    m->status = tp_get_u8(&r);
    m->data = tp_get_rest(&r);
    return !r.failed;
}

size_t tp_command_write(uint8_t *out, size_t room, const struct tp_command *m)
{
    struct tp_writer w = tp_writer(out, room);

    tp_put_u16(&w, m->request);
    tp_put_u8(&w, m->command);
    tp_put_bytes(&w, m->args.data, m->args.size);
    return tp_written(&w);
}

bool tp_command_read(struct tp_command *m, const uint8_t *in, size_t n)
{
    struct tp_reader r = tp_reader(in, n);

    m->request = tp_get_u16(&r);
    m->command = tp_get_u8(&r);
    m->args = tp_get_rest(&r);
    return !r.failed;
}

size_t tp_ping_args_write(uint8_t *out, size_t room, const struct tp_ping_args *m)
{
    struct tp_writer w = tp_writer(out, room);

    tp_put_u64(&w, m->host_ns);
    return tp_written(&w);
}

bool tp_ping_args_read(struct tp_ping_args *m, const uint8_t *in, size_t n)
{
    struct tp_reader r = tp_reader(in, n);

    m->host_ns = tp_get_u64(&r);
    return !r.failed;
}

size_t tp_ping_result_write(uint8_t *out, size_t room, const struct tp_ping_result *m)
{
    struct tp_writer w = tp_writer(out, room);

    tp_put_u64(&w, m->host_ns);
    tp_put_u48(&w, m->received_us);
    tp_put_u48(&w, m->sent_us);
    return tp_written(&w);
}

bool tp_ping_result_read(struct tp_ping_result *m, const uint8_t *in, size_t n)
{
    struct tp_reader r = tp_reader(in, n);

    m->host_ns = tp_get_u64(&r);
    m->received_us = tp_get_u48(&r);
    m->sent_us = tp_get_u48(&r);
    return !r.failed;
}

size_t tp_get_rate_args_write(uint8_t *out, size_t room, const struct tp_get_rate_args *m)
{
    struct tp_writer w = tp_writer(out, room);

    tp_put_u8(&w, m->stream);
    return tp_written(&w);
}

bool tp_get_rate_args_read(struct tp_get_rate_args *m, const uint8_t *in, size_t n)
{
    struct tp_reader r = tp_reader(in, n);

    m->stream = tp_get_u8(&r);
    return !r.failed;
}

size_t tp_get_rate_result_write(uint8_t *out, size_t room, const struct tp_get_rate_result *m)
{
    struct tp_writer w = tp_writer(out, room);

    tp_put_u32(&w, m->rate_mhz);
    return tp_written(&w);
}

bool tp_get_rate_result_read(struct tp_get_rate_result *m, const uint8_t *in, size_t n)
{
    struct tp_reader r = tp_reader(in, n);

    m->rate_mhz = tp_get_u32(&r);
    return !r.failed;
}

size_t tp_set_rate_args_write(uint8_t *out, size_t room, const struct tp_set_rate_args *m)
{
    struct tp_writer w = tp_writer(out, room);

    tp_put_u8(&w, m->stream);
    tp_put_u32(&w, m->rate_mhz);
    return tp_written(&w);
}

bool tp_set_rate_args_read(struct tp_set_rate_args *m, const uint8_t *in, size_t n)
{
    struct tp_reader r = tp_reader(in, n);

    m->stream = tp_get_u8(&r);
    m->rate_mhz = tp_get_u32(&r);
    return !r.failed;
}

size_t tp_set_rate_result_write(uint8_t *out, size_t room, const struct tp_set_rate_result *m)
{
    struct tp_writer w = tp_writer(out, room);

    tp_put_u32(&w, m->rate_mhz);
    tp_put_u8(&w, m->generation);
    return tp_written(&w);
}

bool tp_set_rate_result_read(struct tp_set_rate_result *m, const uint8_t *in, size_t n)
{
    struct tp_reader r = tp_reader(in, n);

    m->rate_mhz = tp_get_u32(&r);
    m->generation = tp_get_u8(&r);
    return !r.failed;
}

size_t tp_set_rate_refusal_write(uint8_t *out, size_t room, const struct tp_set_rate_refusal *m)
{
    struct tp_writer w = tp_writer(out, room);

    tp_put_u32(&w, m->needed);
    tp_put_u32(&w, m->available);
    return tp_written(&w);
}

bool tp_set_rate_refusal_read(struct tp_set_rate_refusal *m, const uint8_t *in, size_t n)
{
    struct tp_reader r = tp_reader(in, n);

    m->needed = tp_get_u32(&r);
    m->available = tp_get_u32(&r);
    return !r.failed;
}

size_t tp_set_range_args_write(uint8_t *out, size_t room, const struct tp_set_range_args *m)
{
    struct tp_writer w = tp_writer(out, room);

    tp_put_u8(&w, m->stream);
    tp_put_u8(&w, m->field);
    tp_put_f32(&w, m->full_scale);
    return tp_written(&w);
}

bool tp_set_range_args_read(struct tp_set_range_args *m, const uint8_t *in, size_t n)
{
    struct tp_reader r = tp_reader(in, n);

    m->stream = tp_get_u8(&r);
    m->field = tp_get_u8(&r);
    m->full_scale = tp_get_f32(&r);
    return !r.failed;
}

size_t tp_set_range_result_write(uint8_t *out, size_t room, const struct tp_set_range_result *m)
{
    struct tp_writer w = tp_writer(out, room);

    tp_put_f32(&w, m->full_scale);
    tp_put_u8(&w, m->generation);
    return tp_written(&w);
}

bool tp_set_range_result_read(struct tp_set_range_result *m, const uint8_t *in, size_t n)
{
    struct tp_reader r = tp_reader(in, n);

    m->full_scale = tp_get_f32(&r);
    m->generation = tp_get_u8(&r);
    return !r.failed;
}

size_t tp_set_range_refusal_write(uint8_t *out, size_t room, const struct tp_set_range_refusal *m)
{
    struct tp_writer w = tp_writer(out, room);

    tp_put_f32(&w, m->lowest);
    tp_put_f32(&w, m->highest);
    return tp_written(&w);
}

bool tp_set_range_refusal_read(struct tp_set_range_refusal *m, const uint8_t *in, size_t n)
{
    struct tp_reader r = tp_reader(in, n);

    m->lowest = tp_get_f32(&r);
    m->highest = tp_get_f32(&r);
    return !r.failed;
}

size_t tp_enable_stream_args_write(uint8_t *out, size_t room, const struct tp_enable_stream_args *m)
{
    struct tp_writer w = tp_writer(out, room);

    tp_put_u8(&w, m->stream);
    tp_put_u8(&w, m->enabled);
    return tp_written(&w);
}

bool tp_enable_stream_args_read(struct tp_enable_stream_args *m, const uint8_t *in, size_t n)
{
    struct tp_reader r = tp_reader(in, n);

    m->stream = tp_get_u8(&r);
    m->enabled = tp_get_u8(&r);
    return !r.failed;
}

size_t tp_enable_stream_refusal_write(uint8_t *out, size_t room, const struct tp_enable_stream_refusal *m)
{
    struct tp_writer w = tp_writer(out, room);

    tp_put_u32(&w, m->needed);
    tp_put_u32(&w, m->available);
    return tp_written(&w);
}

bool tp_enable_stream_refusal_read(struct tp_enable_stream_refusal *m, const uint8_t *in, size_t n)
{
    struct tp_reader r = tp_reader(in, n);

    m->needed = tp_get_u32(&r);
    m->available = tp_get_u32(&r);
    return !r.failed;
}

size_t tp_set_latency_args_write(uint8_t *out, size_t room, const struct tp_set_latency_args *m)
{
    struct tp_writer w = tp_writer(out, room);

    tp_put_u8(&w, m->stream);
    tp_put_u32(&w, m->latency_us);
    return tp_written(&w);
}

bool tp_set_latency_args_read(struct tp_set_latency_args *m, const uint8_t *in, size_t n)
{
    struct tp_reader r = tp_reader(in, n);

    m->stream = tp_get_u8(&r);
    m->latency_us = tp_get_u32(&r);
    return !r.failed;
}

size_t tp_set_latency_result_write(uint8_t *out, size_t room, const struct tp_set_latency_result *m)
{
    struct tp_writer w = tp_writer(out, room);

    tp_put_u32(&w, m->latency_us);
    return tp_written(&w);
}

bool tp_set_latency_result_read(struct tp_set_latency_result *m, const uint8_t *in, size_t n)
{
    struct tp_reader r = tp_reader(in, n);

    m->latency_us = tp_get_u32(&r);
    return !r.failed;
}

size_t tp_set_latency_refusal_write(uint8_t *out, size_t room, const struct tp_set_latency_refusal *m)
{
    struct tp_writer w = tp_writer(out, room);

    tp_put_u32(&w, m->needed);
    tp_put_u32(&w, m->available);
    return tp_written(&w);
}

bool tp_set_latency_refusal_read(struct tp_set_latency_refusal *m, const uint8_t *in, size_t n)
{
    struct tp_reader r = tp_reader(in, n);

    m->needed = tp_get_u32(&r);
    m->available = tp_get_u32(&r);
    return !r.failed;
}

size_t tp_set_baud_args_write(uint8_t *out, size_t room, const struct tp_set_baud_args *m)
{
    struct tp_writer w = tp_writer(out, room);

    tp_put_u32(&w, m->baud);
    return tp_written(&w);
}

bool tp_set_baud_args_read(struct tp_set_baud_args *m, const uint8_t *in, size_t n)
{
    struct tp_reader r = tp_reader(in, n);

    m->baud = tp_get_u32(&r);
    return !r.failed;
}

size_t tp_set_baud_result_write(uint8_t *out, size_t room, const struct tp_set_baud_result *m)
{
    struct tp_writer w = tp_writer(out, room);

    tp_put_u32(&w, m->baud);
    return tp_written(&w);
}

bool tp_set_baud_result_read(struct tp_set_baud_result *m, const uint8_t *in, size_t n)
{
    struct tp_reader r = tp_reader(in, n);

    m->baud = tp_get_u32(&r);
    return !r.failed;
}

size_t tp_set_baud_refusal_write(uint8_t *out, size_t room, const struct tp_set_baud_refusal *m)
{
    struct tp_writer w = tp_writer(out, room);

    tp_put_u32(&w, m->needed);
    tp_put_u32(&w, m->available);
    return tp_written(&w);
}

bool tp_set_baud_refusal_read(struct tp_set_baud_refusal *m, const uint8_t *in, size_t n)
{
    struct tp_reader r = tp_reader(in, n);

    m->needed = tp_get_u32(&r);
    m->available = tp_get_u32(&r);
    return !r.failed;
}

size_t tp_self_test_args_write(uint8_t *out, size_t room, const struct tp_self_test_args *m)
{
    struct tp_writer w = tp_writer(out, room);

    tp_put_u8(&w, m->stream);
    return tp_written(&w);
}

bool tp_self_test_args_read(struct tp_self_test_args *m, const uint8_t *in, size_t n)
{
    struct tp_reader r = tp_reader(in, n);

    m->stream = tp_get_u8(&r);
    return !r.failed;
}

size_t tp_self_test_result_write(uint8_t *out, size_t room, const struct tp_self_test_result *m)
{
    struct tp_writer w = tp_writer(out, room);

    tp_put_u8(&w, m->passed);
    tp_put_u8(&w, m->fields.count);
    for (size_t i = 0; i < m->fields.count; i++) {
        put_self_test_field(&w, &m->fields.items[i]);
    }
    return tp_written(&w);
}

bool tp_self_test_result_read(struct tp_self_test_result *m, const uint8_t *in, size_t n)
{
    struct tp_reader r = tp_reader(in, n);

    m->passed = tp_get_u8(&r);
    m->fields.items = m->fields.storage;
    m->fields.count = tp_get_u8(&r);
    for (size_t i = 0; i < m->fields.count; i++) {
        struct tp_self_test_field skipped;

        get_self_test_field(&r, i < m->fields.room ? &m->fields.storage[i] : &skipped);
    }
    return !r.failed;
}

size_t tp_restore_configuration_args_write(uint8_t *out, size_t room,
                                           const struct tp_restore_configuration_args *m)
{
    struct tp_writer w = tp_writer(out, room);

    tp_put_u8(&w, m->source);
    return tp_written(&w);
}

bool tp_restore_configuration_args_read(struct tp_restore_configuration_args *m, const uint8_t *in, size_t n)
{
    struct tp_reader r = tp_reader(in, n);

    m->source = tp_get_u8(&r);
    return !r.failed;
}

size_t tp_acknowledge_fault_args_write(uint8_t *out, size_t room, const struct tp_acknowledge_fault_args *m)
{
    struct tp_writer w = tp_writer(out, room);

    tp_put_u32(&w, m->boot_id);
    return tp_written(&w);
}

bool tp_acknowledge_fault_args_read(struct tp_acknowledge_fault_args *m, const uint8_t *in, size_t n)
{
    struct tp_reader r = tp_reader(in, n);

    m->boot_id = tp_get_u32(&r);
    return !r.failed;
}
