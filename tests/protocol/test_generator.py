"""The generator: refuses bad tables with one line, notices stale files, writes files as the formatters want them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import generate_protocol
from protocol.support import ROOT
from protocol_generator.c_code import c_header, c_source
from protocol_generator.python_code import python_code
from protocol_generator.table import TableError, canonical, parse
from telemetry_protocol import messages
from telemetry_protocol.crc import crc32c

TABLE = (ROOT / "protocol" / "messages.toml").read_text(encoding="utf-8")
SMALL = """
protocol = 1
[enum.colour]
doc = "A colour."
values = { red = 0, green = 1 }
[flags.options]
doc = "Options."
values = { fast = 0 }
[struct.point]
doc = "A point."
fields = [{ name = "x", type = "i16", unit = "m", doc = "abscissa" }]
[[message]]
name = "first"
id = 1
from = "board"
doc = "The first."
fields = [
  { name = "hue", type = "u8", enum = "colour", doc = "its colour" },
  { name = "set", type = "u32", flags = "options", doc = "its options" },
  { name = "points", type = "list[point]", doc = "its points" },
  { name = "tail", type = "rest", doc = "what is left" },
]
[[message]]
name = "second"
id = 2
from = "host"
doc = "The second."
fields = [{ name = "text", type = "str", doc = "its text" }]
[[command]]
name = "go"
id = 1
doc = "Go."
args = [{ name = "speed", type = "u16", doc = "how fast" }]
result = []
"""


def test_the_small_table_is_good() -> None:
    table = parse(SMALL)
    assert [message.size for message in table.messages] == [6, 1]
    assert [message.is_fixed for message in table.messages] == [False, False]


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("protocol = 1", "protocol = ", "not TOML"),
        ("protocol = 1", "", "protocol is missing"),
        ("protocol = 1", "protocol = 256", "protocol = 256"),
        ("protocol = 1", "protocol = 1\ncolour = 2", "unknown key colour"),
        ("id = 2", "id = 1", "message id 1 is used twice: first, second"),
        ("id = 2", "id = 256", "message second: id = 256"),
        ("id = 2", "id = 0", "message second: id = 0"),
        ("id = 2", 'id = "2"', "message second: id = '2'"),
        ("id = 2", "", "message second: id is missing"),
        ('name = "second"', 'name = "first"', "name first is used twice"),
        ('name = "second"', 'name = "point"', "name point is used twice"),
        ('name = "second"', 'name = "go_args"', "name go_args is used twice"),
        ('name = "second"', 'name = "Second"', "cannot be a name"),
        ('name = "second"', 'name = "float"', "cannot be a name"),
        ('name = "text"', 'name = "from"', "cannot be a name"),
        ('name = "set"', 'name = "hue"', "message first: field hue is used twice"),
        ('type = "str"', 'type = "u24"', "message second: field text: unknown type u24"),
        ('type = "str"', 'type = "bytes[0]"', "unknown type bytes[0]"),
        ('type = "str"', 'type = "list[line]"', "unknown struct line"),
        ('type = "str"', 'type = "bytes[507]"', "507 bytes at least"),
        ('type = "list[point]"', 'type = "rest"', "points is rest and not the last field"),
        ('type = "i16", unit', 'type = "rest", unit', "struct.point: field x: rest is not possible here"),
        ('type = "i16", unit', 'type = "list[point]", unit', "field x: list[point] is not possible here"),
        ('name = "speed", type = "u16"', 'name = "speed", type = "rest"', "rest is not possible here"),
        ('name = "speed", type = "u16"', 'name = "speed", type = "list[line]"', "unknown struct line"),
        ('enum = "colour"', 'enum = "color"', "unknown enum color"),
        ('flags = "options"', 'flags = "option"', "unknown flags option"),
        ('type = "u8", enum', 'type = "u16", enum', "enum in a u16, not a u8"),
        ('type = "u32", flags', 'type = "u8", flags', "flags in a u8, not a u32"),
        ("green = 1", "green = 0", "enum.colour: number 0 is used twice"),
        ("green = 1", "green = 256", "green = 256"),
        ("green = 1", "doc = 1", "the fingerprint leaves it out"),
        ("fast = 0", "fast = 32", "fast = 32"),
        ('from = "host"', 'from = "moon"', "neither board nor host"),
        ('doc = "its text"', 'doc = ""', "doc must be one line"),
        ('doc = "its text"', 'doc = "a */ b"', "doc must be one line"),
        ('doc = "its text"', 'unit = "m"', "doc is missing"),
        ('doc = "its text"', 'doc = "its text", uint = "m"', "unknown key uint"),
        ("[[command]]", "[command.go]", "command: write [[command]]"),
        ("result = []", "", "result is missing"),
        ('fields = [{ name = "text", type = "str", doc = "its text" }]', "fields = []", "not a list of fields"),
        ('fields = [{ name = "text", type = "str", doc = "its text" }]', "fields = [1]", "not a table"),
    ],
)
def test_a_bad_table_is_refused_in_one_line(before: str, after: str, words: str) -> None:
    assert before in SMALL
    with pytest.raises(TableError, match=re.escape(words)) as caught:
        parse(SMALL.replace(before, after, 1) if before != "id = 2" else after.join(SMALL.split("id = 2", 1)))
    assert "\n" not in str(caught.value)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The table and what was generated from it, in a repository of its own."""
    for name in ("protocol/messages.toml", *generate_protocol.OUTPUTS):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def run(root: Path, *arguments: str) -> int:
    return generate_protocol.main([*arguments, "--root", str(root)])


def test_the_committed_files_are_up_to_date() -> None:
    assert run(ROOT, "--check") == 0


@pytest.mark.parametrize("name", list(generate_protocol.OUTPUTS))
def test_check_names_the_stale_file_and_leaves_it(copy: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    stale = (copy / name).read_text(encoding="utf-8") + "\n"
    (copy / name).write_text(stale, encoding="utf-8")
    assert run(copy, "--check") == 1
    assert capsys.readouterr().err.startswith(f"{name} is stale")
    assert (copy / name).read_text(encoding="utf-8") == stale
    assert run(copy) == 0
    assert run(copy, "--check") == 0


def test_check_notices_a_change_of_the_table(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = copy / "protocol" / "messages.toml"
    table.write_text(TABLE.replace('"supply_mv",        type = "u16"', '"supply_mv", type = "u32"'), encoding="utf-8")
    assert run(copy, "--check") == 1
    assert capsys.readouterr().err.count("is stale") == 3
    (copy / "protocol/c/tp_messages.c").unlink()
    assert run(copy, "--check") == 1
    assert "tp_messages.c is stale" in capsys.readouterr().err


def test_a_bad_table_ends_with_one_line_and_writes_nothing(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copy / "protocol" / "messages.toml").write_text(TABLE.replace("id = 0x40", "id = 0x01"), encoding="utf-8")
    before = {name: (copy / name).read_text(encoding="utf-8") for name in generate_protocol.OUTPUTS}
    assert run(copy) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "message id 1 is used twice: hello, command" in error
    assert before == {name: (copy / name).read_text(encoding="utf-8") for name in generate_protocol.OUTPUTS}


def test_the_command_line_checks_too() -> None:
    command = [sys.executable, str(ROOT / "tools" / "generate_protocol.py"), "--check"]
    assert subprocess.run(command, check=False, timeout=60).returncode == 0


def test_the_fingerprint_is_the_one_of_the_spec() -> None:
    """SPEC.md, "Table fingerprint", once more and in other words."""

    def without(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: without(part[key]) for key in sorted(part) if key not in {"doc", "unit"}}
        return list(map(without, part)) if isinstance(part, list) else part

    text = json.dumps(without(tomllib.loads(TABLE)), separators=(",", ":"), ensure_ascii=False)
    assert crc32c(text.encode()) == messages.FINGERPRINT


def test_words_do_not_change_the_fingerprint_and_everything_else_does() -> None:
    plain = parse(SMALL).fingerprint
    assert parse(SMALL.replace("The first.", "Number one.").replace('unit = "m"', 'unit = "km"')).fingerprint == plain
    assert parse(SMALL.replace("# ", "")).fingerprint == plain
    for before, after in (("id = 2", "id = 3"), ("i16", "i32"), ("red", "blue"), ("green = 1", "green = 2")):
        assert parse(SMALL.replace(before, after)).fingerprint != plain
    assert b" " not in canonical(tomllib.loads(SMALL))


def test_another_table_gives_c_and_python_that_work(tmp_path: Path) -> None:
    table = parse(SMALL)
    (tmp_path / "tp_messages.h").write_text(c_header(table))
    (tmp_path / "tp_messages.c").write_text(c_source(table))
    includes = [f"-I{folder}" for folder in (tmp_path, ROOT / "protocol/c/include", ROOT / "protocol/c")]
    flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-Wshadow", "-Wconversion", "-fsyntax-only"]
    subprocess.run(["gcc", *flags, *includes, str(tmp_path / "tp_messages.c")], check=True, timeout=60)
    module: dict[str, Any] = {"__name__": "telemetry_protocol.small", "__package__": "telemetry_protocol"}
    sys.modules["telemetry_protocol.small"] = messages  # dataclasses look their module up
    try:
        exec(compile(python_code(table), "small", "exec"), module)
    finally:
        del sys.modules["telemetry_protocol.small"]
    first = module["First"](1, 2, (module["Point"](-3),), b"rest")
    assert first.pack() == bytes.fromhex("01 02000000 01 FDFF") + b"rest"
    assert module["unpack"](1, first.pack()) == first
