#include "app/line.h"

#include "lib/check.h"

#define BITS_PER_BYTE 10u /* start and stop bit */

void line_init(struct line *line, uint32_t baud, uint32_t rest)
{
    *line = (struct line){.default_baud = baud, .baud = baud, .rest = rest};
}

static void leave(struct line *line, uint32_t baud, bool falling, uint64_t now_us)
{
    line->state = LINE_LEAVING;
    line->other = baud;
    line->falling = falling;
    line->leave_us = now_us + 2u * (uint64_t)line->rest * BITS_PER_BYTE * 1000000u / line->baud;
}

bool line_may_change(const struct line *line)
{
    return line->state == LINE_STEADY;
}

void line_change(struct line *line, uint32_t baud, uint64_t now_us)
{
    ASSERT(line_may_change(line) && baud != line->baud);
    leave(line, baud, false, now_us);
}

void line_heard(struct line *line, bool ping, uint64_t now_us)
{
    line->heard_us = now_us;
    if (ping && line->state == LINE_PROVING) {
        line->state = LINE_STEADY;
    }
}

static uint32_t arrive(struct line *line, uint64_t now_us)
{
    uint32_t before = line->baud;
    line->baud = line->other;
    line->other = before;
    line->state = line->falling ? LINE_STEADY : LINE_PROVING;
    line->heard_us = now_us;
    line->proof_us = now_us + LINE_PROOF_US;
    if (line->falling && line->baud == line->default_baud) {
        line->fallbacks++;
    }
    return line->baud;
}

uint32_t line_poll(struct line *line, bool drained, uint64_t now_us)
{
    if (line->state == LINE_STEADY && line->baud != line->default_baud &&
        now_us >= line->heard_us + LINE_SILENCE_US) {
        leave(line, line->default_baud, true, now_us);
    } else if (line->state == LINE_PROVING && now_us >= line->proof_us) {
        leave(line, line->other, true, now_us);
    }
    bool over = drained || now_us >= line->leave_us;
    return line->state == LINE_LEAVING && over ? arrive(line, now_us) : 0;
}

bool line_listens(const struct line *line)
{
    return line->state != LINE_LEAVING;
}

bool line_is_open(const struct line *line)
{
    return line->state == LINE_STEADY;
}
