/* Independent watchdog. RM0383 15, RM0090 21. */
#include "hal/watchdog.h"

#include "registers.h"

/* LSI is 17 to 47 kHz (DS10314 table 43): 1023 counts of 64 cycles last 1.4 to 3.9 s, 2.0 s at the nominal 32
 * kHz. */
#define PRESCALER_64 4u
#define RELOAD       1023u

void hal_watchdog_start(void)
{
    IWDG->KR = IWDG_KR_START; /* starts LSI, which the register updates below need */
    IWDG->KR = IWDG_KR_ACCESS;
    IWDG->PR = PRESCALER_64;
    IWDG->RLR = RELOAD;
    hal_watchdog_feed();
}

void hal_watchdog_feed(void)
{
    IWDG->KR = IWDG_KR_FEED;
}
