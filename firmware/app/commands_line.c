/* The command that changes the line's rate; line.h has what follows its answer. */
#include "app/budget.h"
#include "app/command.h"
#include "app/commands.h"
#include "hal/uart.h"

static uint8_t refuse(struct answer *answer, uint8_t status, uint32_t needed, uint32_t available)
{
    struct tp_set_baud_refusal refusal = {.needed = needed, .available = available};
    answer->size = (uint8_t)tp_set_baud_refusal_write(answer->data, sizeof answer->data, &refusal);
    return status;
}

static uint32_t highest(void)
{
    uint32_t highest = hal_uart_baud_max();
    return highest < LINE_BAUD_MAX ? highest : LINE_BAUD_MAX;
}

uint8_t command_set_baud(struct commands *commands, const struct request *request, struct answer *answer)
{
    struct tp_set_baud_args args;
    bool read = tp_set_baud_args_read(&args, request->args, request->size);
    ASSERT(read); /* the table has its size */
    uint32_t baud = args.baud >= LINE_BAUD_MIN && args.baud <= LINE_BAUD_MAX ? hal_uart_actual(args.baud) : 0;
    if (baud == 0) {
        return refuse(answer, TP_STATUS_BAD_ARGUMENT, LINE_BAUD_MIN, highest());
    }
    struct budget now = budget_now(commands->streams);
    uint32_t needed = budget_line_bits(commands->streams, &now);
    if (needed > baud && baud != commands->line->baud) {
        return refuse(answer, TP_STATUS_OVER_LINE_BUDGET, needed, baud);
    }
    if (baud != commands->line->baud) {
        /* an answer that is still owed would be sent at a rate that the host may not have yet */
        if (!line_may_change(commands->line) || !command_may_wait(commands, NULL)) {
            return TP_STATUS_BUSY;
        }
        line_change(commands->line, baud, request->now_us);
    }
    struct tp_set_baud_result result = {.baud = baud};
    answer->size = (uint8_t)tp_set_baud_result_write(answer->data, sizeof answer->data, &result);
    return TP_STATUS_OK;
}
