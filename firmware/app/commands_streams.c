/* Commands about one stream. The table has seen to it that the stream exists. */
#include "app/budget.h"
#include "app/command.h"
#include "app/commands.h"
#include "app/configuration.h"

static struct sensor *sensor_of(const struct commands *commands, uint8_t stream)
{
    return commands->streams->stream[stream].sensor;
}

/* What a sensor's change came to; COMMAND_LATER, with `finish` to go on with, while it is under way. */
static uint8_t after_change(struct commands *commands, const struct request *request,
                            enum sensor_change change, command_finish finish, uint8_t stream, uint32_t value,
                            struct answer *answer)
{
    struct pending now = {.stream = stream, .value = value};
    switch (change) {
    case SENSOR_CHANGE_DONE:
        return finish(commands, &now, answer);
    case SENSOR_CHANGE_PENDING:
        return command_later(commands, request, sensor_of(commands, stream), finish, stream, value);
    case SENSOR_CHANGE_BUSY:
        return TP_STATUS_BUSY;
    case SENSOR_CHANGE_UNSUPPORTED:
        return TP_STATUS_UNSUPPORTED;
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
    case SENSOR_CHANGE_UNSUPPORTED:
        break;
    }
    return TP_STATUS_FAILED;
}

/* Over a budget, or (bad argument) out of limits: all commands say it in this form. */
static uint8_t refuse(struct answer *answer, uint8_t status, uint32_t needed, uint32_t available)
{
    struct tp_set_rate_refusal refusal = {.needed = needed, .available = available};
    answer->size = (uint8_t)tp_set_rate_refusal_write(answer->data, sizeof answer->data, &refusal);
    return status;
}

static uint8_t finish_rate(struct commands *commands, const struct pending *pending, struct answer *answer);

/* What is in force, with the rates that are about to be. */
static struct budget plan_now(const struct commands *commands)
{
    struct budget plan = budget_now(commands->streams);
    for (uint32_t i = 0; i < COMMANDS_PENDING; i++) {
        const struct pending *pending = &commands->pending[i];
        if (pending->finish == finish_rate) {
            budget_take_rate(&plan, commands->streams, pending->stream, pending->value);
        }
    }
    return plan;
}

/* What every change of a setting has to pass: it may happen now, its answer may wait for the sensor where it
 * has to, and line and bus carry the plan; NULL: it takes no more of them. */
static uint8_t admit(const struct commands *commands, uint8_t stream, bool later, const struct budget *plan,
                     struct answer *answer)
{
    struct budget_cost cost;
    if ((later && !command_may_wait(commands, sensor_of(commands, stream))) ||
        commands->configuration->applying || !streams_may_change(commands->streams, stream)) {
        return TP_STATUS_BUSY;
    }
    if (plan == NULL) {
        return TP_STATUS_OK;
    }
    uint8_t status = budget_check(commands->streams, plan, commands->line_bits, &cost);
    return status == TP_STATUS_OK ? status : refuse(answer, status, cost.needed, cost.available);
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
        return refuse(answer, TP_STATUS_BAD_ARGUMENT, lowest_mhz, highest_mhz);
    }
    enum sensor_change change = SENSOR_CHANGE_DONE;
    uint32_t rate_mhz = sensor->ops->nearest_rate(sensor, which, args.rate_mhz);
    struct budget plan = plan_now(commands);
    bool differs = rate_mhz != plan.stream[args.stream].rate_mhz;
    budget_take_rate(&plan, commands->streams, args.stream, rate_mhz);
    uint8_t status = admit(commands, args.stream, true, differs ? &plan : NULL, answer);
    if (status != TP_STATUS_OK) {
        return status;
    }
    bool other_wish = sensor->ops->wanted_rate != NULL && sensor->ops->wanted_rate(sensor, which) != rate_mhz;
    if (differs || other_wish) {
        change = sensor->ops->set_rate(sensor, which, rate_mhz, request->now_us);
    }
    return after_change(commands, request, change, finish_rate, args.stream, rate_mhz, answer);
}

/* ---- range */

static uint8_t finish_range(struct commands *commands, const struct pending *pending, struct answer *answer)
{
    uint8_t status = progress(commands, pending);
    if (status == TP_STATUS_OK) {
        struct stream_snapshot snapshot = streams_snapshot(commands->streams, pending->stream);
        struct tp_set_range_result result = {
            .full_scale = snapshot.descriptor.fields[pending->value].full_scale,
            .generation = snapshot.generation,
        };
        answer->size = (uint8_t)tp_set_range_result_write(answer->data, sizeof answer->data, &result);
    }
    return status;
}

uint8_t command_set_range(struct commands *commands, const struct request *request, struct answer *answer)
{
    struct tp_set_range_args args;
    bool read = tp_set_range_args_read(&args, request->args, request->size);
    ASSERT(read);
    struct sensor *sensor = sensor_of(commands, args.stream);
    uint8_t which = streams_which(commands->streams, args.stream);
    struct tp_set_range_refusal limits;
    if (args.field >= streams_descriptor(commands->streams, args.stream)->field_count) {
        return TP_STATUS_BAD_ARGUMENT;
    }
    if (sensor->ops->set_range == NULL ||
        !sensor->ops->range_limits(sensor, which, args.field, &limits.lowest, &limits.highest)) {
        return TP_STATUS_UNSUPPORTED;
    }
    float wanted = args.full_scale;
    if (!(wanted > 0.0f && wanted * SENSOR_RANGE_ROUNDING <= limits.highest)) { /* nor is NaN */
        answer->size = (uint8_t)tp_set_range_refusal_write(answer->data, sizeof answer->data, &limits);
        return TP_STATUS_BAD_ARGUMENT;
    }
    uint8_t status = admit(commands, args.stream, true, NULL, answer);
    if (status != TP_STATUS_OK) {
        return status;
    }
    enum sensor_change change = sensor->ops->set_range(sensor, which, args.field, wanted, request->now_us);
    return after_change(commands, request, change, finish_range, args.stream, args.field, answer);
}

/* ---- on and off, latency: done at once */

uint8_t command_enable_stream(struct commands *commands, const struct request *request, struct answer *answer)
{
    struct tp_enable_stream_args args;
    bool read = tp_enable_stream_args_read(&args, request->args, request->size);
    ASSERT(read);
    if (args.enabled > 1) {
        return TP_STATUS_BAD_ARGUMENT;
    }
    struct budget plan = plan_now(commands);
    bool more = args.enabled != 0 && !plan.stream[args.stream].enabled;
    plan.stream[args.stream].enabled = args.enabled != 0;
    uint8_t status = admit(commands, args.stream, false, more ? &plan : NULL, answer);
    if (status == TP_STATUS_OK) {
        streams_set_enabled(commands->streams, args.stream, args.enabled != 0);
    }
    return status;
}

uint8_t command_set_latency(struct commands *commands, const struct request *request, struct answer *answer)
{
    struct tp_set_latency_args args;
    bool read = tp_set_latency_args_read(&args, request->args, request->size);
    ASSERT(read);
    if (args.latency_us != 0 &&
        (args.latency_us < SAMPLER_LATENCY_MIN_US || args.latency_us > SAMPLER_LATENCY_MAX_US)) {
        return refuse(answer, TP_STATUS_BAD_ARGUMENT, SAMPLER_LATENCY_MIN_US, SAMPLER_LATENCY_MAX_US);
    }
    struct budget plan = plan_now(commands);
    bool differs = args.latency_us != plan.stream[args.stream].latency_us;
    plan.stream[args.stream].latency_us = args.latency_us;
    uint8_t status = admit(commands, args.stream, false, differs ? &plan : NULL, answer);
    if (status != TP_STATUS_OK) {
        return status;
    }
    streams_set_latency(commands->streams, args.stream, args.latency_us);
    struct tp_set_latency_result result = {
        .latency_us = streams_snapshot(commands->streams, args.stream).latency_us,
    };
    answer->size = (uint8_t)tp_set_latency_result_write(answer->data, sizeof answer->data, &result);
    return TP_STATUS_OK;
}

/* ---- self-test */

static uint8_t finish_self_test(struct commands *commands, const struct pending *pending,
                                struct answer *answer)
{
    uint8_t status = progress(commands, pending);
    if (status != TP_STATUS_OK) {
        return status;
    }
    const struct sensor *sensor = sensor_of(commands, pending->stream);
    const struct sensor_self_test *test =
        sensor->ops->self_test_result(sensor, streams_which(commands->streams, pending->stream));
    struct tp_self_test_field fields[SENSOR_FIELDS_MAX];
    ASSERT(test->count <= SENSOR_FIELDS_MAX);
    for (uint8_t i = 0; i < test->count; i++) {
        fields[i] = (struct tp_self_test_field){
            .response = test->field[i].response,
            .low = test->field[i].low,
            .high = test->field[i].high,
        };
    }
    struct tp_self_test_result result = {
        .passed = test->passed ? 1u : 0u,
        .fields = {.items = fields, .count = test->count},
    };
    answer->size = (uint8_t)tp_self_test_result_write(answer->data, sizeof answer->data, &result);
    return TP_STATUS_OK;
}

uint8_t command_self_test(struct commands *commands, const struct request *request, struct answer *answer)
{
    struct tp_self_test_args args;
    bool read = tp_self_test_args_read(&args, request->args, request->size);
    ASSERT(read);
    struct sensor *sensor = sensor_of(commands, args.stream);
    if (sensor->ops->self_test == NULL) {
        return TP_STATUS_UNSUPPORTED;
    }
    if (!command_may_wait(commands, sensor)) {
        return TP_STATUS_BUSY;
    }
    uint8_t which = streams_which(commands->streams, args.stream);
    enum sensor_change change = sensor->ops->self_test(sensor, which, request->now_us);
    return after_change(commands, request, change, finish_self_test, args.stream, 0, answer);
}
