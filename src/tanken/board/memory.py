"""The guest-physical map: RAM, ROM and, for all else, the bus of memory-mapped devices.

RAM is anonymous memory of the host that a hypervisor can be handed by its address; pages cost nothing until they are touched.
"""

from __future__ import annotations

import ctypes
import mmap
from bisect import bisect_right
from collections.abc import Callable

from tanken.base.errors import InternalError, UsageError
from tanken.board.bus import Bus

PAGE = 4096
NORESERVE = 0x4000  # MAP_NORESERVE of Linux, which the module mmap does not name


class Region:
    """Bytes at guest-physical [base, base + size): RAM, or ROM where the guest's writes go to the bus.

    `within` is a mapping of the host's and where in it the region lies; else it has one of its own.
    """

    def __init__(self, name: str, base: int, size: int, writable: bool = True, within: tuple[mmap.mmap, int] | None = None) -> None:
        if base % PAGE or size % PAGE or size <= 0:
            raise UsageError(f"{name} of {size:#x} bytes at {base:#x}", wanted=f"whole pages of {PAGE}")
        self.name, self.base, self.size, self.writable = name, base, size, writable
        self._mapping, self._at = within or (_mapping(name, size), 0)
        self.bytes = memoryview(self._mapping)[self._at : self._at + size]
        self.end = base + size

    def clear(self) -> None:
        """All zero again, as at the beginning; the host has its pages back."""
        self._mapping.madvise(mmap.MADV_DONTNEED, self._at, self.size)  # private and anonymous

    @property
    def host_address(self) -> int:
        """Where the host keeps it."""
        return ctypes.addressof(ctypes.c_char.from_buffer(self.bytes))

    def __repr__(self) -> str:
        return f"<{self.name} {self.base:#x}-{self.end - 1:#x}>"


def _mapping(name: str, size: int) -> mmap.mmap:
    try:
        return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | NORESERVE)
    except (OSError, OverflowError, ValueError) as error:
        raise UsageError(f"{size:#x} bytes of {name}: {error}", wanted="memory that this host has") from error


def side_by_side(wanted: list[tuple[str, int, int]]) -> list[Region]:
    """Regions of RAM (name, base, size), ascending, that lie in the host as in the guest: one distance leads to all of them, and to nothing in between."""
    start, (_, last, size) = wanted[0][1], wanted[-1]
    whole = _mapping("RAM", last + size - start)
    return [Region(name, base, size, within=(whole, base - start)) for name, base, size in wanted]


class Memory:
    """The map. What no region holds goes to `bus`."""

    def __init__(self, bus: Bus | None = None) -> None:
        self.bus = bus or Bus("mmio", 52)
        self.regions: list[Region] = []
        self._bases: list[int] = []
        self.on_write: list[Callable[[int, int], None]] = []  # told address and length of what `write` changed

    def add(self, region: Region) -> Region:
        """Raises UsageError where another region or a device is."""
        at = bisect_right(self._bases, region.base)
        for other in self.regions[max(0, at - 1) : at + 1]:
            if region.base < other.end and other.base < region.end:
                raise UsageError(f"{region}", wanted=f"addresses that {other} has not")
        if self.bus.touches(region.base, region.size):
            raise UsageError(f"{region}", wanted="addresses that no device has")
        self.regions.insert(at, region)
        self._bases.insert(at, region.base)
        return region

    def find(self, address: int) -> Region | None:
        """The region that holds `address`."""
        at = bisect_right(self._bases, address) - 1
        if at < 0:
            return None
        region = self.regions[at]
        return region if address < region.end else None

    @property
    def size(self) -> int:
        """Bytes of RAM."""
        return sum(region.size for region in self.regions if region.writable)

    # -- by the machine itself: bytes of RAM and ROM, no device is touched

    def read(self, address: int, size: int) -> bytes:
        """Bytes of RAM or ROM; raises InternalError where there is none."""
        pieces = []
        while size > 0:
            region = self.find(address)
            if region is None:
                raise InternalError(f"no memory at {address:#x}")
            length = min(size, region.end - address)
            pieces.append(region.bytes[address - region.base : address - region.base + length])
            address, size = address + length, size - length
        return b"".join(pieces)

    def write(self, address: int, data: bytes | bytearray | memoryview) -> None:
        """Put bytes into RAM or ROM; raises InternalError where there is none."""
        start, whole = address, len(data)
        while len(data):
            region = self.find(address)
            if region is None:
                raise InternalError(f"no memory at {address:#x}")
            length = min(len(data), region.end - address)
            region.bytes[address - region.base : address - region.base + length] = bytes(data[:length])
            address, data = address + length, data[length:]
        for told in self.on_write:
            told(start, whole)

    def holds(self, address: int, size: int, write: bool = False) -> bool:
        """Whether all of it is RAM (or, for reading, ROM)."""
        while size > 0:
            region = self.find(address)
            if region is None or (write and not region.writable):
                return False
            size -= region.end - address
            address = region.end
        return True

    # -- by a processor: whatever answers there

    def load(self, address: int, size: int) -> int:
        """`size` bytes, little-endian, from memory or a device."""
        region = self.find(address)
        if region is not None and address + size <= region.end:
            at = address - region.base
            return int.from_bytes(region.bytes[at : at + size], "little")
        if region is None and (size == 1 or not any(self.find(address + at) for at in range(1, size))):
            return self.bus.read(address, size)
        return sum(self.load(address + at, 1) << at * 8 for at in range(size))

    def store(self, address: int, value: int, size: int) -> None:
        """The low `size` bytes of `value`, little-endian, to memory or a device."""
        region = self.find(address)
        if region is not None and region.writable and address + size <= region.end:
            at = address - region.base
            region.bytes[at : at + size] = value.to_bytes(size, "little")
        elif (region is None or not region.writable) and (size == 1 or not any(self.find(address + at) for at in range(1, size))):
            self.bus.write(address, value, size)
        else:
            for at in range(size):
                self.store(address + at, value >> at * 8 & 0xFF, 1)
