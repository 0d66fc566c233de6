"""Flash and RAM as Python sees them: what DMA, exception stacking and the loader use. The core has the same bytes
mapped."""

from __future__ import annotations

from dataclasses import dataclass


class BusError(Exception):
    """There is no memory at this address, or it cannot be written."""

    def __init__(self, address: int) -> None:
        super().__init__(f"no memory at 0x{address:08X}")
        self.address = address


@dataclass(frozen=True, slots=True)
class Region:
    """A piece of memory and who reaches it."""

    name: str
    start: int
    data: bytearray
    writable: bool
    dma: bool = True


class Memory:
    """The memories of one board."""

    def __init__(self) -> None:
        self.regions: list[Region] = []

    def add(self, region: Region) -> Region:
        """Add a region; regions do not overlap."""
        self.regions.insert(0, region)
        return region

    def find(self, address: int, size: int) -> Region:
        """The region that holds the whole range.

        Raises:
            BusError: no region does.
        """
        last = address + size
        for region in self.regions:
            if region.start <= address and last <= region.start + len(region.data):
                return region
        raise BusError(address)

    def read(self, address: int, size: int, *, dma: bool = False) -> bytes:
        """Copy of a range. Raises BusError where the core (or, with `dma`, a DMA controller) would get one."""
        region = self.find(address, size)
        if dma and not region.dma:
            raise BusError(address)
        offset = address - region.start
        return bytes(region.data[offset : offset + size])

    def write(self, address: int, data: bytes, *, dma: bool = False) -> None:
        """Store a range. Raises BusError where the core (or, with `dma`, a DMA controller) would get one."""
        region = self.find(address, len(data))
        if not region.writable or (dma and not region.dma):
            raise BusError(address)
        offset = address - region.start
        region.data[offset : offset + len(data)] = data

    def word(self, address: int) -> int:
        """A little-endian 32-bit word. Raises BusError."""
        return int.from_bytes(self.read(address, 4), "little")
