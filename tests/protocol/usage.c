/* The recipes at the head of tp_frame.h as a program: sends a LOG and a batch of samples to stdout, then
 * answers the ping that comes on stdin. */
#include <stdio.h>
#include <string.h>

#include "tp_frame.h"
#include "tp_messages.h"

static uint8_t sequence;

static int send(uint8_t type, const uint8_t *payload, size_t n)
{
    uint8_t frame[TP_ENCODED_MAX];
    size_t size = n > 0 ? tp_frame_encode(frame, sizeof frame, type, sequence++, payload, n) : 0;

    return size > 0 && fwrite(frame, 1, size, stdout) == size ? 0 : 1;
}

static int send_log(void)
{
    uint8_t payload[64];
    struct tp_log log = {.time_us = 5, .level = TP_LOG_LEVEL_INFO, .text = TP_STR("hello")};

    return send(TP_MESSAGE_LOG, payload, tp_log_write(payload, sizeof payload, &log));
}

static int send_samples(void)
{
    uint8_t batch[TP_SAMPLES_SIZE + 12];
    struct tp_samples head = {.stream_gen = tp_stream_gen(1, 3), .index = 1000, .time_us = UINT64_C(1) << 41};

    for (uint8_t i = 0; i < 12; i++) {
        batch[TP_SAMPLES_SIZE + i] = i;
    }
    if (tp_samples_write(batch, TP_SAMPLES_SIZE, &head) != TP_SAMPLES_SIZE) {
        return 1;
    }
    return send(TP_MESSAGE_SAMPLES, batch, sizeof batch);
}

static int answer(const struct tp_command *command)
{
    struct tp_ping_args ping;

    if (command->command != TP_COMMAND_PING ||
        !tp_ping_args_read(&ping, command->args.data, command->args.size)) {
        return 1;
    }
    uint8_t data[TP_PING_RESULT_SIZE], payload[64];
    struct tp_ping_result result = {.host_ns = ping.host_ns, .received_us = 1, .sent_us = 2};
    struct tp_response response = {
        .request = command->request,
        .command = command->command,
        .status = TP_STATUS_OK,
        .data = {.data = data, .size = tp_ping_result_write(data, sizeof data, &result)},
    };

    return send(TP_MESSAGE_RESPONSE, payload, tp_response_write(payload, sizeof payload, &response));
}

int main(void)
{
    static struct tp_decoder decoder;
    int failed = send_log() | send_samples();

    tp_decoder_init(&decoder);
    for (int byte = getchar(); byte != EOF; byte = getchar()) {
        if (tp_decoder_push(&decoder, (uint8_t)byte) == TP_FRAME && decoder.type == TP_MESSAGE_COMMAND) {
            struct tp_command command;

            failed |= tp_command_read(&command, decoder.payload, decoder.payload_size) ? answer(&command) : 1;
        }
    }
    return failed | (decoder.partial != 1) | (decoder.frames != 1);
}
