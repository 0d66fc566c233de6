"""The worst-case stack adds up over calls, tail calls, pointers and interrupts; what has no known bound is refused."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import check_stack
from bench import interrupts
from elves import elf_path
from program import Program
from stack_depth import StackError
from stack_depth.levels import EXCEPTION_FRAME, Table, Worst
from virtual_board import VirtualBoard

# Frames by the AAPCS: what is pushed and what is reserved, together a multiple of eight where there is a call.
HEAD = """
#define APART __attribute__((noinline, noclone))
APART void leaf(void) { volatile char a[64]; a[0] = 1; }
"""
LEAF = 64
Toy = Callable[..., Worst]


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    """Compile a program that starts in `entry` and compute its worst case."""

    def build(source: str, calls: str = "", more: str = "", stack: int = 1024) -> Worst:
        board = tmp_path / "toy"
        board.mkdir(exist_ok=True)
        (tmp_path / "toy.c").write_text(HEAD + source)
        command = "arm-none-eabi-gcc -mcpu=cortex-m4 -mthumb -O2 -g -fstack-usage -nostdlib -Wl,--build-id=none -eentry"
        command += f" -Wl,--defsym=stack_start=0x20000000,--defsym=stack_end={0x20000000 + stack:#x}"
        command += f" {tmp_path}/toy.c -o {board}/firmware.elf"
        subprocess.run(command.split(), check=True, cwd=board)
        (tmp_path / "table.toml").write_text(f'entry = "entry"\n{more}\n[calls]\n{calls}\n')
        return check_stack.measure(board / "firmware.elf", tmp_path / "table.toml")

    return build


def test_frames_add_up_along_the_deepest_chain(toy: Toy) -> None:
    worst = toy("APART void middle(void) { volatile char b[32]; leaf(); b[0] = 1; leaf(); b[1] = 2; }\n"
                "void entry(void) { leaf(); middle(); for (;;) {} }")  # fmt: skip
    assert worst.main.path == (("entry", 8), ("middle", 40), ("leaf", LEAF))
    assert worst.main.bytes == worst.total == 8 + 40 + LEAF


def test_a_tail_call_has_the_frame_of_the_caller_behind_it(toy: Toy) -> None:
    worst = toy("APART void tail(void) { volatile char b[32]; b[0] = 1; leaf(); }\n"
                "void entry(void) { tail(); for (;;) {} }")  # fmt: skip
    assert worst.main.path == (("entry", 8), ("tail", 0), ("leaf", LEAF))


def test_a_frame_deeper_than_all_that_is_called_counts(toy: Toy) -> None:
    worst = toy("APART void tail(void) { volatile char b[200]; b[0] = 1; leaf(); }\n"
                "void entry(void) { tail(); for (;;) {} }")  # fmt: skip
    assert worst.main.bytes == 8 + 200


def test_calls_in_the_cases_of_a_switch_count(toy: Toy) -> None:
    cases = "".join(f"case {i}: a[{i}] = {i * i + 1}; leaf(); a[{i + 1}] = 2; break;\n" for i in range(8))
    worst = toy(
        "volatile int a[10], n;\n"
        f"void entry(void) {{ volatile char b[32]; for (;;) {{ b[0]++; switch (n) {{ {cases} }} }} }}"
    )
    assert worst.main.bytes >= 32 + LEAF


POINTER = """
struct ops { void (*go)(int n); int number; };
APART static void first(int n) { volatile char b[16]; b[0] = (char)n; }
APART static void second(int n) { volatile char b[128]; b[0] = (char)n; }
struct ops variable;
const struct ops constant[2] = {{first, 1}, {second, 2}};
void entry(void) { const struct ops *ops = variable.number ? &variable : &constant[variable.number & 1];
    ops->go(1); for (;;) {} }
"""


@pytest.mark.parametrize(
    "calls", ['"ops.go" = ["toy.c:first", "toy.c:second"]', '"ops" = "struct ops"', '"toy.c:ops.go" = ["toy.c:*"]']
)
def test_a_call_through_a_pointer_takes_the_deepest_that_the_table_allows(toy: Toy, calls: str) -> None:
    worst = toy(POINTER, calls)
    assert worst.main.path == (("entry", 8), ("toy.c:second", 128))


def test_a_call_through_a_pointer_that_is_not_in_the_table_is_refused_with_what_to_add(toy: Toy) -> None:
    with pytest.raises(StackError, match=r'toy\.c:\d+: no entry for the call `ops->go\(\.\.\.\)`: add `"ops\.go" = \['):
        toy(POINTER)


@pytest.mark.parametrize(
    ("calls", "complaint"),
    [
        (
            '"ops.go" = ["toy.c:first", "toy.c:second", "toy.c:gone"]',
            r'no function "toy\.c:gone" has its address taken',
        ),
        ('"ops.go" = ["toy.c:first"]', r"address of toy\.c:second is taken, but no entry says"),
        ('"ops" = "struct ops"\n"old" = ["toy.c:first"]', r'entry "old": no call is written so'),
        ('"ops" = "struct other"', r"no initialised object of struct other has a function as \.go"),
    ],
)
def test_a_table_that_is_not_true_any_more_is_refused(toy: Toy, calls: str, complaint: str) -> None:
    with pytest.raises(StackError, match=complaint):
        toy(POINTER, calls)


def test_a_pointer_in_the_arguments_of_a_call_is_found_too(toy: Toy) -> None:
    source = POINTER.replace("void (*go)(int n)", "void (*go)(int n); int (*get)(void)")
    source = source.replace("{first, 1}, {second, 2}", "{first, get, 1}, {second, get, 2}")
    source = source.replace("ops->go(1)", "ops->go(ops->get())")
    source = "APART static int get(void) { volatile char b[256]; b[0] = 1; return b[0]; }\n" + source
    assert toy(source, '"ops" = "struct ops"').main.path[-1] == ("toy.c:get", 256)


def test_recursion_is_refused_with_the_cycle_named(toy: Toy) -> None:
    with pytest.raises(StackError, match=r"recursion, .*: (ping > pong > ping|pong > ping > pong)"):
        toy("void pong(int n); volatile int a;\nAPART void ping(int n) { if (n) { pong(n - 1); a = 1; } }\n"
            "APART void pong(int n) { if (n) { ping(n - 2); a = 2; } }\n"
            "void entry(void) { ping(a); for (;;) {} }")  # fmt: skip


def test_a_frame_of_variable_size_is_refused(toy: Toy) -> None:
    with pytest.raises(StackError, match=r"entry\+.*variable size .alloca"):
        toy("volatile int n; void use(volatile char *);\nAPART void use(volatile char *a) { *a = 1; }\n"
            "void entry(void) { volatile char a[n]; use(a); for (;;) {} }")  # fmt: skip


INTERRUPTS = """
void quick(void) { leaf(); }
void slow(void) { volatile char b[32]; leaf(); b[0] = 1; }
void other(void) { leaf(); }
__attribute__((used)) void (*const vectors[])(void) = {quick, slow, other};
void entry(void) { for (;;) {} }
"""
LEVELS = '[interrupts]\n0 = ["quick"]\n2 = ["slow", "other"]'


def test_interrupts_of_every_level_nest_each_with_its_exception_frame(toy: Toy) -> None:
    worst = toy(INTERRUPTS, more=LEVELS)
    assert {level: chain.bytes for level, chain in worst.levels.items()} == {2: 40 + LEAF, 0: LEAF}
    assert worst.total == 40 + LEAF + LEAF + 2 * EXCEPTION_FRAME
    assert EXCEPTION_FRAME == 32 + 4


@pytest.mark.parametrize(
    ("levels", "complaint"),
    [
        (LEVELS.replace(', "other"', ""), "address of other is taken"),
        (LEVELS.replace("other", "gone"), 'interrupts: no vector leads to "gone"'),
    ],
)
def test_an_interrupt_that_is_missing_or_gone_is_refused(toy: Toy, levels: str, complaint: str) -> None:
    with pytest.raises(StackError, match=complaint):
        toy(INTERRUPTS, more=levels)


def test_a_fault_handler_that_needs_more_room_than_it_makes_sure_of_is_refused(toy: Toy) -> None:
    source = INTERRUPTS.replace("void entry", """
extern char stack_start[]; volatile const char *limit;
void fault(void) { volatile char b[%d]; limit = stack_start + 128; b[0] = 1; leaf(); b[1] = 1; }
__attribute__((used)) void (*const fault_vector)(void) = fault;
void entry""")  # fmt: skip
    more = LEVELS + '\n[fault]\nhandler = "fault"\nroom = 128'
    small = toy(source % 32, more=more)
    assert small.fault is not None
    assert small.total == 40 + LEAF + LEAF + 3 * EXCEPTION_FRAME
    with pytest.raises(StackError, match=r"fault needs \d+ B and makes sure of 128 B"):
        toy(source % 80, more=more)
    with pytest.raises(StackError, match=r"does not compare with stack_start \+ 64"):
        toy(source % 32, more=more.replace("128", "64"))


def test_a_frame_that_the_compiler_says_otherwise_is_refused(toy: Toy, tmp_path: Path) -> None:
    toy("void entry(void) { leaf(); for (;;) {} }")
    (usage,) = (tmp_path / "toy").glob("*.su")
    usage.write_text(usage.read_text().replace("\t64\t", "\t72\t"))
    with pytest.raises(StackError, match="leaf: 64 B by the disassembly, 72 B by the compiler"):
        check_stack.measure(tmp_path / "toy" / "firmware.elf", tmp_path / "table.toml")


@pytest.mark.parametrize(("stack", "enough"), [(72, True), (64, False)])
def test_more_than_the_stack_is_over_budget(toy: Toy, tmp_path: Path, stack: int, enough: bool) -> None:
    assert toy("void entry(void) { leaf(); for (;;) {} }", stack=stack).total == 72
    lines, passed = check_stack.check(tmp_path, tmp_path / "table.toml", ["toy"])
    assert passed == enough
    assert ("OVER BUDGET" in lines[-1]) != enough


def test_the_firmware_under_load_uses_no_more_than_was_computed() -> None:
    worst = check_stack.measure(elf_path("nucleo_f411re"))
    used = interrupts.loaded("nucleo_f411re", seconds=0.5).measurement.stack_used()
    assert worst.main.bytes / 2 < used <= worst.total <= worst.size
    assert worst.compared > 0.9 * worst.functions


def test_the_priorities_of_the_table_are_those_that_the_firmware_sets() -> None:
    elf = elf_path("nucleo_f411re")
    program, table = Program(elf), Table.read(check_stack.TABLE)
    board = VirtualBoard(elf, seed=1)
    board.run(0.5)
    nvic = board.machine.nvic
    enabled = {14, 15} | {16 + irq for irq in range(96) if nvic.enabled >> (16 + irq) & 1}
    seen = set()
    for exception in enabled:
        vector = int.from_bytes(program.read(program.symbols["vectors_start"] + 4 * exception, 4), "little")
        function = program.function_at(vector)
        assert function is not None
        if function.name != table.fault:
            assert function.name in table.interrupts[nvic.priorities[exception] >> 4], exception
            seen.add(function.name)
    assert len(seen) >= 8
