"""Guest memory: a sparse 64-bit address space of 4 KiB pages with rights, copied on write when it forks.

The guest's own accesses (`load`, `store`, `fetch`) keep to the rights of x86-64 paging (Intel SDM volume 3, 4.6: what can be
written or executed can be read); the kernel side (`read`, `write`) sees all that is mapped, or asks for a right by name.

    mapping     [start ............... end)      rights, where its first bytes come from, shared over fork or not
    page        number -> bytearray(4096)        made at the first touch; a mapping of a terabyte costs nothing
    fast path   number -> the same bytearray     one dictionary for loads, one for stores; what is absent goes the slow way

A page leaves the stores' dictionary when it may be shared with a fork (so that the slow way copies it) and when code was fetched
from it (so that the slow way tells the engine that its decoded instructions are stale).
"""

from __future__ import annotations

import mmap
import struct
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

PAGE = 4096
SHIFT = 12
OFFSET = PAGE - 1
READ, WRITE, EXEC = 1, 2, 4
FETCH = 15  # bytes: the longest x86 instruction (SDM volume 2, 2.3.11)
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
    """Pages [start, end) with equal rights; `content` supplies the bytes from `start`, beginning at `offset` of it, then zeros."""

    start: int
    end: int
    prot: int
    content: bytes | None = None
    offset: int = 0
    shared: mmap.mmap | None = None  # the bytes themselves, from page number `origin` on, where forks, the host's too, see each other's stores
    origin: int = 0

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

    def page(self, number: int) -> Page:
        """A fresh page as the mapping describes it."""
        if self.content is None:
            return bytearray(PAGE)
        at = self.offset + (number << SHIFT) - self.start
        return bytearray(self.content[at : at + PAGE].ljust(PAGE, b"\0"))


_PAIR = struct.Struct("<QQ")


def _unpack_pair(page: Page, offset: int) -> tuple[int]:
    low, high = _PAIR.unpack_from(page, offset)
    return (low | high << 64,)


def _pack_pair(page: Page, offset: int, value: int) -> None:
    _PAIR.pack_into(page, offset, value & 0xFFFF_FFFF_FFFF_FFFF, value >> 64)


# struct checks the page's end and the value's range for us: both errors lead to the slow way.
_PLAIN = {size: struct.Struct("<" + code) for size, code in ((1, "B"), (2, "H"), (4, "I"), (8, "Q"))}
_UNPACK: dict[int, Callable[[Page, int], tuple[int]]] = {size: plain.unpack_from for size, plain in _PLAIN.items()} | {16: _unpack_pair}
_PACK: dict[int, Callable[[Page, int, int], None]] = {size: plain.pack_into for size, plain in _PLAIN.items()} | {16: _pack_pair}


class AddressSpace:
    """One guest address space; addresses are non-negative ints, everything is little-endian.

    `code_pages` is the engine's: it adds the numbers of *all* the pages whose bytes it has decoded, after `fetch`ing them, and is
    told through `on_code_write(page)` when one of them was stored to, written, mapped, unmapped or protected; that page is then
    taken out of the set.
    """

    def __init__(self, top: int = TOP) -> None:
        self.top = top
        self.code_pages: set[int] = set()
        self.on_code_write: Callable[[int], None] | None = None
        self._maps: list[Mapping] = []  # sorted, apart
        self._starts: list[int] = []
        self._pages: dict[int, Page] = {}
        self._forked: set[int] = set()  # pages whose bytearray a fork may hold too
        self._readable: dict[int, Page] = {}
        self._writable: dict[int, Page] = {}

    def __repr__(self) -> str:
        return f"<AddressSpace {len(self._maps)} mappings, {len(self._pages)} pages touched>"

    # -- the guest's accesses ---------------------------------------------------------------------------------------------

    def load(self, address: int, size: int) -> int:
        """The unsigned value of `size` bytes at `address`; Miss where they cannot be read."""
        try:
            return _UNPACK[size](self._readable[address >> SHIFT], address & OFFSET)[0]
        except (KeyError, struct.error):
            return int.from_bytes(self._load(address, size, READABLE), "little")

    def store(self, address: int, size: int, value: int) -> None:
        """The low `size` bytes of `value` to `address`; Miss, with nothing stored, where one of them cannot be written."""
        try:
            _PACK[size](self._writable[address >> SHIFT], address & OFFSET, value)
        except (KeyError, struct.error):
            self._store(address, (value & ((1 << size * 8) - 1)).to_bytes(size, "little"), WRITE)

    def fetch(self, address: int) -> bytes:
        """Up to 15 executable bytes at `address`, fewer where the next page cannot be executed; Miss where not even one can."""
        number, offset = address >> SHIFT, address & OFFSET
        self._require(address, address + 1, EXEC, "x")
        self._writable.pop(number, None)
        code = bytes(self._page(number)[offset : offset + FETCH])
        if len(code) < FETCH and self._allows(number + 1, EXEC):
            self._writable.pop(number + 1, None)
            code += self._page(number + 1)[: FETCH - len(code)]
        return code

    def demand(self, address: int, size: int, need: int, access: str) -> None:
        """Miss, as an access would give it, unless `size` bytes at `address` are mapped with one of the rights in `need`."""
        self._require(address, address + size, need, access)

    # -- the kernel's side ------------------------------------------------------------------------------------------------

    def read(self, address: int, length: int, need: int = 0) -> bytes:
        """The `length` bytes at `address`; Miss where one is not mapped, or has none of the rights in `need`."""
        return self._load(address, length, need)

    def write(self, address: int, data: bytes | bytearray | memoryview, need: int = 0) -> None:
        """Put `data` at `address`; Miss, with nothing written, where a byte is not mapped, or has none of the rights in `need`."""
        self._store(address, data, need)

    def text(self, address: int, limit: int = PAGE, need: int = 0) -> bytes | None:
        """The bytes at `address` before the first zero byte, None when `limit` bytes hold none; Miss as `read`."""
        got = bytearray()
        while len(got) < limit:
            room = min(PAGE - (address + len(got) & OFFSET), limit - len(got))
            piece = self.read(address + len(got), room, need)
            end = piece.find(0)
            if end >= 0:
                return bytes(got + piece[:end])
            got += piece
        return None

    # -- mappings ---------------------------------------------------------------------------------------------------------

    def map(self, address: int, length: int, prot: int, content: bytes | None = None, *, offset: int = 0, shared: bool = False) -> None:
        """Map [address, address + length), whole pages, in place of what was there.

        The first bytes are those of `content` from `offset` on (kept, not copied), the rest zeros. A `shared` mapping is the same memory
        in all forks. ValueError when the range is empty, not on page boundaries or leaves 64 bits.
        """
        end = self._range(address, length)
        self._cut(address, end)
        new = Mapping(address, end, prot, content, offset, mmap.mmap(-1, end - address) if shared else None, address >> SHIFT)
        at = bisect_right(self._starts, address)
        self._maps.insert(at, new)
        self._starts.insert(at, address)
        self._join(at)
        self._changed(address, end)

    def unmap(self, address: int, length: int) -> None:
        """Take away whatever is mapped in [address, address + length); ValueError as `map`."""
        end = self._range(address, length)
        self._cut(address, end)
        self._changed(address, end)

    def protect(self, address: int, length: int, prot: int) -> None:
        """New rights for [address, address + length); Miss, with nothing changed, when a page of it is not mapped; ValueError as `map`."""
        end = self._range(address, length)
        self._require(address, end, 0, "w")
        inside = self._split(address, end)
        for at in inside:
            self._maps[at] = replace(self._maps[at], prot=prot)
        self._join(inside.start, len(inside))
        self._forget(self._readable, address, end)
        self._forget(self._writable, address, end)
        self._changed(address, end)

    def mappings(self) -> list[Mapping]:
        """All mappings by ascending address."""
        return list(self._maps)

    def mapped(self) -> int:
        """Bytes in all mappings, touched or not."""
        return sum(mapping.length for mapping in self._maps)

    def fast_pages(self) -> tuple[dict[int, Page], dict[int, Page]]:
        """The dictionaries of the fast path, for loads and for stores; always the same objects. Engines look into them, never write."""
        return self._readable, self._writable

    def touched(self) -> list[int]:
        """The numbers of the pages that have bytes of their own, ascending."""
        return sorted(self._pages)

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

    def fork(self) -> AddressSpace:
        """An equal address space; from here on a store to one is not seen in the other, shared mappings apart. No page is copied yet."""
        self._writable.clear()
        child = AddressSpace(self.top)
        child._maps, child._starts, child._pages = self._maps.copy(), self._starts.copy(), self._pages.copy()
        self._forked = set(self._pages)
        child._forked = self._forked.copy()
        return child

    # -- inside: the slow way ---------------------------------------------------------------------------------------------

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
            page = mapping.end

    def _page(self, number: int) -> Page:
        """The bytes of a mapped page, made now if nobody has touched it."""
        page = self._pages.get(number)
        if page is None:
            mapping = self._find(number)
            assert mapping is not None, "callers check the mapping first"
            if mapping.shared is None:
                page = mapping.page(number)
            else:
                start = number - mapping.origin << SHIFT
                page = memoryview(mapping.shared)[start : start + PAGE]
            self._pages[number] = page
        return page

    def _own_page(self, number: int) -> Page:
        """The bytes of a mapped page for storing to it: copied first when a fork may hold them too."""
        page = self._page(number)
        if number in self._forked:
            self._forked.discard(number)
            mapping = self._find(number)
            if mapping is not None and mapping.shared is None:
                page = self._pages[number] = bytearray(page)
                if number in self._readable:
                    self._readable[number] = page
        return page

    def _load(self, address: int, size: int, need: int) -> bytes:
        self._require(address, address + size, need, "r")
        got = []
        for number, start, end in _pieces(address, size):
            page = self._page(number)
            if self._allows(number, READABLE):
                self._readable[number] = page
            got.append(page[start:end])
        return b"".join(got)

    def _store(self, address: int, data: bytes | bytearray | memoryview, need: int) -> None:
        self._require(address, address + len(data), need, "w")
        done = 0
        for number, start, end in _pieces(address, len(data)):
            page = self._own_page(number)
            page[start:end] = data[done : done + end - start]
            done += end - start
            if number in self.code_pages:
                self._stale(number)
            if self._allows(number, WRITE):
                self._writable[number] = page

    # -- inside: the list of mappings -------------------------------------------------------------------------------------

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

    def _cut(self, start: int, end: int) -> None:
        """Remove all mappings, and all their pages, in [start, end)."""
        inside = self._split(start, end)
        del self._maps[inside.start : inside.stop], self._starts[inside.start : inside.stop]
        for table in (self._pages, self._readable, self._writable):
            self._forget(table, start, end)
        self._forked.difference_update([number for number in self._forked if start >> SHIFT <= number < end >> SHIFT])

    def _join(self, at: int, count: int = 1) -> None:
        """Make one mapping of neighbours around indices [at, at + count) that differ in nothing, so that a growing heap stays one."""
        for index in range(min(at + count, len(self._maps) - 1), max(at, 1) - 1, -1):
            left, right = self._maps[index - 1], self._maps[index]
            plain = left.content is None and right.content is None and left.shared is None and right.shared is None
            if plain and left.end == right.start and left.prot == right.prot:
                self._maps[index - 1 : index + 1] = [replace(left, end=right.end)]
                del self._starts[index]

    @staticmethod
    def _forget(table: dict[int, Page], start: int, end: int) -> None:
        first, last = start >> SHIFT, end >> SHIFT
        numbers = range(first, last) if last - first < len(table) else [n for n in table if first <= n < last]
        for number in numbers:
            table.pop(number, None)

    def _changed(self, start: int, end: int) -> None:
        for number in [n for n in self.code_pages if start >> SHIFT <= n < end >> SHIFT]:
            self._stale(number)

    def _stale(self, number: int) -> None:
        self.code_pages.discard(number)
        if self.on_code_write is not None:
            self.on_code_write(number)


def _pieces(address: int, size: int) -> Iterator[tuple[int, int, int]]:
    """(page number, first offset, end offset) of each page that [address, address + size) touches."""
    while size > 0:
        offset = address & OFFSET
        count = min(PAGE - offset, size)
        yield address >> SHIFT, offset, offset + count
        address += count
        size -= count
