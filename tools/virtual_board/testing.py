"""For tests of the models: tiny programs in C, and a probe that plays the core.

A program is C source with a `main`; `exception_N` handles exception N (16 + n for interrupt n) and `OUT` is an array of
words that the test reads. There is no C library and no start-up code: variables in RAM hold noise until written.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from .board import VirtualBoard
from .motion import Motion
from .timebase import PS_PER_S

OUT = 0x2001_0000
"""Where `OUT` is."""
_EXCEPTIONS = 16 + 86
_FLAGS = (
    *("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16", "-O1", "-std=c11", "-ffreestanding"),
    *("-nostdlib", "-Wall", "-Wextra", "-Werror", "-fno-tree-loop-distribute-patterns", "-Wl,--build-id=none"),
)
_LINKER_SCRIPT = """
ENTRY(start)
SECTIONS {
  .text 0x08000000 : { KEEP(*(.vectors)) *(.text*) *(.rodata*) }
  .bss 0x20000000 (NOLOAD) : { *(.data*) *(.bss*) }
  /DISCARD/ : { *(.ARM.exidx*) *(.comment) }
}
""" + "".join(f"PROVIDE(exception_{n} = unexpected);\n" for n in range(2, _EXCEPTIONS))
_PRELUDE = (
    f"""
typedef unsigned int u32;
#define REG(address) (*(volatile u32 *)(address))
#define OUT ((volatile u32 *){OUT:#x}u)
#define WFI() __asm volatile("wfi" ::: "memory")
#define BARRIER() __asm volatile("dsb\\n isb" ::: "memory")
static inline u32 ipsr(void) {{ u32 v; __asm volatile("mrs %0, ipsr" : "=r"(v)); return v; }}
int main(void);
void start(void);
void unexpected(void);
void start(void) {{ main(); for (;;) WFI(); }}
void unexpected(void) {{ OUT[255] = ipsr(); for (;;) {{}} }}
"""
    + "".join(f"void exception_{n}(void);\n" for n in range(2, _EXCEPTIONS))
    + '__attribute__((section(".vectors"), used)) static void (*const vectors[])(void) = {\n'
    + "(void (*)(void))0x20020000u, start,\n"
    + "".join(f"exception_{n},\n" for n in range(2, _EXCEPTIONS))
    + "};\n#line 1\n"
)


def compile_program(source: str, directory: Path, *, include: Sequence[Path] = ()) -> Path:
    """Compile a program, with folders to include from; the same source is compiled once per directory.

    Raises:
        RuntimeError: the compiler refused it; the message is the compiler's.
        FileNotFoundError: arm-none-eabi-gcc is not installed.
    """
    elf = directory / f"{hashlib.sha256(source.encode()).hexdigest()[:16]}.elf"
    if elf.exists():
        return elf
    code, script = elf.with_suffix(".c"), elf.with_suffix(".ld")
    code.write_text(_PRELUDE + source)
    script.write_text(_LINKER_SCRIPT)
    done = subprocess.run(
        [
            "arm-none-eabi-gcc",
            *_FLAGS,
            *(f"-I{folder}" for folder in include),
            "-T",
            str(script),
            "-o",
            str(elf),
            str(code),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return elf


IDLE = "int main(void) { return 0; }"
"""A program that sleeps: the test does the rest through a `Probe`."""


class Run(Protocol):
    """What compiles a program and runs it: the fixture `run` of the tests."""

    def __call__(
        self,
        source: str,
        microseconds: float = 1000,
        *,
        board: str = "nucleo_f411re",
        motion: Motion | None = None,
        seed: int = 0,
        unit: int = 0,
        noise: bool = True,
    ) -> Probe:
        """Run `source` for some microseconds of virtual time; the rest goes to `VirtualBoard`."""


class Probe:
    """Plays the core on a board that sleeps: loads, stores, and lets time pass."""

    def __init__(self, board: VirtualBoard) -> None:
        self.board = board
        self.machine = board.machine
        self.time = board.machine.time

    def read(self, address: int, size: int = 4) -> int:
        """A load."""
        return self.machine.bus.read(address, size)

    def write(self, address: int, value: int, size: int = 4) -> None:
        """A store."""
        self.machine.bus.write(address, size, value)

    def set(self, address: int, bits: int) -> None:
        """Set bits of a register."""
        self.write(address, self.read(address) | bits)

    def clear(self, address: int, bits: int) -> None:
        """Clear bits of a register."""
        self.write(address, self.read(address) & ~bits)

    def out(self, index: int) -> int:
        """A word of the program's `OUT`."""
        return self.machine.memory.word(OUT + 4 * index)

    def pass_us(self, microseconds: float) -> None:
        """Let time pass; the exact amount plus at most one cycle."""
        self.machine.run_until_ps(self.time.now_ps + round(microseconds * 1e6))

    def line(self, irq: int) -> bool:
        """Whether a peripheral drives its interrupt line."""
        return bool(self.machine.nvic.lines >> (16 + irq) & 1)

    def wait(self, condition: Callable[[], object], limit_us: float = 10_000) -> float:
        """Let time pass in steps of 0.1 us until `condition()` holds; returns how many microseconds it took.

        Raises:
            TimeoutError: it never did.
        """
        start = self.time.now_ps
        while not condition():
            if self.time.now_ps - start > limit_us * 1e6:
                raise TimeoutError
            self.machine.run_until_ps(self.time.now_ps + PS_PER_S // 10_000_000)
        return (self.time.now_ps - start) / 1e6
