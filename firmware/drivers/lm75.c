/* LM75 and what is compatible with it: LM75A, LM75B, TMP75, TMP102, DS75 and others. They have no
 * identification.
 *
 * So a device is taken for one when three registers hold what all of them have at power-up and the others at
 * these addresses (ADS1115, PCF8591, TMP117) have not: T_HYST 75 degC, T_OS 80 degC (SNOS808P 1.14; LM75B
 * rev. 6.1, table 5) and the three bits of the configuration that must be 0 (SNOS808P 1.13). This driver
 * never writes to the device, so a restart of the board finds it again, and nothing is upset that is
 * something else. One whose set points somebody else has changed is left alone. Two bytes are read of each
 * 16-bit register: an LM75 of which one is read can hold SDA low (SNIS153B, figure 11).
 *
 * It tells neither its resolution nor when a conversion ends. The result is left-aligned in all of them; 11
 * bits are used, of which a 9-bit part sends the last two as 0. A conversion takes 100 ms and up to 300 ms
 * (SNIS153B): the result that is read ended on average half a conversion ago and is the mean over one.
 */
#include "drivers/chips.h"

static const struct thermometer_check checks[] = {
    {0x02, 2, 0xFF80, 0x4B00},
    {0x03, 2, 0xFF80, 0x5000},
    {0x01, 1, 0x00E0, 0x0000},
};

static const struct thermometer_rate rates[] = {{10000, 0}, {5000, 0}, {2000, 0}, {1000, 0}, {250, 0}};

const struct thermometer_part lm75 = {
    .name = "lm75",
    .found = "ext_temp: LM75 is streaming",
    .lost = "ext_temp: the LM75 does not answer any more; looking for it again",
    .checks = checks,
    .check_count = sizeof checks / sizeof checks[0],
    .rates = rates,
    .rate_count = sizeof rates / sizeof rates[0],
    .result_register = 0x00,
    .result_mask = 0xFFE0,
    .scale = 1.0f / 256.0f,
    .full_scale = 125.0f,
    .first_us = 300000u,
    .group_delay_us = 100000u,
};
