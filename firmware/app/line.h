/* Which rate the line has, and when it changes: the states only, no hardware.
 *
 *              line_change(new)             drained, switched              ping
 *     STEADY -------------------> LEAVING ---------------------> PROVING --------> STEADY at the new rate
 *       ^ \                        ^ |  \                           |
 *       |  5 s without a frame, ---+ |   +--- 1 s without a ping ---+
 *       |  not at the default        |        (to the rate before)
 *       +--------- drained, switched +
 *
 * LEAVING ends as well, drained or not, when twice the time is over that all that can wait takes at the rate
 * in force: what was not sent by then never goes, or goes damaged, but the board listens again.
 *
 * Away from STEADY the board sends nothing but answers: a host that has not followed yet would lose the rest.
 * Samples wait meanwhile, and are counted where they find no room.
 */
#ifndef APP_LINE_H
#define APP_LINE_H

#include <stdbool.h>
#include <stdint.h>

#define LINE_BAUD_MIN   115200u
#define LINE_BAUD_MAX   3000000u
#define LINE_PROOF_US   1000000u /* SPEC.md "Commands" */
#define LINE_SILENCE_US 5000000u

enum line_state { LINE_STEADY, LINE_LEAVING, LINE_PROVING };

struct line {
    enum line_state state;
    bool falling; /* LEAVING: back, to a rate that needs no proof */
    uint32_t default_baud;
    uint32_t baud;      /* in force */
    uint32_t other;     /* LEAVING: the next; PROVING: the one before */
    uint32_t rest;      /* bytes at most that still wait to be sent when the rate is left */
    uint64_t leave_us;  /* LEAVING: when the time is up */
    uint64_t heard_us;  /* last good frame of the host, or last switch */
    uint64_t proof_us;  /* PROVING: when the time is up */
    uint32_t fallbacks; /* to the default rate, because the host was silent */
};

/* `baud`, as every rate here: what the divider makes. `rest`: bytes at most that wait to be sent at a time.
 */
void line_init(struct line *line, uint32_t baud, uint32_t rest);

/* Whether line_change() may be called. */
bool line_may_change(const struct line *line);

/* Another rate than the one in force; its answer is queued. */
void line_change(struct line *line, uint32_t baud, uint64_t now_us);

/* A good frame of the host, a ping or not. */
void line_heard(struct line *line, bool ping, uint64_t now_us);

/* The rate to switch to now, or 0. `drained`: nothing waits to be sent and the last stop bit has left. Where
 * it is not, LEAVING has taken too long. */
uint32_t line_poll(struct line *line, bool drained, uint64_t now_us);

/* Whether the board reads what the host says, and whether it sends more than answers. */
bool line_listens(const struct line *line);
bool line_is_open(const struct line *line);

#endif
