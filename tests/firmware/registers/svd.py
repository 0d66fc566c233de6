"""Register descriptions of a chip vendor: what a CMSIS-SVD file says, by name.

The files are those that pyocd carries (`pyocd/debug/svd/svd_data.zip`). Read is what ST's files use: derived
peripherals, registers, fields by bitOffset and bitWidth, interrupts. Of the rest of the format (arrays, clusters,
derived registers, other ways to place a field) any use is refused, so that nothing is passed over.
"""

from __future__ import annotations

import functools
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from xml.etree import ElementTree

UNSUPPORTED = ("cluster", "dim", "bitRange", "lsb", "msb")


@dataclass(frozen=True)
class Field:
    """Bits of a register."""

    position: int
    width: int

    @property
    def mask(self) -> int:
        """The bits, in place."""
        return (1 << self.width) - 1 << self.position


@dataclass(frozen=True)
class Register:
    """One register: absolute address, size in bytes, fields by name, value after reset (None: not stated), and who
    says so."""

    address: int
    size: int = 4
    fields: Mapping[str, Field] = field(default_factory=dict)
    reset: int | None = None
    source: str = "SVD"


@dataclass(frozen=True)
class Device:
    """Base addresses and registers by peripheral, interrupt numbers by name."""

    bases: Mapping[str, int]
    registers: Mapping[str, Mapping[str, Register]]
    interrupts: Mapping[str, int]


def _text(element: ElementTree.Element, tag: str) -> str:
    text = element.findtext(tag)
    if text is None:
        raise ValueError(f"<{element.tag}> without <{tag}>")
    return text.strip()


def _number(element: ElementTree.Element, tag: str) -> int:
    text = _text(element, tag).lower()
    return int(text, 16) if text.startswith("0x") else int(text)


def _register(element: ElementTree.Element, base: int) -> Register:
    fields = {_text(f, "name"): Field(_number(f, "bitOffset"), _number(f, "bitWidth")) for f in element.iter("field")}
    size = _number(element, "size") // 8
    return Register(base + _number(element, "addressOffset"), size, fields, _number(element, "resetValue"))


def parse(text: bytes) -> Device:
    """Read an SVD file.

    Raises:
        ValueError: the file lacks something, or uses a part of the format that is not read here.
    """
    root = ElementTree.fromstring(text)
    for tag in UNSUPPORTED:
        if root.find(f".//{tag}") is not None:
            raise ValueError(f"<{tag}> is not read here")
    if any(root.find(f".//{tag}[@derivedFrom]") is not None for tag in ("register", "field")):
        raise ValueError("derived registers and fields are not read here")
    peripherals = {_text(element, "name"): element for element in root.iter("peripheral")}
    bases: dict[str, int] = {}
    registers: dict[str, dict[str, Register]] = {}
    interrupts: dict[str, int] = {}
    for name, element in peripherals.items():
        base = bases[name] = _number(element, "baseAddress")
        source = element
        while "derivedFrom" in source.attrib:
            if source.find("registers") is not None:
                raise ValueError(f"{name} is derived and has registers of its own: not read here")
            source = peripherals[source.attrib["derivedFrom"]]
        registers[name] = {_text(r, "name"): _register(r, base) for r in source.iter("register")}
        interrupts |= {_text(i, "name"): _number(i, "value") for i in element.findall("interrupt")}
    return Device(bases, registers, interrupts)


@functools.cache
def device(name: str) -> Device:
    """A device of the collection in pyocd, e.g. `STM32F41x`.

    Raises:
        FileNotFoundError, KeyError: this pyocd has no such collection, or no such device.
    """
    path = metadata.distribution("pyocd").locate_file("pyocd/debug/svd/svd_data.zip")
    with zipfile.ZipFile(str(path)) as collection:
        return parse(collection.read(f"{name}.svd"))
