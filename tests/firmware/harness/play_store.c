/* The store of records on a flash that loses its power. One command a line, one answer a line:
 *
 *     new                  flash as the factory made it
 *     garbage SLOT SEED    a slot with any content
 *     keep, back           remember the flash; as it was then
 *     save VERSION WORDS VALUE CUT SEED
 *                          a record whose words count up from VALUE; the power fails at operation CUT (0:
 * never) open                 boot
 *
 * `save` answers 1 or 0 as store_write() did, or - when the power failed, and the operations and erases it
 * took; `open` found, damaged, version, words and the first word.
 */
#include "app/store.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/check.h"

static uint32_t flash[HAL_NVSTORE_SLOTS][HAL_NVSTORE_WORDS];
static uint32_t kept[HAL_NVSTORE_SLOTS][HAL_NVSTORE_WORDS];
static unsigned operations;
static unsigned erases;
static unsigned cut_at;
static uint32_t noise;
static jmp_buf power;

_Noreturn void assert_failed(void)
{
    fprintf(stderr, "assert failed\n");
    abort();
}

/* xorshift32, Marsaglia 2003 */
static uint32_t any(void)
{
    noise ^= noise << 13;
    noise ^= noise >> 17;
    noise ^= noise << 5;
    return noise;
}

bool hal_nvstore_open(void)
{
    return true;
}

const uint32_t *hal_nvstore_read(uint32_t slot)
{
    return flash[slot];
}

bool hal_nvstore_program(uint32_t slot, uint32_t word, uint32_t value)
{
    if (slot >= HAL_NVSTORE_SLOTS || word >= HAL_NVSTORE_WORDS) {
        assert_failed();
    }
    if (++operations == cut_at) {
        flash[slot][word] &= value | any();
        longjmp(power, 1);
    }
    flash[slot][word] &= value;
    return flash[slot][word] == value;
}

bool hal_nvstore_erase(uint32_t slot)
{
    bool cut = ++operations == cut_at;
    uint32_t kinds = any() % 5u; /* 0: mostly as it was, 4: mostly erased */
    erases++;
    for (uint32_t i = 0; i < HAL_NVSTORE_WORDS; i++) {
        uint32_t kind = any() % 8u;
        if (!cut || kind < 2u * kinds) {
            flash[slot][i] = HAL_NVSTORE_ERASED;
        } else if (kind == 7) {
            flash[slot][i] = any();
        }
    }
    if (cut) {
        longjmp(power, 1);
    }
    return true;
}

static struct store store;

static void save(unsigned version, unsigned words, uint32_t value)
{
    uint32_t payload[STORE_PAYLOAD_WORDS];
    for (unsigned i = 0; i < words; i++) {
        payload[i] = value + i;
    }
    operations = erases = 0;
    const char *volatile result = "-";
    if (setjmp(power) == 0) {
        result = store_write(&store, (uint16_t)version, payload, (uint16_t)words) ? "1" : "0";
    }
    printf("%s %u %u\n", result, operations, erases);
}

int main(void)
{
    static char line[256];
    while (fgets(line, sizeof line, stdin) != NULL) {
        char command[16] = "";
        unsigned a = 0, b = 0, c = 0, d = 0, seed = 0;
        if (sscanf(line, "%15s %u %u %u %u %u", command, &a, &b, &c, &d, &seed) < 1) {
            return 2;
        }
        if (strcmp(command, "new") == 0) {
            memset(flash, 0xFF, sizeof flash);
            printf("ok\n");
        } else if (strcmp(command, "keep") == 0) {
            memcpy(kept, flash, sizeof flash);
            printf("ok\n");
        } else if (strcmp(command, "back") == 0) {
            memcpy(flash, kept, sizeof flash);
            printf("ok\n");
        } else if (strcmp(command, "garbage") == 0) {
            noise = b | 1u;
            for (uint32_t i = 0; i < HAL_NVSTORE_WORDS; i++) {
                flash[a][i] = any();
            }
            printf("ok\n");
        } else if (strcmp(command, "save") == 0) {
            cut_at = d;
            noise = seed | 1u;
            save(a, b, c);
        } else if (strcmp(command, "open") == 0) {
            store_open(&store);
            const uint32_t *payload = store_payload(&store);
            printf("%d %d %u %u %u\n", store.found, store.damaged, store.version, store.words,
                   payload != NULL && store.words != 0 ? payload[0] : 0);
        } else {
            return 2;
        }
        fflush(stdout);
    }
    return 0;
}
