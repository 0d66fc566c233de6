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

/* Whether it had to be lowered. */
static bool lower_default(const struct fit *fit, uint8_t number, uint32_t line_bits)
{
    struct sensor *sensor = fit->streams->stream[number].sensor;
    uint8_t which = streams_which(fit->streams, number);
    uint32_t lowest_mhz;
    uint32_t highest_mhz;
    bool lowered = false;
    sensor->ops->rate_range(sensor, which, &lowest_mhz, &highest_mhz);
    for (;;) {
        struct budget now = budget_now(fit->streams);
        struct budget_cost cost;
        uint32_t rate_mhz = now.stream[number].rate_mhz / 2u;
        if (rate_mhz < lowest_mhz || budget_check(fit->streams, &now, line_bits, &cost) == TP_STATUS_OK ||
            sensor->ops->set_rate(sensor, which, sensor->ops->nearest_rate(sensor, which, rate_mhz), 0) !=
                SENSOR_CHANGE_DONE) {
            return lowered;
        }
        lowered = true;
    }
}

void fit_init(struct fit *fit, const struct streams *streams, struct log *log, uint32_t line_bits)
{
    *fit = (struct fit){.streams = streams, .log = log};
    struct budget usual = budget_now(streams);
    struct budget_cost cost;
    uint8_t status = budget_check(streams, &usual, line_bits, &cost);
    bool lowered = false;
    for (uint8_t i = 0; i < STREAMS; i++) {
        lowered |= lower_default(fit, i, line_bits);
    }
    if (lowered) {
        say(fit, status, &cost, ": lower rates than usual", 0);
    }
}

bool fit_allows(struct fit *fit, const struct sensor *sensor, const struct sensor_stream *next,
                uint32_t line_bits, uint64_t now_us)
{
    struct budget plan = budget_now(fit->streams);
    struct budget_cost cost;
    for (uint8_t i = 0; i < sensor->stream_count; i++) {
        budget_take(&plan, (uint8_t)(sensor->first_stream + i), &next[i]);
    }
    uint8_t status = budget_check(fit->streams, &plan, line_bits, &cost);
    bool wish = next->rate_mhz == sensor->ops->nearest_rate(sensor, 0, sensor->ops->wanted_rate(sensor, 0));
    if (status != TP_STATUS_OK && wish) { /* said once, not at each rate that is tried below it */
        say(fit, status, &cost, ": a lower rate for the part that was found", now_us);
    }
    return status == TP_STATUS_OK;
}

void fit_line_changed(struct fit *fit, uint32_t line_bits, uint64_t now_us)
{
    struct budget now = budget_now(fit->streams);
    struct budget_cost cost;
    if (budget_check(fit->streams, &now, line_bits, &cost) == TP_STATUS_OVER_LINE_BUDGET) {
        say(fit, TP_STATUS_OVER_LINE_BUDGET, &cost, ": samples will be lost", now_us);
    }
}
