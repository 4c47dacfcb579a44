"""Guest memory: a sparse 64-bit address space of 4 KiB pages with rights, copied on write when it forks.

The guest's own accesses (`load`, `store`, `fetch`) keep to the rights of x86-64 paging (Intel SDM volume 3, 4.6: what can be
written or executed can be read); the kernel side (`read`, `write`) sees all that is mapped, or asks for a right by name.

    mapping     [start ............... end)      rights, where its first bytes come from, shared over fork or not
    page        number -> bytearray(4096)        made at the first touch; a mapping of a terabyte costs nothing
    fast path   number -> the same bytearray     one dictionary for loads, one for stores; what is absent goes the slow way

A page leaves the stores' dictionary when it may be shared with a fork (so that the slow way copies it) and when code was fetched
from it, or from an alias (so that the slow way tells the engine that its decoded instructions are stale). Pages of shared files are in neither:
who touches them looks first where the file ends.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from tanken.engine.mappings import EXEC, LOWEST, OFFSET, PAGE, READ, READABLE, SHIFT, TOP, WRITE, Mapping, MappingList, Miss, Page

if TYPE_CHECKING:
    from tanken.engine.shared import Shared

__all__ = ["EXEC", "FETCH", "LOWEST", "OFFSET", "PAGE", "READ", "READABLE", "SHIFT", "TOP", "WRITE", "AddressSpace", "Mapping", "Miss"]
FETCH = 15  # bytes: the longest x86 instruction (SDM volume 2, 2.3.11)

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


class AddressSpace(MappingList):
    """One guest address space; addresses are non-negative ints, everything is little-endian.

    `code_pages` is the engine's: it adds the numbers of *all* the pages whose bytes it has decoded, after `fetch`ing them, and is
    told through `on_code_write(page)` when one of them was stored to, through whatever alias, written, mapped, unmapped or protected; that
    page is then taken out of the set. What others do to code in shared memory is noticed by `refresh`.
    """

    def __init__(self, top: int = TOP) -> None:
        super().__init__(top)
        self.code_pages: set[int] = set()
        self.on_code_write: Callable[[int], None] | None = None
        self._pages: dict[int, Page] = {}
        self.shared_code: dict[int, bytes] = {}  # pages of shared memory that code was fetched from, as they were
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

    def swap(self, address: int, size: int, old: int, new: int) -> bool:
        """`store` of what replaces `old`; False, with nothing stored, where somebody else has changed shared memory since that was loaded."""
        mapping = self._find(address >> SHIFT)
        if mapping is None or mapping.shared is None or address + size > mapping.end:
            self.store(address, size, new)
            return True
        self._require(address, address + size, WRITE, "w")
        done = mapping.shared.swap(mapping.offset + address - mapping.start, size, old, new)
        for number in range(address >> SHIFT, (address + size - 1 >> SHIFT) + 1) if done and self.shared_code else ():
            for alias in self.code_pages.intersection(self.aliases(number)):
                self._stale(alias)
        return done

    def fetch(self, address: int) -> bytes:
        """Up to 15 executable bytes at `address`, fewer where the next page cannot be executed; Miss where not even one can."""
        number, offset = address >> SHIFT, address & OFFSET
        self._require(address, address + 1, EXEC, "x")
        code = self._code_page(number)[offset : offset + FETCH]
        if len(code) < FETCH and self._allows(number + 1, EXEC) and not self.beyond(number + 1 << SHIFT):
            code += self._code_page(number + 1)[: FETCH - len(code)]
        return code

    def _code_page(self, number: int) -> bytes:
        """The bytes of a page that nobody stores to quickly from here on."""
        mapping, page = self._find(number), bytes(self._page(number))
        if mapping is None or mapping.shared is None:
            self._writable.pop(number, None)
            return page
        for alias in self.aliases(number):
            self._writable.pop(alias, None)
        self.shared_code.setdefault(number, page)
        return page

    def holds_code(self, number: int) -> bool:
        """Whether an engine has decoded bytes that the page shows."""
        if number in self.code_pages or not self.shared_code:
            return number in self.code_pages
        return any(alias in self.code_pages for alias in self.aliases(number))

    def refresh(self) -> None:
        """Look whether others, another process or a system call that writes to a file, have changed code in shared memory: the engine is told."""
        for number, before in list(self.shared_code.items()):
            if self.beyond(number << SHIFT) or self.read(number << SHIFT, PAGE) != before:
                self._stale(number)

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

    def map(self, address: int, length: int, prot: int, content: bytes | None = None, *, offset: int = 0, shared: Shared | None = None) -> None:
        """Map [address, address + length), whole pages, in place of what was there.

        The first bytes are those of `content` from `offset` on (kept, not copied), the rest zeros; or all are those of a `shared` object from
        `offset` on, which that view must have. ValueError when the range is empty, not on page boundaries or leaves 64 bits.
        """
        end = self._range(address, length)
        self._cut(address, end)
        self._insert(Mapping(address, end, prot, content, offset, shared))
        self._changed(address, end)

    def move(self, old: int, old_length: int, new: int, length: int) -> None:
        """Map at `new`, whole pages, what is mapped at `old`: with more zeros, or more of a shared object, behind it, or less of it.

        [old, old + old_length) must lie in one mapping, and apart from the new range. Where `old_length` is 0, shared memory is
        mapped there as well.
        """
        mapping = self._find(old >> SHIFT)
        assert mapping is not None, "callers look first"
        if mapping.shared is not None:
            place = mapping.place(old >> SHIFT)
            self.map(new, length, mapping.prot, shared=mapping.shared.covering(place, length), offset=place)
        else:
            self._move_private(mapping.part(old, old + min(old_length, length)), new, length)
        if old_length:
            self.unmap(old, old_length)

    def _move_private(self, part: Mapping, new: int, length: int) -> None:
        self.map(new, length, part.prot)
        if part.content is not None:
            self.map(new, part.length, part.prot, part.content, offset=part.offset)
        distance = new - part.start >> SHIFT
        for number in range(part.start >> SHIFT, part.end >> SHIFT):
            if number in self._pages:
                self._pages[number + distance] = self._pages[number]
                if number in self._forked:
                    self._forked.add(number + distance)

    def extend(self, end: int, length: int) -> None:
        """Make the mapping that ends there longer, in place of nothing: by zeros, or by more of a shared object."""
        mapping = self._find(end - 1 >> SHIFT)
        assert mapping is not None, "callers look first"
        if mapping.shared is None:
            self.map(end, length, mapping.prot)
        else:
            shared = mapping.shared.covering(mapping.offset, mapping.length + length)
            self.map(end, length, mapping.prot, shared=shared, offset=mapping.offset + mapping.length)

    def unmap(self, address: int, length: int) -> None:
        """Take away whatever is mapped in [address, address + length); ValueError as `map`."""
        end = self._range(address, length)
        self._cut(address, end)
        self._changed(address, end)

    def protect(self, address: int, length: int, prot: int) -> None:
        """New rights for [address, address + length); Miss, with nothing changed, when a page of it is not mapped; ValueError as `map`;
        PermissionError where a file that was not opened for writing would be written to."""
        end = self._range(address, length)
        self._require_mapped(address, end)
        shared = [self._maps[at].shared for at in self._overlapping(address, end)] if prot & WRITE else []
        if any(view is not None and not view.writable for view in shared):
            raise PermissionError(errno.EACCES, "a file that is not open for writing")
        inside = self._split(address, end)
        for at in inside:
            self._maps[at] = replace(self._maps[at], prot=prot)
        self._join(inside.start, len(inside))
        self._forget(self._readable, address, end)
        self._forget(self._writable, address, end)
        self._changed(address, end)

    def fast_pages(self) -> tuple[dict[int, Page], dict[int, Page]]:
        """The dictionaries of the fast path, for loads and for stores; always the same objects. Engines look into them, never write."""
        return self._readable, self._writable

    def touched(self) -> list[int]:
        """The numbers of the pages that have bytes of their own, ascending."""
        return sorted(self._pages)

    def fork(self) -> AddressSpace:
        """An equal address space; from here on a store to one is not seen in the other, shared mappings apart. No page is copied yet."""
        self._writable.clear()
        child = AddressSpace(self.top)
        child._maps, child._starts, child._pages = self._maps.copy(), self._starts.copy(), self._pages.copy()
        self._forked = set(self._pages)
        child._forked = self._forked.copy()
        return child

    # -- inside: the slow way ---------------------------------------------------------------------------------------------

    def _page(self, number: int) -> Page:
        """The bytes of a mapped page, made now if nobody has touched it."""
        page = self._pages.get(number)
        if page is None:
            mapping = self._find(number)
            assert mapping is not None, "callers check the mapping first"
            page = self._pages[number] = mapping.page(number)
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
            page, mapping = self._page(number), self._find(number)
            if mapping is not None and mapping.prot & READABLE and mapping.lasting:
                self._readable[number] = page
            got.append(page[start:end])
        return b"".join(got)

    def _store(self, address: int, data: bytes | bytearray | memoryview, need: int) -> None:
        self._require(address, address + len(data), need, "w")
        if not need:
            self._refuse_views(address, len(data))
        done = 0
        for number, start, end in _pieces(address, len(data)):
            page, mapping = self._own_page(number), self._find(number)
            page[start:end] = data[done : done + end - start]
            done += end - start
            if self.shared_code:
                for alias in self.code_pages.intersection(self.aliases(number)):
                    self._stale(alias)
            elif number in self.code_pages:
                self._stale(number)
            if mapping is not None and mapping.prot & WRITE and mapping.lasting:
                self._writable[number] = page

    def _refuse_views(self, address: int, size: int) -> None:
        """Miss where bytes of shared memory that can only be read would be written to, whoever wants it."""
        for at in self._overlapping(address, address + size):
            shared = self._maps[at].shared
            if shared is not None and not shared.writable:
                raise Miss(max(self._maps[at].start, address), size, "w")

    def _cut(self, start: int, end: int) -> None:
        """Remove all mappings, and all their pages, in [start, end)."""
        inside = self._split(start, end)
        del self._maps[inside.start : inside.stop], self._starts[inside.start : inside.stop]
        for table in (self._pages, self._readable, self._writable):
            self._forget(table, start, end)
        for number in [number for number in self.shared_code if start >> SHIFT <= number < end >> SHIFT]:
            del self.shared_code[number]
        self._forked.difference_update([number for number in self._forked if start >> SHIFT <= number < end >> SHIFT])

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
        self.shared_code.pop(number, None)
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
