"""What the compiler says that each function pushes (-fstack-usage), to hold the disassembly against."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from . import StackError
from .frames import Body
from .pointers import label

_LINE = re.compile(r"(?P<file>[^\t]+?):\d+:\d+:(?P<name>[^\t]+)\t(?P<bytes>\d+)\t(?P<kind>\S+)")


def read(build: Path) -> dict[str, set[int]]:
    """Bytes by function ("name" and "file.c:name"), from every .su file below a folder.

    Raises:
        StackError: there is none, or a frame has no fixed size.
    """
    found: dict[str, set[int]] = {}
    for path in sorted(build.rglob("*.su")):
        for line in path.read_text(encoding="utf-8").splitlines():
            fields = _LINE.fullmatch(line)
            if fields is None:
                raise StackError(f"{path}: not understood: {line}")
            if fields["kind"] not in ("static", "dynamic,bounded"):
                raise StackError(f"{fields['name']} in {fields['file']}: a frame of variable size ({fields['kind']})")
            for name in (fields["name"], f"{Path(fields['file']).name}:{fields['name']}"):
                found.setdefault(name, set()).add(int(fields["bytes"]))
    if not found:
        raise StackError(f"no *.su in {build}: compile with -fstack-usage")
    return found


def differences(bodies: Iterable[Body], usage: dict[str, set[int]]) -> tuple[int, list[str]]:
    """How many functions the compiler knows too, and each where it says something else.

    The compiler leaves the number of a clone out, and does not count arguments that are spilled.
    """
    compared, lines = 0, []
    for body in bodies:
        name = re.sub(r"\.\d+$", "", label(body.function))
        said = usage.get(name)
        if said is None:
            continue
        compared += 1
        if body.frame - body.spilled not in said:
            numbers = " or ".join(str(each) for each in sorted(said))
            lines.append(f"{name}: {body.frame} B by the disassembly, {numbers} B by the compiler: check_stack.py errs")
    return compared, lines
