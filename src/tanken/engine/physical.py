"""Physical memory as a system engine sees it: regions of the host's memory, and which of their pages hold code that was decoded.

Addresses that no region holds belong to somebody else: an access there ends the run with `Outside`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

from tanken.engine.memory import PAGE, SHIFT
from tanken.isa.architecture import Exited, Outside


@dataclass(frozen=True, slots=True)
class Region:
    """Bytes at [base, base + len(bytes)), whole pages; what is not writable is ROM. `host` is where the host keeps them, 0 where unknown."""

    base: int
    bytes: memoryview
    writable: bool = True
    host: int = 0

    @property
    def end(self) -> int:
        return self.base + len(self.bytes)


class PhysicalMemory:
    """The regions; `read` and `write` are for aligned entries of tables, as `isa.x86.paging` asks for."""

    def __init__(self, regions: list[Region] | None = None) -> None:
        self.regions: list[Region] = []
        self._bases: list[int] = []
        self.code_pages: set[int] = set()
        self.on_code_write: list[Callable[[int], None]] = []
        for region in regions or ():
            self.add(region)

    def add(self, region: Region) -> None:
        """A region that overlaps none."""
        at = bisect_right(self._bases, region.base)
        self.regions.insert(at, region)
        self._bases.insert(at, region.base)

    @property
    def end(self) -> int:
        """Behind the last region."""
        return self.regions[-1].end if self.regions else 0

    def find(self, address: int) -> Region | None:
        at = bisect_right(self._bases, address) - 1
        if at < 0 or address >= self.regions[at].end:
            return None
        return self.regions[at]

    def page(self, number: int) -> tuple[memoryview, int, bool] | None:
        """(bytes of its region, where in them the page begins, whether it is writable)."""
        region = self.find(number << SHIFT)
        return None if region is None else (region.bytes, (number << SHIFT) - region.base, region.writable)

    def read(self, address: int, size: int) -> int:
        region = self.find(address)
        if region is None:
            raise Exited(Outside(address, None, size, "r"))
        at = address - region.base
        return int.from_bytes(region.bytes[at : at + size], "little")

    def write(self, address: int, size: int, value: int) -> None:
        region = self.find(address)
        if region is None or not region.writable:
            raise Exited(Outside(address, None, size, "w"))
        at = address - region.base
        region.bytes[at : at + size] = value.to_bytes(size, "little")
        if address >> SHIFT in self.code_pages:
            self.stale(address >> SHIFT)

    def __getitem__(self, index: int) -> int:
        return self.read(index << 3, 8)

    def __setitem__(self, index: int, value: int) -> None:
        self.write(index << 3, 8, value & (1 << 64) - 1)

    def written(self, address: int, length: int) -> None:
        """Somebody else, a device or a loader, has written there: code that was decoded from it is stale."""
        if length > 64 * PAGE and len(self.code_pages) < length >> SHIFT:
            for number in [n for n in self.code_pages if address >> SHIFT <= n <= address + length - 1 >> SHIFT]:
                self.stale(number)
            return
        for number in range(address >> SHIFT, (address + length - 1 >> SHIFT) + 1):
            if number in self.code_pages:
                self.stale(number)

    def stale(self, number: int) -> None:
        """The code in a page is not what it was."""
        self.code_pages.discard(number)
        for call in self.on_code_write:
            call(number)
