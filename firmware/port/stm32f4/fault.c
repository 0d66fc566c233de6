/* Crash record: written by the fault handler or a failed assert, read after the reset that follows at once.
 *
 *     fault or assert -> record, fresh = 1 -> reset -> hal_fault_start(): CRC right? keep it : none
 *                                                                  fresh: it led to this boot
 */
#include "hal/fault.h"

#include "hal/system.h"
#include "hal/time.h"
#include "lib/check.h"
#include "registers.h"
#include "vectors.h"

#define MAGIC 0x46415531u /* "1UAF" */

/* All words are summed up as they lie in RAM, padding too: nobody writes between checksum() and its check. */
struct kept {
    uint32_t magic;
    uint32_t fresh;
    struct hal_fault record;
    uint32_t check;
};

__attribute__((section(".noinit.first"))) static struct kept kept;
static uint32_t current_boot_id;
static bool was_fresh;

static uint32_t checksum(void)
{
    /* FNV-1a over words: this guards against random RAM, not against a line */
    const uint32_t *words = (const uint32_t *)&kept;
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < offsetof(struct kept, check) / sizeof *words; i++) {
        h = (h ^ words[i]) * 16777619u;
    }
    return h;
}

static _Noreturn void keep_and_reset(struct hal_fault record)
{
    kept.magic = MAGIC;
    kept.fresh = 1;
    kept.record = record;
    kept.check = checksum();
    hal_system_reset();
}

/* What the core stacked: PM0214 2.3.7. */
enum { STACKED_LR = 5, STACKED_PC = 6, STACKED_PSR = 7, STACKED_WORDS = 8 };

__attribute__((used)) static _Noreturn void fault_record(const uint32_t *sp, uint32_t exception)
{
    extern uint32_t stack_start[], stack_end[];
    struct hal_fault record = {
        .boot_id = current_boot_id,
        .time_us = hal_time_us(),
        .cause = (uint8_t)exception,
        .sp = (uint32_t)sp,
        .cfsr = SCB->CFSR,
        .hfsr = SCB->HFSR,
        .mmfar = SCB->MMFAR,
        .bfar = SCB->BFAR,
    };
    if (sp >= stack_start &&
        sp + STACKED_WORDS <= stack_end) { /* else the stack has overflowed: nothing was stacked */
        record.lr = sp[STACKED_LR];
        record.pc = sp[STACKED_PC];
        record.psr = sp[STACKED_PSR];
    }
    keep_and_reset(record);
}

/* Goes on below what the core has stacked, so as not to overwrite it; where no 256 bytes are left, or the
 * stack pointer is outside of the stack, on the stack from its top. */
__attribute__((naked)) void fault_isr(void)
{
    __asm volatile("cpsid i\n\t"
                   "mov r0, sp\n\t"
                   "mrs r1, ipsr\n\t"
                   "ldr r3, =stack_end\n\t"
                   "ldr r2, =stack_start + 256\n\t"
                   "cmp r0, r2\n\t"
                   "blo 1f\n\t"
                   "cmp r0, r3\n\t"
                   "bls 2f\n"
                   "1:\n\t"
                   "mov sp, r3\n"
                   "2:\n\t"
                   "b fault_record\n\t"
                   ".ltorg");
}

_Noreturn void assert_failed(void)
{
    uint32_t sp;
    uint32_t psr;
    __asm volatile("cpsid i" ::: "memory");
    __asm volatile("mov %0, sp\n\tmrs %1, xpsr" : "=r"(sp), "=r"(psr));
    uint32_t caller = (uint32_t)__builtin_return_address(0);
    keep_and_reset((struct hal_fault){
        .boot_id = current_boot_id,
        .time_us = hal_time_us(),
        .pc = caller & ~1u,
        .lr = caller,
        .sp = sp,
        .psr = psr,
        .cfsr = SCB->CFSR,
        .hfsr = SCB->HFSR,
        .mmfar = SCB->MMFAR,
        .bfar = SCB->BFAR,
    });
}

void hal_fault_start(uint32_t boot_id)
{
    current_boot_id = boot_id;
    if (kept.magic == MAGIC && kept.check == checksum()) {
        was_fresh = kept.fresh != 0;
        kept.fresh = 0;
        kept.check = checksum();
    } else {
        kept.magic = 0;
    }
    SCB->SHCSR |= SCB_SHCSR_MEMFAULTENA | SCB_SHCSR_BUSFAULTENA | SCB_SHCSR_USGFAULTENA;
    SCB->CCR |= SCB_CCR_DIV_0_TRP;
}

const struct hal_fault *hal_fault_record(void)
{
    return kept.magic == MAGIC ? &kept.record : NULL;
}

bool hal_fault_is_fresh(void)
{
    return was_fresh;
}
