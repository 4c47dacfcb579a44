"""The list of an address space's mappings: rights and where the bytes come from, for ranges of whole pages.

Intel SDM volume 3, 4.6 (what can be written or executed can be read), mmap(2). Mappings of shared memory are views of one object (`engine.shared`),
so that several pages may show the same bytes: those are each other's aliases.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from tanken.engine.shared import Shared

PAGE = 4096
SHIFT = 12
OFFSET = PAGE - 1
READ, WRITE, EXEC = 1, 2, 4
TOP = 0x7FFF_FFFF_F000  # the first address that a Linux x86-64 program cannot map
LOWEST = 0x1_0000  # find_free gives nothing below: vm.mmap_min_addr's usual value

Page: TypeAlias = bytearray | memoryview
READABLE = READ | WRITE | EXEC  # any of them makes a page readable


class Miss(Exception):
    """No mapping, or not the right, for `access` ("r", "w", "x") to `size` bytes at `address`; the engine turns it into an exit."""

    def __init__(self, address: int, size: int, access: str) -> None:
        super().__init__(address, size, access)
        self.address, self.size, self.access = address, size, access

    def __str__(self) -> str:
        return f"{self.access} of {self.size} bytes at {self.address:#x}"


@dataclass(frozen=True, slots=True)
class Mapping:
    """Pages [start, end) with equal rights; `content` supplies the bytes from `start`, beginning at `offset` of it, then zeros; or they are
    those of a `shared` object from `offset` on."""

    start: int
    end: int
    prot: int
    content: bytes | None = None
    offset: int = 0
    shared: Shared | None = None

    @property
    def length(self) -> int:
        """Bytes, a multiple of PAGE."""
        return self.end - self.start

    def __repr__(self) -> str:
        rights = "".join(letter if self.prot & bit else "-" for letter, bit in (("r", READ), ("w", WRITE), ("x", EXEC)))
        return f"<{self.start:#x}-{self.end:#x} {rights}{'s' if self.shared is not None else 'p'}>"

    def part(self, start: int, end: int) -> Mapping:
        """The piece [start, end) of this mapping, which must lie inside it."""
        return replace(self, start=start, end=end, offset=self.offset + start - self.start)

    def place(self, number: int) -> int:
        """Where the bytes of a page stand in what they come from."""
        return self.offset + (number << SHIFT) - self.start

    @property
    def lasting(self) -> bool:
        """Whether all its pages are there as long as it is: not so those of a file, which may be cut off."""
        return self.shared is None or not self.shared.object.is_file

    def reach(self) -> int:
        """The end of what can be touched: behind a shared file's last page there is nothing (SIGBUS)."""
        if self.shared is None:
            return self.end
        return min(self.end, max(self.start + self.shared.object.size() - self.offset, self.start))

    def page(self, number: int) -> Page:
        """A page as the mapping describes it: a fresh one, or what others see too."""
        at = self.place(number)
        if self.shared is not None:
            return self.shared.page(at)
        if self.content is None:
            return bytearray(PAGE)
        return bytearray(self.content[at : at + PAGE].ljust(PAGE, b"\0"))


class MappingList:
    """Mappings by ascending address, apart from each other."""

    def __init__(self, top: int) -> None:
        self.top = top
        self._maps: list[Mapping] = []
        self._starts: list[int] = []

    def mappings(self) -> list[Mapping]:
        """All mappings by ascending address."""
        return list(self._maps)

    def mapped(self) -> int:
        """Bytes in all mappings, touched or not."""
        return sum(mapping.length for mapping in self._maps)

    def find_free(self, length: int, hint: int = 0) -> int | None:
        """Where `length` bytes (rounded up to pages) fit: at `hint` if that is free, else in the highest gap below `top`; None if nowhere."""
        length = -(-length // PAGE) * PAGE
        hint &= ~OFFSET
        if hint >= LOWEST and hint + length <= self.top and not self._overlapping(hint, hint + length):
            return hint
        ceiling = self.top
        for mapping in reversed(self._maps):
            if ceiling - mapping.end >= length:
                return ceiling - length
            ceiling = min(ceiling, mapping.start)
        return ceiling - length if ceiling - length >= LOWEST else None

    def aliases(self, number: int) -> list[int]:
        """The pages that show the same bytes as this one, itself among them."""
        mapping = self._find(number)
        if mapping is None or mapping.shared is None:
            return [number]
        place, thing = mapping.place(number), mapping.shared.object
        found = []
        for other in self._maps:
            if other.shared is not None and other.shared.object is thing and 0 <= place - other.offset < other.length:
                found.append(other.start + place - other.offset >> SHIFT)
        return found

    def beyond(self, address: int) -> bool:
        """Whether it is mapped, but lies behind the end of what it shows."""
        mapping = self._find(address >> SHIFT)
        return mapping is not None and address >= mapping.reach()

    def _find(self, number: int) -> Mapping | None:
        address = number << SHIFT
        at = bisect_right(self._starts, address) - 1
        return self._maps[at] if at >= 0 and address < self._maps[at].end else None

    def _allows(self, number: int, need: int) -> bool:
        mapping = self._find(number)
        return mapping is not None and (not need or mapping.prot & need != 0)

    def _require(self, start: int, end: int, need: int, access: str) -> None:
        """Miss unless every page of [start, end) is mapped and, where `need` is not 0, has one of its rights."""
        page = start
        while page < end:
            mapping = self._find(page >> SHIFT)
            if mapping is None or (need and not mapping.prot & need):
                raise Miss(page, end - start, access)
            if mapping.shared is not None and min(mapping.end, end) > mapping.reach():
                raise Miss(max(page, mapping.reach()), end - start, access)
            page = mapping.end

    def _require_mapped(self, start: int, end: int) -> None:
        """Miss unless every page of [start, end) is mapped."""
        while start < end:
            mapping = self._find(start >> SHIFT)
            if mapping is None:
                raise Miss(start, end - start, "w")
            start = mapping.end

    def _range(self, address: int, length: int) -> int:
        end = address + -(-length // PAGE) * PAGE
        if length <= 0 or address < 0 or address & OFFSET or end > 1 << 64:
            raise ValueError(f"not a range of pages: {length:#x} bytes at {address:#x}")
        return end

    def _overlapping(self, start: int, end: int) -> range:
        """Indices of the mappings that have a page in [start, end)."""
        first = bisect_right(self._starts, start) - 1
        if first < 0 or self._maps[first].end <= start:
            first += 1
        last = first
        while last < len(self._maps) and self._maps[last].start < end:
            last += 1
        return range(first, last)

    def _split(self, start: int, end: int) -> range:
        """Cut mappings at both ends of [start, end); the indices of those now inside."""
        for border in (start, end):
            at = bisect_right(self._starts, border) - 1
            if at >= 0 and self._maps[at].start < border < self._maps[at].end:
                whole = self._maps[at]
                self._maps[at : at + 1] = [whole.part(whole.start, border), whole.part(border, whole.end)]
                self._starts.insert(at + 1, border)
        return self._overlapping(start, end)

    def _insert(self, new: Mapping) -> None:
        """Where there is room for it."""
        at = bisect_right(self._starts, new.start)
        self._maps.insert(at, new)
        self._starts.insert(at, new.start)
        self._join(at)

    def _join(self, at: int, count: int = 1) -> None:
        """Make one mapping of neighbours around indices [at, at + count) that differ in nothing, so that a growing heap stays one."""
        for index in range(min(at + count, len(self._maps) - 1), max(at, 1) - 1, -1):
            left, right = self._maps[index - 1], self._maps[index]
            plain = left.content is None and right.content is None and left.shared is right.shared
            follows = left.shared is None or left.offset + left.length == right.offset
            if plain and follows and left.end == right.start and left.prot == right.prot:
                self._maps[index - 1 : index + 1] = [replace(left, end=right.end)]
                del self._starts[index]
