#include "app/boot.h"

#include <stddef.h>

#include "hal/adc.h"
#include "hal/fault.h"
#include "hal/noinit.h"
#include "hal/system.h"
#include "tp_frame.h"
#include "tp_messages.h"

#define MAGIC 0x1B007ED1u

_Static_assert((int)HAL_RESET_LOW_POWER == (int)TP_RESET_CAUSE_LOW_POWER, "the values of the wire");
_Static_assert((int)HAL_RESET_PIN == (int)TP_RESET_CAUSE_PIN, "the values of the wire");

static uint32_t check_of(const struct hal_noinit *kept)
{
    return tp_crc32c(0, kept, offsetof(struct hal_noinit, check));
}

uint32_t boot_next_id(void)
{
    struct hal_noinit *kept = hal_noinit();
    if (kept->magic == MAGIC && kept->check == check_of(kept)) {
        kept->boot_id++;
    } else {
        uint32_t sources[] = {hal_system_ram_hash(), hal_noinit_seed(), hal_adc_noise(0)};
        kept->magic = MAGIC;
        kept->boot_id = tp_crc32c(0, sources, sizeof sources);
    }
    kept->check = check_of(kept);
    return kept->boot_id;
}

uint8_t boot_reset_cause(void)
{
    return hal_fault_is_fresh() ? (uint8_t)TP_RESET_CAUSE_FAULT : (uint8_t)hal_system()->reset_cause;
}
