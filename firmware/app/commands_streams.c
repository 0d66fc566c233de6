/* Commands about one stream. The table has seen to it that the stream exists. */
#include "app/budget.h"
#include "app/command.h"
#include "app/commands.h"

static struct sensor *sensor_of(const struct commands *commands, uint8_t stream)
{
    return commands->streams->stream[stream].sensor;
}

/* What a sensor's change came to; COMMAND_LATER, with `finish` to go on with, while it is under way. */
static uint8_t after_change(struct commands *commands, const struct request *request,
                            enum sensor_change change, command_finish finish, uint8_t stream, uint8_t field,
                            struct answer *answer)
{
    struct pending now = {.stream = stream, .field = field};
    switch (change) {
    case SENSOR_CHANGE_DONE:
        return finish(commands, &now, answer);
    case SENSOR_CHANGE_PENDING:
        return command_later(commands, request, sensor_of(commands, stream), finish, stream, field);
    case SENSOR_CHANGE_BUSY:
        return TP_STATUS_BUSY;
    case SENSOR_CHANGE_FAILED:
        break;
    }
    return TP_STATUS_FAILED;
}

/* How a change under way stands: COMMAND_LATER, `ok` or `failed`. One that was done at once is `ok`. */
static uint8_t progress(const struct commands *commands, const struct pending *pending)
{
    const struct sensor *sensor = sensor_of(commands, pending->stream);
    if (pending->finish == NULL) {
        return TP_STATUS_OK;
    }
    switch (sensor->ops->change_status(sensor)) {
    case SENSOR_CHANGE_PENDING:
        return COMMAND_LATER;
    case SENSOR_CHANGE_DONE:
        return TP_STATUS_OK;
    case SENSOR_CHANGE_BUSY:
    case SENSOR_CHANGE_FAILED:
        break;
    }
    return TP_STATUS_FAILED;
}

/* ---- rate */

uint8_t command_get_rate(struct commands *commands, const struct request *request, struct answer *answer)
{
    struct tp_get_rate_args args;
    bool read = tp_get_rate_args_read(&args, request->args, request->size);
    ASSERT(read);
    struct tp_get_rate_result result = {
        .rate_mhz = streams_snapshot(commands->streams, args.stream).descriptor.rate_mhz,
    };
    answer->size = (uint8_t)tp_get_rate_result_write(answer->data, sizeof answer->data, &result);
    return TP_STATUS_OK;
}

static uint8_t refuse_rate(struct answer *answer, uint8_t status, uint32_t needed, uint32_t available)
{
    struct tp_set_rate_refusal refusal = {.needed = needed, .available = available};
    answer->size = (uint8_t)tp_set_rate_refusal_write(answer->data, sizeof answer->data, &refusal);
    return status;
}

static uint8_t finish_rate(struct commands *commands, const struct pending *pending, struct answer *answer)
{
    uint8_t status = progress(commands, pending);
    if (status == TP_STATUS_OK) {
        struct stream_snapshot snapshot = streams_snapshot(commands->streams, pending->stream);
        struct tp_set_rate_result result = {
            .rate_mhz = snapshot.descriptor.rate_mhz,
            .generation = snapshot.generation,
        };
        answer->size = (uint8_t)tp_set_rate_result_write(answer->data, sizeof answer->data, &result);
    }
    return status;
}

uint8_t command_set_rate(struct commands *commands, const struct request *request, struct answer *answer)
{
    struct tp_set_rate_args args;
    bool read = tp_set_rate_args_read(&args, request->args, request->size);
    ASSERT(read);
    struct sensor *sensor = sensor_of(commands, args.stream);
    uint8_t which = streams_which(commands->streams, args.stream);
    uint32_t lowest_mhz;
    uint32_t highest_mhz;
    sensor->ops->rate_range(sensor, which, &lowest_mhz, &highest_mhz);
    if (lowest_mhz == highest_mhz) {
        return TP_STATUS_UNSUPPORTED;
    }
    if (args.rate_mhz < lowest_mhz || args.rate_mhz > highest_mhz) {
        return refuse_rate(answer, TP_STATUS_BAD_ARGUMENT, lowest_mhz, highest_mhz);
    }
    if (!command_may_wait(commands, sensor)) {
        return TP_STATUS_BUSY;
    }
    enum sensor_change change = SENSOR_CHANGE_DONE;
    uint32_t rate_mhz = sensor->ops->nearest_rate(sensor, which, args.rate_mhz);
    struct budget plan = budget_now(commands->streams);
    if (rate_mhz != plan.stream[args.stream].rate_mhz) {
        plan.stream[args.stream].rate_mhz = rate_mhz;
        struct budget_cost cost;
        uint8_t status = budget_check(commands->streams, &plan, commands->line_bits, &cost);
        if (status != TP_STATUS_OK) {
            return refuse_rate(answer, status, cost.needed, cost.available);
        }
        change = sensor->ops->set_rate(sensor, which, rate_mhz, request->now_us);
    }
    return after_change(commands, request, change, finish_rate, args.stream, 0, answer);
}
