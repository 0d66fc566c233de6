#include "app/fit.h"

#include "app/budget.h"

static char *append(char *to, const char *text)
{
    while (*text != '\0') {
        *to++ = *text++;
    }
    return to;
}

static char *append_number(char *to, uint32_t value)
{
    char digits[10]; /* of 2^32 */
    unsigned n = 0;
    do {
        digits[n++] = (char)('0' + value % 10u);
        value /= 10u;
    } while (value != 0);
    while (n != 0) {
        *to++ = digits[--n];
    }
    return to;
}

static void say(struct fit *fit, uint8_t status, const struct budget_cost *cost, const char *outcome,
                uint64_t now_us)
{
    char *end = append(fit->text, status == TP_STATUS_OVER_LINE_BUDGET ? "the line" : "the sensor bus");
    end = append_number(append(end, " has "), cost->available);
    end = append_number(append(end, " bit/s, the streams need "), cost->needed);
    *append(end, outcome) = '\0';
    log_add(fit->log, now_us, TP_LOG_LEVEL_WARNING, fit->text);
}

static void remember(struct fit *fit, uint8_t number)
{
    fit->part[number] = streams_descriptor(fit->streams, number)->part;
    fit->bus[number] = streams_descriptor(fit->streams, number)->bus;
}

/* The plan with a rate of this stream that fits, or the lowest there is. */
static void lower(const struct fit *fit, struct budget *plan, uint8_t number, uint32_t line_bits)
{
    const struct sensor *sensor = fit->streams->stream[number].sensor;
    uint8_t which = streams_which(fit->streams, number);
    uint32_t *rate_mhz = &plan->stream[number].rate_mhz;
    struct budget_cost cost;
    uint32_t lowest;
    uint32_t highest;
    sensor->ops->rate_range(sensor, which, &lowest, &highest);
    while (budget_check(fit->streams, plan, line_bits, &cost) != TP_STATUS_OK && *rate_mhz / 2u >= lowest) {
        *rate_mhz = sensor->ops->nearest_rate(sensor, which, *rate_mhz / 2u);
    }
}

/* False: the sensor is busy, so that this is to be done again. */
static bool check_part(struct fit *fit, uint8_t number, uint32_t line_bits, const char *outcome,
                       uint64_t now_us)
{
    struct sensor *sensor = fit->streams->stream[number].sensor;
    struct budget plan = budget_now(fit->streams);
    struct budget_cost cost;
    uint8_t status = budget_check(fit->streams, &plan, line_bits, &cost);
    uint32_t before_mhz = plan.stream[number].rate_mhz;
    if (status == TP_STATUS_OK) {
        return true;
    }
    lower(fit, &plan, number, line_bits);
    if (plan.stream[number].rate_mhz == before_mhz) {
        return true; /* it is not this one's: whose rate it is has been asked before */
    }
    if (!streams_may_change(fit->streams, number) ||
        sensor->ops->set_rate(sensor, streams_which(fit->streams, number), plan.stream[number].rate_mhz,
                              now_us) == SENSOR_CHANGE_BUSY) {
        return false;
    }
    say(fit, status, &cost, outcome, now_us);
    return true;
}

void fit_init(struct fit *fit, const struct streams *streams, struct log *log, uint32_t line_bits)
{
    *fit = (struct fit){.streams = streams, .log = log};
    for (uint8_t i = 0; i < STREAMS; i++) {
        (void)check_part(fit, i, line_bits, ": lower rates than usual", 0); /* no sensor is busy yet */
        remember(fit, i);
    }
}

void fit_poll(struct fit *fit, uint32_t line_bits, uint64_t now_us)
{
    for (uint8_t i = 0; i < STREAMS; i++) {
        const struct sensor_stream *descriptor = streams_descriptor(fit->streams, i);
        if ((fit->part[i] != descriptor->part || fit->bus[i] != descriptor->bus) &&
            check_part(fit, i, line_bits, ": a lower rate for the part that was found", now_us)) {
            remember(fit, i);
        }
    }
}

void fit_line_changed(struct fit *fit, uint32_t line_bits, uint64_t now_us)
{
    struct budget now = budget_now(fit->streams);
    struct budget_cost cost;
    if (budget_check(fit->streams, &now, line_bits, &cost) == TP_STATUS_OVER_LINE_BUDGET) {
        say(fit, TP_STATUS_OVER_LINE_BUDGET, &cost, ": samples will be lost", now_us);
    }
}
