"""The text format of Prometheus, version 0.0.4: families of samples with labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal, NamedTuple, TypeAlias

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
Kind: TypeAlias = Literal["counter", "gauge"]
Labels: TypeAlias = Mapping[str, str]
_ESCAPES: Final = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


class Family(NamedTuple):
    """What one name stands for; a counter's ends in ``_total``."""

    name: str
    kind: Kind
    help: str


class Exposition:
    """Collects samples; each family comes out once, with all of its samples."""

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self._families: dict[Family, list[str]] = {}

    def add(self, family: Family, value: float | None, labels: Labels | None = None) -> None:
        """One sample; none where the value is not known."""
        if value is None:
            return
        pairs = ",".join(f'{name}="{label.translate(_ESCAPES)}"' for name, label in (labels or {}).items())
        text = f"{{{pairs}}}" if pairs else ""
        self._families.setdefault(family, []).append(f"{self._prefix}{family.name}{text} {float(value)!r}")

    def add_each(self, family: Family, values: Mapping[str, float], label: str, labels: Labels) -> None:
        """A sample for each value of a label."""
        for name, value in values.items():
            self.add(family, value, {**labels, label: name})

    def add_state(self, family: Family, state: str, states: Iterable[str], labels: Labels) -> None:
        """1 for the state that is in force, 0 for the others."""
        self.add_each(family, {name: float(name == state) for name in states}, "state", labels)

    def text(self) -> str:
        """All of it."""
        lines: list[str] = []
        for (name, kind, about), samples in self._families.items():
            lines += [f"# HELP {self._prefix}{name} {about}", f"# TYPE {self._prefix}{name} {kind}", *samples]
        return "\n".join([*lines, ""])
