"""Nested vectored interrupt controller: pending, enabled, active, priorities (PM0214, section 4.3; ARMv7-M ARM, B1.5).

Exceptions are numbered as in IPSR: 2 NMI, 3 HardFault, 4 MemManage, 5 BusFault, 6 UsageFault, 11 SVCall, 12
DebugMonitor, 14 PendSV, 15 SysTick, 16 + n interrupt n. Sets of exceptions are integers with bit n for exception n.
STM32F4 implements the upper four bits of a priority (PM0214, 4.3.7).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from .bus import Peripheral
from .timebase import Timebase

NMI, HARD_FAULT, MEM_MANAGE, BUS_FAULT, USAGE_FAULT = 2, 3, 4, 5, 6
SV_CALL, DEBUG_MONITOR, PEND_SV, SYS_TICK = 11, 12, 14, 15
FIRST_IRQ = 16
NO_PRIORITY = 256
_SYSTEM = (1 << FIRST_IRQ) - 1

NAMES = {
    NMI: "NMI",
    HARD_FAULT: "HardFault",
    MEM_MANAGE: "MemManage",
    BUS_FAULT: "BusFault",
    USAGE_FAULT: "UsageFault",
    SV_CALL: "SVCall",
    DEBUG_MONITOR: "DebugMonitor",
    PEND_SV: "PendSV",
    SYS_TICK: "SysTick",
}


def _bits(mask: int) -> list[int]:
    found = []
    while mask:
        low = mask & -mask
        found.append(low.bit_length() - 1)
        mask ^= low
    return found


class Nvic(Peripheral):
    """The controller; also keeps the priorities of the system exceptions for the SCB."""

    def __init__(self, time: Timebase, interrupts: int) -> None:
        super().__init__("NVIC", 0xE000E000)
        self.read_only = frozenset(range(0x300, 0x320, 4))
        self._time = time
        self.interrupts = interrupts
        self._words = (interrupts + 31) // 32
        self.changed: Callable[[], None] = lambda: None
        """Called when a decision may have changed, so that a running slice ends."""
        self.lines = 0
        self.entries: Counter[int] = Counter()
        """How often each exception was entered."""
        self.max_latency: dict[int, int] = {}
        """Longest time from pending to entry, in cycles, by exception."""
        self._clear()
        for word in range(self._words):
            index = 4 * word
            self.readers |= {
                0x100 + index: lambda w=word: self._word(self.enabled, w),  # type: ignore[misc]
                0x180 + index: lambda w=word: self._word(self.enabled, w),  # type: ignore[misc]
                0x200 + index: lambda w=word: self._word(self.pending, w),  # type: ignore[misc]
                0x280 + index: lambda w=word: self._word(self.pending, w),  # type: ignore[misc]
                0x300 + index: lambda w=word: self._word(self.active, w),  # type: ignore[misc]
            }
            self.writers |= {
                0x100 + index: lambda v, w=word: self._enable(self._mask(v, w)),  # type: ignore[misc]
                0x180 + index: lambda v, w=word: self._disable(self._mask(v, w)),  # type: ignore[misc]
                0x200 + index: lambda v, w=word: self._set_pending(self._mask(v, w)),  # type: ignore[misc]
                0x280 + index: lambda v, w=word: self._clear_pending(self._mask(v, w)),  # type: ignore[misc]
            }
        for index in range(0, (interrupts + 3) & ~3, 4):
            self.readers[0x400 + index] = lambda n=index: self._read_priorities(FIRST_IRQ + n)  # type: ignore[misc]
            self.writers[0x400 + index] = lambda v, n=index: self._write_priorities(FIRST_IRQ + n, v)  # type: ignore[misc]

    def _clear(self) -> None:
        self.enabled = _SYSTEM
        self.pending = 0
        self.active = 0
        self.priorities = [0] * (FIRST_IRQ + 256)
        self.priorities[NMI] = -2
        self.priorities[HARD_FAULT] = -1
        self.priority_group = 0
        self._since: dict[int, int] = {}

    def reset(self) -> None:
        """System reset: nothing enabled, pending or active; the lines stay as the peripherals drive them."""
        self._clear()

    def merge_base(self, offset: int) -> int:
        """Only the priority registers are byte-accessible (PM0214, 4.3.7); a write to the others merges with 0."""
        return self.readers[offset]() if offset >= 0x400 else 0

    # ----------------------------------------------------------- registers

    @staticmethod
    def _word(mask: int, word: int) -> int:
        return mask >> FIRST_IRQ + 32 * word & 0xFFFF_FFFF

    def _mask(self, value: int, word: int) -> int:
        implemented = (1 << self.interrupts) - 1
        return (value << 32 * word & implemented) << FIRST_IRQ

    def _enable(self, mask: int) -> None:
        self.enabled |= mask
        self.changed()

    def _disable(self, mask: int) -> None:
        self.enabled &= ~mask

    def _set_pending(self, mask: int) -> None:
        for exception in _bits(mask):
            self.pend(exception)

    def _clear_pending(self, mask: int) -> None:
        self.pending &= ~(mask & ~self.lines)

    def _read_priorities(self, first: int) -> int:
        return int.from_bytes(bytes(self.priorities[first : first + 4]), "little")

    def _write_priorities(self, first: int, value: int) -> None:
        for index in range(4):
            self.priorities[first + index] = value >> 8 * index & 0xF0
        self.changed()

    # --------------------------------------------------------------- inputs

    def set_line(self, irq: int, level: bool) -> None:
        """Drive the interrupt line of a peripheral. A rising line pends; a line still high at the handler's end pends
        again."""
        bit = 1 << FIRST_IRQ + irq
        if not level:
            self.lines &= ~bit
        elif not self.lines & bit:
            self.lines |= bit
            if not self.active & bit:
                self.pend(FIRST_IRQ + irq)

    def pulse(self, irq: int) -> None:
        """An edge on an interrupt input: pends, also while its handler runs."""
        self.pend(FIRST_IRQ + irq)

    def pend(self, exception: int) -> None:
        """Make an exception pending."""
        bit = 1 << exception
        if not self.pending & bit:
            self.pending |= bit
            self._since[exception] = self._time.now_cycle
        if self.enabled & bit:
            self.changed()

    def unpend(self, exception: int) -> None:
        """Take an exception's pending state away."""
        self.pending &= ~(1 << exception)

    # -------------------------------------------------------------- decision

    def group(self, priority: int) -> int:
        """The part of a priority that decides on preemption (AIRCR.PRIGROUP)."""
        return priority if priority < 0 else priority >> self.priority_group + 1 << self.priority_group + 1

    def active_priority(self) -> int:
        """Group priority of what is being handled; 256 in Thread mode."""
        if not self.active:
            return NO_PRIORITY
        if self.active & self.active - 1 == 0:
            return self.group(self.priorities[self.active.bit_length() - 1])
        return min(self.group(self.priorities[exception]) for exception in _bits(self.active))

    def execution_priority(self, primask: int, faultmask: int, basepri: int) -> int:
        """ARMv7-M ARM, B1.5.4, ExecutionPriority()."""
        priority = self.active_priority()
        if basepri & 0xF0:
            priority = min(priority, self.group(basepri & 0xF0))
        if primask & 1:
            priority = min(priority, 0)
        if faultmask & 1:
            priority = min(priority, -1)
        return priority

    def candidate(self) -> int | None:
        """The pending enabled exception that comes first: lowest priority value, then lowest number."""
        waiting = self.pending & self.enabled
        if not waiting:
            return None
        if waiting & waiting - 1 == 0:
            return waiting.bit_length() - 1
        return min(_bits(waiting), key=lambda exception: (self.priorities[exception], exception))

    def preempts(self, exception: int, execution_priority: int) -> bool:
        """Whether an exception would be taken at this execution priority."""
        return self.group(self.priorities[exception]) < execution_priority

    def activate(self, exception: int) -> None:
        """The core enters the exception's handler."""
        bit = 1 << exception
        self.pending &= ~bit
        self.active |= bit
        self.entries[exception] += 1
        latency = self._time.now_cycle - self._since.pop(exception, self._time.now_cycle)
        if latency > self.max_latency.get(exception, -1):
            self.max_latency[exception] = latency

    def deactivate(self, exception: int) -> None:
        """The core leaves the exception's handler."""
        bit = 1 << exception
        self.active &= ~bit
        if self.lines & bit:
            self.pend(exception)

    def exception_name(self, exception: int) -> str:
        """`SysTick`, `IRQ37`, ..."""
        return NAMES.get(exception, f"IRQ{exception - FIRST_IRQ}")
