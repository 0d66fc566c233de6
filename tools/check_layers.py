"""Check who includes whom in the C code (docs/architecture.md, "Directions").

Prints each include that points the wrong way and exits 1; silent and 0 when there is none.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# layer -> (its folder, the layers it may include beside itself)
LAYERS: dict[str, tuple[str, frozenset[str]]] = {
    "app": ("firmware/app", frozenset({"drivers", "lib", "hal", "protocol"})),
    "drivers": ("firmware/drivers", frozenset({"lib"})),
    "port": ("firmware/port", frozenset({"hal", "lib", "boards"})),
    "hal": ("firmware/hal", frozenset({"lib"})),
    "lib": ("firmware/lib", frozenset()),
    "boards": ("firmware/boards", frozenset()),
    "protocol": ("protocol/c", frozenset()),
}
FREESTANDING = frozenset(
    {"limits.h", "stdalign.h", "stdarg.h", "stdbool.h", "stddef.h", "stdint.h", "stdnoreturn.h", "string.h"}
)
INCLUDE = re.compile(r'^[^\S\n]*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
# peripherals of an STM32F4 (RM0090, section 2.3 "Memory map") and the private peripheral bus (PM0214, section 2.2);
# a register is a word
REGISTER_ADDRESS = re.compile(r"\b0x(?:400|500|E00)[0-9A-F]{4}[048C]U?L?\b", re.IGNORECASE)


@dataclass(frozen=True)
class Finding:
    """One line that breaks a rule."""

    path: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


def layer_of(path: Path, root: Path) -> str | None:
    """The layer that a file belongs to, or None outside all of them."""
    relative = path.relative_to(root).as_posix()
    return next((name for name, (folder, _) in LAYERS.items() if relative.startswith(folder + "/")), None)


def sources(root: Path) -> Iterator[Path]:
    """Every C file and header of a layer."""
    for folder, _ in LAYERS.values():
        yield from sorted(path for path in (root / folder).rglob("*.[ch]") if "build" not in path.parts)


def _blank_comments(text: str) -> str:
    return COMMENT.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text)


def check(root: Path) -> list[Finding]:
    """Every include that points the wrong way and every register address outside the port.

    Args:
        root: top of a checkout.

    Raises:
        FileNotFoundError: there is no C code below ``root``, so nothing was checked.
    """
    files = list(sources(root))
    if not files:
        raise FileNotFoundError(f"no C code in {root}: nothing to check")
    by_name: dict[str, list[Path]] = {}
    for path in files:
        by_name.setdefault(path.name, []).append(path)

    findings: list[Finding] = []
    for path in files:
        own = layer_of(path, root)
        assert own is not None
        text = _blank_comments(path.read_text(encoding="utf-8"))
        shown = path.relative_to(root)

        def report(position: int, what: str, text: str = text, shown: Path = shown) -> None:
            findings.append(Finding(shown, text.count("\n", 0, position) + 1, what))

        for match in INCLUDE.finditer(text):
            quoted, angled = match.groups()
            if angled is not None:
                if angled not in FREESTANDING:
                    report(match.start(), f"<{angled}> is not freestanding")
                continue
            suffix = "/" + quoted.removeprefix("./")
            targets = [other for other in by_name.get(Path(quoted).name, []) if other.as_posix().endswith(suffix)]
            layers = {layer_of(target, root) for target in targets}
            if not targets:
                report(match.start(), f'"{quoted}" is in no layer')
            elif own not in layers and not layers & LAYERS[own][1]:
                report(match.start(), f'{own} may not include "{quoted}" ({", ".join(sorted(map(str, layers)))})')
        if own != "port":
            for match in REGISTER_ADDRESS.finditer(text):
                report(match.start(), f"register address {match.group()} outside port/")
    return findings


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=ROOT, help="top of the checkout (default: this one)")
    findings = check(parser.parse_args().root.resolve())
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
