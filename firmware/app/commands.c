#include "app/commands.h"

#include "app/budget.h"

struct request {
    const uint8_t *args;
    size_t size;
    uint64_t received_us;
    uint64_t now_us;
};

/* The status; with DEFERRED the answer follows later. Result or refusal go to the answer's data. */
typedef uint8_t (*handler)(struct commands *commands, const struct request *request, struct answer *answer);
#define DEFERRED 0xFFu

static uint8_t ping(struct commands *commands, const struct request *request, struct answer *answer)
{
    (void)commands;
    struct tp_ping_args args;
    if (!tp_ping_args_read(&args, request->args, request->size)) {
        return TP_STATUS_BAD_LENGTH;
    }
    /* sent_us is filled in when the answer goes out */
    struct tp_ping_result result = {.host_ns = args.host_ns, .received_us = request->received_us};
    answer->size = (uint8_t)tp_ping_result_write(answer->data, sizeof answer->data, &result);
    return TP_STATUS_OK;
}

static uint8_t describe(struct commands *commands, const struct request *request, struct answer *answer)
{
    (void)request;
    (void)answer;
    telemetry_describe(commands->telemetry);
    return TP_STATUS_OK;
}

static uint8_t get_rate(struct commands *commands, const struct request *request, struct answer *answer)
{
    struct tp_get_rate_args args;
    if (!tp_get_rate_args_read(&args, request->args, request->size)) {
        return TP_STATUS_BAD_LENGTH;
    }
    if (args.stream >= STREAMS) {
        return TP_STATUS_UNKNOWN_STREAM;
    }
    struct tp_get_rate_result result = {
        .rate_mhz = streams_snapshot(commands->streams, args.stream).descriptor.rate_mhz,
    };
    answer->size = (uint8_t)tp_get_rate_result_write(answer->data, sizeof answer->data, &result);
    return TP_STATUS_OK;
}

static uint8_t refuse(struct answer *answer, uint8_t status, uint32_t needed, uint32_t available)
{
    struct tp_set_rate_refusal refusal = {.needed = needed, .available = available};
    answer->size = (uint8_t)tp_set_rate_refusal_write(answer->data, sizeof answer->data, &refusal);
    return status;
}

static uint8_t state_rate(struct commands *commands, uint8_t number, struct answer *answer)
{
    struct stream_snapshot snapshot = streams_snapshot(commands->streams, number);
    struct tp_set_rate_result result = {
        .rate_mhz = snapshot.descriptor.rate_mhz,
        .generation = snapshot.generation,
    };
    answer->size = (uint8_t)tp_set_rate_result_write(answer->data, sizeof answer->data, &result);
    return TP_STATUS_OK;
}

static uint8_t set_rate(struct commands *commands, const struct request *request, struct answer *answer)
{
    struct tp_set_rate_args args;
    if (!tp_set_rate_args_read(&args, request->args, request->size)) {
        return TP_STATUS_BAD_LENGTH;
    }
    if (args.stream >= STREAMS) {
        return TP_STATUS_UNKNOWN_STREAM;
    }
    struct sensor *sensor = commands->streams->stream[args.stream].sensor;
    uint8_t which = streams_which(commands->streams, args.stream);
    uint32_t lowest_mhz;
    uint32_t highest_mhz;
    sensor->ops->rate_range(sensor, which, &lowest_mhz, &highest_mhz);
    if (lowest_mhz == highest_mhz) {
        return TP_STATUS_UNSUPPORTED;
    }
    if (args.rate_mhz < lowest_mhz || args.rate_mhz > highest_mhz) {
        return refuse(answer, TP_STATUS_BAD_ARGUMENT, lowest_mhz, highest_mhz);
    }
    uint32_t rate_mhz = sensor->ops->nearest_rate(sensor, which, args.rate_mhz);
    uint32_t needed = budget_line_bits(commands->streams, args.stream, rate_mhz);
    if (needed > commands->line_bits) {
        return refuse(answer, TP_STATUS_OVER_LINE_BUDGET, needed, commands->line_bits);
    }
    needed = budget_bus_bits(commands->streams, args.stream, rate_mhz);
    if (needed > commands->bus_bits && commands->bus_bits != 0) {
        return refuse(answer, TP_STATUS_OVER_BUS_BUDGET, needed, commands->bus_bits);
    }
    if (commands->rate_pending) {
        return TP_STATUS_BUSY;
    }
    if (rate_mhz == streams_snapshot(commands->streams, args.stream).descriptor.rate_mhz) {
        return state_rate(commands, args.stream, answer);
    }
    switch (sensor->ops->set_rate(sensor, which, rate_mhz, request->now_us)) {
    case SENSOR_CHANGE_DONE:
        return state_rate(commands, args.stream, answer);
    case SENSOR_CHANGE_PENDING:
        commands->rate_pending = true;
        commands->rate_stream = args.stream;
        return DEFERRED;
    case SENSOR_CHANGE_BUSY:
        return TP_STATUS_BUSY;
    case SENSOR_CHANGE_FAILED:
        break;
    }
    return TP_STATUS_FAILED;
}

static uint8_t get_health(struct commands *commands, const struct request *request, struct answer *answer)
{
    (void)request;
    (void)answer;
    commands->health_wanted = true;
    return TP_STATUS_OK;
}

static uint8_t reset(struct commands *commands, const struct request *request, struct answer *answer)
{
    (void)request;
    (void)answer;
    commands->reset_wanted = true;
    return TP_STATUS_OK;
}

static const handler handlers[] = {
    [TP_COMMAND_PING] = ping,         [TP_COMMAND_DESCRIBE] = describe,     [TP_COMMAND_GET_RATE] = get_rate,
    [TP_COMMAND_SET_RATE] = set_rate, [TP_COMMAND_GET_HEALTH] = get_health, [TP_COMMAND_RESET] = reset,
};

void commands_init(struct commands *commands, struct telemetry *telemetry, struct streams *streams,
                   uint32_t line_bits, uint32_t bus_bits)
{
    *commands = (struct commands){
        .telemetry = telemetry,
        .streams = streams,
        .line_bits = line_bits,
        .bus_bits = bus_bits,
    };
}

bool commands_can_take(const struct commands *commands)
{
    return commands->telemetry->answer_count + (commands->rate_pending ? 1u : 0u) < TELEMETRY_ANSWERS;
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
    if (commands->rate_pending && command.command == TP_COMMAND_SET_RATE &&
        command.request == commands->rate_answer.request) {
        return; /* the host repeats what is under way: one answer, when it is done */
    }
    struct answer answer = {.request = command.request, .command = command.command};
    struct request request = {
        .args = command.args.data,
        .size = command.args.size,
        .received_us = received_us,
        .now_us = now_us,
    };
    handler handle =
        command.command < sizeof handlers / sizeof handlers[0] ? handlers[command.command] : NULL;
    answer.status = handle != NULL ? handle(commands, &request, &answer) : (uint8_t)TP_STATUS_UNKNOWN_COMMAND;
    if (answer.status == DEFERRED) {
        commands->rate_answer = answer;
    } else {
        telemetry_answer(commands->telemetry, &answer);
    }
}

void commands_poll(struct commands *commands)
{
    if (!commands->rate_pending) {
        return;
    }
    const struct sensor *sensor = commands->streams->stream[commands->rate_stream].sensor;
    enum sensor_change status = sensor->ops->change_status(sensor);
    if (status == SENSOR_CHANGE_PENDING) {
        return;
    }
    commands->rate_pending = false;
    commands->rate_answer.status = TP_STATUS_FAILED;
    if (status == SENSOR_CHANGE_DONE) {
        commands->rate_answer.status = state_rate(commands, commands->rate_stream, &commands->rate_answer);
    }
    telemetry_answer(commands->telemetry, &commands->rate_answer);
}
