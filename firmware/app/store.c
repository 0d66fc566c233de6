#include "app/store.h"

#include "tp_frame.h"

#define MAGIC 0x53425454u /* "TTBS" */

enum { WORD_MAGIC, WORD_SEQUENCE, WORD_SHAPE, WORDS_HEAD };

_Static_assert(WORDS_HEAD + STORE_PAYLOAD_WORDS + 1u == STORE_CELL_WORDS, "head, payload, CRC");

static const uint32_t *cell_of(uint32_t slot, uint32_t cell)
{
    return hal_nvstore_read(slot) + cell * STORE_CELL_WORDS;
}

static bool is_record(const uint32_t *words)
{
    uint32_t size = words[WORD_SHAPE] >> 16;
    return words[WORD_MAGIC] == MAGIC && size <= STORE_PAYLOAD_WORDS &&
           tp_crc32c(0, words, (WORDS_HEAD + size) * sizeof *words) == words[WORDS_HEAD + size];
}

/* The first cell behind everything that is not erased; STORE_CELLS when there is none. */
static uint32_t first_free(uint32_t slot)
{
    const uint32_t *words = hal_nvstore_read(slot);
    uint32_t end = HAL_NVSTORE_WORDS;
    while (end != 0 && words[end - 1u] == HAL_NVSTORE_ERASED) {
        end--;
    }
    return (end + STORE_CELL_WORDS - 1u) / STORE_CELL_WORDS;
}

void store_open(struct store *store)
{
    *store = (struct store){.usable = hal_nvstore_open()};
    if (!store->usable) {
        return;
    }
    for (uint32_t slot = 0; slot < HAL_NVSTORE_SLOTS; slot++) {
        uint32_t used = first_free(slot);
        store->damaged = store->damaged || used != 0;
        for (uint32_t cell = 0; cell < used; cell++) {
            const uint32_t *words = cell_of(slot, cell);
            if (is_record(words) && (!store->found || words[WORD_SEQUENCE] > store->sequence)) {
                store->found = true;
                store->slot = (uint8_t)slot;
                store->cell = (uint16_t)cell;
                store->sequence = words[WORD_SEQUENCE];
                store->version = (uint16_t)words[WORD_SHAPE];
                store->words = (uint16_t)(words[WORD_SHAPE] >> 16);
            }
        }
    }
    store->damaged = store->damaged && !store->found;
}

const uint32_t *store_payload(const struct store *store)
{
    return store->found ? cell_of(store->slot, store->cell) + WORDS_HEAD : NULL;
}

static bool is_newest(const struct store *store, uint16_t version, const uint32_t *payload, uint16_t words)
{
    if (!store->found || store->version != version || store->words != words) {
        return false;
    }
    const uint32_t *stored = store_payload(store);
    for (uint32_t i = 0; i < words; i++) {
        if (stored[i] != payload[i]) {
            return false;
        }
    }
    return true;
}

/* Where the next record goes. What an erase that was cut short has left may look erased and not stay so:
 * a slot is used as it is only when it has the newest record, or when both are as the factory made them. */
static bool make_room(const struct store *store, uint32_t *slot, uint32_t *cell)
{
    if (store->found && first_free(store->slot) < STORE_CELLS) {
        *slot = store->slot;
        *cell = first_free(store->slot);
        return true;
    }
    *slot = store->found ? (store->slot + 1u) % HAL_NVSTORE_SLOTS : 0;
    *cell = 0;
    bool untouched = !store->found && first_free(0) == 0 && first_free(1) == 0;
    return untouched || hal_nvstore_erase(*slot);
}

bool store_write(struct store *store, uint16_t version, const uint32_t *payload, uint16_t words)
{
    ASSERT(words <= STORE_PAYLOAD_WORDS);
    uint32_t slot;
    uint32_t cell;
    if (!store->usable) {
        return false;
    }
    if (is_newest(store, version, payload, words)) {
        return true;
    }
    if (!make_room(store, &slot, &cell)) {
        return false;
    }
    uint32_t end = WORDS_HEAD + (uint32_t)words;
    uint32_t record[STORE_CELL_WORDS] = {
        [WORD_MAGIC] = MAGIC,
        [WORD_SEQUENCE] = store->sequence + 1u,
        [WORD_SHAPE] = (uint32_t)words << 16 | version,
    };
    for (uint32_t i = 0; i < words; i++) {
        record[WORDS_HEAD + i] = payload[i];
    }
    record[end] = tp_crc32c(0, record, end * sizeof *record);
    for (uint32_t i = 0; i <= end; i++) {
        if (!hal_nvstore_program(slot, cell * STORE_CELL_WORDS + i, record[i])) {
            return false;
        }
    }
    store_open(store);
    return is_newest(store, version, payload, words);
}
