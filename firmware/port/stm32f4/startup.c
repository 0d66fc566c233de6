/* From reset to main(): hash the RAM as it was found, paint the stack, copy .data, clear .bss. */
#include "hal/system.h"

#include "bootloader.h"
#include "mpu.h"
#include "registers.h"
#include "vectors.h"

#define PAINT      0xA5A5A5A5u
#define HASH_WORDS 1024u /* 4 KiB above .bss, which nothing writes to */

extern uint32_t stack_start[], stack_end[], data_start[], data_end[], data_load[], bss_start[], bss_end[],
    ram_end[];

int main(void);
extern const uint32_t vectors_start[];

__attribute__((section(".noinit"))) static uint32_t ram_hash;

/* FNV-1a over words (Fowler, Noll, Vo: draft-eastlake-fnv). */
static uint32_t hash(const uint32_t *from, const uint32_t *to, uint32_t h)
{
    while (from < to) {
        h = (h ^ *from++) * 16777619u;
    }
    return h;
}

_Noreturn void Reset_Handler(void)
{
    bootloader_enter_if_asked();
    bootloader_clean_up();
    SCB->VTOR = (uint32_t)vectors_start; /* address 0 is system memory when the ROM's loader started this */
    uint32_t *sp;
    __asm volatile("mov %0, sp" : "=r"(sp));
    // cppcheck-suppress comparePointers ; both ends of one region, from the linker
    const uint32_t *hash_end = bss_end + HASH_WORDS < ram_end ? bss_end + HASH_WORDS : ram_end;
    ram_hash = hash(bss_end, hash_end, hash(stack_start, sp, 2166136261u));
    // cppcheck-suppress comparePointers ; both ends of one region, from the linker
    for (volatile uint32_t *word = stack_start; word < sp; word++) {
        *word = PAINT;
    }
    const uint32_t *source = data_load;
    // cppcheck-suppress comparePointers ; both ends of one region, from the linker
    for (volatile uint32_t *word = data_start; word < data_end; word++) {
        *word = *source++;
    }
    // cppcheck-suppress comparePointers ; both ends of one region, from the linker
    for (volatile uint32_t *word = bss_start; word < bss_end; word++) {
        *word = 0;
    }
    mpu_start();
    (void)main();
    hal_system_reset();
}

uint32_t hal_system_ram_hash(void)
{
    return ram_hash;
}

size_t hal_system_stack_free(void)
{
    const uint32_t *word = stack_start;
    // cppcheck-suppress comparePointers ; both ends of one region, from the linker
    while (word < stack_end && *word == PAINT) {
        word++;
    }
    return (size_t)(word - stack_start) * sizeof *word;
}
