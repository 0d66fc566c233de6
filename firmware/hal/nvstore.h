/* Two slots of non-volatile memory for the configuration, as NOR flash has it: an erase sets every bit,
 * programming clears bits word by word.
 *
 * The flash that is written is also where the program comes from: the core stands still until an operation is
 * over, some 16 us for a word, a quarter to half a second for an erase. Interrupts come late by that; sensors
 * go on meanwhile, and DMA does. hal_time_us() is right again at the return. A power cut leaves a word with
 * any part of its bits cleared, and a slot that was being erased with any content.
 */
#ifndef HAL_NVSTORE_H
#define HAL_NVSTORE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/check.h"

#define HAL_NVSTORE_SLOTS  2u
#define HAL_NVSTORE_WORDS  4096u /* of a slot */
#define HAL_NVSTORE_ERASED 0xFFFFFFFFu

/* False where there is none (emulators): everything reads as erased and nothing can be written. Once, before
 * the others. */
bool hal_nvstore_open(void);

/* All of the following: main loop only. */

/* The words of a slot; they change under the pointer. */
const uint32_t *hal_nvstore_read(uint32_t slot);

/* Programs one word. False: it does not read back as wanted, because a bit had to be set or the flash is
 * worn. */
WARN_UNUSED bool hal_nvstore_program(uint32_t slot, uint32_t word, uint32_t value);

/* False: not every word is erased afterwards. */
WARN_UNUSED bool hal_nvstore_erase(uint32_t slot);

/* Longest time since the last clear for which the core stood still, in us. */
uint32_t hal_nvstore_stall_us(void);
void hal_nvstore_clear_stall(void);

#endif
