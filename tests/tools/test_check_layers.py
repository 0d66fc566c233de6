"""The layer rules of the C code hold, and the check can fail."""

from pathlib import Path

import pytest

import check_layers


def write(root: Path, path: str, text: str) -> None:
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    write(tmp_path, "firmware/lib/ring.h", "#include <stdint.h>\n")
    write(tmp_path, "firmware/hal/uart.h", "#include <stdint.h>\n")
    write(tmp_path, "firmware/drivers/mpu6050.c", '#include "lib/ring.h"\n')
    write(tmp_path, "firmware/port/stm32f4/uart.c", '#include "hal/uart.h"\n#define UART1 0x40011000\n')
    write(tmp_path, "firmware/port/stm32f4/regs.h", "")
    write(tmp_path, "firmware/app/main.c", '#include "hal/uart.h"\n#include "lib/ring.h"\n')
    return tmp_path


def test_this_checkout_keeps_the_rules() -> None:
    assert check_layers.check(check_layers.ROOT) == []


def test_a_tree_that_keeps_the_rules_has_no_finding(tree: Path) -> None:
    assert check_layers.check(tree) == []


@pytest.mark.parametrize(
    ("path", "line", "what"),
    [
        ("firmware/drivers/mpu6050.c", '#include "hal/uart.h"', 'drivers may not include "hal/uart.h"'),
        ("firmware/app/main.c", '#include "port/stm32f4/regs.h"', "app may not include"),
        ("firmware/lib/ring.c", '#include "hal/uart.h"', "lib may not include"),
        ("firmware/lib/ring.c", "#include <stdio.h>", "<stdio.h> is not freestanding"),
        ("firmware/app/main.c", '#include "nowhere.h"', "is in no layer"),
        ("firmware/app/main.c", "volatile int *x = (int *)0x40011000;", "register address 0x40011000"),
    ],
)
def test_a_wrong_line_is_named_with_file_and_line(tree: Path, path: str, line: str, what: str) -> None:
    write(tree, path, f"\n{line}\n")
    (finding,) = check_layers.check(tree)
    assert what in finding.text
    assert (finding.path.as_posix(), finding.line) == (path, 2)


def test_what_stands_in_a_comment_is_no_include(tree: Path) -> None:
    write(tree, "firmware/lib/ring.c", '/*\n#include "hal/uart.h" 0x40011000 */\n// #include <stdio.h>\n')
    assert check_layers.check(tree) == []


def test_an_empty_tree_is_not_taken_for_a_good_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing to check"):
        check_layers.check(tmp_path)
