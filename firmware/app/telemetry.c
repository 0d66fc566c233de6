#include "app/telemetry.h"

#include <string.h>

#include "app/version.h"
#include "hal/fault.h"
#include "hal/irq.h"
#include "hal/system.h"
#include "hal/time.h"
#include "hal/uart.h"

#define PING_TRIES 4u

void telemetry_init(struct telemetry *telemetry, struct streams *streams, struct log *log,
                    struct identity identity)
{
    *telemetry = (struct telemetry){.streams = streams, .log = log, .identity = identity};
    bip_ring_init(&telemetry->ring, telemetry->ring_memory, sizeof telemetry->ring_memory);
    /* A boot may follow a crash in the middle of a frame: end that frame, or it takes HELLO with it. */
    uint8_t *place = bip_ring_reserve(&telemetry->ring, 1);
    ASSERT(place != NULL);
    *place = 0;
    bip_ring_commit(&telemetry->ring, 1);
}

void telemetry_describe(struct telemetry *telemetry)
{
    telemetry->waits = true;
    telemetry->hello_due = true;
    telemetry->streams_due = (1u << STREAMS) - 1u;
    telemetry->fault_due = hal_fault_record() != NULL;
}

void telemetry_health(struct telemetry *telemetry, const struct tp_health *health)
{
    telemetry->health = *health;
    telemetry->health_due = true;
    telemetry->waits = true;
}

bool telemetry_can_answer(const struct telemetry *telemetry)
{
    return telemetry->answer_count < TELEMETRY_ANSWERS;
}

void telemetry_answer(struct telemetry *telemetry, const struct answer *answer)
{
    ASSERT(telemetry_can_answer(telemetry));
    uint8_t slot = (uint8_t)((telemetry->first_answer + telemetry->answer_count) % TELEMETRY_ANSWERS);
    telemetry->answers[slot] = *answer;
    telemetry->answer_count++;
    telemetry->waits = true;
}

bool telemetry_drained(const struct telemetry *telemetry)
{
    return telemetry->answer_count == 0 && bip_ring_used(&telemetry->ring) == 0 && hal_uart_drained();
}

/* ---- ring and line */

static void hand_over(struct telemetry *telemetry)
{
    size_t n;
    const uint8_t *block = bip_ring_peek(&telemetry->ring, &n);
    telemetry->in_transmission = n;
    if (n != 0) {
        hal_uart_send(block, n);
    }
}

void telemetry_block_sent(struct telemetry *telemetry)
{
    bip_ring_consume(&telemetry->ring, telemetry->in_transmission);
    hand_over(telemetry);
}

/* Into the ring, where release() lets it go. */
static size_t pack(struct telemetry *telemetry, enum tp_message_type type, const uint8_t *payload, size_t n)
{
    uint8_t *place = bip_ring_reserve(&telemetry->ring, TP_ENCODED_SIZE(n));
    ASSERT(place != NULL); /* room was asked for before */
    size_t encoded =
        tp_frame_encode(place, TP_ENCODED_SIZE(n), (uint8_t)type, telemetry->sequence, payload, n);
    ASSERT(encoded != 0);
    return encoded;
}

static void release(struct telemetry *telemetry, size_t encoded)
{
    telemetry->sequence++;
    bip_ring_commit(&telemetry->ring, encoded);
    uint32_t state = hal_irq_save();
    if (telemetry->in_transmission == 0) {
        hand_over(telemetry);
    }
    hal_irq_restore(state);
}

static void send(struct telemetry *telemetry, enum tp_message_type type, const uint8_t *payload, size_t n)
{
    release(telemetry, pack(telemetry, type, payload, n));
}

static bool has_room(struct telemetry *telemetry)
{
    return bip_ring_used(&telemetry->ring) <= TELEMETRY_WAITING &&
           bip_ring_reserve(&telemetry->ring, TP_ENCODED_MAX) != NULL;
}

static bool line_is_silent(const struct telemetry *telemetry)
{
    return telemetry->in_transmission == 0 && hal_uart_drained();
}

/* ---- one function a message; n == 0 would mean that TELEMETRY_PAYLOAD is too small */

static struct tp_str str(const char *text)
{
    return (struct tp_str){.data = text, .size = strlen(text)};
}

static void send_payload(struct telemetry *telemetry, enum tp_message_type type, size_t n)
{
    ASSERT(n != 0);
    send(telemetry, type, telemetry->payload, n);
}

static void send_hello(struct telemetry *telemetry)
{
    const struct hal_system *system = hal_system();
    const struct identity *identity = &telemetry->identity;
    struct tp_hello hello = {
        .protocol = TP_PROTOCOL,
        .fingerprint = TP_FINGERPRINT,
        .boot_id = identity->boot_id,
        .reset_cause = identity->reset_cause,
        .capabilities = identity->capabilities,
        .clock_hz = system->clock_hz,
        .baud = identity->baud,
        .baud_max = hal_uart_baud_max(),
        .time_us = hal_time_us(),
        .streams = STREAMS,
        .firmware = str(firmware_version),
        .revision = str(firmware_revision),
        .board = str(system->board),
    };
    memcpy(hello.uid, system->uid, sizeof hello.uid);
    send_payload(telemetry, TP_MESSAGE_HELLO, tp_hello_write(telemetry->payload, TELEMETRY_PAYLOAD, &hello));
}

static void send_stream(struct telemetry *telemetry, uint8_t number)
{
    enum { FIELDS_MAX = 12 };
    struct stream_snapshot snapshot = streams_snapshot(telemetry->streams, number);
    const struct sensor_stream *descriptor = &snapshot.descriptor;
    struct tp_field_descriptor fields[FIELDS_MAX];
    ASSERT(descriptor->field_count <= FIELDS_MAX);
    for (uint8_t i = 0; i < descriptor->field_count; i++) {
        const struct sensor_field *field = &descriptor->fields[i];
        fields[i] = (struct tp_field_descriptor){
            .type = (uint8_t)field->type,
            .scale = field->scale,
            .offset = field->offset,
            .full_scale = field->full_scale,
            .name = str(field->name),
            .unit = str(field->unit),
        };
    }
    struct tp_stream stream = {
        .stream_gen = tp_stream_gen(number, snapshot.generation),
        .rate_mhz = descriptor->rate_mhz,
        .group_delay_us = descriptor->group_delay_us,
        .fifo_depth = descriptor->fifo_depth,
        .name = str(descriptor->name),
        .sensor = str(descriptor->part),
        .fields = {.items = fields, .count = descriptor->field_count},
        .latency_us = snapshot.latency_us,
        .enabled = snapshot.enabled ? 1u : 0u,
    };
    send_payload(telemetry, TP_MESSAGE_STREAM,
                 tp_stream_write(telemetry->payload, TELEMETRY_PAYLOAD, &stream));
    telemetry->streams->stream[number].sampler.described = snapshot.generation;
}

static void send_fault(struct telemetry *telemetry)
{
    const struct hal_fault *record = hal_fault_record();
    struct tp_fault fault = {
        .boot_id = record->boot_id,
        .time_us = record->time_us,
        .cause = record->cause,
        .pc = record->pc,
        .lr = record->lr,
        .sp = record->sp,
        .psr = record->psr,
        .cfsr = record->cfsr,
        .hfsr = record->hfsr,
        .mmfar = record->mmfar,
        .bfar = record->bfar,
    };
    send_payload(telemetry, TP_MESSAGE_FAULT, tp_fault_write(telemetry->payload, TELEMETRY_PAYLOAD, &fault));
}

static void send_health(struct telemetry *telemetry)
{
    telemetry->health.streams =
        (struct tp_stream_health_list){.items = telemetry->stream_health, .count = STREAMS};
    telemetry->health.sensors = (struct tp_sensor_health_list){.items = telemetry->sensor_health,
                                                               .count = telemetry->sensor_health_count};
    send_payload(telemetry, TP_MESSAGE_HEALTH,
                 tp_health_write(telemetry->payload, TELEMETRY_PAYLOAD, &telemetry->health));
}

static void send_log(struct telemetry *telemetry, const struct log_entry *entry)
{
    struct tp_log log = {.time_us = entry->time_us, .level = entry->level, .text = str(entry->text)};
    send_payload(telemetry, TP_MESSAGE_LOG, tp_log_write(telemetry->payload, TELEMETRY_PAYLOAD, &log));
}

static size_t pack_answer(struct telemetry *telemetry, const struct answer *answer)
{
    struct tp_response response = {
        .request = answer->request,
        .command = answer->command,
        .status = answer->status,
        .data = {.data = answer->data, .size = answer->size},
    };
    size_t n = tp_response_write(telemetry->payload, TELEMETRY_PAYLOAD, &response);
    ASSERT(n != 0);
    return pack(telemetry, TP_MESSAGE_RESPONSE, telemetry->payload, n);
}

/* The first bit leaves when the answer is packed, and the time of that is in it: it is packed for the time
 * that the last try took, until that was right. An interrupt makes it take longer. */
static size_t pack_ping(struct telemetry *telemetry, struct answer *answer)
{
    struct tp_ping_result result;
    bool read = tp_ping_result_read(&result, answer->data, answer->size);
    ASSERT(read);
    size_t encoded = 0;
    uint64_t took_us = 0;
    for (uint32_t tries = 0; tries < PING_TRIES; tries++) {
        uint64_t start_us = hal_time_us();
        uint64_t expected_us = took_us;
        result.sent_us = start_us + expected_us;
        size_t n = tp_ping_result_write(answer->data, sizeof answer->data, &result);
        ASSERT(n == answer->size);
        encoded = pack_answer(telemetry, answer);
        took_us = hal_time_us() - start_us;
        if (took_us <= expected_us + 1u && expected_us <= took_us + 1u) {
            break;
        }
    }
    return encoded;
}

static void send_answer(struct telemetry *telemetry)
{
    struct answer *answer = &telemetry->answers[telemetry->first_answer];
    bool is_ping = answer->command == TP_COMMAND_PING && answer->status == TP_STATUS_OK;
    release(telemetry, is_ping ? pack_ping(telemetry, answer) : pack_answer(telemetry, answer));
    telemetry->first_answer = (uint8_t)((telemetry->first_answer + 1u) % TELEMETRY_ANSWERS);
    telemetry->answer_count--;
}

static void send_batch(struct telemetry *telemetry, uint8_t number)
{
    struct sampler *sampler = &telemetry->streams->stream[number].sampler;
    struct batch *batch = sampler_oldest(sampler);
    struct tp_samples head = {
        .stream_gen = tp_stream_gen(number, batch->generation),
        .index = batch->index,
        .time_us = batch->time_us,
    };
    size_t n = tp_samples_write(batch->payload, sizeof batch->payload, &head);
    ASSERT(n == sizeof batch->payload);
    send(telemetry, TP_MESSAGE_SAMPLES, (const uint8_t *)batch + offsetof(struct batch, payload),
         n + batch->size);
    sampler_release(sampler);
}

/* ---- order */

/* Descriptors that changed since the last look. */
static void collect_changes(struct telemetry *telemetry)
{
    if (telemetry->streams->changed != 0) {
        uint32_t state = hal_irq_save();
        telemetry->streams_due |= telemetry->streams->changed;
        telemetry->streams->changed = 0;
        hal_irq_restore(state);
    }
}

static bool send_description(struct telemetry *telemetry)
{
    if (telemetry->hello_due) {
        telemetry->hello_due = false;
        send_hello(telemetry);
        return true;
    }
    for (uint8_t number = 0; telemetry->streams_due != 0 && number < STREAMS; number++) {
        if ((telemetry->streams_due & 1u << number) != 0) {
            telemetry->streams_due &= ~(1u << number);
            send_stream(telemetry, number);
            return true;
        }
    }
    if (telemetry->fault_due) {
        telemetry->fault_due = false;
        if (hal_fault_record() != NULL) { /* the host may have acknowledged it since */
            send_fault(telemetry);
            return true;
        }
    }
    return false;
}

static bool send_report(struct telemetry *telemetry)
{
    const struct log_entry *entry = log_oldest(telemetry->log);
    if (telemetry->health_due) {
        telemetry->health_due = false;
        send_health(telemetry);
        return true;
    }
    if (entry != NULL) {
        send_log(telemetry, entry);
        log_pop(telemetry->log);
        return true;
    }
    return false;
}

static bool send_samples(struct telemetry *telemetry)
{
    for (uint8_t i = 0; i < STREAMS; i++) {
        uint8_t number = (uint8_t)((telemetry->next_stream + i) % STREAMS);
        if (sampler_has_closed(&telemetry->streams->stream[number].sampler)) {
            telemetry->next_stream = (uint8_t)((number + 1u) % STREAMS);
            send_batch(telemetry, number);
            return true;
        }
    }
    return false;
}

static bool send_other(struct telemetry *telemetry)
{
    return !telemetry->answers_only &&
           (send_description(telemetry) || send_report(telemetry) || send_samples(telemetry));
}

static bool next_is_ping(const struct telemetry *telemetry)
{
    return telemetry->answers[telemetry->first_answer].command == TP_COMMAND_PING;
}

void telemetry_poll(struct telemetry *telemetry)
{
    collect_changes(telemetry);
    telemetry->waits = true;
    while (has_room(telemetry)) {
        if (telemetry->answer_count == 0) {
            if (!send_other(telemetry)) {
                telemetry->waits = telemetry->answers_only;
                return;
            }
        } else if (!next_is_ping(telemetry)) {
            send_answer(telemetry);
        } else if (telemetry->others_turn && send_other(telemetry)) {
            telemetry->others_turn = false;
        } else if (line_is_silent(telemetry)) {
            send_answer(telemetry);
            telemetry->others_turn = true;
        } else {
            return;
        }
    }
}
