"""Exception entry, return, tail-chaining and fault escalation (PM0214, sections 2.3 and 2.4; ARMv7-M ARM, B1.5).

Entry and return take no time here: virtual time is retired instructions. FPU registers are saved at entry instead of
lazily (FPCCR.LSPEN); the frame is the same.
"""

from __future__ import annotations

import struct

from unicorn import arm_const as arm

from .cpu import Cpu, Fault, FaultKind, RegisterBatch
from .memory import BusError, Memory
from .mpu import EXECUTE, READ, WRITE, Mpu
from .nvic import BUS_FAULT, HARD_FAULT, MEM_MANAGE, NMI, SV_CALL, USAGE_FAULT, Nvic
from .scb import Fpu, Scb

_R0_R3_R12 = [arm.UC_ARM_REG_R0, arm.UC_ARM_REG_R1, arm.UC_ARM_REG_R2, arm.UC_ARM_REG_R3, arm.UC_ARM_REG_R12]
_FRAME = struct.Struct("<8I")
_FPU_FRAME = struct.Struct("<8Q2I")
_FPCA, _SPSEL = 4, 2
_IACCVIOL, _DACCVIOL, _MUNSTKERR, _MSTKERR = 1 << 0, 1 << 1, 1 << 3, 1 << 4
_UNDEFINSTR, _INVSTATE, _INVPC, _NOCP = 1 << 16, 1 << 17, 1 << 18, 1 << 19
_IBUSERR, _PRECISERR, _IMPRECISERR, _UNSTKERR, _STKERR = 1 << 8, 1 << 9, 1 << 10, 1 << 11, 1 << 12
_VECTTBL, _FORCED, _DEBUGEVT = 1 << 1, 1 << 30, 1 << 31
_RETURNS = {0xFFFFFFF1, 0xFFFFFFF9, 0xFFFFFFFD, 0xFFFFFFE1, 0xFFFFFFE9, 0xFFFFFFED}


class Lockup(Exception):
    """A fault that no handler can take: the core stops until a reset (PM0214, 2.4.4)."""


class Exceptions:
    """Moves the core into and out of handlers."""

    def __init__(self, cpu: Cpu, memory: Memory, nvic: Nvic, scb: Scb, fpu: Fpu, *, mpu: Mpu) -> None:
        self._mpu = mpu
        self._cpu, self._memory, self._nvic, self._scb, self._fpu = cpu, memory, nvic, scb, fpu
        core = cpu.core
        self._entry = RegisterBatch(
            core, [*_R0_R3_R12, arm.UC_ARM_REG_LR, arm.UC_ARM_REG_XPSR, arm.UC_ARM_REG_SP, arm.UC_ARM_REG_CONTROL]
        )
        self._handler = RegisterBatch(core, [arm.UC_ARM_REG_SP, arm.UC_ARM_REG_LR, arm.UC_ARM_REG_IPSR])
        self._leaving = RegisterBatch(
            core, [arm.UC_ARM_REG_MSP, arm.UC_ARM_REG_PSP, arm.UC_ARM_REG_XPSR, arm.UC_ARM_REG_CONTROL]
        )
        self._restored_msp = RegisterBatch(
            core, [arm.UC_ARM_REG_MSP, *_R0_R3_R12, arm.UC_ARM_REG_LR, arm.UC_ARM_REG_XPSR_NZCVQG]
        )
        self._restored_psp = RegisterBatch(
            core, [arm.UC_ARM_REG_PSP, *_R0_R3_R12, arm.UC_ARM_REG_LR, arm.UC_ARM_REG_XPSR_NZCVQG]
        )
        self._fpu_registers = RegisterBatch(core, [arm.UC_ARM_REG_D0 + n for n in range(8)], wide=True)
        self._fpscr = RegisterBatch(core, [arm.UC_ARM_REG_FPSCR])
        self._control = RegisterBatch(core, [arm.UC_ARM_REG_CONTROL])
        self._ipsr = RegisterBatch(core, [arm.UC_ARM_REG_IPSR])
        self._faultmask = RegisterBatch(core, [arm.UC_ARM_REG_FAULTMASK])
        self.coprocessor_violations = 0
        """Exception entries that found FPU state in use while CPACR forbids it; the core itself does not trap that."""

    # ------------------------------------------------------------------- state

    def ipsr(self) -> int:
        """Number of the exception being handled, 0 in Thread mode."""
        return self._ipsr.read()[0]

    def execution_priority(self) -> int:
        """Current execution priority, masks included."""
        cpu = self._cpu
        return self._nvic.execution_priority(cpu.primask, cpu.faultmask, cpu.basepri)

    def ready(self) -> int | None:
        """The exception to take now, if any."""
        candidate = self._nvic.candidate()
        if candidate is not None and self._nvic.preempts(candidate, self.execution_priority()):
            return candidate
        return None

    def masked(self) -> bool:
        """Whether something waits that only PRIMASK, FAULTMASK or BASEPRI holds back."""
        candidate = self._nvic.candidate()
        return candidate is not None and self._nvic.preempts(candidate, self._nvic.active_priority())

    def wakes(self) -> bool:
        """Whether WFI ends: something is pending that would be taken if PRIMASK were clear (PM0214, 2.5.3)."""
        candidate = self._nvic.candidate()
        if candidate is None:
            return False
        cpu = self._cpu
        return self._nvic.preempts(candidate, self._nvic.execution_priority(0, cpu.faultmask, cpu.basepri))

    # ------------------------------------------------------------ entry and return

    def enter(self, exception: int) -> None:
        """Stack the context and go to the handler. Raises Lockup."""
        *registers, link, xpsr, sp, control = self._entry.read()
        floating = bool(control & _FPCA) and self._fpu.automatic
        if floating and not self._scb.fpu_accessible:
            self.coprocessor_violations += 1
        size = 104 if floating else 32
        align = 4 if self._scb.stack_aligned or floating else 0
        frame = (sp - size & 0xFFFF_FFFF) & ~align
        padded = bool(sp & align)
        psr = xpsr & ~(1 << 9) | padded << 9
        data = _FRAME.pack(*registers, link, self._cpu.pc & 0xFFFF_FFFE, psr)
        if floating:
            data += _FPU_FRAME.pack(*self._fpu_registers.read(), self._fpscr.read()[0], 0)
            self._control.write([control & ~_FPCA])
        thread = not xpsr & 0x1FF
        code = 0xFFFF_FFF1 if not thread else 0xFFFF_FFFD if control & _SPSEL else 0xFFFF_FFF9
        if floating:
            code &= ~0x10
        if self._mpu.enabled and not self._mpu.allows(frame, len(data), WRITE):
            exception = self._stacking_failed(exception, MEM_MANAGE, _MSTKERR)
        else:
            try:
                self._memory.write(frame, data)
            except BusError:
                exception = self._stacking_failed(exception, BUS_FAULT, _STKERR)
        self._handler.write([frame, code, exception])
        self._nvic.activate(exception)
        self._go_to_vector(exception)

    def _stacking_failed(self, exception: int, fault: int, bits: int) -> int:
        """The fault is handled first, as a derived exception, and what was to be entered stays pending (ARMv7-M ARM,
        B1.5.11). Raises Lockup when that was a HardFault already."""
        self._scb.note_fault(bits)
        if exception in (NMI, HARD_FAULT):
            raise Lockup
        fault_first = self._nvic.preempts(fault, self._nvic.group(self._nvic.priorities[exception]))
        if self._scb.fault_enabled(fault) and fault_first:
            return fault
        self._scb.note_hard_fault(_FORCED)
        return HARD_FAULT

    def _go_to_vector(self, exception: int) -> None:
        try:
            vector = self._memory.word(self._scb.vector_table + 4 * exception)
        except BusError:
            self._hard_fault(_VECTTBL)
            return
        self._cpu.pc = vector & ~1
        if not vector & 1:
            self._raise(USAGE_FAULT, _INVSTATE)

    def leave(self) -> bool:
        """Act on an EXC_RETURN in pc. True when the core is back in Thread mode. Raises Lockup."""
        nvic, code = self._nvic, self._cpu.pc
        msp, psp, xpsr, control = self._leaving.read()
        finished = xpsr & 0x1FF
        nvic.deactivate(finished)
        if finished != NMI and self._cpu.faultmask:
            self._faultmask.write([0])
            self._cpu.faultmask = 0
        thread = bool(code & 8)
        if code not in _RETURNS or thread != (not nvic.active):
            self._handler.write([msp, code, finished])
            nvic.active |= 1 << finished
            self._raise(USAGE_FAULT, _INVPC)
            return False
        candidate = self.ready()
        if candidate is not None:  # tail-chaining: the frame stays where it is
            self._handler.write([msp, code, candidate])
            nvic.activate(candidate)
            self._go_to_vector(candidate)
            return False
        frame = psp if code & 4 else msp
        floating = not code & 0x10
        if self._mpu.enabled and not self._mpu.allows(frame, 104 if floating else 32, READ):
            nvic.active |= 1 << finished
            self._raise(MEM_MANAGE, _MUNSTKERR)
            return False
        try:
            data = self._memory.read(frame, 104 if floating else 32)
        except BusError:
            nvic.active |= 1 << finished
            self._raise(BUS_FAULT, _UNSTKERR)
            return False
        *registers, link, pc, psr = _FRAME.unpack_from(data)
        if floating:
            *fpu, fpscr, _ = _FPU_FRAME.unpack_from(data, _FRAME.size)
            self._fpu_registers.write(fpu)
            self._fpscr.write([fpscr])
        sp = frame + len(data) | (psr >> 9 & 1) << 2
        batch = self._restored_psp if code & 4 else self._restored_msp
        batch.write([sp & 0xFFFF_FFFF, *registers, link, psr & ~(1 << 9)])
        wanted = (
            control & 1 | (_FPCA if floating else 0) | (_SPSEL if code & 4 else 0)
            if thread
            else (control & ~_FPCA | (_FPCA if floating else 0))
        )
        if (wanted ^ control) & 7:
            self._control.write([wanted])
        self._cpu.pc = pc & ~1
        return thread

    # ----------------------------------------------------------------------- faults

    def supervisor_call(self) -> None:
        """SVC: taken at once, or a HardFault when its priority does not allow it (PM0214, 2.3.2). Raises Lockup."""
        if self._nvic.preempts(SV_CALL, self.execution_priority()):
            self._nvic.pend(SV_CALL)
        else:
            self._hard_fault(_FORCED)

    def breakpoint(self) -> None:
        """BKPT without a debugger is a HardFault (PM0214, 4.4.15, DEBUG_VT). Raises Lockup."""
        self._hard_fault(_DEBUGEVT)

    def fault(self, fault: Fault) -> None:
        """An instruction failed. Loads report precisely; stores go through the write buffer, so the core is already
        past them and BFAR stays unset (PM0214, 2.4.1, imprecise bus error). What the MPU or the system address map
        forbids never reaches the bus: it is precise for stores too (ARMv7-M ARM, B3.5). Raises Lockup."""
        if fault.kind is FaultKind.UNDEFINED:
            self._raise(USAGE_FAULT, _UNDEFINSTR)
        elif fault.kind is FaultKind.INVALID_STATE:
            self._raise(USAGE_FAULT, _INVSTATE)
        elif fault.kind is FaultKind.FETCH:
            allowed = self._mpu.access(fault.address) & EXECUTE
            self._raise(*((BUS_FAULT, _IBUSERR) if allowed else (MEM_MANAGE, _IACCVIOL)))
        elif not self._mpu.allows(fault.address, fault.size, READ if fault.kind is FaultKind.READ else WRITE):
            self._raise(MEM_MANAGE, _DACCVIOL, memory_address=fault.address)
        elif fault.kind is FaultKind.READ:
            self._raise(BUS_FAULT, _PRECISERR, bus_address=fault.address)
        else:
            self.skip_instruction()
            self._raise(BUS_FAULT, _IMPRECISERR)

    def skip_instruction(self) -> None:
        """Step over the instruction at pc."""
        half = int.from_bytes(self._memory.read(self._cpu.pc, 2), "little")
        self._cpu.pc += 4 if half >> 11 in (0x1D, 0x1E, 0x1F) else 2

    def _raise(
        self, exception: int, bits: int, *, bus_address: int | None = None, memory_address: int | None = None
    ) -> None:
        self._scb.note_fault(bits, bus_address=bus_address, memory_address=memory_address)
        if self._scb.fault_enabled(exception) and self._nvic.preempts(exception, self.execution_priority()):
            self._nvic.pend(exception)
        else:
            self._hard_fault(_FORCED)

    def _hard_fault(self, bits: int) -> None:
        self._scb.note_hard_fault(bits)
        if not self._nvic.preempts(HARD_FAULT, self.execution_priority()):
            raise Lockup
        self._nvic.pend(HARD_FAULT)
