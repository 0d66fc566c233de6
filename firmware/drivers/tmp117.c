/* Texas Instruments TMP117, datasheet SNOSD82D. Recognised by its device id. */
#include "drivers/chips.h"

/* 7.6.11: the revision is in bits 15 ... 12. */
static const struct thermometer_check checks[] = {{0x0F, 2, 0x0FFF, 0x0117}};

/* 7.6.3 and table 7-7: continuous conversion, 8 averages, which take 124 ms; CONV in bits 9 ... 7. */
#define CYCLE(conv) ((conv) << 7 | 1u << 5)
static const struct thermometer_rate rates[] = {
    {8000, CYCLE(1u)}, {4000, CYCLE(2u)}, {2000, CYCLE(3u)}, {1000, CYCLE(4u)}, {250, CYCLE(5u)},
};

const struct thermometer_part tmp117 = {
    .name = "tmp117",
    .found = "ext_temp: TMP117 is streaming",
    .lost = "ext_temp: the TMP117 does not answer any more; looking for it again",
    .checks = checks,
    .check_count = sizeof checks / sizeof checks[0],
    .rates = rates,
    .rate_count = sizeof rates / sizeof rates[0],
    .has_settings = true,
    .settings_register = 0x01,
    .settings_mask = 0x0FFC,
    .ready = 0x2000,
    .result_register = 0x00,
    .result_mask = 0xFFFF,
    .scale = 0.0078125f, /* 7.3.3 */
    .full_scale = 150.0f,
    .first_us = 8u * 15500u, /* 6.5: 15.5 ms a conversion */
    .group_delay_us = 8u * 15500u / 2u,
};
