#include "app/commands.h"

#define ABOUT_A_STREAM 1u /* flag: the first argument is the number of a stream, which there is */

static const struct {
    command_handler handle;
    uint8_t args_size; /* bytes; more are newer fields and left alone */
    uint8_t flags;
} table[] = {
    [TP_COMMAND_PING] = {command_ping, TP_PING_ARGS_SIZE, 0},
    [TP_COMMAND_DESCRIBE] = {command_describe, 0, 0},
    [TP_COMMAND_GET_RATE] = {command_get_rate, TP_GET_RATE_ARGS_SIZE, ABOUT_A_STREAM},
    [TP_COMMAND_SET_RATE] = {command_set_rate, TP_SET_RATE_ARGS_SIZE, ABOUT_A_STREAM},
    [TP_COMMAND_GET_HEALTH] = {command_get_health, 0, 0},
    [TP_COMMAND_RESET] = {command_reset, 0, 0},
    [TP_COMMAND_SET_RANGE] = {command_set_range, TP_SET_RANGE_ARGS_SIZE, ABOUT_A_STREAM},
    [TP_COMMAND_ENABLE_STREAM] = {command_enable_stream, TP_ENABLE_STREAM_ARGS_SIZE, ABOUT_A_STREAM},
    [TP_COMMAND_SET_LATENCY] = {command_set_latency, TP_SET_LATENCY_ARGS_SIZE, ABOUT_A_STREAM},
    [TP_COMMAND_SELF_TEST] = {command_self_test, TP_SELF_TEST_ARGS_SIZE, ABOUT_A_STREAM},
    [TP_COMMAND_CLEAR_COUNTERS] = {command_clear_counters, 0, 0},
    [TP_COMMAND_ACKNOWLEDGE_FAULT] = {command_acknowledge_fault, TP_ACKNOWLEDGE_FAULT_ARGS_SIZE, 0},
    [TP_COMMAND_SET_BAUD] = {command_set_baud, TP_SET_BAUD_ARGS_SIZE, 0},
    [TP_COMMAND_ENTER_BOOTLOADER] = {command_enter_bootloader, 0, 0},
    [TP_COMMAND_SAVE_CONFIGURATION] = {command_save_configuration, 0, 0},
    [TP_COMMAND_RESTORE_CONFIGURATION] = {command_restore_configuration, TP_RESTORE_CONFIGURATION_ARGS_SIZE,
                                          0},
};

void commands_init(struct commands *commands, struct telemetry *telemetry, struct streams *streams,
                   struct line *line)
{
    *commands = (struct commands){
        .telemetry = telemetry,
        .streams = streams,
        .line = line,
        .line_bits = line->baud,
    };
}

/* ---- what is answered later */

bool command_may_wait(const struct commands *commands, const void *subject)
{
    uint32_t free = 0;
    for (uint32_t i = 0; i < COMMANDS_PENDING; i++) {
        const struct pending *pending = &commands->pending[i];
        if (pending->finish == NULL) {
            free++;
        } else if (subject == NULL || pending->subject == NULL || pending->subject == subject) {
            return false;
        }
    }
    return free != 0 && !commands->closed;
}

static uint32_t check_of(const struct request *request)
{
    return tp_crc32c(0, request->args, request->size);
}

uint8_t command_later(struct commands *commands, const struct request *request, const void *subject,
                      command_finish finish, uint8_t stream, uint32_t value)
{
    struct pending *place = commands->pending;
    while (place->finish != NULL) {
        place++;
        ASSERT(place != commands->pending + COMMANDS_PENDING);
    }
    *place = (struct pending){
        .finish = finish,
        .subject = subject,
        .request = request->id,
        .command = request->command,
        .stream = stream,
        .value = value,
        .args_check = check_of(request),
        .deadline_us = request->now_us + COMMAND_LIMIT_US,
    };
    commands->pending_count++;
    return COMMAND_LATER;
}

void command_close(struct commands *commands, uint64_t now_us)
{
    commands->closed = true;
    for (uint32_t i = 0; i < COMMANDS_PENDING; i++) {
        commands->pending[i].deadline_us = now_us;
    }
}

static bool is_pending(const struct commands *commands, const struct request *request)
{
    for (uint32_t i = 0; i < COMMANDS_PENDING; i++) {
        const struct pending *pending = &commands->pending[i];
        if (pending->finish != NULL && pending->request == request->id &&
            pending->command == request->command && pending->args_check == check_of(request)) {
            return true;
        }
    }
    return false;
}

bool commands_can_take(const struct commands *commands)
{
    return commands->telemetry->answer_count + commands->pending_count < TELEMETRY_ANSWERS;
}

void commands_poll(struct commands *commands, uint64_t now_us)
{
    for (uint32_t i = 0; commands->pending_count != 0 && i < COMMANDS_PENDING; i++) {
        struct pending *pending = &commands->pending[i];
        if (pending->finish == NULL) {
            continue;
        }
        struct answer answer = {.request = pending->request, .command = pending->command};
        answer.status = pending->finish(commands, pending, &answer);
        if (answer.status == COMMAND_LATER && now_us >= pending->deadline_us) {
            answer.status = TP_STATUS_FAILED;
        }
        if (answer.status != COMMAND_LATER) {
            pending->finish = NULL;
            commands->pending_count--;
            telemetry_answer(commands->telemetry, &answer);
        }
    }
}

/* ---- dispatch */

static uint8_t dispatch(struct commands *commands, const struct request *request, struct answer *answer)
{
    if (request->command >= sizeof table / sizeof table[0] || table[request->command].handle == NULL) {
        return TP_STATUS_UNKNOWN_COMMAND;
    }
    if (request->size < table[request->command].args_size) {
        return TP_STATUS_BAD_LENGTH;
    }
    if ((table[request->command].flags & ABOUT_A_STREAM) != 0 && request->args[0] >= STREAMS) {
        return TP_STATUS_UNKNOWN_STREAM;
    }
    return table[request->command].handle(commands, request, answer);
}

void commands_handle(struct commands *commands, uint8_t type, const uint8_t *payload, size_t n,
                     uint64_t received_us, uint64_t now_us)
{
    struct tp_command command;
    if (type != TP_MESSAGE_COMMAND) {
        commands->refused_type++;
        return;
    }
    if (!tp_command_read(&command, payload, n)) {
        commands->refused_length++;
        return;
    }
    struct request request = {
        .id = command.request,
        .command = command.command,
        .args = command.args.data,
        .size = command.args.size,
        .received_us = received_us,
        .now_us = now_us,
    };
    if (is_pending(commands, &request)) {
        return; /* the host repeats what is under way: one answer, when it is done */
    }
    struct answer answer = {.request = request.id, .command = request.command};
    answer.status = dispatch(commands, &request, &answer);
    if (answer.status != COMMAND_LATER) {
        telemetry_answer(commands->telemetry, &answer);
    }
}
