/* The shape of a command: what its function gets, how it answers, and how it answers later.
 *
 *     request --> handler --> status and data                                       answered at once
 *                        \--> command_later() ... finish, finish, ... status        answered when it is over
 *
 * A command that takes a while holds what it works on (its subject: a sensor, say) until it is over; another
 * one for the same subject is answered `busy` meanwhile, and a repetition of the request is not another one.
 * Its answer comes for certain: after COMMAND_LIMIT_US, or when the board is about to reset, it is `failed`.
 */
#ifndef APP_COMMAND_H
#define APP_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "app/telemetry.h"
#include "lib/check.h"

#define COMMAND_LATER    0xFFu    /* instead of a status: the answer follows */
#define COMMAND_LIMIT_US 1500000u /* a host gives up after 2 s, SPEC.md "Conversation" */
#define COMMANDS_PENDING 4u

struct commands;

struct request {
    uint16_t id;
    uint8_t command;
    const uint8_t *args; /* at least as many bytes as the table says */
    size_t size;
    uint64_t received_us; /* device time at the frame's delimiter */
    uint64_t now_us;
};

/* Returns the status, or what command_later() gave; result or refusal go to the answer's data. */
typedef uint8_t (*command_handler)(struct commands *commands, const struct request *request,
                                   struct answer *answer);

struct pending;

/* Called by the main loop until it returns something else than COMMAND_LATER. */
typedef uint8_t (*command_finish)(struct commands *commands, const struct pending *pending,
                                  struct answer *answer);

/* A command whose answer is still owed. */
struct pending {
    command_finish finish; /* NULL: this place is free */
    const void *subject;   /* NULL: all of the board */
    uint16_t request;
    uint8_t command;
    uint8_t stream; /* both for finish(), as it likes */
    uint32_t value;
    uint32_t args_check; /* CRC of the arguments: a repetition has the same */
    uint64_t deadline_us;
};

/* Whether a command about this subject may be put off now; otherwise it is `busy`. Ask before anything is
 * changed. */
WARN_UNUSED bool command_may_wait(const struct commands *commands, const void *subject);

/* Puts the answer off; COMMAND_LATER. command_may_wait() held. */
uint8_t command_later(struct commands *commands, const struct request *request, const void *subject,
                      command_finish finish, uint8_t stream, uint32_t value);

/* The board is about to go: what is pending ends at the next look, and nothing more is put off. */
void command_close(struct commands *commands, uint64_t now_us);

/* Every command there is, by the file that has it; the table in commands.c names its id and arguments. */

/* commands_board.c */
uint8_t command_ping(struct commands *commands, const struct request *request, struct answer *answer);
uint8_t command_describe(struct commands *commands, const struct request *request, struct answer *answer);
uint8_t command_get_health(struct commands *commands, const struct request *request, struct answer *answer);
uint8_t command_reset(struct commands *commands, const struct request *request, struct answer *answer);
uint8_t command_enter_bootloader(struct commands *commands, const struct request *request,
                                 struct answer *answer);
uint8_t command_clear_counters(struct commands *commands, const struct request *request,
                               struct answer *answer);
uint8_t command_acknowledge_fault(struct commands *commands, const struct request *request,
                                  struct answer *answer);

/* commands_line.c */
uint8_t command_set_baud(struct commands *commands, const struct request *request, struct answer *answer);

/* commands_configuration.c */
uint8_t command_save_configuration(struct commands *commands, const struct request *request,
                                   struct answer *answer);
uint8_t command_restore_configuration(struct commands *commands, const struct request *request,
                                      struct answer *answer);

/* commands_streams.c: the stream exists */
uint8_t command_get_rate(struct commands *commands, const struct request *request, struct answer *answer);
uint8_t command_set_rate(struct commands *commands, const struct request *request, struct answer *answer);
uint8_t command_set_range(struct commands *commands, const struct request *request, struct answer *answer);
uint8_t command_enable_stream(struct commands *commands, const struct request *request,
                              struct answer *answer);
uint8_t command_set_latency(struct commands *commands, const struct request *request, struct answer *answer);
uint8_t command_self_test(struct commands *commands, const struct request *request, struct answer *answer);

#endif
