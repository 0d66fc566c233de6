/* Crash record: written by the fault handler or a failed assert, read after the reset that follows at once.
 *
 *     fault or assert -> record, fresh = 1 -> reset -> hal_fault_start(): sum right? keep it : none
 *                                                                  fresh: it led to this boot
 */
#include "hal/fault.h"

#include "hal/system.h"
#include "hal/time.h"
#include "lib/check.h"
#include "registers.h"
#include "vectors.h"

#define MAGIC 0x46415532u /* "2UAF" */

/* All bytes are summed up as they lie in RAM, padding too: nobody writes between checksum() and its check. */
struct kept {
    uint32_t magic;
    uint32_t fresh;
    struct hal_fault record;
    uint32_t check;
};

__attribute__((section(".noinit.first"))) static struct kept kept;
static uint32_t current_boot_id;
static bool was_fresh;

extern uint32_t stack_start[], stack_end[];
extern const uint16_t text_start[], text_end[];

static uint32_t checksum(void)
{
    /* FNV-1a: this guards against random RAM, not against a line */
    const unsigned char *bytes = (const unsigned char *)&kept;
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < offsetof(struct kept, check); i++) {
        h = (h ^ bytes[i]) * 16777619u;
    }
    return h;
}

static bool is_valid(void)
{
    return kept.magic == MAGIC && kept.check == checksum();
}

static _Noreturn void keep_and_reset(const struct hal_fault *record)
{
    if (!is_valid()) {
        kept.magic = MAGIC;
        kept.record = *record;
    }
    kept.fresh = 1;
    kept.check = checksum();
    hal_system_reset();
}

/* Whether a word is the address behind a call: BL, or BLX of a register (ARMv7-M ARM, A7.7.18 and A7.7.19).
 */
static bool is_return_address(uint32_t word)
{
    const uint16_t *next = (const uint16_t *)(word & ~1u);
    // cppcheck-suppress comparePointers ; both ends of one region, from the linker
    if ((word & 1u) == 0 || next < text_start + 2 || next >= text_end) {
        return false;
    }
    bool branch_with_link = (next[-2] & 0xF800u) == 0xF000u && (next[-1] & 0xD000u) == 0xD000u;
    return branch_with_link || (next[-1] & 0xFF87u) == 0x4780u;
}

/* The one nearest to where the stack ended: of the function that overflowed it, or of its caller. */
static uint32_t lowest_return_address(void)
{
    // cppcheck-suppress comparePointers ; both ends of one region, from the linker
    for (const uint32_t *word = stack_start; word < stack_end; word++) {
        if (is_return_address(*word)) {
            return *word;
        }
    }
    return 0;
}

/* What the core stacked: PM0214 2.3.7. */
enum { STACKED_LR = 5, STACKED_PC = 6, STACKED_PSR = 7, STACKED_WORDS = 8 };
enum { EXCEPTION_WATCHDOG = 16 + IRQ_WWDG };

/* The frame of the exception; once the stack has overflowed it is not one, and `lowest` is all that tells. */
__attribute__((used)) static _Noreturn void fault_record(const uint32_t *sp, uint32_t exception,
                                                         uint32_t lowest)
{
    struct hal_fault record = {
        .boot_id = current_boot_id,
        .time_us = hal_time_us(),
        .cause = exception == EXCEPTION_WATCHDOG ? HAL_FAULT_LOOP : (uint8_t)exception,
        .lr = lowest,
        .sp = (uint32_t)sp,
        .cfsr = SCB->CFSR,
        .hfsr = SCB->HFSR,
        .mmfar = SCB->MMFAR,
        .bfar = SCB->BFAR,
    };
    if (sp >= stack_start && sp + STACKED_WORDS <= stack_end) {
        record.lr = sp[STACKED_LR];
        record.pc = sp[STACKED_PC];
        record.psr = sp[STACKED_PSR];
    }
    keep_and_reset(&record);
}

/* On the stack from its top: what has overflowed lies at its bottom. */
__attribute__((used)) static _Noreturn void fault_overflow(const uint32_t *sp, uint32_t exception)
{
    // cppcheck-suppress comparePointers ; an address against the end of a region, from the linker
    fault_record(sp, exception, sp < stack_start ? lowest_return_address() : 0);
}

/* Goes on below what the core has stacked, so as not to overwrite it; where no 256 bytes are left, or the
 * stack pointer is outside of the stack, on the stack from its top. */
__attribute__((naked)) void fault_isr(void)
{
    __asm volatile("cpsid i\n\t"
                   "mov r0, sp\n\t"
                   "mrs r1, ipsr\n\t"
                   "movs r2, #0\n\t"
                   "ldr r3, =stack_end\n\t"
                   "cmp r0, r3\n\t"
                   "bhi 1f\n\t"
                   "ldr r12, =stack_start + 256\n\t"
                   "cmp r0, r12\n\t"
                   "bhs fault_record\n"
                   "1:\n\t"
                   "mov sp, r3\n\t"
                   "b fault_overflow\n\t"
                   ".ltorg");
}
_Noreturn void assert_failed(void)
{
    uint32_t sp;
    uint32_t psr;
    __asm volatile("cpsid i" ::: "memory");
    __asm volatile("mov %0, sp\n\tmrs %1, xpsr" : "=r"(sp), "=r"(psr));
    uint32_t caller = (uint32_t)__builtin_return_address(0);
    keep_and_reset(&(struct hal_fault){
        .boot_id = current_boot_id,
        .time_us = hal_time_us(),
        .cause = HAL_FAULT_ASSERT,
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
    if (is_valid()) {
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

void hal_fault_forget(void)
{
    kept.magic = 0;
}

bool hal_fault_is_fresh(void)
{
    return was_fresh;
}
