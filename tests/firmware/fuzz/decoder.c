/* Fuzz target: any bytes on the line. The decoder stays within its buffer; a frame it accepts encodes to no
 * more than what it was made from and decodes to the same again; every byte and frame is counted; no reader
 * of a message reads outside of its payload. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tp_frame.h"
#include "tp_messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool condition)
{
    if (!condition) {
        abort();
    }
}

/* Every reader, whatever the type: an exact copy of the payload on the heap lets the sanitizer see its end.
 */
static void read_as_everything(const uint8_t *payload, size_t size)
{
    uint8_t *copy = malloc(size != 0 ? size : 1);
    demand(copy != NULL);
    memcpy(copy, payload, size);
    struct tp_field_descriptor fields[4];
    struct tp_stream_health streams[4];
    struct tp_sensor_health sensors[4];
    struct tp_self_test_field tests[4];
    struct tp_hello hello;
    struct tp_stream stream = {.fields = {.storage = fields, .room = 4}};
    struct tp_samples samples;
    struct tp_health health = {.streams = {.storage = streams, .room = 4},
                               .sensors = {.storage = sensors, .room = 4}};
    struct tp_log log;
    struct tp_fault fault;
    struct tp_response response;
    struct tp_command command;
    struct tp_self_test_result result = {.fields = {.storage = tests, .room = 4}};
    unsigned read = 0;
    read += tp_hello_read(&hello, copy, size);
    read += tp_stream_read(&stream, copy, size);
    read += tp_samples_read(&samples, copy, size);
    read += tp_health_read(&health, copy, size);
    read += tp_log_read(&log, copy, size);
    read += tp_fault_read(&fault, copy, size);
    read += tp_response_read(&response, copy, size);
    read += tp_self_test_result_read(&result, copy, size);
    if (tp_command_read(&command, copy, size)) {
        uint8_t again[TP_PAYLOAD_MAX];
        size_t n = tp_command_write(again, sizeof again, &command);
        demand(n == size && memcmp(again, copy, n) == 0);
        read++;
    }
    demand(read <= 9);
    free(copy);
}

/* Bytes of the encoded frame; another encoder may have used more. */
static size_t encode_and_decode(const struct tp_decoder *frame)
{
    static struct tp_decoder again;
    uint8_t encoded[TP_ENCODED_MAX];
    demand(frame->payload_size <= TP_PAYLOAD_MAX);
    size_t n = tp_frame_encode(encoded, sizeof encoded, frame->type, frame->sequence, frame->payload,
                               frame->payload_size);
    enum tp_verdict verdict = TP_NONE;
    tp_decoder_init(&again);
    for (size_t i = 0; i < n; i++) {
        demand(verdict == TP_NONE);
        verdict = tp_decoder_push(&again, encoded[i]);
    }
    demand(verdict == TP_FRAME && again.type == frame->type && again.sequence == frame->sequence);
    demand(again.payload_size == frame->payload_size);
    demand(frame->payload_size == 0 || memcmp(again.payload, frame->payload, frame->payload_size) == 0);
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tp_decoder decoder;
    uint32_t frames = 0;
    size_t start = 0; /* of the bytes since the last delimiter */
    tp_decoder_init(&decoder);
    for (size_t i = 0; i < size; i++) {
        if (tp_decoder_push(&decoder, data[i]) == TP_FRAME) {
            frames++;
            demand(encode_and_decode(&decoder) <= i + 1 - start);
            read_as_everything(decoder.payload, decoder.payload_size);
        }
        if (data[i] == 0) {
            start = i + 1;
        }
    }
    demand(decoder.frames == frames && decoder.bytes == size);
    read_as_everything(data, size <= TP_PAYLOAD_MAX ? size : TP_PAYLOAD_MAX);
    return 0;
}
