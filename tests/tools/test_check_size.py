"""The size table adds up, and an image over budget is a failure."""

import subprocess
from pathlib import Path

import pytest

import check_size


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("build")
    (folder / "toy").mkdir()
    source = folder / "toy.c"
    # 64 bytes of constants in flash, 256 bytes zeroed RAM, 16 bytes that lie in both
    source.write_text(
        "const char constant[64] = {1}; char zeroed[256]; char initial[16] = {1};\nvoid _start(void) { for (;;) {} }\n"
    )
    script = folder / "toy.ld"
    script.write_text(
        "SECTIONS { .text 0x08000000 : { *(.text*) *(.rodata*) }\n"
        " .data 0x20000000 : AT(0x08004000) { *(.data*) } .bss : { *(.bss*) *(COMMON) } }\n"
    )
    subprocess.run(
        "arm-none-eabi-gcc -mcpu=cortex-m4 -mthumb -Os -nostdlib -Wl,--build-id=none"
        f" -T {script} {source} -o {folder}/toy/firmware.elf".split(),
        check=True,
    )
    return folder


def budget(folder: Path, flash: int, ram: int) -> Path:
    path = folder / f"budget-{flash}-{ram}.toml"
    path.write_text(f"[board.toy]\nflash = {flash}\nram = {ram}\n")
    return path


def test_constants_count_as_flash_zeroes_as_ram_and_variables_as_both(build: Path) -> None:
    size = check_size.measure(build / "toy" / "firmware.elf")
    assert size.ram == 256 + 16
    assert 64 + 16 + 2 <= size.flash <= 64 + 16 + 32


def test_within_budget_passes_and_shows_used_free_and_share(build: Path) -> None:
    lines, within = check_size.check(build, budget(build, 1000, 544))
    assert within
    assert lines[2].split() == ["toy", "ram", "272", "544", "272", "50.0%"]


@pytest.mark.parametrize(("flash", "ram"), [(50, 1000), (1000, 271)])
def test_over_budget_fails_and_says_which(build: Path, flash: int, ram: int) -> None:
    lines, within = check_size.check(build, budget(build, flash, ram))
    assert not within
    (over,) = [line for line in lines if line.endswith("OVER BUDGET")]
    assert over.split()[1] == ("flash" if flash == 50 else "ram")
