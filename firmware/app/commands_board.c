/* Commands about the board as a whole. */
#include "app/command.h"
#include "app/commands.h"
#include "hal/fault.h"

uint8_t command_ping(struct commands *commands, const struct request *request, struct answer *answer)
{
    struct tp_ping_args args;
    bool read = tp_ping_args_read(&args, request->args, request->size);
    ASSERT(read); /* the table has its size */
    line_heard(commands->line, true, request->now_us);
    /* sent_us is filled in when the answer goes out */
    struct tp_ping_result result = {.host_ns = args.host_ns, .received_us = request->received_us};
    answer->size = (uint8_t)tp_ping_result_write(answer->data, sizeof answer->data, &result);
    return TP_STATUS_OK;
}

uint8_t command_describe(struct commands *commands, const struct request *request, struct answer *answer)
{
    (void)request;
    (void)answer;
    telemetry_describe(commands->telemetry);
    return TP_STATUS_OK;
}

uint8_t command_get_health(struct commands *commands, const struct request *request, struct answer *answer)
{
    (void)request;
    (void)answer;
    commands->health_wanted = true;
    return TP_STATUS_OK;
}

uint8_t command_reset(struct commands *commands, const struct request *request, struct answer *answer)
{
    (void)answer;
    command_close(commands, request->now_us);
    commands->reset_wanted = true;
    return TP_STATUS_OK;
}

uint8_t command_enter_bootloader(struct commands *commands, const struct request *request,
                                 struct answer *answer)
{
    if ((commands->telemetry->identity.capabilities & TP_CAPABILITIES_ROM_BOOTLOADER) == 0) {
        return TP_STATUS_UNSUPPORTED;
    }
    commands->bootloader_wanted = true;
    return command_reset(commands, request, answer);
}

uint8_t command_clear_counters(struct commands *commands, const struct request *request,
                               struct answer *answer)
{
    (void)request;
    (void)answer;
    commands->clear_wanted = true;
    return TP_STATUS_OK;
}

uint8_t command_acknowledge_fault(struct commands *commands, const struct request *request,
                                  struct answer *answer)
{
    (void)commands;
    (void)answer;
    struct tp_acknowledge_fault_args args;
    bool read = tp_acknowledge_fault_args_read(&args, request->args, request->size);
    ASSERT(read);
    const struct hal_fault *record = hal_fault_record();
    if (record != NULL && record->boot_id == args.boot_id) {
        hal_fault_forget();
    }
    return TP_STATUS_OK; /* the record of another boot than that stays: it was not what the host has read */
}
