"""Guest memory mapped straight into the host's: guest address a stands at `host + a`, so that native code needs one addition.

mmap(2). All of 2**44 bytes is reserved without rights; what a guest cannot touch, the host's own page tables refuse. The kernel side keeps
its books as AddressSpace does; the bytes are the host's. A page that code was taken from cannot be written to, through none of its aliases.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TYPE_CHECKING

from tanken.engine.memory import EXEC, FETCH, OFFSET, PAGE, READABLE, SHIFT, WRITE, AddressSpace, Mapping
from tanken.engine.native import host as H
from tanken.engine.native.places import LIMIT_BITS

if TYPE_CHECKING:
    from tanken.engine.shared import Shared

LIMIT = 1 << LIMIT_BITS
GUARD = 1 << 16  # bytes behind the limit that no access reaches over
TOP = LIMIT - (1 << 16)  # the first address that a program here cannot map


class DirectSpace(AddressSpace):
    """An AddressSpace below 2**44. Pages that code was taken from are kept unwritable for the guest until somebody writes there.

    `on_change(start, end)` is told of every range that was mapped, unmapped or given other rights.
    """

    def __init__(self, top: int = TOP) -> None:
        super().__init__(min(top, TOP))
        flags = H.MAP_PRIVATE | H.MAP_ANONYMOUS | H.MAP_NORESERVE
        self.host = 0
        try:
            self.host = H.map_memory(LIMIT + GUARD, H.PROT_NONE, flags)
        except OSError:  # seven of them fill the host's addresses: those that nobody uses any more hang in cycles with their engines
            gc.collect()
            self.host = H.map_memory(LIMIT + GUARD, H.PROT_NONE, flags)
        self._bytes = H.view(self.host, LIMIT)
        self.on_change: Callable[[int, int], None] | None = None
        self.guarded: set[int] = set()  # pages that could be written to
        self.offered: set[int] = set()  # pages that code may be taken from because they, and their aliases, are guarded

    def close(self) -> None:
        """Give the reservation back; nothing may use the space after that."""
        if self.host:
            H.unmap_memory(self.host, LIMIT + GUARD)
            self.host = 0

    def __del__(self) -> None:
        self.close()

    # -- the guest's accesses, for engines that call

    def load(self, address: int, size: int) -> int:
        mapping = self._find(address >> SHIFT)
        if mapping is None or not mapping.prot & READABLE or address + size > mapping.end or mapping.shared is not None:
            self._require(address, address + size, READABLE, "r")
        return int.from_bytes(self._bytes[address : address + size], "little")

    def store(self, address: int, size: int, value: int) -> None:
        self._store(address, (value & (1 << size * 8) - 1).to_bytes(size, "little"), WRITE)

    def fetch(self, address: int) -> bytes:
        self._require(address, address + 1, EXEC, "x")
        number, end = address >> SHIFT, address + FETCH
        self.guard(number)
        if end > (number + 1) << SHIFT:
            if self._allows(number + 1, EXEC) and not self.beyond(number + 1 << SHIFT):
                self.guard(number + 1)
            else:
                end = (number + 1) << SHIFT
        return bytes(self._bytes[address:end])

    def peek(self, address: int, size: int) -> bytes:
        """Bytes that are known to be readable."""
        return bytes(self._bytes[address : address + size])

    def code(self, address: int, size: int) -> bytes:
        """Bytes that are run, of which the engine is told when they change. Raises Miss where they cannot be executed."""
        self._require(address, address + size, EXEC, "x")
        for number in range(address >> SHIFT, (address + size - 1 >> SHIFT) + 1):
            self.guard(number)
        return bytes(self._bytes[address : address + size])

    def guard(self, number: int) -> None:
        """Keep the guest from writing to a page unnoticed, by whatever alias: its bytes are being run."""
        self.code_pages.add(number)
        mapping = self._find(number)
        if mapping is None or number in self.offered or not (mapping.prot & WRITE or mapping.shared is not None):
            return
        for alias in self.aliases(number):
            if alias not in self.guarded and self._allows(alias, WRITE):
                self.guarded.add(alias)
                self._rights(alias << SHIFT, (alias + 1) << SHIFT, H.PROT_READ)
        self.offered.add(number)
        if mapping.shared is not None:
            self.shared_code[number] = self._load(number << SHIFT, PAGE, 0)

    def code_ranges(self) -> list[tuple[int, int]]:
        """Where code can be taken from without asking: executable and nobody's to write to, or offered; neighbours in one."""
        found = [(m.start, m.end) for m in self._maps if m.prot & EXEC and not m.prot & WRITE and m.shared is None]
        found += [(number << SHIFT, (number + 1) << SHIFT) for number in self.offered if self._allows(number, EXEC)]
        joined: list[tuple[int, int]] = []
        for start, end in sorted(found):
            if joined and joined[-1][1] == start:
                joined[-1] = joined[-1][0], end
            else:
                joined.append((start, end))
        return joined

    def offer_code(self, address: int) -> bool:
        """Guard the page at `address` so that code can be taken from it; whether it can be executed at all."""
        number = address >> SHIFT
        if not self._allows(number, EXEC) or self.beyond(address):
            return False
        self.guard(number)
        return True

    def withdraw_code(self) -> None:
        """Offer no page any more: there are too many."""
        for number in list(self.offered):
            self._stale(number)

    # -- the kernel's side

    def _load(self, address: int, size: int, need: int) -> bytes:
        self._require(address, address + size, need, "r")
        hidden = not need and self._hidden(address, size)
        if hidden:
            self._rights(address & ~OFFSET, address + size + OFFSET & ~OFFSET, H.PROT_READ)
        data = bytes(self._bytes[address : address + size])
        if hidden:
            self._restore(address & ~OFFSET, address + size + OFFSET & ~OFFSET)
        return data

    def _hidden(self, address: int, size: int) -> bool:
        return any(not self._maps[at].prot & READABLE for at in self._overlapping(address, address + size))

    def _store(self, address: int, data: bytes | bytearray | memoryview, need: int) -> None:
        size = len(data)
        self._require(address, address + size, need, "w")
        if not size:
            return
        if not need:
            self._refuse_views(address, size)
        first, last = address >> SHIFT, address + size - 1 >> SHIFT
        start, end = first << SHIFT, (last + 1) << SHIFT
        maps = [self._maps[at] for at in self._overlapping(start, end)]
        for number in self.code_pages.intersection(range(first, last + 1)) if last - first < 64 else [n for n in self.code_pages if first <= n <= last]:
            self._stale(number)
        for mapping in maps if self.shared_code else ():
            self._stale_views(mapping, start, end)
        locked = any(not mapping.prot & WRITE for mapping in maps)
        for mapping in maps:  # code that is taken from there without asking
            if mapping.prot & EXEC and not mapping.prot & WRITE:
                for number in range(max(first, mapping.start >> SHIFT), min(last, mapping.end - 1 >> SHIFT) + 1):
                    self._stale(number)
        if locked:
            self._rights(start, end, H.PROT_READ | H.PROT_WRITE)
        self._bytes[address : address + size] = data
        if locked:
            self._restore(start, end)

    def _stale(self, number: int) -> None:
        """The page has other bytes now: neither it nor an alias of it is guarded any more."""
        aliases = self.aliases(number)
        self.offered.difference_update(aliases)
        for alias in self.code_pages.intersection(aliases) | {number}:
            super()._stale(alias)
        for alias in self.guarded.intersection(aliases):
            self.guarded.discard(alias)
            self._restore(alias << SHIFT, (alias + 1) << SHIFT)

    def _stale_views(self, mapping: Mapping, start: int, end: int) -> None:
        """As `_stale`, for the code that aliases of the mapping's pages in [start, end) show."""
        if mapping.shared is None:
            return
        first, last = (mapping.offset + border - mapping.start for border in (max(mapping.start, start), min(mapping.end, end)))
        for number in list(self.shared_code):
            other = self._find(number)
            if other is not None and other.shared is not None and other.shared.object is mapping.shared.object and first <= other.place(number) < last:
                self._stale(number)

    # -- mappings

    def map(self, address: int, length: int, prot: int, content: bytes | None = None, *, offset: int = 0, shared: Shared | None = None) -> None:
        end = self._range(address, length)
        if end > LIMIT:
            raise ValueError(f"not below {LIMIT:#x}: {length:#x} bytes at {address:#x}")
        self._changed(address, end)
        super().map(address, length, prot, None, offset=offset if shared is not None else 0, shared=shared)
        here = self.host + address
        if shared is not None:
            shared.show(offset, end - address, here)
        else:
            H.map_memory(end - address, H.PROT_READ | H.PROT_WRITE, H.MAP_PRIVATE | H.MAP_NORESERVE | H.MAP_FIXED | H.MAP_ANONYMOUS, here)
        if content is not None:
            piece = memoryview(content)[offset : offset + end - address]
            self._bytes[address : address + len(piece)] = piece
        if shared is not None or _host_rights(prot) != H.PROT_READ | H.PROT_WRITE:
            H.protect_memory(here, end - address, _host_rights(prot))

    def _move_private(self, part: Mapping, new: int, length: int) -> None:
        self._changed(part.start, part.end)
        self.map(new, length, part.prot)
        try:
            H.move_memory(self.host + part.start, part.length, self.host + new)
        except OSError:  # the host has it in several pieces, or does not know how
            self._store(new, self._load(part.start, part.length, 0), 0)

    def _cut(self, start: int, end: int) -> None:
        super()._cut(start, end)
        for pages in (self.guarded, self.offered):
            pages.difference_update([n for n in pages if start >> SHIFT <= n < end >> SHIFT])
        if end <= LIMIT:
            flags = H.MAP_PRIVATE | H.MAP_ANONYMOUS | H.MAP_NORESERVE | H.MAP_FIXED
            H.map_memory(end - start, H.PROT_NONE, flags, self.host + start)

    def unmap(self, address: int, length: int) -> None:
        end = min(self._range(address, length), LIMIT)
        if address < end:
            super().unmap(address, end - address)

    def protect(self, address: int, length: int, prot: int) -> None:
        end = self._range(address, length)
        super().protect(address, length, prot)
        for pages in (self.guarded, self.offered):
            pages.difference_update([n for n in pages if address >> SHIFT <= n < end >> SHIFT])
        self._rights(address, end, _host_rights(prot))

    def _changed(self, start: int, end: int) -> None:
        super()._changed(start, end)
        for at in self._overlapping(start, end) if self.shared_code else ():
            self._stale_views(self._maps[at], start, end)
        if self.on_change is not None:
            self.on_change(start, end)

    def _rights(self, start: int, end: int, protection: int) -> None:
        H.protect_memory(self.host + start, end - start, protection)

    def _restore(self, start: int, end: int) -> None:
        """The host's rights as the mappings in [start, end) say."""
        for at in self._overlapping(start, end):
            mapping = self._maps[at]
            first, last = max(mapping.start, start), min(mapping.end, end)
            self._rights(first, last, _host_rights(mapping.prot))
        for number in self.guarded:
            if start <= number << SHIFT < end:
                self._rights(number << SHIFT, (number + 1) << SHIFT, H.PROT_READ)

    def _page(self, number: int) -> bytearray:
        return bytearray(self._bytes[number << SHIFT : (number + 1) << SHIFT])

    def touched(self) -> list[int]:
        """The numbers of the pages that the host has given memory to, ascending (/proc/self/pagemap)."""
        found = []
        with open("/proc/self/pagemap", "rb", buffering=0) as file:
            for mapping in self._maps:
                file.seek((self.host + mapping.start >> SHIFT) * 8)
                data = memoryview(file.read(mapping.length >> SHIFT << 3)).cast("Q")
                found += [(mapping.start >> SHIFT) + n for n, entry in enumerate(data) if entry >> 62]
        return found

    def fork(self) -> AddressSpace:
        """A copy of all that was touched, as an AddressSpace of the slow kind."""
        copy = AddressSpace(self.top)
        copy._maps, copy._starts = self._maps.copy(), self._starts.copy()
        for number in self.touched():
            if (mapping := self._find(number)) is None or mapping.shared is not None:
                continue
            copy._pages[number] = bytearray(self._load(number << SHIFT, PAGE, 0))
        return copy


def _host_rights(prot: int) -> int:
    return (H.PROT_READ if prot & READABLE else 0) | (H.PROT_WRITE if prot & WRITE else 0)

