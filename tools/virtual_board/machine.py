"""The loop that runs a microcontroller: events, exceptions, slices, sleep and resets."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from unicorn import arm_const as arm

from .chip import FLASH_BASE, SRAM_BASE, SYSTEM_BASE, Chip
from .cpu import Fault, FaultKind, RegisterBatch, Stop
from .exceptions import Lockup
from .memory import BusError
from .mpu import EXECUTE, PAGE, READ, WRITE
from .nvic import HARD_FAULT, NMI
from .parts import Part
from .thumb import unmask_distance
from .timebase import PS_PER_S

_BRANCH_TO_ITSELF = b"\xfe\xe7"
_LONGEST_SLICE = 20_000_000
_NEGATIVE = 1 << NMI | 1 << HARD_FAULT


@dataclass
class Counters:
    """What a run has cost."""

    instructions: int = 0
    """Retired instructions; the core retires none while it sleeps."""
    asleep_ps: int = 0
    """Time spent in WFI and WFE."""
    stalled_ps: int = 0
    """Time for which the core stood still because the flash was busy."""
    exceptions: dict[str, int] = field(default_factory=dict)
    """Entries by exception."""
    max_latency_cycles: dict[str, int] = field(default_factory=dict)
    """Longest wait from pending to entry by exception."""
    lockups: int = 0
    resets: int = 0


class Machine(Chip):
    """One STM32F4 that runs in its own virtual time."""

    def __init__(self, part: Part, *, hse_hz: int | None, seed: int, uid: bytes) -> None:
        self._asleep = False
        self._asleep_ps = 0
        self._asleep_cycles = 0
        self._stalled_ps = 0
        self._locked_up = False
        self._lockups = 0
        self._protected = 0
        self._resets = 0
        self._reset_wanted: str | None = None
        self.boot0 = False
        """Level of the pin, sampled at a reset: high starts system memory instead of flash (RM0383 2.4)."""
        self._in_rom = False
        self.on_rom: Callable[[], None] = lambda: None
        """The core has reached the ROM's entry; it stands still until `start_at` or a reset."""
        self.on_reset: Callable[[], None] = lambda: None
        self._distances: dict[int, int] = {}
        self._spinning: dict[int, bool] = {}
        super().__init__(part, hse_hz=hse_hz, seed=seed, uid=uid)
        self.scb.on_reset_request = lambda: self.request_reset("software")
        self.iwdg.on_timeout = lambda: self.request_reset("watchdog")
        self.flash_controller.on_change = self.forget_code
        core = self.cpu.core
        self._all_registers = RegisterBatch(
            core, [arm.UC_ARM_REG_R0 + n for n in range(13)] + [arm.UC_ARM_REG_LR, arm.UC_ARM_REG_SP]
        )
        self._special = RegisterBatch(
            core,
            [
                arm.UC_ARM_REG_IPSR,
                arm.UC_ARM_REG_CONTROL,
                arm.UC_ARM_REG_PRIMASK,
                arm.UC_ARM_REG_FAULTMASK,
                arm.UC_ARM_REG_BASEPRI,
                arm.UC_ARM_REG_PSP,
            ],
        )

    def core_cycles(self) -> int:
        """The core's clock stands in Sleep mode unless DBG_SLEEP (RM0383 23.16.1)."""
        return self.time.now_cycle - (0 if self.dbgmcu.clock_in_sleep else self._asleep_cycles)

    @property
    def awake_cycle(self) -> int:
        """Cycles since power-on without those asleep."""
        return self.time.now_cycle - self._asleep_cycles

    # ----------------------------------------------------------------------- program

    def load(self, segments: list[tuple[int, bytes]]) -> None:
        """Put an image into flash. Raises BusError for a segment outside it."""
        for address, data in segments:
            region = self.memory.find(address, len(data))
            offset = address - region.start
            region.data[offset : offset + len(data)] = data
        self.forget_code()

    def forget_code(self) -> None:
        """Program memory was changed from outside."""
        self.cpu.forget_code()
        self._distances.clear()
        self._spinning.clear()

    # ------------------------------------------------------------------------- resets

    def request_reset(self, cause: str) -> None:
        """Reset as soon as the instruction in progress is over."""
        self._reset_wanted = cause
        self.cpu.end_slice()

    def reset(self, cause: str) -> None:
        """Reset now. `power` loses memory; every other cause keeps SRAM. Causes: see `rcc.RESET_FLAGS`."""
        self._reset_wanted = None
        self._resets += 1
        if cause == "power":
            rng = random.Random(f"sram/{self.seed}/{self._resets}")
            self.sram[:] = rng.randbytes(len(self.sram))
            self.ccm[:] = rng.randbytes(len(self.ccm))
            for block in self.debug_blocks:
                block.reset()
        for peripheral in self.resettable:
            peripheral.reset()
        self.rcc.reset_by(cause)
        self._special.write([3, 0, 0, 0, 0, 0])  # privileged while the others are written
        self._special.write([0, 0, 0, 0, 0, 0])
        self.cpu.primask = self.cpu.faultmask = self.cpu.basepri = 0
        self.on_reset()
        self.syscfg.registers[0] = int(self.boot0)  # MEMRMP follows the pins (RM0383 7.2.1)
        self.start_at(*struct.unpack_from("<2I", self.system if self.boot0 else self.flash))

    def start_at(self, stack: int, entry: int) -> None:
        """Let the core begin at `entry`."""
        self._all_registers.write([0] * 13 + [0xFFFF_FFFF, stack & ~3])
        self.cpu.pc = entry & ~1
        self._asleep = self._locked_up = self._in_rom = False

    # --------------------------------------------------------------------------- loop

    def run_until_ps(self, end_ps: int) -> None:
        """Let virtual time pass until `end_ps`; the core may be a few cycles past it."""
        time, nvic = self.time, self.nvic
        if time.now_ps >= end_ps:
            return
        reached: list[bool] = []
        time.at(end_ps, lambda: reached.append(True))
        while True:
            if time.cycle >= time.due_cycle:
                time.run_due()
                if self._reset_wanted is not None:
                    self.reset(self._reset_wanted)
                if reached:
                    return
            elif self._locked_up or self._in_rom:
                time.cycle = time.due_cycle
            elif self._asleep:
                if nvic.pending & nvic.enabled and self.exceptions.wakes():
                    self._asleep = False
                else:
                    self._sleep()
            elif self.flash_controller.busy and self._in_flash(self.cpu.pc):
                self._stall()
            else:
                try:
                    self._execute()
                except Lockup:
                    self._locked_up = True
                    self._lockups += 1
                if self._reset_wanted is not None:
                    self.reset(self._reset_wanted)

    def _sleep(self) -> None:
        time = self.time
        cycles = time.due_cycle - time.cycle
        time.cycle = time.due_cycle
        self._asleep_cycles += cycles
        self._asleep_ps += cycles * PS_PER_S // time.hclk_hz

    def _in_flash(self, address: int) -> bool:
        size = self.part.flash_kib << 10
        return address < size or FLASH_BASE <= address < FLASH_BASE + size

    def _stall(self) -> None:
        """The fetch waits for the flash (RM0383 3.5): no instruction, no interrupt, but the core's clock runs."""
        time = self.time
        cycles = time.due_cycle - time.cycle
        time.cycle = time.due_cycle
        self._stalled_ps += cycles * PS_PER_S // time.hclk_hz

    def _execute(self) -> None:
        """One slice, up to the next event, and whatever ended it."""
        time, cpu, nvic = self.time, self.cpu, self.nvic
        limit = min(_LONGEST_SLICE, time.due_cycle - time.cycle)
        if nvic.pending & nvic.enabled:
            exception = self.exceptions.ready()
            if exception is not None:
                self.exceptions.enter(exception)
                if nvic.pending & nvic.enabled:
                    return
            elif self.exceptions.masked() and not self._spins():
                limit = min(limit, self._distance())
        if self._spins():  # nothing but an exception ends it, and none is ready: let the time pass at once
            time.cycle += limit
            cpu.instructions += limit
            return
        self._protect()
        time.in_slice = cpu.retired_in_slice
        try:
            stop, retired = cpu.run(limit)
        finally:
            time.in_slice = None
        time.cycle += retired
        if stop is not Stop.LIMIT:
            self._handle(stop)

    def _protect(self) -> None:
        """Give the core's memory the access that the MPU allows now."""
        mpu = self.mpu
        if mpu.enabled and not mpu.in_handlers:
            mpu.bypass(wanted=bool(self.nvic.active & _NEGATIVE or self.cpu.faultmask))
        if mpu.generation == self._protected:
            return
        self._protected = mpu.generation
        for region in self.memory.regions:
            mapped = READ | EXECUTE | (WRITE if region.writable else 0)
            pieces: list[tuple[int, int]] = []
            for offset in range(0, len(region.data), PAGE):
                access = mpu.access(region.start + offset) & mapped
                if not pieces or access != pieces[-1][1]:
                    pieces.append((offset, access))
            self.cpu.protect(region.start, (*pieces, (len(region.data), 0)))

    def _handle(self, stop: Stop) -> None:
        exceptions = self.exceptions
        if stop in (Stop.WFI, Stop.WFE):
            self._asleep = not exceptions.wakes()
        elif stop is Stop.EXCEPTION_RETURN:
            if exceptions.leave() and self.scb.sleep_on_exit:
                self._asleep = not exceptions.wakes()
        elif stop is Stop.SVC:
            exceptions.supervisor_call()
        elif stop is Stop.BREAKPOINT and SYSTEM_BASE <= self.cpu.pc < SYSTEM_BASE + len(self.system):
            self._in_rom = True
            self.on_rom()
        elif stop is Stop.BREAKPOINT:
            exceptions.breakpoint()
        else:
            fault = self.cpu.fault
            assert fault is not None
            if fault.kind is FaultKind.WRITE_PROTECTED and self.mpu.allows(fault.address, fault.size, WRITE):
                self._store_to_flash(fault)
                exceptions.skip_instruction()
                self.time.cycle += 1
                self.cpu.instructions += 1
            else:
                exceptions.fault(fault)

    def _store_to_flash(self, fault: Fault) -> None:
        if not self._in_flash(fault.address):
            self.bus.violations["store to system memory"] += 1
            return
        half = int.from_bytes(self.memory.read(self.cpu.pc, 2), "little")
        if half >> 11 == 0x18 or half >> 9 == 0x74:  # STM, STRD: only the first word is seen here
            self.bus.unmodelled["several words stored to flash memory by one instruction"] += 1
        self.flash_controller.store(fault.address & (FLASH_BASE - 1), fault.size, fault.value)

    def _spins(self) -> bool:
        """Whether the instruction at pc is a branch to itself."""
        pc = self.cpu.pc
        spins = self._spinning.get(pc)
        if spins is None:
            try:
                spins = self.memory.read(pc, 2) == _BRANCH_TO_ITSELF
            except BusError:
                spins = False
            if pc < SRAM_BASE:
                self._spinning[pc] = spins
        return spins

    def _distance(self) -> int:
        """Instructions that can run before something may lift the mask that holds an exception back."""
        pc = self.cpu.pc
        distance = self._distances.get(pc)
        if distance is None:
            distance = unmask_distance(self.memory, pc)
            if pc < SRAM_BASE:
                self._distances[pc] = distance
        return distance

    # -------------------------------------------------------------------------- figures

    @property
    def counters(self) -> Counters:
        """A snapshot."""
        nvic = self.nvic
        return Counters(
            instructions=self.cpu.instructions,
            asleep_ps=self._asleep_ps,
            stalled_ps=self._stalled_ps,
            exceptions={nvic.exception_name(number): count for number, count in sorted(nvic.entries.items())},
            max_latency_cycles={
                nvic.exception_name(number): cycles for number, cycles in sorted(nvic.max_latency.items())
            },
            lockups=self._lockups,
            resets=self._resets,
        )
