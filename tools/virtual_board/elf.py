"""Reading a firmware image."""

from __future__ import annotations

from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection


class ImageError(Exception):
    """The file is no image for this board; the message says why."""


def load_segments(path: Path) -> list[tuple[int, bytes]]:
    """Load addresses and contents of an ARM ELF file.

    Raises:
        ImageError: not an ARM ELF file.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        try:
            elf = ELFFile(file)
            if elf["e_machine"] != "EM_ARM":
                raise ImageError(f"{path}: not for ARM")
            return [
                (segment["p_paddr"], segment.data())
                for segment in elf.iter_segments()
                if segment["p_type"] == "PT_LOAD" and segment["p_filesz"]
            ]
        except ELFError as error:
            raise ImageError(f"{path}: not an ELF file ({error})") from error


def symbols(path: Path) -> dict[str, int]:
    """Addresses by symbol name; empty when the file is stripped."""
    with path.open("rb") as file:
        section = ELFFile(file).get_section_by_name(".symtab")
        if not isinstance(section, SymbolTableSection):
            return {}
        return {symbol.name: symbol["st_value"] for symbol in section.iter_symbols() if symbol.name}
