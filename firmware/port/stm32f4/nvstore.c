/* Sectors 1 and 2 of the flash. RM0383 3.5, RM0090 3.6; DS10314 and DS8626, "Flash memory programming": a
 * word takes 16 us, 100 at most; erasing 16 KiB at x32 250 ms, 500 at most.
 *
 * This runs from flash like everything else: after the store that starts an operation the next fetch waits
 * for its end. Code in RAM would gain nothing, for every interrupt handler is in flash too. Interrupts are
 * masked only so that the first thing that runs afterwards is what sets the clock right. The independent
 * watchdog is fed before: its shortest time-out (watchdog.c) is longer than the longest erase.
 */
#include "hal/nvstore.h"

#include "hal/system.h"
#include "hal/watchdog.h"
#include "nvic.h"
#include "registers.h"
#include "stall.h"

#define FIRST_SECTOR 1u
#define BUSY_READS   100000u /* never needed: the read itself waits */

extern const uint32_t nvstore_start[]; /* linker */

static uint32_t longest_us;

bool hal_nvstore_open(void)
{
    return !hal_system()->emulated;
}

const uint32_t *hal_nvstore_read(uint32_t slot)
{
    return nvstore_start + slot * HAL_NVSTORE_WORDS;
}

static void unlock(uint32_t control)
{
    FLASH->KEYR = FLASH_KEYR_KEY1;
    FLASH->KEYR = FLASH_KEYR_KEY2;
    FLASH->SR = FLASH_SR_ERRORS; /* of whoever was here before: cleared by writing 1 */
    FLASH->CR = control;
}

/* False: refused, or not over. What is read back does not tell: it may come from the data cache. */
static bool finish(void)
{
    uint32_t reads = BUSY_READS;
    while ((FLASH->SR & FLASH_SR_BSY) != 0 && --reads != 0) {
    }
    return (FLASH->SR & (FLASH_SR_BSY | FLASH_SR_ERRORS)) == 0;
}

/* Time went on without the core: a stamp of now is wrong, and no transfer is late for it. */
static void catch_up(const struct stall *stall)
{
    uint32_t stalled_us = stall_end(stall);
    data_ready_forget();
    i2c_stalled(stalled_us);
    spi_stalled(stalled_us);
    longest_us = stalled_us > longest_us ? stalled_us : longest_us;
}

bool hal_nvstore_program(uint32_t slot, uint32_t word, uint32_t value)
{
    const volatile uint32_t *place = hal_nvstore_read(slot) + word;
    struct stall stall;
    uint32_t state = primask_save();
    stall_begin(&stall);
    unlock(FLASH_CR_PSIZE_X32 | FLASH_CR_PG);
    *(volatile uint32_t *)place = value;
    bool done = finish();
    FLASH->CR = FLASH_CR_LOCK;
    catch_up(&stall);
    primask_restore(state);
    return done && *place == value;
}

bool hal_nvstore_erase(uint32_t slot)
{
    struct stall stall;
    uint32_t control = FLASH_CR_PSIZE_X32 | FLASH_CR_SER | (FIRST_SECTOR + slot) << FLASH_CR_SNB_Pos;
    hal_watchdog_feed();
    uint32_t state = primask_save();
    stall_begin(&stall);
    unlock(control);
    FLASH->CR = control | FLASH_CR_STRT;
    bool done = finish();
    /* The data cache may hold what was erased. It is reset while it is off (RM0383 3.5.3, 3.8.1). */
    FLASH->ACR &= ~FLASH_ACR_DCEN;
    FLASH->ACR |= FLASH_ACR_DCRST;
    FLASH->ACR &= ~FLASH_ACR_DCRST;
    FLASH->ACR |= FLASH_ACR_DCEN;
    FLASH->CR = FLASH_CR_LOCK;
    catch_up(&stall);
    uart_stalled();
    primask_restore(state);
    hal_watchdog_feed();
    if (!done) {
        return false;
    }
    const uint32_t *words = hal_nvstore_read(slot);
    for (uint32_t i = 0; i < HAL_NVSTORE_WORDS; i++) {
        if (words[i] != HAL_NVSTORE_ERASED) {
            return false;
        }
    }
    return true;
}

uint32_t hal_nvstore_stall_us(void)
{
    return longest_us;
}

void hal_nvstore_clear_stall(void)
{
    longest_us = 0;
}
