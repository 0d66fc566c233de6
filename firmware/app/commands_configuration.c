/* Commands about the stored configuration. */
#include "app/command.h"
#include "app/commands.h"
#include "app/configuration.h"

uint8_t command_save_configuration(struct commands *commands, const struct request *request,
                                   struct answer *answer)
{
    (void)request;
    (void)answer;
    if (!commands->configuration->store.usable) {
        return TP_STATUS_UNSUPPORTED;
    }
    if (!command_may_wait(commands, NULL)) { /* what is in force is about to change */
        return TP_STATUS_BUSY;
    }
    return configuration_save(commands->configuration) ? TP_STATUS_OK : TP_STATUS_FAILED;
}

static uint8_t finish_restore(struct commands *commands, const struct pending *pending, struct answer *answer)
{
    (void)pending;
    (void)answer;
    if (commands->configuration->applying) {
        return COMMAND_LATER;
    }
    return commands->configuration->failed ? TP_STATUS_FAILED : TP_STATUS_OK;
}

uint8_t command_restore_configuration(struct commands *commands, const struct request *request,
                                      struct answer *answer)
{
    struct configuration *configuration = commands->configuration;
    struct tp_restore_configuration_args args;
    bool read = tp_restore_configuration_args_read(&args, request->args, request->size);
    ASSERT(read);
    if (args.source > TP_CONFIGURATION_DEFAULTS) {
        return TP_STATUS_BAD_ARGUMENT;
    }
    bool stored = args.source == TP_CONFIGURATION_STORED;
    if (stored && !configuration->store.usable) {
        return TP_STATUS_UNSUPPORTED;
    }
    if (!command_may_wait(commands, NULL) || configuration->applying) {
        return TP_STATUS_BUSY;
    }
    if (stored ? !configuration->readable : !configuration_clear(configuration)) {
        return TP_STATUS_FAILED;
    }
    configuration_restore(configuration, stored, commands->line_bits, request->now_us);
    struct pending now = {0};
    uint8_t status = finish_restore(commands, &now, answer);
    return status == COMMAND_LATER ? command_later(commands, request, NULL, finish_restore, 0, 0) : status;
}
